"""A tag for each token of a sample, or a class for each pixel; some are not to be counted."""

import reprlib
from dataclasses import dataclass

import numpy as np

from sk_cbloss._validation import as_numpy, check_sample_weight
from sk_cbloss.neural_net.data._labels import labels_of, positions_of

IGNORED = -100  # among positions of classes, whatever y has there


@dataclass(frozen=True)
class Tags:
    """Tags as a net takes them.

    Attributes
    ----------
    values : ndarray of shape (n_samples, ...)
        The tags.
    counts : ndarray of shape (n_samples, ...), dtype bool
        Which of them count.
    labels : Labels
        Those that count, one after the other.
    """

    values: np.ndarray
    counts: np.ndarray
    labels: object

    def targets(self, positions):
        """Return positions of classes where the tags lie, from those of tags that count."""
        targets = np.full(self.values.shape, IGNORED, dtype=np.int64)
        targets[self.counts] = positions
        return targets

    def each(self, of_sample):
        """Return what its sample has, such as a weight, for each tag that counts."""
        return None if of_sample is None else of_sample.repeat(self.by_sample())

    def share_right(self, predicted, sample_weight=None):
        """Return how many of those that count are those predicted."""
        if predicted.shape != self.values.shape:
            raise ValueError(
                f"y must have a tag for each that is predicted, of shape {predicted.shape}, got "
                f"shape {self.values.shape}."
            )
        if not self.counts.any():
            raise ValueError("y must hold a tag that counts, to be scored, got none.")
        weight = np.ones(len(self.values))
        if sample_weight is not None:
            weight = check_sample_weight(sample_weight, len(self.values))
        weight = check_sample_weight(self.each(weight), self.counts.sum())
        return float(np.average((predicted == self.values)[self.counts], weights=weight))

    def by_sample(self):
        """Return how many of its tags count, for each sample."""
        return self.counts.reshape(len(self.counts), -1).sum(axis=1)


def ignored_tag(net):
    """Return the tag that does not count; None where a sample has one label.

    A criterion of the user's own leaves out what it is told to: it is given IGNORED for tags.
    """
    ignored = vars(net).get("criterion__ignore_index")
    return ignored if net.criterion is None or ignored == IGNORED else None


def read_tags(y, ignored):
    """Return y, tags of integers, in rows of one length."""
    try:
        values = np.asarray(as_numpy(y))
    except ValueError:  # of rows that differ in length
        raise ValueError(
            "y must hold rows of tags of one length, filled up with "
            f"criterion__ignore_index={ignored}, got {reprlib.repr(y)}."
        ) from None
    if values.ndim < 2 or values.dtype.kind not in "iu":
        raise ValueError(
            "y must hold a row of integers, its tags, for each sample beside "
            f"criterion__ignore_index={ignored}, got {values.dtype} of shape {values.shape}."
        )
    counts = values != ignored
    return Tags(values, counts, labels_of(values[counts]))


def tag_targets(y, ignored, classes):
    """Return positions of known classes where y, tags of integers, has them."""
    tags = read_tags(y, ignored)
    return tags.targets(positions_of(tags.labels, classes))


def rarest_tag(targets):
    """Return for each row the position of its rarest class; of one without, a last one."""
    order = np.bincount(targets[targets != IGNORED]).argsort(kind="stable")
    rank = np.append(order.argsort(), len(order))  # IGNORED takes the last
    rarest = rank[np.where(targets == IGNORED, -1, targets)]
    return np.append(order, len(order))[rarest.reshape(len(targets), -1).min(axis=1)]
