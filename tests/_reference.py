"""The paper's formulas, written as naively as they stand there: in mpmath, or in float64."""

import math

import mpmath
import numpy as np

mpmath.mp.dps = 60


def effective_number(n, beta):
    """(1 - beta^n) / (1 - beta), in as many digits as the difference loses and 60 more."""
    n, beta = mpmath.mpf(float(n)), mpmath.mpf(float(beta))
    if n == 0:
        return mpmath.mpf(0)
    if beta == 0:
        return mpmath.mpf(1)
    if beta == 1:
        return n
    with mpmath.workdps(400 if n < 1e-100 else 120):
        return (1 - beta**n) / (1 - beta)


def class_weight(counts, beta, normalize):
    """Inverse effective numbers, normalised over the classes that have samples; in 60 digits."""
    inverse = [1 / effective_number(n, beta) if n else mpmath.mpf(0) for n in counts]
    if normalize is None:
        return inverse
    if normalize == "classes":
        scale = sum(n > 0 for n in counts) / sum(inverse)
    else:
        total = sum(mpmath.mpf(float(n)) for n in counts)
        weighted = sum(mpmath.mpf(float(n)) * w for n, w in zip(counts, inverse, strict=True))
        scale = total / weighted
    return [scale * w for w in inverse]


def ulps(actual, exact):
    """Distance from a float to the exact value, in units in the last place."""
    return float(abs(mpmath.mpf(float(actual)) - exact) / math.ulp(float(exact)))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def loss_per_sample(logits, target, loss, gamma=None):
    """Each sample's unweighted loss, by loops over samples and classes in float64."""
    losses = []
    for z, y in zip(np.asarray(logits, dtype=np.float64), np.asarray(target), strict=True):
        if loss == "softmax":
            losses.append(-np.log(np.exp(z[y]) / np.exp(z).sum()))
            continue
        total = 0.0
        for c in range(len(z)):
            p = sigmoid(z[c])
            p_t = p if c == y else 1 - p
            modulator = (1 - p_t) ** gamma if loss == "focal" else 1.0
            total += modulator * -np.log(p_t)
        losses.append(total)
    return np.array(losses)


def exact_loss(z, y, loss, gamma=1):
    """One sample's loss in 400 digits, right at logits where float64 overflows."""
    with mpmath.workdps(400):
        z = [mpmath.mpf(float(v)) for v in z]
        if loss == "softmax":
            return mpmath.log(sum(mpmath.exp(v) for v in z)) - z[y]
        total = mpmath.mpf(0)
        for c, v in enumerate(z):
            miss = -v if c == y else v  # log-odds of a wrong decision
            p_miss = 1 / (1 + mpmath.exp(-miss))
            modulator = p_miss**gamma if loss == "focal" else 1
            total += modulator * mpmath.log(1 + mpmath.exp(miss))
        return total


def exact_gradient(z, y, loss, gamma=1):
    """The derivative of one sample's loss by each logit, in 400 digits."""
    with mpmath.workdps(400):
        z = [mpmath.mpf(float(v)) for v in z]
        if loss == "softmax":
            total = sum(mpmath.exp(v) for v in z)
            return [mpmath.exp(v) / total - (c == y) for c, v in enumerate(z)]
        slopes = []
        for c, v in enumerate(z):
            sign = -1 if c == y else 1
            miss = sign * v
            p_miss = 1 / (1 + mpmath.exp(-miss))
            slope = p_miss
            if loss == "focal":
                bce = mpmath.log(1 + mpmath.exp(miss))
                slope = p_miss**gamma * (gamma * (1 - p_miss) * bce + p_miss)
            slopes.append(sign * slope)
        return slopes
