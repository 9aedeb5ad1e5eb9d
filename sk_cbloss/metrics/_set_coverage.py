"""How often sets of classes hold the true one, and how large they are."""

import reprlib
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.stats import binomtest

from sk_cbloss._labels import (
    as_labels,
    names_of,
    names_of_columns,
    read_labels,
    sorted_with_ranks,
)
from sk_cbloss._validation import (
    as_named,
    as_numpy,
    check_choice,
    check_counts,
    check_open_fraction,
    check_same_length,
    check_sample_weight,
)
from sk_cbloss.metrics._shot_recall import SHOTS, check_thresholds, mean_of, shots_of

AVERAGES = ("marginal", "macro", None)


class SetCoverage(NamedTuple):
    """How often sets hold the true class, and between which limits that may be.

    :func:`set_coverage_interval` makes it.

    Parameters
    ----------
    coverage : float
        Share of the samples whose class is in their set.
    low : float
        Lower end of the interval.
    high : float
        Upper end of the interval.
    n_samples : int
        Number of samples.

    See Also
    --------
    set_coverage_interval : Makes one from sets.

    Examples
    --------
    >>> from sk_cbloss import set_coverage_interval
    >>> found = set_coverage_interval(["a", "b"], [[True, False], [True, True]])
    >>> found.coverage, found.n_samples
    (1.0, 2)
    """

    coverage: float
    low: float
    high: float
    n_samples: int


def set_coverage_score(y_true, sets, *, classes=None, average="marginal", sample_weight=None):
    """Share of the samples whose class is in their set.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    sets : array-like or sparse matrix of shape (n_samples, n_classes), dtype bool
        Whether a class is in a sample's set, as ``predict_set`` returns. The
        columns of a DataFrame go by their names where these are classes.
    classes : array-like of shape (n_classes,), default=None
        The labels of the columns: the classifier's ``classes_``. None takes the
        names of a DataFrame's columns, or else the sorted labels of y_true, of
        which there must be as many as columns.
    average : {"marginal", "macro"} or None, default="marginal"
        Whether all samples count the same, or all classes that occur in
        y_true; None returns the coverage of each class.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, >= 0.

    Returns
    -------
    float or ndarray of shape (n_classes,)
        The coverage; of each class in the order of the columns, with NaN for
        one that does not occur.

    Raises
    ------
    ValueError
        If a parameter is invalid, or y_true holds a label that classes does not.

    See Also
    --------
    shot_coverage_score : By number of training samples.
    set_coverage_interval : With intervals.
    make_set_scorer : As a scorer.

    Examples
    --------
    >>> from sk_cbloss import set_coverage_score
    >>> y_true = ["cat", "cat", "cat", "yak"]
    >>> sets = [[True, False], [True, False], [True, True], [True, False]]
    >>> set_coverage_score(y_true, sets)
    0.75
    >>> set_coverage_score(y_true, sets, average="macro")
    0.5
    """
    check_choice(average, "average", AVERAGES)
    column, covered, known = covered_by(y_true, sets, classes)
    weight = _weight(sample_weight, len(column))
    if average == "marginal":
        return float(np.average(covered, weights=weight))
    of_class = _by_class(column, covered, weight, len(known))
    return mean_of(of_class) if average == "macro" else of_class


def shot_coverage_score(
    y_true,
    sets,
    *,
    class_count,
    classes=None,
    shot=None,
    thresholds=(20, 100),
    sample_weight=None,
):
    """Mean coverage over the classes with many, a medium number of, and few training samples.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels of the test part.
    sets : array-like or sparse matrix of shape (n_samples, n_classes), dtype bool
        Whether a class is in a sample's set, as ``predict_set`` returns.
    class_count : mapping from label to number, or array-like of shape (n_classes,)
        Number of training samples of each class, such as
        ``collections.Counter(y_train)``; as an array, in the order of the columns.
    classes : array-like of shape (n_classes,), default=None
        The labels of the columns; see :func:`set_coverage_score`.
    shot : {"many", "medium", "few"} or None, default=None
        The one group to score; None scores all three.
    thresholds : (float, float), default=(20, 100)
        See :func:`shot_recall_score`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, >= 0.

    Returns
    -------
    float or dict from group name to float
        Mean coverage of the group's classes that occur in y_true, each class
        counting the same; NaN for a group without such a class.

    Raises
    ------
    ValueError
        If a parameter is invalid, or a label or its count is missing.

    See Also
    --------
    shot_recall_score : The same of single predictions.

    Examples
    --------
    >>> from sk_cbloss import shot_coverage_score
    >>> y_true = ["cat", "cat", "yak", "yak"]
    >>> sets = [[True, False], [True, True], [True, True], [True, False]]
    >>> shot_coverage_score(y_true, sets, class_count={"cat": 500, "yak": 3})
    {'many': 1.0, 'medium': nan, 'few': 0.5}
    """
    check_choice(shot, "shot", (*SHOTS, None))
    check_thresholds(thresholds)
    column, covered, known = covered_by(y_true, sets, classes)
    of_class = _by_class(column, covered, _weight(sample_weight, len(column)), len(known))
    shots = shots_of(counts_by_column(class_count, known), thresholds)
    scores = {name: mean_of(of_class[shots == name]) for name in SHOTS}
    return scores if shot is None else scores[shot]


def set_coverage_interval(
    y_true,
    sets,
    *,
    classes=None,
    by=None,
    class_count=None,
    thresholds=(20, 100),
    confidence=0.95,
    method="exact",
):
    """Coverage of sets with an interval, of all samples, class by class, or by shots.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    sets : array-like or sparse matrix of shape (n_samples, n_classes), dtype bool
        Whether a class is in a sample's set, as ``predict_set`` returns.
    classes : array-like of shape (n_classes,), default=None
        The labels of the columns; see :func:`set_coverage_score`.
    by : {"class", "shot"} or None, default=None
        Whether samples are taken together by class, or by how many training
        samples their class has; None takes all together. Samples count
        the same, also where those of several classes are together.
    class_count : mapping from label to number, or array-like of shape (n_classes,), \
            default=None
        Number of training samples of each class, needed for ``by="shot"``.
    thresholds : (float, float), default=(20, 100)
        See :func:`shot_recall_score`.
    confidence : float in (0, 1), default=0.95
        How often such an interval is to hold the true coverage.
    method : {"exact", "wilson"}, default="exact"
        Clopper and Pearson's interval, which holds it at least as often, or
        Wilson's, which is shorter and does so in the mean.

    Returns
    -------
    SetCoverage or dict from label or group name to SetCoverage
        Named tuples ``(coverage, low, high, n_samples)``, of the classes that
        occur in y_true, in the order of the columns, or of all three groups.
        Without samples, NaN.

    Raises
    ------
    ValueError
        If a parameter is invalid, or a label or its count is missing.

    See Also
    --------
    SetCoverageDisplay : Draws them.

    Examples
    --------
    >>> from sk_cbloss import set_coverage_interval
    >>> y_true = ["cat"] * 8 + ["yak"] * 2
    >>> sets = [[True, False]] * 9 + [[True, True]]
    >>> for name, found in set_coverage_interval(y_true, sets, by="class").items():
    ...     print(f"{name}: {found.coverage:.2f}, from {found.low:.2f} to {found.high:.2f}")
    cat: 1.00, from 0.63 to 1.00
    yak: 0.50, from 0.01 to 0.99
    """
    check_choice(by, "by", ("class", "shot", None))
    check_choice(method, "method", ("exact", "wilson"))
    check_thresholds(thresholds)
    check_open_fraction(confidence, "confidence")
    column, covered, known = covered_by(y_true, sets, classes)
    if by is None:
        return _interval(covered, confidence, method)
    if by == "class":
        found = {c: covered[column == c] for c in np.unique(column)}
        return {known[c]: _interval(each, confidence, method) for c, each in found.items()}
    if class_count is None:
        raise ValueError("class_count must be given for by='shot', got None.")
    shots = shots_of(counts_by_column(class_count, known), thresholds)[column]
    return {name: _interval(covered[shots == name], confidence, method) for name in SHOTS}


def mean_set_size(sets, *, sample_weight=None):
    """Mean number of classes in a set.

    Parameters
    ----------
    sets : array-like or sparse matrix of shape (n_samples, n_classes), dtype bool
        Whether a class is in a sample's set, as ``predict_set`` returns.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, >= 0.

    Returns
    -------
    float
        The mean.

    Raises
    ------
    ValueError
        If sets hold anything else than True and False, or a weight is invalid.

    Examples
    --------
    >>> from sk_cbloss import mean_set_size
    >>> mean_set_size([[True, False, False], [True, False, True]])
    1.5
    """
    size = sizes_of(check_sets(sets))
    return float(np.average(size, weights=_weight(sample_weight, len(size))))


def covered_by(y_true, sets, classes):
    """Return each sample's column, whether that is in its set, and the labels of the columns."""
    names = names_of_columns(sets)
    sets = check_sets(sets)
    labels = read_labels(y_true)
    check_same_length(sets.shape[0], len(labels.values), "sets")
    listed = labels.encode()[0] if classes is None else as_labels(classes)
    if names and set(names_of(listed)) <= set(names):
        if classes is None:
            listed = as_labels(names)
        elif len(listed) == len(names):
            sets = sets[:, [names.index(label) for label in names_of(listed)]]
    if len(listed) != sets.shape[1]:
        raise ValueError(
            f"classes must name the {sets.shape[1]} columns of sets, got "
            f"{reprlib.repr(names_of(listed))}: pass those of the classifier, classes_."
        )
    known, rank = sorted_with_ranks(listed)
    if len(known) < len(listed):
        raise ValueError(
            f"classes must hold each label once, got {reprlib.repr(names_of(listed))}."
        )
    places, unknown = labels.places_among(known)
    if unknown:
        raise ValueError(f"classes must hold every label of y_true, got no {unknown[0]!r}.")
    column = np.argsort(rank)[labels.gather(places)]
    row = np.arange(len(column))
    if sparse.issparse(sets):
        own = sparse.csr_array((np.ones(len(row), dtype=bool), (row, column)), sets.shape)
        return column, np.asarray(sets.multiply(own).sum(axis=1)).ravel() > 0, names_of(listed)
    return column, sets[row, column], names_of(listed)


def check_sets(sets):
    """Return sets as an array or a sparse array of booleans, of shape (n_samples, n_classes)."""
    if sparse.issparse(sets):
        sets = sparse.csr_array(sets)
        if sets.dtype.kind in "biu":
            return sets.astype(bool)
    else:
        try:
            sets = np.asarray(as_numpy(sets))
        except ValueError:  # of rows of several lengths, such as lists of labels
            sets = np.empty(len(sets), dtype=object)
    if sets.ndim != 2 or sets.dtype.kind != "b" or not sets.shape[0]:
        raise ValueError(
            "sets must hold True or False for each sample and class, of shape (n_samples, "
            f"n_classes), got {sets.dtype} of shape {sets.shape}."
        )
    return sets


def sizes_of(sets):
    """Return the number of classes in each set."""
    return np.asarray(sets.sum(axis=1)).ravel()


def counts_by_column(class_count, known):
    """Return the number of training samples of the class of each column."""
    named = as_named(class_count)
    if named is None:
        count = check_counts(class_count)
        if count.shape != (len(known),):
            raise ValueError(
                f"class_count must have a number for each of the {len(known)} columns of sets, "
                f"got shape {count.shape}."
            )
        return count
    missing = [label for label in known if label not in named]
    if missing:
        raise ValueError(f"class_count must hold every one of classes, got no {missing[0]!r}.")
    return check_counts([named[label] for label in known])


def _weight(sample_weight, n_samples):
    if sample_weight is None:
        return np.ones(n_samples)
    return check_sample_weight(sample_weight, n_samples)


def _by_class(column, covered, weight, n_classes):
    total = np.bincount(column, weight, minlength=n_classes)
    held = np.bincount(column, weight * covered, minlength=n_classes)
    return np.divide(held, total, out=np.full(n_classes, np.nan), where=total > 0)


def _interval(covered, confidence, method):
    n, k = len(covered), int(np.sum(covered))
    if not n:
        return SetCoverage(np.nan, np.nan, np.nan, 0)
    low, high = binomtest(k, n).proportion_ci(confidence, method)
    return SetCoverage(k / n, float(low), float(high), n)
