"""The checks that two rooms share: each names the rule and the value received."""

from numbers import Integral, Real

import numpy as np

NORMALIZE = ("classes", "samples", None)


def check_beta(beta):
    """Return beta as a float in [0, 1]."""
    if not isinstance(beta, Real) or not 0 <= beta <= 1:
        raise ValueError(f"beta must be a number in [0, 1], got {beta!r}.")
    return float(beta)


def check_gamma(gamma):
    """Return gamma as a finite float >= 0."""
    if not isinstance(gamma, Real) or not 0 <= gamma < np.inf:
        raise ValueError(f"gamma must be a finite number >= 0, got {gamma!r}.")
    return float(gamma)


def check_normalize(normalize):
    """Return normalize, one of 'classes', 'samples' and None."""
    if not (normalize is None or (isinstance(normalize, str) and normalize in NORMALIZE)):
        raise ValueError(f"normalize must be 'classes', 'samples' or None, got {normalize!r}.")
    return normalize


def check_integer(value, name, *, minimum):
    """Return value as an int >= minimum."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}.")
    return int(value)


def check_imbalance_factor(imbalance_factor):
    """Return imbalance_factor, n_max / n_min, as a finite float >= 1."""
    if not isinstance(imbalance_factor, Real) or not 1 <= imbalance_factor < np.inf:
        raise ValueError(
            f"imbalance_factor must be a finite number >= 1, got {imbalance_factor!r}."
        )
    return float(imbalance_factor)


def check_class_count(class_count):
    """Return class counts as float64, all finite and >= 0."""
    try:
        counts = np.asarray(class_count, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"class_count must hold numbers, got {class_count!r}.") from None
    bad = ~(np.isfinite(counts) & (counts >= 0))
    if bad.any():
        raise ValueError(
            f"class_count must hold finite numbers >= 0, got {float(counts[bad].flat[0])!r}."
        )
    return counts


def check_sample_weight(sample_weight, n_samples):
    """Return sample weights as float64 of shape (n_samples,): finite, >= 0, not all 0."""
    try:
        weight = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"sample_weight must hold numbers, got {sample_weight!r}.") from None
    if weight.ndim == 0:
        weight = np.full(n_samples, weight)
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight a sample, "
            f"got shape {weight.shape}."
        )
    bad = ~(np.isfinite(weight) & (weight >= 0))
    if bad.any():
        raise ValueError(
            f"sample_weight must hold finite numbers >= 0, got {float(weight[bad][0])!r}."
        )
    if n_samples and not weight.any():
        raise ValueError("sample_weight must not be 0 for every sample, got only zeros.")
    return weight
