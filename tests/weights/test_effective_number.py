import re

import numpy as np
import pytest
from _reference import effective_number as exact
from _reference import ulps

from sk_cbloss import effective_number

BETAS = [
    *(0, 5e-324, 1e-300, 1e-17, 1e-3, 0.1, 0.5, np.nextafter(0.5, 0), 0.9, 0.99, 0.999, 0.9999),
    *(1 - 10.0 ** -np.arange(5, 16)),
    *(1 - 2.0**-52, 1 - 2.0**-53, 1),
]
COUNTS = [0, 1e-200, 1e-9, 0.3, 1, 2, 3, 7.5, 50, 5000, 1e6 + 1, 123456789, 1e10, 1e13]


@pytest.mark.parametrize("beta", BETAS)
def test_within_4_ulp_of_the_exact_value(beta):
    for n, value in zip(COUNTS, effective_number(COUNTS, beta=beta), strict=True):
        if n == 0:
            assert value == 0
        else:
            assert ulps(value, exact(n, beta)) <= 4, n


def test_within_4_ulp_at_random_places():
    rng = np.random.default_rng(0)
    volume, n = 10 ** rng.uniform(0, 16, 2000), 10 ** rng.uniform(-3, 13, 2000)
    for one_volume, one_n in zip(volume, n, strict=True):
        beta = 1 - 1 / one_volume
        value = effective_number([one_n], beta=beta)[0]
        assert ulps(value, exact(one_n, beta)) <= 4, (one_n, beta)


def test_beta_0_counts_every_class_with_samples_once():
    np.testing.assert_array_equal(effective_number([0, 0.25, 1, 1e13], beta=0), [0, 1, 1, 1])


def test_beta_1_is_the_count():
    np.testing.assert_array_equal(effective_number([0, 0.25, 7], beta=1), [0, 0.25, 7])


def test_the_limits_are_continuous():
    counts = np.array([1, 10, 1000])
    near_1 = effective_number(counts, beta=np.nextafter(1, 0))
    np.testing.assert_allclose(near_1, counts, rtol=1e-12)
    np.testing.assert_allclose(effective_number(counts, beta=1e-300), 1, rtol=1e-12)


def test_one_sample_is_one_whatever_beta():
    for beta in BETAS:
        assert effective_number([1], beta=beta)[0] == pytest.approx(1, rel=1e-15)


def test_grows_with_the_count_and_with_beta():
    counts = np.arange(1, 100)
    previous = np.zeros(99)
    for beta in (0, 0.5, 0.9, 0.99, 1):
        values = effective_number(counts, beta=beta)
        assert (np.diff(values) >= 0).all()
        assert (values[1:] > previous[1:]).all()
        previous = values


def test_the_result_is_a_copy():
    counts = np.array([3.0, 4.0])
    effective_number(counts, beta=1)[0] = 9
    assert counts[0] == 3


def test_a_single_count_gives_a_single_number():
    assert effective_number(2, beta=0.5) == 1.5
    assert np.ndim(effective_number(2, beta=0)) == 0


@pytest.mark.parametrize("beta", [-0.1, 1.5, float("nan"), float("inf"), "0.9", None, [0.9]])
def test_beta_outside_its_range(beta):
    with pytest.raises(ValueError, match=r"^beta must be a number in \[0, 1\], got "):
        effective_number([1, 2], beta=beta)


@pytest.mark.parametrize("counts", [[-1, 2], [float("nan")], [float("inf"), 1]])
def test_invalid_counts(counts):
    with pytest.raises(ValueError, match="^class_count must hold finite numbers >= 0, got "):
        effective_number(counts, beta=0.9)


@pytest.mark.parametrize("counts", [["a"], None, "a"])
def test_counts_that_are_no_numbers(counts):
    message = re.escape(f"class_count must hold numbers, got {counts!r}.")
    with pytest.raises(ValueError, match=f"^{message}"):
        effective_number(counts, beta=0.9)
