"""Where a training stands, in epochs of the current fit."""

import math
from numbers import Integral, Real


def n_epochs_done(net):
    """Return how many epochs the current fit has begun; between two, all of them are done."""
    return len(net.history) - net._call.n_epochs_before


def check_epoch(epoch, name):
    """Raise a ValueError unless it is a number of epochs or a fraction of all."""
    is_number = isinstance(epoch, Integral) and not isinstance(epoch, bool) and epoch >= 0
    is_fraction = isinstance(epoch, Real) and not isinstance(epoch, Integral) and 0 <= epoch <= 1
    if not is_number and not is_fraction:
        raise ValueError(
            f"{name} must be a number of epochs, as an integer >= 0, or a fraction of max_epochs, "
            f"as a float in [0, 1], got {epoch!r}."
        )


def as_n_epochs(epoch, n_epochs):
    """Return a number of epochs, given as one or as a fraction of all."""
    return epoch if isinstance(epoch, Integral) else math.floor(epoch * n_epochs + 0.5)
