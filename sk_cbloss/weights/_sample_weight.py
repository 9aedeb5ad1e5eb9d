"""Sample weights, straight from labels."""

import reprlib

import numpy as np

from sk_cbloss._labels import is_arrow, read_labels
from sk_cbloss._validation import check_beta, check_normalize, check_sample_weight
from sk_cbloss.weights._class_weight import class_balanced_weight
from sk_cbloss.weights._lazy import is_lazy, tally_of, weights_of


def class_balanced_sample_weight(
    y, *, beta, normalize="samples", sample_weight=None, dtype=np.float64
):
    """Class-balanced weight of each sample, that of its class.

    Parameters
    ----------
    y : array-like of shape (n_samples,), or a collection of dask
        Class labels of any kind: integers, strings, bools, dates, objects; in
        a list, an array, a pandas or polars Series, a pandas Categorical, a
        pyarrow array or a torch tensor; or in an Array, a Series or a DataFrame
        of one column of dask, which is counted in one pass, chunk by chunk.
    beta : float in [0, 1]
        See :func:`effective_number`. 0 weights all classes alike, 1 gives
        inverse frequency.
    normalize : {"classes", "samples"} or None, default="samples"
        See :func:`class_balanced_weight`. With "samples" the mean weight is 1,
        so that regularisation and tree parameters keep their meaning.
    sample_weight : array-like of shape (n_samples,) or number, default=None
        Weights that the samples have already. A class then counts the sum of
        its weights, so that weight 2 means the same as two copies, and the
        result is multiplied by them. Of labels in dask, such a collection, too,
        whose rows go with the labels by their place, not by an index.
    dtype : {numpy.float64, numpy.float32}, default=numpy.float64
        Type of the weights.

    Returns
    -------
    ndarray of shape (n_samples,), or dask Array or Series
        Sample weights, for any estimator whose fit takes ``sample_weight``. Those
        of a collection of dask are computed when they are asked for, chunk by
        chunk, cut as y is.

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
    dtype = check_dtype(dtype)

    def weights(count, n_samples):
        if not n_samples:
            return np.zeros(len(count), dtype)
        return class_balanced_weight(count, beta=beta, normalize=normalize).astype(dtype)

    if is_lazy(y) or is_arrow(y):
        tally = tally_of(y, sample_weight)
        of_class = weights(tally.count, tally.n_samples)
        return weights_of(y, tally.classes, of_class, sample_weight)
    labels = read_labels(y)
    n_samples = len(labels.values)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, n_samples)
    weight = labels.gather(weights(labels.count(sample_weight), n_samples))
    if sample_weight is not None:
        weight *= sample_weight
    return weight


def check_dtype(dtype):
    """Return the type of weights, float64 or float32."""
    for one in (np.dtype("float64"), np.dtype("float32")):
        if dtype is not None and one == dtype:  # numpy takes None for float64
            return one
    raise ValueError(f"dtype must be float64 or float32, got {reprlib.repr(dtype)}.")
