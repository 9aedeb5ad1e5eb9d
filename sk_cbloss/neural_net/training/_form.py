"""What a training step depends on beside the numbers in its tensors."""

import random

import numpy as np
import torch
from torch import nn
from torch.nn.modules.module import _has_any_global_hook
from torch.nn.parameter import is_lazy

from sk_cbloss.neural_net.state import fingerprint
from sk_cbloss.neural_net.training._proof import NotCapturableError, has_hooks
from sk_cbloss.neural_net.training._told import Told


def parts_of(net):
    names = dict.fromkeys([*net._modules, *net._criteria, "criterion"])  # which may be no module
    return [*(getattr(net, f"{name}_") for name in names), *transforms_of(net)]


def transforms_of(net):
    """Return what changes the features of a batch, in turn."""
    given = net.batch_transform
    return given if isinstance(given, list | tuple) else [] if given is None else [given]


def modules_of(net):
    return [part for part in parts_of(net) if isinstance(part, nn.Module)]


def form_of(net):
    """Return what a net's step depends on beside the numbers in its tensors, and their places."""
    told, modules = Told(), modules_of(net)
    told.parts += [str(net._device_in_use), net._dtype_in_use, net.autocast, net.channels_last]
    told.add_modules(modules)
    for part in parts_of(net):
        if not isinstance(part, nn.Module):
            told.add(part)
    if _has_any_global_hook():
        raise NotCapturableError("all modules have hooks")
    places, first = [], {}  # where a tensor was met first: layers may share it
    for part in (part for module in modules for part in module.modules()):
        if has_hooks(part):
            raise NotCapturableError("its module has hooks")
        for tensor in (*part._parameters.values(), *part._buffers.values()):
            if tensor is None:
                continue
            if is_lazy(tensor):
                raise NotCapturableError("its module has parameters without a size")
            if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
                raise NotCapturableError("its module has hooks")
            alike = first.setdefault(id(tensor), len(first))
            places.append((id(tensor), tensor.data_ptr()))
            told.parts.append(
                (tensor.shape, tensor.stride(), tensor.dtype, tensor.requires_grad, alike)
            )
    return told.finish(), places


def tensors_of(module):
    return [*module.parameters(), *module.buffers()]


def all_but_numbers(net):
    """Return what computing does not change; None if that cannot be told."""
    try:
        return form_of(net), _numbers_elsewhere(net)
    except NotCapturableError:
        return None


def _numbers_elsewhere(net):
    """Return where random numbers are that the device does not draw."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    is_on_cpu = torch.device(net._device_in_use).type == "cpu"
    on_cpu = [] if is_on_cpu else torch.get_rng_state().tolist()
    return random.getstate(), fingerprint(numpy_state), on_cpu
