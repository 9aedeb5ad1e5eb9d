"""What the losses share that are built on the softmax's cross entropy."""

from functools import partial

import torch
from torch import Tensor

from sk_cbloss._validation import check_fraction
from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import ClassBalancedLoss, Reduction


class SoftmaxLoss(ClassBalancedLoss):
    """Base of the losses that are a function of the softmax's cross entropy.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    label_smoothing : float in [0, 1], default=0.0
        Share of each label that is spread evenly over all classes.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
        ignore_index: int | None = -100,
    ):
        super().__init__(weight, reduction=reduction, ignore_index=ignore_index)
        self.label_smoothing = check_fraction(label_smoothing, "label_smoothing")

    def training_logits(self, logits: Tensor) -> Tensor:
        """Return the logits that the softmax is taken of in training.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes, ...)
            The logits that are trained, up to a shift that all classes share.
        """
        return logits

    def from_cross_entropy(self, cross_entropy: Tensor) -> Tensor:
        """Return the loss of a label, from its cross entropy.

        Whoever changes this changes what the logits mean: see
        ``weighted_log_posterior``.

        Parameters
        ----------
        cross_entropy : tensor
            Minus the logarithm of the label's probability.

        Returns
        -------
        tensor
            The loss, of the same shape.
        """
        return cross_entropy

    def loss_per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.label_smoothing:
            return self.loss_per_class(logits).gather(1, target.unsqueeze(1)).squeeze(1)
        return self.from_cross_entropy(_functional.softmax(self.training_logits(logits), target))

    def loss_per_class(self, logits: Tensor) -> Tensor:
        cross_entropy = _functional.softmax_of_each_class(self.training_logits(logits))
        return self._smoothed(self.from_cross_entropy(cross_entropy))

    def _is_torchs(self, target):
        """Whether torch has the total in one call, which also knows what to ignore."""
        return not (
            self.label_smoothing or target.is_floating_point() or _functional.is_transformed()
        )

    def _of_parts(self, parts, outline, target, weight, sample_weight, counted):
        return self._torchs(parts.cross_entropy, target, weight, sample_weight)

    def _torchs(self, cross_entropy, target, weight, sample_weight):
        """Return the losses by torch's cross entropy, in as few calls."""
        ignored = _functional.NO_TARGET if self.ignore_index is None else self.ignore_index
        cross_entropy = partial(cross_entropy, target, weight, ignore_index=ignored)
        if sample_weight is None and self.reduction != "none":
            return cross_entropy(reduction="sum")
        losses = cross_entropy(reduction="none")
        losses = losses if sample_weight is None else losses * sample_weight
        return losses if self.reduction == "none" else losses.sum()

    def _smoothed(self, loss_per_class):
        """Mix each class's loss with that of a label drawn evenly from the classes."""
        if not self.label_smoothing:
            return loss_per_class
        n_candidates = self._n_candidates(loss_per_class)
        even = loss_per_class.sum(dim=1, keepdim=True) / n_candidates
        return (1 - self.label_smoothing) * loss_per_class + self.label_smoothing * even

    def _n_candidates(self, per_class):
        """Return how many classes a smoothed label may be drawn from; a tensor lies beside it."""
        return per_class.shape[1]

    def _of_those_in_training(self, logits):
        # A smoothed label may be of any class.
        return logits if self.label_smoothing else super()._of_those_in_training(logits)

    def _unsmoothed(self, log_posterior):
        if not self.label_smoothing:
            return log_posterior
        p = log_posterior.softmax(dim=1)
        even = self.label_smoothing / self._n_candidates(p)
        return (p - even).clamp(min=torch.finfo(p.dtype).tiny).log()

    def _log_proba(self, logits):
        return _functional.log_softmax(self.decision_function(logits))

    def weighted_log_posterior(self, logits: Tensor) -> Tensor:
        return self.training_logits(logits).log_softmax(dim=1)

    def extra_repr(self) -> str:
        smoothing = f"label_smoothing={self.label_smoothing:g}, " if self.label_smoothing else ""
        return smoothing + super().extra_repr()
