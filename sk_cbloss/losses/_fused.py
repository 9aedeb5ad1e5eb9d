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
    """Weighted binary cross entropies, one class against the rest.

    They are summed over the classes, but for few logits, whose caller sums them all at once.
    """
    if _must_be_plain(weight):
        return _functional.apply_weight(_functional.sigmoid(logits, target), weight, counted)
    if logits.numel() > SMALL:
        return _Sigmoid.apply(logits, target, weight, counted)
    logits, weight = _of_few(logits, weight, counted)
    return softplus(logits * _sign(logits, target)) * weight


def sigmoid_focal(logits, target, weight, counted, gamma):
    """Weighted binary cross entropies times ``(1 - p_t)**gamma``, summed likewise."""
    if _must_be_plain(weight):
        loss = _functional.sigmoid_focal(logits, target, gamma)
        return _functional.apply_weight(loss, weight, counted)
    if gamma < 1e-30:  # no power differs from 1
        return sigmoid(logits, target, weight, counted)
    how = gamma, torch.is_grad_enabled()
    if logits.numel() > SMALL:
        return _SigmoidFocal.apply(logits, target, weight, counted, *how)
    logits, weight = _of_few(logits, weight, counted)
    return _FewSigmoidFocal.apply(logits, target, weight, *how)


def _must_be_plain(weight):
    return _functional.is_traced() or weight.requires_grad


def _of_few(logits, weight, counted):
    """Return logits and weights that can be multiplied, 0 where not counted."""
    weight = weight.unsqueeze(1)
    if counted is None:
        return logits, weight
    counted = counted.unsqueeze(1)
    return _functional.only_counted(logits, counted), _functional.only_counted(weight, counted)


def _sign(logits, target):
    """Return what makes log-odds that a decision is wrong: -1 for the label, 1 for the others."""
    return torch.ones_like(logits, requires_grad=False).scatter_(1, target.unsqueeze(1), -1)


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
        gradient = _taken(ctx)
        if gradient is None:
            gradient = _focal(logits, target, ctx.gamma, True)[1]
        slope = _functional.apply_weight(grad_loss, weight, counted).unsqueeze(1)
        return _times(gradient, slope), *[None] * 5


class _FewSigmoidFocal(Function):
    """The same by fewer calls, which pass more often over the memory; not yet summed."""

    @staticmethod
    def forward(ctx, logits, target, weight, gamma, keeps_gradient):
        keeps_gradient = keeps_gradient and ctx.needs_input_grad[0]
        loss, ctx.gradient = _focal_of_few(logits, target, weight, gamma, keeps_gradient)
        ctx.gamma = gamma
        ctx.save_for_backward(logits, target, weight)
        return loss

    @staticmethod
    def backward(ctx, grad_loss):
        logits, target, weight = ctx.saved_tensors
        if torch.is_grad_enabled():

            def form(logits, target):
                return _functional.binary_focal(logits * _sign(logits, target), ctx.gamma)

            gradient = _plain_gradient(form, grad_loss, logits, target, weight, None)
            return gradient, *[None] * 4
        gradient = _taken(ctx)
        if gradient is None:
            gradient = _focal_of_few(logits, target, weight, ctx.gamma, True)[1]
        return _times(gradient, grad_loss), *[None] * 4


def _taken(ctx):
    """Return the gradient that was kept, once: it is given away, to copy it would take long."""
    gradient, ctx.gradient = ctx.gradient, None
    return gradient


def _times(gradient, slope):
    """Return their product, in the gradient's memory."""
    try:
        return gradient.mul_(slope)
    except RuntimeError:  # a batch of slopes (is_grads_batched) has one dimension more
        return gradient * slope


def _focal_of_few(z, target, weight, gamma, keeps_gradient):
    """Return the weighted loss of each class, and its gradient or None."""
    sign = _sign(z, target)
    log_odds = z * sign
    ce = softplus(log_odds)
    miss = log_odds.sigmoid_()
    modulator = miss.pow(gamma).mul_(weight)
    focal = ce.mul_(modulator)
    if not keeps_gradient:
        return focal, None
    return focal, torch.lerp(focal * gamma, modulator, miss).mul_(sign)


def _focal(logits, target, gamma, keeps_gradient):
    """Return the unweighted loss, and its gradient or None."""
    label = target.unsqueeze(1)
    if _is_one_block(logits):
        loss, gradient = _focal_step(logits, label, gamma, keeps_gradient)
    else:
        loss = logits.new_empty(label.shape)
        gradient = logits.new_empty(logits.shape) if keeps_gradient else None
        for z, y, *out in _blocks(logits, label, loss, gradient, n_scratch=2):
            _focal_step(z, y, gamma, keeps_gradient, *out)
    return loss.squeeze(1), gradient


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
