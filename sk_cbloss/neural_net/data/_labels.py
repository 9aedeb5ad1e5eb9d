"""Class labels as positions in the module's outputs."""

import reprlib

import numpy as np

from sk_cbloss._labels import as_labels, read_labels


def label_array(y):
    """Return labels as an array: classes that scikit-learn scores, none of them missing."""
    y = as_labels(y)
    _check_scored(y)
    return y


def labels_of(y):
    """Return labels, read once: classes that scikit-learn scores, none of them missing."""
    labels = read_labels(y)
    _check_scored(labels.classes)
    return labels


def _check_scored(y):
    if y.dtype.kind == "S" or (y.dtype.kind == "O" and len(y) and not isinstance(y[0], str)):
        raise ValueError(
            "y must hold integers, strings, booleans or dates, which scikit-learn scores, "
            f"got {type(y[0]).__name__}: encode them, as with sklearn.preprocessing.LabelEncoder."
        )


def check_sorted(classes):
    """Raise a ValueError unless classes are sorted, as scikit-learn's scorers take for granted."""
    try:
        is_sorted = np.ndim(classes) == 1 and list(classes) == sorted(set(classes))
    except TypeError:  # labels of several kinds
        is_sorted = False
    if not is_sorted:
        raise ValueError(
            "classes must list labels of one kind, sorted and each there once, got "
            f"{reprlib.repr(classes)}."
        )


def check_known(classes, known):
    """Raise a ValueError unless classes are the known ones."""
    if np.unique(classes).tolist() != known.tolist():
        raise ValueError(
            f"classes must be the known ones, {reprlib.repr(known.tolist())}, got "
            f"{reprlib.repr(classes)}."
        )


def positions_of(labels, classes):
    """Return the positions of labels in classes."""
    remedy = ": list all labels in classes from the start"
    return labels.gather(labels.known_places(classes, remedy=remedy))


def lists_all(n_classes):
    """Return how to tell of classes that a Dataset lacks."""
    return (
        " If it lacks some classes, as a Subset may, list all of them: "
        f"classes=range({n_classes})."
    )


def checked_positions(y, n_classes, n_classes_of=None):
    """Return a Dataset's targets, which are positions of classes already.

    Where they alone told how many classes there are, a function of them tells how many there must
    be.
    """
    outside = [label for label in np.unique(y).tolist() if label not in range(n_classes)]
    if outside:
        remedy = ""
        if n_classes_of and y.dtype.kind in "iu" and outside[0] > 0:
            remedy = lists_all(n_classes_of(y))
        raise ValueError(
            f"A Dataset's targets must be integers from 0 to {n_classes - 1}, the "
            f"positions of the classes, got {outside[0]!r}.{remedy}"
        )
    return np.asarray(y, dtype=np.int64)
