"""What the net's parameters must be: one rule each, checked before anything is built."""

import inspect
import textwrap
from functools import cache
from numbers import Integral, Real

import numpy as np
import torch

from sk_cbloss._validation import check_non_negative
from sk_cbloss.neural_net._chosen_loss import DTYPES
from sk_cbloss.neural_net.errors import first_line
from sk_cbloss.neural_net.training import HALF


def is_auto(value):
    return isinstance(value, str) and value == "auto"


def _is_bool(value):
    return isinstance(value, bool | np.bool_)


def _is_batch_size(value):
    return isinstance(value, Integral) and not _is_bool(value) and (value > 0 or value == -1)


def _are_callbacks(value):
    if isinstance(value, str):
        return value == "disable"
    return isinstance(value, list | tuple) and (
        not value or (isinstance(value, list) and all(map(_is_callback, value)))
    )


def _is_callback(item):
    """Whether skorch takes it: an instance or a class, with a name or without; None is none."""
    name, callback = item if isinstance(item, tuple | list) and len(item) == 2 else ("", item)
    needed = ("initialize", "get_params", "set_params")  # what it is told of, it may choose
    is_callback = callback is None or all(hasattr(callback, method) for method in needed)
    return isinstance(name, str) and is_callback


def _are_transforms(value):
    transforms = value if isinstance(value, list | tuple) else [value]
    return all(callable(each) and not inspect.isclass(each) for each in transforms)


def _or_none(is_valid):
    return lambda value: value is None or is_valid(value)


def _one_of(names):
    return lambda value: isinstance(value, str) and value in names


# Whatever skorch can use is let through: much of what it calls may be any function.
RULES = {
    "module": ("a torch.nn.Module class, function or instance, or None", _or_none(callable)),
    "criterion": ("a loss class, function or instance, or None", _or_none(callable)),
    "optimizer": ("a class such as torch.optim.Adam", callable),
    "iterator_train": ("a class such as torch.utils.data.DataLoader", callable),
    "iterator_valid": ("a class such as torch.utils.data.DataLoader", callable),
    "dataset": (
        "a torch.utils.data.Dataset class or instance",
        lambda value: callable(value) or hasattr(value, "__getitem__"),
    ),
    "train_split": (
        "callable, such as skorch.dataset.ValidSplit(5, stratified=True), or None",
        lambda value: callable(value) or value is None or value is False,
    ),
    # None leaves the batches to a Dataset.
    "batch_size": ("an integer >= 1, or -1 for all samples", _or_none(_is_batch_size)),
    "batch_transform": (
        "an instance or function that can be called, a list of such, or None",
        _or_none(_are_transforms),
    ),
    "predict_nonlinearity": (
        "callable, None or 'auto'",
        _or_none(lambda value: callable(value) or is_auto(value)),
    ),
    "callbacks": (
        "a list of callbacks, which have initialize, get_params and set_params as skorch's do, "
        "None or 'disable'",
        _or_none(_are_callbacks),
    ),
    "autocast": ("'bfloat16', 'float16' or None", _or_none(_one_of(HALF))),
    "dtype": ("'float32' or 'float64'", _one_of(DTYPES)),
    "device": (
        "'auto', the name of a device or a torch.device",
        lambda value: isinstance(value, str | int | torch.device),
    ),
    "use_caching": ("'auto', True or False", lambda value: _is_bool(value) or is_auto(value)),
    "early_stopping": ("True or False", _is_bool),
    "channels_last": ("True or False", _is_bool),
    "validation_fraction": (
        "a number in (0, 1)",
        lambda value: isinstance(value, Real) and 0 < value < 1,
    ),
}


@cache
def parameter_names(kind):
    """Return the names of the parameters of a class, those of its bases included."""
    inits = [vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)]
    return frozenset(name for init in inits for name in inspect.signature(init).parameters)


def check_rules(params, beside=()):
    """Raise a ValueError unless each parameter that has a rule keeps it, beside others."""
    for name, (rule, is_valid) in RULES.items():
        value = params.get(name)
        if name == "device" and value is None and "accelerator" in {*params, *beside}:
            continue  # skorch's AccelerateMixin places the module
        if name in params and not is_valid(value):
            shown = textwrap.shorten(repr(value), 70, placeholder="...")
            raise ValueError(f"{name} must be {rule}, got {shown}.")
    device = params.get("device", "auto")
    if not is_auto(device) and device is not None:
        check_device(device)


def check_learning_rate(lr):
    """Raise a ValueError unless it is a number >= 0, or a tensor, which holds one."""
    if not isinstance(lr, torch.Tensor):
        check_non_negative(lr, "lr")


def check_names(names, prefixes):
    """Raise a ValueError unless each name, none of a plain parameter, has one of the prefixes."""
    for name in sorted(names):
        if name.endswith("_") or name.partition("__")[0] in prefixes:
            continue
        near = [prefix for prefix in prefixes if name.startswith(prefix)]
        prefix = max(near, key=len, default=None)
        meant = f" ({prefix}__{name[len(prefix) :].lstrip('_')} may be meant)" if prefix else ""
        listed = ", ".join(f"{prefix}__" for prefix in sorted(prefixes))
        raise ValueError(
            f"Parameters must be the net's own or begin with one of {listed}, got {name}{meant}."
        )


def check_device(device):
    """Raise a ValueError unless torch can use the device."""
    try:
        torch.empty(0, device=torch.device(device))
    except (AssertionError, ImportError, RuntimeError, TypeError) as error:
        raise ValueError(
            "device must be 'auto' or a device that torch finds on this machine, got "
            f"{device!r} ({first_line(error).rstrip('.')})."
        ) from error
