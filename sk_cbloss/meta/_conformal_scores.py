"""Conformal prediction: a class is in the set of a row that conforms to it no less than others do.

How a row conforms to a class is a score, which grows with the probability. The rows of a
calibration, whose classes are known, say which scores a class's own rows have.
"""

from dataclasses import dataclass

import numpy as np

# Of the scores of two rows that are equal, rounding may make one smaller. Ties are for the class.
TIE = 1e-12


@dataclass(frozen=True)
class Calibration:
    """Rows with known classes, as a classifier that was not fitted to them sees them.

    Attributes
    ----------
    proba : ndarray of shape (n_rows,)
        The natural probability of each row's own class.
    adjusted : ndarray of shape (n_rows,)
        The same over the class's share in what the classifier was fitted to.
    position : ndarray of shape (n_rows,)
        The position of each row's class.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.
    prior : ndarray of shape (n_classes,) or None
        Shares of the classes; None if only the rows themselves tell them.
    fitted : classifier or None
        Gives natural probabilities; None if it is the one fitted to all data.
    """

    proba: np.ndarray
    adjusted: np.ndarray
    position: np.ndarray
    weight: np.ndarray
    prior: np.ndarray | None
    fitted: object


def over_prior(p, prior):
    """Return probabilities over shares: 0 for a class that has none."""
    return np.divide(p, prior, out=np.zeros(np.shape(p)), where=np.asarray(prior) > 0)


def needed(total, confidence):
    """Return the weight that rows conforming less, or as much, must exceed.

    Of n rows and the one in question, n + 1 in all, the share 1 - confidence may conform less
    than the set asks for. Below 0 nothing is asked for.
    """
    exact = (total + 1) * (1 - confidence) - 1
    nearest = np.rint(exact)  # as 10 * (1 - 0.9) would be, were 0.9 no float
    return np.where(np.abs(exact - nearest) < 1e-9 * (total + 1), nearest, exact)


class Ranking:
    """The weight of all rows up to a score.

    Parameters
    ----------
    score : ndarray of shape (n_rows,)
        The rows' scores, >= 0.
    weight : ndarray of shape (n_rows,)
        Their weights.
    """

    def __init__(self, score, weight):
        order = np.argsort(score, kind="stable")
        self.score = score[order]
        self.weight = np.concatenate(([0.0], np.cumsum(weight[order])))

    def up_to(self, score):
        """Return the weight of the rows with no larger score."""
        return self.weight[np.searchsorted(self.score, score * (1 + TIE), side="right")]

    def threshold(self, confidence):
        """Return the smallest score that is in sets: 0 where there are too few rows to tell."""
        least = needed(self.weight[-1], confidence)
        place = np.searchsorted(self.weight[1:], least, side="right")
        return 0.0 if least < 0 or not len(self.score) else self.score[place]


def classwise(calibration, n_classes):
    """Return the Ranking of each class's own rows, by probability."""
    order = np.argsort(calibration.position, kind="stable")
    ends = np.cumsum(np.bincount(calibration.position, minlength=n_classes))[:-1]
    parts = (np.split(each[order], ends) for each in (calibration.proba, calibration.weight))
    return [Ranking(*part) for part in zip(*parts, strict=True)]


def thresholds(calibration, n_classes, confidence, *, method, interpolation):
    """Return the natural probability from which on each class is in sets, of one classifier."""
    found = _thresholds(calibration, n_classes, confidence, method, interpolation)
    return found * (1 - TIE)


def _thresholds(calibration, n_classes, confidence, method, interpolation):
    if method == "prevalence_adjusted":
        if calibration.prior is None:
            return _with_counts(calibration, n_classes, confidence)
        least = Ranking(calibration.adjusted, calibration.weight).threshold(confidence)
        never = np.where(calibration.prior > 0, 0, np.inf if least else 0)
        return least * calibration.prior + never
    plain = np.full(
        n_classes, Ranking(calibration.proba, calibration.weight).threshold(confidence)
    )
    if method == "plain":
        return plain
    own = np.array([each.threshold(confidence) for each in classwise(calibration, n_classes)])
    share = 1 if method == "classwise" else interpolation
    return share * own + (1 - share) * plain


def _with_counts(calibration, n_classes, confidence):
    """Return thresholds of probabilities over shares that the calibration's own rows tell.

    A row in question is counted among the class in question, as if it were one of them: so it
    is like any of them, and the promise exact. A class has one row more when it is in question.
    """
    known = calibration.weight > 0
    position, weight = calibration.position[known], calibration.weight[known]
    count = np.bincount(position, weight, minlength=n_classes)
    score = calibration.proba[known] / count[position]
    most = Ranking(score, weight).threshold(confidence)
    if not most:
        return np.zeros(n_classes)
    least = needed(weight.sum(), confidence)
    order = np.argsort(score)
    order = order[score[order] <= most]  # one row more makes scores smaller, never larger
    found = np.empty(n_classes)
    for c in range(n_classes):
        own, other = position == c, order[position[order] != c]
        smaller = score[own] * (count[c] / (count[c] + 1))
        ranking = Ranking(
            np.concatenate((score[other], smaller)), np.concatenate((weight[other], weight[own]))
        )
        place = np.searchsorted(ranking.weight[1:], least, side="right")
        found[c] = ranking.score[place] * (count[c] + 1)
    return found


def rule_of(calibrations, n_classes, confidences, *, method, interpolation):
    """Return what makes sets of probabilities, by all that calibrations have to say.

    Parameters
    ----------
    calibrations : list of Calibration
        Of each classifier.
    n_classes : int
        Number of classes.
    confidences : list of float
        For each, sets are made.
    method, interpolation : str and float
        As of ConformalClassifierCV.

    Returns
    -------
    callable
        Given a list of ndarrays of shape (n_samples, n_classes), what each
        classifier says, it returns sets of shape (n_confidences, n_samples,
        n_classes).
    """
    if len(calibrations) == 1:
        (calibration,) = calibrations
    elif method != "interpolated":
        return ByRank(calibrations, n_classes, confidences, method)
    else:  # of which there are thresholds, and no ranks
        calibration = pool(calibrations)
    asked = np.stack(
        [
            thresholds(calibration, n_classes, each, method=method, interpolation=interpolation)
            for each in confidences
        ]
    )
    return ByThreshold(asked, [each.weight.sum() for each in calibrations])


class ByThreshold:
    """Sets of classes whose probability reaches a threshold, by a majority of classifiers.

    Parameters
    ----------
    asked : ndarray of shape (n_confidences, n_classes)
        The thresholds.
    weight : list of float
        The classifiers' weights.
    """

    def __init__(self, asked, weight):
        self.asked = asked[:, None]
        self.weight = weight

    def __call__(self, probas):
        """Return the sets."""
        if len(probas) == 1:
            return probas[0] >= self.asked
        votes = sum(w * (p >= self.asked) for w, p in zip(self.weight, probas, strict=True))
        return votes >= sum(self.weight) / 2 * (1 - TIE)


class ByRank:
    """Sets by several classifiers, each asked about the rows that it was not fitted to.

    A row in question is compared with each row of a calibration by the classifier of that
    calibration. (Cross-conformal prediction, or CV+.)

    Parameters
    ----------
    calibrations : list of Calibration
        Of each classifier.
    n_classes : int
        Number of classes.
    confidences : list of float
        For each, sets are made.
    method : {"prevalence_adjusted", "plain", "classwise"}
        How a row conforms to a class.
    """

    def __init__(self, calibrations, n_classes, confidences, method):
        self.prior = None
        if method == "classwise":
            self.rankings = [classwise(each, n_classes) for each in calibrations]
            total = sum(np.array([each.weight[-1] for each in of]) for of in self.rankings)
        else:
            if method == "prevalence_adjusted":
                self.prior = [each.prior for each in calibrations]
            name = "proba" if self.prior is None else "adjusted"
            self.rankings = [Ranking(getattr(each, name), each.weight) for each in calibrations]
            total = sum(each.weight[-1] for each in self.rankings)
        self.asked = [needed(total, each) for each in confidences]

    def __call__(self, probas):
        """Return the sets."""
        if self.prior is not None:
            probas = map(over_prior, probas, self.prior)
        count = sum(map(_no_better, self.rankings, probas))
        return np.stack([count > each for each in self.asked])


def _no_better(ranking, score):
    """Return the weight of the rows that conform no better, for each row and class."""
    if isinstance(ranking, Ranking):
        return ranking.up_to(score)
    columns = [each.up_to(column) for each, column in zip(ranking, score.T, strict=True)]
    return np.stack(columns, axis=1)


def pool(calibrations, prior=None):
    """Return the rows of all calibrations as those of one, of a classifier fitted to all data."""
    names = ("proba", "adjusted", "position", "weight")
    return Calibration(
        *(np.concatenate([getattr(each, name) for each in calibrations]) for name in names),
        prior,
        None,
    )
