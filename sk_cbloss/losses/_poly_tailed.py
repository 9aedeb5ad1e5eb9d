"""The polynomially-tailed loss."""

import math

from torch import Tensor

from sk_cbloss._validation import check_factor
from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import Reduction
from sk_cbloss.losses._softmax_form import SoftmaxLoss


class ClassBalancedPolyTailedLoss(SoftmaxLoss):
    r"""Loss of the margin whose tail is a power of it, weighted by class.

    .. math::

        L = \frac{1}{N} \sum_i w_{y_i} \, \ell(m_i),
        \qquad \ell(m) = \begin{cases}
            \log_2 (1 + 4^{\alpha (1 - m)}) & m < 1 \\
            m^{-\alpha} & m \ge 1
        \end{cases}
        \qquad m_i = z_{iy} - \log \sum_{c \ne y} e^{z_{ic}}

    with :math:`y = y_i`. A net that fits its training data to the end drives
    all margins up, and the cross entropy, which falls off exponentially, then
    forgets the weights: the net becomes the one of widest margins, whatever
    these were. Under a power, weights keep their say.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    alpha : float, default=1.0
        How fast the tail falls, above 0, up to 1e6.
    label_smoothing : float in [0, 1], default=0.0
        Share of each label that is spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.

    See Also
    --------
    ClassBalancedCrossEntropyLoss : The exponential tail.
    VSLoss : Keeps classes apart to the end by temperatures.

    Notes
    -----
    The paper is about two classes, for which :math:`m` is the difference of
    the logits, and has the tail begin anywhere: here it is at 1. Of the
    piece before the tail it asks that all be convex, smooth and falling; this
    one is logistic, and meets the tail in value and slope.

    The paper also takes weights to a power, such as 3/2. Pass such a
    ``weight``, or a larger ``beta``.

    References
    ----------
    Wang, Chatterji, Haque and Hashimoto, "Is Importance Weighting Incompatible
    with Interpolating Classifiers?", ICLR 2022.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import ClassBalancedPolyTailedLoss
    >>> loss = ClassBalancedPolyTailedLoss(reduction="none", alpha=2)
    >>> loss(torch.tensor([[1.0, 0.0], [4.0, 0.0]]), torch.tensor([0, 0]))
    tensor([1.0000, 0.0625])
    """

    stacked_numbers = ("alpha",)

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        alpha: float = 1.0,
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
        self.alpha = check_factor(alpha, "alpha")
        if not self.alpha:
            raise ValueError("alpha must be above 0 for the loss to fall, got 0.")

    def loss_per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.label_smoothing:
            return super().loss_per_sample(logits, target)
        return _functional.poly_tailed(_functional.margin(logits, target), self.alpha)

    def loss_per_class(self, logits: Tensor) -> Tensor:
        log_p, log_not_p = _functional.log_odds_in_parts(logits, of_nothing=-math.inf)
        return self._smoothed(_functional.poly_tailed(log_p - log_not_p, self.alpha))

    def weighted_log_posterior(self, logits: Tensor) -> Tensor:
        log_p, log_not_p = _functional.log_odds_in_parts(logits)
        slope = _functional.log_slope_of_poly_tailed(log_p - log_not_p, self.alpha)
        return log_p + log_not_p - slope

    def extra_repr(self) -> str:
        return f"alpha={self.alpha:g}, {super().extra_repr()}"
