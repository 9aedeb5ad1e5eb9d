"""By what rows are drawn, and what follows for the loss and for probabilities."""

import warnings

import numpy as np
import torch

from sk_cbloss._indicator import is_indicator, read_indicator
from sk_cbloss._validation import as_numpy
from sk_cbloss.weights import class_balanced_sample_weight, class_balanced_weight


def row_weight(y, beta, class_count=None):
    """Return the weight of each row."""
    if is_indicator(y):
        weight = _of_rarest_label(read_indicator(y), beta)
    elif class_count is None:
        weight = class_balanced_sample_weight(y, beta=beta)
    else:
        weight = class_balanced_weight(class_count, beta=beta)[np.asarray(y)]
    if not weight.any():
        raise ValueError("y must hold a label of a class that has samples, got none.")
    return weight / weight.mean()


def _of_rarest_label(indicator, beta):
    """Return the weight of each row's rarest label; of rows without labels, that of all these."""
    count = indicator.count()[:, 1]
    has_none = indicator.largest(np.ones(len(count))) == 0
    if not len(has_none):
        return np.empty(0)
    *of_label, of_none = class_balanced_weight([*count, has_none.sum()], beta=beta)
    return np.where(has_none, of_none, indicator.largest(np.array(of_label)))


def check_corrects_once(sampler, loss, stacklevel):
    """Warn if a loss corrects the frequencies of the classes that rows are drawn by."""
    has_prior, weight = hasattr(loss, "class_prior"), getattr(loss, "weight", None)
    if differ(sampler.weights) and (has_prior or differ(weight)):
        warnings.warn(
            "Frequencies of classes are corrected twice, by iterator_train__sampler with "
            f"beta={sampler.beta} and by {type(loss).__name__}. Set beta=0 and a loss without a "
            "prior, or leave the sampler out.",
            stacklevel=stacklevel,
        )


def differ(numbers, *, by=1.01):
    """Whether one above 0 is more than so many times another, of those in a row if there are."""
    if numbers is None:
        return False
    rows = np.atleast_2d(np.asarray(as_numpy(numbers), dtype=np.float64))
    least = np.where(rows > 0, rows, np.inf).min(axis=1)
    return bool((rows.max(axis=1) > by * least).any())


def before_drawing(proba, class_count, beta):
    """Return probabilities for classes as frequent as they are, not as they are drawn."""
    weight = class_balanced_weight(class_count, beta=beta)
    weight = np.where(weight > 0, weight, 1)  # of classes without samples, which nobody draws
    proba = proba / torch.as_tensor(weight, dtype=proba.dtype, device=proba.device)
    return proba / proba.sum(dim=1, keepdim=True)
