"""What a net is built of: module, loss, optimizer, callbacks and history."""

import copy
import inspect

import numpy as np
import torch
from skorch.callbacks import (
    BatchScoring,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    PrintLog,
)
from skorch.history import History
from skorch.utils import to_numpy
from torch import nn
from torch.nn.parameter import is_lazy

from sk_cbloss.neural_net._chosen_loss import DTYPES, NAMED, ChosenLoss
from sk_cbloss.neural_net._rules import check_rules
from sk_cbloss.neural_net.callbacks import (
    DecodeLabels,
    MeanLoss,
    RefitHead,
    TrainingCheckpoint,
    balanced_accuracy,
    f1_macro,
)
from sk_cbloss.neural_net.data import ignored_tag
from sk_cbloss.neural_net.errors import (
    check_arguments,
    check_complete,
    check_takes_parameters,
    parameters_of,
)
from sk_cbloss.neural_net.modules import MLP
from sk_cbloss.neural_net.state import net_put_back_on_error, uncompiled
from sk_cbloss.neural_net.training import can_be_fused, evaluates_again


class Components(ChosenLoss):
    """Build the parts of a net, each by the hook that skorch has for it."""

    _grad_scaler = None  # a part of the net, where it trains in float16

    def initialize(self):  # the net stays what it was if that fails
        with net_put_back_on_error(self):
            check_rules(vars(self))
            return super().initialize()

    def initialize_history(self):
        if type(self.history) is not History:  # none yet, or one with a store of its own
            return super().initialize_history()
        self.history = History()
        return self

    @property
    def _default_callbacks(self):
        name, score = "valid_balanced_accuracy", balanced_accuracy
        if self._has_several_labels:
            name, score = "valid_f1_macro", f1_macro
        callbacks = [
            ("epoch_timer", EpochTimer()),
            ("train_loss", MeanLoss("train_loss", on_train=True)),
            ("valid_loss", MeanLoss("valid_loss")),
            (name, EpochScoring(score, name=name, lower_is_better=False)),
            ("print_log", PrintLog()),
        ]
        if isinstance(self.early_stopping, bool | np.bool_) and self.early_stopping:
            stop = EarlyStopping(
                name,
                lower_is_better=False,
                patience=self.n_iter_no_change,
                threshold=1e-4,
                threshold_mode="abs",
                load_best=True,
            )
            callbacks.append(("early_stopping", stop))
        return callbacks

    def initialize_callbacks(self):
        super().initialize_callbacks()
        classes = getattr(self, "classes_", None)
        for position, (name, callback) in enumerate(self.callbacks_):
            scores = isinstance(callback, EpochScoring | BatchScoring)
            extracts = scores and callback.target_extractor is to_numpy
            if extracts and classes is not None and not self._has_several_labels:
                callback = copy.copy(callback)  # it may be the user's own
                callback.target_extractor = DecodeLabels(classes, ignored_tag(self))
                self.callbacks_[position] = (name, callback)
        self.callbacks_.sort(key=lambda named: isinstance(named[1], TrainingCheckpoint))
        return self

    def initialize_module(self):
        self._check_own_loss()
        module = MLP if self.module is None else self.module
        kwargs = self.get_params_for("module")
        if isinstance(module, nn.Module):
            if not kwargs:
                module = copy.deepcopy(module)
        else:
            kwargs = self._learned_sizes(module) | kwargs
            if self.module is None and not {"n_features", "n_classes"} <= kwargs.keys():
                raise ValueError(
                    "module__n_features and module__n_classes must be given for the default MLP "
                    f"where no array tells them, got {sorted(kwargs)!r}."
                )
        made = type(module) if isinstance(module, nn.Module) else module
        check_arguments(made, kwargs, "module")
        if kwargs or not isinstance(module, nn.Module):
            check_complete(made, kwargs, "module")
        built = self.initialized_instance(module, kwargs)
        if self._prepares_head_of(built):
            built.head = NAMED[self._loss_in_use].prepare_head(built.head)
        self._dtype_in_use = self.dtype  # until the net is built anew
        built = built.to(DTYPES[self.dtype])
        if self.channels_last:
            built = built.to(memory_format=torch.channels_last)
        self.module_ = built
        return self

    def _prepares_head_of(self, module):
        """Whether the module was made from a class, and its last layer is a Linear named head."""
        head = getattr(module, "head", None)
        return (
            (self.module is None or inspect.isclass(self.module))
            and self.criterion is None
            and isinstance(head, nn.Linear)
            and not is_lazy(head.weight)
            and head.out_features == len(getattr(self, "classes_", ()))
        )

    def _learned_sizes(self, module):
        named = parameters_of(module)
        sizes = {
            "n_features": getattr(self, "n_features_in_", None),
            "n_classes": len(self.classes_) if hasattr(self, "classes_") else None,
        }
        return {name: size for name, size in sizes.items() if name in named and size is not None}

    def get_params_for_optimizer(self, prefix, named_parameters):
        args, kwargs = super().get_params_for_optimizer(prefix, list(named_parameters))
        kind = getattr(self, prefix, None)
        check_arguments(kind, kwargs, prefix)
        modules = [getattr(self, f"{name}_") for name in self._modules]
        if can_be_fused(kind, kwargs, modules, self._device_in_use):
            kwargs["fused"] = True
        if self._frees_bias_from_decay(prefix, kwargs):
            (group,) = args[0]
            bias = self.module_.head.bias
            rest = [p for p in group["params"] if p is not bias]
            args = ([{"params": [bias], "weight_decay": 0}, {"params": rest}],)
        return args, kwargs

    def _frees_bias_from_decay(self, prefix, kwargs):
        """Whether weight decay is to leave the last layer's bias alone, which the loss set."""
        if prefix != "optimizer" or hasattr(self, "optimizer__param_groups"):
            return False
        decay = parameters_of(self.optimizer).get("weight_decay")
        decays = bool(kwargs.get("weight_decay", decay.default if decay else 0))
        refits = [cb for _, cb in self.callbacks_ if isinstance(cb, RefitHead)]
        return (
            (decays or any(callback.weight_decay for callback in refits))
            and self._prepares_head_of(self.module_)
            and not uncompiled(self.criterion_).decays_head_bias
            and self.module_.head.bias is not None
        )

    def initialize_optimizer(self, *args, **kwargs):
        try:
            super().initialize_optimizer(*args, **kwargs)
        except (TypeError, ValueError) as error:
            check_takes_parameters(self, error)
            raise
        self._grad_scaler = None
        if self.autocast == "float16":
            self._grad_scaler = torch.amp.GradScaler(torch.device(self._device_in_use).type)
            if len(self._optimizers) > 1 or evaluates_again(type(self.optimizer_)):
                raise ValueError(
                    "optimizer must be a single one that computes no losses by itself for "
                    f"autocast='float16', got {type(self.optimizer_).__name__}. "
                    "autocast='bfloat16' takes any."
                )
        return self

    def _forget_steps(self):
        """Forget what the optimizers have learned."""
        for name in self._optimizers:
            getattr(self, f"{name}_").state.clear()

    def trim_for_prediction(self):
        # The loss stays, which knows the probabilities.
        criterion = self.criterion_
        super().trim_for_prediction()
        self.criterion_ = criterion
