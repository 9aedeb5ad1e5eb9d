"""What comes before every partial_fit: which classes there are, and how many of each so far."""

import reprlib
from inspect import signature

import numpy as np

from sk_cbloss._labels import names_of, read_labels
from sk_cbloss._validation import as_named
from sk_cbloss.weights import ClassBalancedWeigher


def check_takes_weights_in_chunks(estimator):
    """Raise a TypeError if sample weights would not reach what learns from a chunk."""
    if "sample_weight" not in signature(estimator.partial_fit).parameters:
        raise TypeError(
            f"{type(estimator).__name__} takes no sample_weight in partial_fit, so its classes "
            "cannot be weighted chunk by chunk: use one that does, such as SGDClassifier."
        )


def is_empty(X, y):
    """Whether a chunk has no rows."""
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X) if hasattr(X, "__len__") else None
    return n_rows == 0 and y is not None and not len(read_labels(y).values)


def known_classes(model, classes, class_count):
    """Return the classes, how many samples each has had, and whether that was given.

    Parameters
    ----------
    model : classifier
        Perhaps fitted to earlier chunks.
    classes : array-like of shape (n_classes,) or None
        All classes.
    class_count : mapping, Series, array-like of shape (n_classes,) or None
        Numbers of samples to weight by.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The classes, sorted.
    class_count : ndarray of shape (n_classes,)
        Numbers of samples.
    is_given : bool
        Whether chunks are not to be added.
    """
    listed = None if classes is None else read_labels(classes).encode()[0]
    known = vars(model).get("classes_", listed)
    if class_count is not None:
        is_named = as_named(class_count) is not None
        order = None if is_named else classes if classes is not None else known
        given = ClassBalancedWeigher.from_class_count(class_count, classes=order)
        known = given.classes_ if known is None else known
        _check_same(given.classes_, known, "class_count must count")
        answer = known, given.class_count_, True
    elif known is None:
        raise ValueError(
            "classes must list all classes at the first call of partial_fit, got None; "
            "class_count, a mapping from label to number, will do, too."
        )
    elif "classes_" in vars(model):
        answer = known, model.class_count_, model._count_is_given
    else:
        answer = known, np.zeros(len(known)), False
    if listed is not None:
        _check_same(listed, known, "classes must be")
    return answer


def _check_same(classes, known, rule):
    if not np.array_equal(classes, known):
        raise ValueError(
            f"{rule} the known classes, {reprlib.repr(names_of(known))}, got "
            f"{reprlib.repr(names_of(classes))}."
        )


def check_are_counted(positions, classes, class_count):
    """Raise a ValueError if a class that has samples has none by the counts that were given."""
    missing = positions[class_count[positions] == 0]
    if len(missing):
        raise ValueError(
            "class_count must be above 0 for every class of y, got 0 for "
            f"{names_of(classes)[missing[0]]!r}."
        )
