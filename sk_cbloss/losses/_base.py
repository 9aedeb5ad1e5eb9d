"""What every class-balanced loss shares: loss per sample x weight, then reduce."""

import math

import torch
from torch import nn

from sk_cbloss._validation import check_beta
from sk_cbloss.weights import class_balanced_weight

REDUCTIONS = {"none": lambda loss: loss, "mean": torch.mean, "sum": torch.sum}


class ClassBalancedLoss(nn.Module):
    """Base of the class-balanced losses; a leaf gives its formula as ``loss_per_sample``.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weighs all alike.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples, as the paper does, so that
        batches add up to the full sum. (torch.nn.CrossEntropyLoss divides by
        the batch's sum of weights, and then they do not.)
    """

    default_beta = 0.999
    """The beta that the net takes for ``beta=None``."""

    def __init__(self, weight=None, *, reduction="mean"):
        super().__init__()
        if reduction not in REDUCTIONS:
            raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}.")
        if weight is not None:
            weight = _check_weight(weight)
        self.register_buffer("weight", weight)
        self.reduction = reduction

    @classmethod
    def from_class_count(cls, class_count, *, beta=None, normalize="classes", **parameters):
        """Build the loss from the classes' numbers of training samples.

        Parameters
        ----------
        class_count : array-like of shape (n_classes,)
            Number of training samples of each class, in the order of the
            logits.
        beta : float in [0, 1], default=None
            See :func:`sk_cbloss.effective_number`; None takes 0.999.
        normalize : {"classes", "samples"} or None, default="classes"
            See :func:`sk_cbloss.class_balanced_weight`.
        **parameters : dict
            Further parameters of the loss, such as ``gamma`` or ``reduction``.

        Returns
        -------
        ClassBalancedLoss
            The loss, with float64 weights.

        Raises
        ------
        ValueError
            If a parameter or a count is invalid.
        """
        beta = cls.default_beta if beta is None else check_beta(beta)
        weight = class_balanced_weight(class_count, beta=beta, normalize=normalize)
        return cls(torch.from_numpy(weight), **parameters)

    @staticmethod
    def initial_bias(n_classes):
        """Return where the last layer's bias should start, or None for wherever it does."""
        return None

    def loss_per_sample(self, logits, target):
        """Return the unweighted loss of each sample.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            Unnormalised scores.
        target : tensor of shape (n_samples,), dtype int64
            Class positions.

        Returns
        -------
        tensor of shape (n_samples,)
            The losses.
        """
        raise NotImplementedError

    def predict_log_proba(self, logits):
        """Return the logarithm of the probabilities that the loss models.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes)
            Logarithms of probabilities that sum to 1 over the classes.
        """
        raise NotImplementedError

    def predict_proba(self, logits):
        """Return the probabilities that the loss models; their order is that of the logits.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes)
            Probabilities that sum to 1 over the classes.
        """
        return self.predict_log_proba(logits).exp()

    def forward(self, logits, target, sample_weight=None):
        """Return the weighted loss.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            Unnormalised scores.
        target : tensor of shape (n_samples,), dtype int64
            Class positions, from 0 to n_classes - 1.
        sample_weight : tensor of shape (n_samples,), default=None
            Weights of the samples, multiplied with those of their classes.

        Returns
        -------
        tensor of shape () or, with reduction="none", (n_samples,)
            The loss.

        Raises
        ------
        ValueError
            If shapes do not fit together, or target holds no int64.
        """
        _check_input(logits, target, self.weight, sample_weight)
        target = target.long()
        loss = self.loss_per_sample(logits, target)
        if self.weight is not None:
            loss = loss * self.weight.to(loss.dtype)[target]
        if sample_weight is not None:
            loss = loss * sample_weight
        return REDUCTIONS[self.reduction](loss)

    def extra_repr(self):
        """Return what stands between the parentheses of the module's repr.

        Returns
        -------
        str
            Parameters and their values.
        """
        return f"reduction={self.reduction!r}"


class OneVsRestLoss(ClassBalancedLoss):
    """Base of the losses that sum a binary loss over the classes."""

    @staticmethod
    def initial_bias(n_classes):
        """Return the log-odds of 1 / n_classes, without which the first steps can diverge."""
        return -math.log(max(1, n_classes - 1))

    def predict_log_proba(self, logits):
        """Return the logarithm of the sigmoids, normalised to sum to 1 over the classes.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes)
            Logarithms of probabilities.
        """
        # In log space: sigmoids of very negative logits are all 0, and 0 / 0 is no probability.
        return nn.functional.logsigmoid(logits).log_softmax(dim=1)


def _check_weight(weight):
    weight = torch.as_tensor(weight)
    if weight.ndim != 1:
        raise ValueError(f"weight must be 1-dimensional, got shape {tuple(weight.shape)}.")
    if not weight.is_floating_point():
        weight = weight.to(torch.get_default_dtype())
    valid = weight.isfinite() & (weight >= 0)
    if not valid.all():
        raise ValueError(
            f"weight must hold finite numbers >= 0, got {weight[~valid][0].item()!r}."
        )
    return weight


def _check_input(logits, target, weight, sample_weight):
    if logits.ndim != 2 or target.shape != logits.shape[:1]:
        raise ValueError(
            "logits must have shape (n_samples, n_classes) and target shape (n_samples,), "
            f"got {tuple(logits.shape)} and {tuple(target.shape)}."
        )
    if target.dtype not in (torch.int64, torch.int32):  # torch takes 8-bit ones for a mask
        raise ValueError(f"target must hold class positions as int64, got {target.dtype}.")
    if sample_weight is not None and sample_weight.shape != target.shape:
        raise ValueError(
            f"sample_weight must have the target's shape {tuple(target.shape)}, "
            f"got {tuple(sample_weight.shape)}."
        )
    if weight is not None and len(weight) != logits.shape[1]:
        raise ValueError(
            f"logits must have a column for each of the {len(weight)} weights, "
            f"got {logits.shape[1]} columns."
        )
