"""Data of your own for the study: files, folders of files, and functions.

A CSV file has a row a sample, names of columns in its first line, and the labels in one of them.
Columns of texts become codes; of numbers none may be missing. A .npz file has arrays `X` and `y`,
and perhaps `categorical`, the columns of X that hold codes. A function, `FILE.py:NAME` or
`MODULE:NAME`, is called without arguments, and returns `X, y`: arrays, a frame, or a sparse X.
"""

import hashlib
import importlib
import importlib.util
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

MAX_CODES = 255  # of a column; more are no categories to gradient boosting
KINDS = (".csv", ".npz")


class Own(NamedTuple):
    """A data set by where it comes from."""

    name: str
    source: str
    target: str | None  # the column with the labels; None is the last one

    def __str__(self):
        return self.name


def found(sources, target=None):
    """Return the data sets that paths and names of functions stand for, each by its own name."""
    all_found = []
    for source in sources:
        if Path(source).is_dir():
            files = sorted(path for path in Path(source).iterdir() if path.suffix in KINDS)
            if not files:
                raise ValueError(f"{source} must hold .csv or .npz files, got none.")
            all_found += [Own(path.stem, str(path), target) for path in files]
        elif ":" in source and not Path(source).exists():
            all_found.append(Own(source.rpartition(":")[2], source, target))
        elif Path(source).suffix in KINDS:
            all_found.append(Own(Path(source).stem, source, target))
        else:
            raise ValueError(
                "Data must be a folder, a .csv file, a .npz file, FILE.py:FUNCTION or "
                f"MODULE:FUNCTION, got {source!r}."
            )
    names = [own.name for own in all_found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"Data sets must have names of their own, got two named {twice[0]!r}.")
    return all_found


def read(own):
    """Return features, labels and the columns that hold codes."""
    if own.source.endswith(".npz"):
        with np.load(own.source) as file:
            missing = {"X", "y"} - set(file)
            if missing:
                raise ValueError(
                    f"{own.source} must have arrays X and y, got {', '.join(file) or 'none'}."
                )
            categorical = file["categorical"].tolist() if "categorical" in file else []
            X, y = file["X"], file["y"]
    elif own.source.endswith(".csv"):
        X, y, categorical = *_of_csv(own), None
    else:
        X, y = _function(own.source)()
        categorical = None
    if hasattr(X, "columns"):
        X, categorical = _of_frame(X, own.name)
    X = sp.csr_array(X) if sp.issparse(X) else np.asarray(X)
    if X.ndim != 2 or X.dtype.kind not in "biuf":
        raise ValueError(
            f"{own.name} must have features that are numbers, in two dimensions, got {X.dtype} of "
            f"shape {X.shape}."
        )
    values = X.data if sp.issparse(X) else X
    if not np.isfinite(values).all():
        raise ValueError(f"{own.name} must have features that are finite, got NaN or inf.")
    if len(y) != X.shape[0]:
        raise ValueError(f"{own.name} must have a label a row, got {len(y)} for {X.shape[0]}.")
    return X.astype(np.float64), np.asarray(y), categorical or []


def digest(data):
    """Return a name for what a data set holds, so that results of other data are told apart."""
    X, y = data.X, data.y
    arrays = (X.data, X.indices, X.indptr, y) if sp.issparse(X) else (X, y)
    found = hashlib.sha256()
    for array in arrays:
        found.update(np.ascontiguousarray(array))
    return found.hexdigest()[:12]


def _of_csv(own):
    import pandas as pd

    table = pd.read_csv(own.source)
    target = table.columns[-1] if own.target is None else own.target
    if target not in table:
        raise ValueError(
            f"{own.source} must have the column {target!r} with the labels, got "
            f"{', '.join(map(str, table.columns))}."
        )
    y = table.pop(target)
    if y.isna().any():
        raise ValueError(f"{own.source} must have a label in each row, got none in some.")
    return table, y.to_numpy()


def _of_frame(table, name):
    """Return numbers, codes in the place of texts, and the columns that hold codes."""
    columns, categorical = [], []
    for place, (label, column) in enumerate(table.items()):
        if column.dtype.kind in "biuf":
            numbers = column.to_numpy(np.float64)
            if np.isnan(numbers).any():
                raise ValueError(
                    f"{name} must have all numbers of the column {label!r}, got missing ones: "
                    "fill them, or leave it out."
                )
        else:
            numbers = column.astype(str).astype("category").cat.codes.to_numpy(np.float64)
            categorical.append(place)
            if (n_codes := len(np.unique(numbers))) > MAX_CODES:
                raise ValueError(
                    f"{name} must have at most {MAX_CODES} different values in the column "
                    f"{label!r}, which holds no numbers, got {n_codes}: make numbers of them, "
                    "as of dates, or leave it out."
                )
        columns.append(numbers)
    return np.column_stack(columns), categorical


@cache
def _function(source):
    place, _, name = source.rpartition(":")
    if place.endswith(".py"):
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        module = importlib.import_module(place)
    if not callable(getattr(module, name, None)):
        raise ValueError(f"{place} must have a function {name!r}, got none.")
    return getattr(module, name)
