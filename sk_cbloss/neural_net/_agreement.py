"""What a rank brings to a fit, in few words, for others to compare theirs with."""

import inspect
import reprlib
from functools import partial
from numbers import Real

import numpy as np
import torch
from skorch.utils import is_dataset
from torch import nn

from sk_cbloss.neural_net.data import arrays_of, cut
from sk_cbloss.neural_net.ranks import DRAWN, versions
from sk_cbloss.neural_net.state import TELLING, fingerprint, params_of, seeded

# Parameters that may differ: they change nothing of what is learned, or rank 0's are taken.
MAY_DIFFER = {"accelerator", "callbacks", "device", "random_state", "timeout", "torch_load_kwargs"}
MAY_DIFFER |= {"use_caching", "verbose"}
# Of callbacks: what tells, and what rank 0 writes.
WRITTEN = {"dirname", "fn_prefix", "keep", "sink", "start_from"}
WRITTEN |= {f"f_{name}" for name in ("params", "optimizer", "criterion", "history", "pickle")}
THAT_TELL = ("callbacks__print_log", "callbacks__epoch_timer")
N_ROWS = 16  # to look at; all would take as long as to read them
N_ITEMS = 4  # of a Dataset, each of which may be a file
N_READS = 3  # of each; items that were flipped or not are seldom the same so often


def told_of(net, call, data):
    """Return a dict of names and short texts, the same on ranks that may train together."""
    told = versions() | {"class": _text(type(net))}
    for name, value in sorted(net.get_params(deep=False).items()):
        is_written = name.startswith("callbacks__") and name.rpartition("__")[2] in WRITTEN
        if name not in MAY_DIFFER and not is_written and not name.startswith(THAT_TELL):
            told[name] = _text(value)
    told |= _callbacks(net)
    told["classes"] = _text(data.classes)
    told["y, given whole to each"] = f"{data.targets.shape[0]:,} {_digest(data.targets)}"
    told["sums of weights by class"] = _text(data.class_count)
    told["X, given whole to each"] = _rows(data.X)
    valid = call.validation_data
    told["validation data"] = "none" if valid is None else _rows(getattr(valid, "X", valid))
    told["labels of validation data"] = _digest(getattr(valid, "y", None))
    told["parameters of fit"] = _text(sorted(call.fit_params))
    return told


def _callbacks(net):
    """Return what the callbacks are, and the parameters of each but for those that only tell."""
    if isinstance(net.callbacks, str):
        return {"names of callbacks": repr(net.callbacks)}
    given = [item[-1] if isinstance(item, tuple) else item for item in net.callbacks or ()]
    kinds = [item if inspect.isclass(item) else type(item) for item in given]
    told = {"names of callbacks": repr([kind.__name__ for kind in kinds])}
    for place, callback in enumerate(given):
        if not inspect.isclass(callback) and not isinstance(callback, TELLING):
            for name, value in params_of(callback).items():
                if name not in WRITTEN:
                    told[f"callbacks[{place}].{name}"] = _text(value)
    return told


def _digest(value):
    try:
        return f"of digest {fingerprint(value)[:8]}"
    except TypeError:  # it cannot be told from others
        return f"of type {type(value).__name__}"


def _text(value):
    """Return what a value is: of classes and functions their code, of most objects their type."""
    if isinstance(value, Real | str | None):
        return repr(value)
    if isinstance(value, torch.Tensor):
        value = value.numpy(force=True)
    if isinstance(value, np.ndarray | list | tuple | dict):
        return f"{reprlib.repr(value)} {_digest(value)}"
    if isinstance(value, partial):
        given = [*value.args, *value.keywords.items()]
        return f"partial of {_text(value.func)} and {'; '.join(map(_text, given))}"
    if isinstance(value, nn.Module):
        return f"{type(value).__qualname__} {_digest(repr(value))}"  # its parts and their settings
    if not inspect.isclass(value) and not inspect.isroutine(value):
        value = type(value)
    code = getattr(value, "__code__", value)  # what a function has closed over may be a rank's own
    return f"{value.__qualname__} {_digest(code)}"


def _rows(X):
    """Return in short what features are: sizes, types, and some of the rows."""
    if is_dataset(X) or (not isinstance(X, dict | list) and not hasattr(X, "shape")):
        return f"{len(X):,} of a {type(X).__name__} {_items(X)}"
    texts = []
    for array in arrays_of(X):
        some = cut(array, torch.from_numpy(_spread(array.shape[0], N_ROWS)))
        texts.append(f"{tuple(array.shape)} of {array.dtype} {_digest(some)}")
    return "; ".join(texts)


def _items(dataset):
    """Return a digest of some items of a Dataset; of items that are drawn, that they are."""
    rows, found = _spread(len(dataset), N_ITEMS).tolist(), set()
    for _ in range(N_READS):
        with seeded(0, "cpu"):  # they may draw, and the training is not to notice
            found.add(" ".join([_digest(dataset[row]) for row in rows]))
    return found.pop() if len(found) == 1 else DRAWN


def _spread(n_rows, n_chosen):
    return np.unique(np.linspace(0, max(n_rows - 1, 0), min(n_chosen, n_rows)).astype(int))
