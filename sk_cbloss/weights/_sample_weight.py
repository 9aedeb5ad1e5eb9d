"""Sample weights, straight from labels."""

import numpy as np

from sk_cbloss._labels import read_labels
from sk_cbloss._validation import check_beta, check_normalize, check_sample_weight
from sk_cbloss.weights._class_weight import class_balanced_weight


def class_balanced_sample_weight(y, *, beta, normalize="samples", sample_weight=None):
    """Class-balanced weight of each sample, that of its class.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Class labels of any kind: integers, strings, bools, dates, objects; in
        a list, an array, a pandas or polars Series, a pandas Categorical, a
        pyarrow array or a torch tensor.
    beta : float in [0, 1]
        See :func:`effective_number`. 0 weighs all classes alike, 1 gives
        inverse frequency.
    normalize : {"classes", "samples"} or None, default="samples"
        See :func:`class_balanced_weight`. With "samples" the mean weight is 1,
        so that regularisation and tree parameters keep their meaning.
    sample_weight : array-like of shape (n_samples,) or number, default=None
        Weights that the samples have already. A class then counts the sum of
        its weights, so that weight 2 means the same as two copies, and the
        result is multiplied by them.

    Returns
    -------
    ndarray of shape (n_samples,), dtype float64
        Sample weights, for any estimator whose fit takes ``sample_weight``.

    Raises
    ------
    ValueError
        If y is not one label a sample, holds missing or continuous values, or
        mixes strings with numbers; or another argument is invalid.

    See Also
    --------
    ClassBalancedWeigher : The same, learned on one set and used on another.
    sklearn.utils.class_weight.compute_sample_weight : What beta = 1 equals, at
        ``class_weight="balanced"``.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 4.

    Examples
    --------
    >>> from sk_cbloss import class_balanced_sample_weight
    >>> y = ["head"] * 8 + ["tail"] * 2
    >>> class_balanced_sample_weight(y, beta=1)[[0, -1]]
    array([0.625, 2.5  ])
    >>> class_balanced_sample_weight(y, beta=0.9)[[0, -1]].round(3)
    array([0.715, 2.142])
    """
    check_beta(beta)
    check_normalize(normalize)
    labels = read_labels(y)
    if not len(labels.values):
        return np.empty(0)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, len(labels.values))
    class_count = labels.count(sample_weight)
    weight = labels.gather(class_balanced_weight(class_count, beta=beta, normalize=normalize))
    if sample_weight is not None:
        weight *= sample_weight
    return weight
