"""Labels wherever they lie: those of dask's collections are never loaded as a whole.

They are counted in one pass, and weighed when the weights are computed. dask is not imported:
who has a collection of its, has it.
"""

import reprlib
import sys
from numbers import Real

import numpy as np

from sk_cbloss._validation import check_sample_weight
from sk_cbloss.weights._tally import Tally, tally_in_memory, tally_of_chunk, weights_in_memory

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
    y, sample_weight = _column(y, "y"), _cut_as(y, sample_weight)
    if _is_array(y):
        empty = np.empty(0, dtype=object)
        tallies = y.map_blocks(tally_of_chunk, sample_weight, dtype=object, meta=empty)
    else:
        tallies = y.map_partitions(
            tally_of_chunk, sample_weight, meta=(None, object), enforce_metadata=False
        )
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
    y, sample_weight = _column(y, "y"), _cut_as(y, sample_weight)
    known = sys.modules["dask"].delayed((classes, class_weight))  # sent once, not with each chunk
    dtype = class_weight.dtype
    if _is_array(y):
        weight = y.map_blocks(_weights_of_block, known, dtype=dtype, meta=np.empty(0, dtype))
    else:
        weight = y.map_partitions(_weights_of_partition, known, meta=(NAME, dtype))
    return weight if sample_weight is None else (weight * sample_weight).astype(dtype)


def _total(tallies):
    return sum(tallies, start=Tally(np.empty(0), np.empty(0), 0))


def _weights_of_block(y, known):
    return weights_in_memory(y, *known)


def _weights_of_partition(y, known):
    return type(y)(weights_in_memory(y, *known), index=y.index, name=NAME)


def _is_array(values):
    return hasattr(values, "map_blocks")


def _column(values, name):
    """Return a collection with an axis for the samples alone."""
    if hasattr(values, "to_series"):  # an Index
        return values.to_series()
    if _is_array(values) or hasattr(values, "map_partitions"):
        n_axes = getattr(values, "ndim", None)  # None of a Bag
        if n_axes == 1:
            return values
        if n_axes == 2 and values.shape[1] == 1:
            return values[:, 0] if _is_array(values) else values[values.columns[0]]
        if n_axes:
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
    if is_lazy(sample_weight):
        weight, y = _column(sample_weight, "sample_weight"), _column(y, "y")
        if _is_array(weight) == _is_array(y):
            return weight
    kind = type(y).__name__
    got = f"a dask {type(sample_weight).__name__}"
    raise ValueError(
        f"sample_weight must be a number, or a dask {kind} as y is, got "
        f"{got if is_lazy(sample_weight) else reprlib.repr(sample_weight)}."
    )
