"""What errors of torch's mean, said where their cause is known."""

import inspect
import re
import traceback
from collections.abc import Mapping

from torch import nn


def first_line(error):
    """Return the first line of an error's text."""
    return str(error).strip().partition("\n")[0]


def meaning_of(error, net, X, fit_params):
    """Return what an error of the module means, in a sentence with the remedy, or None."""
    for pattern, explain in MEANINGS.items():
        if re.search(pattern, str(error)):
            return explain(error, net, X, fit_params)
    return None


def _of_one_row(error, net, X, fit_params):
    return (
        f"batch_size must leave no batch of one row for BatchNorm, got {net.batch_size} and such "
        "a batch: iterator_train__drop_last=True leaves it out."
    )


def _of_embedding(error, net, X, fit_params):
    names = list(inspect.signature(net.module_.forward).parameters)
    if isinstance(X, Mapping) or not names:
        floats = [name for name in X if X[name].is_floating_point()] if names else []
        return f"X must hold integers for an Embedding, got floats in {floats!r}."
    return (
        f"X must be a dict of integers for an Embedding, {{{names[0]!r}: X}}, as an array is cast "
        f"to {net.dtype}."
    )


def _of_arguments(error, net, X, fit_params):
    forward = net.module_.forward
    if not str(error).startswith(f"{forward.__qualname__}()"):  # but that of a part
        return None
    takes = [name for name in inspect.signature(forward).parameters if name not in fit_params]
    unknown = [name for name in fit_params if f"'{name}'" in str(error)]
    if unknown:
        return (
            f"fit must be given what the module's forward takes beside X, got {unknown[0]!r}. "
            "Validation data are X_val and y_val, whose loss has no weights."
        )
    got = f"a dict of {sorted(X)!r}" if isinstance(X, Mapping) else f"a {type(X).__name__}"
    return f"X must be a dict of what the module's forward takes, {takes!r}, got {got}."


MEANINGS = {
    "Expected more than 1 value per channel when training": _of_one_row,
    "Expected tensor for argument #1 'indices' to have": _of_embedding,
    r"forward\(\) got an unexpected keyword argument": _of_arguments,
    r"forward\(\) missing \d+ required positional argument": _of_arguments,
}


FILLED_IN = {"params", "dataset"}  # by skorch


def check_arguments(made, kwargs, prefix):
    """Raise a ValueError unless a class or function takes the arguments."""
    if not kwargs:
        return
    try:
        known = inspect.signature(made).parameters
    except (TypeError, ValueError):  # built in
        return
    unknown = [name for name in kwargs if name not in known]
    if not unknown or any(one.kind is one.VAR_KEYWORD for one in known.values()):
        return
    names = ", ".join(sorted(known.keys() - FILLED_IN))
    of_what = getattr(made, "__name__", type(made).__name__)
    raise ValueError(
        f"{prefix}__* must be one of {names} for {of_what}, got {prefix}__{unknown[0]}."
    )


def check_takes_positions(criterion, error):
    """Raise a ValueError for a loss that has failed as it takes no positions of classes."""
    if isinstance(criterion, nn.BCEWithLogitsLoss | nn.BCELoss):
        raise ValueError(
            "criterion must take positions of classes, as torch.nn.CrossEntropyLoss does, got "
            f"{type(criterion).__name__}: loss='sigmoid' is it over one-hot rows."
        ) from error


def check_takes_parameters(net, error):
    """Raise a ValueError for parameters that one of torch's optimizers has refused."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if frame.f_globals["__name__"].startswith("torch.optim"):
        given = {"lr": net.lr} | net.get_params_for("optimizer")
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
        said = first_line(error).rstrip(".")
        raise ValueError(
            f"optimizer__* must be what {net.optimizer.__name__} takes, got {shown} ({said})."
        ) from error
