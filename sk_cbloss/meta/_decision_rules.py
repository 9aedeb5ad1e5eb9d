"""How multipliers are learned from probabilities out of fold, and what they will be worth.

A rule knows how to learn multipliers, perhaps in several ways, and how to score decisions. What is
learned on all rows is scored too well on them. So each way is also learned without a part of the
rows, and decides for that part: the best way is the one that is best there.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import check_scoring

from sk_cbloss.meta._decision_climb import climb
from sk_cbloss.meta._decision_metric import Scored

# Class by class, a multiplier goes n / (n + shrinkage) of the way, n being the class's rows;
# at infinity, tau is all there is.
SHRINKAGES = (np.inf, 300, 100, 30, 10)
# Of a score that is not known, twice as many values at most are asked for.
N_TRIED = 100


class MetricRule:
    """Multipliers for a score that is a sum over classes, or the least.

    Parameters
    ----------
    metric : Metric
        The score.
    """

    def __init__(self, metric):
        self.metric = metric

    def learn(self, data):
        """Return logarithms of multipliers, a row for each way, and the place on the line."""
        n_classes = data.z.shape[1]
        scored = Scored(self.metric, data.y, data.weight, n_classes)
        sweep, slope = data.along()
        place, value = sweep.best(scored.along(sweep))
        # Where probabilities are equal, decisions at 0 are those of no piece.
        if scored.value(data.z.argmax(axis=1)) >= value - 1e-12:
            place = 0.0
        line = place * slope
        if n_classes <= 2:  # there is nothing beside a threshold
            return line[None], place
        raised = climb(data.z + line, scored)
        n = np.bincount(data.y, data.size, minlength=n_classes)
        return part_of_the_way(line, raised, n), place

    def score(self, data, decision):
        """Return the score of decisions."""
        return Scored(self.metric, data.y, data.weight, data.z.shape[1]).score(decision)


def part_of_the_way(start, step, n):
    """Return numbers of classes, or labels, of n rows each, a row for each shrinkage of a step."""
    return start + np.array([n / (n + k) for k in SHRINKAGES]) * step


class ScorerRule:
    """Multipliers for any score of predictions, along tau.

    Parameters
    ----------
    scoring : str or callable
        The score, as scikit-learn takes it.
    classes : ndarray of shape (n_classes,)
        The labels.
    is_weighted : bool
        Whether it is asked with weights.
    """

    def __init__(self, scoring, classes, is_weighted):
        self.scoring, self.classes, self.is_weighted = scoring, classes, is_weighted

    def learn(self, data):
        """Return logarithms of multipliers, in one way, and the place on the line."""
        sweep, slope = data.along()
        edges = np.concatenate([[sweep.low], sweep.at, [sweep.high]])
        real = np.flatnonzero(np.diff(edges) > 1e-9 * (1 + abs(edges[1:])))
        usual = np.flatnonzero(edges[real] <= 0)[-1]
        values, between = {}, (-1, len(real))
        for _ in range(2):  # everywhere, and where it was best
            first, end = between[0] + 1, between[1]
            spread = np.linspace(first, end - 1, min(N_TRIED, end - first)).round().astype(int)
            tried = np.union1d(spread, [usual])
            scores = self._along(data, sweep, real[tried])
            values |= dict(zip(tried.tolist(), scores, strict=True))
            known = sorted(values, key=lambda piece: piece != usual)  # the first of equals
            best = max(known, key=values.get)
            between = (
                max((piece for piece in values if piece < best), default=-1),
                min((piece for piece in values if piece > best), default=len(real)),
            )
        piece = real[best]
        place = (edges[piece] + edges[piece + 1]) / 2
        # Where probabilities are equal, decisions at 0 are those of no piece.
        if self.score(data, data.z.argmax(axis=1)) >= values[best]:
            place = 0.0
        return (place * slope)[None], place

    def _along(self, data, sweep, pieces):
        """Return the scores of decisions on some pieces of a Sweep, in their order."""
        decision, done, scores = sweep.start.copy(), 0, []
        for piece in pieces:
            new = slice(done, piece)
            decision[sweep.row[new]] = sweep.new[new]  # of a row's changes, the last one stays
            done = piece
            scores.append(self.score(data, decision))
        return scores

    def check(self, y, sample_weight):
        """Raise an error if the score cannot be asked for of labels and predictions."""
        y = np.asarray(y)
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        try:
            self._ask(y, y, weight)
        except TypeError as error:
            if not self.is_weighted:
                raise
            raise TypeError(
                "metric must take sample_weight where samples have weights or classes have a "
                f"target_prior, got {self.scoring!r}, which says: {error}"
            ) from error
        except (AttributeError, IndexError, KeyError) as error:  # of features, or a classifier's
            raise ValueError(
                "metric must score predictions alone, by labels and weights, got "
                f"{self.scoring!r}, which asks for more: {error}"
            ) from error

    def score(self, data, decision):
        """Return the score of decisions."""
        return self._ask(self.classes[data.y], self.classes[decision], data.weight)

    def _ask(self, y, predicted, weight):
        given = _GivenLabels(self.classes)
        scorer = check_scoring(given, scoring=self.scoring)
        weight = {"sample_weight": weight} if self.is_weighted else {}
        return float(scorer(given, predicted, y, **weight))


class _GivenLabels(ClassifierMixin, BaseEstimator):
    """A classifier that is given its own predictions, for scorers."""

    def __init__(self, classes):
        self.classes = self.classes_ = classes

    def fit(self, X, y):
        """Do nothing."""
        return self

    def predict(self, X):
        """Return what is given."""
        return X

    @property
    def predict_proba(self):
        """Refuse a score of probabilities, which decisions do not change."""
        raise ValueError(
            "metric must score predictions alone, got one that asks for probabilities or scores, "
            "which no decision changes."
        )

    predict_log_proba = decision_function = predict_proba


@dataclass(frozen=True)
class Learned:
    """What a rule has learned.

    Attributes
    ----------
    log_multiplier : ndarray of shape (n_classes,)
        Logarithms of the multipliers.
    place : float
        The place on the line of tau, or of thresholds.
    way : int
        Which of the rule's ways is the best one.
    decision, honest : ndarray of shape (n_rows,)
        Decisions, by these multipliers and by those learned without each row.
    """

    log_multiplier: np.ndarray
    place: float
    way: int
    decision: np.ndarray
    honest: np.ndarray


def learned(rule, data, parts):
    """Learn multipliers in the way that is best on rows it was not learned from.

    Parameters
    ----------
    rule : MetricRule or another
        The rule.
    data : LeftOut
        Rows.
    parts : list of pairs of arrays
        Rows to learn from, and rows to decide for.

    Returns
    -------
    Learned
        Multipliers and decisions.
    """
    ways, place = rule.learn(data)
    honest = np.tile(data.z.argmax(axis=1), (len(ways), 1))  # from a single row nothing is learned
    for others, part in parts:
        of_part, _ = rule.learn(data.some(others))
        for decision, one in zip(honest, of_part, strict=True):
            decision[part] = (data.z[part] + one).argmax(axis=1)
    way = _best(rule, data, honest)
    decision = (data.z + ways[way]).argmax(axis=1)
    # The choice of a way is learned, too: so for each part by the others.
    expected = honest[way].copy()
    for others, part in parts:
        of_part = _best(rule, data.some(others), honest[:, others])
        expected[part] = honest[of_part, part]
    return Learned(ways[way], place, way, decision, expected)


def _best(rule, data, decisions):
    """Return which decisions score best, the first of equals."""
    if len(decisions) == 1:
        return 0
    return int(np.argmax([rule.score(data, each) for each in decisions]))
