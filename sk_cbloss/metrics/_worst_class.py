"""Recall of the class that fares worst."""

import numpy as np

from sk_cbloss.metrics._recall import recall_by_class


def worst_class_recall_score(y_true, y_pred, *, sample_weight=None):
    """Recall of the class whose recall is the smallest.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_labels)
        True labels; of several a sample, a matrix of 0 and 1, with a column for each.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_labels)
        Predicted labels.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, >= 0.

    Returns
    -------
    float
        The smallest recall of the classes that occur in y_true.

    Raises
    ------
    ValueError
        If a weight is negative, infinite or NaN, or all are 0, or no sample has a label.

    See Also
    --------
    sklearn.metrics.balanced_accuracy_score : The mean over the classes.
    imblearn.metrics.geometric_mean_score : Their geometric mean.

    Examples
    --------
    >>> from sk_cbloss import worst_class_recall_score
    >>> worst_class_recall_score(["a", "a", "a", "b", "b"], ["a", "a", "a", "b", "a"])
    0.5
    """
    _, recall = recall_by_class(y_true, y_pred, sample_weight)
    if np.isnan(recall).all():  # of several labels a sample
        raise ValueError("y_true must hold a sample that has a label, got none.")
    return float(np.nanmin(recall))
