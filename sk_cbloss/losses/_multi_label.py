"""The class-balanced loss of several labels a sample."""

import reprlib
from typing import Any, NoReturn, Self

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from sk_cbloss._indicator import read_indicator
from sk_cbloss._validation import (
    Normalize,
    check_beta,
    check_factor,
    check_fraction,
)
from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import (
    ClassBalancedLoss,
    Reduction,
    check_class_vector,
    check_logits,
    check_pairs,
    check_sample_weight,
    check_tensor,
)
from sk_cbloss.losses._functional import by_class
from sk_cbloss.losses._fused_labels import multi_label_total
from sk_cbloss.losses._fused_linear import LinearLogits
from sk_cbloss.weights import check_label_count, class_balanced_label_weight


class ClassBalancedMultiLabelLoss(ClassBalancedLoss):
    r"""Binary cross entropy or focal loss of each label, its two sides weighted.

    For samples that have several labels, or none. With :math:`p = \sigma(z_{il})`, the probability
    that sample :math:`i` of :math:`N` has label :math:`l` of :math:`L`,

    .. math::

        L = \frac{1}{N L} \sum_{i, l} \begin{cases}
            - w_{l1} \, (1 - p)^{\gamma_1} \log p & \text{if it has,} \\
            - w_{l0} \, p^{\gamma_0} \log (1 - p) & \text{if it has not.}
        \end{cases}

    Without parameters it is ``torch.nn.BCEWithLogitsLoss``.

    Parameters
    ----------
    weight : tensor of shape (n_labels, 2), default=None
        Weights of the samples without and with each label, kept as a buffer; None weights all
        alike. ``from_label_count`` and ``from_labels`` make them.
    label_prior : tensor of shape (n_labels,), default=None
        Frequency of each label in training, kept as a buffer. With a weight, the weighted one, as
        ``from_label_count`` has it, or the two correct twice. A label that all samples have, or
        none, is not adjusted.
    tau : float, default=0.0
        How much of the label's prior log-odds to add to its logit in training, from 0 to 1e6. The
        net need not learn then that a label is rare, and :math:`z` alone decides as if its two
        sides were equally frequent. Above 0, ``label_prior`` is needed.
    gamma : float or (float, float), default=0.0
        Focus on hard samples, from 0 to 1e6; or one for those without a label and one for those
        with it. (4, 0), say, turns down the many easy negatives alone, which is known as
        asymmetric loss; its shift of probabilities is not here, since where it cuts negatives off
        logits tell nothing.
    label_smoothing : float in [0, 1], default=0.0
        Share of each label that is spread evenly over its two sides.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of targets, samples times labels, that are not NaN.

    See Also
    --------
    class_balanced_label_weight : Makes the weights.
    ClassBalancedSigmoidLoss : For one label a sample.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019 (weights, of a label's two sides here). Lin, Goyal, Girshick, He
    and Dollar, "Focal Loss for Dense Object Detection", ICCV 2017. Ridnik, Ben-Baruch, Zamir, Noy,
    Friedman, Protter and Zelnik-Manor, "Asymmetric Loss for Multi-Label Classification", ICCV
    2021, section 2 (a gamma for either side). Wu, Huang, Liu, Wang and Lin, "Distribution-Balanced
    Loss for Multi-Label Classification in Long-Tailed Datasets", ECCV 2020, section 3 (tau).

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss import ClassBalancedMultiLabelLoss
    >>> loss = ClassBalancedMultiLabelLoss.from_label_count([500, 10], 1000, beta=0.99)
    >>> logits = torch.zeros(2, 2)
    >>> loss(logits, torch.tensor([[1.0, 0.0], [0.0, 1.0]])).round(decimals=4)
    tensor(0.6931)
    >>> loss.natural_proba(logits[:1]).round(decimals=4)
    tensor([[0.5000, 0.0873]])
    """

    stacked_numbers = ("gamma", "tau")

    label_prior: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        label_prior: Tensor | None = None,
        tau: float = 0.0,
        gamma: float | tuple[float, float] = 0.0,
        label_smoothing: float = 0.0,
        reduction: Reduction = "mean",
    ):
        super().__init__(None, reduction=reduction, ignore_index=None)
        self.weight = None if weight is None else check_pairs(weight, "weight")
        prior = None
        if label_prior is not None:
            prior = check_class_vector(label_prior, "label_prior", of_columns=True)
        if prior is not None and prior.max() > 1:
            raise ValueError(
                f"label_prior must hold numbers in [0, 1], got {prior.max().item()!r}."
            )
        both = [len(given) for given in (prior, self.weight) if given is not None]
        if len(set(both)) > 1:
            raise ValueError(
                f"label_prior and weight must have the same length, got {both[0]} and {both[1]}."
            )
        self.register_buffer("label_prior", prior)
        self.tau = check_factor(tau, "tau")
        if self.tau and prior is None:
            raise ValueError(
                f"label_prior must be given beside a tau above 0, got None with tau={tau!r}: "
                "from_label_count(n_positive, n_samples, tau=...) makes it."
            )
        self.gamma = _check_gamma(gamma)
        self.label_smoothing = check_fraction(label_smoothing, "label_smoothing")

    @classmethod
    def from_label_count(
        cls,
        n_positive: ArrayLike,
        n_samples: ArrayLike,
        *,
        beta: float | None = None,
        normalize: Normalize = "classes",
        **parameters: Any,
    ) -> Self:
        """Build the loss from the labels' numbers of training samples.

        Parameters
        ----------
        n_positive : array-like of shape (n_labels,)
            Number of training samples with each label, in the order of the logits.
        n_samples : number or array-like of shape (n_labels,)
            Number of all training samples, or of those of which it is known whether they have the
            label.
        beta : float in [0, 1], default=None
            See :func:`sk_cbloss.effective_number`; None takes 0.999.
        normalize : {"classes", "samples"} or None, default="classes"
            See :func:`sk_cbloss.class_balanced_label_weight`.
        **parameters : dict
            Further parameters of the loss, such as ``gamma`` or ``tau``.

        Returns
        -------
        ClassBalancedMultiLabelLoss
            The loss, with float64 weights and priors.

        Raises
        ------
        ValueError
            If a parameter or a number is invalid.
        """
        beta = cls.default_beta if beta is None else check_beta(beta)
        weight = class_balanced_label_weight(n_positive, n_samples, beta=beta, normalize=normalize)
        side = weight * check_label_count(n_positive, n_samples)
        both = side.sum(axis=1)
        prior = np.divide(side[:, 1], both, out=np.zeros(len(both)), where=both > 0)
        return cls(torch.from_numpy(weight), label_prior=torch.from_numpy(prior), **parameters)

    @classmethod
    def from_labels(
        cls,
        y: Any,
        *,
        beta: float | None = None,
        normalize: Normalize = "classes",
        **parameters: Any,
    ) -> Self:
        """Build the loss from the training samples' labels.

        Parameters
        ----------
        y : array-like, sparse matrix or DataFrame of shape (n_samples, n_labels, ...)
            1 where a sample has a label, 0 where it has not, NaN where that is not known.
        beta : float in [0, 1], default=None
            See :func:`sk_cbloss.effective_number`; None takes 0.999.
        normalize : {"classes", "samples"} or None, default="classes"
            See :func:`sk_cbloss.class_balanced_label_weight`.
        **parameters : dict
            Further parameters of the loss, such as ``gamma`` or ``tau``.

        Returns
        -------
        ClassBalancedMultiLabelLoss
            The loss, with float64 weights and priors.

        Raises
        ------
        ValueError
            If a parameter is invalid, or y holds other numbers.
        """
        count = read_indicator(y, has_places=True).count()
        return cls.from_label_count(
            count[:, 1], count.sum(axis=1), beta=beta, normalize=normalize, **parameters
        )

    @classmethod
    def from_class_count(cls, class_count: ArrayLike, **parameters: Any) -> NoReturn:
        """Raise a ValueError: counts of classes do not tell of two sides.

        Parameters
        ----------
        class_count : array-like of shape (n_classes,)
            Number of training samples of each class.
        **parameters : dict
            Further parameters.
        """
        raise ValueError(
            f"{cls.__name__} must be built by from_label_count(n_positive, n_samples), got "
            f"class_count={reprlib.repr(class_count)}, which says nothing of the samples without "
            "a label."
        )

    # ------------------------------------------------------------------ the loss

    def training_logits(self, logits: Tensor) -> Tensor:
        """Return the logits that the sigmoid is taken of in training.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_labels, ...)
            The logits that are trained.
        """
        if self.label_prior is None or (isinstance(self.tau, float) and not self.tau):
            return logits
        return _functional.side_shifted(logits, self.label_prior, self.tau)

    def loss_per_label(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the unweighted loss of each label of each sample.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores, float32 or float64.
        target : tensor of shape (n_samples, n_labels, ...)
            Numbers in [0, 1], or NaN where a label is not known.

        Returns
        -------
        tensor of shape (n_samples, n_labels, ...)
            The losses; 0 where the target is NaN.
        """
        logits = check_logits(logits, self._per_class())
        target = _check_label_target(target, logits)
        return self._losses_of_labels(logits, target, _even(logits))

    def loss_per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the unweighted loss of each sample, the mean over its labels.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores, float32 or float64.
        target : tensor of shape (n_samples, n_labels, ...)
            Numbers in [0, 1], or NaN where a label is not known.

        Returns
        -------
        tensor of shape (n_samples, ...)
            The losses.
        """
        losses = self.loss_per_label(logits, target)
        n_known = target.isnan().logical_not().sum(dim=1).clamp(min=1)
        return losses.sum(dim=1) / n_known

    def loss_per_class(self, logits: Tensor) -> NoReturn:
        """Raise a ValueError: a sample has no one label that could be any class.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores.
        """
        raise ValueError(
            f"{type(self).__name__} must be asked for loss_per_label(logits, target), since a "
            "sample has more than one label."
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
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores. Those in half precision are taken as float32.
        target : tensor of shape (n_samples, n_labels, ...)
            1 where a sample has a label and 0 where it has not, or any number between; NaN where
            it is not known, which costs nothing and is not counted.
        sample_weight : tensor of shape (n_samples, ...), default=None
            Weights of the samples, multiplied with those of their labels.

        Returns
        -------
        tensor of shape () or, with reduction="none", (n_samples, n_labels, ...)
            The loss, in float32 or float64. 0 if no target is known.

        Raises
        ------
        TypeError
            If an argument is no tensor.
        ValueError
            If shapes do not fit together, or target holds other numbers. In compiled code and on a
            GPU, which is not waited for, what target holds is a RuntimeError of torch's.
        """
        scores = check_logits(logits, self._per_class())
        target = _check_label_target(target, scores)
        own = None
        if sample_weight is not None:
            own = check_sample_weight(sample_weight, scores).unsqueeze(1)
        weight = self.weight
        weight = _even(scores) if weight is None else weight.to(scores.device, scores.dtype)
        if self.reduction == "none":
            losses = self._losses_of_labels(scores, target, weight)
            return losses if own is None else losses * own
        n_targets = max(1, target.numel())
        if self.reduction == "mean":  # no gradient flows into weights: divide them, not the loss
            weight = weight / n_targets
        how = own, self._gammas(), self.label_smoothing
        total, n_known = multi_label_total(self.training_logits(scores), target, weight, *how)
        if self.reduction == "sum":
            return total
        if isinstance(n_known, int):
            return total if n_known == n_targets else total * (n_targets / max(1, n_known))
        return total * (torch.full_like(total, n_targets) / n_known.clamp(min=1).to(total.dtype))

    def _losses_of_labels(self, logits, target, weight):
        how = self._gammas(), self.label_smoothing
        return _functional.multi_label(self.training_logits(logits), target, weight, *how)

    def _gammas(self):
        """Return the gammas of samples without and with a label."""
        return self.gamma if isinstance(self.gamma, tuple) else (self.gamma, self.gamma)

    def _per_class(self):
        if self.label_prior is not None or self.weight is None:
            return self.label_prior
        return self.weight[:, 1]

    # ------------------------------------------------------------------ what logits mean

    def decision_function(self, logits: Tensor) -> Tensor:
        """Return the logits, of which those above 0 are decisions for their labels.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_labels, ...)
            The same.
        """
        return super().decision_function(logits)

    def predict_log_proba(self, logits: Tensor) -> Tensor:
        """Return the logarithm of the probabilities that the loss decides by.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_labels, ...)
            Logarithms of the probability of each label, by itself.
        """
        return super().predict_log_proba(logits)

    def _log_proba(self, logits):
        return F.logsigmoid(logits)

    def predict_proba(self, logits: Tensor) -> Tensor:
        """Return the probabilities that the loss decides by, the sigmoids of the logits.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_labels, ...)
            The probability of each label, by itself.
        """
        return super().predict_proba(logits)

    def weighted_log_posterior(self, logits: Tensor) -> Tensor:
        """Return what the logits say of labels as frequent as their weighted counts.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_labels, ...)
            Logarithms of the probability of each label: exact where the logits make the expected
            loss least.
        """
        return F.logsigmoid(self._weighted_log_odds(check_logits(logits, self._per_class())))

    def _weighted_log_odds(self, logits):
        """Undo prior, focus and smoothing: where the loss is least, its sides' slopes balance."""
        logits = self.training_logits(logits.clamp(-1e30, 1e30))
        log_p, log_not_p = F.logsigmoid(logits), F.logsigmoid(-logits)
        of_negative, of_positive = self._gammas()
        upwards = _functional.log_slope(log_p, log_not_p, of_positive)
        log_odds = _functional.log_slope(log_not_p, log_p, of_negative) - upwards
        if not self.label_smoothing:
            return log_odds
        even, tiny = self.label_smoothing / 2, torch.finfo(log_odds.dtype).tiny
        sides = torch.sigmoid(log_odds) - even, torch.sigmoid(-log_odds) - even
        with_it, without = (side.clamp(min=tiny).log() for side in sides)
        return with_it - without

    def natural_log_proba(self, logits: Tensor) -> Tensor:
        """Return the logarithm of the probabilities for labels as frequent as in training.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_labels, ...)
            Logarithms of the probability of each label, by itself; -inf for a label that no sample
            has in training.
        """
        logits = check_logits(logits, self._per_class())
        log_odds = self._weighted_log_odds(logits)
        if self.weight is not None:
            without, with_it = self.weight.log().unbind(dim=1)
            is_known = self.weight.T > 0
            # A side of weight 0 is impossible.
            shift = torch.where(is_known.all(dim=0), without - with_it, with_it - without)
            shift = torch.where(is_known.any(dim=0), shift, 0)
            log_odds = log_odds + by_class(shift, logits)
        return F.logsigmoid(log_odds)

    def natural_proba(self, logits: Tensor) -> Tensor:
        """Return probabilities for labels as frequent as in training: the weights undone.

        Weights, prior, focus and label smoothing make a net predict for a world in which labels
        have other frequencies, or none at all. This is the way back, in closed form. It is exact
        where the logits make the expected loss least; a net that is regularised or stopped early
        comes near.

        Parameters
        ----------
        logits : tensor of shape (n_samples, n_labels, ...)
            Unnormalised scores.

        Returns
        -------
        tensor of shape (n_samples, n_labels, ...)
            The probability of each label, by itself; 0 for a label that no sample has in training,
            1 for one that all have.
        """
        return super().natural_proba(logits)

    def extra_repr(self) -> str:
        gamma = self.gamma
        is_pair = isinstance(gamma, tuple)
        shown = [f"gamma=({gamma[0]:g}, {gamma[1]:g})" if is_pair else f"gamma={gamma:g}"]
        more = ("tau", "label_smoothing")
        shown += [f"{name}={getattr(self, name):g}" for name in more if getattr(self, name)]
        return ", ".join([*shown, f"reduction={self.reduction!r}"])


def _even(logits):
    """Return weights of 1."""
    return logits.new_ones(logits.shape[1], 2)


def _check_gamma(gamma):
    """Return gamma as a float, or as one for either side."""
    if not isinstance(gamma, list | tuple):
        return check_factor(gamma, "gamma")
    if len(gamma) != 2:
        raise ValueError(
            "gamma must be a number, or two, for samples without and with a label, got "
            f"{reprlib.repr(gamma)}."
        )
    return tuple(check_factor(side, "each of gamma") for side in gamma)


def _check_label_target(target, logits):
    """Return the target in the logits' type."""
    check_tensor(target, "target")
    if target.shape != logits.shape or target.is_complex():
        raise ValueError(
            "target must have a number in [0, 1] for each logit, got "
            f"{target.dtype} of shape {tuple(target.shape)} for logits of shape "
            f"{tuple(logits.shape)}."
        )
    return target.to(logits.dtype)
