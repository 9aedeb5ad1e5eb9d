"""Measure what rows cost: predictions and images held in memory, and all before the first batch.

Run as `python benchmarks/rows.py`; `--check` exits 1 if a target is missed, `--table memory`
prints one table alone, `--scale 0.1` takes a tenth of the rows. Memory is what the process has
beside files, looked at every millisecond, beyond what it had before the call; time is that of the
processor, on one thread. Both sides of a ratio are run in turn in one process, warm.

- *predictions*: labels, a score and probabilities of the default module. The plain form has the
  logits of all rows, by skorch's `forward`, and does with them what is asked for.
- *images*: an epoch of training on images of bytes, and their prediction. The plain form casts
  all of them first.
- *before the first batch*: `fit` until the module is called. The time of a row, beside that with
  the fewest rows or the fewest classes; and, in the last column, all of it in the time of reading
  the same labels with `read_labels(y).encode()`.
"""

import argparse
import ctypes
import gc
import platform
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from _timing import medians_of, use_threads
from sklearn.metrics import accuracy_score
from torch import nn

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss._labels import read_labels

N_ROWS, N_FEATURES, N_CLASSES = 50_000, 64, 8_142
N_IMAGES = 100_000
STATUS = Path("/proc/self/status")


# ---------------------------------------------------------------------- memory and time


def bytes_in_use():
    """Return the memory of the process that no file stands behind."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


@contextmanager
def watched():
    """Give a list, to which the peak of memory beyond that of the beginning is appended."""
    start, done, peak = bytes_in_use(), threading.Event(), []
    seen = [start]

    def look():
        while not done.wait(0.001):
            seen.append(bytes_in_use())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()
        peak.append(max(*seen, bytes_in_use()) - start)


def peak_of(run):
    """Return the most bytes that a warm call takes with its result, the median of three."""
    run()
    peaks = []
    for _ in range(3):
        give_back()
        with watched() as peak:
            result = run()
        del result
        peaks += peak
    return sorted(peaks)[1]


def give_back():
    """Have the system take back what is free, which would be used again unseen."""
    gc.collect()
    with suppress(AttributeError):  # where there is no glibc
        ctypes.CDLL(None).malloc_trim(0)


class Verdicts:
    """Print what was measured beside its target, and count what is missed."""

    def __init__(self):
        self.n_missed = 0

    def __call__(self, value, target):
        if target is None:
            return ""
        self.n_missed += value > target
        return f"<= {target:g} {'met' if value <= target else 'MISSED'}"


def print_sides(name, ours, plain, n_bytes, targets, verdict, n_rounds):
    """Print the peaks of both sides, in the size of something, and the ratio of their times."""
    peaks = [peak_of(side) / n_bytes for side in (ours, plain)]
    seconds = medians_of({"ours": ours, "plain": plain}, n_rounds, time.process_time)
    ratio = seconds["ours"] / seconds["plain"]
    said = verdict(peaks[0], targets[0]), verdict(ratio, targets[1])
    print(
        f"  {name:30}{peaks[0]:7.2f}{peaks[1]:7.2f}  {said[0]:15}{ratio:6.2f}  {said[1]}".rstrip(),
        flush=True,
    )


# ---------------------------------------------------------------------- the tables


def run_predictions(scale, n_rounds, verdict):
    n_rows = int(N_ROWS * scale)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, N_FEATURES)).astype(np.float32)
    y = rng.integers(0, N_CLASSES, n_rows)
    net = CBNeuralNetClassifier(
        max_epochs=0, classes=range(N_CLASSES), device="cpu", random_state=0
    )
    net.fit(X, y)

    def decided():
        return net.classes_[net.criterion_.decision_function(net.forward(X)).argmax(dim=1)]

    def probabilities():
        return net.criterion_.predict_proba(net.forward(X)).numpy()

    if not (decided() == net.predict(X)).all():
        raise AssertionError("Both sides must decide alike.")
    n_bytes = 4 * n_rows * N_CLASSES
    print(
        f"predictions of {n_rows:,} rows and {N_CLASSES:,} classes; memory in the size of their "
        f"logits, {n_bytes / 2**30:.1f} GiB"
    )
    print(f"  {'':30}{'ours':>7}{'plain':>7}  {'':15}{'time':>6}")
    with tempfile.TemporaryDirectory() as folder:
        shape = n_rows, N_CLASSES
        mapped = np.lib.format.open_memmap(Path(folder) / "out.npy", "w+", np.float32, shape)
        for name, ours, plain, targets in [
            ("predict", lambda: net.predict(X), decided, (0.25, 0.6)),
            (
                "score",
                lambda: net.score(X, y),
                lambda: accuracy_score(y, decided()),
                (0.25, 0.6),
            ),
            ("predict_proba", lambda: net.predict_proba(X), probabilities, (1.1, None)),
            (
                "the same, into a memory map",
                lambda: net.predict_proba(X, out=mapped),
                probabilities,
                (0.1, None),
            ),
        ]:
            print_sides(name, ours, plain, n_bytes, targets, verdict, n_rounds)


class Pooled(nn.Module):
    """Next to nothing, so that the images are all there is."""

    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(48, n_classes)

    def forward(self, x):
        return self.head(nn.functional.avg_pool2d(x, 8).flatten(1))


def run_images(scale, n_rounds, verdict):
    n_rows = int(N_IMAGES * scale)
    rng = np.random.default_rng(0)
    X = rng.integers(0, 256, size=(n_rows, 3, 32, 32), dtype=np.uint8)
    y = np.arange(n_rows) % 10
    net = CBNeuralNetClassifier(
        Pooled, max_epochs=1, lr=1e-4, batch_size=256, device="cpu", random_state=0
    )
    net.fit(X, y)
    plain = CBNeuralNetClassifier(**net.get_params()).fit(X[:5000].astype(np.float32), y[:5000])
    few = CBNeuralNetClassifier(**net.get_params()).fit(X[:5000], y[:5000])
    if not torch.equal(few.module_.head.weight, plain.module_.head.weight):
        raise AssertionError("Both sides must learn the same.")
    print(f"\n{n_rows:,} images of bytes; memory in their size, {X.nbytes / 2**20:.0f} MiB")
    print(f"  {'':30}{'ours':>7}{'plain':>7}  {'':15}{'time':>6}")
    for name, ours, theirs, targets in [
        (
            "an epoch",
            lambda: net.fit(X, y),
            lambda: plain.fit(X.astype(np.float32), y),
            (0.25, 1),
        ),
        (
            "predict",
            lambda: net.predict(X),
            lambda: plain.predict(X.astype(np.float32)),
            (0.25, 1),
        ),
    ]:
        print_sides(name, ours, theirs, X.nbytes, targets, verdict, n_rounds)


class FirstBatch(Exception):
    """All that comes before it is done."""


class Stops(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        raise FirstBatch


def before_first_batch(X, y, early_stopping):
    """Return what goes on with a fit up to the first call of the module."""
    net = CBNeuralNetClassifier(Stops, early_stopping=early_stopping, device="cpu", random_state=0)

    def run():
        try:
            net.fit(X, y)
        except FirstBatch:
            return
        raise AssertionError("The module must be called.")

    return run


def seconds_before(n_rows, n_classes, of_strings, early_stopping, n_rounds):
    """Return the seconds of a row before the first batch, and beside those of reading labels."""
    y = np.random.default_rng(0).permutation(np.arange(n_rows) % n_classes)
    if of_strings:
        y = np.array([f"class {i:05}" for i in range(n_classes)])[y]
    X = np.zeros((n_rows, 2), dtype=np.float32)
    sides = {
        "fit": before_first_batch(X, y, early_stopping),
        "reading": lambda: read_labels(y).encode(),
    }
    seconds = medians_of(sides, n_rounds, time.process_time)
    return seconds["fit"] / n_rows, seconds["fit"] / seconds["reading"]


def run_before(scale, n_rounds, verdict):
    rows = [int(n * scale) for n in (100_000, 300_000, 1_000_000, 3_000_000)]
    classes = [10, 100, 1_000, 20_000]
    growths = {
        "rows": [(n, 1_000) for n in rows],
        "classes": [(int(1_000_000 * scale), n) for n in classes],
    }
    print("\nbefore the first batch; the time of a row beside that of the first column")
    for name, cases in growths.items():
        heads = "".join(f"{n[name == 'classes']:>11,}" for n in cases)
        other = "1,000 classes" if name == "rows" else f"{cases[0][0]:,} rows"
        print(f"  {f'{name}, of {other}':34}{heads}  {'':16}beside reading")
        for labels in ("strings", "integers"):
            for held in ("", ", a tenth held out"):
                measured = [
                    seconds_before(*case, labels == "strings", bool(held), n_rounds)
                    for case in cases
                ]
                shares = [share / measured[0][0] for share, _ in measured]
                cells = "".join(f"{share:11.2f}" for share in shares)
                said = verdict(max(shares), 2.5 if labels == "strings" else None)
                print(f"  {labels + held:34}{cells}  {said:16}{measured[-1][1]:.1f}", flush=True)


TABLES = {"predictions": run_predictions, "images": run_images, "before": run_before}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--table", choices=TABLES)
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of rows")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    use_threads(1)
    names = ("torch", "scikit-learn", "skorch")
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"{packages}, Python {platform.python_version()}, one thread")
    verdict = Verdicts()
    for name in [args.table] if args.table else TABLES:
        TABLES[name](args.scale, args.rounds, verdict)
    if args.check and verdict.n_missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
