"""What a value is made of, and what a function's code reads beside its arguments."""

import inspect
import sys
import weakref
from collections import deque
from collections.abc import Mapping
from functools import cached_property, partial

import numpy as np

from sk_cbloss.neural_net.state import fingerprint
from sk_cbloss.neural_net.training._proof import NUMBERS, WAYS_OUT, NotCapturableError

# Packages whose code changes nothing in a step but by what it is given.
TRUSTED = {"torch", "sk_cbloss", "skorch", "sklearn", "numpy", "scipy"} | sys.stdlib_module_names
SPEAKING = {"print", "input", "open"}


def is_trusted(value):
    return (value.__module__ or "").partition(".")[0] in TRUSTED


def code_of(function):
    """Return a function's code and that of the functions in it."""
    code = [function.__code__]
    for part in code:
        code += [const for const in part.co_consts if inspect.iscode(const)]
    return code


def read_by(function):
    """Return the names that a function's code reads, and the values behind these and others."""
    names = {name for part in code_of(function) for name in part.co_names}
    if not names.isdisjoint(WAYS_OUT):
        raise NotCapturableError(NUMBERS)
    reached = function.__globals__
    if spoken := sorted(SPEAKING & names - reached.keys()):
        raise NotCapturableError(f"its code calls {spoken[0]}")
    values = [(name, reached[name]) for name in sorted(names) if name in reached]
    for cell in function.__closure__ or ():
        try:
            values.append(cell.cell_contents)
        except ValueError:  # nothing yet
            values.append(None)
    return names, (*values, function.__defaults__, function.__kwdefaults__)


def inside(value):
    """Return what a value other than a function, class, module or tensor is made of."""
    if inspect.ismethod(value):
        return value.__func__, value.__self__
    if isinstance(value, weakref.ref):
        return (value(),)
    if isinstance(value, property):
        return value.fget, value.fset
    if isinstance(value, classmethod | staticmethod):
        return (value.__func__,)
    if isinstance(value, cached_property):
        return (value.func,)
    if isinstance(value, partial):
        return value.func, value.args, value.keywords, vars(value)
    has_state = hasattr(value, "__dict__") or hasattr(type(value), "__slots__")
    parts = [type(value), object.__getstate__(value)] if has_state else []
    if isinstance(value, Mapping):
        return [*parts, *(part for item in value.items() for part in item)]
    if isinstance(value, list | tuple | deque):
        return [*parts, *value]
    if isinstance(value, set | frozenset):
        return [*parts, *sorted(value, key=repr)]
    if has_state and not isinstance(value, np.ndarray):
        has_more = type(value).__getstate__ is not object.__getstate__
        return [*parts, value.__getstate__()] if has_more else parts
    try:
        return [*parts, fingerprint(value)]
    except TypeError as error:
        raise NotCapturableError(
            f"a {type(value).__name__} that its code may use cannot be told from others"
        ) from error
