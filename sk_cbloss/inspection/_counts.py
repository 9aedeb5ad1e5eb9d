"""Class counts from labels, a mapping or a list, from head to tail."""

from typing import NamedTuple

import numpy as np

from sk_cbloss._indicator import is_indicator, read_indicator
from sk_cbloss._labels import by_name, counts_by_label
from sk_cbloss._validation import check_each, check_fraction, check_named_count
from sk_cbloss.inspection._figure import make_room
from sk_cbloss.inspection._text import SAID, are_cut, plain_names, several
from sk_cbloss.weights import check_label_count

# With more classes than this, ticks name ranks rather than labels.
MAX_NAMED = 16


class Counts(NamedTuple):
    """The classes that have samples, the largest first, and how many have none."""

    labels: np.ndarray
    count: np.ndarray
    without: np.ndarray | None = None
    n_empty: int = 0


def read_counts(y):
    """Return the counts of labels by their names.

    Of several a sample, also the numbers of samples of which each is known, and of all samples;
    else None and None.
    """
    if not is_indicator(y):
        return counts_by_label(y), None, None
    indicator = read_indicator(y)
    count = indicator.count()
    if not count[:, 1].any():
        raise ValueError(f"y must hold a label that a sample has, got none of {len(count)}.")
    named = by_name(indicator.names, count[:, 1].astype(int))
    return named, count.sum(axis=1), indicator.values.shape[0]


def counts_of(class_count, n_samples=None):
    """Return class counts from head to tail; without names, positions are the labels.

    Where a sample may have several labels, n_samples is the number of all, or of those that are
    known of each label.
    """
    labels, count = check_named_count(class_count)
    without = None if n_samples is None else check_label_count(count, n_samples)[:, 0]
    labels = np.array([str(label) for label in (range(len(count)) if labels is None else labels)])
    order = np.argsort(-count, kind="stable")
    order = order[count[order] > 0]
    without = None if without is None else without[order]
    return Counts(labels[order], count[order], without, len(count) - len(order))


def check_betas(betas):
    """Return a list of betas, each in [0, 1]."""
    return check_each(betas, "betas", check_fraction)


def of_empty(n_empty, kind):
    """Return what an axis says of classes that have no samples, and so no place on it."""
    return f"\n{several(n_empty, kind.lower())} without samples" if n_empty else ""


def name_classes(ax, labels, name_length, kind="Class", n_empty=0):
    """Label an axis of classes, one at each position from 1, by names or by ranks."""
    n_classes = len(labels)
    if n_classes <= MAX_NAMED:
        names = plain_names(labels, name_length)
        lengths = [len(name) for name in names]
        is_long = max(lengths) > 4 and n_classes * max(lengths) > 50
        turned = {"ha": "right", "rotation_mode": "anchor"} if is_long else {}
        turned["rotation"] = (60 if max(lengths) > 24 else 35) if is_long else 0
        ax.set_xticks(range(1, n_classes + 1), names, **turned)
        said = f"; {SAID}" if are_cut(labels, name_length) else ""
        ax.set_xlabel(f"{kind}, from head to tail{said}{of_empty(n_empty, kind)}")
    else:
        ax.set_xlabel(f"{kind}, by rank from head to tail{of_empty(n_empty, kind)}")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.xaxis.set_major_formatter("{x:,.0f}")
    margin = max(0.6, 0.01 * n_classes)
    ax.set_xlim(1 - margin, n_classes + margin)
    make_room(ax)
