"""What tells values from others, with all that their code may read."""

import inspect
import types

import torch
from torch import nn

from sk_cbloss.neural_net.state import OF_EVERY_MODULE, PLAIN
from sk_cbloss.neural_net.training._inside import TRUSTED, inside, is_trusted, read_by
from sk_cbloss.neural_net.training._proof import NotCapturableError

MOODY = {"time", "datetime", "logging", "os", "secrets", "uuid"}  # modules, other each time
NOT_IN_PYTHON = (types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodWrapperType)
NOT_IN_PYTHON += (types.MethodDescriptorType, types.ClassMethodDescriptorType)
NOT_IN_PYTHON += (types.MemberDescriptorType, types.GetSetDescriptorType)
CALLED = {"forward", "backward", "setup_context", "vjp", "jvp", "vmap"}
NOT_CALLED = {"__init__", "__new__", "__init_subclass__", "__repr__", "__reduce__"}


def told_of(module):
    """Return what a module depends on beside the numbers in its tensors."""
    told = Told()
    told.add_modules([module])
    return told.finish()


class Told:
    """Collect, hashable, what a step may depend on beside the numbers in tensors.

    Functions are told by their code and what it reads: globals, closures, and members, by their
    names, of the classes and modules that are met on the way.
    """

    def __init__(self):
        self.parts, self.names, self.own, self.seen = [], set(CALLED), {}, {}
        self.owners, self.trusted, self.classes = [], [], set()

    def add(self, value):
        self.parts.append(self._of(value))

    def add_modules(self, modules):
        """Add modules and their parts, but for their tensors."""
        parts = [item for module in modules for item in module.named_modules()]
        for _, part in parts:
            for value in (part, *part._parameters.values(), *part._buffers.values()):
                self.own.setdefault(id(value), len(self.own))
        self.parts += [(name, self._of_part(part)) for name, part in parts]

    def finish(self):
        """Return all, with what the code reads of classes and modules that were met."""
        n_names = None
        while n_names != (len(self.names), len(self.owners)):
            n_names = len(self.names), len(self.owners)
            for owner in list(self.owners):
                self._add_read(owner)
        for module in self.trusted:  # whose functions may be replaced
            members = [vars(module).get(name) for name in sorted(self.names)]
            self.parts += filter(inspect.isroutine, members)
        return tuple(self.parts)

    def _add_read(self, owner):
        for name, value in [*vars(owner).items()]:
            is_special = name.startswith("__") and inspect.isfunction(value)
            is_read = name in self.names or (is_special and inspect.isclass(owner))
            if is_read and name not in NOT_CALLED and (id(owner), name) not in self.seen:
                self.seen[id(owner), name] = value
                self.parts.append((name, self._of(value)))

    def _of(self, value):
        if isinstance(value, PLAIN):
            return type(value), repr(value)
        if id(value) in self.own:
            return type(value), self.own[id(value)]
        if isinstance(value, torch.Tensor):
            return type(value), value.dtype, value.shape, value.data_ptr()
        if id(value) in self.seen:
            return type(value)
        self.seen[id(value)] = value  # so that no other gets its id
        if inspect.ismodule(value):
            return self._of_module(value)
        if inspect.isclass(value):
            return self._of_class(value)
        if inspect.isfunction(value):
            return self._of_function(value)
        if isinstance(value, nn.Module):
            return tuple(map(self._of_part, value.modules()))
        if isinstance(value, NOT_IN_PYTHON):
            owner = getattr(value, "__self__", None)
            is_bound = not inspect.ismodule(owner)
            return (value.__name__, self._of(owner)) if is_bound else value
        return type(value), *map(self._of, inside(value))

    def _of_part(self, module):
        forward, own = getattr(type(module), "forward", None), vars(module)
        kind = self._of_class(type(module)), forward, module.training
        names = [name for name in own if name not in OF_EVERY_MODULE]
        return kind, *((name, self._of(own[name])) for name in names)

    def _of_module(self, value):
        name = value.__name__.partition(".")[0]
        if name in MOODY:
            raise NotCapturableError(f"its code uses the module {name}")
        (self.trusted if name in TRUSTED else self.owners).append(value)
        return value.__name__

    def _of_class(self, value):
        if value not in self.classes:
            self.classes.add(value)
            own = [kind for kind in value.__mro__ if not is_trusted(kind)]
            self.owners += [kind for kind in own if kind not in self.owners]
        return value

    def _of_function(self, value):
        if is_trusted(value):
            return value
        names, values = read_by(value)
        self.names |= names
        return value.__code__, *map(self._of, values)
