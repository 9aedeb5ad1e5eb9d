"""The class-balanced softmax loss."""

from functools import partial

import torch.nn.functional as F

from sk_cbloss.losses._softmax_form import SoftmaxLoss


class ClassBalancedCrossEntropyLoss(SoftmaxLoss):
    r"""Softmax cross entropy, weighted by class.

    .. math:: L = \frac{1}{N} \sum_i w_{y_i} \, \bigl(-\log \mathrm{softmax}(z_i)_{y_i}\bigr)

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    label_smoothing : float in [0, 1], default=0.0
        Share of each label that is spread evenly over all classes. The
        sample keeps the weight of its class.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples, as the paper does;
        torch.nn.CrossEntropyLoss divides by the batch's sum of weights.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.

    See Also
    --------
    ClassBalancedSigmoidLoss : One class against the rest.
    ClassBalancedSoftmaxFocalLoss : The same, with hard samples in focus.
    LogitAdjustedLoss : Balances by a prior on the logits instead of weights.

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

    def _can_do_without_logits(self, target):
        return self._is_torchs(target)

    def _counted(self, target):
        if self.reduction == "sum" and self._is_torchs(target):
            return None
        return super()._counted(target)

    def _total(self, logits, target, weight, sample_weight, counted):
        if not self._is_torchs(target):
            return super()._total(logits, target, weight, sample_weight, counted)
        return self._torchs(partial(F.cross_entropy, logits), target, weight, sample_weight)
