"""Labels of any kind, read chunk by chunk as positions in a list of classes."""

import reprlib
import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
from sklearn.utils import assert_all_finite

from sk_cbloss._validation import as_labels

# A chunk's temporaries stay in the processor's cache, and memory stays at the result's.
CHUNK = 2**16
# Integers that span no more than this are counted without sorting them.
SMALL_RANGE = 2**14


@dataclass(frozen=True)
class Labels:
    """Labels and the classes they may belong to, as positions.

    Attributes
    ----------
    values : ndarray of shape (n_samples,)
        The labels, or codes that stand for them.
    classes : ndarray of shape (n_candidates,)
        Candidates in no particular order; some may have no sample (gaps in a
        range of integers).
    positions : callable
        Maps a chunk of values to positions in classes.
    """

    values: np.ndarray
    classes: np.ndarray
    positions: Callable[[np.ndarray], np.ndarray]

    def count(self, sample_weight=None):
        """Return the number of samples, or the sum of their weights, of each candidate."""
        total = np.zeros(len(self.classes), dtype=np.float64 if sample_weight is not None else int)
        for rows in chunks(self.values):
            weight = None if sample_weight is None else sample_weight[rows]
            codes = self.positions(self.values[rows])
            total += np.bincount(codes, weights=weight, minlength=len(total))
        return total.astype(np.float64)

    def gather(self, class_weight):
        """Return the weight of each sample's class."""
        weight = np.empty(len(self.values))
        for rows in chunks(self.values):
            # "clip" skips a bounds check that cannot fail here.
            class_weight.take(self.positions(self.values[rows]), out=weight[rows], mode="clip")
        return weight

    def encode(self):
        """Return the sorted classes, each label's position among them, and their counts.

        Positions are of the smallest integer type, which sorts fastest.
        """
        count = self.count()
        present = np.flatnonzero(count)
        if not present.size:
            raise ValueError("y must hold at least one label, got none.")
        present = present[np.argsort(self.classes[present], kind="stable")]
        rank = np.zeros(len(self.classes), dtype=np.min_scalar_type(len(present)))
        rank[present] = np.arange(len(present))
        position = np.empty(len(self.values), dtype=rank.dtype)
        for rows in chunks(self.values):
            rank.take(self.positions(self.values[rows]), out=position[rows], mode="clip")
        return self.classes[present], position, count[present].astype(np.int64)


def counts_by_label(y):
    """Return the number of samples of each class, by its label, in order."""
    classes, _, count = read_labels(y).encode()
    return dict(zip(classes.tolist(), count.tolist(), strict=True))


def chunks(values):
    """Return the slices that cover values."""
    return (slice(start, start + CHUNK) for start in range(0, len(values), CHUNK))


def read_labels(y):
    """Return y as Labels, whatever holds it and whatever it holds."""
    array = y if hasattr(y, "columns") else getattr(y, "array", y)  # of a pandas Series or Index
    if hasattr(array, "categories") and hasattr(array, "codes"):
        return _from_categories(array)
    y = as_labels(array)
    return _READERS.get(y.dtype.kind, _from_sortable)(y) if len(y) else _from_sortable(y)


def _from_integers(y):
    if y.dtype.kind == "b":
        return Labels(y, np.array([False, True]), lambda chunk: chunk.astype(np.intp))
    low, high = _extremes(y)
    if high - low >= max(SMALL_RANGE, len(y) // 64):
        return _from_sortable(y)
    classes = np.array(range(low, high + 1), dtype=y.dtype)
    if y.dtype == np.intp and low == 0:
        return Labels(y, classes, lambda chunk: chunk)
    if y.dtype.itemsize < 8:  # widen first: a difference of small integers may not fit
        return Labels(y, classes, lambda chunk: np.subtract(chunk, low, dtype=np.intp))
    offset = y.dtype.type(low)
    return Labels(y, classes, lambda chunk: (chunk - offset).astype(np.intp, copy=False))


def _extremes(y):
    low = high = int(y[0]) if len(y) else 0
    for rows in chunks(y):  # both in one go through memory
        low, high = min(low, int(y[rows].min())), max(high, int(y[rows].max()))
    # Classes a little above 0 count as starting there: nothing then needs subtracting.
    return (0 if low > 0 and high < SMALL_RANGE else low), high


def _from_sortable(y):
    classes = np.unique(y)

    def positions(chunk):
        present, inverse = np.unique(chunk, return_inverse=True)
        return classes.searchsorted(present).take(inverse)

    return Labels(y, classes, positions)


def _from_floats(y):
    assert_all_finite(y, input_name="y")
    fractional = y != np.floor(y)
    if fractional.any():
        raise ValueError(
            f"y must hold class labels, got the continuous value {y[fractional][0].item()!r}."
        )
    return _from_sortable(y)


def _from_times(y):
    _check_none_missing(y, np.isnat(y))
    return _from_sortable(y)


def _from_strings(y):
    # Number the strings by a hash of their characters, then check the numbers against them.
    characters = np.ascontiguousarray(y).view(np.uint32 if y.dtype.kind == "U" else np.uint8)
    characters = characters.reshape(len(y), -1)
    factor = np.random.default_rng(0).integers(2**63, size=characters.shape[1], dtype=np.uint64)
    hashed = np.empty(len(y), dtype=np.uint64)
    for rows in chunks(y):
        np.dot(characters[rows].astype(np.uint64), factor * 2 + 1, out=hashed[rows])
    present, codes = np.unique(hashed, return_inverse=True)
    example = np.empty(len(present), dtype=np.intp)
    example[codes] = np.arange(len(y))
    classes = y[example]
    if all((classes[codes[rows]] == y[rows]).all() for rows in chunks(y)):
        return Labels(codes, classes, lambda chunk: chunk)
    return _from_sortable(y)


def _from_objects(y):
    try:
        codes, classes = _numbered(y)
    except TypeError:  # of what has no hash
        several = next((label for label in y if not isinstance(label, Hashable)), y[0])
        raise ValueError(
            f"y must hold one label a sample, got {reprlib.repr(several)}; multi-label targets "
            "are not supported."
        ) from None
    _check_none_missing(y, codes < 0)
    kinds = {"str" if isinstance(c, str) else type(c).__name__ for c in classes.tolist()}
    if "str" in kinds and len(kinds) > 1:
        raise ValueError(f"y must hold labels of one kind, got {' and '.join(sorted(kinds))}.")
    return Labels(codes, classes, lambda chunk: chunk)


def _numbered(y):
    """Return a number for each label, -1 for a missing one, and what they stand for."""
    if pandas := sys.modules.get("pandas"):  # faster than a dict, and no reason to load it
        return pandas.factorize(y)
    values = y.tolist()
    index = {label: code for code, label in enumerate(dict.fromkeys(values))}
    classes = np.empty(len(index), dtype=object)
    classes[:] = list(index)
    index |= {label: -1 for label in index if label is None or label != label}
    return np.fromiter(map(index.__getitem__, values), np.intp, len(values)), classes


def _from_categories(y):
    codes = np.asarray(y.codes)
    _check_none_missing(y, codes < 0)
    return Labels(codes, y.categories.to_numpy(), lambda chunk: chunk.astype(np.intp))


def _check_none_missing(y, missing):
    if missing.any():
        place = missing.argmax()
        raise ValueError(f"y must not have missing labels, got {y[place]!s} at position {place}.")


_READERS = {
    "b": _from_integers,
    "i": _from_integers,
    "u": _from_integers,
    "f": _from_floats,
    "U": _from_strings,
    "S": _from_strings,
    "M": _from_times,
    "m": _from_times,
    "O": _from_objects,
}
