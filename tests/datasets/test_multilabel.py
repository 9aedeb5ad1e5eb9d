"""Long tails of labels of which a sample has several."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.datasets import make_multilabel_classification

from sk_cbloss import long_tailed_counts, make_long_tailed_multilabel

NAMES = list("uvwxyz")
X, Y = make_multilabel_classification(2000, n_classes=6, n_labels=2, random_state=0)
ROW = np.arange(len(Y))


def cut(y=Y, **given):
    given = {"imbalance_factor": 20, "random_state": 0} | given
    return make_long_tailed_multilabel(ROW, y, return_indices=True, **given)


@pytest.mark.parametrize("profile", ["exponential", "step"])
@pytest.mark.parametrize("imbalance_factor", [1, 5, 20, 50.5])
@pytest.mark.parametrize("seed", [0, 1])
def test_labels_have_the_profiles_counts(profile, imbalance_factor, seed):
    given = {"imbalance_factor": imbalance_factor, "profile": profile}
    rows, y, indices = cut(**given, random_state=seed)
    count = y.sum(axis=0)
    np.testing.assert_array_equal(count, long_tailed_counts(6, count[0], **given))
    np.testing.assert_array_equal(y, Y[indices])
    np.testing.assert_array_equal(rows, indices)
    assert len(np.unique(indices)) == len(indices)
    without = np.flatnonzero(~Y.any(axis=1))
    assert np.isin(without, indices).all()


def test_no_larger_head_would_do():
    """To about 5 %, and the number found can be asked for."""
    _, y, indices = cut()
    head = y[:, 0].sum()
    np.testing.assert_array_equal(np.sort(cut(n_max=head)[2]), np.sort(indices))
    message = (
        "^imbalance_factor and n_max must leave room for labels that occur together, got 20 and"
    )
    with pytest.raises(ValueError, match=message):
        cut(n_max=int(1.3 * head))


@pytest.mark.parametrize("seed", [6, 18, 41])
def test_a_head_that_fits_is_found_though_the_smallest_does_not(seed):
    """A tail of one sample leaves no room for a sample too many."""
    y = (np.random.default_rng(seed).random((300, 5)) < [0.6, 0.5, 0.4, 0.3, 0.3]).astype(int)

    def head(n_max):
        given = {"imbalance_factor": 4, "n_max": n_max, "random_state": 0}
        return make_long_tailed_multilabel(y, y, **given)[1].sum(axis=0)[0]

    with pytest.raises(ValueError, match="samples too many, 1, have label"):
        head(4)
    assert head(None) >= head(50) == 50


def test_which_label_is_the_head():
    by_frequency = cut(order="frequency")[1].sum(axis=0)
    assert (np.argsort(-by_frequency) == np.argsort(-Y.sum(axis=0))).all()
    frame = pd.DataFrame(Y, columns=NAMES)
    count = cut(frame, order=list("wxzuyv"))[1].sum(axis=0)
    assert count.sort_values(ascending=False).index.tolist() == list("wxzuyv")
    one, other = (cut(order="random", random_state=seed)[1].sum(axis=0) for seed in (0, 1))
    assert (np.sort(one) != one[::-1]).any() or (np.sort(other) != other[::-1]).any()
    with pytest.raises(ValueError, match="^order must list each label once, got"):
        cut(frame, order=["u", "v"])


def test_the_same_seed_gives_the_same_rows_and_shuffling_only_mixes_them():
    indices = cut()[2]
    np.testing.assert_array_equal(cut()[2], indices)
    assert len(cut(random_state=1)[2]) != len(indices) or (cut(random_state=1)[2] != indices).any()
    in_order = cut(shuffle=False)[2]
    np.testing.assert_array_equal(in_order, np.sort(indices))
    assert (indices != in_order).any()


@pytest.mark.parametrize(
    "make",
    [
        scipy.sparse.csr_matrix,
        scipy.sparse.csc_array,
        pd.DataFrame,
        np.ndarray.tolist,
        lambda y: y.astype(bool),
    ],
)
def test_what_comes_back_is_of_the_same_kind(make):
    expected = cut()
    X_cut, y = make_long_tailed_multilabel(
        pd.DataFrame(X), make(Y), imbalance_factor=20, random_state=0
    )
    assert type(y) is type(make(Y))
    dense = y.toarray() if scipy.sparse.issparse(y) else np.asarray(y)
    np.testing.assert_array_equal(dense, expected[1])
    np.testing.assert_array_equal(X_cut, X[expected[2]])


def test_labels_that_never_meet_are_cut_as_classes_are():
    y = np.eye(3, dtype=int)[np.repeat([0, 1, 2], [40, 60, 50])]
    _, cut_y = make_long_tailed_multilabel(
        np.zeros(150), y, imbalance_factor=4, order="frequency", random_state=0
    )
    np.testing.assert_array_equal(cut_y.sum(axis=0), [15, 60, 30])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"imbalance_factor": 0.5}, "imbalance_factor must be a finite number >= 1, got 0.5"),
        ({"profile": "linear"}, "profile must be 'exponential' or 'step', got 'linear'"),
        ({"n_max": 10**6}, "n_max=1000000 asks for 1000000 samples of class 0, got only"),
        ({"n_max": 5}, "imbalance_factor must not exceed .* got 20 and 5"),
        ({"random_state": "a"}, "random_state must be an integer"),
        ({"y": Y[:, 0]}, r"y must have a column for each label, got shape \(2000,\)"),
        ({"y": 2 * Y}, "y must hold 0 and 1, a column for each label, got 2"),
        ({"y": np.c_[Y, np.zeros(2000)]}, "y must have a sample with each label, got none .* 6"),
        ({"y": Y[:7]}, "Found input variables with inconsistent numbers of samples"),
    ],
)
def test_bad_input(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        cut(**given)


def test_labels_that_always_come_together_cannot_differ():
    y = np.repeat([[1, 1], [0, 0]], 50, axis=0)
    message = "^imbalance_factor and n_max must leave room .* got 5 and None: .* have label 1, and"
    with pytest.raises(ValueError, match=message):
        make_long_tailed_multilabel(np.zeros(100), y, imbalance_factor=5)
