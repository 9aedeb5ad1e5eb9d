"""What a rank brings to a fit, in few words, for others to compare theirs with."""

import inspect
import reprlib
from numbers import Real

import numpy as np
import torch

from sk_cbloss.neural_net.data import arrays_of, cut
from sk_cbloss.neural_net.ranks import versions
from sk_cbloss.neural_net.state import fingerprint

# Parameters that may differ: they change nothing of what is learned, or rank 0's are taken.
MAY_DIFFER = {"accelerator", "callbacks", "device", "random_state", "timeout", "torch_load_kwargs"}
MAY_DIFFER |= {"use_caching", "verbose"}
N_ROWS = 16  # to look at; all would take as long as to read them


def told_of(net, call, data):
    """Return a dict of names and short texts, the same on ranks that may train together."""
    told = versions() | {"class": _text(type(net))}
    for name, value in sorted(net.get_params(deep=False).items()):
        if name not in MAY_DIFFER and not name.startswith("callbacks__"):
            told[name] = _text(value)
    told["names of callbacks"] = _callbacks(net)
    told["classes"] = _text(data.classes)
    told["y, given whole to each"] = f"{len(data.positions):,} {_digest(data.positions)}"
    told["sums of weights by class"] = _text(data.class_count)
    told["X, given whole to each"] = _rows(data.X)
    valid = call.validation_data
    told["validation data"] = "none" if valid is None else _rows(getattr(valid, "X", valid))
    told["parameters of fit"] = _text(sorted(call.fit_params))
    return told


def _callbacks(net):
    if isinstance(net.callbacks, str):
        return repr(net.callbacks)
    return repr([type(callback).__name__ for callback in net.callbacks or ()])


def _digest(value):
    try:
        return f"of digest {fingerprint(value)[:8]}"
    except TypeError:  # it cannot be told from others
        return f"of type {type(value).__name__}"


def _text(value):
    """Return what a value is: of classes and functions their code, of other objects their type."""
    if isinstance(value, Real | str | None):
        return repr(value)
    if isinstance(value, np.ndarray | list | tuple | dict):
        return f"{reprlib.repr(value)} {_digest(value)}"
    if not inspect.isclass(value) and not inspect.isroutine(value):
        value = type(value)
    code = getattr(value, "__code__", value)  # what a function has closed over may be a rank's own
    return f"{value.__qualname__} {_digest(code)}"


def _rows(X):
    """Return in short what features are: sizes, types, and some of the rows."""
    if not isinstance(X, dict | list) and not hasattr(X, "shape"):
        return f"{len(X):,} of a {type(X).__name__}"
    texts = []
    for array in arrays_of(X):
        rows = np.unique(np.linspace(0, array.shape[0] - 1, N_ROWS).astype(int))
        some = cut(array, torch.from_numpy(rows))
        texts.append(f"{tuple(array.shape)} of {array.dtype} {_digest(some)}")
    return "; ".join(texts)
