"""The recall of each class, for labels of any kind."""

import numpy as np
from scipy.sparse import csr_array
from sklearn.metrics import recall_score
from sklearn.utils import check_consistent_length

from sk_cbloss._indicator import Indicator, agreed_names, is_indicator, read_indicator
from sk_cbloss._labels import check_one_kind, names_of, read_labels
from sk_cbloss._validation import check_sample_weight


def recall_by_class(y_true, y_pred, sample_weight):
    """Return the labels that occur in y_true, and the recall of each.

    NaN is the recall of a class whose samples all have weight 0. Where samples have several
    labels, all of them are returned, and NaN is the recall of one that none has.
    """
    if is_indicator(y_true):
        return _recall_by_label(y_true, y_pred, sample_weight)
    classes, true, _ = read_labels(y_true).encode()
    predicted = read_labels(y_pred)
    check_consistent_length(true, predicted.values)
    check_one_kind(classes, predicted.classes, where="in y_true and y_pred")
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, len(true))
    places, _ = predicted.places_among(classes)
    recall = recall_score(
        true,
        predicted.gather(places),
        labels=np.arange(len(classes)),
        average=None,
        sample_weight=sample_weight,
        zero_division=np.nan,
    )
    return names_of(classes), recall


def _recall_by_label(y_true, y_pred, sample_weight):
    true, predicted = read_indicator(y_true), read_indicator(y_pred)
    check_consistent_length(true.values, predicted.values)
    names = agreed_names(true.names, predicted.names)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, true.values.shape[0])
    relevant = csr_array(true.values == 1)
    found = relevant.multiply(csr_array(predicted.values == 1))
    n_found, n = (Indicator(each, names).count(sample_weight)[:, 1] for each in (found, relevant))
    return names_of(names), np.divide(n_found, n, out=np.full(len(n), np.nan), where=n > 0)
