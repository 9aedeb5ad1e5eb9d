"""Weights of the two sides of each label: those of two classes, label by label."""

import numpy as np
import pandas as pd
import pytest
from _reference import class_weight as exact
from _reference import ulps

from sk_cbloss import (
    ClassBalancedMultiLabelLoss,
    class_balanced_label_weight,
    class_balanced_weight,
)

N = 10_000
POSITIVE = [5000, 2500, 100, 7, 1, 0, N]
BETAS = [0, 0.3, 0.99, 0.9999, 1 - 2.0**-53, 1]
each_scale = pytest.mark.parametrize("normalize", ["classes", "samples", None])


@each_scale
@pytest.mark.parametrize("beta", BETAS)
def test_within_4_ulp_of_the_exact_value(beta, normalize):
    weight = class_balanced_label_weight(POSITIVE, N, beta=beta, normalize=normalize)
    for sides, n in zip(weight, POSITIVE, strict=True):
        for side, value in zip(sides, exact([N - n, n], beta, normalize), strict=True):
            assert side == value == 0 or ulps(side, value) <= 4


@each_scale
@pytest.mark.parametrize("beta", BETAS)
def test_a_label_is_two_classes(beta, normalize):
    weight = class_balanced_label_weight(POSITIVE, N, beta=beta, normalize=normalize)
    for sides, n in zip(weight, POSITIVE, strict=True):
        expected = class_balanced_weight([N - n, n], beta=beta, normalize=normalize)
        np.testing.assert_allclose(sides, expected, rtol=1e-15)


@pytest.mark.parametrize("beta", BETAS)
def test_what_each_scale_keeps(beta):
    count = np.stack([N - np.array(POSITIVE), POSITIVE], axis=1)
    by_class = class_balanced_label_weight(POSITIVE, N, beta=beta)
    np.testing.assert_allclose(by_class.sum(axis=1), (count > 0).sum(axis=1), rtol=1e-14)
    by_sample = class_balanced_label_weight(POSITIVE, N, beta=beta, normalize="samples")
    np.testing.assert_allclose((by_sample * count).sum(axis=1), N, rtol=1e-13)


@pytest.mark.parametrize("normalize", ["classes", "samples"])
def test_beta_0_weighs_all_alike(normalize):
    weight = class_balanced_label_weight([5, 1, 0, 9], 9, beta=0, normalize=normalize)
    np.testing.assert_array_equal(weight, [[1, 1], [1, 1], [1, 0], [0, 1]])


def test_beta_1_halves_each_labels_weight_between_its_sides():
    weight = class_balanced_label_weight([500, 10, 1], 1000, beta=1, normalize="samples")
    np.testing.assert_allclose(weight * [[500, 500], [990, 10], [999, 1]], 500, rtol=1e-14)


@each_scale
def test_what_is_asked_the_other_way_round_is_weighed_so(normalize):
    n = np.array(POSITIVE)
    weight = class_balanced_label_weight(n, N, beta=0.99, normalize=normalize)
    other = class_balanced_label_weight(N - n, N, beta=0.99, normalize=normalize)
    np.testing.assert_allclose(weight, other[:, ::-1], rtol=1e-15)
    order = np.random.default_rng(0).permutation(len(n))
    np.testing.assert_array_equal(
        class_balanced_label_weight(n[order], N, beta=0.99, normalize=normalize), weight[order]
    )


@each_scale
@pytest.mark.parametrize("beta", BETAS)
def test_a_side_without_samples_has_weight_0(beta, normalize):
    weight = class_balanced_label_weight(
        [0, 8, 0, 3], [8, 8, 0, 8], beta=beta, normalize=normalize
    )
    assert np.isfinite(weight).all()
    assert (weight > 0).tolist() == [[True, False], [False, True], [False, False], [True, True]]


def test_each_label_may_be_known_of_other_samples():
    weight = class_balanced_label_weight([5, 5], [10, 1000], beta=0.99)
    for row, n in enumerate([10, 1000]):
        np.testing.assert_array_equal(
            weight[row], class_balanced_label_weight([5], n, beta=0.99)[0]
        )


BELOW = "n_samples must not be below the number with a label"


@pytest.mark.parametrize(
    ("n_positive", "n_samples", "message"),
    [
        ([1, 2], 0, f"{BELOW}, got 0 of which 1 have one"),
        ([3, 7], 5, f"{BELOW}, got 5 of which 7 have one"),
        ([3, 7], [5, 6], f"{BELOW}, got 6 of which 7 have one"),
        ([0, 0], 0, r"n_samples must be above 0, got no sample\."),
        ([], 5, r"n_positive must have a number for each label, got an array of shape \(0,\)"),
        (3, 5, r"n_positive must have a number for each label, got an array of shape \(\)"),
        ([[1, 2]], 5, r"n_positive must have a number for each label, got .* \(1, 2\)"),
        ([1, 2], [5, 5, 5], r"n_samples must be a number, or one for each of the 2 labels, got "),
        ([-1, 2], 5, r"n_positive must hold finite numbers >= 0, got -1\.0"),
        ([1, 2], np.inf, r"n_samples must hold finite numbers >= 0, got inf"),
        (["a"], 5, r"n_positive must hold numbers, got \['a'\]"),
        ({"b": 1, "a": 2}, 5, r"n_positive must list numbers in the order of Y's columns, got"),
    ],
)
def test_bad_counts(n_positive, n_samples, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        class_balanced_label_weight(n_positive, n_samples, beta=0.9)


def test_other_bad_values():
    with pytest.raises(ValueError, match=r"^beta must be a number in \[0, 1\], got 2"):
        class_balanced_label_weight([1], 2, beta=2)
    with pytest.raises(ValueError, match="^normalize must be 'classes', 'samples' or None, got 1"):
        class_balanced_label_weight([1], 2, beta=0.9, normalize=1)
    with pytest.raises(ValueError, match="^class_count must hold counts, .* floats can hold, got"):
        class_balanced_label_weight([5e-324], 1, beta=1, normalize=None)


@pytest.mark.parametrize("as_given", [lambda counts: counts, lambda counts: counts.to_dict()])
def test_named_counts_are_told_the_order_of_columns(as_given):
    Y = pd.DataFrame({"war": [1, 1, 0, 1], "drama": [0, 1, 0, 0], "epic": [0, 0, 1, 1]})
    counts = as_given(Y.sum())
    with pytest.raises(ValueError, match="the label 'war' at position 0: pass ") as raised:
        class_balanced_label_weight(counts, 4, beta=0.9)
    remedy = str(raised.value).rpartition(": pass ")[2].rstrip(".")
    np.testing.assert_array_equal(
        class_balanced_label_weight(eval(remedy, {"n_positive": counts, "Y": Y}), 4, beta=0.9),
        class_balanced_label_weight(Y.to_numpy().sum(axis=0), 4, beta=0.9),
    )
    for given in ((Y.to_numpy().sum(axis=0), counts), (counts.copy(), 4)):
        with pytest.raises(ValueError, match="in the order of Y's columns"):
            ClassBalancedMultiLabelLoss.from_label_count(*given)
    with pytest.raises(ValueError, match="^label_prior must list numbers in the order of Y's"):
        ClassBalancedMultiLabelLoss(label_prior=as_given(Y.mean()), tau=1)
