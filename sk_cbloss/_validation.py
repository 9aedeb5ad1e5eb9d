"""The checks that two rooms share: each names the rule and the value received."""

import reprlib
from collections.abc import Mapping
from decimal import Decimal
from numbers import Integral, Real
from typing import Literal, get_args

import numpy as np
from sklearn.utils import check_random_state

Normalize = Literal["classes", "samples", None]
NORMALIZE = get_args(Normalize)
NUMBERS = (Real, Decimal, np.bool_)


def as_float(value) -> float:
    """Return a number as a float, infinity if it is too large, and NaN for what is none."""
    try:
        return float(value) if isinstance(value, Real) else np.nan
    except OverflowError:  # of a large integer
        return np.inf if value > 0 else -np.inf


def check_fraction(value, name) -> float:
    """Return value as a float in [0, 1]."""
    number = as_float(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be a number in [0, 1], got {reprlib.repr(value)}.")
    return number


def check_open_fraction(value, name) -> float:
    """Return value as a float in (0, 1)."""
    number = as_float(value)
    if not 0 < number < 1:
        raise ValueError(f"{name} must be a number in (0, 1), got {reprlib.repr(value)}.")
    return number


def check_beta(beta) -> float:
    """Return beta as a float in [0, 1]."""
    return check_fraction(beta, "beta")


def check_non_negative(value, name) -> float:
    """Return value as a finite float >= 0."""
    number = as_float(value)
    if not 0 <= number < np.inf:
        raise ValueError(f"{name} must be a finite number >= 0, got {reprlib.repr(value)}.")
    return number


def check_choice(value, name, choices):
    """Return value, one of the choices: strings, and perhaps None."""
    if not (value is None or isinstance(value, str)) or value not in choices:
        *most, last = map(repr, choices)
        raise ValueError(f"{name} must be {', '.join(most)} or {last}, got {reprlib.repr(value)}.")
    return value


def check_factor(value, name) -> float:
    """Return value as a float in [0, 1e6], whose product with a large logit is in float32."""
    if check_non_negative(value, name) > 1e6:
        raise ValueError(f"{name} must be a number in [0, 1e6], got {reprlib.repr(value)}.")
    return float(value)


def check_normalize(normalize):
    """Return normalize, one of 'classes', 'samples' and None."""
    return check_choice(normalize, "normalize", NORMALIZE)


def check_integer(value, name, *, minimum) -> int:
    """Return value as an int >= minimum."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {reprlib.repr(value)}.")
    return int(value)


def check_size(value, name, *, minimum=1) -> int:
    """Return a number of things that are made, as an int that floats count exactly."""
    size = check_integer(value, name, minimum=minimum)
    if size > 2**53:
        raise ValueError(f"{name} must not exceed 2 ** 53, got {reprlib.repr(value)}.")
    return size


def check_seed(random_state):
    """Return a RandomState instance."""
    try:
        return check_random_state(random_state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "random_state must be an integer in [0, 2**32 - 1], a RandomState instance or None, "
            f"got {reprlib.repr(random_state)}."
        ) from error


def check_each(values, name, check):
    """Return a list of at least one number, each as ``check(value, name)`` returns it."""
    listed = np.iterable(values) and hasattr(values, "__len__") and not isinstance(values, str)
    if not listed or not len(values):
        raise ValueError(f"{name} must list at least one number, got {reprlib.repr(values)}.")
    return [check(value, f"each of {name}") for value in values]


def as_floats(values, name):
    """Return numbers, also of torch, as an array of float64."""
    refuse_masked(values, name)
    try:
        array = np.asarray(as_numpy(values))
        # numpy makes numbers of texts, dates, None and half of a complex number, too.
        of_objects = array.dtype.kind == "O" and all(isinstance(v, NUMBERS) for v in array.flat)
        if of_objects or array.dtype.kind in "biuf":
            return np.asarray(array, dtype=np.float64)
    except OverflowError:
        raise ValueError(
            f"{name} must hold numbers that floats can hold, got {reprlib.repr(values)}."
        ) from None
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{name} must hold numbers, got {reprlib.repr(values)}.")


def refuse_masked(values, name):
    """Raise a ValueError if some entries of a masked array are masked."""
    if np.ma.is_masked(values):
        place = np.flatnonzero(np.ma.getmaskarray(values))[0]
        raise ValueError(f"{name} must not have masked entries, got one at position {place}.")


def as_named(values, name="class_count"):
    """Return a mapping or Series from label to number as a dict, and None for a bare vector."""
    if not hasattr(values, "items") or getattr(values, "ndim", 1) != 1:
        return None
    pairs = list(values.items())
    named = dict(pairs)
    if len(named) < len(pairs):
        labels = [label for label, _ in pairs]
        twice = next(label for label in labels if labels.count(label) > 1)
        raise ValueError(f"{name} must hold each label once, got {twice!r} twice.")
    return named


def in_class_order(values, name, *, of_columns=False):
    """Return numbers of classes, whose labels, if they have some, must be their positions.

    Or of the columns of several labels, whose order is that of no sort.
    """
    named = as_named(values, name)
    if named is None:
        return values
    for position, label in enumerate(named):
        if label != position and of_columns:
            by_name = f"[{name}[label] for label in Y.columns]"
            raise ValueError(
                f"{name} must list numbers in the order of Y's columns, got the label {label!r} "
                f"at position {position}: pass {by_name}."
            )
        if label != position:
            remedy = f"[{name}[label] for label in classes]"
            if hasattr(values, "sort_index"):
                remedy = f"{name}.sort_index().to_numpy()"
            raise ValueError(
                f"{name} must list numbers in the order of the classes, got the label {label!r} "
                f"at position {position} (value_counts() sorts by frequency): pass {remedy}."
            )
    return list(named.values()) if isinstance(values, Mapping) else values


def check_counts(class_count, name="class_count", **order):
    """Return counts of any shape, in class order, as float64, all finite and >= 0."""
    counts = as_floats(in_class_order(class_count, name, **order), name)
    bad = ~(np.isfinite(counts) & (counts >= 0))
    if bad.any():
        raise ValueError(
            f"{name} must hold finite numbers >= 0, got {float(counts[bad].flat[0])!r}."
        )
    return counts


def check_class_count(class_count):
    """Return the counts of classes as float64: one for each, of which one is above 0."""
    counts = check_counts(class_count)
    if counts.ndim != 1:
        raise ValueError(
            f"class_count must have a number for each class, got an array of shape {counts.shape}."
        )
    if not counts.any():
        raise ValueError("class_count must hold a class that has samples, got none.")
    return counts


def check_named_count(class_count):
    """Return labels, None for those of a bare vector, and the counts of these classes."""
    named = as_named(class_count)
    if named is None:
        return None, check_class_count(class_count)
    return list(named), check_class_count(list(named.values()))


def check_sample_weight(sample_weight, n_samples):
    """Return weights as float64 of shape (n_samples,): >= 0, not all 0, with a finite sum."""
    weight = as_floats(sample_weight, "sample_weight")
    if weight.ndim == 0:
        weight = np.full(n_samples, weight)
    if weight.shape != (n_samples,):
        raise ValueError(
            f"sample_weight must have shape ({n_samples},), one weight a sample, "
            f"got shape {weight.shape}."
        )
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not (total < np.inf and weight.min(initial=0) >= 0):
        bad = weight[~(np.isfinite(weight) & (weight >= 0))]
        if len(bad):
            raise ValueError(
                f"sample_weight must hold finite numbers >= 0, got {float(bad[0])!r}."
            )
        raise ValueError(
            "sample_weight must have a finite sum, got weights as large as "
            f"{float(weight.max())!r}."
        )
    if n_samples and not total:
        raise ValueError("sample_weight must not be 0 for every sample, got only zeros.")
    return weight


def as_numpy(values):
    """Return a torch tensor, wherever it lies, dense or sparse, as an array; else what it is."""
    if not hasattr(values, "detach"):
        return values
    values = values.detach().cpu().to_dense()
    return (values.double() if values.is_floating_point() else values).numpy()


def check_same_length(n_X, n_y, name="X"):
    """Raise a ValueError unless X, or what has that name, and y have as many samples."""
    if n_X != n_y:
        raise ValueError(
            f"{name} and y must have the same number of samples, got {n_X} and {n_y}."
        )


def check_can_be_cut(X):
    """Raise a ValueError for a dict of arrays, out of which no fold can be cut."""
    if type(X) is dict:
        raise ValueError(
            "X must be something that folds can be cut out of, as a dict is in "
            "skorch.helper.SliceDict(**X), got a dict."
        )
