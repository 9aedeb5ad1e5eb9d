"""Time StackedGridSearchCV beside GridSearchCV, with our net and with plain skorch.

Run as `python benchmarks/stacked_search.py`; `--check` exits 1 if a target is missed. Searches are
over 8 betas (or as told) on 5 folds, refit included, of an MLP on 20,000 rows of 20 features; all
sides train the same nets, on one thread each. Each round runs every side once, in another order
each time. A ratio is their median over ours: above 1, ours is faster. Nets of GridSearchCV are
captured, as nets alone are; *plain steps* are those of a net that captures nothing and whose
optimizer is not fused.

`--device cuda` times the first search on a GPU, once each, with the nets of GridSearchCV captured
in graphs, and without.

`--growth` times ours and GridSearchCV for 1 to 160 nets, and checks that ours takes no longer than
that many fits of a single net would; `--plot FILE` with it draws them.

`--kept` counts the nets that are alive at once in searches over more and more candidates.

`--same [FILE.npz ...]` times nothing: it prints how far the scores of the two searches are apart,
for every loss, on long-tailed digits and on data of your own (arrays `X_train` and `y_train`).
"""

import argparse
import logging
import platform
import sys
import time
import weakref
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import numpy as np
import skorch
import torch
from _timing import Uncaptured, medians_of, use_threads
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.preprocessing import StandardScaler
from torch import nn

from sk_cbloss import (
    CBNeuralNetClassifier,
    StackedGridSearchCV,
    beta_grid,
    class_balanced_weight,
    load_digits_lt,
)
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import MLP

N_EPOCHS = 10
MLP_64 = {"module__hidden_units": (64,), "max_epochs": N_EPOCHS, "random_state": 0}
TARGETS = {"GridSearchCV, plain steps": 7, "skorch": 12}
CUDA_TARGETS = {"GridSearchCV": 25}
MOST = 1.05  # of the time of as many fits of a single net: not slower, but for noise


class SmallConvNet(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()),
            *(nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()),
            *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2)),
        )
        self.head = nn.Linear(128, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


def make_data(n_samples=20_000):
    rng = np.random.default_rng(0)
    share = 100.0 ** -np.linspace(0, 1, 10)
    y = rng.choice(10, n_samples, p=share / share.sum())
    X = rng.standard_normal((n_samples, 20), dtype=np.float32)
    X[np.arange(n_samples), y] += 2
    return X, y


def images(side):
    X, y = load_digits_lt(return_X_y=True)
    return np.kron(X.reshape(-1, 1, 8, 8), np.ones((side // 8, side // 8))) / 16, y


def search(kind, net, grid, data, **params):
    def run():
        kind(clone(net), grid, scoring="balanced_accuracy", **params).fit(*data)

    return run


def plain_skorch(y):
    """Return plain skorch's net, and the grid that gives it the same weights."""
    net = skorch.NeuralNetClassifier(
        MLP,
        module__n_features=20,
        module__n_classes=10,
        module__hidden_units=(64,),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.01,
        max_epochs=N_EPOCHS,
        batch_size=128,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    counts = np.bincount(y)
    weights = [
        torch.from_numpy(class_balanced_weight(counts, beta=beta)).float()
        for beta in beta_grid(counts, n_betas=8)
    ]
    return net, {"criterion__weight": weights}


def report(case, median, targets):
    missed = False
    for peer in list(median)[1:]:
        ratio, target = median[peer] / median["ours"], targets.get(peer)
        verdict = (
            "" if target is None else f">= {target:g} {'met' if ratio >= target else 'MISSED'}"
        )
        missed |= target is not None and ratio < target
        print(f"{case:26} {peer:25} {ratio:6.1f}  {verdict}".rstrip(), flush=True)
    return missed


def time_searches(n_rounds):
    data = make_data()
    counts = np.bincount(data[1])
    betas, rates = {"beta": beta_grid(counts, n_betas=8)}, {"lr": np.logspace(-4, -1, 8)}
    net = CBNeuralNetClassifier(**MLP_64)
    plain = Uncaptured(**MLP_64, optimizer__fused=False)
    theirs, their_grid = plain_skorch(data[1])
    sides = {
        "ours": search(StackedGridSearchCV, net, betas, data),
        "GridSearchCV": search(GridSearchCV, net, betas, data),
        "GridSearchCV, plain steps": search(GridSearchCV, plain, betas, data),
        "GridSearchCV, 2 jobs": search(GridSearchCV, net, betas, data, n_jobs=2),
        "skorch": search(GridSearchCV, theirs, their_grid, data),
    }
    missed = report("8 betas", medians_of(sides, n_rounds), TARGETS)
    for case, given, grid in [
        ("8 learning rates", net, rates),
        ("8 betas, 256 hidden", clone(net).set_params(module__hidden_units=(256,)), betas),
    ]:
        sides = {
            "ours": search(StackedGridSearchCV, given, grid, data),
            "GridSearchCV": search(GridSearchCV, given, grid, data),
        }
        report(case, medians_of(sides, n_rounds), {})
    digits = load_digits_lt(return_X_y=True)
    sides = {
        "ours": search(StackedGridSearchCV, net, betas, digits),
        "GridSearchCV": search(GridSearchCV, net, betas, digits),
    }
    report("8 betas, 431 digits", medians_of(sides, n_rounds), {})
    for side in (8, 16, 32):
        given = CBNeuralNetClassifier(SmallConvNet, max_epochs=2, random_state=0)
        grid, data = {"beta": [0, 0.9, 0.99]}, images(side)
        sides = {
            "ours": search(StackedGridSearchCV, given, grid, data, max_stack=1000),
            "GridSearchCV": search(GridSearchCV, given, grid, data),
        }
        report(f"convolutions, {side} x {side}", medians_of(sides, n_rounds), {})
    return missed


def time_on_a_gpu():
    data = make_data()
    grid = {"beta": beta_grid(np.bincount(data[1]), n_betas=8)}
    sides = {
        "ours": (StackedGridSearchCV, CBNeuralNetClassifier),
        "GridSearchCV": (GridSearchCV, CBNeuralNetClassifier),
        "GridSearchCV, no graphs": (GridSearchCV, Uncaptured),
    }
    seconds, scores = {}, {}
    for name, (kind, net) in sides.items():
        given = net(**MLP_64, device="cuda")
        search(kind, clone(given).set_params(max_epochs=1), {"beta": [0, 1]}, data, cv=2)()  # warm
        start = time.perf_counter()
        done = kind(given, grid, scoring="balanced_accuracy").fit(*data)
        seconds[name] = time.perf_counter() - start
        scores[name] = done.cv_results_["mean_test_score"]
        print(f"{name}: {seconds[name]:.2f} s", flush=True)
        if name == "ours":
            print(f"nets that were not stacked: {done.n_fallback_fits_}")
        else:
            apart = np.abs(scores[name] - scores["ours"]).max()
            print(f"largest difference of a mean score: {apart:.1e}")
    return report("8 betas, 5 folds, a GPU", seconds, CUDA_TARGETS)


def time_growth(n_rounds, plot):
    data = make_data()
    net = CBNeuralNetClassifier(**MLP_64)
    cv = [next(StratifiedKFold(5).split(*data))]
    points, missed = [], False
    print(f"{'nets':>4}  {'ours':>6}  {'GridSearchCV':>12}  target   (in fits of a single net)")
    for n_nets in (1, 2, 5, 10, 20, 40, 80, 160):
        grid = {"beta": beta_grid(np.bincount(data[1]), n_betas=max(n_nets, 2))[:n_nets]}
        sides = {
            "ours": search(StackedGridSearchCV, net, grid, data, cv=cv, refit=False),
            "single": search(GridSearchCV, net, {"beta": [0.9]}, data, cv=cv, refit=False),
        }
        if n_nets <= 40:  # beyond, it grows as it grows
            sides["GridSearchCV"] = search(GridSearchCV, net, grid, data, cv=cv, refit=False)
        median = medians_of(sides, n_rounds)
        ours, theirs = (median.get(k, np.nan) / median["single"] for k in ("ours", "GridSearchCV"))
        points.append((n_nets, ours, theirs))
        is_met = ours <= MOST * n_nets
        missed |= not is_met
        shown = "-" if np.isnan(theirs) else f"{theirs:.2f}"
        verdict = f"<= {MOST * n_nets:.4g} {'met' if is_met else 'MISSED'}"
        print(f"{n_nets:4}  {ours:6.2f}  {shown:>12}  {verdict}", flush=True)
    if plot:
        draw(points, plot)
    return missed


def draw(points, path):
    import matplotlib.pyplot as plt

    n_nets, ours, theirs = np.transpose(points)
    figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
    ax.plot(n_nets, theirs, "s-", color="#8a8f98", label="GridSearchCV: one after the other")
    ax.plot(n_nets, ours, "o-", color="#3b6fb6", label="StackedGridSearchCV")
    ax.set(xscale="log", yscale="log", xlabel="number of nets", ylabel="time, in fits of one net")
    ax.set_xticks(n_nets, [f"{n:g}" for n in n_nets])
    ax.set_yticks([1, 2, 5, 10, 20, 40], ["1", "2", "5", "10", "20", "40"])
    ax.minorticks_off()
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    figure.savefig(path)


class CountedMLP(MLP):
    alive, n_most = weakref.WeakSet(), 0

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes, hidden_units=(64,))
        self.alive.add(self)
        CountedMLP.n_most = max(CountedMLP.n_most, len(self.alive))


def count_alive(estimator, X, y):
    CountedMLP.n_most = max(CountedMLP.n_most, len(CountedMLP.alive))
    return estimator.score(X, y)


def count_kept():
    data = load_digits_lt(return_X_y=True)
    net = CBNeuralNetClassifier(CountedMLP, max_epochs=2, random_state=0)
    print("nets  stacks of 16 at most  alive at once")
    for n_betas in (8, 32, 128):
        CountedMLP.n_most = 0
        grid = {"beta": np.linspace(0, 0.99, n_betas)}
        params = {"cv": 5, "max_stack": 16, "scoring": count_alive, "refit": False}
        done = StackedGridSearchCV(net, grid, **params).fit(*data)
        print(f"{5 * n_betas:4}  {done.n_stacks_:20}  {CountedMLP.n_most:13}", flush=True)


def compare(paths, n_epochs=30):
    """Print how far the searches' scores are apart, for every loss."""
    sets = {"digits, long-tailed": load_digits_lt(return_X_y=True)}
    for path in paths:
        with np.load(path) as arrays:
            X, y = arrays["X_train"], arrays["y_train"]
        counts = Counter(y.tolist())
        enough = np.array([counts[label] >= 5 for label in y.tolist()])
        sets[Path(path).stem] = X[enough], y[enough]
    print("largest difference of a mean test score between StackedGridSearchCV and GridSearchCV,")
    print(f"8 betas, 5 folds, {n_epochs} epochs, and the number of nets that were not stacked")
    print(f"{'':20} {'':15} {'float32: balanced':>17} {'accuracy':>9} {'float64':>8}  alone")
    for name, (X, y) in sets.items():
        X = StandardScaler().fit_transform(X)
        cv = StratifiedKFold(5, shuffle=True, random_state=0)
        grid = {"beta": beta_grid(list(Counter(y.tolist()).values()), n_betas=8)}
        params = {"scoring": ["balanced_accuracy", "accuracy"], "cv": cv, "refit": False}
        for loss in sorted(LOSSES):
            apart, alone = {}, 0
            for dtype in ("float32", "float64"):
                net = CBNeuralNetClassifier(
                    loss=loss, dtype=dtype, **MLP_64 | {"max_epochs": n_epochs}
                )
                ours = StackedGridSearchCV(net, grid, **params).fit(X, y)
                theirs = GridSearchCV(net, grid, **params).fit(X, y)
                for score in params["scoring"]:
                    column = f"mean_test_{score}"
                    apart[dtype, score] = np.abs(
                        ours.cv_results_[column] - theirs.cv_results_[column]
                    ).max()
                alone += ours.n_fallback_fits_
            single = apart["float32", "balanced_accuracy"], apart["float32", "accuracy"]
            double = max(apart["float64", score] for score in params["scoring"])
            print(
                f"{name:20} {loss:15} {single[0]:17.1e} {single[1]:9.1e} {double:8.1e} {alone:6}",
                flush=True,
            )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--kept", action="store_true")
    parser.add_argument("--plot", metavar="FILE")
    parser.add_argument("--same", nargs="*", metavar="FILE.npz")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    args = parser.parse_args(argv)
    use_threads(1)
    if args.device == "cuda":
        logging.basicConfig(format="  %(message)s")
        logging.getLogger("sk_cbloss").setLevel("INFO")  # says what is not captured
    names = ("torch", "scikit-learn", "skorch")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    where = "one thread" if args.device == "cpu" else torch.cuda.get_device_name()
    print(f"{packages}, Python {platform.python_version()}, {where}")
    if args.same is not None:
        compare(args.same)
        return
    if args.kept:
        count_kept()
        return
    if args.growth:
        missed = time_growth(args.rounds, args.plot)
    else:
        print(f"{'case':26} {'beside':25} {'ratio':>6}  target")
        missed = time_searches(args.rounds) if args.device == "cpu" else time_on_a_gpu()
    if args.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
