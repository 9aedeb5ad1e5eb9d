"""The loss that a net's parameters name, built from the classes' counts."""

import warnings
from collections import ChainMap

import numpy as np
import torch
from skorch import NeuralNet
from skorch.utils import to_device, to_tensor
from torch import nn

from sk_cbloss._validation import check_beta, check_factor, check_normalize
from sk_cbloss.losses import LOSSES, ClassBalancedLoss, ClassBalancedMultiLabelLoss
from sk_cbloss.neural_net.data import (
    FOR_LABELS,
    IGNORED,
    differ,
    ignored_tag,
    is_for_labels,
    logits_of,
    split_sample_weight,
)
from sk_cbloss.neural_net.errors import (
    check_arguments,
    check_complete,
    check_takes_positions,
    parameters_of,
)
from sk_cbloss.neural_net.state import uncompiled

DTYPES = {"float32": torch.float32, "float64": torch.float64}
DEFAULTS = {"loss": None, "beta": None, "gamma": None, "normalize": "classes"}
OF_LOG_ODDS = nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss
FOR_CLASSES = "softmax"  # where no loss is named, or FOR_LABELS
NAMED = ChainMap(LOSSES, {FOR_LABELS: ClassBalancedMultiLabelLoss})  # others may be added


class ChosenLoss(NeuralNet):
    """Check what is asked of the loss, build it, and ask it for the loss of a batch."""

    @property
    def _has_several_labels(self):
        """Whether the net learns to tell of each label whether a sample has it."""
        count = getattr(self, "class_count_", None)
        return is_for_labels(self.loss) if count is None else count.ndim == 2

    @property
    def _loss_in_use(self):
        """The name of the loss, unless criterion takes its place."""
        if self.loss is not None:
            return self.loss
        return FOR_LABELS if self._has_several_labels else FOR_CLASSES

    @property
    def _beta_in_use(self):
        """The beta that the loss weights classes with; if not 0, not again from outside."""
        self._check_loss()
        if self.criterion is not None:
            return 0
        return NAMED[self._loss_in_use].default_beta if self.beta is None else self.beta

    def _loss_settings(self, **changes):
        """Return the parameters of the loss, some of them changed."""
        own = {name: getattr(self, name) for name in DEFAULTS}
        settings = own | {"loss": self._loss_in_use} | changes
        if "loss" in changes and "gamma" not in changes and not _has_gamma(settings["loss"]):
            settings["gamma"] = None
        return settings

    def _check_loss(self, several=None, **changes):
        """Check the parameters of the loss, some of them changed, for what it is to learn."""
        if changes and self.criterion is not None:
            raise ValueError(
                f"criterion must be None for the loss to change, got {self.criterion!r}."
            )
        settings = self._loss_settings(**changes)
        loss, gamma = settings["loss"], settings["gamma"]
        if several is None:
            several = self._has_several_labels
        elif self.loss is None and "loss" not in changes:
            loss = FOR_LABELS if several else FOR_CLASSES
        if not isinstance(loss, str) or loss not in NAMED:
            names = ", ".join(map(repr, sorted(NAMED)))
            raise ValueError(f"loss must be one of {names}, or None, got {loss!r}.")
        if several and loss != FOR_LABELS and self.criterion is None:
            raise ValueError(
                f"loss must be {FOR_LABELS!r}, or None, which takes it, for y with a column for "
                f"each label, got {loss!r}: one-hot rows become labels by argmax(axis=1), and "
                "rows of tags need criterion__ignore_index."
            )
        if loss == FOR_LABELS and not several:
            raise ValueError(
                f"loss must be one for y with one label a sample, or None, got {loss!r}."
            )
        if several:
            self._check_outputs_are_known()
        if settings["beta"] is not None:
            check_beta(settings["beta"])
        check_normalize(settings["normalize"])
        if self.criterion is None:
            self._check_criterion_parameters(loss)
        if gamma is not None:
            if loss == FOR_LABELS:
                NAMED[loss](gamma=gamma)  # which may be one for either side
            else:
                check_factor(gamma, "gamma")
            if not _has_gamma(loss):
                raise ValueError(
                    f"gamma must be None for loss={loss!r}, which has none, "
                    f"got {gamma!r}. Search several losses with a list of grids."
                )
            if "criterion__gamma" in vars(self):
                raise ValueError(f"gamma must be None beside criterion__gamma, got {gamma!r}.")
        if self.criterion is not None:
            for name, default in DEFAULTS.items():
                value = changes.get(name, getattr(self, name))
                if value != default:
                    raise ValueError(
                        f"{name} must be left at {default!r} when criterion replaces the loss, "
                        f"got {value!r}."
                    )

    def _check_outputs_are_known(self):
        """Raise a ValueError unless it is known what a label's output means to a criterion."""
        kind = self.criterion if isinstance(self.criterion, type) else type(self.criterion)
        known = *OF_LOG_ODDS, nn.BCELoss, ClassBalancedLoss, type(None)
        if self.predict_nonlinearity == "auto" and not issubclass(kind, known):
            raise ValueError(
                "predict_nonlinearity must say what the module's outputs are for y with a column "
                f"for each label and criterion={self.criterion!r}, got 'auto': torch.sigmoid for "
                "logits, None for probabilities."
            )

    def _check_own_loss(self):
        if self.criterion is None:
            self._check_loss()

    def _check_criterion_parameters(self, loss):
        known = parameters_of(NAMED[loss]) | parameters_of(NAMED[loss].from_class_count)
        own = {"class_count", "class_prior", "label_prior", "weight"}
        own |= {"beta", "normalize", "parameters"}
        names = sorted(known.keys() - own)
        for name in self.get_params_for("criterion"):
            if name not in names:
                raise ValueError(
                    f"criterion__* must be one of {', '.join(names)} for loss={loss!r}, "
                    f"got criterion__{name}."
                )

    def initialize_criterion(self):
        if "_fit_call" in vars(self):
            self._call.loss_changes = {}  # it is the net's own again
        self._check_own_loss()
        if self.criterion is None:
            self.criterion_ = self._build_loss()
            if "accelerator" in vars(self):
                # skorch's mixin would have it wrapped to average gradients, of which it has none.
                self.criterion_ = self.criterion_.to(self._device_in_use)
                self.criterion_._is_accelerate_prepared = True
            return self
        if isinstance(self.criterion, type):
            kwargs = self.get_params_for("criterion")
            check_arguments(self.criterion, kwargs, "criterion")
            check_complete(self.criterion, kwargs, "criterion")
        super().initialize_criterion()
        if isinstance(self.criterion_, nn.Module):
            self.criterion_ = self.criterion_.to(DTYPES[self._dtype_in_use])
        return self

    def _build_loss(self, **changes):
        settings = self._loss_settings(**changes)
        loss, gamma = NAMED[settings["loss"]], settings["gamma"]
        kwargs = {name: settings[name] for name in ("beta", "normalize")}
        kwargs |= {} if gamma is None else {"gamma": gamma}
        kwargs |= self.get_params_for("criterion")
        # Without data yet, for parameters to be loaded: classes of equal size.
        n_classes = 2 if self.classes is None else len(self.classes)
        count = getattr(self, "class_count_", np.ones(n_classes))
        if self._has_several_labels:
            sides = count if count.ndim > 1 else np.ones((n_classes, 2))
            built = loss.from_label_count(sides[:, 1], sides.sum(axis=1), **kwargs)
        else:  # a net's targets are checked: all are classes, but for tags that do not count
            ignored = None if ignored_tag(self) is None else IGNORED
            built = loss.from_class_count(count, **kwargs | {"ignore_index": ignored})
        return built.to(DTYPES[self._dtype_in_use])

    def _use_loss(self, **changes):
        """Train and predict with another loss from here on; see ``LossChange``."""
        if "_fit_call" in vars(self):
            self._call.loss_changes = changes
        loss = to_device(self._build_loss(**changes), self._device_in_use)
        self.criterion_ = self.torch_compile(loss, name="criterion")

    def get_loss(self, y_pred, y_true, X=None, training=False):
        if isinstance(y_true, list | tuple) and (self._has_several_labels or self._loss_is_ours):
            raise ValueError(
                "A Dataset must yield targets as numbers, arrays or tensors, which make a batch, "
                f"got {type(y_true).__name__}s: torch.tensor(target) makes a tensor of one."
            )
        _, sample_weight = split_sample_weight(X)
        if not training:
            sample_weight = None
        if sample_weight is not None:
            sample_weight = sample_weight.to(self._device_in_use)
        if self._loss_is_ours:
            logits = logits_of(y_pred)
            is_tensor = isinstance(y_true, torch.Tensor)
            device = self._device_in_use
            target = y_true.to(device) if is_tensor else to_tensor(y_true, device)
            if training:
                if sample_weight is not None and self._are_tags(target):
                    sample_weight = _of_each(sample_weight, target.ndim).expand_as(target)
                loss = self.criterion_(logits, target, sample_weight)
                return loss.mean() if loss.ndim else loss
            logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
            known = self._known(target)
            if self._has_several_labels:
                losses = self.criterion_.loss_per_label(logits, target)
            else:
                position = target if known is None else target.clamp(min=0)
                losses = self.criterion_.loss_per_sample(logits, position)
            if known is None:
                return losses.mean()
            return losses.where(known, 0).sum() / known.sum().clamp(min=1)
        if isinstance(y_true, torch.Tensor):
            check_takes_positions(uncompiled(self.criterion_), y_true)
        loss = super().get_loss(y_pred, y_true, X=X, training=training)
        if sample_weight is None:
            known, loss = self._known(y_true), loss.mean()
            # Torch's mean over nothing is NaN.
            return loss if known is None else loss.where(known.any().to(loss.device), 0)
        if not loss.ndim:
            raise ValueError(
                "criterion must have reduction='none' with sample_weight, "
                "got one that returns a single loss a batch."
            )
        return (loss * _of_each(sample_weight, loss.ndim)).mean()

    def _known(self, y_true):
        """Return which targets of a batch the mean of its loss is over, None if over its rows."""
        if self._has_several_labels:
            return y_true == y_true  # but for NaN
        return y_true != IGNORED if self._are_tags(y_true) else None

    def _are_tags(self, y_true):
        """Whether the targets of a batch are tags, several a sample."""
        return getattr(y_true, "ndim", 1) > 1 and ignored_tag(self) is not None

    @property
    def _loss_is_ours(self):
        """Whether the loss knows its probabilities and takes sample weights."""
        loss = self.criterion_
        if isinstance(loss, ClassBalancedLoss):  # to ask a module for what it lacks takes time
            return True
        return isinstance(uncompiled(loss), ClassBalancedLoss)

    @property
    def _loss_owns_probabilities(self):
        return self._loss_is_ours and self.predict_nonlinearity == "auto"

    def _check_head(self, changes=()):
        """Warn of what the loss and the rest of the net do not make of each other."""
        self._check_weights(changes, stacklevel=6 + hasattr(self.fit, "__wrapped__"))
        wanted = getattr(self.criterion_, "head_type", None)
        if wanted and not any(isinstance(part, wanted) for part in self.module_.modules()):
            warnings.warn(
                f"The module should have a last layer of type {wanted.__name__} for "
                f"{type(self.criterion_).__name__}, got none: logits of any size make its margins "
                "meaningless. Give it one, or pass it as a class whose last layer is a Linear "
                "named head.",
                stacklevel=5 + hasattr(self.fit, "__wrapped__"),  # scikit-learn's, since 1.9
            )

    def _check_outputs(self, y_pred):
        """Warn if the module turns its first logits into probabilities, as the loss does."""
        if not (self._loss_is_ours and hasattr(self, "module_")):
            return
        *_, last = uncompiled(self.module_).modules()
        if not isinstance(last, nn.Sigmoid | nn.Softmax):
            return
        outputs = logits_of(y_pred).detach()
        if outputs.numel() and outputs.amin() >= 0 and outputs.amax() <= 1:
            loss = type(uncompiled(self.criterion_)).__name__
            warnings.warn(
                f"The module should give logits, of which {loss} makes probabilities, got numbers "
                f"in [0, 1] from its last part, {last}: leave that out.",
                stacklevel=2,
            )

    def _check_weights(self, changes, stacklevel):
        """Warn if the default weights do nothing, or do again what a sampler does."""
        is_default = self.criterion is None and self.beta is None and not changes
        if not is_default or not self._loss_is_ours:
            return
        loss, count = uncompiled(self.criterion_), self.class_count_[self.class_count_ > 0]
        is_weighted = differ(loss.weight)
        drawn = getattr(self.get_params_for("iterator_train").get("sampler"), "weights", None)
        if differ(drawn, by=1) and (is_weighted or hasattr(loss, "class_prior")):
            warnings.warn(
                "Frequencies of classes are corrected twice, by the weights of "
                f"iterator_train__sampler and by loss={self._loss_in_use!r} with its default "
                "beta. Set beta=0 and a loss without a prior, or leave the sampler out.",
                stacklevel=stacklevel,
            )
        elif self._beta_in_use and not is_weighted and differ(self.class_count_, by=2):
            warnings.warn(
                f"The default beta, {self._beta_in_use:g}, weights classes of {count.min():,.6g} "
                f"to {count.max():,.6g} samples alike, as it does all of 5,000 and more. Search "
                "beta over beta_grid(class_count), or set it to keep it so.",
                stacklevel=stacklevel,
            )


def _of_each(sample_weight, ndim):
    """Return weights of samples with as many dimensions as what they are of."""
    return sample_weight.view(-1, *[1] * (ndim - 1))


def _has_gamma(loss):
    return loss in NAMED and "gamma" in parameters_of(NAMED[loss])
