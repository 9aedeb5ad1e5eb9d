"""Several labels a sample, read from a matrix with a column for each label."""

import reprlib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from numbers import Rational

import numpy as np
from scipy.sparse import csr_array, issparse

from sk_cbloss._labels import by_name, counts_by_label
from sk_cbloss._validation import (
    NUMBERS,
    as_numpy,
    check_same_length,
    check_sample_weight,
    refuse_masked,
)

# Entries of a chunk, whose temporaries stay small.
CHUNK = 2**20
KINDS = *NUMBERS, type(None)
# What lists no names, for all that it has a length.
NO_LISTS = str, bytes, Mapping, Set
RULE = "y must hold 0 and 1, a column for each label"
REMEDY = "sets of labels go through sklearn.preprocessing.MultiLabelBinarizer"


@dataclass(frozen=True)
class Indicator:
    """Which samples have which labels.

    Attributes
    ----------
    values : ndarray or csr_array of shape (n_samples, n_labels)
        1 where a sample has a label, 0 where it has not; NaN, of a dense one, where that is not
        known.
    names : ndarray of shape (n_labels,)
        Names of the labels; 0, 1, ... where they have none.
    """

    values: np.ndarray | csr_array
    names: np.ndarray

    def some(self, rows):
        """Return the indicator of some rows."""
        return Indicator(self.values[rows], self.names)

    def dense(self):
        """Return the values as an ndarray, be they sparse or not."""
        return self.values.toarray() if issparse(self.values) else self.values

    def count(self, sample_weight=None):
        """Return how many samples are without and with each label, or the sum of their weights.

        Parameters
        ----------
        sample_weight : ndarray of shape (n_samples,), default=None
            Weights of the samples, >= 0.

        Returns
        -------
        ndarray of shape (n_labels, 2), dtype float64
            Counts. Either side is summed by itself: none is what rounding leaves of the other.
        """
        count = np.zeros((2, len(self.names)))
        weight = np.ones(self.values.shape[0]) if sample_weight is None else sample_weight
        if issparse(self.values):
            with_it = self.values[weight > 0] != 0
            weight = weight[weight > 0]
            count[1] = with_it.T @ weight
            some_without = with_it.sum(axis=0) < len(weight)
            count[0] = np.where(some_without, np.maximum(weight.sum() - count[1], 0), 0)
        else:
            for rows in self._chunks():
                chunk, of_rows = self.values[rows], weight[rows]
                for side in (0, 1):
                    count[side] += of_rows @ (chunk == side)
        return count.T.copy()

    def gather(self, of_label):
        """Return for each sample what the side of each label has, such as a weight.

        Parameters
        ----------
        of_label : ndarray of shape (n_labels, 2)
            Of those without and with each label.

        Returns
        -------
        ndarray of shape (n_samples, n_labels)
            It; 0 where it is not known whether the sample has the label.
        """
        gathered = np.zeros(self.values.shape, dtype=of_label.dtype)
        without, with_it = of_label.T
        if issparse(self.values):
            gathered[:] = without
            row, column = self.values.nonzero()
            gathered[row, column] = with_it[column]
            return gathered
        for rows in self._chunks():
            chunk = self.values[rows]
            np.copyto(gathered[rows], without, where=chunk == 0)
            np.copyto(gathered[rows], with_it, where=chunk == 1)
        return gathered

    def largest(self, of_label):
        """Return for each sample the largest of what its labels have, such as weights.

        Parameters
        ----------
        of_label : ndarray of shape (n_labels,)
            Of each label, >= 0.

        Returns
        -------
        ndarray of shape (n_samples,)
            It; 0 for a sample that has no label, or of which none is known.
        """
        largest = np.zeros(self.values.shape[0], dtype=of_label.dtype)
        if issparse(self.values):
            row, column = self.values.nonzero()
            np.maximum.at(largest, row, of_label[column])
            return largest
        for rows in self._chunks():
            largest[rows] = np.where(self.values[rows] == 1, of_label, 0).max(axis=1)
        return largest

    def _chunks(self):
        size = max(1, CHUNK // len(self.names))
        return (slice(start, start + size) for start in range(0, len(self.values), size))


def is_indicator(y):
    """Whether y has a column for each of several labels, or for none; one column holds labels."""
    if isinstance(y, list | tuple):
        n_labels = _n_labels(y[0]) if len(y) else None
        return n_labels not in (None, 1) and all(_n_labels(row) == n_labels for row in y)
    shape = getattr(y, "shape", ())
    return isinstance(shape, tuple) and len(shape) == 2 and shape[1] != 1


def _n_labels(row):
    """Return how many labels a row of a list may tell of, None where it is no row."""
    if isinstance(row, list | tuple):
        return len(row)
    return None if issparse(row) else next(iter(getattr(row, "shape", ())), None)


def check_one_label(name, y):
    """Raise a ValueError, of what takes one label a sample and has this name, if y has several."""
    if is_indicator(y):
        n_labels = _n_labels(y[0]) if isinstance(y, list | tuple) else y.shape[1]
        raise ValueError(
            f"{name} takes one label a sample, got y with {n_labels} columns: put it into "
            "scikit-learn's MultiOutputClassifier, OneVsRestClassifier or ClassifierChain."
        )


def counts_by_name(y):
    """Return the number of samples of each class by its label, or with each label by its name."""
    if not is_indicator(y):
        return counts_by_label(y)
    indicator = read_indicator(y)
    return by_name(indicator.names, indicator.count()[:, 1].astype(int))


def read_indicator(y, *, known=None, has_places=False, remedy=REMEDY):
    """Return y, a matrix with a column for each label, as an Indicator.

    Known are the names of labels that its columns must be. Where it has places, labels come second
    and each place of each sample is a sample. The remedy is for other numbers.
    """
    names, y = _names_of(y), without_torch(y)
    values = _sparse(y) if issparse(y) else _dense(y)
    if has_places and values.ndim > 2:
        values = np.moveaxis(values, 1, -1).reshape(-1, values.shape[1])
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"y must have a column for each label, got shape {values.shape}.")
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{RULE}, got values of type {values.dtype}: {REMEDY}.")
    is_sparse = issparse(values)
    _check_numbers(values.data if is_sparse else values, remedy, may_be_nan=not is_sparse)
    names = np.arange(values.shape[1]) if names is None else names
    return Indicator(values, names if known is None else agreed_names(np.asarray(known), names))


def without_torch(y):
    """Return what torch holds, be it the rows of a list, in numpy; in scipy if it is sparse."""
    if isinstance(y, list | tuple):
        return [as_numpy(row) for row in y]
    if hasattr(y, "detach") and str(y.layout) != "torch.strided":
        entries = y.detach().cpu().to_sparse_coo().coalesce()
        if entries.sparse_dim() == y.ndim == 2:
            places = tuple(entries.indices().numpy())
            return csr_array((as_numpy(entries.values()), places), shape=tuple(y.shape))
    return as_numpy(y)


def with_plain_numbers(y):
    """Return a matrix of numbers in types of numpy's, as scikit-learn scores them.

    A sparse one stays sparse, and a frame a frame: of what pandas may miss, of Arrow's, or of
    objects.
    """
    y = without_torch(y)
    if issparse(y):
        return y
    is_frame, values = hasattr(y, "iloc"), np.asarray(y)
    if values.dtype.kind != "O":
        return y if is_frame else values
    values = _numbers(y, values)
    if np.array_equal(values, np.trunc(values)):  # no NaN is among them
        values = values.astype(np.int64)
    return type(y)(values, index=y.index, columns=y.columns) if is_frame else values


def share_of_right_rows(y, predicted, names, sample_weight=None):
    """Return of how many rows all known labels, of these names, are those predicted.

    Rows of which no label is known do not count.
    """
    values = read_indicator(y, known=names).dense()
    check_same_length(len(predicted), len(values))
    is_known = ~np.isnan(values)
    rows = is_known.any(axis=1)
    if not rows.any():
        raise ValueError("y must hold a label that is known, to be scored, got none.")
    weight = np.ones(len(values))
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(values))
    right = ((values == predicted) | ~is_known).all(axis=1)
    return float(np.average(right[rows], weights=check_sample_weight(weight[rows], rows.sum())))


def agreed_names(known, names):
    """Return names of labels, known ones or new, if both may be of the same columns.

    Parameters
    ----------
    known, names : ndarray of shape (n_labels,)
        Names; 0, 1, ... fit any.

    Returns
    -------
    ndarray of shape (n_labels,)
        The names.
    """
    if len(names) != len(known):
        raise ValueError(
            f"y must have a column for each of the {len(known)} known labels, got {len(names)}."
        )
    if _are_positions(names) or _are_positions(known):
        return known if _are_positions(names) else names
    for one, other in zip(known.tolist(), names.tolist(), strict=True):
        if one != other and (one == one or other == other):  # NaN is the name NaN
            raise ValueError(
                "y must have the columns of the known labels, in their order, got "
                f"{other!r} in the place of {one!r}."
            )
    return known


def _are_positions(names):
    return names.dtype.kind == "i" and np.array_equal(names, np.arange(len(names)))


def _names_of(y):
    """Return the names of a frame's or a table's columns; None where they have none."""
    if not hasattr(y, "columns"):
        return None
    # pyarrow's columns are the data.
    return _as_array(list(getattr(y, "column_names", y.columns)), "y")


def listed_names(classes):
    """Return names of labels that are listed beside the data, each once, as an array."""
    names = as_numpy(classes)
    try:
        if hasattr(names, "__len__") and not isinstance(names, NO_LISTS):
            return _as_array(list(names), "classes")
    except TypeError:  # of what is no list, or of lists
        pass
    raise ValueError(f"classes must list a name for each label, got {reprlib.repr(classes)}.")


def _as_array(names, listed):
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{listed} must name each label once, got {twice!r} twice.")
    if all(isinstance(name, str) for name in names):
        return np.array(names, dtype=str)
    if all(isinstance(name, int | np.integer) for name in names):
        return np.array(names, dtype=np.int64)
    return np.fromiter(names, dtype=object)


def _dense(y):
    for part in y if isinstance(y, list | tuple) else (y,):
        refuse_masked(part, "y")
    try:
        values = y.to_numpy() if hasattr(y, "to_numpy") else np.asarray(y)
    except ValueError:  # of rows that differ in length
        raise ValueError(f"{RULE}, got {reprlib.repr(y)}: {REMEDY}.") from None
    if values.dtype.kind == "O":
        values = _numbers(y, values)
    return values


def _check_numbers(values, remedy, *, may_be_nan):
    """Raise a ValueError unless all are 0 or 1."""
    for start in range(0, len(values), 2**13):
        chunk = values[start : start + 2**13]
        wrong = (chunk != 0) & (chunk != 1)
        if may_be_nan:
            wrong &= ~np.isnan(chunk)
        if wrong.any():
            raise ValueError(f"{RULE}, got {chunk[wrong][0].item()!r}: {remedy}.")


def _numbers(y, values):
    """Return objects as numbers, missing ones as NaN."""
    if hasattr(y, "iloc"):
        values = np.where(y.isna(), np.nan, values)  # pandas' own are no numbers
    # numpy makes numbers of texts and dates, too.
    wrong = {kind for kind in set(map(type, values.flat)) if not issubclass(kind, KINDS)}
    if wrong:
        value = next(value for value in values.flat if type(value) in wrong)
        raise ValueError(f"{RULE}, got {reprlib.repr(value)}: {REMEDY}.")
    try:
        return values.astype(np.float64)
    except OverflowError:
        large = next(v for v in values.flat if isinstance(v, Rational) and abs(v) > 1)
        raise ValueError(f"{RULE}, got {reprlib.repr(large)}: {REMEDY}.") from None


def _sparse(y):
    values = csr_array(y)
    if not values.has_canonical_format:
        values = values.copy()  # which may share its memory with y
        values.sum_duplicates()
    return values
