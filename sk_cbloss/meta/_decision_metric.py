"""Scores of decisions that are sums, or the least, of a number for each class."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Metric:
    """A score of decisions.

    Attributes
    ----------
    of_class : callable
        Returns what a class adds, from the weights of its hits, of the decisions for it and of its
        rows.
    is_least : bool, default=False
        Whether the score is that of the class where it is least, rather than the mean.
    shown : callable, default=None
        Makes the score of the classes' numbers, if it is not what is made large.
    """

    of_class: Callable
    is_least: bool = False
    shown: Callable | None = None


def _recall(hit, decided, true):
    return hit / true


def _f1(hit, decided, true):
    return 2 * hit / (decided + true)


# What a class that is never found counts as: then the product of the others' decides.
NEVER = 1e-9


def _log_recall(hit, decided, true):
    return np.log(np.maximum(hit / true, NEVER))


def _geometric_mean(log_recall):
    return np.exp(log_recall.mean()) if log_recall.min() > np.log(NEVER) else 0.0


METRICS = {
    "balanced_accuracy": Metric(_recall),
    "f1_macro": Metric(_f1),
    "geometric_mean": Metric(_log_recall, shown=_geometric_mean),
    "worst_class_recall": Metric(_recall, is_least=True),
}


def counts(y, decision, weight, n_classes):
    """Return the weights of each class's hits, and of the decisions for it."""
    hit = y == decision
    return (
        np.bincount(y[hit], weight[hit], minlength=n_classes),
        np.bincount(decision, weight, minlength=n_classes),
    )


def recalls(y, decision, weight, n_classes):
    """Return each class's recall, NaN where it has no rows."""
    hit, _ = counts(y, decision, weight, n_classes)
    true = np.bincount(y, weight, minlength=n_classes)
    return np.where(true > 0, hit / np.where(true > 0, true, 1), np.nan)


class Scored:
    """Rows with labels and weights, of which decisions are scored.

    Parameters
    ----------
    metric : Metric
        The score.
    y : ndarray of shape (n_rows,)
        Positions of the true classes.
    weight : ndarray of shape (n_rows,)
        Weights of the rows.
    n_classes : int
        Number of classes; those without rows take no part.
    """

    def __init__(self, metric, y, weight, n_classes):
        self.metric, self.y, self.weight = metric, y, weight
        self.true = np.bincount(y, weight, minlength=n_classes)
        self.there = self.true > 0

    def value(self, decision):
        """Return the number to make large."""
        values = self._of_classes(*self._counts(decision))[self.there]
        return values.min() if self.metric.is_least else values.mean()

    def score(self, decision):
        """Return the score of decisions."""
        if self.metric.shown is None:
            return float(self.value(decision))
        return float(self.metric.shown(self._of_classes(*self._counts(decision))[self.there]))

    def _counts(self, decision):
        return counts(self.y, decision, self.weight, len(self.true))

    def _of_classes(self, hit, decided):
        true = np.where(self.there, self.true, 1)
        return self.metric.of_class(hit, decided, true)

    def along(self, sweep):
        """Return the value before the first change of a Sweep, and after each.

        Each change touches two classes, so that each class has a short list of its own values.
        """
        hit, decided = self._counts(sweep.start)
        n_changes = len(sweep.at)
        # Each change twice, in order: for the class that loses a row, and the one that wins it.
        c = np.stack([sweep.old, sweep.new], axis=1).ravel()
        c = c.astype(np.min_scalar_type(len(self.true)))  # which sorts faster
        order = c.argsort(kind="stable")
        c, change, loses = c[order], order // 2, order % 2 == 0
        weight, y = self.weight[sweep.row[change]], self.y[sweep.row[change]]
        step = np.where(loses, -weight, weight)
        begins = np.r_[True, c[1:] != c[:-1]][: len(c)]
        hit_now = hit[c] + _sum_within(step * (y == c), begins)
        decided_now = decided[c] + _sum_within(step, begins)
        true = np.where(self.there, self.true, 1)
        now = self.metric.of_class(hit_now, decided_now, true[c])
        first = self._of_classes(hit, decided)
        if self.metric.is_least:
            return self._least(first, c, change, now, n_changes)
        before = np.where(begins, first[c], np.r_[0, now[:-1]][: len(now)])
        # A class without rows has no hits, and so none to gain.
        gains = np.bincount(change, now - before, minlength=n_changes)
        total = first[self.there].sum() + np.r_[0, np.cumsum(gains)]
        return total / self.there.sum()

    def _least(self, first, c, change, now, n_changes):
        least = np.full(n_changes + 1, np.inf)
        ends = np.searchsorted(c, np.arange(len(first) + 1))
        for k in np.flatnonzero(self.there):
            own = slice(ends[k], ends[k + 1])
            length = np.diff(np.r_[0, change[own] + 1, n_changes + 1])
            np.minimum(least, np.repeat(np.r_[first[k], now[own]], length), out=least)
        return least


def _sum_within(steps, begins):
    """Return sums of the steps so far, each stretch for itself."""
    total = np.cumsum(steps)
    at = np.flatnonzero(begins)
    before = np.r_[0, total[at[1:] - 1]][: len(at)]
    return total - np.repeat(before, np.diff(np.r_[at, len(steps)]))
