"""What a class, a function or a loss cannot be given, said before or where torch says it."""

import inspect
import traceback
from functools import lru_cache

from torch import nn
from torch.nn.modules import loss as losses

from sk_cbloss.neural_net.errors._meanings import first_line

FILLED_IN = {"params", "dataset"}  # by skorch


def parameters_of(made):
    """Return the parameters of a class or function, by name, looked up once: it takes long."""
    is_lasting = isinstance(made, type) or inspect.isroutine(made)  # and can be hashed
    return (_looked_up if is_lasting else _looked_up.__wrapped__)(made)


@lru_cache(maxsize=200)
def _looked_up(made):
    return inspect.signature(made).parameters


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
        known = parameters_of(made)
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
