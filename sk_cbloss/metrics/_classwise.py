"""How good each class's probabilities are."""

import reprlib

import numpy as np
from sklearn.utils import check_array, check_consistent_length

from sk_cbloss._indicator import agreed_names, is_indicator, read_indicator
from sk_cbloss._labels import as_labels, names_of, names_of_columns, read_labels
from sk_cbloss._validation import as_floats, check_choice, check_sample_weight, check_size
from sk_cbloss.metrics._shot_recall import mean_of


def classwise_calibration_error(
    y_true,
    y_proba,
    *,
    labels=None,
    n_bins=15,
    strategy="uniform",
    average="macro",
    sample_weight=None,
):
    r"""Calibration error of each class's probabilities, one class against the rest.

    .. math:: \mathrm{ECE}_c = \sum_b \frac{n_b}{N}
              \left| \overline{[y = c]}_b - \overline{p_c}_b \right|

    over bins b of the class's probability. The usual calibration error looks
    at the largest probability only, which on a long tail is nearly always that
    of a common class; this one sees rare classes as well.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_labels)
        True labels; of several a sample, a matrix of 0 and 1, with a column for each. Entries
        that are NaN, of a dense one, are left out.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities; with two classes, those of the second class will do.
    labels : array-like of shape (n_classes,), default=None
        The labels of the columns; None takes those of y_true, sorted, or its columns. Columns
        of a frame that have their names may come in any order; of several labels, in this one.
    n_bins : int, default=15
        Number of bins.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of the same width, or with the same number of samples.
    average : {"macro"} or None, default="macro"
        "macro" is the mean over the classes, None gives all of them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        The errors, from 0, which is best, to 1.

    Raises
    ------
    ValueError
        If a parameter is invalid, or shapes do not fit together.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : Shows it for one class.
    PriorCorrectedClassifier : Makes it small for weighted classifiers.

    References
    ----------
    Kull, Perello-Nieto, Kangsepp, Silva Filho, Song and Flach, "Beyond
    Temperature Scaling: Obtaining Well-Calibrated Multiclass Probabilities with
    Dirichlet Calibration", NeurIPS 2019, section 2.

    Examples
    --------
    >>> from sk_cbloss import classwise_calibration_error
    >>> y_true = ["common"] * 9 + ["rare"]
    >>> round(classwise_calibration_error(y_true, [[0.9, 0.1]] * 10), 3)
    0.0
    >>> round(classwise_calibration_error(y_true, [[0.5, 0.5]] * 10), 3)
    0.4
    """
    n_bins = check_size(n_bins, "n_bins")
    check_choice(strategy, "strategy", ("uniform", "quantile"))
    hit, p, weight = _check(y_true, y_proba, labels, average, sample_weight)
    errors = np.empty(p.shape[1])
    for c in range(p.shape[1]):
        edges = np.linspace(0, 1, n_bins + 1)
        if strategy == "quantile":
            edges = np.quantile(p[:, c], edges)
        bins = np.searchsorted(edges[1:-1], p[:, c])
        gap = np.bincount(bins, weight[:, c] * (hit[:, c] - p[:, c]), minlength=n_bins)
        errors[c] = np.abs(gap).sum()
    return _averaged(errors, weight, average)


def classwise_brier_score_loss(
    y_true, y_proba, *, labels=None, average="macro", sample_weight=None
):
    r"""Brier score of each class's probabilities, one class against the rest.

    .. math:: \mathrm{BS}_c = \frac{1}{N} \sum_i (p_{ic} - [y_i = c])^2

    Their sum is the Brier score of all classes.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_labels)
        True labels; of several a sample, a matrix of 0 and 1, with a column for each. Entries
        that are NaN, of a dense one, are left out.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities; with two classes, those of the second class will do.
    labels : array-like of shape (n_classes,), default=None
        The labels of the columns; None takes those of y_true, sorted, or its columns. Columns
        of a frame that have their names may come in any order; of several labels, in this one.
    average : {"macro"} or None, default="macro"
        "macro" is the mean over the classes, None gives all of them.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        The scores, from 0, which is best, to 1.

    Raises
    ------
    ValueError
        If a parameter is invalid, or shapes do not fit together.

    See Also
    --------
    sklearn.metrics.brier_score_loss : Of two classes.

    References
    ----------
    Brier, "Verification of Forecasts Expressed in Terms of Probability",
    Monthly Weather Review 1950.

    Examples
    --------
    >>> from sk_cbloss import classwise_brier_score_loss
    >>> y_true = ["common"] * 9 + ["rare"]
    >>> classwise_brier_score_loss(y_true, [[0.9, 0.1]] * 10, average=None).round(3)
    array([0.09, 0.09])
    """
    hit, p, weight = _check(y_true, y_proba, labels, average, sample_weight)
    scores = (weight * (p - hit) ** 2).sum(axis=0)
    return _averaged(scores, weight, average)


def _averaged(scores, weight, average):
    """Return the scores, NaN of labels that no row is known of, or the mean of the others."""
    scores = np.where(weight.any(axis=0), scores, np.nan)
    return scores if average is None else mean_of(scores)


def _check(y_true, y_proba, labels, average, sample_weight):
    """Return hits, probabilities and weights that sum to 1, of shape (n_samples, n_classes)."""
    check_choice(average, "average", ("macro", None))
    p = check_array(as_floats(y_proba, "y_proba"), ensure_2d=False, input_name="y_proba")
    if labels is not None and np.ndim(labels) != 1:
        raise ValueError(
            f"labels must list the labels of the columns, got {reprlib.repr(labels)}."
        )
    read = _of_labels if is_indicator(y_true) else _of_classes
    hit, p = read(y_true, p, labels, names_of_columns(y_proba))
    weight = np.ones(len(p))
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(p))
    weight = np.where(np.isnan(hit), 0, weight[:, None])
    total = weight.sum(axis=0)
    return np.nan_to_num(hit), p, weight / np.where(total > 0, total, 1)


def _of_labels(y_true, p, labels, names):
    """Return which samples have which labels, and their probabilities."""
    true = read_indicator(y_true, known=labels)
    check_consistent_length(true.values, p)
    if names:
        agreed_names(true.names, np.fromiter(names, dtype=object))
    if p.shape != true.values.shape:
        raise ValueError(
            f"y_proba must have a column for each of the {len(true.names)} labels, got shape "
            f"{p.shape}."
        )
    outside = p[(p < 0) | (p > 1)]
    if outside.size:
        raise ValueError(f"y_proba must hold probabilities, got {outside[0]:g}.")
    return true.dense().astype(float), p


def _of_classes(y_true, p, labels, names):
    """Return which samples are of which class, and their probabilities."""
    true = read_labels(y_true)
    check_consistent_length(true.values, p)
    shape = p.shape
    if p.ndim == 1 or p.shape[1] == 1:
        p = np.column_stack([1 - p.ravel(), p.ravel()])
    listed = true.encode()[0] if labels is None else as_labels(labels)
    if names and set(names_of(listed)) <= set(names):
        if labels is None:
            listed = as_labels(names)
        elif len(listed) == len(names):
            p = p[:, [names.index(label) for label in names_of(listed)]]
    labels = listed
    if labels.shape != p.shape[1:]:
        raise ValueError(
            f"y_proba must have a column for each of the {len(labels)} labels, got shape "
            f"{shape}; labels names those that y_true lacks."
        )
    outside, total = p[(p < 0) | (p > 1)], p.sum(axis=1)
    wrong = total[~np.isclose(total, 1, atol=1e-4)]
    if outside.size or wrong.size:
        got = f"{outside[0]:g}" if outside.size else f"a row that sums to {wrong[0]:g}"
        raise ValueError(f"y_proba must hold probabilities that sum to 1 in every row, got {got}.")
    order = np.argsort(labels, kind="stable")
    places, unknown = true.places_among(labels[order])
    if unknown:
        raise ValueError(f"labels must hold every label of y_true, got no {unknown[0]!r}.")
    hit = true.gather(order[places])[:, None] == np.arange(len(labels))
    return hit.astype(float), p
