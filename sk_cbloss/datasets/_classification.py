"""Long-tailed data that are made up."""

import numpy as np
from sklearn.datasets import make_classification

from sk_cbloss._validation import check_fraction, check_integer, check_seed, check_size
from sk_cbloss.datasets._long_tail import check_imbalance_factor, relative_count


def make_long_tailed_classification(
    n_samples=1000,
    *,
    n_classes=10,
    imbalance_factor=100,
    profile="exponential",
    n_features=20,
    n_informative=10,
    n_redundant=2,
    n_clusters_per_class=2,
    class_sep=1.0,
    flip_y=0.0,
    random_state=None,
):
    """Make a long-tailed classification problem of normally distributed clusters.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of samples of all classes together.
    n_classes : int, default=10
        Number of classes; class 0 is the head.
    imbalance_factor : float, default=100
        Largest over smallest class count, at least 1, up to rounding.
    profile : {"exponential", "step"}, default="exponential"
        See :func:`long_tailed_counts`.
    n_features : int, default=20
        Number of features.
    n_informative, n_redundant, n_clusters_per_class : int, default=10, 2, 2
        See :func:`sklearn.datasets.make_classification`.
    class_sep : float, default=1.0
        How far the clusters are apart.
    flip_y : float in [0, 1], default=0.0
        Share of samples whose labels are shuffled among them.
    random_state : int, RandomState instance or None, default=None
        Seed.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,), dtype int64
        Labels, from 0 to n_classes - 1.

    Raises
    ------
    ValueError
        If a parameter is invalid, or the smallest class would be empty.

    See Also
    --------
    sklearn.datasets.make_classification : Where the clusters come from.

    Examples
    --------
    >>> import numpy as np
    >>> from sk_cbloss import make_long_tailed_classification
    >>> X, y = make_long_tailed_classification(1000, n_classes=5, random_state=0)
    >>> np.bincount(y)
    array([686, 217,  68,  22,   7])
    """
    n_samples = check_size(n_samples, "n_samples")
    n_classes = check_size(n_classes, "n_classes")
    check_integer(n_clusters_per_class, "n_clusters_per_class", minimum=1)
    flip_y = check_fraction(flip_y, "flip_y")
    rng = check_seed(random_state)
    imbalance_factor = check_imbalance_factor(imbalance_factor)
    count = _count(n_samples, relative_count(n_classes, imbalance_factor, profile))
    # As many of each class as of the head, and then fewer of the others.
    X, y = make_classification(
        n_classes * (count[0] + n_clusters_per_class),  # clusters are rounded down
        n_classes=n_classes,
        n_features=n_features,
        n_informative=n_informative,
        n_redundant=n_redundant,
        n_clusters_per_class=n_clusters_per_class,
        class_sep=class_sep,
        flip_y=0,
        random_state=rng,
    )
    rows_of_class = np.split(np.argsort(y, kind="stable"), np.cumsum(np.bincount(y))[:-1])
    rows = np.concatenate([rows[:n] for rows, n in zip(rows_of_class, count, strict=True)])
    rng.shuffle(rows)
    X, y = X[rows], y[rows]
    flipped = np.flatnonzero(rng.uniform(size=n_samples) < flip_y)
    y[flipped] = y[rng.permutation(flipped)]
    return X, y


def _count(n_samples, relative):
    """Return the number of samples of each class, n_samples in all."""
    exact = n_samples * relative / relative.sum()
    count = np.floor(exact).astype(np.int64)
    rest = np.argsort(count - exact, kind="stable")[: n_samples - count.sum()]
    count[rest] += 1
    if count[-1] < 1:
        raise ValueError(
            f"n_samples must leave the smallest class a sample, got {n_samples} for "
            f"{len(relative)} classes, of which it would have {exact[-1]:.2g}."
        )
    return count
