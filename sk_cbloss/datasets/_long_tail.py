"""Long-tailed class counts, and data sets cut down to them."""

import reprlib
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.utils import _safe_indexing, check_consistent_length

from sk_cbloss._labels import names_of, read_labels
from sk_cbloss._validation import as_float, check_choice, check_seed, check_size


def _exponential(n_classes, imbalance_factor):
    return (1 / imbalance_factor) ** (np.arange(n_classes) / max(1, n_classes - 1))


def _step(n_classes, imbalance_factor):
    return np.where(np.arange(n_classes) < (n_classes + 1) // 2, 1, 1 / imbalance_factor)


PROFILES = {"exponential": _exponential, "step": _step}


def _floor(values):
    """Round down, but take 49 * (1 / 49), which comes out a little under 1, for 1."""
    return np.floor(values + np.minimum(values * 1e-12, 1e-3)).astype(np.int64)


def check_imbalance_factor(imbalance_factor):
    """Return imbalance_factor, n_max / n_min, as a finite float >= 1."""
    factor = as_float(imbalance_factor)
    if not 1 <= factor < np.inf:
        raise ValueError(
            f"imbalance_factor must be a finite number >= 1, got {reprlib.repr(imbalance_factor)}."
        )
    return factor


def relative_count(n_classes, imbalance_factor, profile):
    """Return the classes' counts, head first, in units of the head's."""
    return PROFILES[check_choice(profile, "profile", PROFILES)](n_classes, imbalance_factor)


def long_tailed_counts(n_classes, n_max, *, imbalance_factor, profile="exponential"):
    r"""Class counts of a long-tailed data set, head first.

    Parameters
    ----------
    n_classes : int
        Number of classes :math:`C`.
    n_max : int
        Number of samples of the largest class.
    imbalance_factor : float
        Largest over smallest count, from 1 to n_max.
    profile : {"exponential", "step"}, default="exponential"
        - "exponential": class :math:`c` has
          :math:`\lfloor n_{max} \, IF^{-c / (C - 1)} \rfloor` samples, as in
          the paper;
        - "step": the first half of the classes (the larger half, if C is odd)
          has n_max samples, the others n_max / IF.

    Returns
    -------
    ndarray of shape (n_classes,), dtype int64
        Number of samples of each class, at least 1.

    Raises
    ------
    ValueError
        If a parameter is invalid, or the smallest class would be empty.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 5.1 (exponential). Cao, Wei, Gaidon,
    Arechiga and Ma, "Learning Imbalanced Datasets with Label-Distribution-Aware
    Margin Loss", NeurIPS 2019 (step).

    Examples
    --------
    >>> from sk_cbloss import long_tailed_counts
    >>> long_tailed_counts(10, 5000, imbalance_factor=100)
    array([5000, 2997, 1796, 1077,  645,  387,  232,  139,   83,   50])
    """
    n_classes, n_max = check_size(n_classes, "n_classes"), check_size(n_max, "n_max")
    imbalance_factor = check_imbalance_factor(imbalance_factor)
    if imbalance_factor > n_max:
        raise ValueError(
            "imbalance_factor must not exceed the number of samples of the head class, or the "
            f"smallest class is empty, got {imbalance_factor:g} and {n_max}."
        )
    relative = relative_count(n_classes, imbalance_factor, profile)
    return _floor(n_max * relative)


def make_long_tailed(
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
    """Cut a data set down to a long tail, by drawing from each class without replacement.

    Parameters
    ----------
    X : array-like, sparse matrix, DataFrame or LongTailedImages of shape (n_samples, ...)
        Features, or images of any shape.
    y : array-like of shape (n_samples,)
        Class labels.
    imbalance_factor : float, default=100
        Largest over smallest class count, at least 1.
    profile : {"exponential", "step"}, default="exponential"
        See :func:`long_tailed_counts`.
    n_max : int, default=None
        Number of samples of the head class; None takes as many as the data
        has for every class of the profile.
    order : None, "frequency", "random" or array-like of shape (n_classes,), default=None
        Which class is the head, and so on down the tail: None takes the
        labels in sorted order, "frequency" the most frequent first, an array
        lists the labels.
    shuffle : bool, default=True
        Whether to mix the classes; otherwise they follow each other, head first.
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
        If a parameter is invalid, or a class has fewer samples than n_max asks.

    See Also
    --------
    imblearn.datasets.make_imbalance : Takes a count for each class.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sk_cbloss import make_long_tailed
    >>> X, y = load_digits(return_X_y=True)
    >>> X, y = make_long_tailed(X, y, imbalance_factor=50, random_state=0)
    >>> np.bincount(y)
    array([178, 115,  74,  48,  31,  20,  13,   8,   5,   3])
    """
    check_rows(X, y)
    rng = check_seed(random_state)
    plan = _plan(y, imbalance_factor, profile=profile, n_max=n_max, order=order, rng=rng)
    by_class = np.argsort(plan.position, kind="stable")
    rows_of_class = np.split(by_class, np.cumsum(plan.available)[:-1])
    indices = np.concatenate(
        [
            rng.choice(rows_of_class[c], n, replace=False)
            for c, n in zip(plan.order, plan.count, strict=True)
        ]
    )
    if shuffle:
        rng.shuffle(indices)
    taken = take_rows(X, indices), take_rows(y, indices)
    return (*taken, indices) if return_indices else taken


def long_tailed_strategy(
    y, *, imbalance_factor=100, profile="exponential", n_max=None, order=None, random_state=None
):
    """Say how many samples of each class make a long tail.

    It is a ``sampling_strategy`` for imbalanced-learn's under-samplers and its
    :func:`~imblearn.datasets.make_imbalance`.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels.
    imbalance_factor : float, default=100
        Largest over smallest class count, at least 1.
    profile : {"exponential", "step"}, default="exponential"
        See :func:`long_tailed_counts`.
    n_max : int, default=None
        Number of samples of the head class; None takes as many as the data
        has for every class of the profile.
    order : None, "frequency", "random" or array-like of shape (n_classes,), default=None
        Which class is the head, and so on; see :func:`make_long_tailed`.
    random_state : int, RandomState instance or None, default=None
        Seed of a random order.

    Returns
    -------
    dict
        From each label to a number of samples.

    Raises
    ------
    ValueError
        If a parameter is invalid, or a class has fewer samples than n_max asks.

    See Also
    --------
    make_long_tailed : Draws the samples, too, and several times as fast.

    Examples
    --------
    >>> import numpy as np
    >>> from imblearn.datasets import make_imbalance
    >>> from sklearn.datasets import load_digits
    >>> from sk_cbloss import long_tailed_strategy
    >>> X, y = load_digits(return_X_y=True)
    >>> X, y = make_imbalance(
    ...     X, y, sampling_strategy=long_tailed_strategy, imbalance_factor=50, random_state=0
    ... )
    >>> np.bincount(y)
    array([178, 115,  74,  48,  31,  20,  13,   8,   5,   3])
    """
    rng = check_seed(random_state)
    plan = _plan(y, imbalance_factor, profile=profile, n_max=n_max, order=order, rng=rng)
    return dict(zip(names_of(plan.classes[plan.order]), plan.count.tolist(), strict=True))


def long_tailed_train_test_split(
    X,
    y,
    *,
    imbalance_factor=100,
    test_size=0.25,
    profile="exponential",
    n_max=None,
    order=None,
    random_state=None,
    return_indices=False,
):
    """Split a data set into a long-tailed training part and a balanced test part.

    The test part is drawn first, and is the same for every imbalance_factor.

    Parameters
    ----------
    X : array-like, sparse matrix, DataFrame or LongTailedImages of shape (n_samples, ...)
        Features, or images of any shape.
    y : array-like of shape (n_samples,)
        Class labels.
    imbalance_factor : float, default=100
        Largest over smallest class count of the training part, at least 1.
    test_size : float or int, default=0.25
        Size of the test part: a float is a share of all samples, an int a
        number of samples. It is rounded down to as many for each class.
    profile : {"exponential", "step"}, default="exponential"
        See :func:`long_tailed_counts`.
    n_max : int, default=None
        Number of training samples of the head class; None takes as many as
        are left for every class of the profile.
    order : None, "frequency", "random" or array-like of shape (n_classes,), default=None
        Which class is the head, and so on; see :func:`make_long_tailed`.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.
    return_indices : bool, default=False
        Whether to return the rows' positions as well.

    Returns
    -------
    X_train, X_test : same type as X
        The rows of either part.
    y_train, y_test : same type as y
        Their labels.
    train_indices, test_indices : ndarray
        Their positions in the input. Only with return_indices.

    Raises
    ------
    ValueError
        If a parameter is invalid, or a class has too few samples.

    See Also
    --------
    sklearn.model_selection.train_test_split : Leaves the classes as they are.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sk_cbloss import long_tailed_train_test_split
    >>> X_train, X_test, y_train, y_test = long_tailed_train_test_split(
    ...     *load_digits(return_X_y=True), imbalance_factor=20, test_size=500, random_state=0
    ... )
    >>> np.bincount(y_train)
    array([128,  91,  65,  47,  33,  24,  17,  12,   8,   6])
    >>> np.bincount(y_test)
    array([50, 50, 50, 50, 50, 50, 50, 50, 50, 50])
    """
    check_rows(X, y)
    classes, position, available = read_labels(y).encode()
    n_test = _n_test(test_size, classes, available)
    rows = np.arange(len(position))
    _, _, test = make_long_tailed(
        rows,
        position,
        imbalance_factor=1,
        n_max=n_test,
        random_state=random_state,
        return_indices=True,
    )
    left = np.setdiff1d(rows, test)
    train, _ = make_long_tailed(
        left,
        take_rows(y, left),
        imbalance_factor=imbalance_factor,
        profile=profile,
        n_max=n_max,
        order=order,
        random_state=random_state,
    )
    parts = tuple(take_rows(values, part) for values in (X, y) for part in (train, test))
    return (*parts, train, test) if return_indices else parts


def check_rows(X, y):
    """Raise a ValueError unless X has a row for each label."""
    if X is None:
        raise ValueError("X must have a row for each label, got None.")
    check_consistent_length(X, y)


def _n_test(test_size, classes, available):
    """Return the number of test samples of each class."""
    is_number = isinstance(test_size, Real) and not isinstance(test_size, bool)
    is_share = is_number and not isinstance(test_size, Integral)
    if not is_number or test_size <= 0 or (is_share and not test_size < 1):
        raise ValueError(
            "test_size must be a number of samples as an int above 0, or a share of them as a "
            f"float between 0 and 1, got {test_size!r}."
        )
    total = int(test_size * available.sum()) if is_share else test_size
    n_test = total // len(classes)
    rarest = available.argmin()
    if not 0 < n_test < available[rarest]:
        raise ValueError(
            f"test_size must leave each of the {len(classes)} classes a sample in both parts, got "
            f"{test_size!r}, {n_test} a class; class {classes[rarest]!s} has "
            f"{available[rarest]} in all."
        )
    return n_test


class _Plan(NamedTuple):
    """Which class gives how many samples."""

    classes: np.ndarray
    position: np.ndarray  # of each label, among the classes
    available: np.ndarray  # samples of each class
    order: np.ndarray  # positions among the classes, head first
    count: np.ndarray  # samples to take, in that order


def _plan(y, imbalance_factor, *, profile, n_max, order, rng):
    classes, position, available = read_labels(y).encode()
    asked = {"profile": profile, "n_max": n_max, "order": order, "rng": rng}
    return _Plan(
        classes,
        position,
        available,
        *order_and_count(classes, available, imbalance_factor, **asked),
    )


def order_and_count(classes, available, imbalance_factor, *, profile, n_max, order, rng):
    """Return the places of the classes, head first, and how many samples of each to take."""
    imbalance_factor = check_imbalance_factor(imbalance_factor)
    relative = relative_count(len(classes), imbalance_factor, profile)
    order = _class_order(order, classes, available, rng)
    if n_max is None:
        n_max = int(_floor((available[order] / relative).min()))
    count = long_tailed_counts(
        len(classes), n_max, imbalance_factor=imbalance_factor, profile=profile
    )
    short = np.flatnonzero(available[order] < count)
    if short.size:
        c = short[0]
        raise ValueError(
            f"n_max={n_max} asks for {count[c]} samples of class {classes[order][c]!s}, "
            f"got only {available[order][c]}."
        )
    return order, count


def take_rows(values, indices):
    """Return rows of an array of whichever library, a list, sparse matrix or DataFrame."""
    if isinstance(values, np.ndarray):
        return values.take(indices, axis=0)  # several times faster than indexing
    if getattr(values, "format", None) in ("bsr", "coo", "dia"):  # sparse, without rows to take
        values = values.tocsr()
    if str(getattr(values, "layout", None)).startswith("torch.sparse"):
        values = values.to_sparse_coo().coalesce()
        return values.index_select(0, values.indices().new_tensor(indices))
    held_otherwise = hasattr(values, "isna") and not hasattr(values, "iloc")  # pandas Index, array
    if held_otherwise or hasattr(values, "to_pylist"):  # pyarrow's
        return values.take(indices)
    if hasattr(values, "__array_namespace__"):
        xp = values.__array_namespace__()
        return xp.take(values, xp.asarray(indices, device=values.device), axis=0)
    return _safe_indexing(values, indices)


def _class_order(order, classes, available, rng):
    """Return positions in classes, head first."""
    if order is None:
        return np.arange(len(classes))
    if isinstance(order, str):
        if order == "frequency":
            return np.argsort(-available, kind="stable")
        if order == "random":
            return rng.permutation(len(classes))
        raise ValueError(f"order must be None, 'frequency', 'random' or labels, got {order!r}.")
    position = {label: c for c, label in enumerate(names_of(classes))}
    try:
        listed = [position[label] for label in order]
    except (KeyError, TypeError):  # not a label, or no list at all
        listed = []
    if sorted(listed) != list(range(len(classes))):
        raise ValueError(f"order must list each label once, got {order!r}.")
    return np.array(listed)
