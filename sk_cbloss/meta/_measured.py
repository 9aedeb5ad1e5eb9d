"""Whether probabilities that are said to be natural average to the classes' shares.

No list of the ways in which classifiers weight classes is complete, but a way that it lacks
leaves probabilities that do not average to the shares, and that can be measured.
"""

import warnings

import numpy as np
from sklearn.utils import _safe_indexing, indexable

from sk_cbloss._labels import names_of

# On as many rows at most, which takes less time than a fit to them.
N_ROWS = 1000
# A mean that is natural lies this many standard errors from its share less than once in a million.
# Where all is calibrated, and on the training rows more so, it varies less than labels do.
N_ERRORS = 5
# Boosting that overfits is off by less, out of fold; weights that are not known, by more.
ODDS_RATIO = 2


class MiscalibratedPriorWarning(UserWarning):
    """Natural probabilities do not average to the classes' shares.

    They miss by more than sampling explains, and their odds by a factor of two.
    The classifier weights classes in a way that is not known here, or its
    probabilities are no good for other reasons: in either case, a correction
    by known weights does not make them natural. ``CalibratedClassifierCV``
    around the classifier does.
    """


def some_rows(X, y, sample_weight):
    """Return some of the training rows, with labels and weights, or None if X has no rows."""
    if len(y) <= N_ROWS:
        return X, y, sample_weight
    if not hasattr(X, "shape") and not isinstance(X, list):
        return None
    rows = np.sort(np.random.default_rng(0).choice(len(y), N_ROWS, replace=False))
    weight = None if sample_weight is None else sample_weight[rows]
    return _safe_indexing(*indexable(X), rows), y[rows], weight


def miss_of(estimator, natural, y, classes, class_count, sample_weight=None):
    """Return a sentence if natural probabilities miss the shares by more than sampling explains.

    Parameters
    ----------
    estimator : classifier
        Named in the sentence.
    natural : ndarray of shape (n_samples, n_classes)
        Probabilities.
    y : ndarray of shape (n_samples,)
        Labels of the same samples.
    classes : ndarray of shape (n_classes,)
        The classes.
    class_count : ndarray of shape (n_classes,)
        How frequent they are in the training data.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    str or None
        The sentence, with both numbers of the class that misses most.
    """
    weight = np.ones(len(y)) if sample_weight is None else sample_weight
    if not weight.any():
        return None
    position = np.searchsorted(classes, y)
    here = np.bincount(position, weight, minlength=len(classes)) / weight.sum()
    mean = np.average(natural, axis=0, weights=weight)
    share = class_count / class_count.sum()
    chance = np.where(share > 0, share, mean)  # of a class that has no samples, as it is said
    error = np.sqrt(chance * (1 - chance) * (weight**2).sum()) / weight.sum()
    errors = np.abs(mean - here) / np.where(error > 0, error, np.inf)
    one, other = mean * (1 - share), share * (1 - mean)  # whose quotient is that of the odds
    far = np.maximum(one, other) > ODDS_RATIO * np.minimum(one, other)
    if not (far & (errors > N_ERRORS)).any():
        return None
    worst = np.argmax(errors * far)
    return (
        f"The natural probabilities of {type(estimator).__name__} average to {mean[worst]:.3g} "
        f"for class {names_of(classes)[worst]!r}, whose share is {here[worst]:.3g}: more than "
        "sampling explains. It may weight classes in a way that is not known here; "
        "CalibratedClassifierCV around it makes them natural."
    )


def warn_of(miss, *, stacklevel=3):
    """Warn of a miss, if there is one, where a public method was called by the user."""
    if miss is not None:
        warnings.warn(miss, MiscalibratedPriorWarning, stacklevel=stacklevel)
