"""A last layer for very many classes, whose logits need not be made to train it."""

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sk_cbloss.losses import _functional

FEWEST_ROWS = 64
"""Fewer rows at a time make the layer's weight go through memory more often than pays."""

FEWEST_CLASSES = 2**12
"""Logits of fewer are made faster than they are done without."""


@dataclass(frozen=True, eq=False)
class LinearLogits:
    """Logits in the parts that a linear layer makes them of.

    What :class:`FusedLinear` gives in training. The losses of this package
    and torch's functions take it as logits, and it has their methods. For
    arithmetic, take ``logits``. They are made when they are asked for, of the
    weight as it is then.

    Parameters
    ----------
    features : tensor of shape (n_samples, n_features)
        What the layer is given.
    weight : tensor of shape (n_classes, n_features)
        The layer's weight.
    bias : tensor of shape (n_classes,) or None
        The layer's bias.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss.losses import FusedLinear
    >>> parts = FusedLinear(8, 100)(torch.randn(5, 8))
    >>> parts.logits.shape
    torch.Size([5, 100])
    >>> torch.argmax(parts, dim=1).shape
    torch.Size([5])
    """

    features: Tensor
    weight: Tensor
    bias: Tensor | None

    @property
    def logits(self) -> Tensor:
        """Make the logits, of shape (n_samples, n_classes)."""
        return F.linear(self.features, self.weight, self.bias)

    @property
    def outline(self) -> Tensor:
        """Return a tensor of the logits' shape, type and device, which takes no memory."""
        return self.features.new_zeros(1).expand(len(self.features), len(self.weight))

    def plus(self, bias: Tensor) -> Self:
        """Return logits that are higher, each class's by a number.

        Parameters
        ----------
        bias : tensor of shape (n_classes,)
            The numbers.

        Returns
        -------
        LinearLogits
            The sum.
        """
        bias = bias.to(self.features.device, self.features.dtype)
        return replace(self, bias=bias if self.bias is None else self.bias + bias)

    def cross_entropy(
        self, target: Tensor, weight: Tensor, *, ignore_index: int, reduction: str
    ) -> Tensor:
        """Return the softmax's weighted cross entropy.

        Parameters
        ----------
        target : tensor of shape (n_samples,), dtype int64
            Class positions.
        weight : tensor of shape (n_classes,)
            Weight of each class.
        ignore_index : int
            Samples with this target cost nothing.
        reduction : {"sum", "none"}
            Whether to add them up.

        Returns
        -------
        tensor of shape () or (n_samples,)
            The loss.
        """
        # As many rows at a time as their logits take no more memory than the weight's gradient.
        n_rows = max(FEWEST_ROWS, self.features.shape[1])
        few = len(self.features) <= n_rows or len(self.weight) < FEWEST_CLASSES
        if few or not hasattr(F, "linear_cross_entropy"):
            return F.cross_entropy(
                self.logits, target, weight, ignore_index=ignore_index, reduction=reduction
            )
        return F.linear_cross_entropy(
            self.features,
            self.weight,
            target,
            linear_bias=self.bias,
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            options=nn.LinearCrossEntropyOptions(batch_chunk_size=n_rows),
        )

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        """Let whatever else of torch takes tensors have the logits."""
        return function(*made(args), **made(kwargs or {}))

    def __getattr__(self, name):
        if name.startswith("__"):  # by which Python asks what can be done with it
            raise AttributeError(name)
        return getattr(self.logits, name)


class FusedLinear(nn.Linear):
    """A linear last layer that hands its loss what logits are made of, while it trains.

    With very many classes, memory goes for the logits of a batch and their
    gradient. :class:`~sk_cbloss.ClassBalancedCrossEntropyLoss` and
    :class:`~sk_cbloss.LogitAdjustedLoss` do without. From 4,096 classes on, a
    batch of more rows than that goes through torch's
    ``linear_cross_entropy`` (torch 2.13 and later), 64 rows or as many as there
    are features at a time; and a
    prior is added to the bias instead of to each row's logits, with few
    classes too. Loss and gradients are those of a ``torch.nn.Linear``, to
    rounding. All other losses, and torch's functions, make the logits, and so
    does a net whose callbacks look at what it gives for training batches.

    In evaluation, without gradients, in compiled or transformed code, under
    autocast and in half precision it is ``torch.nn.Linear``.

    Parameters
    ----------
    in_features : int
        Number of features.
    out_features : int
        Number of classes.
    bias : bool, default=True
        Whether there is a bias.
    device : torch.device, default=None
        Where the parameters lie.
    dtype : torch.dtype, default=None
        Type of the parameters.

    See Also
    --------
    LinearLogits : What it gives in training.

    Notes
    -----
    Gradients of gradients are not there for what goes through
    ``linear_cross_entropy``, and ``backward`` runs once, whatever
    ``retain_graph`` says; torch says so. Change the weight after the loss is
    computed, not between the two.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import LogitAdjustedLoss
    >>> from sk_cbloss.losses import FusedLinear
    >>> features, target = torch.randn(1000, 8), torch.randint(100, (1000,))
    >>> head, loss = FusedLinear(8, 100), LogitAdjustedLoss.from_class_count(range(1, 101))
    >>> loss(head(features), target).backward()
    >>> head.eval()(features).shape
    torch.Size([1000, 100])
    """

    def forward(self, x: Tensor) -> Tensor | LinearLogits:  # type: ignore[override]
        """Return logits, or in training their parts.

        Parameters
        ----------
        x : tensor of shape (n_samples, in_features)
            Features.

        Returns
        -------
        LinearLogits or tensor of shape (n_samples, out_features)
            What a loss takes as logits.
        """
        apart = (
            self.training
            and torch.is_grad_enabled()
            and x.ndim == 2
            and x.dtype in (torch.float32, torch.float64)
            and not torch.is_autocast_enabled(x.device.type)
            and not _functional.is_traced()
        )
        return LinearLogits(x, self.weight, self.bias) if apart else super().forward(x)


def made(value):
    """Return logits for their parts, in lists and dicts, too; all else as it is."""
    if isinstance(value, LinearLogits):
        return value.logits
    if isinstance(value, dict):
        return {name: made(one) for name, one in value.items()}
    return type(value)(map(made, value)) if type(value) in (list, tuple) else value
