"""Conformal prediction: a class is in the set of a row that conforms to it no less than others do.

How a row conforms to a class is a score, which grows with the probability. The rows of a
calibration, whose classes are known, say which scores a class's own rows have.
"""

from dataclasses import dataclass

import numpy as np

# Of the scores of two rows that are equal, rounding may make one smaller: a net in float32 adds up
# in another order for many rows than for one. Ties are for the class.
TIE = 1e-5


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


def why_all(calibrations, confidence, method):
    """Say why every set holds every class, or return None.

    Parameters
    ----------
    calibrations : list of Calibration
        Of which half decide.
    confidence : float
        Of the sets.
    method : str
        How rows conform to classes.

    Returns
    -------
    str or None
        The beginning of a sentence.
    """
    total = np.array([each.weight.sum() for each in calibrations])
    impossible = np.array([each.weight[each.proba == 0].sum() for each in calibrations])
    least = needed(total, confidence)
    half = len(calibrations) / 2
    if (few := least < 0).sum() >= half:
        rows = np.ceil(confidence / (1 - confidence) - 1e-9)
        where = " in a fold" if len(total) > 1 else ""
        return (
            f"confidence={confidence:g} needs {rows:,.0f} rows to calibrate by{where}, got "
            f"{total[few].max():,g}"
        )
    # Their own class is to be in the sets of some of them, and then any is; but class by class.
    if method not in ("classwise", "interpolated") and (few | (impossible > least)).sum() >= half:
        share = impossible.sum() / total.sum()
        return (
            f"confidence={confidence:g} is out of reach of a classifier by which the own class of "
            f"{share:.2g} of the rows to calibrate by is impossible"
        )
    return None


class Ranking:
    """The rows of a calibration, by score.

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
        self.up_to = np.cumsum(weight[order])

    def threshold(self, confidence):
        """Return the smallest score that is in sets: 0 where there are too few rows to tell."""
        least = needed(self.up_to[-1] if len(self.up_to) else 0, confidence)
        return 0.0 if least < 0 or not len(self.score) else self.beyond(least)

    def beyond(self, least):
        """Return the smallest score up to which rows have more weight than that, or the last."""
        place = np.searchsorted(self.up_to, least, side="right")
        return self.score[min(place, len(self.score) - 1)]


def classwise(calibration, n_classes):
    """Return the Ranking of each class's own rows, by probability."""
    order = np.argsort(calibration.position, kind="stable")
    ends = np.cumsum(np.bincount(calibration.position, minlength=n_classes))[:-1]
    parts = (np.split(each[order], ends) for each in (calibration.proba, calibration.weight))
    return [Ranking(*part) for part in zip(*parts, strict=True)]


def thresholds(calibration, n_classes, confidence, *, method, interpolation):
    """Return the natural probability from which on each class is in sets."""
    if method == "prevalence_adjusted" and calibration.prior is None:
        return _with_counts(calibration, n_classes, confidence) * (1 - TIE)
    if method == "prevalence_adjusted":
        least = Ranking(calibration.adjusted, calibration.weight).threshold(confidence)
        never = np.where(calibration.prior > 0, 0, np.inf if least else 0)
        return least * calibration.prior * (1 - TIE) + never
    plain = Ranking(calibration.proba, calibration.weight).threshold(confidence)
    if method == "plain":
        return np.full(n_classes, plain * (1 - TIE))
    own = np.array([each.threshold(confidence) for each in classwise(calibration, n_classes)])
    share = 1 if method == "classwise" else interpolation
    return (share * own + (1 - share) * plain) * (1 - TIE)


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
        found[c] = ranking.beyond(least) * (count[c] + 1)
    return found


def vote(probas, asked):
    """Return sets of the classes whose probability reaches its threshold, by half of the votes.

    Parameters
    ----------
    probas : list of ndarray of shape (n_samples, n_classes)
        What each classifier says.
    asked : list of ndarray of shape (n_confidences, n_classes)
        Its thresholds.

    Returns
    -------
    ndarray of shape (n_confidences, n_samples, n_classes), dtype bool
        Whether a class is in a set.
    """
    sets = (p >= least[:, None] for p, least in zip(probas, asked, strict=True))
    return next(sets) if len(probas) == 1 else 2 * sum(map(np.int32, sets)) >= len(probas)


def pool(calibrations, prior):
    """Return the rows of all calibrations as those of one, of a classifier with a prior."""
    names = ("proba", "adjusted", "position", "weight")
    return Calibration(
        *(np.concatenate([getattr(each, name) for each in calibrations]) for name in names),
        prior,
        None,
    )
