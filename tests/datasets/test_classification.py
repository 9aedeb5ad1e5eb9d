import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sk_cbloss import long_tailed_counts, make_long_tailed_classification


@pytest.mark.parametrize("n_samples", [500, 1000, 12_345])
@pytest.mark.parametrize("imbalance_factor", [1, 7, 50])
@pytest.mark.parametrize("profile", ["exponential", "step"])
@pytest.mark.parametrize("n_clusters_per_class", [1, 3])
def test_counts(n_samples, imbalance_factor, profile, n_clusters_per_class):
    """All the samples asked for, and a long tail up to rounding."""
    X, y = make_long_tailed_classification(
        n_samples,
        n_classes=6,
        imbalance_factor=imbalance_factor,
        profile=profile,
        n_clusters_per_class=n_clusters_per_class,
        random_state=0,
    )
    assert X.shape == (n_samples, 20)
    count = np.bincount(y)
    profile = long_tailed_counts(6, 10**9, imbalance_factor=imbalance_factor, profile=profile)
    assert abs(count - n_samples * profile / profile.sum()).max() < 1
    assert (np.diff(count) <= 0).all()


def test_seeds():
    one, same, other = (
        make_long_tailed_classification(n_classes=3, random_state=s) for s in (0, 0, 1)
    )
    for a, b, c in zip(one, same, other, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_it_can_be_learned_and_flipped_labels_cannot():
    scores = []
    for flip_y in (0, 0.5):
        X, y = make_long_tailed_classification(
            2000, n_classes=4, class_sep=3, flip_y=flip_y, random_state=0
        )
        np.testing.assert_array_equal(np.bincount(y), [1572, 339, 73, 16])
        scores.append(LogisticRegression(max_iter=1000).fit(X, y).score(X, y))
    assert scores[0] > 0.9
    assert scores[1] < 0.85


def test_rows_are_mixed():
    _, y = make_long_tailed_classification(1000, n_classes=2, random_state=0)
    assert 0 < np.flatnonzero(y == 1)[0] < 300


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_samples": 0}, "n_samples must be an integer >= 1, got 0"),
        ({"n_classes": 0}, "n_classes must be an integer >= 1, got 0"),
        ({"imbalance_factor": 0.5}, "imbalance_factor must be a finite number >= 1, got 0.5"),
        ({"profile": "linear"}, "profile must be 'exponential' or 'step', got 'linear'"),
        ({"n_clusters_per_class": "a"}, "n_clusters_per_class must be an integer >= 1, got 'a'"),
        ({"flip_y": 1.5}, r"flip_y must be a number in \[0, 1\], got 1.5"),
        ({"n_samples": 50}, "n_samples must leave the smallest class a sample, got 50 for 10"),
        ({"n_features": 5}, "Number of informative"),  # scikit-learn's own
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make_long_tailed_classification(**parameters)
