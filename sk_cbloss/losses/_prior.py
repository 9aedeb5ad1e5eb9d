"""What the losses share that know how frequent each class is."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, Self

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from sk_cbloss._validation import Normalize, check_beta, check_fraction
from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import ClassBalancedLoss, check_class_vector
from sk_cbloss.losses._softmax_form import SoftmaxLoss
from sk_cbloss.weights import class_balanced_weight, effective_number

P = ParamSpec("P")


def needs_class_prior(init: Callable[P, None]) -> Callable[P, None]:
    """Let a constructor that is called without class_prior say what to do."""

    @wraps(init)
    def checked(*args: P.args, **given: P.kwargs) -> None:
        if "class_prior" not in given:
            name = type(args[0]).__name__
            raise TypeError(
                f"class_prior must be given to {name}, by its name: the frequency of each class "
                f"in training. {name}.from_class_count(class_count) makes it."
            )
        init(*args, **given)

    return checked


class PriorLoss(ClassBalancedLoss):
    """Base of the losses that know how frequent each class is.

    A class without samples takes no part: it neither competes nor costs, and
    is never decided for, whatever its logit.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    class_prior : tensor of shape (n_classes,)
        Frequency of each class in training, kept as a buffer that sums to 1.
    **parameters : dict
        Further parameters, such as ``reduction``.
    """

    default_beta = 0.0

    weighs_prior = True
    """Whether classes are as frequent as by weight: a prior without the weights corrects twice."""

    class_prior: Tensor

    @needs_class_prior
    def __init__(self, weight: Tensor | None = None, *, class_prior: Tensor, **parameters: Any):
        super().__init__(weight, **parameters)
        class_prior = check_class_vector(class_prior, "class_prior")
        if self.weight is not None and len(class_prior) != len(self.weight):
            raise ValueError(
                "class_prior and weight must have the same length, "
                f"got {len(class_prior)} and {len(self.weight)}."
            )
        wide = class_prior.double()  # the sum of counts is beyond half precision
        class_prior = (wide / wide.sum()).to(class_prior.dtype)
        if not class_prior.isfinite().all():  # 0 / 0
            raise ValueError("class_prior must be above 0 for some class, got only zeros.")
        self.register_buffer("class_prior", class_prior)

    def _per_class(self):
        return self.class_prior

    def _of_those_that_take_part(self, loss, target):
        """Return losses of samples, 0 for those of a class without samples."""
        return loss * _functional.of_target(self.class_prior > 0, target)

    def decision_function(self, logits: Tensor) -> Tensor:
        return _functional.masked(super().decision_function(logits), self.class_prior)

    @classmethod
    def from_class_count(
        cls,
        class_count: ArrayLike,
        *,
        beta: float | None = None,
        prior_beta: float = 1.0,
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
            Of the class weights; None takes 0, no weights, since the prior
            does their work.
        prior_beta : float in [0, 1], default=1.0
            Of the prior: classes count as frequent as their effective
            numbers. 1 takes the counts, as published; 0 makes all alike.
        normalize : {"classes", "samples"} or None, default="classes"
            See :func:`sk_cbloss.class_balanced_weight`.
        **parameters : dict
            Further parameters of the loss, such as ``tau`` or ``reduction``.

        Returns
        -------
        ClassBalancedLoss
            The loss, with float64 weights and prior.

        Raises
        ------
        ValueError
            If a parameter or a count is invalid.
        """
        beta = cls.default_beta if beta is None else check_beta(beta)
        prior_beta = check_fraction(prior_beta, "prior_beta")
        weight = class_balanced_weight(class_count, beta=beta, normalize=normalize)
        number = effective_number(class_count, beta=prior_beta)
        prior = number * weight if cls.weighs_prior else number
        return cls(torch.from_numpy(weight), class_prior=torch.from_numpy(prior), **parameters)


class PriorSoftmaxLoss(PriorLoss, SoftmaxLoss):
    """Base of the losses that change the softmax's logits by the classes' priors.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    class_prior : tensor of shape (n_classes,)
        Frequency of each class in training, kept as a buffer that sums to 1.
    **parameters : dict
        Further parameters, such as ``label_smoothing`` or ``reduction``.
    """

    @staticmethod
    def prepare_head(head: nn.Linear) -> nn.Linear:
        """Start the bias at 0, from where the prior alone tells classes apart.

        Parameters
        ----------
        head : torch.nn.Linear
            The last layer, from features to logits.

        Returns
        -------
        torch.nn.Linear
            The same, its bias at 0.
        """
        if head.bias is not None:
            nn.init.zeros_(head.bias)
        return head

    def loss_per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        return self._of_those_that_take_part(super().loss_per_sample(logits, target), target)

    def loss_per_class(self, logits: Tensor) -> Tensor:
        takes_part = _functional.by_class(self.class_prior > 0, logits)
        cross_entropy = _functional.softmax_of_each_class(self.training_logits(logits))
        return takes_part * self._smoothed(takes_part * self.from_cross_entropy(cross_entropy))

    def _n_candidates(self, per_class):
        return _functional.by_class(self.class_prior > 0, per_class).sum()
