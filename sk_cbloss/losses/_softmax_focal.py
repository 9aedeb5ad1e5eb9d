"""The class-balanced focal loss over a softmax."""

from torch import Tensor

from sk_cbloss._validation import check_factor
from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import Reduction
from sk_cbloss.losses._softmax_form import SoftmaxLoss


class ClassBalancedSoftmaxFocalLoss(SoftmaxLoss):
    r"""Focal loss over a softmax, weighted by class.

    .. math::

        L = \frac{1}{N} \sum_i w_{y_i} \, (1 - p_i)^\gamma \, (-\log p_i),
        \qquad p_i = \mathrm{softmax}(z_i)_{y_i}

    ``gamma=0`` is the cross entropy.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    gamma : float, default=1.0
        Focus on hard samples, from 0 to 1e6.
    label_smoothing : float in [0, 1], default=0.0
        Share of each label that is spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.

    See Also
    --------
    ClassBalancedFocalLoss : The class-balanced paper's, over one-vs-rest sigmoids.
    ClassBalancedCrossEntropyLoss : What gamma = 0 equals.

    References
    ----------
    Lin, Goyal, Girshick, He and Dollar, "Focal Loss for Dense Object
    Detection", ICCV 2017, section 3.2. Mukhoti, Kulharia, Sanyal, Golodetz,
    Torr and Dokania, "Calibrating Deep Neural Networks using Focal Loss",
    NeurIPS 2020, section 3.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import ClassBalancedSoftmaxFocalLoss
    >>> loss = ClassBalancedSoftmaxFocalLoss.from_class_count([900, 90, 9], beta=0.99, gamma=2)
    >>> loss(torch.zeros(2, 3), torch.tensor([0, 2])).round(decimals=4)
    tensor(0.6460)
    """

    stacked_numbers = ("gamma",)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        gamma: float = 1.0,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
        ignore_index: int | None = -100,
    ):
        super().__init__(
            weight,
            label_smoothing=label_smoothing,
            reduction=reduction,
            ignore_index=ignore_index,
        )
        self.gamma = check_factor(gamma, "gamma")

    def from_cross_entropy(self, cross_entropy: Tensor) -> Tensor:
        return _functional.focused(cross_entropy, self.gamma)

    def weighted_log_posterior(self, logits: Tensor) -> Tensor:
        log_p, log_not_p = _functional.log_odds_in_parts(logits)
        return -_functional.log_slope(log_p, log_not_p, self.gamma)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma:g}, {super().extra_repr()}"
