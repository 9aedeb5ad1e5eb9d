"""The weighted one-vs-rest losses at full speed: the same as in `_functional`, in fewer steps.

The plain forms make a tensor as large as the logits at every step, and automatic differentiation
keeps them until the gradient is computed. Making memory costs more than the arithmetic. Here a
block of logits goes through all steps in the same scratch memory, and at most the gradient is
kept.
"""

from functools import partial
from itertools import repeat

import torch
from torch.autograd import Function

from sk_cbloss.losses import _functional
from sk_cbloss.losses._functional import softplus

BLOCK = 2**17
"""Elements that a CPU takes at a time: few enough for its cache, enough for its threads."""

SMALL = 2**14
"""Elements up to which fewer calls are faster, though they pass more often over the memory."""


def sigmoid(logits, target, weight, counted):
    """Weighted binary cross entropies, one class against the rest, summed over the classes."""
    if _must_be_plain(weight) or logits.numel() <= SMALL:  # a size is not asked when traced
        return _functional.apply_weight(_functional.sigmoid(logits, target), weight, counted)
    return _Sigmoid.apply(logits, target, weight, counted)


def sigmoid_focal(logits, target, weight, counted, gamma):
    """Weighted binary cross entropies times ``(1 - p_t)**gamma``, summed over the classes."""
    if _must_be_plain(weight):
        loss = _functional.sigmoid_focal(logits, target, gamma)
        return _functional.apply_weight(loss, weight, counted)
    if gamma < 1e-30:  # no power differs from 1
        return sigmoid(logits, target, weight, counted)
    return _SigmoidFocal.apply(logits, target, weight, counted, gamma, torch.is_grad_enabled())


def _must_be_plain(weight):
    return _functional.is_traced() or weight.requires_grad


class _Sigmoid(Function):
    """The sigmoid loss, whose gradient is so cheap that nothing need be kept for it."""

    @staticmethod
    def forward(ctx, logits, target, weight, counted):
        ctx.save_for_backward(logits, target, weight, counted)
        label = target.unsqueeze(1)
        if _is_one_block(logits):
            loss = _sigmoid_step(logits, label)
        else:
            loss = logits.new_empty(label.shape)
            for z, y, out, *scratch in _blocks(logits, label, loss, n_scratch=1):
                _sigmoid_step(z, y, out, *scratch)
        return _functional.apply_weight(loss.squeeze(1), weight, counted)

    @staticmethod
    def backward(ctx, grad_loss):
        logits, target, weight, counted = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            gradient = _plain_gradient(_functional.sigmoid, grad_loss, *ctx.saved_tensors)
            return gradient, *[None] * 3
        label = target.unsqueeze(1)
        slope = _functional.apply_weight(grad_loss, weight, counted).unsqueeze(1)
        # The slope times the sigmoid, in one pass.
        gradient = torch.ops.aten.softplus_backward(slope.expand_as(logits), logits, 1, 40)
        of_label = -slope * torch.sigmoid(-logits.gather(1, label))
        return gradient.scatter_(1, label, of_label), *[None] * 3


def _sigmoid_step(z, label, loss=None, cross_entropy=None):
    """Return the loss of a block; what is None is made."""
    cross_entropy = softplus(z, out=cross_entropy)
    cross_entropy.scatter_(1, label, softplus(-z.gather(1, label)))
    return torch.sum(cross_entropy, 1, keepdim=True, out=loss)


class _SigmoidFocal(Function):
    """The focal loss, which computes its gradient along the way."""

    @staticmethod
    def forward(ctx, logits, target, weight, counted, gamma, keeps_gradient):
        keeps_gradient = keeps_gradient and ctx.needs_input_grad[0]
        loss, ctx.gradient = _focal(logits, target, gamma, keeps_gradient)
        ctx.gamma = gamma
        ctx.save_for_backward(logits, target, weight, counted)
        return _functional.apply_weight(loss, weight, counted)

    @staticmethod
    def backward(ctx, grad_loss):
        logits, target, weight, counted = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            form = partial(_functional.sigmoid_focal, gamma=ctx.gamma)
            return _plain_gradient(form, grad_loss, *ctx.saved_tensors), *[None] * 5
        # To copy it would take half as long as all the rest, so it is given away, once.
        gradient, ctx.gradient = ctx.gradient, None
        if gradient is None:
            gradient = _focal(logits, target, ctx.gamma, True)[1]
        slope = _functional.apply_weight(grad_loss, weight, counted).unsqueeze(1)
        try:
            return gradient.mul_(slope), *[None] * 5
        except RuntimeError:  # a batch of slopes (is_grads_batched) has one dimension more
            return gradient * slope, *[None] * 5


def _focal(logits, target, gamma, keeps_gradient):
    """Return the unweighted loss, and its gradient or None."""
    label = target.unsqueeze(1)
    if logits.numel() <= SMALL:
        loss, gradient = _focal_of_few(logits, label, gamma, keeps_gradient)
    elif _is_one_block(logits):
        loss, gradient = _focal_step(logits, label, gamma, keeps_gradient)
    else:
        loss = logits.new_empty(label.shape)
        gradient = logits.new_empty(logits.shape) if keeps_gradient else None
        for z, y, *out in _blocks(logits, label, loss, gradient, n_scratch=2):
            _focal_step(z, y, gamma, keeps_gradient, *out)
    return loss.squeeze(1), gradient


def _focal_of_few(z, label, gamma, keeps_gradient):
    """Do as below by fewer calls, which pass more often over the memory."""
    sign = torch.ones_like(z).scatter_(1, label, -1)
    log_odds = z * sign
    ce = softplus(log_odds)
    miss = log_odds.sigmoid_()
    modulator = miss.pow(gamma)
    focal = ce.mul_(modulator)
    loss = focal.sum(1, keepdim=True)
    if not keeps_gradient:
        return loss, None
    return loss, torch.lerp(focal.mul_(gamma), modulator, miss).mul_(sign)


def _focal_step(z, label, gamma, keeps_gradient, loss=None, gradient=None, miss=None, ce=None):
    """Do it for a block; what is None is made."""
    of_label = -z.gather(1, label)
    # The probability that each one-vs-rest decision is wrong, and its cross entropy.
    miss = torch.sigmoid(z, out=miss).scatter_(1, label, of_label.sigmoid())
    ce = softplus(z, out=ce).scatter_(1, label, softplus(of_label))
    if not keeps_gradient:
        return torch.sum(ce.mul_(miss.pow_(gamma)), 1, keepdim=True, out=loss), None
    modulator = torch.pow(miss, gamma, out=gradient)
    focal = torch.addcmul(z.new_zeros(()), ce, modulator, value=gamma, out=ce)  # times gamma
    loss = torch.sum(focal, 1, keepdim=True, out=loss).div_(gamma)
    # miss * modulator + (1 - miss) * focal; downwards for the label
    gradient = torch.lerp(focal, modulator, miss, out=modulator)
    return loss, gradient.scatter_(1, label, -gradient.gather(1, label))


def _plain_gradient(form, grad_loss, logits, target, weight, counted):
    loss = _functional.apply_weight(form(logits, target), weight, counted)
    return torch.autograd.grad(loss, logits, grad_loss, create_graph=True)[0]


def _is_one_block(logits):
    return logits.numel() <= BLOCK or logits.device.type != "cpu"  # a GPU wants all at once


def _blocks(logits, *others, n_scratch):
    """Yield blocks of the tensors, None for None, and scratch memory as large as the logits'."""
    n, n_classes = logits.shape[:2]
    n_places = logits[0, 0].numel()
    columns = max(1, min(n_places, BLOCK // n_classes))
    rows = max(1, min(n, BLOCK // (n_classes * columns)))
    scratch = logits.new_empty(n_scratch, rows, n_classes, columns)

    def blocks(tensor):
        if tensor is None:
            return repeat(None)
        tensor = tensor.reshape(n, tensor.shape[1], n_places)
        return [block for part in tensor.split(rows) for block in part.split(columns, dim=2)]

    for parts in zip(*map(blocks, (logits, *others)), strict=False):
        n_rows, _, n_columns = parts[0].shape
        yield *parts, *scratch[:, :n_rows, :, :n_columns]
