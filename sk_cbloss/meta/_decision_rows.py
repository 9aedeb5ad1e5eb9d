"""The rows that folds leave out, with their probabilities, and which of them to learn from."""

from dataclasses import dataclass, replace

import numpy as np

from sk_cbloss.meta._decision_sweep import sweep_all
from sk_cbloss.meta._natural import normalized

TAU_MAX = 2.0
# Where no folds tell which rows belong together, rows are dealt into so many parts.
N_PARTS = 5


@dataclass(frozen=True)
class LeftOut:
    """Rows that folds left out, perhaps several times.

    Attributes
    ----------
    z : ndarray of shape (n_rows, n_classes)
        Logarithms of their probabilities.
    y : ndarray of shape (n_rows,)
        Positions of their classes.
    weight : ndarray of shape (n_rows,)
        Their weights, where classes are as frequent as the target's.
    size : ndarray of shape (n_rows,)
        Their weights in the training data, which tell how many rows a class has.
    log_prior : ndarray of shape (n_classes,)
        Logarithms of the classes' frequencies.
    """

    z: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    size: np.ndarray
    log_prior: np.ndarray

    def some(self, rows):
        """Return some of the rows."""
        names = ("z", "y", "weight", "size")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def along(self):
        """Return the decisions along tau; of two classes, along every threshold."""
        slope = -np.where(np.isfinite(self.log_prior), self.log_prior, 0)
        if len(slope) != 2:
            return sweep_all(self.z, slope, 0.0, TAU_MAX), slope
        slope = np.array([0.0, 1.0])
        odds = self.z[:, 0] - self.z[:, 1]
        odds = odds[np.isfinite(odds)]
        reach = 1 + abs(odds).max(initial=0)
        return sweep_all(self.z, slope, -reach, reach), slope


def left_out(folds, y, whole, change):
    """Return the rows left out, and which to learn from and to decide for by turns.

    Parameters
    ----------
    folds : list of Fold
        Natural probabilities.
    y : ndarray of shape (n_samples,)
        Labels of all samples.
    whole : OutOfFoldMixin
        Fitted to all data.
    change : ndarray of shape (n_classes,)
        How many times as frequent as in the training data each class is where decisions are made.

    Returns
    -------
    data : LeftOut
        The rows whose weight is not 0.
    parts : list of pairs of ndarray
        Their positions.
    """
    row = np.concatenate([fold.rows for fold in folds])
    p = np.zeros((len(row), len(whole.classes_)))
    end = 0
    for fold in folds:
        begin, end = end, end + len(fold.rows)
        p[begin:end, np.searchsorted(whole.classes_, fold.classes_)] = fold.proba  # lacks some
    position = np.searchsorted(whole.classes_, y[row])
    size = 1 / np.bincount(row, minlength=len(y))[row]
    if folds[0].sample_weight is not None:
        size *= np.concatenate([fold.sample_weight for fold in folds])
    weight = size * change[position]
    some = weight > 0
    if not some.any():
        raise ValueError(
            "sample_weight must not be 0 for every sample that folds leave out, got only zeros."
        )
    prior = whole.class_count_ * change
    with np.errstate(divide="ignore"):
        z = np.log(normalized(p[some] * change, prior > 0))
        log_prior = np.log(prior / prior.sum())
    data = LeftOut(z, position[some], weight[some], size[some], log_prior)
    fold = np.repeat(np.arange(len(folds)), [len(fold.rows) for fold in folds])
    return data, parts_of(row[some], fold[some], data.y)


def parts_of(row, fold, y):
    """Return which rows to learn from and which to decide for, so that none is in both.

    Parameters
    ----------
    row : ndarray of shape (n_left_out,)
        Which sample each is; one may be left out several times.
    fold : ndarray of shape (n_left_out,)
        By which fold.
    y : ndarray of shape (n_left_out,)
        Positions of the classes.

    Returns
    -------
    list of pairs of ndarray
        Positions.
    """
    parts = [_apart(row, fold == f) for f in np.unique(fold)]
    if len(parts) == 1 or not all(len(others) for others, _ in parts):
        dealt = _dealt(row, y)
        parts = [_apart(row, dealt == part) for part in np.unique(dealt)]
    return [(others, part) for others, part in parts if len(others)]


def _apart(row, here):
    return np.flatnonzero(~np.isin(row, row[here])), np.flatnonzero(here)


def _dealt(row, y):
    """Return a part for each row, each class dealt out evenly."""
    samples, first, back = np.unique(row, return_index=True, return_inverse=True)
    part = np.empty(len(samples), dtype=np.intp)
    part[y[first].argsort(kind="stable")] = np.arange(len(samples)) % N_PARTS
    return part[back]
