"""The total loss of several labels a sample at full speed: the same as in `_functional`.

Blocks of rows go through all steps in the same scratch memory, and only the gradient is kept.
Where targets are 0 or 1, one side of each label is enough.
"""

import math
from itertools import repeat

import torch
from torch.autograd import Function

from sk_cbloss.losses import _functional
from sk_cbloss.losses._functional import softplus

BLOCK = 2**17
"""Elements that a CPU takes at a time."""
N_SCRATCH = 6


def multi_label_total(logits, target, weight, sample_weight, gamma, smoothing):
    """Return the weighted loss of all labels of all samples, and how many targets are no NaN.

    Parameters
    ----------
    logits, target : tensor of shape (n_samples, n_labels, ...)
        The logits that are trained, and targets in [0, 1] or NaN.
    weight : tensor of shape (n_labels, 2)
        Weights of the samples without and with each label.
    sample_weight : tensor of shape (n_samples, 1, ...) or None
        What they are multiplied with.
    gamma : (float, float)
        Focus on hard samples, of those without and with a label.
    smoothing : float
        Share of each target that is spread evenly over both sides.

    Returns
    -------
    total : tensor of shape ()
        The sum.
    n_known : int or tensor of shape ()
        The number.
    """
    given = [each for each in (target, weight, sample_weight) if each is not None]
    if not _functional.is_plain_cpu(logits) or any(each.requires_grad for each in given):
        total = _plain(logits, target, weight, sample_weight, gamma, smoothing)
        return total, (~target.isnan()).sum()
    how = gamma, smoothing, _functional.can_be_read(logits)
    return _Total.apply(logits, target, weight, sample_weight, *how, torch.is_grad_enabled())


def _plain(logits, target, weight, sample_weight, gamma, smoothing):
    loss = _functional.multi_label(logits, target, weight, gamma, smoothing)
    return (loss if sample_weight is None else loss * sample_weight).sum()


class _Total(Function):
    """The total, which computes its gradient along the way."""

    @staticmethod
    def forward(ctx, logits, target, weight, sample_weight, *how):
        *ctx.how, keeps_gradient = how
        ctx.save_for_backward(logits, target, weight, sample_weight)
        ctx.gradient = None
        if keeps_gradient and ctx.needs_input_grad[0]:
            ctx.gradient = torch.empty_like(logits, memory_format=torch.contiguous_format)
        made = [
            _step(*block, *ctx.how)
            for block in _blocks(weight, logits, target, sample_weight, ctx.gradient)
        ]
        totals, n_known = zip(*made, strict=True)
        n_known = n_known[0] if len(totals) == 1 else sum(n_known)
        return totals[0] if len(totals) == 1 else torch.stack(totals).sum(), n_known

    @staticmethod
    def backward(ctx, grad_total, _):
        if torch.is_grad_enabled():  # a second derivative is wanted
            logits, *given = ctx.saved_tensors
            total = _plain(logits, *given, *ctx.how[:2])
            gradient = torch.autograd.grad(total, logits, grad_total, create_graph=True)[0]
            return gradient, *[None] * 7
        gradient, ctx.gradient = ctx.gradient, None  # it is given away, once
        if gradient is None:
            logits, *given = ctx.saved_tensors
            with torch.enable_grad():
                again = logits.detach().requires_grad_()
                total, _ = _Total.apply(again, *given, *ctx.how, True)
            gradient = torch.autograd.grad(total, again)[0]
        if not _functional.can_be_read(gradient):
            return gradient * grad_total, *[None] * 7
        try:
            gradient = gradient if grad_total == 1 else gradient.mul_(grad_total)
        except RuntimeError:  # a batch of slopes (is_grads_batched) has one dimension more
            gradient = gradient * grad_total
        return gradient, *[None] * 7


def _blocks(weight, logits, *others):
    """Yield weights, rows of the tensors, None for None, and scratch memory as large as these."""
    if logits.ndim == 2 and logits.numel() <= BLOCK:
        scratch = torch.empty((N_SCRATCH, *logits.shape), dtype=logits.dtype)
        yield *weight.unbind(dim=1), logits, *others, scratch.unbind()
        return
    n, n_labels = logits.shape[:2]
    shape = n_labels, *([logits[0, 0].numel()] if n and logits.ndim > 2 else [])
    of_label = [side.reshape(-1, *[1] * (len(shape) - 1)) for side in weight.unbind(dim=1)]
    size = max(1, min(n, BLOCK // max(1, logits[:1].numel())))
    scratch = logits.new_empty((N_SCRATCH, size, *shape))
    parts = [
        repeat(None) if each is None else each.reshape(n, each.shape[1], *shape[1:]).split(size)
        for each in (logits, *others)
    ]
    for z, *rest in zip(*parts, strict=False):
        yield *of_label, z, *rest, scratch[:, : len(z)].unbind()


def _step(without, with_it, z, target, own, gradient, scratch, gamma, smoothing, reads):
    """Return a block's total and its number of known targets, and write its gradient.

    Where numbers may be read, what these make needless is left out; what is computed is the same
    to the last bit.
    """
    weight, odds, ce, power, *spare = scratch
    gradient = power if gradient is None else gradient
    tilt = 0 if any(gamma) else smoothing / 2  # the other side's cross entropy is less by odds
    smoothing = 0 if tilt else smoothing
    n_known = z.numel()
    if reads:
        not_hard = _not_hard(target, ce)
        if math.isnan(not_hard):
            z, target, own, n_known = _of_known(z, target, own, power, spare[0])
            not_hard = _not_hard(target, ce)
        if not not_hard and not smoothing:
            torch.lerp(without, with_it, target, out=weight)
            if own is not None:
                weight.mul_(own)
            torch.addcmul(z, z, target, value=-2, out=odds)  # the other way round if it is there
            loss = _side(odds, weight, gamma, tilt, ce, power, spare[1], target)
            torch.addcmul(odds, odds, target, value=-2, out=gradient)
            return loss.sum(), n_known
        if target.numel() and not (target.amin() >= 0 and target.amax() <= 1):
            _functional.check_fractions(target)
    else:
        _functional.check_fractions(target)
        known = ~target.isnan()
        n_known = known.sum()
        z, target = torch.where(known, z, 0), torch.where(known, target, 0)
        own = known if own is None else known * own
    of_positive, of_negative = _functional.sides(target, without, with_it, smoothing)
    if own is not None:
        of_positive, of_negative = of_positive * own, of_negative * own
    downwards = torch.neg(z, out=odds)
    loss = _side(downwards, of_positive, gamma[1:], tilt, ce, power).clone()
    upwards = -downwards
    loss = loss + _side(odds.copy_(z), of_negative, gamma[:1], tilt, ce, power)
    torch.add(upwards, odds, out=gradient)
    return loss.sum(), n_known


def _not_hard(target, scratch):
    """Return 0 if all targets are 0 or 1, and NaN if some are NaN, or infinite."""
    soft = torch.addcmul(target, target, target, value=-1, out=scratch).flatten()
    return soft.dot(soft).item()


def _of_known(z, target, own, known, clean):
    """Return numbers and weights that leave out targets that are NaN, and how many are not.

    In arithmetic alone, in scratch memory: a CPU takes many times as long for masks.
    """
    torch.eq(target, target, out=known)
    n_known = int(known.sum(dtype=torch.float64))
    target = torch.nan_to_num(target, 0.0, torch.inf, -torch.inf, out=clean)
    if not z.sum().isfinite():  # a weight of 0 does not do
        z = torch.where(known > 0, z, 0)
    return z, target, known if own is None else known.mul_(own), n_known


def _side(odds, weight, gammas, tilt, cross_entropy, power, spare=None, target=None):
    """Return the losses of log-odds that a decision is wrong; their slopes take their place.

    There is a gamma for all, or two, for targets of 0 and of 1. Weights and scratch memory are
    written over.
    """
    softplus(odds, out=cross_entropy)
    if not any(gammas):
        if tilt:
            cross_entropy.sub_(odds, alpha=tilt)
        miss = odds.sigmoid_()
        if tilt:
            miss.sub_(tilt)
        miss.mul_(weight)
        return cross_entropy.mul_(weight)
    miss = odds.sigmoid_()
    gamma, other = gammas[0], gammas[-1]
    _raise(miss, gamma, power)
    if other != gamma:
        torch.lerp(power, _raise(miss, other, spare), target, out=power)
        gamma = torch.lerp(miss.new_tensor(gamma), miss.new_tensor(other), target)
    modulator = power.mul_(weight)
    loss = cross_entropy.mul_(modulator)
    # modulator * miss + gamma * loss * (1 - miss); the weights have done their work
    torch.lerp(torch.mul(loss, gamma, out=weight), modulator, miss, out=odds)
    return loss


def _raise(numbers, gamma, out):
    """Return powers of numbers, even ones as squares, which take a tenth of the time."""
    if gamma > 3 and not gamma % 2:
        return _raise(numbers, gamma / 2, out).square_()
    return torch.pow(numbers, gamma, out=out)
