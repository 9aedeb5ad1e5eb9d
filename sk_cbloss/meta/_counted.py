"""What comes before every fit: labels are read and counted, and weights of one's own checked."""

import numpy as np

from sk_cbloss._labels import as_labels
from sk_cbloss._validation import check_sample_weight


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
    y = as_labels(y)
    if not len(y):
        raise ValueError("y must hold at least one label, got none.")
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, len(y))
    weigher.fit(np.empty((len(y), 1)), y, sample_weight)  # of X it wants the length alone
    return y, sample_weight
