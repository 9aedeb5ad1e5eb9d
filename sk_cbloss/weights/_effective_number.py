"""The effective number of samples: equation 2 of the paper."""

import numpy as np

from sk_cbloss._validation import check_beta, check_counts


def effective_number(class_count, *, beta):
    r"""Effective number of samples of each class.

    The expected volume that ``n`` random samples cover together, in units of
    one sample, when each new sample may fall upon what is covered already:

    .. math:: E_n = \frac{1 - \beta^n}{1 - \beta}

    Parameters
    ----------
    class_count : array-like of shape (n_classes,) or number
        Number of samples of each class, in their order, finite and >= 0. Fractional counts
        (sums of sample weights) are fine.
    beta : float in [0, 1]
        ``(N - 1) / N`` for classes that hold ``N`` distinct prototypes. 0
        counts every class that has samples as 1; 1 is the limit ``E_n = n``.

    Returns
    -------
    ndarray of shape (n_classes,), dtype float64
        Effective numbers; 0 for a class without samples. A single count gives
        a single number.

    Raises
    ------
    ValueError
        If beta lies outside [0, 1], a count is negative, infinite or NaN, or
        class_count is a mapping or a labelled Series, whose labels are not 0,
        1, ... in this order.

    See Also
    --------
    class_balanced_weight : Weights in inverse proportion to these numbers.
    beta_grid : Values of beta worth searching.

    Notes
    -----
    Within 4 units in the last place of the exact value, for every beta in
    [0, 1] and every count up to 1e13.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 3.

    Examples
    --------
    >>> from sk_cbloss import effective_number
    >>> effective_number([5000, 50], beta=0.999).round(2)
    array([993.28,  48.79])
    """
    return effective_number_of(check_counts(class_count), check_beta(beta))


def effective_number_of(class_count, beta):
    """Return the effective numbers in the precision of class_count, which is left as it is."""
    if beta == 0:
        return (class_count > 0).astype(class_count.dtype)[()]
    if beta == 1:
        return class_count.copy()[()]
    # expm1 and log keep the digits that 1 - beta**n loses when beta is close to 1.
    beta = class_count.dtype.type(beta)
    return np.expm1(class_count * np.log(beta)) / (beta - 1)
