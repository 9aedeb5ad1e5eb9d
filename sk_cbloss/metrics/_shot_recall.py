"""Recall and F1 by how many training samples the classes have."""

import reprlib

import numpy as np
from sklearn.metrics import make_scorer

from sk_cbloss._indicator import counts_by_name, is_indicator
from sk_cbloss._labels import joined, names_of, read_labels, sorted_with_ranks
from sk_cbloss._validation import as_floats, as_named, check_choice, check_counts
from sk_cbloss.metrics._recall import f1_by_class, recall_by_class

SHOTS = ("many", "medium", "few")


def shot_recall_score(
    y_true, y_pred, *, class_count, shot=None, thresholds=(20, 100), sample_weight=None
):
    """Mean recall over the classes with many, a medium number of, and few training samples.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_labels)
        True labels of the test part; of several a sample, a matrix of 0 and 1, with a column for
        each.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_labels)
        Predicted labels.
    class_count : mapping from label to number, or array-like of shape (n_classes,)
        Number of training samples of each class, such as
        ``collections.Counter(y_train)`` or a pandas ``value_counts()``. As an
        array, in the order of sorted labels, of which each must occur in
        y_true or y_pred. Of several labels a sample, in the order of the columns, such as
        ``y_train.sum(axis=0)``.
    shot : {"many", "medium", "few"} or None, default=None
        The one group to score, for :func:`sklearn.metrics.make_scorer`; None
        scores all three.
    thresholds : (float, float), default=(20, 100)
        Few-shot classes have fewer samples than the first number, many-shot
        classes more than the second.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the test samples, >= 0.

    Returns
    -------
    float or dict from group name to float
        Mean recall of the group's classes that occur in y_true, each class
        counting the same; NaN for a group without such a class.

    Raises
    ------
    ValueError
        If shot, thresholds, a count or a weight is invalid, y_true holds a
        label that class_count does not, or class_count is an array that has
        not a number for each label.

    See Also
    --------
    shot_f1_score : Counts false alarms, too.

    References
    ----------
    Liu, Miao, Zhan, Wang, Gong and Yu, "Large-Scale Long-Tailed Recognition in
    an Open World", CVPR 2019, section 5.1 (the groups).

    Examples
    --------
    >>> from sk_cbloss import shot_recall_score
    >>> class_count = {"cat": 500, "dog": 80, "yak": 3}
    >>> y_true = ["cat", "cat", "dog", "dog", "yak", "yak"]
    >>> y_pred = ["cat", "cat", "dog", "cat", "cat", "cat"]
    >>> shot_recall_score(y_true, y_pred, class_count=class_count)
    {'many': 1.0, 'medium': 0.5, 'few': 0.0}
    """
    return _by_shots(recall_by_class, y_true, y_pred, class_count, shot, thresholds, sample_weight)


def shot_f1_score(
    y_true, y_pred, *, class_count, shot=None, thresholds=(20, 100), sample_weight=None
):
    """Mean F1 over the classes with many, a medium number of, and few training samples.

    Where samples have several labels, recall is had for the asking, by predicting every label;
    F1 is not.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,) or (n_samples, n_labels)
        True labels of the test part; of several a sample, a matrix of 0 and 1, with a column for
        each.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_labels)
        Predicted labels.
    class_count : mapping from label to number, or array-like of shape (n_classes,)
        Number of training samples of each class; see :func:`shot_recall_score`.
    shot : {"many", "medium", "few"} or None, default=None
        The one group to score; None scores all three.
    thresholds : (float, float), default=(20, 100)
        See :func:`shot_recall_score`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the test samples, >= 0.

    Returns
    -------
    float or dict from group name to float
        Mean F1 of the group's classes that occur in y_true, each class
        counting the same; NaN for a group without such a class.

    Raises
    ------
    ValueError
        As :func:`shot_recall_score`.

    See Also
    --------
    shot_recall_score : How much is found, false alarms aside.
    sklearn.metrics.f1_score : Of all classes, or of each.

    Examples
    --------
    >>> from sk_cbloss import shot_f1_score
    >>> y_true = [[1, 0], [1, 0], [1, 0], [0, 1]]
    >>> y_pred = [[1, 0], [1, 0], [1, 1], [0, 1]]
    >>> scores = shot_f1_score(y_true, y_pred, class_count=[300, 10])
    >>> {shot: round(score, 2) for shot, score in scores.items()}
    {'many': 1.0, 'medium': nan, 'few': 0.67}
    """
    return _by_shots(f1_by_class, y_true, y_pred, class_count, shot, thresholds, sample_weight)


def _by_shots(by_class, y_true, y_pred, class_count, shot, thresholds, sample_weight):
    check_choice(shot, "shot", (*SHOTS, None))
    check_thresholds(thresholds)
    classes, score = by_class(y_true, y_pred, sample_weight)
    shots = shots_of(_counts_of(classes, class_count, y_true, y_pred), thresholds)
    scores = {name: mean_of(score[shots == name]) for name in SHOTS}
    return scores if shot is None else scores[shot]


def _counts_of(classes, class_count, y_true, y_pred):
    """Return the number of training samples of each of the classes."""
    named = as_named(class_count)
    count = check_counts(class_count if named is None else list(named.values()))
    are_positions = bool(named) and list(named) == list(range(len(named)))
    if named is None or (are_positions and not named.keys() & set(classes)):
        names = classes if is_indicator(y_true) else _names_in(y_true, y_pred)
        if count.shape != (len(names),):
            raise ValueError(
                f"class_count must have a number for each of the {len(names)} labels of y_true "
                f"and y_pred, or be a mapping from label to number, got shape {count.shape}: pass "
                "dict(zip(classes, class_count))."
            )
        named = dict(zip(names, count, strict=True))
    unknown = [label for label in classes if label not in named]
    if unknown:
        raise ValueError(f"class_count must hold every label of y_true, got no {unknown[0]!r}.")
    return [named[label] for label in classes]


def _names_in(*labels):
    """Return all labels, sorted."""
    return names_of(sorted_with_ranks(joined(*(read_labels(y).encode()[0] for y in labels)))[0])


def make_shot_scorer(y, *, shot, thresholds=(20, 100), score="recall"):
    """Make a scorer of shot_recall_score or shot_f1_score, for searches and cross-validation.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_labels)
        Labels of the training data, by which the classes are grouped. In a
        search they are those of all folds, so that each has the same groups.
    shot : {"many", "medium", "few"}
        The group to score.
    thresholds : (float, float), default=(20, 100)
        See :func:`shot_recall_score`.
    score : {"recall", "f1"}, default="recall"
        What is averaged over the group's classes.

    Returns
    -------
    callable
        A scorer, with the signature ``scorer(estimator, X, y)``. NaN for data
        without a class of the group.

    Raises
    ------
    ValueError
        If shot, thresholds or score is invalid.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sk_cbloss import ClassBalancedClassifier, load_digits_lt, make_shot_scorer
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> scoring = {shot: make_shot_scorer(y, shot=shot) for shot in ("many", "few")}
    >>> model = ClassBalancedClassifier(LogisticRegression(max_iter=1000))
    >>> search = GridSearchCV(model, {"beta": [0, 0.99]}, scoring=scoring, refit="few", cv=3)
    >>> search.fit(X, y).best_params_
    {'beta': 0.99}
    """
    check_choice(shot, "shot", SHOTS)
    check_choice(score, "score", tuple(SCORES))
    check_thresholds(thresholds)
    return make_scorer(
        SCORES[score], class_count=counts_by_name(y), shot=shot, thresholds=thresholds
    )


SCORES = {"recall": shot_recall_score, "f1": shot_f1_score}


def shots_of(class_count, thresholds=(20, 100)):
    """Return for each count whether it is "many", "medium" or "few"."""
    few_below, many_above = check_thresholds(thresholds)
    count = check_counts(class_count)
    return np.select([count < few_below, count > many_above], ["few", "many"], "medium")


def check_thresholds(thresholds):
    """Return the two numbers between which classes have a medium number of samples."""
    try:
        few_below, many_above = as_floats(thresholds, "thresholds").tolist()
        valid = 0 <= few_below <= many_above
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            f"thresholds must be two increasing numbers >= 0, got {reprlib.repr(thresholds)}."
        )
    return few_below, many_above


def mean_of(recall):
    """Return the mean of the classes that have a score; NaN if there is none."""
    recall = recall[~np.isnan(recall)]
    return float(recall.mean()) if recall.size else float("nan")
