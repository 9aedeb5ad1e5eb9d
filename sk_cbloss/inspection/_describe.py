"""A long tail in words."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from sk_cbloss.inspection._counts import read_counts
from sk_cbloss.inspection._text import beta_text, number, several
from sk_cbloss.metrics import SHOTS, shots_of
from sk_cbloss.weights import beta_grid, effective_number

N_SHOWN = 5  # labels by name
CLOSE = 1.1  # weights that differ by less than 10 % count as alike


@dataclass(frozen=True, repr=False)
class LongTail:
    """What there is to know about the classes of some labels.

    Printed, it reads as text. :func:`describe_long_tail` makes it.

    Parameters
    ----------
    class_count : dict from label to number
        Number of samples of each class, from head to tail.
    shots : dict from group name to list of labels
        The classes with many, a medium number of, and few samples.
    thresholds : (float, float)
        What bounds the groups.
    beta_range : (float, float) or None
        Below the first, all classes count alike to 10 %; above the second,
        they count as by inverse frequency, to 10 %. None if classes are of
        about one size, and no beta matters.
    betas : ndarray of float
        A grid to search, limits included.
    n_rows : int, default=None
        Number of samples, where each may have several labels, or none; None where each has one.
    not_there : tuple, default=()
        Labels that no sample has.
    labels_a_sample : float, default=None
        Mean number of labels that a sample has, each label's share of the samples of which it is
        known; None where each has one.

    Attributes
    ----------
    n_samples : float
        Number of samples.
    n_classes : int
        Number of classes.
    imbalance_factor : float
        Largest over smallest count.

    See Also
    --------
    describe_long_tail : Makes one from labels.

    Examples
    --------
    >>> from sk_cbloss import describe_long_tail
    >>> tail = describe_long_tail(["cat"] * 900 + ["dog"] * 90 + ["yak"] * 9)
    >>> tail.imbalance_factor
    100.0
    >>> tail.shots["few"]
    ['yak']
    """

    class_count: dict
    shots: dict
    thresholds: tuple
    beta_range: tuple | None
    betas: np.ndarray
    n_rows: int | None = None
    not_there: tuple = ()
    labels_a_sample: float | None = None

    @property
    def n_samples(self):
        return sum(self.class_count.values()) if self.n_rows is None else self.n_rows

    @property
    def n_classes(self):
        return len(self.class_count)

    @property
    def imbalance_factor(self):
        counts = self.class_count.values()
        return max(counts) / min(counts)

    def __repr__(self):
        labels, counts = list(self.class_count), list(self.class_count.values())
        few_below, many_above = map(number, self.thresholds)
        bounds = {
            "many": f"more than {many_above} samples",
            "medium": f"{few_below} to {many_above}",
            "few": f"fewer than {few_below}",
        }
        kind = "class" if self.n_rows is None else "label"
        lines = [
            f"{several(self.n_samples, 'sample')} of {several(self.n_classes, kind)}, "
            f"from {number(counts[0])} ({_shown(labels[0])}) to {number(counts[-1])} "
            f"({_shown(labels[-1])}); "
            f"imbalance factor {number(self.imbalance_factor)}"
        ]
        if self.n_rows is not None:
            lines[0] += f"; {several(self.labels_a_sample, 'label')} a sample"
        for shot, labels in self.shots.items():
            n_samples = sum(self.class_count[label] for label in labels)
            share = f", {several(n_samples, 'sample')}" if labels and kind == "class" else ""
            lines.append(f"  {shot}-shot ({bounds[shot]}): {several(len(labels), kind)}{share}")
        if self.not_there:
            lines.append(
                f"  no sample: {several(len(self.not_there), kind)}, {_listed(self.not_there)}"
            )
        if alike := _alike(self.class_count):
            lines.append(f"  alike but for case or blanks: {_listed(alike)}")
        sides = "" if self.n_rows is None else " of the samples without and with each label"
        if self.beta_range is None:
            what = "Both sides of each label" if sides else "Classes"
            lines.append(f"{what} are of about one size: beta changes nothing.")
        else:
            low, high = map(_rounded, self.beta_range)
            lines.append(
                f"Weights{sides}, to 10 %: alike up to beta {low}, inverse frequency from {high} "
                "on."
            )
            grid = ", ".join(_rounded(beta) for beta in self.betas)
            lines.append(f"A grid to search: {grid}")
        return "\n".join(lines)


def describe_long_tail(y, *, thresholds=(20, 100), n_betas=6):
    """Say in words how long-tailed labels are, and which beta to try.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_labels)
        Class labels. Of several a sample, a matrix of 0 and 1, with a column for each: betas are
        then for the two sides of each label, and labels that no sample has are named apart.
        Names that differ in case or blanks alone are named, too: they are classes of their own.
    thresholds : (float, float), default=(20, 100)
        Few-shot classes have fewer samples than the first number, many-shot
        classes more than the second.
    n_betas : int, default=6
        Number of values of beta in the grid, between the limits.

    Returns
    -------
    LongTail
        Prints as text, and has the numbers as attributes.

    Raises
    ------
    ValueError
        If y holds no labels, or a parameter is invalid.

    See Also
    --------
    LongTailDisplay : The same as a picture.
    beta_grid : The grid.

    Examples
    --------
    >>> from sk_cbloss import describe_long_tail, load_digits_lt
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> describe_long_tail(y)
    431 samples of 10 classes, from 128 (0) to 6 (9); imbalance factor 21.3
      many-shot (more than 100 samples): 1 class, 128 samples
      medium-shot (20 to 100): 5 classes, 260 samples
      few-shot (fewer than 20): 4 classes, 43 samples
    Weights, to 10 %: alike up to beta 0.67, inverse frequency from 0.9984 on.
    A grid to search: 0, 0.67, 0.901, 0.97, 0.9912, 0.9974, 0.99922, 1
    """
    by_name, n_known, n_rows = read_counts(y)
    named = {label: n for label, n in by_name.items() if n}
    labels = sorted(named, key=named.get, reverse=True)  # stable: classes of one size keep order
    count = np.array([named[label] for label in labels])
    groups = shots_of(count, thresholds)
    shots = {shot: [labels[i] for i in np.flatnonzero(groups == shot)] for shot in SHOTS}
    labels_a_sample = None
    if n_known is None:
        weighted, pairs = count, [(count.max(), count.min())]
    else:
        of_known = dict(zip(by_name, n_known, strict=True))
        known = np.array([of_known[label] for label in labels])
        # In this order, rounding leaves a whole number whole.
        labels_a_sample = float((count * (n_rows / known)).sum() / n_rows)
        without = known - count
        weighted = np.concatenate([count, without])
        pairs = {(max(pair), min(pair)) for pair in zip(count, without, strict=True) if all(pair)}
    ranges = [found for pair in pairs if (found := _range_of(*pair)) is not None]
    lows, highs = zip(*ranges, strict=True) if ranges else ((), ())
    return LongTail(
        class_count=dict(zip(labels, count.tolist(), strict=True)),
        shots=shots,
        thresholds=tuple(thresholds),
        beta_range=(min(lows), max(highs)) if ranges else None,
        betas=beta_grid(weighted, n_betas=n_betas, include_limits=True),
        n_rows=n_rows,
        not_there=tuple(label for label, n in by_name.items() if not n),
        labels_a_sample=labels_a_sample,
    )


def _range_of(most, least):
    """Return where the weights' ratio is a tenth above 1, and a tenth below the counts'."""
    if most < CLOSE**2 * least:  # a tenth from either end
        return None

    def ratio(volume):
        most_, least_ = effective_number([most, least], beta=1 - 1 / volume)
        return np.log(most_ / least_)

    ends = [np.log(CLOSE), np.log(most / least / CLOSE)]
    found = []
    for end in ends:
        at = brentq(lambda log_n, end=end: ratio(np.exp(log_n)) - end, 0, np.log(1e6 * most))
        found.append(float(1 - np.exp(-at)))
    return tuple(found)


def _alike(labels):
    """Return the labels that are the same words, as of tables that people fill in by hand."""
    by_words = {}
    for label in labels:
        if isinstance(label, str):
            by_words.setdefault(" ".join(label.casefold().split()), []).append(label)
    return [label for same in by_words.values() if len(same) > 1 for label in same]


def _listed(labels):
    more = ", ..." if len(labels) > N_SHOWN else ""
    return ", ".join(map(_shown, labels[:N_SHOWN])) + more


def _rounded(beta):
    return beta_text(beta).split(",")[0]


def _shown(label):
    return str(label) if isinstance(label, np.generic) else repr(label)  # of numpy's dates
