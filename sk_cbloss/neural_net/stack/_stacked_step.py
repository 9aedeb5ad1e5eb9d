"""A training step of many nets at once, as a plain list of operations."""

import copy
import logging
import random
from collections import Counter
from itertools import chain

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Function
from torch.func import functional_call, vmap

from sk_cbloss.neural_net.errors._explained import first_line
from sk_cbloss.neural_net.state._fingerprint import fingerprint, structure
from sk_cbloss.neural_net.training._graph import captured
from sk_cbloss.neural_net.training._operations import record
from sk_cbloss.neural_net.training._proof import (
    NotCapturableError,
    NotStackableError,
    Proof,
    generator_states,
    has_hooks,
    kept_random_numbers,
    same,
)

LOG = logging.getLogger(__name__)

RECORD_AFTER = 10  # calls: about as many steps as that takes the time of


class _StackedLinear(Function):
    """Linear layers of many nets at once, with gradients laid out as the parameters are."""

    @staticmethod
    def forward(ctx, x, weight, bias):
        ctx.save_for_backward(x, weight)
        if bias is None:
            return torch.bmm(x, weight.transpose(1, 2))
        return torch.baddbmm(bias.unsqueeze(1), x, weight.transpose(1, 2))

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        needs_x, _, needs_bias = ctx.needs_input_grad
        grad_x = torch.bmm(grad, weight) if needs_x else None
        if x.shape[2] < weight.shape[1]:  # the faster of two ways
            grad_weight = torch.bmm(x.transpose(1, 2), grad).transpose(1, 2)
        else:
            grad_weight = torch.bmm(grad.transpose(1, 2), x)
        return grad_x, grad_weight, grad.sum(dim=1) if needs_bias else None


class _VmappedLinear(Function):
    """A linear layer; under vmap, the one above."""

    @staticmethod
    def forward(x, weight, bias):
        return F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass  # outside of vmap it is not used

    @staticmethod
    def vmap(info, in_dims, x, weight, bias):
        dims = set(in_dims[:2] if bias is None else in_dims)
        if dims == {0} and x.ndim == 3:
            return _StackedLinear.apply(x, weight, bias), 0
        return vmap(F.linear, in_dims)(x, weight, bias), 0


class _Linear(nn.Linear):
    def forward(self, x):
        return _VmappedLinear.apply(x, self.weight, self.bias)


def _as_template(module):
    """Return a copy of a module whose linear layers are fast when stacked."""
    template = copy.deepcopy(module).train()
    for part in template.modules():
        if type(part) is nn.Linear and not has_hooks(part):
            part.__class__ = _Linear
    return template


class StackedLoss:
    """The losses of consecutive nets of a stack, alike but for numbers.

    Parameters
    ----------
    losses : list of ClassBalancedLoss
        One of each net.
    start : int
        Position of the first of the nets.
    """

    def __init__(self, losses, start):
        self.nets = slice(start, start + len(losses))
        self.template = copy.deepcopy(losses[0])
        self.buffers = {
            name: torch.stack([loss.get_buffer(name) for loss in losses])
            for name, _ in losses[0].named_buffers()
        }
        like = next(iter(self.buffers.values()))
        self.numbers = {
            name: like.new_tensor([getattr(loss, name) for loss in losses])
            for name in losses[0].stacked_numbers
        }

    @property
    def tensors(self):
        """What the losses read."""
        return [*self.buffers.values(), *self.numbers.values()]

    def __call__(self, *batch):
        """Return the loss of each net, from logits, targets and perhaps sample weights of all."""
        if self.nets != slice(0, len(batch[0])):  # to cut them costs time in the gradient, too
            batch = [part[self.nets] for part in batch]
        return vmap(self._of_one)(self.buffers, self.numbers, *batch)

    def _of_one(self, buffers, numbers, *batch):
        for name, number in numbers.items():
            setattr(self.template, name, number)
        loss = functional_call(self.template, buffers, batch)
        return loss.mean() if loss.ndim else loss


def kind_of_loss(loss):
    """Return what losses must share to be stacked."""
    own = {
        name: value
        for name, value in vars(loss).items()
        if not name.startswith("_") and name not in loss.stacked_numbers
    }
    return type(loss), own


class StackedStep:
    """Computes losses and gradients of all nets of a stack from a batch.

    What is often called with batches of one shape is recorded: what Python does
    between the operations is then done once and for all. On a GPU, the
    operations are then launched as one.

    Parameters
    ----------
    module : torch.nn.Module
        One of the nets' modules.
    losses : list of StackedLoss
        Of all nets, in their order.
    """

    def __init__(self, module, losses):
        self.template, self.losses = _as_template(module), losses
        self.n_calls, self.recorded = Counter(), {}
        some = next(module.parameters())
        self.ones = torch.ones(losses[-1].nets.stop, dtype=some.dtype, device=some.device)

    def __call__(self, parameters, buffers, batch):
        """Return losses and gradients.

        Parameters
        ----------
        parameters : dict of str to tensor of shape (n_nets, ...)
            Those that learn.
        buffers : dict of str to tensor of shape (n_nets, ...)
            The others; what the modules change of them is changed here.
        batch : list of tensors of shape (n_nets, batch_size, ...)
            Features, targets and perhaps sample weights.

        Returns
        -------
        losses : tensor of shape (n_nets,)
            The losses.
        gradients : list of tensors of shape (n_nets, ...)
            One of each parameter.

        Raises
        ------
        NotStackableError
            If the modules' code cannot be run for many nets at once.
        """
        # What is captured reads parameters and buffers where they lie.
        kind = id(parameters), id(buffers), *(part.shape for part in batch)
        self.n_calls[kind] += 1
        try:
            if self.n_calls[kind] == RECORD_AFTER:
                self.recorded[kind] = self._recorded(parameters, buffers, batch)
            if kind in self.recorded:
                losses, *gradients = self.recorded[kind](*batch)
            else:
                losses, *gradients = self._compute(parameters, buffers, batch)
            return losses, gradients
        except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
            raise NotStackableError(
                "its module cannot run for many nets at once "
                f"({type(error).__name__}: {first_line(error)})"
            ) from error

    def _compute(self, parameters, buffers, batch):
        x, *others = batch
        with torch.enable_grad():
            parameters = {name: p.detach().requires_grad_() for name, p in parameters.items()}
            logits = vmap(self._logits_of_one, randomness="same")(parameters, buffers, x)
            losses = torch.cat([loss(logits, *others) for loss in self.losses])
            gradients = torch.autograd.grad(losses, list(parameters.values()), self.ones)
        return losses.detach(), *gradients

    def _logits_of_one(self, parameters, buffers, x):
        logits = functional_call(self.template, (parameters, buffers), (x,))
        return logits[0] if isinstance(logits, tuple) else logits

    def _recorded(self, parameters, buffers, batch):
        """Return a function of a batch that does the same without Python in between."""
        state = list(buffers.values())
        kept = [*parameters.values(), *state, *chain(*(loss.tensors for loss in self.losses))]

        def compute(*batch):
            return self._compute(parameters, buffers, batch)

        try:
            proof = Proof(compute, batch, state)
            step = record(compute, kept, batch, state, [self.ones]).bind(kept)
            proof.check(step, same)
        except NotCapturableError as error:
            raise NotStackableError(str(error)) from error
        return self._in_a_graph(step, batch, state) if self.ones.is_cuda else step

    def _in_a_graph(self, step, batch, state):
        """Return the step as a graph, if a GPU can go through it."""
        try:
            graph = captured(step, batch, state)
        except (NotCapturableError, RuntimeError) as error:
            LOG.info("Stacked steps are not captured: %s.", first_line(error))
            return step

        def replayed(*batch):
            losses, *gradients = graph(*batch)
            return losses.clone(), *gradients  # the next step writes over them

        return replayed


def probe(module, x):
    """Run a copy of a module once, to learn how it behaves.

    Parameters
    ----------
    module : torch.nn.Module
        The module.
    x : tensor of shape (batch_size, ...)
        Features.

    Returns
    -------
    is_random : bool
        Whether it draws from torch's generator.
    n_bytes : int
        Memory that it keeps to compute gradients.

    Raises
    ------
    NotStackableError
        If it does what a list of operations cannot repeat.
    """
    module, sizes = copy.deepcopy(module).train(), []
    before = _python_state(module)
    with kept_random_numbers(x.device), torch.enable_grad():
        drawn = generator_states(x.device)
        with torch.autograd.graph.saved_tensors_hooks(
            # The tensor itself would hold the graph that holds it: a ring that nothing frees.
            lambda saved: (sizes.append(saved.nbytes), saved.detach())[1],
            lambda saved: saved,
        ):
            module(x)
        is_random = generator_states(x.device) != drawn
    if _python_state(module) != before:
        raise NotStackableError(
            "its module changes attributes of its own, or draws random numbers that are not "
            "torch's, as it runs"
        )
    return is_random, sum(sizes)


def _python_state(module):
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    return fingerprint(structure(module)), random.getstate(), fingerprint(numpy_state)
