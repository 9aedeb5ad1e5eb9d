"""The label-distribution-aware margin loss, and the head that it needs."""

from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from sk_cbloss._validation import check_factor, check_integer
from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import Reduction
from sk_cbloss.losses._prior import PriorLoss, needs_class_prior


class NormalizedLinear(nn.Module):
    """A last layer whose logits are cosines, between features and a vector of each class.

    Parameters
    ----------
    in_features : int
        Number of features.
    out_features : int
        Number of classes.

    Attributes
    ----------
    weight : torch.nn.Parameter of shape (out_features, in_features)
        The vector of each class, of any length but 0.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss.losses import NormalizedLinear
    >>> cosines = NormalizedLinear(64, 10)(torch.randn(5, 64))
    >>> bool((cosines.abs() <= 1.001).all())
    True
    """

    def __init__(self, in_features: int, out_features: int):
        super().__init__()
        self.in_features = check_integer(in_features, "in_features", minimum=1)
        self.out_features = check_integer(out_features, "out_features", minimum=1)
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the vectors anew, of a normal distribution, whose directions are uniform."""
        nn.init.normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return cosines.

        Parameters
        ----------
        x : tensor of shape (..., in_features)
            Features.

        Returns
        -------
        tensor of shape (..., out_features)
            Cosines, from -1 to 1.
        """
        # The squares of numbers in half precision go beyond it, at both ends.
        wide = torch.promote_types(x.dtype, torch.float32)
        directions = normalize(self.weight.to(wide), dim=1)
        return linear(normalize(x.to(wide), dim=-1), directions).to(x.dtype)

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the module's repr.

        Returns
        -------
        str
            Sizes.
        """
        return f"in_features={self.in_features}, out_features={self.out_features}"


class LDAMLoss(PriorLoss):
    r"""Softmax cross entropy with a margin for each class, the wider the rarer.

    .. math::

        L = \frac{1}{N} \sum_i w_{y_i} \left(-\log
            \frac{e^{s (z_{iy} - m_y)}}{e^{s (z_{iy} - m_y)} + \sum_{c \ne y} e^{s z_{ic}}}
            \right),
        \qquad m_c = m_{\max} \, (\pi_{\min} / \pi_c)^{1/4}

    with :math:`y = y_i`. A margin needs logits of a bounded size: the last
    layer must be a :class:`~sk_cbloss.losses.NormalizedLinear`, whose logits
    are cosines (``prepare_head`` makes one).

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    class_prior : tensor of shape (n_classes,)
        Frequency of each class in training, kept as a buffer that sums to 1.
        Not the weighted frequency: a margin answers to the number of samples,
        and the published recipe uses it along with weights. Classes at 0 take
        no part.
    max_margin : float, default=0.5
        The margin of the rarest class, from 0 to 1e6.
    scale : float, default=30.0
        What logits are multiplied with, from 0 to 1e6.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.

    See Also
    --------
    LogitAdjustedLoss : Moves the decision by frequency, without a head of its own.

    References
    ----------
    Cao, Wei, Gaidon, Arechiga and Ma, "Learning Imbalanced Datasets with
    Label-Distribution-Aware Margin Loss", NeurIPS 2019, section 3.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import LDAMLoss
    >>> loss = LDAMLoss.from_class_count([900, 90, 9])
    >>> cosines = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.1, 0.8]])
    >>> loss(cosines, torch.tensor([0, 2])).round(decimals=4)
    tensor(0.0255)
    """

    weighs_prior = False  # margins answer to samples, whatever their weights
    head_type = NormalizedLinear
    stacked_numbers = ("max_margin", "scale")

    @needs_class_prior
    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        class_prior: Tensor,
        max_margin: float = 0.5,
        scale: float = 30.0,
        reduction: Reduction = "mean",
        ignore_index: int | None = -100,
    ):
        super().__init__(
            weight,
            class_prior=class_prior,
            reduction=reduction,
            ignore_index=ignore_index,
        )
        self.max_margin = check_factor(max_margin, "max_margin")
        self.scale = check_factor(scale, "scale")

    @staticmethod
    def prepare_head(head: nn.Linear) -> NormalizedLinear:
        """Make a normalised layer of the same sizes.

        Parameters
        ----------
        head : torch.nn.Linear
            The last layer, from features to logits.

        Returns
        -------
        NormalizedLinear
            A new layer.
        """
        new = NormalizedLinear(head.in_features, head.out_features)
        return new.to(head.weight.device, head.weight.dtype)

    def loss_per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        loss = _functional.ldam(logits, target, self.class_prior, self.max_margin, self.scale)
        return self._of_those_that_take_part(loss, target)

    def _log_proba(self, logits):
        return _functional.log_softmax(self.decision_function(self.scale * logits))

    def weighted_log_posterior(self, logits: Tensor) -> NoReturn:
        """Raise a ValueError: a margin has no way back to the posterior.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores.
        """
        raise ValueError(
            "Natural probabilities must be asked of a loss that has a way back to them, got "
            "LDAMLoss (loss='ldam'). Use LogitAdjustedLoss (loss='logit_adjusted'), or calibrate "
            "with CalibratedClassifierCV."
        )

    def extra_repr(self) -> str:
        return f"max_margin={self.max_margin:g}, scale={self.scale:g}, {super().extra_repr()}"
