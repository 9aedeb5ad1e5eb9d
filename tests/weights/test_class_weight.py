from functools import partial

import numpy as np
import pandas as pd
import pytest
from _reference import class_weight as exact
from _reference import ulps

from sk_cbloss import beta_grid, class_balanced_sample_weight, class_balanced_weight

CIFAR10_LT = [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@pytest.mark.parametrize("normalize", ["classes", "samples", None])
@pytest.mark.parametrize("beta", [0, 0.3, 0.9, 0.999, 0.9999, 1 - 2.0**-53, 1])
@pytest.mark.parametrize("counts", [CIFAR10_LT, [1e13, 1, 0, 0.5], [3], [7, 7, 7]])
def test_within_4_ulp_of_the_exact_value(counts, beta, normalize):
    weights = class_balanced_weight(counts, beta=beta, normalize=normalize)
    for weight, value in zip(weights, exact(counts, beta, normalize), strict=True):
        assert weight == value == 0 or ulps(weight, value) <= 4


@pytest.mark.parametrize("beta", [0, 0.9, 1])
def test_classes_sum_to_their_number_and_samples_average_1(beta):
    counts = np.array(CIFAR10_LT)
    assert class_balanced_weight(counts, beta=beta).sum() == pytest.approx(10, rel=1e-14)
    per_sample = class_balanced_weight(counts, beta=beta, normalize="samples")
    assert np.average(per_sample, weights=counts) == pytest.approx(1, rel=1e-14)


@pytest.mark.parametrize("normalize", ["classes", "samples", None])
def test_within_4_ulp_at_random_places(normalize):
    bound = 4 if np.finfo(np.longdouble).eps < np.finfo(float).eps else 10
    rng = np.random.default_rng(0)
    for _ in range(300):
        counts = np.floor(10 ** rng.uniform(0, 13, rng.integers(1, 30)))
        beta = 1 - 10 ** -rng.uniform(0, 15)
        weights = class_balanced_weight(counts, beta=beta, normalize=normalize)
        for weight, value in zip(weights, exact(counts, beta, normalize), strict=True):
            assert ulps(weight, value) <= bound, (counts, beta)


def test_beta_0_weighs_all_alike():
    np.testing.assert_array_equal(class_balanced_weight([9, 0.5, 1], beta=0), [1, 1, 1])


def test_permuting_classes_permutes_weights():
    order = np.random.default_rng(0).permutation(10)
    counts = np.array(CIFAR10_LT)
    weights = class_balanced_weight(counts, beta=0.999)
    np.testing.assert_allclose(
        class_balanced_weight(counts[order], beta=0.999), weights[order], rtol=1e-15
    )


def test_empty_classes_have_weight_0_and_no_part():
    with_empty = class_balanced_weight([0, 100, 0, 10], beta=0.99)
    np.testing.assert_array_equal(with_empty[[1, 3]], class_balanced_weight([100, 10], beta=0.99))
    np.testing.assert_array_equal(with_empty[[0, 2]], 0)


def test_a_single_class_has_weight_1():
    for normalize in ("classes", "samples"):
        assert class_balanced_weight([42], beta=0.99, normalize=normalize) == [1]


@pytest.mark.parametrize("tiny", [5e-324, 1e-310, 1e-300])
@pytest.mark.parametrize("beta", [0, 0.999, 1])
def test_tiny_counts_do_not_overflow(tiny, beta):
    weights = class_balanced_weight([tiny, 1], beta=beta)
    assert weights.sum() == pytest.approx(2 if weights[0] else 1)


@pytest.mark.parametrize("normalize", ["classes", "samples", None])
@pytest.mark.parametrize("count", [[1e-5, 3.6e302], [1e308, 1e308, 1e308], [1e-300, 1e-300]])
def test_counts_as_large_as_floats_can_be(count, normalize):
    weights = class_balanced_weight(count, beta=1, normalize=normalize)
    expected = [float(w) for w in exact(count, 1, normalize)]
    np.testing.assert_allclose(weights, expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("count", "normalize"), [([1e-6, 3.6e302], "samples"), ([5e-324, 1], None), ([5e-324], None)]
)
def test_weights_that_no_float_can_hold_are_refused(count, normalize):
    with pytest.raises(ValueError, match="^class_count must hold counts, .*, got [0-9.]+e-"):
        class_balanced_weight(count, beta=1, normalize=normalize)
    with pytest.raises(ValueError, match="^class_count must hold counts, or sums of sample wei"):
        class_balanced_sample_weight(
            range(len(count)), beta=1, normalize=normalize, sample_weight=count
        )


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([0, 0], "hold a class that has samples, got none"),
        ([], "hold a class that has samples, got none"),
        (5, r"have a number for each class, got an array of shape \(\)"),
        ([[1, 2]], r"have a number for each class, got an array of shape \(1, 2\)"),
        (pd.DataFrame({"n": [1, 2]}), r"have a number for each class, .* shape \(2, 1\)"),
        (None, "hold numbers, got None"),
        (["a"] * 99, r"hold numbers, got \['a', 'a', .*\.\.\.\]"),
        ([1, None], r"hold numbers, got \[1, None\]"),
    ],
)
@pytest.mark.parametrize("function", [partial(class_balanced_weight, beta=0.9), beta_grid])
def test_bad_counts(function, counts, message):
    with pytest.raises(ValueError, match=f"^class_count must {message}"):
        function(counts)


@pytest.mark.parametrize("normalize", ["class", True, ["classes"]])
def test_unknown_normalize(normalize):
    with pytest.raises(ValueError, match="^normalize must be 'classes', 'samples' or None, got "):
        class_balanced_weight([1, 2], beta=0.9, normalize=normalize)
