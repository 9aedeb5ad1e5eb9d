"""The net's parameters: how they are stored, checked, and changed on a net that is built."""

import torch
from skorch import NeuralNet

from sk_cbloss._state import put_back
from sk_cbloss._validation import check_integer
from sk_cbloss.neural_net._rules import (
    check_learning_rate,
    check_names,
    check_rules,
    is_auto,
    parameter_names,
)
from sk_cbloss.neural_net.state import net_put_back_on_error, seeded

DATA_PREFIXES = ("dataset__", "iterator_train__", "iterator_valid__")
PLAIN = {"callbacks", "dataset", "device", "iterator_train", "iterator_valid", "optimizer"}
PLAIN |= {"random_state"}


class _Stored:
    """An attribute that skorch sets in __init__, kept under a private name.

    scikit-learn takes public attributes set there for parameters.
    """

    def __set_name__(self, owner, name):
        self.name = f"_{name}"

    def __get__(self, net, owner=None):
        if net is None:
            return self
        try:
            return vars(net)[self.name]
        except KeyError:
            raise AttributeError(self.name) from None

    def __set__(self, net, value):
        vars(net)[self.name] = value


class Parameters(NeuralNet):
    """Store parameters as scikit-learn does, and change those of a net that is built."""

    history_, initialized_, virtual_params_ = _Stored(), _Stored(), _Stored()

    def __setattr__(self, name, value):
        # skorch takes each module that it is given for a part that learns. A parameter is none.
        if name in parameter_names(type(self)):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def device(self):
        """The device in use: what "auto" stands for on this machine."""
        device = vars(self).get("device", "auto")
        if not is_auto(device):
            return device
        if torch.cuda.is_available():
            return "cuda"
        if torch.backends.mps.is_available() and self.dtype == "float32":
            return "mps"
        return "cpu"

    @property
    def _device_in_use(self):
        """Where tensors lie: the device, or that of skorch's AccelerateMixin where it is None."""
        return self.accelerator.device if self.device is None else self.device

    @device.setter
    def device(self, device):
        vars(self)["device"] = device

    def _get_param_names(self):
        return [name for name in super()._get_param_names() if not name.startswith("_")]

    def get_params(self, deep=True, **kwargs):
        params = super().get_params(deep=deep, **kwargs)
        return params | {"device": vars(self)["device"]}

    def set_params(self, **kwargs):
        """Set parameters.

        Those of the loss (``loss``, ``beta``, ``gamma``, ``normalize``) act at
        the next fit. On a fitted net, ``module``, ``criterion``, ``optimizer``
        and ``callbacks`` are made anew at once, with ``random_state``, as they
        are for ``module__*`` and ``criterion__*``. If one parameter is
        invalid, none is set.

        Parameters
        ----------
        **kwargs : dict
            Parameters by name.

        Returns
        -------
        self : CBNeuralNetClassifier
            The net.
        """
        with net_put_back_on_error(self):
            if self.initialized_:
                self._change(kwargs)
                return self
            if "callbacks" in kwargs:
                # skorch would initialise them at once; until fit, they are plain parameters.
                self.callbacks = kwargs.pop("callbacks")
            return super().set_params(**kwargs)

    def _change(self, params):
        """Set parameters of a net that is built, and build anew what they change."""
        check_rules(params, beside=vars(self))
        if "lr" in params:
            check_learning_rate(params["lr"])
        plain = {name for name in params if name in PLAIN or name.startswith(DATA_PREFIXES)}
        rest = {name: params[name] for name in params if name not in plain}
        in_fit = "_fit_call" in vars(self)  # where a callback may ask for it
        kept = {name for name in rest if name.startswith("optimizer__") and name.count("__") == 1}
        kept = set() if in_fit else kept
        for name in plain | kept:
            # skorch does not know what to build, forgets it, or sets it too late to build by.
            setattr(self, name, params[name])
        if "callbacks" in params:
            self._initialize_callbacks()
        changed = {name.partition("__")[0] for name in rest}
        is_built = not changed.isdisjoint(["compile", *self._modules, *self._criteria])
        seed = self._next_seed(build=True) if is_built and not in_fit else None
        with seeded(seed, self._device_in_use):
            super().set_params(**rest)
        if "optimizer" in params and not is_built:
            self._initialize_optimizer()
        elif kept and not is_built:  # would the next one be taken?
            before = dict(vars(self))
            self.initialize_optimizer()
            put_back(vars(self), before)

    def _validate_params(self):
        check_names(self._params_to_validate, self.prefixes_)
        super()._validate_params()

    def _check_training(self):
        """Check the parameters that no part of the net does."""
        check_rules(vars(self))
        if "optimizer__lr" not in vars(self):
            check_learning_rate(self.lr)
        if self.autocast is not None and self.dtype != "float32":
            raise ValueError(
                f"autocast must be None for dtype={self.dtype!r}, got {self.autocast!r}."
            )
        check_integer(self.n_iter_no_change, "n_iter_no_change", minimum=1)
        if self.early_stopping and isinstance(self.callbacks, str):
            raise ValueError(f"early_stopping must be False with callbacks={self.callbacks!r}.")
        check_integer(self.max_epochs, "max_epochs", minimum=int(bool(self.early_stopping)))

    def __setstate__(self, state):
        if not is_auto(state["device"]):
            super().__setstate__(state)
            return
        # Which device "auto" is depends on the machine that loads.
        vars(self).update(device="auto", dtype=state["dtype"])
        super().__setstate__(state | {"device": self.device})
        self.device = "auto"
