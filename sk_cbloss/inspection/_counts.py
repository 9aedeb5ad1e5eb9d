"""Class counts from labels, a mapping or a list, from head to tail."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sk_cbloss._labels import read_labels
from sk_cbloss._validation import check_class_count

# With more classes than this, ticks name ranks rather than labels.
MAX_NAMED = 16


class Counts(NamedTuple):
    """The classes that have samples, the largest first."""

    labels: np.ndarray
    count: np.ndarray


def counts_of_labels(y):
    """Return the classes of some labels with their counts, as a dict."""
    classes, _, count = read_labels(y).encode()
    return dict(zip(classes.tolist(), count.tolist(), strict=True))


def counts_of(class_count):
    """Return class counts from head to tail; without names, positions are the labels."""
    if isinstance(class_count, Mapping) or hasattr(class_count, "items"):
        named = dict(class_count.items())
        labels, class_count = list(named), list(named.values())
    else:
        labels = None
    count = check_class_count(class_count)
    if not (count > 0).any():
        raise ValueError("class_count must hold a class that has samples, got none.")
    labels = np.array([str(label) for label in (range(len(count)) if labels is None else labels)])
    order = np.argsort(-count, kind="stable")
    order = order[count[order] > 0]
    return Counts(labels[order], count[order])


def name_classes(ax, labels):
    """Label an axis of classes, one at each position from 1, by names or by ranks."""
    n_classes = len(labels)
    if n_classes <= MAX_NAMED:
        is_long = max(map(len, labels)) > 4 and sum(map(len, labels)) > 40
        turned = {"rotation": 35, "ha": "right", "rotation_mode": "anchor"} if is_long else {}
        ax.set_xticks(range(1, n_classes + 1), labels, **turned)
        ax.set_xlabel("Class, from head to tail")
    else:
        ax.set_xlabel("Class, by rank from head to tail")
        ax.xaxis.get_major_locator().set_params(integer=True)
    margin = max(0.6, 0.01 * n_classes)
    ax.set_xlim(1 - margin, n_classes + margin)
