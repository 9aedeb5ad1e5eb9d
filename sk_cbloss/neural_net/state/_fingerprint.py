"""A name for a training: the same for the same parameters, data and module, else another."""

import inspect
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache, partial
from hashlib import blake2b
from pathlib import Path, PurePath
from types import CodeType, EllipsisType

import numpy as np
import scipy.sparse
import torch
from torch import nn
from torch.nn.parameter import is_lazy
from torch.utils.data import Dataset

from sk_cbloss.neural_net.state._randomness import seeded

# What tells itself from others by its text.
PLAIN = (type(None), EllipsisType, bool, int, float, complex, str, bytes, range, slice, PurePath)
PLAIN += (np.dtype, torch.dtype, torch.device)
N_ITEMS = 16  # of a Dataset that hides what it is made of: to read all may take long
LIBRARIES = tuple(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib"))
LIBRARIES += (Path(__file__).parents[2],)
SITES = frozenset({"site-packages", "dist-packages"})  # the user's, the system's too
OF_EVERY_MODULE = vars(nn.Module()).keys()
OF_EVERY_CLASS = {"__module__", "__doc__", "__dict__", "__weakref__", "__annotations__"}
OF_EVERY_CLASS |= {"__firstlineno__", "__static_attributes__", "__qualname__"}


def fingerprint(*values):
    """Return a short name for the values; a TypeError if one cannot be told from others."""
    return _digest(values, seen=())


def _digest(value, seen):
    digest = blake2b(digest_size=16)
    _add(digest, value, seen)
    return digest.hexdigest()


def _add(digest, value, seen):
    """Add what tells a value from others, itself and its parts."""
    value = value.item() if isinstance(value, np.generic) else value
    kind = type(value)
    digest.update(_tag(kind))
    if isinstance(value, PLAIN):
        digest.update(repr(value).encode())
    elif isinstance(value, np.ndarray):
        digest.update(f"{value.dtype.str}{value.shape}".encode())
        if value.dtype.hasobject:
            _add(digest, value.tolist(), seen)
        else:
            digest.update(np.ascontiguousarray(value).view(np.uint8).data)
    elif any(value is outer for outer in seen):
        return
    else:
        parts = _parts(value, (*seen, value))
        digest.update(f"{len(parts)}".encode())  # tells [[1], 2] from [[1, 2]]
        for part in parts:
            _add(digest, part, (*seen, value))


@lru_cache(maxsize=1000)
def _tag(kind):
    return f"<{kind.__module__}.{kind.__qualname__}>".encode()


def _parts(value, seen):
    """Return what a value that is no number or array is made of."""
    if type(value) in (list, tuple):  # most are
        return value
    if type(value) is dict:
        return tuple(value.items())
    if is_lazy(value):
        return (repr(value),)  # no numbers yet
    if isinstance(value, torch.Tensor):
        tensor = value.detach().cpu().resolve_conj().contiguous()
        return str(tensor.dtype), tuple(tensor.shape), tensor.reshape(-1).view(torch.uint8).numpy()
    if scipy.sparse.issparse(value):
        csr = value.tocsr()
        return csr.shape, csr.data, csr.indices, csr.indptr
    if isinstance(value, torch.Generator):
        return (value.get_state(),)
    if isinstance(value, np.random.RandomState):
        return (value.get_state(legacy=False),)
    if isinstance(value, np.random.Generator):
        return (value.bit_generator.state,)
    if inspect.ismodule(value):
        return (value.__name__,)
    if isinstance(value, partial):
        return value.func, value.args, value.keywords
    if isinstance(value, Mapping):
        return tuple(value.items())
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, set | frozenset):
        return sorted(value, key=repr)
    if isinstance(value, CodeType):
        return value.co_code, value.co_names, value.co_consts
    if inspect.isclass(value):
        return _of_class(value, seen)
    if isinstance(value, classmethod | staticmethod):
        return (value.__func__,)
    # Other descriptors, such as scikit-learn's set_fit_request, are objects with attributes.
    if inspect.isroutine(value) and hasattr(value, "__qualname__"):
        return _of_function(value)
    if isinstance(value, nn.Module):
        return structure(value, seen), dict(value.state_dict())
    if isinstance(value, Dataset):
        return _of_dataset(value, seen)
    if hasattr(value, "__dict__"):
        return type(value), vars(value)
    raise TypeError(
        "A checkpoint's folder is named after the parameters, got one that cannot be told from "
        f"others of its type: {value!r}."
    )


def structure(module, seen=()):
    """Return what a module is beside its parameters: its parts, their types and attributes."""
    parts, seen = [], (*seen, module)  # a part may hold the whole, in a list
    for name, part in module.named_modules():
        own = {key: value for key, value in vars(part).items() if key not in OF_EVERY_MODULE}
        parts.append((name, type(part), part.extra_repr(), _as_far_as_known(own, seen)[0]))
    return parts


def _as_far_as_known(values, seen):
    """Return a digest of each value, or its type, and whether all could be told from others."""
    known, all_told = {}, True
    for name, value in values.items():
        try:
            known[name] = _digest(value, seen)
        except TypeError:
            known[name], all_told = str(type(value)), False
    return known, all_told


def _of_class(value, seen):
    name = value.__module__, value.__qualname__
    if _is_of_a_library(value):
        return name
    own = {key: member for key, member in vars(value).items() if key not in OF_EVERY_CLASS}
    return *name, _as_far_as_known(own, seen)[0], value.__bases__


def methods(kind):
    """Return the functions of a class and its bases; what else it holds may change as it works."""
    members = [member for base in kind.__mro__[::-1] for member in vars(base).values()]
    functions = [getattr(member, "__func__", member) for member in members]
    return kind.__qualname__, [value for value in functions if inspect.isfunction(value)]


def _of_function(value):
    # What is built into a type, such as object.__init__, has no module.
    module = getattr(value, "__module__", None)
    name = module, value.__qualname__, getattr(value, "__self__", None)
    if not hasattr(value, "__code__") or _is_of_a_library(value):
        return name
    closure = [cell.cell_contents for cell in value.__closure__ or ()]
    return *name, value.__code__, value.__defaults__, value.__kwdefaults__, closure


def _is_of_a_library(value):
    """Whether it comes with an installed package, whose versions may change without harm."""
    if value.__module__ == "__main__":  # whose file may be that of an installed program
        return False
    try:
        file = inspect.getfile(value)
    except (OSError, TypeError):  # built in, or typed into a shell
        return value.__module__ == "builtins"
    return _lies_in(file, LIBRARIES, SITES)


@lru_cache(maxsize=1000)
def _lies_in(file, folders, sites):
    file = Path(file)
    is_installed = not sites.isdisjoint(file.parts)
    return is_installed or any(file.is_relative_to(folder) for folder in folders)


def _of_dataset(value, seen):
    known, all_told = _as_far_as_known(vars(value), seen)
    if all_told:
        return type(value), known
    rows = np.unique(np.linspace(0, len(value) - 1, N_ITEMS).astype(int)).tolist()
    items = []
    with seeded(0, "cpu"), suppress(TypeError):  # it may draw, and the training is not to notice
        items = [[_digest(value[row], seen) for row in rows] for _ in range(2)]
    # Items that are drawn say nothing.
    return type(value), known, len(value), items[0] if items and items[0] == items[1] else None
