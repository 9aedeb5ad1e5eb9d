"""The class-balanced focal loss."""

import torch.nn.functional as F
from torch import Tensor

from sk_cbloss._validation import check_factor
from sk_cbloss.losses import _functional, _fused
from sk_cbloss.losses._base import Reduction
from sk_cbloss.losses._one_vs_rest import OneVsRestLoss


class ClassBalancedFocalLoss(OneVsRestLoss):
    r"""Focal loss over one-vs-rest sigmoids, weighted by the sample's class.

    .. math::

        L = \frac{1}{N} \sum_i w_{y_i}
            \sum_c (1 - p^t_{ic})^\gamma \, \mathrm{BCE}(z_{ic}, t_{ic})

    where :math:`p^t` is the probability given to the right answer of each
    one-vs-rest decision. ``gamma=0`` is the sigmoid loss.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    gamma : float, default=1.0
        Focus on hard samples, from 0 to 1e6.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.

    See Also
    --------
    ClassBalancedSigmoidLoss : What gamma = 0 equals.
    ClassBalancedSoftmaxFocalLoss : The same idea over a softmax.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollar, "Focal Loss for Dense Object
    Detection", ICCV 2017. Cui, Jia, Lin, Song and Belongie, "Class-Balanced
    Loss Based on Effective Number of Samples", CVPR 2019, section 4.3.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import ClassBalancedFocalLoss
    >>> loss = ClassBalancedFocalLoss.from_class_count([900, 90, 9], beta=0.99, gamma=2)
    >>> loss(torch.zeros(2, 3), torch.tensor([0, 2])).round(decimals=4)
    tensor(0.6878)
    """

    stacked_numbers = ("gamma",)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        gamma: float = 1.0,
        reduction: Reduction = "mean",
        ignore_index: int | None = -100,
    ):
        super().__init__(weight, reduction=reduction, ignore_index=ignore_index)
        self.gamma = check_factor(gamma, "gamma")

    def loss_per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        return _functional.sigmoid_focal(logits, target, self.gamma)

    def loss_per_class(self, logits: Tensor) -> Tensor:
        return _functional.sigmoid_focal_of_each_class(logits, self.gamma)

    def _parts_of_labels(self, logits, label, weight, counted):
        return _fused.sigmoid_focal(logits, label, weight, counted, self.gamma)

    def weighted_log_posterior(self, logits: Tensor) -> Tensor:
        logits = logits.clamp(-1e30, 1e30)  # what is infinite cannot be told apart
        log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
        upwards = _functional.log_slope(log_p, log_not_p, self.gamma)
        downwards = _functional.log_slope(log_not_p, log_p, self.gamma)
        return F.logsigmoid(downwards - upwards)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma:g}, {super().extra_repr()}"
