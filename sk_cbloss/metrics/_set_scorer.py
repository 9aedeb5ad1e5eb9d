"""Scorers of sets of classes, for searches and cross-validation."""

import reprlib
from dataclasses import dataclass
from typing import Any

from sk_cbloss._validation import check_choice, check_open_fraction
from sk_cbloss.metrics._at_the_end import at_the_end
from sk_cbloss.metrics._set_coverage import (
    mean_set_size,
    set_coverage_score,
    shot_coverage_score,
)
from sk_cbloss.metrics._shot_recall import SHOTS, check_thresholds


def _macro(y, sets, **parameters):
    return set_coverage_score(y, sets, average="macro", **parameters)


def _neg_size(y, sets, *, classes, sample_weight):
    return -mean_set_size(sets, sample_weight=sample_weight)


SET_SCORES = {
    "coverage": set_coverage_score,
    "macro_coverage": _macro,
    "shot_coverage": shot_coverage_score,
    "neg_mean_set_size": _neg_size,
}


def make_set_scorer(metric, *, confidence=None, shot=None, class_count=None, thresholds=(20, 100)):
    """Make a scorer of the sets that a classifier predicts.

    Parameters
    ----------
    metric : {"coverage", "macro_coverage", "shot_coverage", "neg_mean_set_size"}
        What to score: :func:`set_coverage_score`, with all samples or all classes
        counting the same, :func:`shot_coverage_score` of one group, or
        :func:`mean_set_size` times -1, so that larger is better.
    confidence : float in (0, 1), default=None
        For which ``predict_set`` is asked; None is the classifier's own.
    shot : {"many", "medium", "few"} or None, default=None
        The group of "shot_coverage".
    class_count : mapping from label to number, default=None
        Number of training samples of each class, by which "shot_coverage"
        groups them, such as ``collections.Counter(y)``. In a search, those of
        all folds.
    thresholds : (float, float), default=(20, 100)
        See :func:`shot_recall_score`.

    Returns
    -------
    callable
        A scorer, with the signature ``scorer(estimator, X, y,
        sample_weight=None)``, for estimators with ``predict_set`` and
        ``classes_``, and for Pipelines and searches that end in one.

    Raises
    ------
    ValueError
        If a parameter is invalid, or ``shot`` and ``class_count`` are not given
        with "shot_coverage" alone.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sk_cbloss import ConformalClassifierCV, load_digits_lt, make_set_scorer
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> model = ConformalClassifierCV(LogisticRegression(max_iter=1000), cv=3)
    >>> smallest = make_set_scorer("neg_mean_set_size")
    >>> grid = {"estimator__C": [0.001, 1]}
    >>> GridSearchCV(model, grid, scoring=smallest, cv=3).fit(X / 16, y).best_params_
    {'estimator__C': 1}
    """
    check_choice(metric, "metric", tuple(SET_SCORES))
    if confidence is not None:
        check_open_fraction(confidence, "confidence")
    parameters = {}
    if metric == "shot_coverage":
        check_choice(shot, "shot", SHOTS)
        check_thresholds(thresholds)
        if class_count is None:
            raise ValueError("class_count must be given for metric='shot_coverage', got None.")
        parameters = {"shot": shot, "class_count": class_count, "thresholds": thresholds}
    elif shot is not None or class_count is not None:
        given = shot if shot is not None else class_count
        raise ValueError(
            "shot and class_count must be None but for metric='shot_coverage', got "
            f"{reprlib.repr(given)}."
        )
    return SetScorer(metric, confidence, parameters)


@dataclass(frozen=True, eq=False)
class SetScorer:
    """A scorer of sets."""

    metric: str
    confidence: float | None
    parameters: dict[str, Any]

    def __call__(self, estimator, X, y, sample_weight=None):
        """Return the score of the sets that an estimator predicts."""
        found, X = at_the_end(estimator, X, "predict_set")
        if found is None:
            raise TypeError(f"estimator must have predict_set, got {type(estimator).__name__}.")
        sets = found.predict_set(X, self.confidence)
        return SET_SCORES[self.metric](
            y, sets, classes=found.classes_, sample_weight=sample_weight, **self.parameters
        )
