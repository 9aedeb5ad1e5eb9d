"""Values of beta worth searching."""

import numpy as np

from sk_cbloss._validation import check_named_count, check_size


def beta_grid(class_count, *, n_betas=8, include_limits=False):
    """Return values of beta worth searching for classes of these sizes.

    ``N = 1 / (1 - beta)``, the number of distinct prototypes of a class, is
    the natural scale. The grid is log-uniform in N from half the smallest
    class to ten times the largest; beyond these ends beta changes nothing.

    Parameters
    ----------
    class_count : array-like of shape (n_classes,), or mapping from label to number
        Number of samples of each class, in any order; classes without samples
        do not count.
    n_betas : int, default=8
        Number of values between the limits, at least 2.
    include_limits : bool, default=False
        Whether to add the limits: 0 (no re-weighting) and 1 (inverse
        frequency).

    Returns
    -------
    ndarray of shape (n_betas,), (n_betas + 1,) or (n_betas + 2,)
        Increasing values in [0, 1]. With a class of one or two samples the
        grid itself starts at 0, which is then not added again.

    Raises
    ------
    ValueError
        If class_count holds no number for each class, a count is negative,
        infinite or NaN, no class has samples, or n_betas is below 2.

    Examples
    --------
    >>> from sk_cbloss import beta_grid
    >>> beta_grid([5000, 500, 50], n_betas=4).round(5)
    array([0.96   , 0.99683, 0.99975, 0.99998])
    """
    _, class_count = check_named_count(class_count)
    n_betas = check_size(n_betas, "n_betas", minimum=2)
    # A float tells beta from 1 up to that volume.
    class_count = np.minimum(class_count[class_count > 0], 2**53)
    low = max(1, class_count.min() / 2)
    volume = np.geomspace(low, max(low, 10 * class_count.max()), n_betas)
    beta = 1 - 1 / volume
    return np.unique(np.r_[0, beta, 1]) if include_limits else beta
