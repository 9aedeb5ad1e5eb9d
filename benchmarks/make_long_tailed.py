"""Time make_long_tailed beside imbalanced-learn's make_imbalance, for the same class counts.

Run as `python benchmarks/make_long_tailed.py`; `--check` exits 1 if a target is missed. Both sides
get the same data in turn, after one warm-up each, and must draw the same number of each class.
"""

import argparse
import platform
import statistics
import sys
import time
from importlib.metadata import version

import numpy as np
from imblearn.datasets import make_imbalance

from sk_cbloss import long_tailed_strategy, make_long_tailed

N_SAMPLES, N_FEATURES, REPEATS = 1_000_000, 10, 9
TARGETS = {10: 7, 1000: 15}  # times faster, by number of classes


def ours(X, y, strategy):
    return make_long_tailed(X, y, random_state=0)


def peer(X, y, strategy):
    return make_imbalance(X, y, sampling_strategy=strategy, random_state=0)


def seconds(function, *data):
    start = time.perf_counter()
    function(*data)
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    arguments = parser.parse_args()
    packages = ", ".join(f"{name} {version(name)}" for name in ("imbalanced-learn", "numpy"))
    print(f"Python {platform.python_version()}, {packages}; {N_SAMPLES:.0e} x {N_FEATURES}")
    print("times faster than make_imbalance        ratio  target")
    missed = False
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_SAMPLES, N_FEATURES))
    for n_classes, target in TARGETS.items():
        y = rng.integers(n_classes, size=N_SAMPLES)
        data = X, y, long_tailed_strategy(y)
        counts = [np.bincount(function(*data)[1]) for function in (ours, peer)]  # the warm-up
        np.testing.assert_array_equal(*counts)
        pairs = [(seconds(peer, *data), seconds(ours, *data)) for _ in range(REPEATS)]
        ratio = statistics.median(theirs / own for theirs, own in pairs)
        missed |= ratio < target
        verdict = "met" if ratio >= target else "MISSED"
        print(f"  {n_classes:>4} classes{ratio:>32.1f}{target:>8}  {verdict}")
    if arguments.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
