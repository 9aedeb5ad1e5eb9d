"""Time training and predictions beside scikit-learn, hand-written loops and plain skorch.

Run as `python benchmarks/training.py`; `--check` exits 1 if a target is missed, `--case mlp-10`
takes one case alone, `--quick` leaves plain skorch and the DataLoader out, `--threads 2` lets all
use two, `--device cuda` takes a small MLP and the paper's case, with augmentation, in full and in
half precision. All sides train the same sizes with the same optimizer on the same data, class
weights included; before they are timed, steps of ours and of the optimal loop are compared. Each
round trains every side for some epochs, in another order each time. A ratio is our median over
theirs: below 1, ours is faster.

- *ours*: `fit`, which checks the data anew, builds the net and captures its steps; what it has
  recorded of a net of its kind it need not record again. *First of its kind* is a fit of ours
  that records all.
- *MLPClassifier*: scikit-learn's `fit`, without class weights, which it does not have.
- *optimal*: a hand-written loop that cuts each batch out of tensors by an index, asks for the
  loss once an epoch, and has a fused optimizer (on a GPU, torch's default).
- *DataLoader*: the same with torch's `DataLoader(TensorDataset(X, y))`, and each batch's loss.
- *skorch*: `skorch.NeuralNetClassifier` as it comes, without validation.
- *without graphs*, on a GPU: our net, whose steps are not captured.

Sample weights and the focal loss are timed beside ours without. The case `predictions` times
`predict_proba`, and `labels` a fit that has strings to read beside one that has integers.
"""

import argparse
import logging
import platform
import sys
from functools import partial
from importlib.metadata import version

import numpy as np
import torch
from _sides import SIDES, Case, Net, Optimal, Sklearn
from _timing import medians_of, repeated, use_threads

from sk_cbloss.neural_net import MLP, CifarResNet, PadCropFlip

VARIANTS = {("sample weights", "ours"): 1.15, ("focal", "ours"): 1.15}
AS_IT_COMES = {("ours", "DataLoader"): None, ("ours", "skorch"): 0.45}
MLP_10 = Case(
    *(MLP, {"hidden_units": (64,)}, (20,), 10, 50_000, 128, 2),
    targets={("ours", "MLPClassifier"): 0.60, ("ours", "optimal"): 0.55} | VARIANTS | AS_IT_COMES,
)
MLP_3 = Case(
    *(MLP, {"hidden_units": (100,)}, (20,), 3, 5_000, 200, 30),
    targets={("ours", "MLPClassifier"): 0.60, ("ours", "optimal"): None} | VARIANTS,
)
MLP_100 = Case(
    *(MLP, {"hidden_units": (256,)}, (64,), 100, 50_000, 512, 2),
    targets={("ours", "MLPClassifier"): 0.85, ("ours", "optimal"): 0.90} | VARIANTS | AS_IT_COMES,
)
FOLD = MLP_10._replace(
    n_samples=500,
    n_epochs=30,
    n_fits=5,
    targets={("ours", "MLPClassifier"): 0.80, ("first of its kind", "MLPClassifier"): None},
)
RESNET = Case(
    *(CifarResNet, {"depth": 32}, (3, 32, 32), 10, 512, 128, 8),
    targets={("ours", "optimal"): 1.05, ("ours", "DataLoader"): None},
    optimizer="SGD",
)
CASES = {"mlp-10": MLP_10, "mlp-3": MLP_3, "mlp-100": MLP_100, "fold": FOLD, "resnet-32": RESNET}
CUDA = {
    "device": "cuda",
    "optimizer": "SGD",
    "n_epochs": 3,
    "targets": {
        ("without graphs", "optimal"): 1.05,
        ("ours", "optimal"): 0.5,
        ("ours", "without graphs"): 0.5,
    },
}
CIFAR = RESNET._replace(n_samples=12_406, transform=PadCropFlip(), **CUDA)
CUDA_CASES = {
    "mlp-10": MLP_10._replace(**CUDA),
    "cifar": CIFAR,
    "cifar, bfloat16": CIFAR._replace(autocast="bfloat16"),
}


def make_data(case):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((case.n_samples, *case.shape), dtype=np.float32)
    share = 100.0 ** -np.linspace(0, 1, case.n_classes)
    y = rng.choice(case.n_classes, case.n_samples, p=share / share.sum())
    y[: case.n_classes] = np.arange(case.n_classes)
    return X, y, rng.uniform(0.5, 1.5, case.n_samples).astype(np.float32)


def check_same(case, X, y, sample_weight=None):
    """Raise an error unless ours and the optimal loop learn the same from one batch.

    With Adam, in double precision, since it steps as far along a gradient that is nothing but
    rounding; and by more steps than ours takes before they are captured.
    """
    is_adam = case.optimizer == "Adam"
    case = case._replace(batch_size=-1, n_epochs=0, transform=None)
    X, y = X[:640], y[:640]
    sample_weight = None if sample_weight is None else sample_weight[:640]
    if is_adam:
        X = X.astype("float64")
    ours = Net(case, X, y, sample_weight, dtype=X.dtype.name, iterator_train__shuffle=False)
    net = ours.net.partial_fit(**ours.data)
    loop = Optimal(case, X, y, sample_weight)
    loop.module.load_state_dict(net.module_.state_dict())
    n_steps = 30 if is_adam else 1
    net.set_params(max_epochs=n_steps).partial_fit(**ours.data)
    loop.weight.copy_(net.criterion_.weight)  # of all the labels that it was ever given
    for _ in range(n_steps):
        loop.step(*loop.data)
    for given, theirs in zip(net.module_.parameters(), loop.module.parameters(), strict=True):
        torch.testing.assert_close(given, theirs, rtol=1e-3, atol=1e-4 if case.autocast else 1e-6)


def run_case(name, case, left_out, n_rounds):
    X, y, sample_weight = make_data(case)
    targets = {pair: case.targets[pair] for pair in case.targets if pair[1] not in left_out}
    names = dict.fromkeys(name for pair in targets for name in pair)
    check_same(case, X, y)
    if "sample weights" in names:
        check_same(case, X, y, sample_weight)
    weighted = {"sample weights": (sample_weight,)}
    sides = {side: SIDES[side](case, X, y, *weighted.get(side, ())) for side in names}
    median = medians_of({k: repeated(run, case.n_fits) for k, run in sides.items()}, n_rounds)
    missed = print_ratios(name, median, targets)
    if case.device == "cuda":
        n_steps = case.n_epochs * -(-case.n_samples // case.batch_size)
        steps = [f"{side} {1e3 * median[side] / n_steps:.3f}" for side in median]
        print(f"  milliseconds a step: {'; '.join(steps)}", flush=True)
    return missed


def run_predictions(n_rounds):
    X, y, _ = make_data(MLP_10)
    sides = {"ours": Net(MLP_10, X, y), "MLPClassifier": Sklearn(MLP_10, X, y)}
    for fit in sides.values():
        fit()
    missed = False
    for n_rows, n_calls, target in [(1, 200, 1.5), (20_000, 2, 0.9)]:
        calls = {
            name: repeated(partial(side.net.predict_proba, X[:n_rows]), n_calls)
            for name, side in sides.items()
        }
        targets = {("ours", "MLPClassifier"): target}
        missed |= print_ratios(f"predictions of {n_rows}", medians_of(calls, n_rounds), targets)
    return missed


def run_labels(n_rounds):
    case = MLP_10._replace(n_samples=300_000, batch_size=1024, n_epochs=1)
    X, y, _ = make_data(case)
    names = np.array([f"class {label}" for label in range(case.n_classes)])
    sides = {"ours": Net(case, X, names[y]), "integers": Net(case, X, y)}
    label = f"{case.n_samples} string labels"
    return print_ratios(label, medians_of(sides, n_rounds), {("ours", "integers"): None})


OTHERS = {"predictions": run_predictions, "labels": run_labels}


def print_ratios(label, median, targets):
    """Print a line for each pair of sides; return whether a target is missed."""
    missed = False
    for (side, peer), target in targets.items():
        ratio, verdict = median[side] / median[peer], ""
        if target is not None:
            verdict = f"<= {target:.2f} {'met' if ratio <= target else 'MISSED'}"
            missed |= ratio > target
        shown = label if side == "ours" else f"{label}, {side}"
        print(f"{shown:31} {peer:14} {ratio:6.2f}  {verdict}".rstrip(), flush=True)
    return missed


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--case", choices=CASES | CUDA_CASES | OTHERS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args(argv)
    use_threads(args.threads)
    where, cases, others = f"{args.threads} thread(s)", CASES, OTHERS
    if args.device == "cuda":
        where, cases, others = torch.cuda.get_device_name(), CUDA_CASES, {}
        logging.basicConfig(format="  %(message)s")
        logging.getLogger("sk_cbloss").setLevel("INFO")  # says if nothing is captured
    left_out = {"DataLoader", "skorch"} if args.quick else set()
    runs = {name: partial(run_case, name, case, left_out) for name, case in cases.items()} | others
    if args.case and args.case not in runs:
        parser.error(f"--case must be one of {', '.join(runs)} there, got {args.case}")
    if args.case:
        runs = {args.case: runs[args.case]}
    names = ("torch", "scikit-learn", "skorch")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{packages}, Python {platform.python_version()}, {where}")
    print(f"{'case':31} {'beside':14} {'ratio':>6}  target")
    missed = [run(args.rounds) for run in runs.values()]
    if args.check and any(missed):
        sys.exit(1)


if __name__ == "__main__":
    main()
