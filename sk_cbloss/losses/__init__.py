"""Class-balanced losses: torch modules that multiply each sample's loss by its class weight.

Each is built from the classes' counts, and owns its probabilities:

>>> import torch
>>> from sk_cbloss.losses import ClassBalancedFocalLoss
>>> loss = ClassBalancedFocalLoss.from_class_count([5000, 500, 50], beta=0.9999, gamma=0.5)
>>> loss
ClassBalancedFocalLoss(gamma=0.5, reduction='mean')
>>> loss.predict_proba(torch.tensor([[2.0, 0.0, 0.0]])).round(decimals=3)
tensor([[0.4680, 0.2660, 0.2660]])
"""

from sk_cbloss.losses._base import ClassBalancedLoss
from sk_cbloss.losses._cdt import CDTLoss
from sk_cbloss.losses._focal import ClassBalancedFocalLoss
from sk_cbloss.losses._fused_linear import FusedLinear, LinearLogits
from sk_cbloss.losses._ldam import LDAMLoss, NormalizedLinear
from sk_cbloss.losses._logit_adjusted import LogitAdjustedLoss
from sk_cbloss.losses._multi_label import ClassBalancedMultiLabelLoss
from sk_cbloss.losses._one_vs_rest import OneVsRestLoss
from sk_cbloss.losses._poly_tailed import ClassBalancedPolyTailedLoss
from sk_cbloss.losses._prior import PriorLoss, PriorSoftmaxLoss
from sk_cbloss.losses._sigmoid import ClassBalancedSigmoidLoss
from sk_cbloss.losses._softmax import ClassBalancedCrossEntropyLoss
from sk_cbloss.losses._softmax_focal import ClassBalancedSoftmaxFocalLoss
from sk_cbloss.losses._softmax_form import SoftmaxLoss
from sk_cbloss.losses._vs import VSLoss

LOSSES: dict[str, type[ClassBalancedLoss]] = {
    "softmax": ClassBalancedCrossEntropyLoss,
    "sigmoid": ClassBalancedSigmoidLoss,
    "focal": ClassBalancedFocalLoss,
    "softmax_focal": ClassBalancedSoftmaxFocalLoss,
    "poly_tailed": ClassBalancedPolyTailedLoss,
    "logit_adjusted": LogitAdjustedLoss,
    "ldam": LDAMLoss,
    "cdt": CDTLoss,
    "vs": VSLoss,
}
"""The names by which a net knows the losses, of one label a sample."""

__all__ = [
    "LOSSES",
    "CDTLoss",
    "ClassBalancedCrossEntropyLoss",
    "ClassBalancedFocalLoss",
    "ClassBalancedLoss",
    "ClassBalancedMultiLabelLoss",
    "ClassBalancedPolyTailedLoss",
    "ClassBalancedSigmoidLoss",
    "ClassBalancedSoftmaxFocalLoss",
    "FusedLinear",
    "LDAMLoss",
    "LinearLogits",
    "LogitAdjustedLoss",
    "NormalizedLinear",
    "OneVsRestLoss",
    "PriorLoss",
    "PriorSoftmaxLoss",
    "SoftmaxLoss",
    "VSLoss",
]
