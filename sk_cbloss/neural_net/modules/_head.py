"""The last layer of a module, whoever wrote it."""

import torch
from torch import nn
from torch.nn.parameter import is_lazy


def find_head(module: nn.Module, n_classes: int, name: str | None = None) -> nn.Module:
    """Return the last part with a weight of a row for each class, within the part of a name."""
    try:
        within = module if name is None else module.get_submodule(name)
    except (AttributeError, TypeError):
        parts = ", ".join(repr(part) for part, _ in module.named_children())
        raise ValueError(
            f"head must name a part of the module, such as one of {parts}, got {name!r}."
        ) from None
    found = [part for part in within.modules() if _has_a_row_a_class(part, n_classes)]
    if not found:
        where = "module" if name is None else f"part {name!r} of the module"
        raise ValueError(
            f"The {where} must have a last layer with a weight of a row for each of {n_classes} "
            "classes, such as torch.nn.Linear, got none."
        )
    return found[-1]


def _has_a_row_a_class(part, n_classes):
    weight = getattr(part, "weight", None)
    return (
        isinstance(weight, torch.Tensor)
        and not is_lazy(weight)
        and weight.ndim == 2
        and len(weight) == n_classes
    )
