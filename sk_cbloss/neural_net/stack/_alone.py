"""What a net alone does with a batch, for a stack to be compared with."""

import warnings
from contextlib import contextmanager

import torch

from sk_cbloss.neural_net.errors import first_line
from sk_cbloss.neural_net.training import copied, kept_random_numbers, same


class NotStackableError(Exception):
    """Why nets cannot be trained as one."""


def check_as_alone(step, parameters, buffers, batch, row, net):
    """Raise a NotStackableError unless a row of a stack does with a batch what its net does alone.

    This finds what cannot be seen from outside: hooks, buffers that are replaced, dropout whose
    masks are drawn in another order.
    """
    shared, device = {name: buffer.clone() for name, buffer in buffers.items()}, batch[0].device
    with kept_random_numbers(device) as states_of_stack, _loops_are_errors():
        losses, gradients = step(parameters, shared, copied(batch))
    net._set_training(True)
    with kept_random_numbers(device) as states_alone, _kept_buffers(net.module_):
        loss, alone = _loss_alone(net, copied(part[row] for part in batch), parameters)
        own = dict(net.module_.named_buffers())
        pairs = {"loss": (losses[row], loss)}
        for name, gradient in zip(parameters, gradients, strict=True):
            pairs[f"gradient of {name}"] = gradient[row], alone[name]
        pairs |= {f"buffer {name}": (shared[name][row], own[name]) for name in own}
        for name, (ours, theirs) in pairs.items():
            if not same(ours, theirs):
                raise NotStackableError(f"its {name} would differ from that of a net alone")
    if states_of_stack != states_alone:
        raise NotStackableError("it would draw other random numbers than a net alone")


@contextmanager
def _loops_are_errors():
    """Raise a NotStackableError where vmap would run one net after the other, and slowly."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="There is a performance drop")
        try:
            yield
        except UserWarning as warning:
            raise NotStackableError(f"it would be slow: {first_line(warning)}") from warning


@contextmanager
def _kept_buffers(module):
    """Put a module's buffers back afterwards, even those that were replaced."""
    kept = [
        (part, name, buffer, None if buffer is None else buffer.clone())
        for part in module.modules()
        for name, buffer in part._buffers.items()
    ]
    try:
        yield
    finally:
        for part, name, buffer, value in kept:
            part._buffers[name] = buffer
            if buffer is not None:
                buffer.copy_(value)


def _loss_alone(net, batch, names):
    """Return a net's loss of a batch of features, targets and perhaps weights, and gradients."""
    x, *others = batch
    parameters = dict(net.module_.named_parameters())
    with torch.enable_grad():
        logits = net.module_(x)
        loss = net.criterion_(logits[0] if isinstance(logits, tuple) else logits, *others)
        loss = loss.mean() if loss.ndim else loss
        gradients = torch.autograd.grad(loss, [parameters[name] for name in names])
    return loss.detach(), dict(zip(names, gradients, strict=True))
