"""What errors of torch's mean, said where their cause is known."""

import inspect
import re
import traceback
from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.modules import loss as losses


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


def _of_integers(error, net, X, fit_params):
    parts = X.values() if isinstance(X, Mapping) else X if isinstance(X, list | tuple) else [X]
    tables = [part for part in net.module_.modules() if isinstance(part, nn.Embedding)]
    n_rows = min((table.num_embeddings for table in tables), default=0)
    for part in parts:
        if isinstance(part, torch.Tensor) and not part.is_floating_point() and part.numel():
            outside = part[(part < 0) | (part >= n_rows)]
            if tables and outside.numel():
                return (
                    f"X must hold integers from 0 to {n_rows - 1} for an Embedding of {n_rows} "
                    f"rows, got {outside[0].item()}."
                )
    return None


def _of_sizes(error, net, X, fit_params):
    got, takes = re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", str(error)).groups()
    return (
        f"module must have layers that fit X and each other, got one that takes {takes} numbers "
        f"a row, and rows of {got}: check X, or module__*."
    )


MEANINGS = {
    "Expected more than 1 value per channel when training": _of_one_row,
    "Expected tensor for argument #1 'indices' to have": _of_embedding,
    r"forward\(\) got an unexpected keyword argument": _of_arguments,
    r"forward\(\) missing \d+ required positional argument": _of_arguments,
    "index out of range in self": _of_integers,
    r"mat1 and mat2 shapes cannot be multiplied \(\d+x\d+ and \d+x\d+\)": _of_sizes,
}


FILLED_IN = {"params", "dataset"}  # by skorch


def check_complete(made, kwargs, prefix):
    """Raise a ValueError unless a class or function has all arguments that it needs."""
    try:
        inspect.signature(made).bind(**kwargs)
    except TypeError:
        known = inspect.signature(made).parameters.values()
        missing = [
            f"{prefix}__{one.name}"
            for one in known
            if one.default is one.empty
            and one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
            and one.name not in kwargs
        ]
        if missing:
            raise ValueError(
                f"{' and '.join(missing)} must be given for {_name_of(made)}, got "
                f"{sorted(kwargs)!r}."
            ) from None
    except ValueError:  # built in
        return


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
    raise ValueError(
        f"{prefix}__* must be one of {names} for {_name_of(made)}, got {prefix}__{unknown[0]}."
    )


def _name_of(made):
    return getattr(made, "__name__", type(made).__name__)


TAKE_POSITIONS = ("CrossEntropyLoss", "NLLLoss", "NLLLoss2d", "MultiMarginLoss")
TAKE_POSITIONS += ("LinearCrossEntropyLoss",)  # newer torch's, of features
TAKE_NO_POSITIONS = {
    kind
    for name, kind in vars(losses).items()
    if isinstance(kind, type) and issubclass(kind, nn.Module) and name not in TAKE_POSITIONS
}


def check_takes_positions(criterion, target):
    """Raise a ValueError for positions of classes and one of torch's losses that takes none.

    Some would compute a number all the same, where shapes happen to fit.
    """
    kind = type(criterion)
    if kind in TAKE_NO_POSITIONS and target.ndim == 1 and not target.is_floating_point():
        one_hot = kind in (nn.BCEWithLogitsLoss, nn.BCELoss)
        remedy = ": loss='sigmoid' is it over one-hot rows" if one_hot else ""
        raise ValueError(
            "criterion must take positions of classes, as torch.nn.CrossEntropyLoss does, got "
            f"{kind.__name__}{remedy}."
        )


def check_takes_parameters(net, error):
    """Raise a ValueError for parameters that one of torch's optimizers has refused."""
    if "empty parameter list" in str(error):
        raise ValueError(
            f"module must have parameters that learn, got none in {type(net.module_).__name__}."
        ) from error
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    if frame.f_globals["__name__"].startswith("torch.optim"):
        given = {"lr": net.lr} | net.get_params_for("optimizer")
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items())
        said = first_line(error).rstrip(".")
        raise ValueError(
            f"optimizer__* must be what {net.optimizer.__name__} takes, got {shown} ({said})."
        ) from error
