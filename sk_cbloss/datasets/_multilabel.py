"""Data sets of several labels a sample, cut down to a long tail of labels."""

import numpy as np
from scipy.sparse import csr_array

from sk_cbloss._indicator import read_indicator
from sk_cbloss._validation import check_seed
from sk_cbloss.datasets._long_tail import (
    check_rows,
    long_tailed_counts,
    order_and_count,
    take_rows,
)


def make_long_tailed_multilabel(
    X,
    y,
    *,
    imbalance_factor=100,
    profile="exponential",
    n_max=None,
    order=None,
    shuffle=True,
    random_state=None,
    return_indices=False,
):
    """Cut a data set of several labels a sample down to a long tail of labels.

    Samples are dropped, and none is changed, so that labels occur together as they do. Each label
    is left in as many samples as the profile asks for. That a label is frequent and another, which
    often comes with it, is rare can be too much to ask: then it is an error. Samples without a
    label all stay.

    Parameters
    ----------
    X : array-like, sparse matrix, DataFrame or LongTailedImages of shape (n_samples, ...)
        Features, or images of any shape.
    y : array-like, sparse matrix or DataFrame of shape (n_samples, n_labels)
        1 where a sample has a label, 0 where it has not.
    imbalance_factor : float, default=100
        Largest over smallest number of samples with a label, at least 1.
    profile : {"exponential", "step"}, default="exponential"
        See :func:`long_tailed_counts`.
    n_max : int, default=None
        Number of samples with the head label; None takes about as many as can be, given which
        labels occur together.
    order : None, "frequency", "random" or array-like of shape (n_labels,), default=None
        Which label is the head, and so on down the tail: None takes the columns in their order,
        "frequency" the most frequent first, an array lists their names, or numbers where they have
        none.
    shuffle : bool, default=True
        Whether to mix the samples; otherwise they keep their order.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.
    return_indices : bool, default=False
        Whether to return the rows taken as a third result.

    Returns
    -------
    X : same type as X
        The rows taken.
    y : same type as y
        Their labels.
    indices : ndarray of shape (n_taken,)
        Their positions in the input. Only with return_indices.

    Raises
    ------
    ValueError
        If a parameter is invalid, a label has no sample, or the profile cannot be reached.

    See Also
    --------
    make_long_tailed : For one label a sample.
    sklearn.datasets.make_multilabel_classification : Makes data up.

    Examples
    --------
    >>> from sklearn.datasets import make_multilabel_classification
    >>> from sk_cbloss import make_long_tailed_multilabel
    >>> X, y = make_multilabel_classification(5000, n_classes=6, random_state=0)
    >>> y.sum(axis=0)
    array([1606, 1851, 1616, 1611, 1265, 1811])
    >>> X, y = make_long_tailed_multilabel(
    ...     X, y, imbalance_factor=50, order="frequency", random_state=0
    ... )
    >>> y.sum(axis=0)
    array([ 20, 463,  96,  44,   9, 211])
    """
    check_rows(X, y)
    rng = check_seed(random_state)
    indicator = read_indicator(y)
    has = csr_array(indicator.values == 1)
    available = has.sum(axis=0)
    if not available.all():
        raise ValueError(
            "y must have a sample with each label, got none with label "
            f"{indicator.names[available.argmin()]!s}."
        )
    asked = {"profile": profile, "order": order, "rng": rng}
    order, most = order_and_count(
        indicator.names, available, imbalance_factor, n_max=n_max, **asked
    )
    seed = rng.randint(2**31)
    labels_of = [row.tolist() for row in np.split(has.indices, has.indptr[1:-1])]

    def cut(n_head):
        """Return the rows to keep, and how many more of each label that is than are wanted."""
        wanted = np.empty_like(available)
        wanted[order] = long_tailed_counts(
            len(order), n_head, imbalance_factor=imbalance_factor, profile=profile
        )
        kept = _kept(labels_of, available, wanted, np.random.RandomState(seed))
        return kept, has[kept].sum(axis=0) - wanted

    kept, more = cut(most[0])
    if more.any() and n_max is None:
        kept, more = _largest(cut, int(np.ceil(imbalance_factor)), most[0])
    if more.any():
        label = more.argmax()
        raise ValueError(
            "imbalance_factor and n_max must leave room for labels that occur together, got "
            f"{imbalance_factor:g} and {n_max}: samples too many, {more[label]}, have label "
            f"{indicator.names[label]!s}, and another of which no more can go."
        )
    indices = np.flatnonzero(kept)
    if shuffle:
        rng.shuffle(indices)
    taken = take_rows(X, indices), take_rows(y, indices)
    return (*taken, indices) if return_indices else taken


def _largest(cut, low, high):
    """Return what comes of about the largest head, not above high, that leaves no label over."""
    best, size = cut(low), low
    if best[1].any():  # a tail of one or two samples may leave no room: then from above
        size = high
    while best[1].any() and size > low:
        size, high = max(low, size // 2), size
        best = cut(size)
    while not best[1].any() and high > size + max(1, size // 20):
        middle = max(size + 1, int(np.sqrt(size * high)))
        found = cut(middle)
        if found[1].any():
            high = middle
        else:
            best, size = found, middle
    return best


def _kept(labels_of, n, wanted, rng):
    """Return which rows to keep, so that no label has fewer than are wanted."""
    kept = np.ones(len(labels_of), dtype=bool)
    surplus = np.where(n > wanted, n / wanted, 0)
    rows_of = [[] for _ in n]
    for row in rng.permutation(len(labels_of)).tolist():
        for label in labels_of[row]:
            rows_of[label].append(row)
    n, wanted = n.tolist(), wanted.tolist()
    while surplus[label := int(surplus.argmax())]:  # the one furthest from what is wanted
        if not rows_of[label]:  # each row left has a label of which no more can go, now or later
            surplus[label] = 0
            continue
        row = rows_of[label].pop()
        if kept[row] and all(n[other] > wanted[other] for other in labels_of[row]):
            kept[row] = False
            for other in labels_of[row]:
                n[other] -= 1
                surplus[other] = n[other] / wanted[other] if n[other] > wanted[other] else 0
    return kept
