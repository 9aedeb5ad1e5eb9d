"""Recall and F1 of each class, for labels of any kind."""

import numpy as np
from scipy.sparse import csr_array, issparse
from sklearn.utils import check_consistent_length

from sk_cbloss._indicator import Indicator, agreed_names, is_indicator, read_indicator
from sk_cbloss._labels import check_one_kind, names_of, read_labels
from sk_cbloss._validation import check_sample_weight


def recall_by_class(y_true, y_pred, sample_weight):
    """Return the labels that occur in y_true, and the recall of each.

    NaN is the recall of a class whose samples all have weight 0. Where samples have several
    labels, all of them are returned, and NaN is the recall of one that none has.
    """
    names, found, n, _ = _counts(y_true, y_pred, sample_weight)
    return names, _share(found, n, n > 0)


def f1_by_class(y_true, y_pred, sample_weight):
    """Return the labels that occur in y_true, and the F1 of each; NaN as of recall."""
    names, found, n, n_predicted = _counts(y_true, y_pred, sample_weight)
    return names, _share(2 * found, n + n_predicted, n > 0)


def _share(part, whole, where):
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=where)


def _counts(y_true, y_pred, sample_weight):
    """Return the labels, and the numbers of samples that are found, have and are said to have it.

    Numbers are sums of weights.
    """
    if is_indicator(y_true):
        return _counts_by_label(y_true, y_pred, sample_weight)
    classes, true, _ = read_labels(y_true).encode()
    predicted = read_labels(y_pred)
    check_consistent_length(true, predicted.values)
    check_one_kind(classes, predicted.classes, where="in y_true and y_pred")
    weight = np.ones(len(true))
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(true))
    said = predicted.gather(predicted.places_among(classes)[0])
    counts = (
        np.bincount(places[which], weight[which], minlength=len(classes))
        for places, which in ((true, said == true), (true, slice(None)), (said, said >= 0))
    )
    return names_of(classes), *counts


def _counts_by_label(y_true, y_pred, sample_weight):
    true, predicted = read_indicator(y_true), read_indicator(y_pred)
    if not issparse(predicted.values) and np.isnan(predicted.values).any():
        raise ValueError("y_pred must say 0 or 1 of each label, got nan: y_true may have it.")
    check_consistent_length(true.values, predicted.values)
    names = agreed_names(true.names, predicted.names)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, true.values.shape[0])
    has, said = csr_array(true.values == 1), csr_array(predicted.values == 1)
    if not issparse(true.values):  # of which some may not be known
        said = said.multiply(csr_array(~np.isnan(true.values)))
    each = has.multiply(said), has, said
    counts = (Indicator(which, names).count(sample_weight)[:, 1] for which in each)
    return names_of(names), *counts
