"""Features as the net takes them: arrays, sparse matrices, frames, dicts and lists of arrays."""

from collections.abc import Mapping
from numbers import Number
from os import PathLike

import numpy as np
import scipy.sparse
import torch
from sklearn.utils import assert_all_finite, check_consistent_length
from sklearn.utils.validation import validate_data
from torch.utils.data import DataLoader

from sk_cbloss._validation import as_numpy
from sk_cbloss.neural_net.data._arrays import (
    ArrayDataset,
    Rows,
    Uncast,
    is_to_be_cast_by_rows,
)
from sk_cbloss.weights import is_lazy

# Sample weights travel with the features, so that splitting, shuffling and batching keep them
# together; features that are a single array then stand under the second key.
SAMPLE_WEIGHT = "sk_cbloss.sample_weight"
ARRAY = "sk_cbloss.array"
NUMPYS = torch.float16, torch.float32, torch.float64
CHECKED = 2**22  # bytes of rows that are looked at together


def is_multi_input(X):
    """Whether X is several arrays: a dict, or a list of arrays of two or more dimensions."""
    if scipy.sparse.issparse(X):  # a DOK matrix is a dict
        return False
    if isinstance(X, Mapping):
        return True
    return isinstance(X, list | tuple) and bool(X) and all(getattr(x, "ndim", 0) > 1 for x in X)


def loaded(X):
    """Return features in memory, if they or some of them are a collection of dask's."""
    if is_lazy(X):
        return X.compute()
    if not is_multi_input(X):
        return X
    named = X if isinstance(X, Mapping) else dict(enumerate(X))
    if not any(map(is_lazy, named.values())):
        return X
    named = {name: loaded(part) for name, part in named.items()}
    return named if isinstance(X, Mapping) else list(named.values())


def n_samples_of(X):
    """Return the number of rows."""
    if is_multi_input(X):
        if not X:
            raise ValueError("X must hold at least one array, got {}.")
        X = next(iter(X.values())) if isinstance(X, Mapping) else X[0]
    if _are_pairs(X):
        raise ValueError(
            "X must be an array, a dict or list of arrays, or a Dataset, got a list of pairs, "
            "which a search makes of a Dataset that it cuts: search with X, y = "
            "sk_cbloss.neural_net.features_and_labels(dataset)."
        )
    shape = X.shape if hasattr(X, "shape") else np.asarray(X).shape
    if not shape:
        remedy = ": pass its dataset, and set batch_size and iterator_train__*"
        raise ValueError(
            "X must be an array, a dict or list of arrays, or a Dataset, got "
            f"{type(X).__name__}{remedy if isinstance(X, DataLoader) else ''}."
        )
    return shape[0]


def _are_pairs(X):
    """Whether X is a list of what a Dataset yields."""
    if not isinstance(X, list) or not X or not isinstance(X[0], tuple) or len(X[0]) != 2:
        return False
    features, target = X[0]
    shape = np.shape(as_numpy(target))
    is_target = not shape or (len(shape) == 1 and shape != np.shape(as_numpy(features)))
    return (
        is_target
        and not isinstance(features, Number)
        and (isinstance(features, Mapping) or getattr(features, "ndim", 1) > 0)
        and not isinstance(features, str)
    )


def check_features(net, X, *, dtype, reset):
    """Return features in the net's dtype, checked as scikit-learn does."""
    if isinstance(X, Rows):  # checked already, for all the nets that share them
        vars(net).update(X.learned)
        return X
    if isinstance(X, list | tuple) and X and isinstance(X[0], str | PathLike):
        raise ValueError(
            f"X must hold numbers, got {str(X[0])!r}: texts are to be encoded first, and images "
            "on disk are a sk_cbloss.LongTailedImages(paths)."
        )
    if is_multi_input(X):
        if reset:  # sizes of an earlier fit to an array
            vars(net).pop("n_features_in_", None)
            vars(net).pop("feature_names_in_", None)
        named = X.items() if isinstance(X, Mapping) else enumerate(X)
        arrays = {name: _cast(net, name, value, dtype) for name, value in named}
        check_consistent_length(*arrays.values())
        return arrays if isinstance(X, Mapping) else list(arrays.values())
    X = _in_numpy(X.array if isinstance(X, Uncast) else X)
    _check_no_dates(X)
    by_rows = net.dataset is ArrayDataset and is_to_be_cast_by_rows(X, dtype)
    try:
        checked = validate_data(
            net,
            X,
            reset=reset,
            dtype=None if by_rows else dtype,
            ensure_all_finite=not by_rows,
            accept_sparse="csr",
            allow_nd=True,
        )
        return _uncast(net, "X", checked, dtype) if by_rows else checked
    except (TypeError, ValueError):
        text = _text_columns(X)
        if not text:
            raise
        raise ValueError(
            f"X must hold numbers, got text in column {', '.join(map(repr, text))}. Encode it "
            f"first: make_column_transformer((OneHotEncoder(), {text!r}), "
            "remainder='passthrough') before the net in a Pipeline."
        ) from None


def _cast(net, name, value, dtype):
    if isinstance(value, Uncast):  # it was checked, and may hold integers that are to be cast
        return Uncast(value.array, dtype)
    value = _in_numpy(value)
    value = value.tocsr() if scipy.sparse.issparse(value) else np.asarray(value)
    if name != SAMPLE_WEIGHT:
        if value.dtype.kind not in "biuf":
            raise ValueError(f"X[{name!r}] must hold numbers, got an array of {value.dtype}.")
        is_float = value.dtype.kind == "f"
        if is_float and net.dataset is ArrayDataset and is_to_be_cast_by_rows(value, dtype):
            return _uncast(net, f"X[{name!r}]", value, dtype)
        assert_all_finite(value, estimator_name=type(net).__name__, input_name=f"X[{name!r}]")
    # Integers stay what they are: an embedding looks them up.
    return value.astype(dtype, copy=False) if value.dtype.kind == "f" else value


def _in_numpy(values):
    """Return a tensor as an array, in its own type where numpy has it; anything else as it is."""
    if not isinstance(values, torch.Tensor):
        return as_numpy(values)
    if values.is_floating_point() and values.dtype not in NUMPYS:
        values = values.float()
    return values.numpy(force=True)


def _uncast(net, name, array, dtype):
    """Return an array whose rows will be cast, and are finite then."""
    if array.dtype.kind == "f":
        n_rows = max(1, CHECKED * len(array) // max(1, array.nbytes))
        for start in range(0, len(array), n_rows):
            with np.errstate(over="ignore"):
                part = array[start : start + n_rows].astype(dtype)
            assert_all_finite(part, estimator_name=type(net).__name__, input_name=name)
    return Uncast(array, dtype)


def _check_no_dates(X):
    """Raise ValueError for dates and times: as numbers, they would count days or nanoseconds."""
    if hasattr(X, "columns"):
        is_table = hasattr(X, "schema") and hasattr(X, "column_names")  # pyarrow's
        names, types = (X.column_names, X.schema.types) if is_table else (X.columns, X.dtypes)
        columns = zip(names, types, strict=True)
        dtypes = {f"column {name!r}": dtype for name, dtype in columns}
    else:
        dtypes = {"an array": getattr(X, "dtype", None)}
    for where, dtype in dtypes.items():
        if str(dtype).lower().startswith(("date", "time", "duration", "period")):
            raise ValueError(
                f"X must hold numbers, got {dtype} in {where}. Make numbers of it first, such as "
                "days since a day, or year, month and weekday."
            )


def _text_columns(X):
    """Return the names of a DataFrame's columns that hold no numbers."""
    names = []
    for name in getattr(X, "columns", ()):
        try:
            np.asarray(X[name], dtype=np.float64)
        except (TypeError, ValueError):
            names.append(name)
    return names


def with_sample_weight(X, sample_weight):
    """Return features that carry their samples' weights."""
    if isinstance(X, Mapping):
        return {**X, SAMPLE_WEIGHT: sample_weight}
    return {ARRAY: X, SAMPLE_WEIGHT: sample_weight}


def split_sample_weight(X):
    """Return a batch's features and its sample weights, or None without."""
    if not isinstance(X, dict) or SAMPLE_WEIGHT not in X:
        return X, None
    if ARRAY in X:
        return X[ARRAY], X[SAMPLE_WEIGHT]
    rest = {name: value for name, value in X.items() if name != SAMPLE_WEIGHT}
    return rest, X[SAMPLE_WEIGHT]
