"""The recall of each class, for labels of any kind."""

import numpy as np
from sklearn.metrics import recall_score
from sklearn.utils import check_consistent_length

from sk_cbloss._labels import check_one_kind, names_of, read_labels
from sk_cbloss._validation import check_sample_weight


def recall_by_class(y_true, y_pred, sample_weight):
    """Return the labels that occur in y_true, and the recall of each.

    NaN is the recall of a class whose samples all have weight 0.
    """
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
