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


# Each loss as its paper writes it, for one sample: logits z, label y, class frequencies prior.


def training_logits(z, loss, prior, tau, gamma):
    """What the softmax is taken of: z, z + tau log(pi), z / a, or z / a + tau log(pi)."""
    if loss == "logit_adjusted":  # Menon 2021, equation 10
        return [v + tau * mpmath.log(p) for v, p in zip(z, prior, strict=True)]
    if loss in ("cdt", "vs"):  # Ye 2020, equation 4; Kini 2021, equation 2
        temperature = [(max(prior) / p) ** gamma for p in prior]
        shift = [tau * mpmath.log(p) if loss == "vs" else 0 for p in prior]
        return [v / a + s for v, a, s in zip(z, temperature, shift, strict=True)]
    return z


def ldam_margin(prior, max_margin):
    """C / n^(1/4), C such that the largest margin is max_margin (Cao 2019, equation 13)."""
    unscaled = [1 / mpmath.root(p, 4) for p in prior]
    return [max_margin * m / max(unscaled) for m in unscaled]


def poly_tail(margin, alpha):
    """1 / (m - (b - 1))^alpha from b = 1 on (Wang 2022, with a left piece of our own)."""
    if margin >= 1:
        return margin**-alpha
    return mpmath.log(1 + mpmath.mpf(4) ** (alpha * (1 - margin))) / mpmath.log(2)


def exact_loss(
    z, y, loss, gamma=1, prior=None, tau=1, max_margin=0.5, scale=30, alpha=1, digits=400
):
    """One sample's unweighted loss; with 400 digits, right where float64 overflows."""
    with mpmath.workdps(digits):
        z = [_exact(v) for v in z]
        prior = None if prior is None else [_exact(p) for p in prior]
        if loss in ("sigmoid", "focal"):  # Cui 2019, equations 13 and 14
            total = mpmath.mpf(0)
            for c, v in enumerate(z):
                z_t = v if c == y else -v
                p_t, p_miss = 1 / (1 + mpmath.exp(-z_t)), 1 / (1 + mpmath.exp(z_t))
                total -= mpmath.log(p_t) * (p_miss**gamma if loss == "focal" else 1)
            return total
        if loss == "ldam":  # Cao 2019, equation 13, with the scale of the authors' code
            z[y] -= ldam_margin(prior, max_margin)[y]
            z = [scale * v for v in z]
        z = training_logits(z, loss, prior, tau, gamma)
        odds = [mpmath.exp(v) for v in z]
        p, p_miss = odds[y] / sum(odds), sum(o for c, o in enumerate(odds) if c != y) / sum(odds)
        if loss == "poly_tailed":
            return poly_tail(mpmath.log(p / p_miss), mpmath.mpf(alpha)) if p_miss else 0
        return -mpmath.log(p) * (p_miss**gamma if loss == "softmax_focal" else 1)


def exact_gradient(z, y, loss, **parameters):
    """The derivative of one sample's loss by each logit, from differences in 400 digits."""
    with mpmath.workdps(400):
        step = mpmath.mpf(10) ** -100

        def moved(c, by):
            return exact_loss(
                [_exact(v) + (by if k == c else 0) for k, v in enumerate(z)], y, loss, **parameters
            )

        return [(moved(c, step) - moved(c, -step)) / (2 * step) for c in range(len(z))]


def exact_label_loss(z, t, weight=(1, 1), gamma=(0, 0), prior=None, tau=0, smoothing=0):
    """One label's loss: binary focal losses of both sides, each weighted (Ridnik 2021, section 2).

    The logit is shifted by the prior's log-odds (Wu 2020, section 3), and of a label that is
    there, half of the smoothing counts as not there.
    """
    with mpmath.workdps(400):
        z, t, smoothing = _exact(z), _exact(t), _exact(smoothing)
        if prior is not None and 0 < prior < 1:
            z += _exact(tau) * mpmath.log(_exact(prior) / (1 - _exact(prior)))
        p, miss = 1 / (1 + mpmath.exp(-z)), 1 / (1 + mpmath.exp(z))
        positive = -mpmath.log(p) * miss ** _exact(gamma[1])
        negative = -mpmath.log(miss) * p ** _exact(gamma[0])
        of_with = _exact(weight[1]) * ((1 - smoothing / 2) * positive + smoothing / 2 * negative)
        of_without = _exact(weight[0]) * (
            (1 - smoothing / 2) * negative + smoothing / 2 * positive
        )
        return t * of_with + (1 - t) * of_without


def exact_label_slope(z, t, **parameters):
    """Its derivative by the logit, from differences in 400 digits."""
    with mpmath.workdps(400):
        z, step = _exact(z), mpmath.mpf(10) ** -100
        above, below = (exact_label_loss(z + by, t, **parameters) for by in (step, -step))
        return (above - below) / (2 * step)


def loss_per_sample(logits, target, loss, **parameters):
    """Each sample's unweighted loss."""
    return np.array(
        [
            float(exact_loss(z, int(y), loss, digits=60, **parameters))
            for z, y in zip(np.asarray(logits, dtype=np.float64), np.asarray(target), strict=True)
        ]
    )


def _exact(value):
    return value if isinstance(value, mpmath.mpf) else mpmath.mpf(float(value))
