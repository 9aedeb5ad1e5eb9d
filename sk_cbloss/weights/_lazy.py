"""Labels wherever they lie: those of dask's collections are never loaded as a whole.

They are counted in one pass, and weighted when the weights are computed. dask is not imported:
who has a collection of its, has it.
"""

import reprlib
import sys
from numbers import Real

import numpy as np

from sk_cbloss._validation import check_sample_weight
from sk_cbloss.weights._tally import (
    Tally,
    own_of_chunk,
    tally_in_memory,
    tally_of_chunk,
    weights_in_memory,
)

# Tallies that are added at a time, so that few are held and none waits for all.
FAN_IN = 16
# Of a Series of weights.
NAME = "sample_weight"


def is_lazy(values):
    """Whether values are a collection of dask's, not to be loaded as a whole."""
    dask = sys.modules.get("dask")
    return dask is not None and dask.is_dask_collection(values)


def tally_of(y, sample_weight=None):
    """Return the Tally of labels; of dask's, no more are held than are worked on."""
    if not is_lazy(y):
        return tally_in_memory(y, sample_weight)
    y = _column(y, "y")
    meta = np.empty(0, dtype=object) if _is_array(y) else (None, object)
    tallies = _by_chunk(tally_of_chunk, y, _cut_as(y, sample_weight), dtype=object, meta=meta)
    parts = np.ravel(tallies.to_delayed()).tolist()
    add = sys.modules["dask"].delayed(_total)
    while len(parts) > 1:
        parts = [add(parts[start : start + FAN_IN]) for start in range(0, len(parts), FAN_IN)]
    return parts[0].compute()


def weights_of(y, classes, class_weight, sample_weight=None):
    """Return the weight of each label, that of its class.

    Parameters
    ----------
    y : array-like of shape (n_samples,), or a collection of dask
        Class labels.
    classes : ndarray of shape (n_classes,)
        The known classes, sorted.
    class_weight : ndarray of shape (n_classes,)
        Their weights, of the type that is wanted.
    sample_weight : array-like of shape (n_samples,), such a collection, number or None
        Weights to multiply by.

    Returns
    -------
    ndarray of shape (n_samples,), or dask Array or Series
        Weights, of dask's labels in a collection that is cut as these are.
    """
    if not is_lazy(y):
        weight = weights_in_memory(y, classes, class_weight)
        if sample_weight is not None:
            weight *= check_sample_weight(sample_weight, len(weight))
        return weight
    y = _column(y, "y")
    known = sys.modules["dask"].delayed((classes, class_weight))  # sent once, not with each chunk
    dtype = class_weight.dtype
    meta = np.empty(0, dtype) if _is_array(y) else (NAME, dtype)
    return _by_chunk(
        _weights_of_chunk, y, _cut_as(y, sample_weight), known, dtype=dtype, meta=meta
    )


def _total(tallies):
    return sum(tallies, start=Tally(np.empty(0), np.empty(0), 0))


def _weights_of_chunk(y, sample_weight, known):
    weight = weights_in_memory(y, *known)
    if sample_weight is not None:
        weight *= own_of_chunk(sample_weight, len(weight))
    return type(y)(weight, index=y.index, name=NAME) if hasattr(y, "index") else weight


def _by_chunk(function, y, *others, dtype, meta):
    """Return what a function makes of each chunk, by the places of rows, not by their index."""
    if _is_array(y):
        return y.map_blocks(function, *others, dtype=dtype, meta=meta)
    return y.map_partitions(
        function, *others, meta=meta, enforce_metadata=False, align_dataframes=False
    )


def _is_array(values):
    return hasattr(values, "map_blocks")


def _column(values, name):
    """Return a collection with an axis for the samples alone."""
    if hasattr(type(values), "to_series"):  # an Index; of a Delayed, each instance has any name
        return values.to_series()
    if hasattr(type(values), "map_blocks") or hasattr(type(values), "map_partitions"):
        n_axes = getattr(values, "ndim", None)  # None of a Bag
        if n_axes == 1:
            return values
        if n_axes == 2 and values.shape[1] == 1:
            return values[:, 0] if _is_array(values) else values[values.columns[0]]
        if n_axes is not None:
            raise ValueError(
                f"{name} must have one axis, or one column, got a dask {type(values).__name__} of "
                f"{f'{values.shape[1]} columns' if n_axes == 2 else f'{n_axes} axes'}."
            )
    raise ValueError(
        f"{name} must be a dask Array, a Series or a DataFrame of one column, got a dask "
        f"{type(values).__name__}."
    )


def _cut_as(y, sample_weight):
    """Return weights that are cut as labels are, a number, or None."""
    if sample_weight is None or isinstance(sample_weight, Real):
        return sample_weight
    if not is_lazy(sample_weight):
        raise _not_as(y, reprlib.repr(sample_weight))
    weight = _column(sample_weight, NAME)
    if _is_array(weight) != _is_array(y):
        raise _not_as(y, f"a dask {type(sample_weight).__name__}")
    if not _is_array(y):
        if weight.npartitions != y.npartitions:
            raise ValueError(
                f"sample_weight must have the {y.npartitions} partitions of y, with as many rows "
                f"each, got {weight.npartitions} partitions: see repartition."
            )
        return weight
    if weight.chunks == y.chunks:
        return weight
    of_weight, of_y = weight.shape[0], y.shape[0]  # NaN where it is not known
    if of_weight == of_weight and of_y == of_y:
        if of_weight != of_y:
            raise ValueError(
                f"sample_weight must have shape ({of_y},), one weight a sample, got shape "
                f"({of_weight},)."
            )
        return weight.rechunk(y.chunks)
    if weight.numblocks != y.numblocks:
        raise ValueError(
            f"sample_weight must have the {y.numblocks[0]} chunks of y, with as many rows each, "
            f"got {weight.numblocks[0]} chunks: see compute_chunk_sizes and rechunk."
        )
    return weight


def _not_as(y, got):
    kind = type(y).__name__
    return ValueError(f"sample_weight must be a number, or a dask {kind} as y is, got {got}.")
