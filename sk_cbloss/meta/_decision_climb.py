"""Multipliers class by class: from a start, each in turn to where the score is largest."""

import numpy as np

from sk_cbloss.meta._decision_sweep import sweep_one

# How far, in either direction, a multiplier goes from where it starts, as a logarithm.
REACH = 3.0
N_ROUNDS = 2


class Contest:
    """The two largest of each row's numbers, kept while columns change.

    Parameters
    ----------
    z : ndarray of shape (n_rows, n_classes)
        Numbers; changed in place.

    Attributes
    ----------
    first, second : ndarray of shape (n_rows,)
        The columns of the two.
    largest, next : ndarray of shape (n_rows,)
        The numbers there.
    """

    def __init__(self, z):
        self.z = z
        self.first, self.second = np.empty((2, len(z)), dtype=np.intp)
        self.largest, self.next = np.empty((2, len(z)))
        self._look_at(np.arange(len(z)))

    def _look_at(self, rows):
        z = self.z[rows]
        here = np.arange(len(rows))
        self.first[rows] = first = z.argmax(axis=1)
        self.largest[rows] = z[here, first]
        z[here, first] = -np.inf
        self.second[rows] = second = z.argmax(axis=1)
        self.next[rows] = z[here, second]

    def others(self, c):
        """Return the largest number in each row beside a class's own, and whose it is."""
        is_first = self.first == c
        return (
            np.where(is_first, self.next, self.largest),
            np.where(is_first, self.second, self.first),
        )

    def raise_by(self, c, step):
        """Add to the numbers of a class."""
        self.z[:, c] += step
        placed = (self.first == c) | (self.second == c)
        self._look_at(np.flatnonzero(placed | (self.z[:, c] >= self.next)))


def climb(z, scored):
    """Return by how much the logarithm of each class's multiplier is best raised.

    Parameters
    ----------
    z : ndarray of shape (n_rows, n_classes)
        Logarithms of probabilities times multipliers.
    scored : Scored
        Rows with labels.

    Returns
    -------
    ndarray of shape (n_classes,)
        Steps.
    """
    contest = Contest(z.copy())
    raised = np.zeros(z.shape[1])
    value = scored.value(contest.first)
    # From the most frequent class to the rarest, in an order that does not go by their names.
    order = np.lexsort([np.exp(z).sum(axis=0), -scored.true])
    order = order[scored.there[order]]
    for _ in range(N_ROUNDS):
        before = value
        for c in order:
            other, whose = contest.others(c)
            sweep = sweep_one(
                contest.z[:, c], other, whose, c, -REACH - raised[c], REACH - raised[c]
            )
            step, top = sweep.best(scored.along(sweep))
            if top > value + 1e-12:
                contest.raise_by(c, step)
                raised[c] += step
                value = top
        if value <= before + 1e-9:
            break
    return raised
