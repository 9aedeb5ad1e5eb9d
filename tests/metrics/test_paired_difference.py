import numpy as np
import pytest
from scipy.stats import ttest_rel
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit, cross_val_score

from sk_cbloss import paired_difference_interval

SIZES = {"n_train": 70, "n_test": 30}
OURS, THEIRS = np.random.default_rng(0).uniform(0.5, 1, (2, 10))


def test_by_hand():
    # Differences 1, 2, 3: mean 2, variance 1. With n_test / n_train = 2 / 3, the standard error is
    # sqrt(1 / 3 + 2 / 3) = 1, and t is 2. With 2 degrees of freedom, P(T > t) has the closed form
    # (1 - t / sqrt(2 + t**2)) / 2, and the quantile at confidence c is c sqrt(2 / (1 - c**2)).
    found = paired_difference_interval([2, 4, 6], [1, 2, 3], n_train=3, n_test=2, confidence=0.8)
    assert found.mean == 2
    assert found.high - 2 == pytest.approx(0.8 * np.sqrt(2 / 0.36))
    assert found.low - 2 == pytest.approx(-0.8 * np.sqrt(2 / 0.36))
    assert found.p_value == pytest.approx(1 - 2 / np.sqrt(6))
    assert all(type(value) is float for value in found)


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.999])
def test_without_the_correction_it_is_scipys(confidence):
    found = paired_difference_interval(
        OURS, THEIRS, n_train=1, n_test=1e-12, confidence=confidence
    )
    plain = ttest_rel(OURS, THEIRS)
    assert found[1:3] == pytest.approx(tuple(plain.confidence_interval(confidence)))
    assert found.p_value == pytest.approx(plain.pvalue)


def test_at_the_p_value_the_interval_ends_at_0():
    found = paired_difference_interval(OURS, THEIRS, **SIZES)
    at = {"confidence": 1 - found.p_value}  # at which an end is 0
    low, high = paired_difference_interval(OURS, THEIRS, **SIZES, **at)[1:3]
    assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9)


def test_swapped_models_swap_the_signs():
    found = paired_difference_interval(OURS, THEIRS, **SIZES)
    swapped = paired_difference_interval(THEIRS, OURS, **SIZES)
    assert swapped == pytest.approx((-found.mean, -found.high, -found.low, found.p_value))


def test_the_ratio_of_the_sizes_counts():
    by_number = paired_difference_interval(OURS, THEIRS, **SIZES)
    by_share = paired_difference_interval(OURS, THEIRS, n_train=0.7, n_test=0.3)
    assert by_share == pytest.approx(by_number)


def test_repeated_splits_leave_a_width():
    many = [np.tile(scores, 1000) for scores in (OURS, THEIRS)]
    spread = np.std(OURS - THEIRS)
    found = paired_difference_interval(*many, **SIZES)
    assert found.high - found.mean == pytest.approx(1.96 * spread * np.sqrt(3 / 7), rel=0.01)


def test_models_that_differ_by_a_constant():
    assert paired_difference_interval(OURS, OURS, **SIZES) == (0, 0, 0, 1)
    assert paired_difference_interval([3, 4], [1, 2], **SIZES) == (2, 2, 2, 0)


@pytest.mark.slow
def test_of_two_models_that_are_alike_it_seldom_says_otherwise():
    # Labels have nothing to do with features: no model is better. The plain test finds one often.
    rng = np.random.default_rng(0)
    splits = ShuffleSplit(15, test_size=0.3, random_state=0)
    model, found, plain = LogisticRegression(), [], []
    for _ in range(40):
        X, y = rng.normal(size=(60, 4)), rng.permutation(60) % 2
        a, b = (cross_val_score(model, part, y, cv=splits) for part in (X[:, :2], X[:, 2:]))
        found.append(paired_difference_interval(a, b, n_train=42, n_test=18).p_value)
        plain.append(ttest_rel(a, b).pvalue)
    assert np.mean(np.less(found, 0.05)) <= 0.1
    assert np.mean(np.less(plain, 0.05)) > 0.3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scores_a": [1.0]}, r"scores_a must hold a score for each of at least two .*\(1,\)"),
        ({"scores_b": [[1, 2]]}, r"scores_b must hold a score for each .* got shape \(1, 2\)"),
        ({"scores_b": 3}, r"scores_b must hold a score for each .* got shape \(\)"),
        ({"scores_b": [1, np.nan]}, "scores_b must hold finite numbers, got nan"),
        ({"scores_a": ["a", "b"]}, r"scores_a must hold numbers, got \['a', 'b'\]"),
        ({"scores_a": [1, 2, 3]}, "scores_a and scores_b must be of the same splits, got 3 and 2"),
        (
            {"scores_a": [1e300, 0]},
            "^The variance .* must .* as large as 1e.300 and",
        ),
        (
            {"scores_a": [1.7e308, 0], "scores_b": [-1.7e308, 0]},
            "must be a number that floats can",
        ),
        ({"n_test": 1e308, "n_train": 1e-10}, "n_test / n_train = inf"),
        ({"n_train": 0}, "n_train must be a finite number > 0, got 0"),
        ({"n_test": np.inf}, "n_test must be a finite number > 0, got inf"),
        ({"n_test": "30"}, "n_test must be a finite number > 0, got '30'"),
        ({"confidence": 1}, "confidence must be a number between 0 and 1, got 1"),
        ({"confidence": 95}, "confidence must be a number between 0 and 1, got 95"),
        ({"confidence": None}, "confidence must be a number between 0 and 1, got None"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        paired_difference_interval(**{"scores_a": [1, 2], "scores_b": [0, 3]} | SIZES | change)
