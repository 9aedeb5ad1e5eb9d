"""The least multipliers that reach given recalls.

To raise a class's multiplier raises its own recall and lowers the others'. So of two sets of
multipliers that reach all recalls, so do the smaller ones of either, class by class; and there are
least ones, which cost the least accuracy. From 1 on, whatever is too small is raised to what it
needs at least beside the others, exactly, until nothing is too small.

That is best where probabilities are right. Where they are not, a class may gain from more than it
needs; so each that needs some is also raised, in turn, to where accuracy is highest.
"""

import reprlib

import numpy as np

from sk_cbloss._labels import names_of
from sk_cbloss._validation import as_named, check_fraction
from sk_cbloss.meta._decision_climb import REACH, Contest
from sk_cbloss.meta._decision_metric import Metric, Scored, recalls
from sk_cbloss.meta._decision_sweep import sweep_one

N_ROUNDS = 300
N_HALVINGS = 10
# So many classes are named that keep recalls out of reach.
N_NAMED = 6


def _hits(hit, decided, true):
    return hit


def recalls_of(min_recall, classes):
    """Return the recalls asked for, NaN of a class of which none is."""
    named = as_named(min_recall, "min_recall")
    if named is None and (isinstance(min_recall, str) or np.ndim(min_recall)):
        raise ValueError(
            "min_recall must be a number in [0, 1], or a mapping from labels to such, got "
            f"{reprlib.repr(min_recall)}."
        )
    if named is None:
        return np.full(len(classes), check_fraction(min_recall, "min_recall"))
    labels = names_of(classes)
    if not named:
        raise ValueError("min_recall must name at least one class, got none.")
    for label in named:
        if label not in labels:
            raise ValueError(f"min_recall must name classes of y, got {label!r}.")
    recalls = [
        check_fraction(named[label], f"min_recall of {label!r}") if label in named else np.nan
        for label in labels
    ]
    return np.array(recalls)


class RecallRule:
    """The highest accuracy with given recalls, by multipliers of the classes that need them.

    Parameters
    ----------
    recall : ndarray of shape (n_classes,)
        The least recalls, NaN of a class of which none is asked for.
    """

    def __init__(self, recall):
        self.recall = recall

    def learn(self, data):
        """Return logarithms of multipliers in two ways, the least and the most accurate.

        Of recalls that are out of reach, those that are nearest.
        """
        recall = self.recall
        found = least(data, recall)
        if found is None:
            found, share = nearest(data, recall)
            recall = share * recall
        return np.array([found, found + further(data, recall, found)]), 0.0

    def score(self, data, decision):
        """Return the accuracy of decisions."""
        return float(np.average(decision == data.y, weights=data.weight))


def least(data, recall):
    """Return the least multipliers that reach recalls, as logarithms, or None if none do.

    Parameters
    ----------
    data : LeftOut
        Rows.
    recall : ndarray of shape (n_classes,)
        Recalls, or NaN.

    Returns
    -------
    ndarray of shape (n_classes,) or None
        Logarithms, >= 0.
    """
    own = {}
    for c in np.flatnonzero(recall > 0):
        rows = np.flatnonzero(data.y == c)
        if len(rows):  # some rows may have none of a class that all have
            own[c] = data.z[rows], data.weight[rows]
    finite = data.z[np.isfinite(data.z)]
    limit = 1 + (1 + len(own)) * (finite.max(initial=0) - finite.min(initial=0))
    log_multiplier = np.zeros(len(recall))
    for _ in range(N_ROUNDS):
        rose = False
        for c, (z, weight) in own.items():
            needed = _needed(z + log_multiplier, weight, c, recall[c]) + log_multiplier[c]
            if needed > limit:
                return None
            if needed > log_multiplier[c]:
                log_multiplier[c], rose = needed, True
        if not rose:
            return log_multiplier
    return None


def _needed(z, weight, c, recall):
    """Return by how much a class must rise so that enough of its own rows are decided for it."""
    others = np.delete(z, c, axis=1).max(axis=1, initial=-np.inf)
    with np.errstate(invalid="ignore"):
        behind = others - z[:, c]
    behind = np.where(np.isneginf(z[:, c]), np.inf, behind)
    order = behind.argsort()
    reached = np.cumsum(weight[order])
    last = np.searchsorted(reached, recall * reached[-1] * (1 - 1e-12))
    needed = behind[order[last]]
    # A little beyond, so that it wins.
    return needed + 1e-9 * (1 + abs(needed)) if np.isfinite(needed) else needed


def nearest(data, recall):
    """Return multipliers that reach the same share of all recalls, and the share."""
    low, high, found = 0.0, 1.0, np.zeros(len(recall))
    for _ in range(N_HALVINGS):
        share = (low + high) / 2
        one = least(data, share * recall)
        if one is None:
            high = share
        else:
            low, found = share, one
    return found, low


def further(data, recall, found):
    """Return by how much more to raise classes for accuracy, while all recalls are reached.

    Parameters
    ----------
    data : LeftOut
        Rows.
    recall : ndarray of shape (n_classes,)
        Recalls, or NaN.
    found : ndarray of shape (n_classes,)
        Logarithms of multipliers that reach them.

    Returns
    -------
    ndarray of shape (n_classes,)
        Steps >= 0.
    """
    n_classes = len(recall)
    true = np.bincount(data.y, data.weight, minlength=n_classes)
    # Weighted so, a class's hits are its recall over the one asked for; others have none.
    asked = np.where(recall > 0, true * recall, np.inf)
    share = Scored(Metric(_hits, is_least=True), data.y, data.weight / asked[data.y], n_classes)
    accuracy = Scored(Metric(_hits), data.y, data.weight, n_classes)
    contest = Contest(data.z + found)
    raised = np.zeros(n_classes)
    for c in np.flatnonzero(found > 0):
        other, whose = contest.others(c)
        sweep = sweep_one(contest.z[:, c], other, whose, c, 0.0, REACH)
        values = np.where(share.along(sweep) >= 1 - 1e-9, accuracy.along(sweep), -np.inf)
        step, _ = sweep.best(values, usual=0.0)
        if step:
            contest.raise_by(c, step)
            raised[c] = step
    return raised


def check_within_reach(data, recall, classes, asked, name):
    """Raise a ValueError unless recalls can be reached together."""
    constrained = np.flatnonzero(recall > 0)
    labels = names_of(classes)
    there = np.bincount(data.y, data.weight, minlength=len(classes)) > 0
    for c in constrained[~there[constrained]]:
        raise ValueError(
            f"cv must leave out samples of every class of min_recall, got none of {labels[c]!r}."
        )
    if least(data, recall) is not None:
        return
    found, _ = nearest(data, recall)
    reached = recalls(data.y, (data.z + found).argmax(axis=1), data.weight, len(classes))
    worst = constrained[np.argsort(reached[constrained] - recall[constrained])[:N_NAMED]]
    shown = ", ".join(f"{reached[c]:.3g} for {labels[c]!r}" for c in sorted(worst))
    if len(constrained) > len(worst):
        shown += f" (and {len(constrained) - len(worst)} others that are nearer)"
    raise ValueError(
        f"min_recall must be within reach of the model: out of fold, {name} reaches together "
        f"no more than {shown}, got {reprlib.repr(asked)}."
    )
