"""What comes before every fit: labels are read and counted, and weights of one's own checked."""

import reprlib
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from sk_cbloss._indicator import check_one_label
from sk_cbloss._labels import as_labels
from sk_cbloss._validation import check_same_length, check_sample_weight


def counted(estimator, weigher, y, sample_weight):
    """Fit the weigher to the labels that an estimator is given.

    Parameters
    ----------
    estimator : estimator
        Named in the error, if there are no labels.
    weigher : ClassBalancedWeigher
        Counts the classes.
    y : array-like of shape (n_samples,)
        Class labels.
    sample_weight : array-like of shape (n_samples,), number or None
        Weights that the samples have already.

    Returns
    -------
    y : ndarray of shape (n_samples,)
        The labels.
    sample_weight : ndarray of shape (n_samples,) or None
        The weights.
    """
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None."
        )
    check_one_label(type(estimator).__name__, y)
    y = as_labels(y)
    if not len(y):
        raise ValueError("y must hold at least one label, got none.")
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, len(y))
    weigher.fit(None, y, sample_weight)
    return y, sample_weight


@dataclass(frozen=True)
class Counted:
    """Classes, and how many samples each has."""

    classes_: np.ndarray
    class_count_: np.ndarray


def with_classes(counter, known):
    """Return classes with their counts, and those that are known beside with counts of 0.

    Parameters
    ----------
    counter : ClassBalancedWeigher
        Fitted to some labels.
    known : array-like of shape (n_classes,)
        Classes; nothing changes if they lack one of the labels.

    Returns
    -------
    Counted or ClassBalancedWeigher
        With sorted ``classes_``, and ``class_count_``.
    """
    given, known = counter.classes_.tolist(), np.asarray(known).tolist()
    if not set(given) < set(known):
        return counter
    count = dict(zip(given, counter.class_count_, strict=True))
    classes = np.unique(as_labels(known))
    return Counted(classes, np.array([count.get(label, 0.0) for label in classes.tolist()]))


def validation_labels(weigher, X, y):
    """Return the labels of validation data, and their weights; libraries do not check them all.

    Parameters
    ----------
    weigher : ClassBalancedWeigher
        Fitted to the training data.
    X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
        Features to validate on.
    y : array-like of shape (n_samples,)
        Their labels.

    Returns
    -------
    y : ndarray of shape (n_samples,)
        The labels.
    sample_weight : ndarray of shape (n_samples,)
        The weights of their classes.
    """
    with in_validation_data():
        y = as_labels(y)
        if hasattr(X, "shape") or isinstance(X, list):  # else its length may be that of a dict
            check_same_length(X.shape[0] if hasattr(X, "shape") else len(X), len(y))
        if not len(y):
            raise ValueError("y must hold at least one label, got none.")
        return y, weigher.sample_weight(y)


def check_same_columns(X, X_val):
    """Raise a ValueError unless validation data have the columns of the training data."""
    with in_validation_data():
        if hasattr(X, "columns") and hasattr(X_val, "columns"):
            learned, given = list(X.columns), list(X_val.columns)
            if learned != given:
                raise ValueError(
                    f"X must have the columns {reprlib.repr(learned)}, as in training, got "
                    f"{reprlib.repr(given)}."
                )
        if hasattr(X, "shape") and hasattr(X_val, "shape") and X.shape[1:] != X_val.shape[1:]:
            raise ValueError(
                f"X must have rows of shape {X.shape[1:]}, as in training, got {X_val.shape[1:]}."
            )


@contextmanager
def in_validation_data():
    """Say of a ValueError that it is about validation data."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"In the validation data: {error}") from error
