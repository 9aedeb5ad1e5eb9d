import numpy as np
import pytest

from sk_cbloss import beta_grid


def test_log_uniform_in_the_volume_between_the_ends():
    volume = 1 / (1 - beta_grid([5000, 300, 50], n_betas=6))
    assert volume[0] == pytest.approx(25)
    assert volume[-1] == pytest.approx(50000)
    np.testing.assert_allclose(np.diff(np.log(volume)), np.log(2000) / 5, rtol=1e-9)


def test_the_limits_are_added_on_request():
    grid = beta_grid([100, 10], n_betas=3, include_limits=True)
    assert grid[0] == 0
    assert grid[-1] == 1
    np.testing.assert_array_equal(grid[1:-1], beta_grid([100, 10], n_betas=3))


def test_a_class_of_one_sample_starts_the_grid_at_0_once():
    assert beta_grid([100, 1], n_betas=3)[0] == 0
    assert len(beta_grid([100, 1], n_betas=3, include_limits=True)) == 4


def test_empty_classes_do_not_count():
    np.testing.assert_array_equal(beta_grid([100, 0, 10]), beta_grid([100, 10]))


@pytest.mark.parametrize("n_betas", [1, 0, 2.5, True, "3", list(range(3000))])
def test_too_few_betas(n_betas):
    with pytest.raises(ValueError, match="^n_betas must be an integer >= 2, got .{,40}$"):
        beta_grid([10, 2], n_betas=n_betas)


@pytest.mark.parametrize("n_betas", [2**53 + 1, pytest.param(10**400, id="huge")])
def test_too_many_betas(n_betas):
    with pytest.raises(ValueError, match=r"^n_betas must not exceed 2 \*\* 53, got .{,50}$"):
        beta_grid([10, 2], n_betas=n_betas)


@pytest.mark.parametrize("largest", [1e16, 1.8e307, 1e308])
def test_counts_too_large_to_tell_beta_from_1(largest):
    grid = beta_grid([largest, 50], n_betas=20)
    assert grid[0] == 0.96
    assert grid[-1] == 1
    assert (np.diff(grid) >= 0).all()


def test_fractional_counts_stay_in_the_range():
    grid = beta_grid([0.05, 0.02], n_betas=3)
    assert ((grid >= 0) & (grid <= 1)).all()
