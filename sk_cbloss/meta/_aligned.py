"""What a classifier inside answers, in the order of our classes.

Some order their classes in their own way (CatBoost sorts "10" after "2"), and some were given the
positions of classes as labels. Here, and nowhere else, one order is brought into the other.
"""

import reprlib

import numpy as np


def same_classes(inner, classes):
    """Whether two orders hold the same labels."""
    return np.array_equal(inner, classes) or set(inner.tolist()) == set(classes.tolist())


def in_order(values, inner, classes):
    """Return columns that stand in the order of a classifier's own classes in that of ours.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_classes) or (n_samples,)
        Numbers for each class; or for two, a score that is large for the second.
    inner : ndarray of shape (n_classes,)
        The classifier's classes, or the positions of ours, in order.
    classes : ndarray of shape (n_classes,)
        Our classes.

    Returns
    -------
    ndarray
        The same numbers.
    """
    if np.array_equal(inner, classes) or not same_classes(inner, classes):
        return values
    if values.ndim == 1:
        return -values
    place = {label: column for column, label in enumerate(inner.tolist())}
    return values[:, [place[label] for label in classes.tolist()]]


def predicted(estimator, X, classes):
    """Return a fitted classifier's predictions, as labels of ours."""
    labels = np.asarray(estimator.predict(X))
    if labels.ndim == 2 and labels.shape[1] == 1:  # as of CatBoost
        labels = labels[:, 0]
    inner = np.asarray(getattr(estimator, "classes_", classes))
    if not same_classes(inner, classes):
        return classes[np.asarray(labels, dtype=np.intp)]
    if labels.dtype.kind == "f" != classes.dtype.kind and not np.isin(labels, classes).all():
        raise ValueError(
            f"predict of {type(estimator).__name__} must give classes, got {labels[0].item()!r}: "
            "with an objective of one's own, some classifiers give raw scores."
        )
    are_numbers = labels.dtype.kind in "biuf" and classes.dtype.kind in "biuf"
    return labels.astype(classes.dtype, copy=False) if are_numbers else labels


def proba_of(estimator, X, classes, *, method="predict_proba"):
    """Return a fitted classifier's probabilities, one column for each of our classes.

    Raises
    ------
    ValueError
        If they are none.
    """
    p = np.asarray(getattr(estimator, method)(X))
    inner = np.asarray(getattr(estimator, "classes_", classes))
    if len(classes) == 1 and p.ndim == 2 and p.shape[1] == 2:  # as of boosting libraries
        return np.ones((len(p), 1))
    is_table = p.ndim == 2 and p.shape[1] == len(inner) == len(classes)
    bad = np.ones(len(p), dtype=bool)
    if is_table:
        total = p.sum(axis=1)
        # Of a sample that is like none, some say 0 for every class.
        bad = ~((p >= 0).all(axis=1) & ((abs(total - 1) < 1e-3) | (total == 0)))
    if bad.any():
        row = reprlib.repr(p[bad][0].tolist())
        why = "with an objective of one's own, some classifiers give raw scores."
        if is_table and (p[bad] >= 0).all():
            why = (
                "those of each class against the rest need not sum to 1; put "
                "CalibratedClassifierCV around it."
            )
        raise ValueError(
            f"{method} of {type(estimator).__name__} must give numbers >= 0 that sum to 1, one "
            f"for each of {len(classes)} classes, got {row}: {why}"
        )
    return in_order(p, inner, classes)
