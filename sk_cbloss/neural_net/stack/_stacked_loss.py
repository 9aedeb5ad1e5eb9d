"""Losses of many nets at once."""

import copy
from numbers import Number

import torch
from torch.func import functional_call, vmap


class StackedLoss:
    """The losses of consecutive nets of a stack, alike but for numbers."""

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
            for name in _numbers_of(losses[0])
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
    numbers = _numbers_of(loss)
    own = {
        name: value
        for name, value in vars(loss).items()
        if not name.startswith("_") and name not in numbers
    }
    return type(loss), own


def _numbers_of(loss):
    """Return by which numbers losses may differ; a pair of them is to be shared."""
    return [name for name in loss.stacked_numbers if isinstance(getattr(loss, name), Number)]
