"""The losses as pure functions: logits (N, C, ...) and target (N, ...) in, one loss a sample out.

The plain log-space forms below are the definition of every loss. Some are given in parts: the
logits that the softmax is trained on, or what is made of its cross entropy. Classes lie along
dimension 1, as everywhere in torch; what is known of each class is a vector of shape (C,).
"""

import math

import torch
import torch.nn.functional as F
from torch.autograd import forward_ad

NO_TARGET = torch.iinfo(torch.int64).min

MASKED = -1e30
"""The logit of a class that takes no part: finite, since 0 times infinity is no number."""

FRACTIONS = "target must hold numbers in [0, 1], or NaN where a label is not known."

HELD_DOWN = -1e38
"""What is added to it instead, where that is cheaper: larger than any logit."""


LOG_2 = math.log(2)

# ---------------------------------------------------------------------- one class out of all


def softmax(logits, target):
    """Cross entropy of the softmax: ``-log softmax(z)_y``."""
    if is_transformed():  # torch's own, under vmap, takes ten times as long where classes are few
        log_p = logits.movedim(1, 0).log_softmax(dim=0)
        return -log_p.gather(0, target.unsqueeze(0)).squeeze(0)
    # Without torch's default, which leaves targets of -100 out in silence.
    return F.cross_entropy(logits, target, reduction="none", ignore_index=NO_TARGET)


def softmax_of_each_class(logits):
    """Cross entropy that each class would have as the label: ``-log softmax(z)``."""
    return -logits.log_softmax(dim=1)


def focused(cross_entropy, gamma):
    """Cross entropies times ``(1 - p)**gamma``, where ``p = exp(-cross_entropy)``."""
    miss = -torch.expm1(-cross_entropy)  # 1 - p would lose its digits where p is near 1
    # At 0 a power below 1 has an infinite slope, and 0 * inf is no gradient.
    return miss.clamp(min=torch.finfo(miss.dtype).eps ** 2) ** gamma * cross_entropy


def margin(logits, target):
    """By how much the label's logit exceeds those of all others together: its log-odds."""
    label = target.unsqueeze(1)
    rest = _without(logits, label, -torch.inf).logsumexp(dim=1)
    return logits.gather(1, label).squeeze(1) - rest


def poly_tailed(margin, alpha):
    """``m**-alpha`` from 1 on, before that ``log2(1 + 4**(alpha (1 - m)))``: as steep at 1."""
    # Each within its own part: a gradient that is not taken must be a number, too.
    near = softplus((1 - margin.clamp(max=1)) * alpha * (2 * LOG_2)) / LOG_2
    return torch.where(margin < 1, near, margin.clamp(min=1) ** -alpha)


def ldam(logits, target, class_prior, max_margin, scale):
    """Cross entropy of ``scale * z``, the label's ``z`` first lowered by its class's margin."""
    takes_part = class_prior > 0
    margin = ldam_margin(class_prior, -max_margin).to(logits.dtype)
    lowering = of_target(margin, target).unsqueeze(1)
    # Shifted first, scaled then: the difference of large logits is exact, their products are not.
    shifted = _shifted(_held_down(logits, takes_part))
    lowered = _in_place("scatter_add", shifted, 1, target.unsqueeze(1), lowering)
    # What is held down stays there: a scale of 0 would lift it, a large one make it infinite.
    scale = by_class(torch.where(takes_part, scale, logits.new_ones(1)), logits)
    return softmax(_in_place("mul", lowered, scale), target)


def ldam_margin(class_prior, max_margin):
    """Margin of each class: ``max_margin * (min(pi) / pi)**(1/4)``."""
    # A class without samples needs none, and is not the smallest.
    size = torch.where(class_prior > 0, class_prior, torch.inf)
    return max_margin * (size.amin() / size) ** 0.25


# ---------------------------------------------------------------------- logits, as trained on


def logit_adjusted(logits, class_prior, tau):
    """Logits ``z + tau log(pi)``, but for a shift that all share."""
    return _with_prior(_held_down(logits, class_prior > 0), class_prior, tau)


def prior_bias(class_prior, tau):
    """Return what a last layer's bias must have more for its logits to be these."""
    return torch.where(class_prior > 0, tau * class_prior.log(), HELD_DOWN)


def class_dependent_temperature(logits, class_prior, gamma):
    """Logits ``z / a`` with ``a = (max(pi) / pi)**gamma``."""
    takes_part = class_prior > 0
    damping = torch.where(takes_part, (class_prior / class_prior.amax()) ** gamma, 0)
    held_down = by_class(torch.where(takes_part, 0.0, HELD_DOWN), logits)
    return torch.addcmul(held_down, logits, by_class(damping, logits))


def vector_scaling(logits, class_prior, tau, gamma):
    """Logits ``z / a + tau log(pi)``, but for a shift that all share."""
    return _with_prior(class_dependent_temperature(logits, class_prior, gamma), class_prior, tau)


def masked(logits, class_prior):
    """Logits in which classes without samples are out of the running."""
    return torch.where(by_class(class_prior > 0, logits), logits, MASKED)


def _held_down(logits, takes_part):
    """Do so in new memory for finite logits, at no cost for the gradient.

    It comes before all else: beside a large logit, those of the others would lose their digits.
    """
    return logits + by_class(torch.where(takes_part, 0.0, HELD_DOWN), logits)


def _with_prior(new, class_prior, tau):
    log_prior = torch.where(class_prior > 0, class_prior, 1).log()  # not 0 * log(0)
    return _in_place("add", _shifted(new), by_class(tau * log_prior, new))


def _without(logits, label, instead):
    # With the number itself, vmap would bring it from the CPU.
    return logits.scatter(1, label, torch.full_like(label, instead, dtype=logits.dtype))


def _shifted(new):
    """Logits, the largest 0: beside a logit of 1e4, a prior or margin drowns in rounding."""
    return _in_place("sub", new, new.detach().amax(dim=1, keepdim=True))


# --------------------------------------------------------------------- each class against the rest


def sigmoid(logits, target):
    """Binary cross entropies, one class against the rest, summed over the classes."""
    return softplus(log_odds_of_miss(logits, target)).sum(dim=1)


def sigmoid_focal(logits, target, gamma):
    """Binary cross entropies times ``(1 - p_t)**gamma``, summed over the classes."""
    return binary_focal(log_odds_of_miss(logits, target), gamma).sum(dim=1)


def sigmoid_focal_of_each_class(logits, gamma):
    """Loss that each class would have as the label."""
    as_other, as_label = binary_focal(logits, gamma), binary_focal(-logits, gamma)
    return as_other.sum(dim=1, keepdim=True) - as_other + as_label


def binary_focal(miss, gamma):
    """Binary cross entropy times ``(1 - p_t)**gamma``, from the log-odds that it is wrong."""
    # (1 - p_t)**gamma in log space: the published form overflows below logit -88 in float32, and
    # the power of a rounded 1 - p_t loses the worst positives.
    return torch.exp(gamma * F.logsigmoid(miss)) * softplus(miss)


def softplus(x, out=None):
    """``log(1 + exp(x))``, which is the binary cross entropy of log-odds x."""
    # Torch takes x for it from 20 on, which costs float64 half its digits.
    return F.softplus(x, 1, 40, out=out)  # type: ignore[call-arg]  # torch's stub has no out


def log_odds_of_miss(logits, target):
    """Log-odds that each one-vs-rest decision is wrong: -z for the label, z for the others."""
    if torch.compiler.is_compiling():  # what is made anew need not be kept for the gradient
        position = torch.arange(logits.shape[1], device=logits.device)
        is_label = by_class(position, logits) == target.unsqueeze(1)
        return torch.where(is_label, -logits, logits)
    sign = torch.ones_like(logits, requires_grad=False).scatter(1, target.unsqueeze(1), -1)
    return logits * sign


# ---------------------------------------------------------------------- several labels a sample


def multi_label(logits, target, weight, gamma, smoothing):
    """Binary focal loss of each label, weighted; 0 where the target is NaN.

    Either side of a label has a weight, of shape (n_labels, 2), and a gamma, without and with it.
    A label that is there counts as such, and half of ``smoothing`` of it counts as not there.
    """
    check_fractions(target)
    known = ~target.isnan()
    logits, target = torch.where(known, logits, 0), torch.where(known, target, 0)
    without, with_it = (by_class(side, logits) for side in weight.unbind(dim=1))
    of_positive, of_negative = sides(target, without, with_it, smoothing)
    loss = of_positive * binary_focal(-logits, gamma[1])
    return torch.where(known, loss + of_negative * binary_focal(logits, gamma[0]), 0)


def sides(target, without, with_it, smoothing):
    """Return the weights of the positive and the negative side; exact at targets of 0 and 1."""
    kept, moved = 1 - smoothing / 2, smoothing / 2
    of_positive = torch.lerp(moved * without, kept * with_it, target)
    return of_positive, torch.lerp(kept * without, moved * with_it, target)


def check_fractions(target):
    """Raise an error unless all targets are in [0, 1], or NaN."""
    if torch.compiler.is_compiling() and is_transformed():  # for which torch has no assertion
        return
    outside = (target < 0) | (target > 1)
    try:
        assert_all(~outside, FRACTIONS)
    except RuntimeError:
        bad = unwrapped(target)[unwrapped(outside)][0]
        raise ValueError(FRACTIONS.removesuffix(".") + f", got {bad:g}.") from None


def side_shifted(logits, label_prior, tau):
    """Logits ``z + tau log(pi / (1 - pi))``; as they are where all samples are on one side."""
    has_both = (label_prior > 0) & (label_prior < 1)
    log_odds = torch.where(has_both, label_prior, 0.5).logit()
    return logits + by_class(tau * log_odds, logits)


# ---------------------------------------------------------------------- the way back


def log_odds_in_parts(logits, of_nothing=MASKED):
    """Return ``log p`` and ``log(1 - p)`` of each class under the softmax."""
    log_p = logits.log_softmax(dim=1)
    # Of the likeliest class, log(1 - p) from the others: 1 - p itself may have rounded to 0.
    top = log_p.argmax(dim=1, keepdim=True)
    others = _without(log_p, top, of_nothing)
    rest = others.logsumexp(dim=1, keepdim=True)
    return log_p, torch.log1p(-others.exp()).scatter(1, top, rest)


def log_slope_of_poly_tailed(margin, alpha):
    """Logarithm of how steeply ``poly_tailed`` falls, but for ``log(alpha)``."""
    near = LOG_2 + F.logsigmoid((1 - margin.clamp(max=1)) * alpha * (2 * LOG_2))
    return torch.where(margin < 1, near, -(alpha + 1) * margin.clamp(min=1).log())


def log_slope(log_p, log_not_p, gamma):
    """Logarithm of how steeply a focal term falls: ``A(p) = d/dp [(1 - p)**gamma log p]``.

    It is ``(1 - p)**gamma / p * (1 + gamma r)``, and ``r = -p log(p) / (1 - p)`` goes from 0 to
    1 with p. Where the expected loss is least, the slopes of its terms balance, and so tell the
    posterior.
    """
    # Within what makes r 1 or 0 but for rounding; beyond, its gradient would be inf - inf.
    cross_entropy = (-log_p).clamp(torch.finfo(log_p.dtype).eps, 80)
    r = cross_entropy / torch.expm1(cross_entropy)
    return gamma * log_not_p - log_p + torch.log1p(gamma * r)


# ---------------------------------------------------------------------- tools


def apply_weight(loss, weight, counted):
    """Losses of samples times their weights; 0 where not counted (None counts all)."""
    return only_counted(loss, counted) * weight


def only_counted(loss, counted):
    """Losses of samples; 0 where not counted, whatever the loss."""
    return loss if counted is None else torch.where(counted, loss, 0)


def assert_all(valid, message):
    """Raise a RuntimeError unless all are true; on a GPU when it gets there: nothing waits."""
    if not torch.compiler.is_compiling():  # which cannot look inside
        valid = unwrapped(valid)
    try:
        torch._assert_async(valid.all(), message)
    except NotImplementedError:  # by the torch of that day, for that device
        if not valid.all():
            raise RuntimeError(message) from None


FEW = 32
"""Classes up to which a CPU is faster where each class's logits lie side by side."""


def log_softmax(logits):
    """Log softmax along the classes."""
    if is_traced() or not logits.is_cpu or logits.ndim != 2 or logits.shape[1] > FEW:
        return logits.log_softmax(dim=1)
    return logits.t().contiguous().log_softmax(dim=0).t().contiguous()


def unwrapped(tensor):
    """Return what transforms of ``torch.func`` have wrapped, with the dimensions of all calls."""
    if is_transformed():
        while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
            tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def is_transformed():
    """Whether a transform of ``torch.func``, such as vmap, is at work."""
    return torch._C._are_functorch_transforms_active()


def is_traced():
    """Whether a compiler, a transform or forward mode must see every step."""
    return torch.compiler.is_compiling() or is_transformed() or forward_ad._current_level >= 0


def can_be_read(tensor):
    """Whether Python may look at the numbers: nothing waits for it, and nothing records it."""
    return is_plain_cpu(tensor) and not torch._C._len_torch_dispatch_stack()


def is_plain_cpu(tensor):
    """Whether a tensor is torch's own on a CPU, and no transform or compiler is at work."""
    return (
        not is_traced()
        and tensor.is_cpu
        and type(tensor) is torch.Tensor
        and not torch.jit.is_tracing()  # type: ignore[attr-defined]
    )


def _in_place(operation, tensor, *others):
    """Do it in the tensor's memory, where possible: new memory costs more than the arithmetic."""
    # Under vmap, the others may have a dimension that the tensor has not.
    return getattr(tensor, operation if is_traced() else f"{operation}_")(*others)


def by_class(vector, logits):
    """Lay a vector of shape (C,) along the classes of the logits, where and as these are."""
    dtype = torch.bool if vector.dtype == torch.bool else logits.dtype
    return vector.to(logits.device, dtype).reshape(-1, *[1] * (logits.ndim - 2))


def of_target(vector, target):
    """Return a vector's entry for each target; indexing takes up to four times as long."""
    if target.ndim == 1:
        return vector.index_select(0, target)
    return vector.index_select(0, target.flatten()).reshape(target.shape)
