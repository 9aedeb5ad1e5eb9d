from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from sk_cbloss import (
    long_tailed_counts,
    long_tailed_strategy,
    long_tailed_train_test_split,
    make_long_tailed,
    make_long_tailed_classification,
)


@pytest.fixture
def data():
    """Rows that carry their own number, with labels 0, 1, 2 in 40, 60 and 50 of them."""
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [40, 60, 50]))
    return np.column_stack([np.arange(150), y]), y


def count_of(y):
    return dict(zip(*(part.tolist() for part in np.unique(y, return_counts=True)), strict=True))


# ---------------------------------------------------------------- long_tailed_counts: laws


@pytest.mark.parametrize("profile", ["exponential", "step"])
@pytest.mark.parametrize("imbalance_factor", [1, 2.5, 10, 100])
@pytest.mark.parametrize("n_classes", [1, 2, 7, 10])
def test_counts_fall_from_n_max_and_leave_no_class_empty(n_classes, imbalance_factor, profile):
    count = long_tailed_counts(n_classes, 137, imbalance_factor=imbalance_factor, profile=profile)
    assert count.shape == (n_classes,)
    assert count.dtype == np.int64
    assert count[0] == 137
    assert (np.diff(count) <= 0).all()
    assert count[-1] >= 1


@pytest.mark.parametrize("profile", ["exponential", "step"])
@pytest.mark.parametrize("n_classes", [1, 2, 5])
def test_imbalance_factor_one_is_balanced(n_classes, profile):
    count = long_tailed_counts(n_classes, 12, imbalance_factor=1, profile=profile)
    np.testing.assert_array_equal(count, np.full(n_classes, 12))


@pytest.mark.parametrize("profile", ["exponential", "step"])
def test_the_smallest_class_has_n_max_over_imbalance_factor(profile):
    """Also where n_max * (1 / IF) falls a little short of the integer in floating point."""
    wrong = [
        (n_min * imbalance_factor, imbalance_factor)
        for imbalance_factor in range(2, 200)
        for n_min in (1, 2, 3, 5, 8)
        if n_min
        != long_tailed_counts(
            4, n_min * imbalance_factor, imbalance_factor=imbalance_factor, profile=profile
        )[-1]
    ]
    assert not wrong


@pytest.mark.parametrize("imbalance_factor", [Fraction(5, 2), np.float32(4), np.int64(3)])
def test_any_real_number_is_an_imbalance_factor(imbalance_factor):
    count = long_tailed_counts(2, 10, imbalance_factor=imbalance_factor)
    assert count.tolist() == [10, int(10 / imbalance_factor)]


# --------------------------------------------------------- long_tailed_counts: published numbers


@pytest.mark.parametrize(
    ("imbalance_factor", "cifar10", "cifar100"),
    [
        (200, 11203, 9502),
        (100, 12406, 10847),
        (50, 13996, 12608),
        (20, 17023, 15907),
        (10, 20431, 19573),
    ],
)
def test_sample_totals_are_the_published_ones(imbalance_factor, cifar10, cifar100):
    assert long_tailed_counts(10, 5000, imbalance_factor=imbalance_factor).sum() == cifar10
    assert long_tailed_counts(100, 500, imbalance_factor=imbalance_factor).sum() == cifar100


def test_cifar10_counts_are_the_published_ones():
    count = long_tailed_counts(10, 5000, imbalance_factor=100)
    assert count.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@pytest.mark.parametrize(
    ("n_classes", "expected"),
    [
        (1, [30]),
        (2, [30, 10]),
        (4, [30, 30, 10, 10]),
        (5, [30, 30, 30, 10, 10]),
    ],
)
def test_step_gives_the_larger_half_n_max_and_the_rest_the_fraction(n_classes, expected):
    count = long_tailed_counts(n_classes, 30, imbalance_factor=3, profile="step")
    assert count.tolist() == expected


def test_counts_round_down():
    assert long_tailed_counts(3, 10, imbalance_factor=4).tolist() == [10, 5, 2]
    assert long_tailed_counts(3, 11, imbalance_factor=4, profile="step").tolist() == [11, 11, 2]


# -------------------------------------------------------------- long_tailed_counts: errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_classes": 0}, r"n_classes must be an integer >= 1, got 0\."),
        ({"n_classes": 2.0}, r"n_classes must be an integer >= 1, got 2\.0\."),
        ({"n_classes": True}, r"n_classes must be an integer >= 1, got True\."),
        ({"n_max": 0}, r"n_max must be an integer >= 1, got 0\."),
        ({"n_max": "9"}, r"n_max must be an integer >= 1, got '9'\."),
        ({"imbalance_factor": 0.5}, r"imbalance_factor must be a finite number >= 1, got 0\.5\."),
        ({"imbalance_factor": np.inf}, r"imbalance_factor must be a finite number >= 1, got inf"),
        ({"imbalance_factor": np.nan}, r"imbalance_factor must be a finite number >= 1, got nan"),
        ({"imbalance_factor": "10"}, r"imbalance_factor must be a finite number >= 1, got '10'"),
        ({"imbalance_factor": None}, r"imbalance_factor must be a finite number >= 1, got None"),
        (
            {"imbalance_factor": 51},
            r"imbalance_factor must not exceed the number of samples of the head class, or the "
            r"smallest class is empty, got 51 and 50\.",
        ),
        ({"profile": "linear"}, r"profile must be 'exponential' or 'step', got 'linear'\."),
        ({"profile": None}, r"profile must be 'exponential' or 'step', got None\."),
        ({"profile": ["step"]}, r"profile must be 'exponential' or 'step', got \['step'\]\."),
    ],
)
def test_bad_parameters_are_named_with_rule_and_value(change, message):
    arguments = {"n_classes": 3, "n_max": 50, "imbalance_factor": 10} | change
    with pytest.raises(ValueError, match=f"^{message}"):
        long_tailed_counts(**arguments)


# ------------------------------------------------------------------ make_long_tailed: laws


@pytest.mark.parametrize("profile", ["exponential", "step"])
@pytest.mark.parametrize("imbalance_factor", [1, 3, 10])
def test_classes_get_the_counts_of_the_profile(data, imbalance_factor, profile):
    X, y = data
    _, taken = make_long_tailed(
        X, y, imbalance_factor=imbalance_factor, profile=profile, n_max=40, random_state=0
    )
    expected = long_tailed_counts(3, 40, imbalance_factor=imbalance_factor, profile=profile)
    np.testing.assert_array_equal(np.bincount(taken), expected)


@pytest.mark.parametrize("shuffle", [True, False])
def test_rows_come_without_replacement_with_their_own_labels(data, shuffle):
    X, y = data
    X_taken, y_taken, indices = make_long_tailed(
        X, y, imbalance_factor=4, shuffle=shuffle, random_state=0, return_indices=True
    )
    assert len(np.unique(indices)) == len(indices)
    np.testing.assert_array_equal(X_taken, X[indices])
    np.testing.assert_array_equal(y_taken, y[indices])


def test_return_indices_changes_nothing_else(data):
    X, y = data
    two = make_long_tailed(X, y, imbalance_factor=4, random_state=3)
    three = make_long_tailed(X, y, imbalance_factor=4, random_state=3, return_indices=True)
    assert (len(two), len(three)) == (2, 3)
    np.testing.assert_array_equal(two[0], three[0])
    np.testing.assert_array_equal(two[1], three[1])


def test_same_seed_same_result_other_seed_other_rows(data):
    X, y = data
    first, again, other = (
        make_long_tailed(X, y, imbalance_factor=4, random_state=seed)[0] for seed in (7, 7, 8)
    )
    np.testing.assert_array_equal(first, again)
    assert set(first[:, 0]) != set(other[:, 0])


def test_a_random_state_instance_moves_on(data):
    X, y = data
    rng = np.random.RandomState(7)
    first, second = (
        make_long_tailed(X, y, imbalance_factor=4, random_state=rng)[0] for _ in range(2)
    )
    alone = make_long_tailed(X, y, imbalance_factor=4, random_state=7)[0]
    np.testing.assert_array_equal(first, alone)
    assert set(first[:, 0]) != set(second[:, 0])


@pytest.mark.parametrize("order", [None, "frequency", "random"])
def test_a_seed_leaves_the_global_generator_alone(data, order):
    before = np.random.get_state()  # noqa: NPY002
    make_long_tailed(*data, imbalance_factor=4, order=order, random_state=0)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_the_inputs_are_left_as_they_are(data):
    X, y = data
    X_before, y_before = X.copy(), y.copy()
    make_long_tailed(X, y, imbalance_factor=4, random_state=0)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


def test_without_n_max_the_scarcest_class_of_the_profile_decides(data):
    """The profile 1, 1/2, 1/4 fits 40, 60, 50 samples with a head of 40; of 60 with head 1."""
    X, y = data
    y_taken = make_long_tailed(X, y, imbalance_factor=4, random_state=0)[1]
    assert count_of(y_taken) == {0: 40, 1: 20, 2: 10}
    y_taken = make_long_tailed(X, y, imbalance_factor=4, order=[1, 2, 0], random_state=0)[1]
    assert count_of(y_taken) == {1: 60, 2: 30, 0: 15}
    # Class 0 with 40 samples allows no more than 40 at imbalance factor 1.
    y_taken = make_long_tailed(X, y, imbalance_factor=1, order=[1, 2, 0], random_state=0)[1]
    assert count_of(y_taken) == {0: 40, 1: 40, 2: 40}


# -------------------------------------------------------------- make_long_tailed: order


@pytest.mark.parametrize(
    ("order", "head_first"),
    [
        (None, [0, 1, 2]),
        ("frequency", [1, 2, 0]),
        ([2, 0, 1], [2, 0, 1]),
        (np.array([1, 0, 2]), [1, 0, 2]),
        (pd.Series([2, 1, 0], index=[5, 6, 7]), [2, 1, 0]),
    ],
)
def test_order_says_which_class_is_the_head(data, order, head_first):
    _, y_taken = make_long_tailed(*data, imbalance_factor=4, n_max=40, order=order, random_state=0)
    assert count_of(y_taken) == dict(zip(head_first, [40, 20, 10], strict=True))


def test_equal_frequencies_keep_the_order_of_the_labels():
    y = np.repeat([3, 1, 2], 8)
    y_taken = make_long_tailed(y, y, imbalance_factor=4, order="frequency", random_state=0)[1]
    assert count_of(y_taken) == {1: 8, 2: 4, 3: 2}


def test_random_order_is_seeded_and_reaches_every_class():
    y = np.repeat([0, 1, 2], 8)
    heads = [
        np.bincount(
            make_long_tailed(y, y, imbalance_factor=4, order="random", random_state=seed)[1]
        )
        for seed in [*range(12), *range(12)]
    ]
    assert all(sorted(count.tolist()) == [2, 4, 8] for count in heads)
    np.testing.assert_array_equal(heads[:12], heads[12:])
    assert {int(count.argmax()) for count in heads} == {0, 1, 2}


def test_without_shuffle_classes_follow_each_other_head_first(data):
    y_taken = make_long_tailed(
        *data, imbalance_factor=4, n_max=8, order=[2, 0, 1], shuffle=False, random_state=0
    )[1]
    assert y_taken.tolist() == [2] * 8 + [0] * 4 + [1] * 2


def test_shuffle_mixes_the_classes_and_takes_the_same_rows(data):
    arguments = {"imbalance_factor": 4, "random_state": 0}
    mixed, y_mixed = make_long_tailed(*data, **arguments)
    ordered, y_ordered = make_long_tailed(*data, shuffle=False, **arguments)
    assert set(mixed[:, 0]) == set(ordered[:, 0])
    assert np.count_nonzero(np.diff(y_ordered)) == 2
    assert np.count_nonzero(np.diff(y_mixed)) > 2


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("head", r"order must be None, 'frequency', 'random' or labels, got 'head'\."),
        ([0, 1], r"order must list each label once, got \[0, 1\]\."),
        ([0, 1, 1], r"order must list each label once, got \[0, 1, 1\]\."),
        ([0, 1, 2, 2], r"order must list each label once, got \[0, 1, 2, 2\]\."),
        ([0, 1, 3], r"order must list each label once, got \[0, 1, 3\]\."),
        (["0", "1", "2"], r"order must list each label once, got \['0', '1', '2'\]\."),
        ([0, "1", None], r"order must list each label once, got \[0, '1', None\]\."),
        ([[0, 1, 2]], r"order must list each label once, got \[\[0, 1, 2\]\]\."),
        (3, r"order must .*, got 3\."),
    ],
)
def test_a_bad_order_is_named(data, order, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make_long_tailed(*data, imbalance_factor=4, order=order)


# -------------------------------------------------------------- make_long_tailed: containers


CONTAINERS = {
    "2 dimensions": lambda X: X,
    "4 dimensions": lambda X: np.broadcast_to(X[:, :1, None, None], (len(X), 2, 3, 3)).copy(),
    "list": lambda X: X.tolist(),
    "DataFrame": lambda X: pd.DataFrame(X, columns=["row", "label"], index=X[:, 0] + 1000),
    "csr_matrix": lambda X: sparse.csr_matrix(X),
    "csr_array": lambda X: sparse.csr_array(X),
}


@pytest.mark.parametrize("kind", [sparse.coo_matrix, sparse.coo_array, sparse.bsr_matrix])
def test_sparse_formats_without_rows_become_csr(data, kind):
    X, y = data
    taken, _, indices = make_long_tailed(
        kind(X), y, imbalance_factor=2, random_state=0, return_indices=True
    )
    assert taken.format == "csr"
    np.testing.assert_array_equal(taken.toarray(), X[indices])


@pytest.mark.parametrize("columns", [slice(None), 0])
def test_rows_of_sparse_tensors_stay_sparse(data, columns):
    X, y = data
    taken, _, indices = make_long_tailed(
        torch.from_numpy(X[:, columns]).to_sparse(),
        y,
        imbalance_factor=2,
        random_state=0,
        return_indices=True,
    )
    assert taken.layout == torch.sparse_coo
    np.testing.assert_array_equal(taken.to_dense(), X[indices][:, columns])


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_its_own_kind_back_with_the_same_rows(data, container):
    X, y = data
    X_in = CONTAINERS[container](X)
    X_out, y_out, indices = make_long_tailed(
        X_in, y, imbalance_factor=4, random_state=0, return_indices=True
    )
    assert type(X_out) is type(X_in)
    dense = X_out.toarray() if sparse.issparse(X_out) else np.asarray(X_out)
    assert dense.shape == (len(indices), *np.shape(X_in)[1:])
    np.testing.assert_array_equal(dense.reshape(len(indices), -1)[:, 0], X[indices, 0])
    np.testing.assert_array_equal(y_out, y[indices])


def test_frame_and_series_keep_their_index(data):
    X, y = data
    index = X[:, 0] + 1000
    frame, series = pd.DataFrame(X, index=index), pd.Series(y, index=index, name="label")
    X_out, y_out, indices = make_long_tailed(
        frame, series, imbalance_factor=4, random_state=0, return_indices=True
    )
    pd.testing.assert_frame_equal(X_out, frame.iloc[indices])
    pd.testing.assert_series_equal(y_out, series.iloc[indices])


@pytest.mark.parametrize(
    "container",
    [
        list,
        np.asarray,
        lambda y: np.asarray(y, dtype=object),
        pd.Series,
        lambda y: pd.Series(y, dtype="category"),
        pd.Categorical,
    ],
    ids=["list", "str", "object", "Series", "category", "Categorical"],
)
def test_string_labels_of_any_container(data, container):
    X, y = data
    names = container(np.array(["cat", "dog", "yak"])[y].tolist())
    X_out, y_out = make_long_tailed(
        X, names, imbalance_factor=4, order=["dog", "yak", "cat"], n_max=40, random_state=0
    )
    assert type(y_out) is type(names)
    assert count_of(np.asarray(y_out, dtype=str)) == {"cat": 10, "dog": 40, "yak": 20}
    np.testing.assert_array_equal(
        np.asarray(y_out, dtype=str), np.array(["cat", "dog", "yak"])[X_out[:, 1]]
    )


# ------------------------------------------------------------------ make_long_tailed: errors


def test_n_max_beyond_the_data_is_named_with_the_class(data):
    with pytest.raises(ValueError, match=r"^n_max=41 asks for 41 samples of class 0, got only 40"):
        make_long_tailed(*data, imbalance_factor=4, n_max=41)
    X, y = data
    names = np.array(["cat", "dog", "yak"])[y]
    with pytest.raises(ValueError, match=r"^n_max=60 asks for 60 samples of class yak, got only"):
        make_long_tailed(X, names, imbalance_factor=1, n_max=60, order=["dog", "yak", "cat"])


def test_n_max_equal_to_the_data_is_taken_whole(data):
    X, _ = make_long_tailed(*data, imbalance_factor=4, n_max=40, random_state=0)
    assert np.count_nonzero(X[:, 1] == 0) == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"imbalance_factor": 0}, r"imbalance_factor must be a finite number >= 1, got 0\."),
        ({"imbalance_factor": 41}, r"imbalance_factor must not exceed .*, got 41 and 40\."),
        ({"profile": "linear"}, r"profile must be 'exponential' or 'step', got 'linear'\."),
        ({"n_max": 0}, r"n_max must be an integer >= 1, got 0\."),
        ({"n_max": 8.5}, r"n_max must be an integer >= 1, got 8\.5\."),
    ],
)
def test_bad_parameters_of_the_maker_are_named(data, change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make_long_tailed(*data, **{"imbalance_factor": 4, "n_max": None} | change)


@pytest.mark.parametrize("make", [make_long_tailed, long_tailed_train_test_split])
def test_missing_data_are_named(data, make):
    X, y = data
    with pytest.raises(ValueError, match="^X must have a row for each label, got None"):
        make(None, y)
    with pytest.raises(ValueError, match="^y must be a sequence of labels, got None"):
        make(X, None)


def test_x_and_y_of_different_lengths_are_refused(data):
    X, y = data
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        make_long_tailed(X, y[:-1])


def test_labels_in_two_columns_are_refused(data):
    X, y = data
    with pytest.raises(ValueError, match="1d array"):
        make_long_tailed(X, np.column_stack([y, y]))


def test_no_data_is_refused_with_a_sentence():
    with pytest.raises(ValueError, match=r"^y must "):
        make_long_tailed([], [])


def test_one_class_is_a_head_without_a_tail():
    X, y = make_long_tailed(np.arange(6), np.full(6, 4), imbalance_factor=3, random_state=0)
    assert y.tolist() == [4] * 6
    assert sorted(X.tolist()) == list(range(6))


def test_counts_of_the_maker_agree_with_the_profile_for_awkward_factors():
    """No rounding asks for a sample more than there is."""
    for imbalance_factor in (3, 7, 49, 98, 103):
        y = np.repeat([0, 1, 2], [1000, 1000, 1000 // imbalance_factor])
        taken = np.bincount(
            make_long_tailed(y, y, imbalance_factor=imbalance_factor, random_state=0)[1]
        )
        assert taken[2] <= 1000 // imbalance_factor
        assert all(more >= fewer for more, fewer in pairwise(taken))


@pytest.mark.parametrize("imbalance_factor", [93, 99, 105, 117, 123, 186])
def test_a_class_of_one_can_be_the_tail(imbalance_factor):
    """1 / (1 / 93) comes out a little under 93."""
    y = np.repeat([0, 1], [imbalance_factor, 1])
    _, y_taken = make_long_tailed(y, y, imbalance_factor=imbalance_factor, random_state=0)
    assert np.bincount(y_taken).tolist() == [imbalance_factor, 1]


@pytest.mark.parametrize("factor", [1e20, 1e300, 10**30])
@pytest.mark.parametrize("profile", ["exponential", "step"])
def test_factors_beyond_integers(factor, profile):
    message = "^imbalance_factor must not exceed the number of samples of the head class"
    y = np.repeat([0, 1, 2], 178)
    for make in (make_long_tailed, long_tailed_train_test_split):
        with pytest.raises(ValueError, match=f"{message}.*, got 1e[+]"):
            make(y, y, imbalance_factor=factor, profile=profile)
    with pytest.raises(ValueError, match=message):
        long_tailed_strategy(y, imbalance_factor=factor, profile=profile)
    with pytest.raises(ValueError, match="^n_samples must leave the smallest class a sample"):
        make_long_tailed_classification(imbalance_factor=factor, profile=profile)


def test_numbers_beyond_floats():
    with pytest.raises(ValueError, match="^imbalance_factor must be a finite number >= 1, got 1"):
        long_tailed_counts(2, 10, imbalance_factor=10**400)
    with pytest.raises(ValueError, match=r"^n_max must not exceed 2 \*\* 53, got 1000000000"):
        long_tailed_counts(2, 10**20, imbalance_factor=10)
    with pytest.raises(ValueError, match=r"^n_classes must not exceed 2 \*\* 53, got 1000000000"):
        long_tailed_counts(10**400, 1, imbalance_factor=1)
    with pytest.raises(ValueError, match=r"^n_samples must not exceed 2 \*\* 53, got 100000000"):
        make_long_tailed_classification(10**20)


@pytest.mark.parametrize("n_max", [10**13, 2**53])
def test_large_counts_are_exact(n_max):
    np.testing.assert_array_equal(
        long_tailed_counts(2, n_max, imbalance_factor=2), [n_max, n_max // 2]
    )


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a"])
@pytest.mark.parametrize(
    "make",
    [
        make_long_tailed,
        long_tailed_train_test_split,
        lambda X, y, **seed: long_tailed_strategy(y, **seed),
        lambda X, y, **seed: make_long_tailed_classification(100, **seed),
    ],
)
def test_a_seed_that_is_none(data, make, seed):
    with pytest.raises(ValueError, match=r"^random_state must be an integer in \[0, .* got "):
        make(*data, random_state=seed)
