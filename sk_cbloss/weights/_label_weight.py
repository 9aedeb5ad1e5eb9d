"""Weights of the two sides of each label, where a sample may have several."""

import numpy as np

from sk_cbloss._validation import check_beta, check_counts, check_normalize
from sk_cbloss.weights._class_weight import balanced


def class_balanced_label_weight(n_positive, n_samples, *, beta, normalize="classes"):
    r"""Class-balanced weights of the samples without and with each of several labels.

    Where a sample may have several labels, each label is a question of its own, with two classes:
    the samples without it and those with it. Their weights are in inverse proportion to their
    effective numbers, as :func:`class_balanced_weight` has them for these two classes.

    Parameters
    ----------
    n_positive : array-like of shape (n_labels,)
        Number of samples with each label, or the sum of their weights, finite and >= 0.
    n_samples : number or array-like of shape (n_labels,)
        Number of all samples, or of those of which it is known whether they have the label.
    beta : float in [0, 1]
        See :func:`effective_number`. 0 weights both sides alike, 1 gives
        inverse frequency.
    normalize : {"classes", "samples"} or None, default="classes"
        - "classes": the two weights of a label sum to 2 (to 1 where all samples are on one side);
        - "samples": the mean weight over a label's samples is 1, so that all labels together
          count alike;
        - None: the bare :math:`1 / E_n`.

    Returns
    -------
    ndarray of shape (n_labels, 2), dtype float64
        Weights of the samples without and with each label. A side without samples has weight 0.

    Raises
    ------
    ValueError
        If beta, normalize or a number is invalid, a label has more samples than there are, there
        is no sample, or a weight is larger than floats can be.

    See Also
    --------
    ClassBalancedMultiLabelLoss : Takes them.
    ClassBalancedWeigher : Learns them from an indicator matrix.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 4.

    Examples
    --------
    >>> from sk_cbloss import class_balanced_label_weight
    >>> class_balanced_label_weight([500, 10], 1000, beta=0.99).round(3)
    array([[1.   , 1.   ],
           [0.175, 1.825]])
    >>> class_balanced_label_weight([500, 10], 1000, beta=1, normalize="samples").round(3)
    array([[ 1.   ,  1.   ],
           [ 0.505, 50.   ]])
    """
    count = check_label_count(n_positive, n_samples)
    return balanced(count, check_beta(beta), check_normalize(normalize))


def check_label_count(n_positive, n_samples):
    """Return the numbers of samples without and with each label, of shape (n_labels, 2)."""
    positive = check_counts(n_positive, "n_positive", of_columns=True)
    if positive.ndim != 1 or not len(positive):
        raise ValueError(
            "n_positive must have a number for each label, got an array of shape "
            f"{positive.shape}."
        )
    total = check_counts(n_samples, "n_samples", of_columns=True)
    if total.shape not in ((), positive.shape):
        raise ValueError(
            f"n_samples must be a number, or one for each of the {len(positive)} labels, got an "
            f"array of shape {total.shape}."
        )
    total = np.broadcast_to(total, positive.shape)
    more = positive > total
    if more.any():
        raise ValueError(
            f"n_samples must not be below the number with a label, got {total[more][0]:g} of "
            f"which {positive[more][0]:g} have one."
        )
    if not total.any():
        raise ValueError("n_samples must be above 0, got no sample.")
    return np.stack([total - positive, positive], axis=1)
