"""What every class-balanced loss shares: loss per sample x weight, then reduce."""

import reprlib
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from sk_cbloss._validation import (
    Normalize,
    as_numpy,
    check_beta,
    check_choice,
    check_integer,
    in_class_order,
    refuse_masked,
)
from sk_cbloss.losses import _functional
from sk_cbloss.losses._functional import apply_weight, by_class, of_target
from sk_cbloss.losses._fused_linear import LinearLogits, made
from sk_cbloss.weights import class_balanced_weight

Reduction = Literal["mean", "sum", "none"]
REDUCTIONS = get_args(Reduction)
INT64 = torch.iinfo(torch.int64)
HALF_PRECISION = torch.float16, torch.bfloat16

PROBABILITIES = (
    "target in floating point must hold probabilities: numbers >= 0 that sum to 1 over the "
    "classes (dimension 1); several labels a sample go to ClassBalancedMultiLabelLoss."
)
TOLERANCE = 0.02
"""How far from 1 they may sum: as rounded to two decimals, or kept in half precision."""


class ClassBalancedLoss(nn.Module):
    """Base of the class-balanced losses; a leaf gives its formula as ``loss_per_sample``.

    Whatever it is called with, classes lie along dimension 1 of the logits,
    and there may be further dimensions, such as height and width.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples, as the paper does, so that
        batches add up to the full sum. (torch.nn.CrossEntropyLoss divides by
        the batch's sum of weights, and then they do not.)
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.
    """

    default_beta = 0.999
    """The beta that the net takes for ``beta=None``."""

    head_type: type[nn.Module] | None = None
    """The type of last layer that a net must have somewhere; None if any will do."""

    decays_head_bias = True
    """Whether weight decay may act on the bias of the last layer."""

    stacked_numbers: tuple[str, ...] = ()
    """Numbers that enter the formula by arithmetic alone: tensors may stand in for them."""

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        reduction: Reduction = "mean",
        ignore_index: int | None = -100,
    ):
        super().__init__()
        check_choice(reduction, "reduction", REDUCTIONS)
        if weight is not None:
            weight = check_class_vector(weight, "weight")
        self.register_buffer("weight", weight)
        self.reduction = reduction
        self.ignore_index = check_ignore_index(ignore_index)

    @classmethod
    def from_class_count(
        cls,
        class_count: ArrayLike,
        *,
        beta: float | None = None,
        normalize: Normalize = "classes",
        **parameters: Any,
    ) -> Self:
        """Build the loss from the classes' numbers of training samples.

        Parameters
        ----------
        class_count : array-like of shape (n_classes,)
            Number of training samples of each class, in the order of the
            logits. Of a mapping or a Series, the labels must be 0, 1, ... in
            this order.
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

    @classmethod
    def from_labels(
        cls,
        y: Any,
        *,
        n_classes: int | None = None,
        ignore_index: int | None = -100,
        **parameters: Any,
    ) -> Self:
        """Build the loss from the targets of the training samples.

        Parameters
        ----------
        y : tensor or array-like of shape (n_samples, ...)
            Class positions, as integers: of samples, or of each token or pixel.
        n_classes : int, default=None
            Number of logits; None takes one more than the largest target.
        ignore_index : int or None, default=-100
            Target that is not counted, and costs nothing.
        **parameters : dict
            Further parameters of ``from_class_count``, such as ``beta``.

        Returns
        -------
        ClassBalancedLoss
            The loss, with float64 weights.

        Raises
        ------
        ValueError
            If a parameter is invalid, or y holds anything else.

        Examples
        --------
        >>> from sk_cbloss import ClassBalancedCrossEntropyLoss
        >>> tags = [[0, 0, 1, 0], [0, 1, -100, -100]]  # of two texts, one of them padded
        >>> loss = ClassBalancedCrossEntropyLoss.from_labels(tags, beta=1)
        >>> loss.weight.numpy().round(3)
        array([0.667, 1.333])
        """
        y, ignore_index = np.asarray(as_numpy(y)), check_ignore_index(ignore_index)
        if y.dtype.kind not in "iu":
            raise ValueError(f"y must hold class positions, as integers, got {y.dtype}.")
        y = y.reshape(-1)
        y = y if ignore_index is None else y[y != ignore_index]
        n_found = int(y.max(initial=-1)) + 1
        n_classes = (
            n_found if n_classes is None else check_integer(n_classes, "n_classes", minimum=1)
        )
        outside = y[(y < 0) | (y >= n_classes)]
        if len(outside) or not n_classes:
            got = f"got {outside[0]}" if len(outside) else "got none that counts"
            raise ValueError(
                f"y must hold class positions from 0 to {max(n_classes, 1) - 1}, or "
                f"ignore_index={ignore_index}, {got}."
            )
        count = np.bincount(y, minlength=n_classes)
        return cls.from_class_count(count, ignore_index=ignore_index, **parameters)

    @staticmethod
    def prepare_head(head: nn.Linear) -> nn.Module:
        """Make a net's last layer fit the loss, before training.

        Parameters
        ----------
        head : torch.nn.Linear
            The last layer, from features to logits.

        Returns
        -------
        torch.nn.Module
            The layer to use: ``head`` itself, its bias perhaps changed, or
            another one of the same sizes.
        """
        return head

    # ------------------------------------------------------------------ the loss

    def loss_per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the unweighted loss of each sample.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores, float32 or float64.
        target : tensor of shape (n_samples, ...), dtype int64
            Class positions.

        Returns
        -------
        tensor of shape (n_samples, ...)
            The losses.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must define loss_per_sample(logits, target), its formula."
        )

    def loss_per_class(self, logits: Tensor) -> Tensor:
        """Return the unweighted loss that each class would have as the label.

        Targets that are probabilities are weighted with it. A loss that has
        none takes class positions alone.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores, float32 or float64.

        Returns
        -------
        tensor of shape (n_samples, n_classes, ...)
            The losses.
        """
        raise ValueError(
            f"target must hold class positions as int64 for {type(self).__name__}, which is not "
            "defined for probabilities."
        )

    def forward(
        self,
        logits: Tensor | LinearLogits,
        target: Tensor,
        sample_weight: Tensor | None = None,
    ) -> Tensor:
        """Return the weighted loss.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores. Those in half precision are taken as float32.
            Or what :class:`~sk_cbloss.losses.FusedLinear` gives in training.
        target : tensor of shape (n_samples, ...) or of the logits' shape
            Class positions from 0 to n_classes - 1, as integers. Or, in
            floating point and of the logits' shape, the probability of each
            class, >= 0 and with a sum of 1 (to 0.02, for what is rounded): the
            loss is then the weighted loss that is expected of a label so drawn.
        sample_weight : tensor of shape (n_samples, ...), default=None
            Weights of the samples, multiplied with those of their classes.

        Returns
        -------
        tensor of shape () or, with reduction="none", (n_samples, ...)
            The loss, in float32 or float64. 0 if no sample counts.

        Raises
        ------
        TypeError
            If an argument is no tensor.
        ValueError
            If shapes do not fit together, or target holds neither. In compiled
            code and on a GPU, which is not waited for, what target holds is a
            RuntimeError of torch's.
        """
        weight, losses = self.weight, self._losses if self.reduction == "none" else self._total
        parts = logits if isinstance(logits, LinearLogits) else None
        scores = logits if parts is None else parts.outline
        scores = check_logits(scores, self._per_class() if weight is None else weight)
        target = _check_target(target, scores)
        if parts is not None:
            if self._can_do_without_logits(target):
                losses = partial(self._of_parts, parts)
            else:
                scores = parts.logits
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, scores)
        weight = scores.new_ones(scores.shape[1]) if weight is None else weight.to(scores.dtype)
        counted = self._counted(target)
        if self.reduction == "mean":  # no gradient flows into weights: divide them, not the loss
            weight = weight / _n_counted(target, counted)
        try:
            return losses(scores, target, weight, sample_weight, counted)
        except (IndexError, RuntimeError):  # torch's own, of which each operation has another
            if target.is_floating_point():
                _check_probabilities(target)
            else:
                _check_positions(target, scores.shape[1], self.ignore_index)
            raise

    if TYPE_CHECKING:  # by torch's own hint, a module takes and returns anything

        def __call__(
            self,
            logits: Tensor | LinearLogits,
            target: Tensor,
            sample_weight: Tensor | None = None,
        ) -> Tensor: ...

    def _can_do_without_logits(self, target):
        """Whether ``_of_parts`` gives the loss."""
        return False

    def _of_parts(self, parts, outline, target, weight, sample_weight, counted):
        """Return the weighted loss, of each sample or in total, without making the logits."""
        raise NotImplementedError

    def _per_class(self):
        """Return a tensor with an entry for each class, or None if there is none."""
        return self.weight

    def _counted(self, target):
        """Return which samples count, None if all do."""
        ignored = self.ignore_index
        if ignored is None or target.is_floating_point():
            return None
        if _functional.can_be_read(target) and _all_beyond(ignored, target):
            return None  # the look has spared all that masks would cost
        return target != ignored

    def _losses(self, logits, target, weight, sample_weight, counted):
        """Return the weighted loss of each sample."""
        losses = self._parts(logits, target, weight, sample_weight, counted)
        return losses.sum(dim=1) if losses.ndim == logits.ndim else losses

    def _total(self, logits, target, weight, sample_weight, counted):
        return self._parts(logits, target, weight, sample_weight, counted).sum()

    def _parts(self, logits, target, weight, sample_weight, counted):
        """Return the weighted loss of each sample, or what adds up to it over the classes."""
        if target.is_floating_point():
            if _functional.can_be_read(target):
                if target.numel() and not _all_are_probabilities(target):
                    _check_probabilities(target)
            # Torch has no assertion for the two at once.
            elif not (torch.compiler.is_compiling() and _functional.is_transformed()):
                _functional.assert_all(_are_probabilities(target), PROBABILITIES)
            drawn = target * by_class(weight, logits)
            losses = drawn * self.loss_per_class(logits)
            return losses if sample_weight is None else losses * sample_weight.unsqueeze(1)
        label = target if counted is None else torch.where(counted, target, 0)
        if torch.compiler.is_compiling():  # compiled code would take -1 for the last class
            valid = (label >= 0) & (label < logits.shape[1])
            _functional.assert_all(valid, "target must hold class positions, got one outside.")
        weight = of_target(weight, label)
        if sample_weight is not None:
            weight = weight * sample_weight
        return self._parts_of_labels(logits, label, weight, counted)

    def _parts_of_labels(self, logits, label, weight, counted):
        return apply_weight(self.loss_per_sample(logits, label), weight, counted)

    # ------------------------------------------------------------------ what logits mean

    def decision_function(self, logits: Tensor) -> Tensor:
        """Return the logits whose largest is the decision.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes, ...)
            The same, but for classes that must not be chosen.
        """
        check_logits(logits, self._per_class())
        return logits

    def predict_log_proba(self, logits: Tensor) -> Tensor:
        """Return the logarithm of the probabilities that the loss decides by.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes, ...)
            Logarithms of probabilities that sum to 1 over the classes.
        """
        return self._log_proba(check_logits(logits, self._per_class()))

    def _log_proba(self, logits):
        raise NotImplementedError

    def predict_proba(self, logits: Tensor) -> Tensor:
        """Return the probabilities that the loss decides by; their order is that of the logits.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes, ...)
            Probabilities that sum to 1 over the classes.
        """
        return self.predict_log_proba(logits).exp()

    def weighted_log_posterior(self, logits: Tensor) -> Tensor:
        """Return what the logits say of the classes as frequent as their weighted counts.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes, ...)
            Logarithms of probabilities, up to a number that all classes
            share: exact where the logits make the expected loss least.
        """
        return self._log_proba(logits)

    def natural_log_proba(self, logits: Tensor) -> Tensor:
        """Return the logarithm of the probabilities for classes as frequent as in training.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes, ...)
            Logarithms of probabilities that sum to 1 over the classes; -inf
            for a class of weight 0.
        """
        logits = self._of_those_in_training(check_logits(logits, self._per_class()))
        log_posterior = self._unsmoothed(self.weighted_log_posterior(logits))
        if self.weight is not None:
            log_posterior = log_posterior - by_class(self.weight.log(), logits)
            seen = by_class(self.weight > 0, logits)
            log_posterior = torch.where(seen, log_posterior, -torch.inf)
        return _functional.log_softmax(log_posterior)

    def _of_those_in_training(self, logits):
        """Return logits in which classes that training never saw are out of the running."""
        return logits if self.weight is None else _functional.masked(logits, self.weight)

    def _unsmoothed(self, log_posterior):
        return log_posterior

    def natural_proba(self, logits: Tensor) -> Tensor:
        """Return probabilities for classes as frequent as in training: the weights undone.

        Class weights, priors and focus make a net predict for a world in
        which classes have other frequencies, or none at all. This is the way
        back, in closed form. It is exact where the logits make the expected
        loss least; a net that is regularised or stopped early comes near.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_classes, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_classes, ...)
            Probabilities that sum to 1 over the classes; 0 for a class of
            weight 0.
        """
        return self.natural_log_proba(logits).exp()

    def extra_repr(self) -> str:
        """Return what stands between the parentheses of the module's repr.

        Returns
        -------
        str
            Parameters and their values.
        """
        shown = f"reduction={self.reduction!r}"
        if self.ignore_index != -100:
            shown += f", ignore_index={self.ignore_index}"
        return shown


def check_ignore_index(ignore_index):
    """Return None or an int that a target can hold."""
    if ignore_index is None:
        return None
    is_integer = isinstance(ignore_index, Integral) and not isinstance(ignore_index, bool)
    if not is_integer or not INT64.min <= ignore_index <= INT64.max:
        raise ValueError(
            f"ignore_index must be an integer in int64 or None, got {reprlib.repr(ignore_index)}."
        )
    return int(ignore_index)


def check_class_vector(vector, name, **order):
    """Return a 1-dimensional floating-point tensor of finite numbers >= 0."""
    vector = _as_tensor(in_class_order(vector, name, **order), name)
    if vector.ndim != 1 or not len(vector):
        raise ValueError(
            f"{name} must be a vector, a number for each class, got shape {tuple(vector.shape)}."
        )
    return _finite(vector, name)


def check_pairs(pairs, name):
    """Return a floating-point tensor of finite numbers >= 0, two of them for each label."""
    pairs = _as_tensor(pairs, name)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        raise ValueError(
            f"{name} must have two numbers for each label, of the samples without and with it, "
            f"got shape {tuple(pairs.shape)}."
        )
    return _finite(pairs, name)


def _as_tensor(values, name):
    """Return numbers as a floating-point tensor."""
    if not isinstance(values, torch.Tensor):
        refuse_masked(values, name)
        try:
            is_list = isinstance(values, list | tuple)  # of numbers in the default type, then
            values = torch.tensor(values if is_list else np.asarray(values))
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"{name} must be a vector of numbers, got {values!r}.") from None
    check_tensor(values, name)
    if values.is_complex():
        raise ValueError(f"{name} must be a vector of numbers, got {values.dtype}.")
    return values if values.is_floating_point() else values.to(torch.get_default_dtype())


def _finite(values, name):
    valid = values.isfinite() & (values >= 0)
    if not valid.all():
        raise ValueError(
            f"{name} must hold finite numbers >= 0, got {values[~valid][0].item()!r}."
        )
    return values


def check_tensor(given, name):
    """Raise an error unless it is a dense tensor."""
    if not isinstance(given, torch.Tensor):
        raise TypeError(f"{name} must be a tensor, got {type(given).__name__}.")
    if given.layout != torch.strided:
        raise ValueError(
            f"{name} must be a dense tensor, got {given.layout}: pass {name}.to_dense()."
        )


def check_logits(logits, per_class):
    """Return the logits, in single precision at least."""
    logits = made(logits)
    check_tensor(logits, "logits")
    if not logits.is_floating_point() or logits.ndim < 2:
        raise ValueError(
            "logits must be floating-point, of shape (n_samples, n_classes, ...), "
            f"got {logits.dtype} of shape {tuple(logits.shape)}."
        )
    if per_class is not None and per_class.numel() != logits.shape[1]:
        raise ValueError(
            f"logits must have a column for each of the {len(per_class)} classes, "
            f"got {logits.shape[1]} columns."
        )
    return logits.float() if logits.dtype in HALF_PRECISION else logits


def _check_target(target, logits):
    """Return the target, class positions as int64 or probabilities in the logits' type."""
    check_tensor(target, "target")
    of_samples = (logits.shape[0], *logits.shape[2:])
    if target.dtype == torch.int64 and target.shape == of_samples:
        return target
    if target.shape == logits.shape and logits.shape[1] == 1:
        raise ValueError(
            "logits must have a column for each class, two of them for yes and no, got one beside "
            "a target of its shape: let the last layer have two outputs and pass "
            "target.squeeze(1).long(), or use torch.nn.BCEWithLogitsLoss."
        )
    if target.is_floating_point():
        if target.shape != logits.shape:
            raise ValueError(
                "target must hold class positions as int64, or a probability for each logit, "
                f"got {target.dtype} of shape {tuple(target.shape)} for logits of shape "
                f"{tuple(logits.shape)}."
            )
        return target.to(logits.dtype)
    if target.shape == logits.shape:
        raise ValueError(
            "target must hold class positions, or probabilities in floating point, got "
            f"{target.dtype} of the logits' shape: pass target.argmax(dim=1) or target.float(); "
            "several labels a sample go to ClassBalancedMultiLabelLoss."
        )
    if target.shape != of_samples:
        raise ValueError(
            "logits must have shape (n_samples, n_classes, ...) and target shape "
            f"(n_samples, ...), got {tuple(logits.shape)} and {tuple(target.shape)}."
        )
    if target.dtype == torch.bool or target.is_complex():
        raise ValueError(f"target must hold class positions as int64, got {target.dtype}.")
    return target.long()


def check_sample_weight(sample_weight, logits):
    """Return the weights in the logits' type."""
    check_tensor(sample_weight, "sample_weight")
    if sample_weight.is_complex():
        raise ValueError(f"sample_weight must hold real numbers, got {sample_weight.dtype}.")
    of_samples = (logits.shape[0], *logits.shape[2:])
    if sample_weight.shape != of_samples:
        raise ValueError(
            f"sample_weight must have one weight a sample, shape {of_samples}, "
            f"got {tuple(sample_weight.shape)}."
        )
    return sample_weight.to(logits.dtype)


def _all_beyond(ignored, target):
    """Return whether all lie on that side of the ignored number on which classes do."""
    if not target.numel():
        return True
    return target.min().item() > ignored if ignored < 0 else target.max().item() < ignored


def _n_counted(target, counted):
    """Return the number of samples that count, 1 at least."""
    if counted is not None:
        return counted.sum().clamp(min=1)
    return max(1, (target[:, 0] if target.is_floating_point() else target).numel())


def _are_probabilities(target):
    """Return whether the numbers of each sample are >= 0 and sum to 1 over the classes."""
    # In the fewest operations: the root of a number below 0 is NaN, and stays so.
    root = torch.linalg.vector_norm(target.detach().sqrt(), dim=1)
    return (root - 1).abs() <= TOLERANCE / 2


def _all_are_probabilities(target):
    """Return whether those of all samples do, where numbers can be read: in less time."""
    target = target.detach() if target.requires_grad else target
    low, high = torch.aminmax(target.sum(dim=1))
    return (
        low.item() >= (1 - TOLERANCE / 2) ** 2
        and high.item() <= (1 + TOLERANCE / 2) ** 2
        and target.amin().item() >= 0
    )


def _check_probabilities(target):
    """Raise a ValueError if a number is below 0, or those of a sample do not sum to 1."""
    target = _functional.unwrapped(target.movedim(1, -1)).flatten(end_dim=-2)
    below, off = target[~(target >= 0)], target.sum(dim=1)[~_are_probabilities(target)]
    if len(below) or len(off):
        got = f"{below[0]:g}" if len(below) else f"numbers that sum to {off[0]:g}"
        raise ValueError(PROBABILITIES.removesuffix(".") + f", got {got}.") from None


def _check_positions(target, n_classes, ignore_index):
    """Raise a ValueError if a class position is out of range."""
    target = _functional.unwrapped(target)
    outside = (target < 0) | (target >= n_classes)
    rule = f"target must hold class positions from 0 to {n_classes - 1}"
    if ignore_index is not None:
        outside &= target != ignore_index
        rule += f", or ignore_index={ignore_index}"
    if outside.any():
        raise ValueError(f"{rule}, got {target[outside][0].item()}.") from None
