"""What errors of torch's mean, said where their cause is known."""

import inspect
import re
from collections.abc import Mapping

import torch
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


def _bare(module):
    """Return a module without what averages its gradients over ranks."""
    return module.module if isinstance(module, nn.parallel.DistributedDataParallel) else module


def _of_one_row(error, net, X, fit_params):
    return (
        f"batch_size must leave no batch of one row for BatchNorm, got {net.batch_size} and such "
        "a batch: iterator_train__drop_last=True leaves it out."
    )


def _of_embedding(error, net, X, fit_params):
    names = list(inspect.signature(_bare(net.module_).forward).parameters)
    if isinstance(X, Mapping) or not names:
        floats = [name for name in X if X[name].is_floating_point()] if names else []
        return f"X must hold integers for an Embedding, got floats in {floats!r}."
    return (
        f"X must be a dict of integers for an Embedding, {{{names[0]!r}: X}}, as an array is cast "
        f"to {net.dtype}."
    )


def _of_arguments(error, net, X, fit_params):
    forward = _bare(net.module_).forward
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


def _of_types(error, net, X, fit_params):
    parts = X.items() if isinstance(X, Mapping) else enumerate(X) if _are_several(X) else [("", X)]
    for name, part in parts:
        if isinstance(part, torch.Tensor) and not (part.is_floating_point() or part.is_complex()):
            which = f" in {name!r}" if _are_several(X) else ""
            return (
                f"X must hold floats where the module computes with them, got {part.dtype}{which}:"
                " integers of a Dataset, and of several arrays, stay what they are, for an "
                "Embedding. Make floats of them, in the Dataset's transform or in forward."
            )
    return None


def _are_several(X):
    return isinstance(X, Mapping | list | tuple)


def _of_sizes(error, net, X, fit_params):
    got, takes = re.search(r"\(\d+x(\d+) and (\d+)x\d+\)", str(error)).groups()
    return (
        f"module must have layers that fit X and each other, got one that takes {takes} numbers "
        f"a row, and rows of {got}: check X, or module__*."
    )


def _of_unused(error, net, X, fit_params):
    return (
        "module must have parameters that all learn in each step, for several ranks, got some "
        "without a gradient: freeze those, or pass accelerator=Accelerator(kwargs_handlers="
        "[DistributedDataParallelKwargs(find_unused_parameters=True)])."
    )


MEANINGS = {
    "Expected to have finished reduction in the prior iteration": _of_unused,
    "Expected more than 1 value per channel when training": _of_one_row,
    "Expected tensor for argument #1 'indices' to have": _of_embedding,
    r"have the same dtype, but got|RNN input dtype|mixed dtype": _of_types,
    r"Input type \(.*\) and \w+ type": _of_types,
    r"norm\" not implemented for": _of_types,
    r"forward\(\) got an unexpected keyword argument": _of_arguments,
    r"forward\(\) missing \d+ required positional argument": _of_arguments,
    "index out of range in self": _of_integers,
    r"mat1 and mat2 shapes cannot be multiplied \(\d+x\d+ and \d+x\d+\)": _of_sizes,
}
