"""Whether one model scores better than another, by scores on the same splits."""

import reprlib
from typing import NamedTuple

import numpy as np
from scipy.stats import t as student

from sk_cbloss._validation import as_float, as_floats


class PairedDifference(NamedTuple):
    """How much better the first of two models scores, and how sure that is.

    :func:`paired_difference_interval` makes it.

    Parameters
    ----------
    mean : float
        Mean of the differences.
    low : float
        Lower end of the interval.
    high : float
        Upper end of the interval.
    p_value : float
        Probability of a mean at least this far from 0 if the models are alike.

    See Also
    --------
    paired_difference_interval : Makes one from scores.

    Examples
    --------
    >>> from sk_cbloss import paired_difference_interval
    >>> found = paired_difference_interval([0.8, 0.9], [0.7, 0.6], n_train=80, n_test=20)
    >>> found.low < 0 < found.high
    True
    """

    mean: float
    low: float
    high: float
    p_value: float


def paired_difference_interval(scores_a, scores_b, *, n_train, n_test, confidence=0.95):
    r"""Interval and test of the difference of two models' scores on the same splits.

    .. math:: \bar d \pm t \sqrt{\left(\frac{1}{k}
              + \frac{n_\mathrm{test}}{n_\mathrm{train}}\right) s^2}

    for the differences :math:`d` on k splits, their mean and variance
    :math:`s^2`, and the quantile t of Student's distribution with k - 1 degrees
    of freedom. Splits of one data set share most of what they train on. With
    1 / k alone, as for independent measurements, the interval would shrink to
    nothing as splits are repeated, and a difference be found where there is none.

    Parameters
    ----------
    scores_a : array-like of shape (n_splits,)
        Scores of the first model, such as ``cross_val_score`` returns.
    scores_b : array-like of shape (n_splits,)
        Scores of the second model, on the same splits in the same order.
    n_train : float
        Number of samples that a split trains on, or their share.
    n_test : float
        Number of samples that a split is scored on, or their share: what counts
        is ``n_test / n_train``, which is ``1 / (k - 1)`` in k-fold cross-validation.
    confidence : float, default=0.95
        How often such an interval is to hold the true difference.

    Returns
    -------
    PairedDifference
        A named tuple ``(mean, low, high, p_value)``; a positive mean is in favour
        of the first model. Where all differences are the same, the interval has
        no width, and the p-value is 0, or 1 if the models do not differ.

    Raises
    ------
    ValueError
        If scores are not finite numbers, or too large for their variance, there are
        fewer than two splits or not as many of both models, or a size or the
        confidence is out of range.

    See Also
    --------
    sklearn.model_selection.RepeatedStratifiedKFold : Makes such splits.
    scipy.stats.ttest_rel : The same of independent pairs.

    Notes
    -----
    The correction is a rule of thumb for random splits [1]_; for repeated k-fold
    cross-validation it was found to serve, too [2]_. What it says is of this data
    set and models trained anew on samples like it, not of other data sets.

    References
    ----------
    .. [1] Nadeau and Bengio, "Inference for the Generalization Error", Machine
       Learning 52, 2003.
    .. [2] Bouckaert and Frank, "Evaluating the Replicability of Significance Tests
       for Comparing Learning Algorithms", PAKDD 2004.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
    >>> from sk_cbloss import ClassBalancedClassifier, load_digits_lt
    >>> from sk_cbloss import paired_difference_interval
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> plain = LogisticRegression(C=0.01, max_iter=1000)
    >>> folds = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    >>> weighted_scores, plain_scores = (
    ...     cross_val_score(model, X / 16, y, scoring="balanced_accuracy", cv=folds)
    ...     for model in (ClassBalancedClassifier(plain, beta=0.99), plain)
    ... )
    >>> found = paired_difference_interval(weighted_scores, plain_scores, n_train=2, n_test=1)
    >>> print(f"{found.mean:.2f}, from {found.low:.2f} to {found.high:.2f}")
    0.41, from 0.33 to 0.49
    """
    a, b = _check_scores(scores_a, "scores_a"), _check_scores(scores_b, "scores_b")
    if len(a) != len(b):
        raise ValueError(
            f"scores_a and scores_b must be of the same splits, got {len(a)} and {len(b)} numbers."
        )
    share = _check_size(n_test, "n_test") / _check_size(n_train, "n_train")
    outside = 1 - as_float(confidence)
    if not 0 < outside < 1:
        raise ValueError(
            f"confidence must be a number between 0 and 1, got {reprlib.repr(confidence)}."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        difference = a - b
        mean, freedom = float(difference.mean()), len(a) - 1
        error = float(np.sqrt(difference.var(ddof=1) * (1 / len(a) + share)))
    width = float(student.isf(outside / 2, freedom)) * error
    if not np.isfinite(width):
        raise ValueError(
            "The variance of scores_a - scores_b must be a number that floats can hold, got "
            f"scores as large as {float(np.abs([a, b]).max())!r} and n_test / n_train = {share!r}."
        )
    p_value = 2 * student.sf(abs(mean) / error, freedom) if error else mean == 0
    return PairedDifference(mean, mean - width, mean + width, float(p_value))


def _check_scores(scores, name):
    """Return scores as float64 of shape (n_splits,)."""
    values = as_floats(scores, name)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"{name} must hold a score for each of at least two splits, got shape {values.shape}."
        )
    bad = values[~np.isfinite(values)]
    if len(bad):
        raise ValueError(f"{name} must hold finite numbers, got {float(bad[0])!r}.")
    return values


def _check_size(value, name):
    """Return a number of samples as a float > 0."""
    size = as_float(value)
    if not 0 < size < np.inf:
        raise ValueError(f"{name} must be a finite number > 0, got {reprlib.repr(value)}.")
    return size
