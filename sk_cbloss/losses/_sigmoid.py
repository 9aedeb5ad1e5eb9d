"""The class-balanced sigmoid loss."""

from torch import Tensor

from sk_cbloss.losses import _functional, _fused
from sk_cbloss.losses._one_vs_rest import OneVsRestLoss


class ClassBalancedSigmoidLoss(OneVsRestLoss):
    r"""Binary cross entropy of each class against the rest, weighted by the sample's class.

    .. math:: L = \frac{1}{N} \sum_i w_{y_i} \sum_c \mathrm{BCE}(z_{ic}, t_{ic})

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike. It is
        the weight of a *sample* of that class, on all its terms, neither a
        ``pos_weight`` nor the weight of an output column.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.

    See Also
    --------
    ClassBalancedCrossEntropyLoss : One class out of all.
    ClassBalancedFocalLoss : The same, with hard samples in focus.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 4.2.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import ClassBalancedSigmoidLoss
    >>> loss = ClassBalancedSigmoidLoss.from_class_count([900, 90, 9], beta=0.99)
    >>> loss(torch.zeros(2, 3), torch.tensor([0, 2])).round(decimals=4)
    tensor(2.7513)
    """

    def loss_per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        return _functional.sigmoid(logits, target)

    def loss_per_class(self, logits: Tensor) -> Tensor:
        return _functional.sigmoid_focal_of_each_class(logits, 0)

    def _parts_of_labels(self, logits, label, weight, counted):
        return _fused.sigmoid(logits, label, weight, counted)
