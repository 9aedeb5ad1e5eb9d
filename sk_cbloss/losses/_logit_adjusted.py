"""The logit-adjusted softmax loss."""

from torch import Tensor

from sk_cbloss._validation import check_factor
from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import Reduction
from sk_cbloss.losses._prior import PriorSoftmaxLoss, needs_class_prior


class LogitAdjustedLoss(PriorSoftmaxLoss):
    r"""Softmax cross entropy of logits to which the classes' log-frequencies are added.

    .. math::

        L = \frac{1}{N} \sum_i w_{y_i} \,
            \bigl(-\log \mathrm{softmax}(z_i + \tau \log \pi)_{y_i}\bigr)

    The net learns what the frequencies :math:`\pi` do not explain, and decides
    by the largest :math:`z` as if all classes were equally frequent.
    ``tau=1`` is also known as balanced softmax, ``tau=0`` is the cross entropy.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    class_prior : tensor of shape (n_classes,)
        Frequency of each class in training, kept as a buffer that sums to 1.
        With a weight, give count times weight, as ``from_class_count`` does,
        or the two correct twice. Classes at 0 take no part.
    tau : float, default=1.0
        How much of the prior to add, from 0 to 1e6.
    label_smoothing : float in [0, 1], default=0.0
        Share of each label that is spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.

    See Also
    --------
    VSLoss : Scales the logits too.
    ClassBalancedCrossEntropyLoss : Balances by weights.

    References
    ----------
    Menon, Jayasumana, Rawat, Jain, Veit and Kumar, "Long-Tail Learning via
    Logit Adjustment", ICLR 2021, section 5. Ren, Yu, Sheng, Ma, Zhao, Yi and
    Li, "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS
    2020, section 3.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import LogitAdjustedLoss
    >>> loss = LogitAdjustedLoss.from_class_count([900, 90, 9])
    >>> loss(torch.zeros(2, 3), torch.tensor([0, 2])).round(decimals=4)
    tensor(2.4069)

    Equal logits mean equally likely in a world where classes are equally
    frequent. In the world of the training data they mean the prior:

    >>> loss.natural_proba(torch.zeros(1, 3)).round(decimals=3)
    tensor([[0.9010, 0.0900, 0.0090]])
    """

    stacked_numbers = ("tau",)

    @needs_class_prior
    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        class_prior: Tensor,
        tau: float = 1.0,
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
        self.tau = check_factor(tau, "tau")

    def training_logits(self, logits: Tensor) -> Tensor:
        return _functional.logit_adjusted(logits, self.class_prior, self.tau)

    def _can_do_without_logits(self, target):
        return self._is_torchs(target)

    def _of_parts(self, parts, outline, target, weight, sample_weight, counted):
        parts = parts.plus(_functional.prior_bias(self.class_prior, self.tau))
        weight = weight * (self.class_prior > 0)
        return super()._of_parts(parts, outline, target, weight, sample_weight, counted)

    def extra_repr(self) -> str:
        return f"tau={self.tau:g}, {super().extra_repr()}"
