"""The loss with class-dependent temperatures."""

from torch import Tensor

from sk_cbloss._validation import check_factor
from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import Reduction
from sk_cbloss.losses._prior import PriorSoftmaxLoss, needs_class_prior


class CDTLoss(PriorSoftmaxLoss):
    r"""Softmax cross entropy of logits that are divided by a temperature of each class.

    .. math::

        L = \frac{1}{N} \sum_i w_{y_i} \, \bigl(-\log \mathrm{softmax}(z_i / a)_{y_i}\bigr),
        \qquad a_c = (\pi_{\max} / \pi_c)^\gamma

    A rare class's logit counts for less in training, so the net has to make it
    larger. That makes up for the feature deviation, by which a rare class's
    logits come out too small on new data. The decision is by :math:`z`.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    class_prior : tensor of shape (n_classes,)
        Frequency of each class in training, kept as a buffer that sums to 1.
        With a weight, give count times weight, as ``from_class_count`` does,
        or the two correct twice. Classes at 0 take no part.
    gamma : float, default=0.2
        How far temperatures differ, from 0 to 1e6; usually up to 0.4. 0 is the
        cross entropy.
    label_smoothing : float in [0, 1], default=0.0
        Share of each label that is spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.

    See Also
    --------
    VSLoss : Adds the prior to the logits too.

    Notes
    -----
    The loss does not change if logits move by a multiple of :math:`a`, but the
    decision does. Start the last layer's bias at 0 (``prepare_head`` does it)
    and use weight decay on it.

    References
    ----------
    Ye, Chen, Zhan and Chao, "Identifying and Compensating for Feature Deviation
    in Imbalanced Deep Learning", arXiv 2001.01385, 2020, section 4.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import CDTLoss
    >>> loss = CDTLoss.from_class_count([900, 90, 9])
    >>> loss(torch.eye(3)[:2], torch.tensor([0, 1])).round(decimals=4)
    tensor(0.6381)
    """

    stacked_numbers = ("gamma",)

    @needs_class_prior
    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        class_prior: Tensor,
        gamma: float = 0.2,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
        ignore_index: int | None = -100,
    ):
        super().__init__(
            weight,
            class_prior=class_prior,
            label_smoothing=label_smoothing,
            reduction=reduction,
            ignore_index=ignore_index,
        )
        self.gamma = check_factor(gamma, "gamma")

    def training_logits(self, logits: Tensor) -> Tensor:
        return _functional.class_dependent_temperature(logits, self.class_prior, self.gamma)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma:g}, {super().extra_repr()}"
