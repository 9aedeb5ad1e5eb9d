"""Time class_balanced_sample_weight beside scikit-learn's compute_sample_weight("balanced", y).

Run as `python benchmarks/sample_weight.py`; `--check` exits 1 if a target is missed. Both sides
get the same labels in turn, after one warm-up each, and must agree to 1e-12. Needs pandas.
"""

import argparse
import platform
import statistics
import sys
import time
import tracemalloc
from importlib.metadata import version

import numpy as np
import pandas  # noqa: F401  (object labels are read faster where it is loaded)
from sklearn.utils.class_weight import compute_sample_weight

from sk_cbloss import class_balanced_sample_weight


def ours(y):
    return class_balanced_sample_weight(y, beta=1)


def peer(y):
    return compute_sample_weight("balanced", y)


def seconds(function, y):
    start = time.perf_counter()
    function(y)
    return time.perf_counter() - start


def ratio(y, repeats):
    """Return how many times faster than the peer we are: the median over alternating pairs."""
    np.testing.assert_allclose(ours(y), peer(y), rtol=1e-12)  # and the warm-up
    return statistics.median(seconds(peer, y) / seconds(ours, y) for _ in range(repeats))


def peak_bytes(y):
    """Return the peak of allocated memory beyond y, an element."""
    tracemalloc.start()
    ours(y)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak / len(y)


def labels(n):
    rng = np.random.default_rng(0)
    few, many = rng.integers(10, size=n), rng.integers(1000, size=n)
    names = np.array([f"class {i}" for i in range(1000)])
    tenth = slice(n // 10)  # strings are slow on both sides
    return {
        "int64, 10 classes": (few, 25, 9),
        "int64, 1000 classes": (many, 50, 9),
        "int64, 10 classes from -5": (few - 5, None, 9),
        "int64, 1000 scattered": (rng.integers(2**62, size=1000)[many], None, 9),
        "int8, 10 classes": (few.astype(np.int8), None, 9),
        "fixed-width strings, 10 classes": (names[few[tenth]], 3, None),
        "fixed-width strings, 1000 classes": (names[many[tenth]], 3, None),
        "object strings, 10 classes": (names.astype(object)[few[tenth]], 25, None),
        "object strings, 1000 classes": (names.astype(object)[many[tenth]], 25, None),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--samples", type=int, default=10**7, help="labels; strings get a tenth")
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    missed = 0

    def verdict(value, target, met):
        nonlocal missed
        if target is None:
            return ""
        missed += not met
        return f"{target:>6}  {'met' if met else 'MISSED'}"

    packages = ", ".join(f"{name} {version(name)}" for name in ("scikit-learn", "numpy", "pandas"))
    print(f"Python {platform.python_version()}, {packages}; {arguments.samples:.0e} labels")
    print(f"{'times faster than scikit-learn':<38}{'ratio':>8}{'target':>8}")
    kinds = labels(arguments.samples)
    for name, (y, target, _) in kinds.items():
        value = ratio(y, arguments.repeats)
        print(f"  {name:<36}{value:>8.1f}  {verdict(value, target, value >= (target or 0))}")
    print(f"{'peak memory, bytes an element':<38}{'bytes':>8}{'target':>8}")
    for name, (y, _, target) in kinds.items():
        value = peak_bytes(y)
        print(f"  {name:<36}{value:>8.2f}  {verdict(value, target, value <= (target or np.inf))}")
    if arguments.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
