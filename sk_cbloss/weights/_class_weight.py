"""Class weights: one over the effective number, normalised."""

import numpy as np

from sk_cbloss._validation import check_beta, check_class_count, check_normalize
from sk_cbloss.weights._effective_number import effective_number_of


def class_balanced_weight(class_count, *, beta, normalize="classes"):
    r"""Class-balanced weight of each class, in inverse proportion to its effective number.

    Parameters
    ----------
    class_count : array-like of shape (n_classes,)
        Number of samples of each class, in their order, finite and >= 0, not all 0.
    beta : float in [0, 1]
        See :func:`effective_number`. 0 weights all classes alike, 1 gives
        inverse frequency.
    normalize : {"classes", "samples"} or None, default="classes"
        - "classes": the weights sum to the number of classes that have
          samples, as in the paper;
        - "samples": the mean weight over the samples is 1, scikit-learn's
          convention;
        - None: the bare :math:`1 / E_n`.

    Returns
    -------
    ndarray of shape (n_classes,), dtype float64
        Class weights. A class without samples has weight 0 and takes no part
        in the normalisation.

    Raises
    ------
    ValueError
        If beta, normalize or a count is invalid, no class has samples, a
        weight is larger than floats can be, or class_count is a mapping or a
        labelled Series, whose labels are not 0, 1, ... in this order.

    See Also
    --------
    class_balanced_sample_weight : The same for each sample, from labels.
    sklearn.utils.class_weight.compute_class_weight : What beta = 1 with
        "samples" equals, at ``class_weight="balanced"``.

    Notes
    -----
    Within 4 units in the last place of the exact value on machines whose long
    double is longer than a double, within 10 elsewhere.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 4.

    Examples
    --------
    >>> from sk_cbloss import class_balanced_weight
    >>> class_balanced_weight([5000, 50], beta=0.999).round(3)
    array([0.094, 1.906])
    >>> class_balanced_weight([5000, 50], beta=1, normalize="samples")
    array([ 0.505, 50.5  ])
    """
    class_count, normalize = check_class_count(class_count), check_normalize(normalize)
    return balanced(class_count, check_beta(beta), normalize)


def balanced(class_count, beta, normalize):
    """Return weights of shape (..., n_classes); where no class has samples, they are 0."""
    # Roundings add up over the classes: in extended precision, where there is one.
    class_count = class_count.astype(np.longdouble)
    effective = effective_number_of(class_count, beta)
    seen = effective > 0
    effective = np.where(seen, effective, np.inf)
    with np.errstate(over="ignore", invalid="ignore"):  # invalid where no class has samples
        # Relative to the rarest class, so that tiny fractional counts cannot overflow.
        relative = np.where(seen, effective.min(axis=-1, keepdims=True) / effective, 0)
        if normalize is None:
            weight = 1 / effective
        elif normalize == "classes":
            weight = relative * (_sum(seen) / _sum(relative))
        else:
            share = class_count / class_count.max(axis=-1, keepdims=True)
            weight = relative * (_sum(share) / _sum(share * relative))
        weight = np.where(seen, weight, 0).astype(np.float64)
    if not np.isfinite(weight).all():
        raise ValueError(
            "class_count must hold counts, or sums of sample weights, whose class weights floats "
            f"can hold, got {class_count[seen].min():g} beside {class_count.max():g}."
        )
    return weight


def _sum(values):
    return values.sum(axis=-1, keepdims=True)
