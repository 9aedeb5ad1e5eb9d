"""Time labels that do not fit: streams of integers and strings, many classes, and dask's blocks.

Run as `python benchmarks/labels.py`; `--check` exits 1 if a target is missed. What is promised is
in seconds, millions of labels a second and MB, so these are printed, beside the ratio to what one
would write by hand, in the same run. Seconds are the processor's, medians; chunks are made before.
Memory is the peak of a process of its own, above what it held before. Needs pandas, pyarrow, dask.
"""

import argparse
import multiprocessing
import platform
import re
import statistics
import sys
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pyarrow as pa

from sk_cbloss import ClassBalancedWeigher

N_CHUNK = 10**6
N_CLASSES = 1000


def integers(n=N_CHUNK, n_classes=N_CLASSES, seed=0):
    return np.random.default_rng(seed).integers(n_classes, size=n)


def strings(n=N_CHUNK, n_classes=N_CLASSES):
    names = np.array([f"class {i}" for i in range(n_classes)])
    return names[integers(n, n_classes)]


KINDS = {
    "fixed-width": lambda y: y,
    "objects, 1000 of them": lambda y: np.unique(y).astype(object)[integers(len(y))],
    "objects, each its own": lambda y: y.astype(object),
    "pandas": pd.Series,
    "pandas Categorical": pd.Categorical,
    "pyarrow": lambda y: pa.array(y.tolist()),
    "pyarrow dictionary": lambda y: pa.array(y.tolist()).dictionary_encode(),
}


def seconds(run):
    start = time.process_time()
    run()
    return time.process_time() - start


def both(ours, peer, repeats):
    """Return our median seconds, and how many times those the peer takes, in turn and warm."""
    ours(), peer()
    pairs = [(seconds(ours), seconds(peer)) for _ in range(repeats)]
    return statistics.median(a for a, _ in pairs), statistics.median(b / a for a, b in pairs)


# ---------------------------------------------------------------------- streams


def stream(n_chunks, chunk):
    weigher = ClassBalancedWeigher()
    for _ in range(n_chunks):
        weigher.partial_fit(None, chunk)
    return weigher


def count_by_hand(n_chunks, chunk):
    total = Counter()
    for _ in range(n_chunks):
        classes, count = np.unique(np.asarray(chunk), return_counts=True)
        total.update(dict(zip(classes.tolist(), count.tolist(), strict=True)))
    return total


# ---------------------------------------------------------------------- many classes


def known(n_classes):
    names = np.array([f"class {i}" for i in range(n_classes)])
    return ClassBalancedWeigher().fit(None, names), names[integers(1000, n_classes)]


def look_up_by_hand(weigher, chunk):
    places = {label: place for place, label in enumerate(weigher.classes_.tolist())}
    return weigher.class_weight_[[places[label] for label in chunk.tolist()]]


# ---------------------------------------------------------------------- memory


def stream_of(n):
    chunk = integers()
    return peak_above(lambda: stream(n // N_CHUNK, chunk))


def blocks_of(n, n_features=0):
    """Return the labels, and perhaps features, as blocks that are made when they are read."""
    rng = da.random.default_rng(0)
    y = rng.integers(N_CLASSES, size=n, chunks=N_CHUNK)
    return rng.random((n, n_features), chunks=(N_CHUNK, -1)) if n_features else None, y


def dask_of(n):
    X, y = blocks_of(n, 20)  # of 160 bytes a row, none of which is read
    with dask.config.set(scheduler="threads", num_workers=2):
        return peak_above(lambda: ClassBalancedWeigher().fit(X, y).transform(X))


def loaded_dask_of(n):
    _, y = blocks_of(n)
    with dask.config.set(scheduler="threads", num_workers=2):
        return peak_above(lambda: ClassBalancedWeigher().fit(None, y.compute()))


def peak_above(run):
    """Return the MB that a call holds at most, above what is held before (on Linux)."""
    status = Path("/proc/self/status")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]
    run()
    return (int(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1]) - int(before)) / 1024


def in_a_process(function, *arguments):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


# ---------------------------------------------------------------------- table


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--samples", type=int, default=10**9, help="integers; others get less")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    n, repeats = arguments.samples, arguments.repeats
    missed = 0

    def line(name, value, unit, target=None, *, met=True, ratio=None):
        nonlocal missed
        missed += not met
        beside = f"{ratio:>8.1f}" if ratio else " " * 8
        verdict = f"{target:>8}  {'met' if met else 'MISSED'}" if target is not None else ""
        print(f"  {name:<38}{value:>9.2f} {unit:<5}{beside}{verdict}".rstrip(), flush=True)

    packages = ("numpy", "pandas", "pyarrow", "dask")
    packages = ", ".join(f"{name} {version(name)}" for name in packages)
    print(f"Python {platform.python_version()}, {packages}; {n:.0e} labels")

    def heading(text, peer):
        print(f"{text:<40}{'ours':>15}{'ratio':>8}{'target':>8}   ratio to: {peer}")

    heading(f"a stream of integers, chunks of {N_CHUNK:.0e}", "np.unique and a Counter")
    chunk, few = integers(), max(2, n // N_CHUNK // 100)
    assert count_by_hand(3, chunk) == dict(enumerate(stream(3, chunk).class_count_.tolist()))
    took = seconds(lambda: stream(n // N_CHUNK, chunk))
    _, ratio = both(lambda: stream(few, chunk), lambda: count_by_hand(few, chunk), repeats)
    limit = 5 * n / 1e9
    line("time", took, "s", limit, met=took <= limit, ratio=ratio)
    took = in_a_process(stream_of, n)
    line("peak above the chunk", took, "MB", 100, met=took <= 100)

    heading(f"strings, {N_CLASSES} classes, a chunk", "np.unique and a Counter")
    for name, make in KINDS.items():
        y = make(strings())
        weigher = stream(1, y)
        time_, ratio = both(lambda y=y: stream(1, y), lambda y=y: count_by_hand(1, y), 3)
        speed = N_CHUNK / time_ / 1e6
        line(f"{name}, counted", speed, "M/s", 15, met=speed >= 15, ratio=ratio)
        weigh = [seconds(lambda w=weigher, y=y: w.sample_weight(y)) for _ in range(repeats)]
        speed = N_CHUNK / statistics.median(weigh) / 1e6
        line(f"{name}, weighed", speed, "M/s", 15, met=speed >= 15)

    heading("1,000 rows, where many strings are known", "a dictionary, made at each call")
    for n_classes in (10**3, 10**4, 10**5, 10**6):
        weigher, chunk = known(n_classes)
        expected = look_up_by_hand(weigher, chunk)
        np.testing.assert_array_equal(weigher.sample_weight(chunk), expected)
        time_, ratio = both(
            lambda w=weigher, y=chunk: w.sample_weight(y),
            lambda w=weigher, y=chunk: look_up_by_hand(w, y),
            repeats,
        )
        target = 3 if n_classes == 10**5 else None
        line(
            f"{n_classes:,} classes, weighed",
            time_ * 1e3,
            "ms",
            target,
            ratio=ratio,
            met=target is None or time_ * 1e3 <= target,
        )
        took = [seconds(lambda w=weigher, y=chunk: w.partial_fit(None, y)) for _ in range(repeats)]
        took = statistics.median(took) * 1e3
        line(
            f"{n_classes:,} classes, counted",
            took,
            "ms",
            target,
            met=target is None or took <= target,
        )

    print("dask, blocks of 1e6 labels and of 1e6 rows of 160 bytes")
    for n_dask in (n // 100, n // 20):
        took, loaded = in_a_process(dask_of, n_dask), in_a_process(loaded_dask_of, n_dask)
        line(f"{n_dask:.0e} labels, peak", took, "MB", 100, met=took <= 100)
        line(f"{n_dask:.0e} labels, loaded", loaded, "MB")
    if arguments.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
