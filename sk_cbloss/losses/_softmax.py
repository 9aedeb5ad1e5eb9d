"""The class-balanced softmax loss."""

from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import ClassBalancedLoss


class ClassBalancedCrossEntropyLoss(ClassBalancedLoss):
    r"""Softmax cross entropy, weighted by class.

    .. math:: L = \frac{1}{N} \sum_i w_{y_i} \, \bigl(-\log \mathrm{softmax}(z_i)_{y_i}\bigr)

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weighs all alike.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples, as the paper does;
        torch.nn.CrossEntropyLoss divides by the batch's sum of weights.

    See Also
    --------
    ClassBalancedSigmoidLoss : One class against the rest.
    ClassBalancedFocalLoss : The same, with hard samples in focus.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 4.1.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import ClassBalancedCrossEntropyLoss
    >>> loss = ClassBalancedCrossEntropyLoss.from_class_count([900, 90, 9], beta=0.99)
    >>> loss(torch.zeros(2, 3), torch.tensor([0, 2])).round(decimals=4)
    tensor(1.4536)
    """

    def loss_per_sample(self, logits, target):
        return _functional.softmax(logits, target)

    def predict_log_proba(self, logits):
        return logits.log_softmax(dim=1)
