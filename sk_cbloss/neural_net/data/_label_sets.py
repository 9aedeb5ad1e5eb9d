"""Several labels a sample: what a net learns of them, and the rows of them that batches take."""

import numpy as np
import scipy.sparse

from sk_cbloss._indicator import (
    Indicator,
    agreed_names,
    is_indicator,
    listed_names,
    read_indicator,
)
from sk_cbloss.neural_net.data._arrays import Uncast, is_to_be_cast_by_rows
from sk_cbloss.neural_net.data._tags import ignored_tag

FOR_LABELS = "multi_label"


def is_for_labels(loss):
    """Whether a loss, by its name, is one of several labels a sample."""
    return isinstance(loss, str) and loss == FOR_LABELS


def has_several_labels(net, y):
    """Whether a sample has several labels: y has a column for each, or the loss says so."""
    if net.criterion is None and is_for_labels(net.loss):
        return True
    return y is not None and is_indicator(y) and ignored_tag(net) is None


def told_labels(net, names, known):
    """Return the labels' names by what has been told of them, None if nothing has."""
    for told in (net.classes, names):
        if told is not None:
            told = listed_names(told)
            known = told if known is None else agreed_names(known, told)
    return known


def rows_of_labels(indicator, dtype):
    """Return a row of 0 and 1, in the net's type, for each sample; sparse ones stay sparse."""
    values = indicator.values
    if scipy.sparse.issparse(values):
        return values.astype(dtype, copy=False)
    if is_to_be_cast_by_rows(values, dtype):
        return Uncast(values, dtype)
    return np.asarray(values, dtype=dtype)


def learned_labels(net, indicator, sample_weight, names, known, known_count):
    """Return the labels' names, and how many samples are without and with each.

    Some names may be given beside the data; known is what the net has learned before.
    """
    told = told_labels(net, names, known)
    names = indicator.names if told is None else agreed_names(told, indicator.names)
    count = indicator.count(sample_weight) + known_count
    weighted = "" if sample_weight is None else ", by weights above 0"
    if not count.any():
        raise ValueError(
            f"y must say of some sample whether it has a label, got only NaN{weighted}."
        )
    if told is None and not (count > 0).all(axis=1).any():
        raise ValueError(
            f"{type(net).__name__} needs a label that some samples have and others have not"
            f"{weighted}, got {len(names)} that all have or none has."
        )
    return names, count


def checked_label_rows(y, names, dtype):
    """Return the rows of y, a matrix whose columns are labels of these names."""
    return rows_of_labels(read_indicator(y, known=names), dtype)


def rarest_label(rows):
    """Return for each row the position of the rarest label it has; of one without, a last one."""
    values = rows.array if isinstance(rows, Uncast) else rows
    indicator = Indicator(values, np.arange(values.shape[1]))
    rarest_first = indicator.count()[:, 1].argsort(kind="stable")
    rarity = len(rarest_first) - rarest_first.argsort()
    return np.append(len(rarest_first), rarest_first[::-1])[indicator.largest(rarity)]
