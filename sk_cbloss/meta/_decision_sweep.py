"""Decisions along a line of class multipliers, exactly: every place where one changes.

A decision is the class of the largest `z[i, c]`, the logarithm of a probability times the class's
multiplier. If the logarithms of multipliers move along a line, each row's winners are the upper
envelope of as many lines as there are classes, and no grid is needed.
"""

from dataclasses import dataclass

import numpy as np

# Rows are followed together in pieces of no more than this many numbers.
PIECE = 2**21


@dataclass(frozen=True)
class Sweep:
    """Decisions of rows along a line, from its low end to its high one.

    Attributes
    ----------
    low, high : float
        The ends.
    start : ndarray of shape (n_rows,)
        The class decided for at the low end.
    at : ndarray of shape (n_changes,)
        Where a decision changes, sorted.
    row, old, new : ndarray of shape (n_changes,)
        Whose, from which class, and to which.
    """

    low: float
    high: float
    start: np.ndarray
    at: np.ndarray
    row: np.ndarray
    old: np.ndarray
    new: np.ndarray

    def best(self, values, *, usual=None):
        """Return where values, one for each piece of the line, are largest.

        Parameters
        ----------
        values : ndarray of shape (n_changes + 1,)
            The value before the first change, and after each.
        usual : float, default=None
            A place to take if none is better.

        Returns
        -------
        place : float
            The middle of the longest piece with the largest value, or the usual place if such a
            piece holds it.
        value : float
            The value there.
        """
        return best_place(self.low, self.high, self.at, values, usual=usual)


def best_place(low, high, at, values, *, usual=None):
    """Return where a line from low to high has the largest value, and that; see ``Sweep.best``.

    Values are those before the first of the sorted places where they change, and after each.
    """
    edges = np.concatenate([[low], at, [high]])
    # Where several decisions change at once, there is nothing between.
    real = np.diff(edges) > 1e-9 * (1 + abs(edges[1:]))
    start, end, values = edges[:-1][real], edges[1:][real], values[real]
    top = values.max()
    good = values >= top - 1e-12
    if usual is not None and (good & (start <= usual) & (usual <= end)).any():
        return usual, top
    first = np.flatnonzero(good & ~np.r_[False, good[:-1]])
    last = np.flatnonzero(good & ~np.r_[good[1:], False])
    longest = (end[last] - start[first]).argmax()
    return (start[first[longest]] + end[last[longest]]) / 2, top


def _sorted(low, high, start, at, row, old, new):
    order = at.argsort(kind="stable")
    return Sweep(low, high, start, at[order], row[order], old[order], new[order])


def sweep_all(z, slope, low, high):
    """Follow the largest of ``z + t * slope`` in each row, from t = low to t = high.

    Parameters
    ----------
    z : ndarray of shape (n_rows, n_classes)
        Logarithms; in each row one is finite.
    slope : ndarray of shape (n_classes,)
        How fast each class rises.
    low, high : float
        Where to begin and to end.

    Returns
    -------
    Sweep
        All changes.
    """
    n_rows, n_classes = z.shape
    start = np.empty(n_rows, dtype=np.intp)
    found = []
    for first in range(0, n_rows, size := max(1, PIECE // n_classes)):
        of_piece = z[first : first + size]
        start[first : first + size] = (of_piece + low * slope).argmax(axis=1)
        row = np.arange(first, first + len(of_piece))
        now, at = start[row], np.full(len(row), low)
        while len(row):
            rise = slope - slope[now, None]
            with np.errstate(divide="ignore", invalid="ignore"):
                when = (z[row, now][:, None] - z[row]) / rise
            when[~(rise > 0)] = np.inf  # only what rises faster can take over
            new = when.argmin(axis=1)
            at = np.maximum(at, when[np.arange(len(row)), new])
            goes_on = at < high
            row, at, old, new = row[goes_on], at[goes_on], now[goes_on], new[goes_on]
            found.append((at, row, old, new))
            now = new
    return _sorted(low, high, start, *map(np.concatenate, zip(*found, strict=True)))


def sweep_one(own, other, other_class, c, low, high):
    """Follow decisions while one class alone rises.

    Parameters
    ----------
    own : ndarray of shape (n_rows,)
        The logarithms of the class.
    other, other_class : ndarray of shape (n_rows,)
        The largest of all others, and whose it is.
    c : int
        The class.
    low, high : float
        By how much it rises.

    Returns
    -------
    Sweep
        All changes.
    """
    with np.errstate(invalid="ignore"):
        at = other - own
    row = np.flatnonzero((low < at) & (at < high))
    start = np.where(at <= low, c, other_class)
    return _sorted(low, high, start, at[row], row, other_class[row], np.full(len(row), c))
