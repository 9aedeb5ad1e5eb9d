"""How each cost grows: with rows, classes, candidates times folds, and ranks.

Run as `python benchmarks/growth.py`; `--check` exits 1 if one grows faster than it may. Each cost
is timed at three sizes, in the processor's time, without that of the system: to hand out memory
takes it more or less, by what other programs have left. What is printed is the time at each size
over that at the first, and the exponent of the last step: 1 is linear, 0 is flat. Sizes are such
that a call's own cost no longer hides the growth. What goes to rows in another order, as a shuffle
does, takes longer the further memory is beyond the caches, as torch's own permutation does. Of
ranks, gradients are bytes; each updates all parameters itself, so that its part is never 1 / n.
"""

import argparse
import math
import platform
import resource
import statistics
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import ranks
import torch
from _timing import medians_of, use_threads
from torch import nn

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedCrossEntropyLoss,
    ClassBalancedWeigher,
    StackedGridSearchCV,
    class_balanced_sample_weight,
    load_digits_lt,
)
from sk_cbloss.losses import FusedLinear

N_ROWS, N_CLASSES = 1_000_000, 1_000
ROWS = 3_000_000, 10_000_000, 30_000_000
CLASSES = 10, 1_000, 20_000
RANKS = 1, 2, 4
LINEAR, FLAT = 1.1, 0.25


class Cost(NamedTuple):
    name: str
    grows_with: str
    sizes: tuple
    of_size: Callable  # returns what is timed
    exponent: float | None  # that the last step may have; None of what is not ours


class FirstBatch(Exception):
    """The first batch has come to the module."""


class Stop(nn.Module):
    """A module that ends a training with its first batch."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, x):
        raise FirstBatch


def labels(n_rows, n_classes, *, kind=int):
    y = np.random.default_rng(0).integers(n_classes, size=n_rows)
    y[: min(n_rows, 2 * n_classes)] = np.arange(min(n_rows, 2 * n_classes)) % n_classes
    return np.array([f"class {c}" for c in range(n_classes)])[y] if kind is str else y


def weights(n_rows=N_ROWS, n_classes=N_CLASSES, *, kind=int):
    return partial(class_balanced_sample_weight, labels(n_rows, n_classes, kind=kind), beta=0.999)


def stream(n_rows=N_ROWS, n_classes=N_CLASSES, *, kind=int):
    chunks = np.array_split(labels(n_rows, n_classes, kind=kind), n_rows // 100_000)

    def run():
        weigher = ClassBalancedWeigher()
        for chunk in chunks:
            weigher.partial_fit(None, chunk)

    return run


def until_first_batch(n_rows=N_ROWS, n_classes=N_CLASSES, *, kind=int):
    X, y = np.zeros((n_rows, 1), dtype=np.float32), labels(n_rows, n_classes, kind=kind)
    net = CBNeuralNetClassifier(Stop, early_stopping=True, random_state=0)

    def run():
        try:
            net.fit(X, y)
        except FirstBatch:
            return
        raise AssertionError("no batch came")

    return run


def step(n_samples=1024, n_classes=N_CLASSES):
    head = FusedLinear(128, n_classes)
    loss = ClassBalancedCrossEntropyLoss(torch.ones(n_classes))
    features, target = torch.randn(n_samples, 128), torch.randint(n_classes, (n_samples,))

    def run():
        head.zero_grad()
        loss(head(features), target).backward()

    return run


def search(n_candidates):
    X, y = load_digits_lt(return_X_y=True)
    net = CBNeuralNetClassifier(max_epochs=5, random_state=0)
    betas = np.linspace(0, 1, n_candidates)
    return partial(StackedGridSearchCV(net, {"beta": betas}, cv=3, refit=False).fit, X / 16, y)


def users_seconds():
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def permutation(n_rows):
    return partial(torch.randperm, n_rows)


COSTS = [
    Cost("weights, integers", "rows", ROWS, weights, LINEAR),
    Cost("weights, strings", "rows", ROWS, partial(weights, kind=str), LINEAR),
    Cost("a stream of chunks, integers", "rows", ROWS, stream, LINEAR),
    Cost("a stream of chunks, strings", "rows", ROWS, partial(stream, kind=str), LINEAR),
    Cost("a fit until its first batch", "rows", ROWS, until_first_batch, LINEAR),
    Cost("the same, strings", "rows", ROWS, partial(until_first_batch, kind=str), LINEAR),
    Cost("torch.randperm, to compare", "rows", ROWS, permutation, None),
    Cost("weights, integers", "classes", CLASSES, partial(weights, N_ROWS), FLAT),
    Cost("weights, strings", "classes", CLASSES, partial(weights, N_ROWS, kind=str), FLAT),
    Cost(
        "a fit until its first batch", "classes", CLASSES, partial(until_first_batch, N_ROWS), 0.2
    ),
    Cost(
        "head, loss and gradient",
        "classes",
        (10_000, 30_000, 100_000),
        partial(step, 1024),
        LINEAR,
    ),
    Cost(
        "head, loss and gradient",
        "rows of a batch",
        (256, 1024, 4096),
        partial(step, n_classes=30_000),
        LINEAR,
    ),
    Cost("a stacked search", "candidates", (8, 16, 32), search, LINEAR),
]


def print_line(name, grows_with, sizes, values, limit):
    """Print how a cost grows; return whether it grows faster than it may."""
    exponent = math.log(values[-1] / values[-2]) / math.log(sizes[-1] / sizes[-2])
    is_met = limit is None or exponent <= limit
    verdict = "" if limit is None else f" <= {limit}  {'met' if is_met else 'MISSED'}"
    shown = ", ".join(f"{size:,}" for size in sizes)
    times = ", ".join(f"{value / values[0]:.3g}" for value in values)
    line = f"{name:<30}{grows_with:<16}{shown:<36}{times:<18}{exponent:>5.2f}{verdict}"
    print(line, flush=True)
    return not is_met


def print_ranks():
    """Print what one rank of several does, of the same rows; return whether a target is missed."""
    found = {n: [ranks.launched("--growing", n) for _ in range(3)] for n in RANKS}
    seconds = [statistics.median(second for second, _ in found[n]) for n in RANKS]
    n_bytes = [found[n][0][1] for n in RANKS]
    print_line("a rank's part of an epoch", "ranks", RANKS, seconds, None)
    return print_line("gradients it averages", "ranks", RANKS[1:], n_bytes[1:], FLAT)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    use_threads(1)
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch", "scikit-learn"))
    print(f"Python {platform.python_version()}, {packages}; 1 thread")
    print(f"rows: of {N_CLASSES:,} classes; classes: {N_ROWS:,} rows\n")
    print(f"{'cost':<30}{'with':<16}{'sizes':<36}{'time':<18}exponent")
    missed = False
    for cost in COSTS:
        sides = {size: cost.of_size(size) for size in cost.sizes}
        seconds = list(medians_of(sides, arguments.rounds, clock=users_seconds).values())
        missed |= print_line(cost.name, cost.grows_with, cost.sizes, seconds, cost.exponent)
    missed |= print_ranks()
    if arguments.check and missed:
        sys.exit("a cost grows faster than it may")


if __name__ == "__main__":
    main()
