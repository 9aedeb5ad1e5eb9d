"""Labels of any kind, read chunk by chunk as positions in a list of classes."""

import reprlib
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real

import numpy as np
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite, column_or_1d

from sk_cbloss._validation import as_numpy

# A chunk's temporaries stay in the processor's cache, and memory stays at the result's.
CHUNK = 2**16
# Integers that span no more than this, or an eighth of their number, are counted without sorting.
SMALL_RANGE = 2**14
# What numpy says of labels that another type does not hold; RuntimeError is of dates as texts.
UNLIKE = TypeError, ValueError, OverflowError, RuntimeError


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
        for rows in chunks(self.values, at_least=len(total)):  # each chunk is as many additions
            weight = None if sample_weight is None else sample_weight[rows]
            codes = self.positions(self.values[rows])
            total += np.bincount(codes, weights=weight, minlength=len(total))
        return total.astype(np.float64)

    def gather(self, of_class):
        """Return for each sample what its class has, such as a weight."""
        of_sample = np.empty(len(self.values), dtype=of_class.dtype)
        for rows in chunks(self.values):
            # "clip" skips a bounds check that cannot fail here.
            of_class.take(self.positions(self.values[rows]), out=of_sample[rows], mode="clip")
        return of_sample

    def places_among(self, known):
        """Return each candidate's position among sorted classes, and the labels not there."""
        present = np.flatnonzero(self.count())
        candidates = self.classes[present]
        found = places_among(known, candidates)
        places = np.full(len(self.classes), -1)
        places[present] = found
        return places, names_of(candidates[found < 0])

    def known_places(self, known, *, remedy=""):
        """Return each candidate's position among sorted classes, where all labels must be."""
        places, unseen = self.places_among(known)
        if unseen:
            raise ValueError(
                f"y must hold only the known classes, {reprlib.repr(names_of(known))}, got "
                f"{unseen[0]!r}{remedy}."
            )
        return places

    def encode(self):
        """Return the sorted classes, each label's position among them, and their counts.

        Positions are of the smallest integer type, which sorts fastest.
        """
        count = self.count()
        present = np.flatnonzero(count)
        if not present.size:
            raise ValueError("y must hold at least one label, got none.")
        classes, rank = sorted_with_ranks(self.classes[present])
        positions = np.zeros(len(self.classes), dtype=np.min_scalar_type(len(present)))
        positions[present] = rank
        return classes, self.gather(positions), np.bincount(rank, count[present]).astype(np.int64)


def counts_by_label(y):
    """Return the number of samples of each class, by its label, in order."""
    classes, _, count = read_labels(y).encode()
    return by_name(classes, count)


def by_name(classes, numbers):
    """Return a number of each class, or of each of several labels, by its name."""
    return dict(zip(names_of(classes), numbers.tolist(), strict=True))


def names_of(classes):
    """Return labels as Python's objects, but dates as numpy's, which would become integers."""
    return list(classes) if classes.dtype.kind in "mM" else classes.tolist()


def names_of_columns(table):
    """Return the names of a table's columns, if it has some, each once, beside their numbers."""
    # pyarrow's columns are the data.
    names = list(getattr(table, "column_names", getattr(table, "columns", ())))
    is_named = len(set(names)) == len(names) and names != list(range(len(names)))
    return names if is_named else []


def numbers_of(classes, named, name):
    """Return the numbers of a dict in the order of classes, all of which it must name."""
    labels = dict.fromkeys(names_of(classes))
    for got, some, others in (("also", named, labels), ("none of", labels, named)):
        wrong = [label for label in some if label not in others]
        if wrong:
            raise ValueError(
                f"{name} must name the {len(labels)} classes and no other label, "
                f"got {got} {wrong[0]!r}."
            )
    return [named[label] for label in labels]


def sorted_with_ranks(classes):
    """Return the distinct classes, sorted, and the position of each given one among them."""
    try:
        return np.unique(classes, return_inverse=True)
    except TypeError:
        raise _cannot_be_sorted(classes) from None


def _cannot_be_sorted(classes):
    return ValueError(f"y must hold labels that can be sorted, got {_kinds(classes.tolist())}.")


def places_among(known, classes):
    """Return the position of each class among sorted ones, -1 of one that is not there.

    Sorted as they are, no index has to be made of those that are known.
    """
    if not len(known):
        return np.full(len(classes), -1)
    sought = classes
    try:
        if known.dtype.kind == "O":
            sought = _as_objects(classes)
        elif known.dtype != classes.dtype:  # what changes thereby is not there, which shows below
            with np.errstate(invalid="ignore"):
                sought = classes.astype(known.dtype)
        places = np.searchsorted(known, sought).clip(max=len(known) - 1)
    except UNLIKE:  # of another kind, or some too large for it
        place_of = {label: place for place, label in enumerate(names_of(known))}
        return np.array([place_of.get(label, -1) for label in names_of(classes)], dtype=np.intp)
    nearest = known[places]
    if nearest.dtype.kind != classes.dtype.kind:  # numpy might make floats of integers
        nearest, classes = _as_objects(nearest), _as_objects(classes)
    return np.where(nearest == classes, places, -1)


def with_classes(known, new_classes):
    """Return sorted classes with new ones, also sorted, among them, and where these came."""
    both = joined(known, new_classes)
    known, new_classes = both[: len(known)], both[len(known) :]
    try:
        places = np.searchsorted(known, new_classes)
    except TypeError:
        raise _cannot_be_sorted(both) from None
    return np.insert(known, places, new_classes), places


def check_one_kind(classes, others, *, where):
    """Raise a ValueError unless arrays of classes, each of one kind, are of the same."""
    if not _of_one_kind([*names_of(classes[:1]), *names_of(others[:1])]):
        raise ValueError(
            f"y must hold labels of one kind {where}, got {others.dtype} after {classes.dtype}."
        )


def joined(classes, new_classes):
    """Return both arrays of classes in one, each label as it was."""
    check_one_kind(classes, new_classes, where="in every chunk")
    both = [classes, new_classes]
    if classes.dtype.kind != new_classes.dtype.kind:  # numpy might make floats of integers
        objects = np.concatenate([_as_objects(each) for each in both])
        return _settled(objects) if len(objects) and _is_number(objects[0]) else objects
    whole = np.concatenate(both)
    if whole.dtype.kind in "mM":  # of the finer unit, in which a far date may be none
        for part, each in zip(np.split(whole, [len(classes)]), both, strict=True):
            if (part.astype(each.dtype) != each).any():
                raise ValueError(
                    f"y must hold dates that fit {whole.dtype} in every chunk, got "
                    f"{each[part.astype(each.dtype) != each][0]}."
                )
    return whole


def _as_objects(classes):
    return np.fromiter(names_of(classes), object) if classes.dtype.kind != "O" else classes


def chunks(values, *, at_least=0):
    """Return the slices that cover values."""
    size = max(CHUNK, at_least)
    return (slice(start, start + size) for start in range(0, len(values), size))


def read_labels(y):
    """Return y as Labels, whatever holds it and whatever it holds."""
    y = _unwrapped(y)
    if not isinstance(y, np.ndarray):
        return _from_numbered(y)
    return _READERS[y.dtype.kind](y) if len(y) else _from_sortable(y)


def as_labels(y):
    """Return labels as an array that scikit-learn takes; a list's stay what they are.

    Objects that are integers become integers, for instance, and categories their labels.
    """
    y = _unwrapped(y)
    kind = y.dtype.kind if isinstance(y, np.ndarray) else None
    if kind is not None and kind in "biuUS":  # of which none is missing
        return y
    labels = read_labels(y)
    if kind not in (None, "O", "T") or not len(y):
        return np.asarray(y)
    y = labels.gather(labels.classes)
    if y.dtype.kind == "f":
        _check_not_continuous(y)
    return y


def _is_value_counts(y):
    """Whether y can only be what value_counts() of a pandas Series returns.

    Labels may be named "count", too, and be sorted; their rows have no names then.
    """
    is_series = hasattr(y, "index") and getattr(y, "ndim", None) == 1 and hasattr(y, "name")
    if not is_series or y.name != "count" or len(y) < 2 or y.dtype.kind not in "iuf":
        return False
    is_named = y.index.name is not None or y.index.dtype.kind not in "iu"
    return bool(is_named and y.index.is_unique and y.is_monotonic_decreasing and y.iloc[-1] > 0)


def _unwrapped(y):
    """Return labels as a 1-dimensional array, or as what numbers them itself."""
    if isinstance(y, Mapping) or _is_value_counts(y):
        raise ValueError(
            "y must hold a label for each sample, got counts of labels (a "
            f"{type(y).__name__}): pass the labels themselves."
        )
    for name in ("labels", "targets"):  # in pandas, a column or a row may be called so
        if hasattr(y, name) and not hasattr(y, "iloc"):
            raise ValueError(
                f"y must hold a label for each sample, got {type(y).__name__}, a data set: pass "
                f"its {name}."
            )
    y = y if hasattr(y, "columns") else getattr(y, "array", y)  # of a pandas Series or Index
    if is_arrow(y) and y.null_count:
        _check_none_missing(y, np.asarray(y.is_null()))
    if _numbers_itself(y):
        return y
    y = as_numpy(y)
    if issparse(y):
        if y.ndim > 1 and y.shape[1] != 1:
            raise ValueError(f"y must hold one label a sample, got a sparse y of shape {y.shape}.")
        y = y.toarray().reshape(-1)
    if isinstance(y, list | tuple):
        y = _from_list(y)
    elif hasattr(y, "to_numpy") and not hasattr(y, "to_pylist"):  # pandas and polars
        y = y.to_numpy()
    elif not isinstance(y, np.ndarray):  # pyarrow's to_numpy may refuse to copy
        y = np.asarray(y)
    if np.ma.is_masked(y):
        place = np.flatnonzero(np.ma.getmaskarray(y))[0]
        raise ValueError(
            f"y must not have missing labels, got a masked value at position {place}."
        )
    if y.ndim == 0:
        raise ValueError(f"y must be a sequence of labels, got {reprlib.repr(y.tolist())}.")
    if y.dtype.kind not in _READERS:
        # What scikit-learn's checks of estimators want to read.
        start = "Complex data not supported: " if y.dtype.kind == "c" else ""
        raise ValueError(f"{start}y must hold class labels, got values of type {y.dtype}.")
    if y.ndim > 2:
        raise ValueError(
            "y must hold one label a sample, or a column for each label where a sample may have "
            f"several, got shape {y.shape}."
        )
    return column_or_1d(np.ma.getdata(y), warn=True)


def _from_list(y):
    try:
        array = np.asarray(y)
    except ValueError:  # of rows that differ in length
        return np.fromiter(y, dtype=object)
    # numpy makes floats of integers too large for it, strings of all beside a string, and cuts off
    # what they end in if that is a NUL.
    lost = array.dtype.kind == "f" and all(isinstance(label, Integral) for label in y)
    made = array.dtype.kind == "U" and not all(isinstance(label, str) for label in y)
    is_text = array.dtype.kind in "US" and array.ndim == 1 and not made
    cut = is_text and any(label[-1:] in ("\0", b"\0") for label in y)
    return np.array(y, dtype=object) if lost or made or cut else array


def _from_integers(y):
    if y.dtype.kind == "b":
        return Labels(y, np.array([False, True]), lambda chunk: chunk.astype(np.intp))
    low, high = _extremes(y)
    if high - low >= max(SMALL_RANGE, len(y) // 8):
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
    _check_not_continuous(y)
    return _from_sortable(y)


def _check_not_continuous(y):
    assert_all_finite(y, input_name="y")
    fractional = y != np.floor(y)
    if fractional.any():
        raise ValueError(
            f"y must hold class labels, got the continuous value {y[fractional][0].item()!r}."
        )


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
    present, codes = _unique(hashed)
    example = np.empty(len(present), dtype=np.intp)
    example[codes] = np.arange(len(y))
    classes = y[example]
    if all((classes[codes[rows]] == y[rows]).all() for rows in chunks(y)):
        return Labels(codes, classes, lambda chunk: chunk)
    return _from_sortable(y)


def _unique(values):
    """Return distinct values, sorted, and the place of each value among them.

    By chunks, where many values are alike: to sort all at once leaves the cache.
    """
    inverse, of_chunks = np.empty(len(values), dtype=np.intp), []
    for rows in chunks(values):
        present, inverse[rows] = np.unique(values[rows], return_inverse=True)
        of_chunks.append(present)
        if len(present) > CHUNK // 2:
            return np.unique(values, return_inverse=True)
    known = np.unique(np.concatenate(of_chunks))
    for rows, present in zip(chunks(values), of_chunks, strict=True):
        inverse[rows] = known.searchsorted(present).take(inverse[rows])
    return known, inverse


def _from_objects(y):
    y = y.astype(object, copy=False)  # of numpy's strings of any length
    try:
        codes, classes = _numbered(y)
    except TypeError:  # of what has no hash
        codes, classes = None, y
    nested = next((label for label in classes if _is_nested(label)), None)
    if nested is not None or codes is None:
        raise ValueError(
            "y must hold one label a sample, got "
            f"{reprlib.repr(y[0] if nested is None else nested)}; multi-label targets are "
            "matrices, made by sklearn.preprocessing.MultiLabelBinarizer, for what takes them."
        )
    _check_none_missing(y, codes < 0)
    classes = _settled(classes)
    if classes.dtype.kind == "f":
        _check_not_continuous(classes)
    return Labels(codes, classes, lambda chunk: chunk)


def _is_nested(label):
    several = np.iterable(label) and not isinstance(label, str | bytes)
    return several or not isinstance(label, Hashable)


def _settled(classes):
    """Return classes of one kind, as numbers where these objects are numbers."""
    labels = classes.tolist()
    if not _of_one_kind(labels):
        raise ValueError(f"y must hold labels of one kind, got {_kinds(labels)}.")
    if not labels or not _is_number(labels[0]):
        return classes
    types = (np.int64, np.uint64) if all(map(_is_integer, labels)) else (float,)
    if all(isinstance(label, bool | np.bool_) for label in labels):
        types = (bool,)
    for dtype in types:  # none holds integers that are too large
        try:
            numbers = np.array(labels, dtype=dtype)
        except OverflowError:
            continue
        if all(number == label for number, label in zip(numbers.tolist(), labels, strict=True)):
            return numbers
    return classes


def _of_one_kind(labels):
    """Return whether labels are all numbers, all strings, all bytes, or all none of these."""
    return len({_kind(label) for label in labels}) < 2


def _kind(label):
    if isinstance(label, str | bytes):
        return str if isinstance(label, str) else bytes
    return Real if _is_number(label) else object


def _kinds(labels):
    names = {"str" if isinstance(label, str) else type(label).__name__ for label in labels}
    return " and ".join(sorted(names))


def _is_number(label):
    return isinstance(label, Real | Decimal | np.bool_)


def _is_integer(label):
    return isinstance(label, Integral | np.bool_)


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


def is_arrow(y):
    """Whether y is an array, perhaps in chunks, of pyarrow's."""
    return hasattr(y, "dictionary_encode") and hasattr(y, "null_count")


def _numbers_itself(y):
    """Whether y is a pandas Categorical, or an array of pandas' or pyarrow's strings."""
    if is_arrow(y):
        kind = str(y.type)
        return len(y) and (kind in ("string", "large_string") or kind.startswith("dictionary"))
    if hasattr(y, "categories"):
        return hasattr(y, "codes")
    return hasattr(y, "factorize") and issubclass(getattr(y.dtype, "type", object), str)


def _from_numbered(y):
    if is_arrow(y):
        coded = y.dictionary_encode()
        if hasattr(coded, "unify_dictionaries"):
            coded = coded.unify_dictionaries().combine_chunks()
        codes, classes = coded.indices.to_numpy(), coded.dictionary
    elif hasattr(y, "categories"):
        codes, classes = np.asarray(y.codes), y.categories
    else:
        codes, classes = y.factorize()
    _check_none_missing(y, codes < 0)
    classes = np.asarray(classes)
    classes = _settled(classes) if classes.dtype.kind == "O" else classes
    return Labels(codes, classes, lambda chunk: chunk.astype(np.intp, copy=False))


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
    "T": _from_objects,
}
