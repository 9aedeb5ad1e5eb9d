"""What a training step depends on beside the numbers in its tensors."""

import copy
import inspect
import random

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from sk_cbloss.neural_net.state import OF_EVERY_MODULE, PLAIN, fingerprint
from sk_cbloss.neural_net.training._proof import (
    NotCapturableError,
    has_hooks,
    kept_random_numbers,
)


def modules_of(net):
    parts = [getattr(net, f"{name}_") for name in [*net._modules, *net._criteria]]
    return [part for part in [*parts, net.batch_transform] if isinstance(part, nn.Module)]


def form_of(net):
    """Return what a net's step depends on beside the numbers in its tensors, and their places."""
    is_module = isinstance(net.batch_transform, nn.Module)
    kind = [str(net.device), net._dtype_in_use, net.autocast, net.channels_last]
    kind += [None if is_module else _told(net.batch_transform)]
    places = []
    for module in modules_of(net):
        for name, part in module.named_modules():
            own = vars(part)
            tensors = [*own["_parameters"].values(), *own["_buffers"].values()]
            tensors = [tensor for tensor in tensors if tensor is not None]
            if any(map(is_lazy, tensors)):
                raise NotCapturableError("its module has parameters without a size")
            if has_hooks(part):
                raise NotCapturableError("its module has hooks")
            kind += [name, type(part), part.training]
            kind += [(t.shape, t.stride(), t.dtype, t.requires_grad) for t in tensors]
            kind += [
                (key, _told(value)) for key, value in own.items() if key not in OF_EVERY_MODULE
            ]
            places += [tensor.data_ptr() for tensor in tensors]
    return tuple(kind), places


def _told(value):
    """Return what tells a value from others; of an object, where its tensors on a GPU lie."""
    if isinstance(value, PLAIN):
        return type(value), repr(value)
    if not hasattr(value, "__dict__") or inspect.isroutine(value) or inspect.isclass(value):
        return fingerprint(value)
    own = [
        (name, part.data_ptr() if isinstance(part, torch.Tensor) and part.is_cuda else part)
        for name, part in vars(value).items()
    ]
    return type(value), fingerprint(own)


def tensors_of(module):
    return [*module.parameters(), *module.buffers()]


def check_repeatable(net, batch):
    """Raise a NotCapturableError if copies of what a net is made of do more than compute."""
    twin = object.__new__(type(net))
    vars(twin).update(vars(net), batch_transform=copy.deepcopy(net.batch_transform))
    for name in [*net._modules, *net._criteria]:
        vars(twin)[f"{name}_"] = copy.deepcopy(getattr(net, f"{name}_"))
    device = torch.device(net.device)
    before = form_of(twin), _numbers_elsewhere(device)
    with kept_random_numbers(device):
        twin._loss_and_output(batch)
        after = form_of(twin), _numbers_elsewhere(device)
    if after != before:
        raise NotCapturableError(
            "its module or batch_transform changes attributes of its own, or draws random numbers "
            "that are not the device's"
        )


def _numbers_elsewhere(device):
    """Return where random numbers are that the device does not draw."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    on_cpu = [] if device.type == "cpu" else torch.get_rng_state().tolist()
    return random.getstate(), fingerprint(numpy_state), on_cpu
