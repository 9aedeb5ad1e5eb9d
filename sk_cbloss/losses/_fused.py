"""The one-vs-rest losses at full speed: the same as in `_functional`, in fewer passes.

The plain forms make a tensor as large as the logits at every step, and automatic differentiation
keeps them until the gradient is computed. Making memory costs more than the arithmetic. Here a
block of logits goes through all steps in the same scratch memory, and at most the gradient is
kept.
"""

import torch
from torch.autograd import Function

from sk_cbloss.losses import _functional
from sk_cbloss.losses._functional import softplus

BLOCK = 2**17
"""Elements that a CPU takes at a time: few enough for its cache, enough for its threads."""

SMALL = 2**14
"""Elements up to which the plain forms are faster: they are fewer calls."""


def sigmoid(logits, target):
    """Binary cross entropies, one class against the rest, summed over the classes."""
    if logits.numel() <= SMALL or _is_traced():
        return _functional.sigmoid(logits, target)
    return _Sigmoid.apply(logits, target)


def sigmoid_focal(logits, target, gamma):
    """Binary cross entropies times ``(1 - p_t)**gamma``, summed over the classes."""
    if gamma == 0:
        return sigmoid(logits, target)
    if logits.numel() <= SMALL or _is_traced():
        return _functional.sigmoid_focal(logits, target, gamma)
    return _SigmoidFocal.apply(logits, target, gamma, torch.is_grad_enabled())


def _is_traced():
    """Whether a compiler or a transform such as vmap must see every step."""
    return torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active()


class _Sigmoid(Function):
    """The sigmoid loss, whose gradient is so cheap that nothing need be kept for it."""

    @staticmethod
    def forward(ctx, logits, target):
        ctx.save_for_backward(logits, target)
        loss = logits.new_empty(target.shape)
        for z, label, out, _, (scratch,) in _blocks(logits, target, loss, None, n_scratch=1):
            softplus(z, out=scratch).scatter_(1, label, softplus(-z.gather(1, label)))
            torch.sum(scratch, 1, keepdim=True, out=out)
        return loss

    @staticmethod
    def backward(ctx, grad_loss):
        logits, target = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            return _gradient(_functional.sigmoid(logits, target), logits, grad_loss), None
        label = target.unsqueeze(1)
        gradient = logits.sigmoid()
        gradient.scatter_(1, label, -torch.sigmoid(-logits.gather(1, label)))
        return gradient.mul_(grad_loss.unsqueeze(1)), None


class _SigmoidFocal(Function):
    """The focal loss, which computes its gradient along the way."""

    @staticmethod
    def forward(ctx, logits, target, gamma, keeps_gradient):
        keeps_gradient = keeps_gradient and ctx.needs_input_grad[0]
        loss = logits.new_empty(target.shape)
        gradient = logits.new_empty(logits.shape) if keeps_gradient else None
        for z, label, out, slope, scratch in _blocks(logits, target, loss, gradient, n_scratch=3):
            # The log-odds, then the probability, that each one-vs-rest decision is wrong.
            miss, cross_entropy, modulator = scratch
            miss.copy_(z).scatter_(1, label, -z.gather(1, label))
            softplus(miss, out=cross_entropy)
            torch.pow(miss.sigmoid_(), gamma, out=modulator)
            focal = cross_entropy.mul_(modulator)
            torch.sum(focal, 1, keepdim=True, out=out)
            if slope is not None:
                # modulator * miss + gamma * (1 - miss) * focal; downwards for the label
                torch.mul(modulator, miss, out=slope)
                slope.add_(torch.addcmul(focal, focal, miss, value=-1, out=modulator), alpha=gamma)
                slope.scatter_(1, label, -slope.gather(1, label))
        ctx.gamma = gamma
        ctx.save_for_backward(logits, target, gradient)
        return loss

    @staticmethod
    def backward(ctx, grad_loss):
        logits, target, gradient = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is wanted
            loss = _functional.sigmoid_focal(logits, target, ctx.gamma)
            return _gradient(loss, logits, grad_loss), None, None, None
        return gradient * grad_loss.unsqueeze(1), None, None, None


def _gradient(loss, logits, grad_loss):
    return torch.autograd.grad(loss, logits, grad_loss, create_graph=True)[0]


def _blocks(logits, target, loss, gradient, *, n_scratch):
    """Yield logits, label, loss, gradient and scratch memory, one block after another."""
    target, loss = target.unsqueeze(1), loss.unsqueeze(1)
    # A GPU wants all at once.
    if logits.numel() <= BLOCK or logits.device.type != "cpu":
        scratch = logits.new_empty(n_scratch, *logits.shape)
        yield logits, target, loss, gradient, scratch
        return
    n, n_classes = logits.shape[:2]
    whole = [
        None if tensor is None else tensor.reshape(n, tensor.shape[1], -1)
        for tensor in (logits, target, loss, gradient)
    ]
    n_places = whole[0].shape[2]
    columns = max(1, min(n_places, BLOCK // n_classes))
    rows = max(1, BLOCK // (n_classes * columns))
    scratch = logits.new_empty(n_scratch, min(n, rows), n_classes, columns)
    for i in range(0, n, rows):
        for j in range(0, n_places, columns):
            block = slice(i, i + rows), slice(None), slice(j, j + columns)
            parts = [None if tensor is None else tensor[block] for tensor in whole]
            n_rows, _, n_columns = parts[0].shape
            yield *parts, scratch[:, :n_rows, :, :n_columns]
