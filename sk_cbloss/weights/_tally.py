"""How many samples each class has. Counts add up, so labels may lie in any number of chunks."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sk_cbloss._indicator import agreed_names, is_indicator, read_indicator
from sk_cbloss._labels import (
    is_arrow,
    places_among,
    read_labels,
    sorted_with_ranks,
    with_classes,
)
from sk_cbloss._validation import check_named_count, check_sample_weight

# Rows of pyarrow's arrays that are read at a time.
ROWS = 2**20


@dataclass(frozen=True)
class Tally:
    """The classes of some samples, and how many each has.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        The classes, sorted; or the names of labels, of which a sample has several.
    count : ndarray of shape (n_classes,) or (n_labels, 2), dtype float64
        The number of samples of each class, or the sum of their weights; of labels, of the
        samples without and with each.
    n_samples : int
        The number of samples.
    """

    classes: np.ndarray
    count: np.ndarray
    n_samples: int

    def __add__(self, other):
        n_samples = self.n_samples + other.n_samples
        for one, another in ((self, other), (other, self)):
            if not len(another.classes):  # which may be of another kind
                return replace(one, n_samples=n_samples)
        if self.count.ndim != other.count.ndim:
            raise ValueError(
                "y must be the same in every chunk, a label for each sample or a matrix with a "
                "column for each label, got both."
            )
        if self.count.ndim == 2:
            names = agreed_names(self.classes, other.classes)
            return Tally(names, self.count + other.count, n_samples)
        classes, count = self.classes, self.count
        places = places_among(classes, other.classes)
        if (places < 0).any():
            classes, new = with_classes(classes, other.classes[places < 0])
            count = np.insert(count, new, 0)
            places = places_among(classes, other.classes)
        count = count.copy()
        with np.errstate(over="ignore"):  # which is an error of whoever uses them
            count[places] += other.count
        return Tally(classes, count, n_samples)


def tally_in_memory(y, sample_weight=None):
    """Return the Tally of labels in memory; of pyarrow's, some of the rows at a time."""
    if not is_arrow(y):
        labels = read_labels(y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(labels.values))
        return _tally(labels, sample_weight)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, len(y))
    total = Tally(np.empty(0), np.empty(0), 0)
    for rows in slices_of(y):
        weight = None if sample_weight is None else sample_weight[rows]
        total += _tally(read_labels(y[rows]), weight)
    return total


def tally_of_indicator(y, sample_weight=None):
    """Return the Tally of a matrix with a column for each label."""
    indicator = read_indicator(y)
    n_samples = indicator.values.shape[0]
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, n_samples)
    return Tally(indicator.names, indicator.count(sample_weight), n_samples)


def tally_of_chunk(y, sample_weight):
    """Return the Tally of a chunk, whose samples may all have weight 0."""
    labels = read_labels(y)
    if sample_weight is not None:
        sample_weight = own_of_chunk(sample_weight, len(labels.values))
    return _tally(labels, sample_weight)


def own_of_chunk(sample_weight, n_samples):
    """Return the weights of a chunk's samples, which may all be 0."""
    of_none = not np.any(sample_weight)
    checked = check_sample_weight(
        np.ones_like(sample_weight) if of_none else sample_weight, n_samples
    )
    return checked * (not of_none)


def tally_of_counts(class_count, classes=None):
    """Return the Tally of counts that name their classes, or of classes in order."""
    named, count = check_named_count(class_count)
    if named is not None and classes is not None:
        raise ValueError("classes must be None for a class_count that names them, got both.")
    if named is not None:  # a Series keeps dates as they are
        classes = named if isinstance(class_count, Mapping) else class_count.index
    elif classes is None:
        classes = np.arange(len(count))
    try:
        known, position, _ = read_labels(classes).encode()
    except ValueError as error:
        raise ValueError(f"In the labels of the counts: {error}") from error
    if not len(known) == len(position) == len(count):
        raise ValueError(
            f"classes must name each of the {len(count)} classes that are counted, once, got "
            f"{reprlib.repr(classes)}."
        )
    in_order = np.empty(len(count))
    in_order[position] = count
    return Tally(known, in_order, 0)


def _tally(labels, sample_weight):
    count = labels.count()
    seen = np.flatnonzero(count)  # with weights of 0, too
    if sample_weight is not None:
        count = labels.count(sample_weight)
    classes, position = sorted_with_ranks(labels.classes[seen])
    return Tally(classes, np.bincount(position, weights=count[seen]), len(labels.values))


def slices_of(y):
    """Return the slices in which a pyarrow array is read."""
    return (slice(start, start + ROWS) for start in range(0, len(y), ROWS))


def weights_of_indicator(y, names, label_weight):
    """Return the weights of each sample, for each label that of its side."""
    if not is_indicator(y):
        raise ValueError(
            f"y must have a column for each of the {len(names)} known labels, got "
            f"{reprlib.repr(y)}."
        )
    return read_indicator(y, known=names).gather(label_weight)


def weights_in_memory(y, classes, class_weight):
    """Return the weight of each label in memory, that of its class.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels.
    classes : ndarray of shape (n_classes,)
        The known classes, sorted.
    class_weight : ndarray of shape (n_classes,)
        Their weights.

    Returns
    -------
    ndarray of shape (n_samples,)
        Weights, of the type of the classes' weights.
    """
    if is_arrow(y):
        weight = np.empty(len(y), dtype=class_weight.dtype)
        for rows in slices_of(y):
            weight[rows] = _weights(read_labels(y[rows]), classes, class_weight)
        return weight
    return _weights(read_labels(y), classes, class_weight)


def _weights(labels, classes, class_weight):
    if not len(labels.values):
        return np.empty(0, dtype=class_weight.dtype)
    return labels.gather(class_weight[labels.known_places(classes)])
