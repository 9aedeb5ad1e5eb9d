"""A training step of many nets at once, as a plain list of operations."""

import logging
from collections import Counter
from itertools import chain

import torch
from torch.func import functional_call, vmap

from sk_cbloss.neural_net.errors import first_line
from sk_cbloss.neural_net.stack._alone import NotStackableError
from sk_cbloss.neural_net.stack._stacked_linear import as_template
from sk_cbloss.neural_net.training import (
    NotCapturableError,
    Proof,
    captured,
    record,
    same,
)

LOG = logging.getLogger(__name__)

RECORD_AFTER = 10  # calls: about as many steps as that takes the time of


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
        self.template, self.losses = as_template(module), losses
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
