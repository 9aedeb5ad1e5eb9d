"""A training step of many nets at once, plain or captured."""

import logging
from collections import Counter
from itertools import chain

import torch
from torch.func import functional_call, vmap

from sk_cbloss.neural_net.data import logits_of
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

PLAIN_STEPS = 10  # of each shape before one is captured: about what that takes the time of


class StackedStep:
    """Computes losses and gradients of all nets of a stack from a batch.

    What is often called with batches of one shape is captured: what Python does between the
    operations is then done once and for all. On a GPU, the operations are then launched as one.
    """

    def __init__(self, module, losses):
        self.template, self.losses = as_template(module), losses
        self.n_calls, self.captured = Counter(), {}
        some = next(module.parameters())
        self.ones = torch.ones(losses[-1].nets.stop, dtype=some.dtype, device=some.device)

    def __call__(self, parameters, buffers, batch):
        """Return losses and gradients of all nets, which have a row each in every argument.

        Parameters are those that learn, by name; buffers the others, which are changed where the
        modules change theirs. A batch is features, targets and perhaps sample weights.
        """
        # What is captured reads parameters and buffers where they lie.
        kind = id(parameters), id(buffers), *(part.shape for part in batch)
        self.n_calls[kind] += 1
        try:
            if self.n_calls[kind] > PLAIN_STEPS and kind not in self.captured:
                self.captured[kind] = self._capture(parameters, buffers, batch)
            if kind in self.captured:
                losses, *gradients = self.captured[kind](*batch)
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
        return logits_of(functional_call(self.template, (parameters, buffers), (x,)))

    def _capture(self, parameters, buffers, batch):
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

        def repeated(*batch):
            losses, *gradients = graph(*batch)
            return losses.clone(), *gradients  # the next step writes over them

        return repeated
