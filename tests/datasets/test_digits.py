import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from sk_cbloss import load_digits_lt, long_tailed_counts


def rows(subset, **kwargs):
    """Positions in the whole data set, which the index of the frame keeps."""
    return set(load_digits_lt(subset, as_frame=True, **kwargs).data.index)


# ---------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("imbalance_factor", [1, 20, 128])
@pytest.mark.parametrize("random_state", [0, 1])
def test_train_and_test_are_disjoint(imbalance_factor, random_state):
    arguments = {"imbalance_factor": imbalance_factor, "random_state": random_state}
    assert not rows("train", **arguments) & rows("test", **arguments)


@pytest.mark.parametrize("random_state", [0, 1])
def test_the_test_part_is_balanced(random_state):
    _, y = load_digits_lt("test", random_state=random_state, return_X_y=True)
    assert np.bincount(y).tolist() == [50] * 10


@pytest.mark.parametrize("imbalance_factor", [1, 2.5, 128])
def test_the_test_part_is_the_same_for_every_imbalance_factor(imbalance_factor):
    expected = load_digits_lt("test")
    digits = load_digits_lt("test", imbalance_factor=imbalance_factor)
    np.testing.assert_array_equal(digits.data, expected.data)
    np.testing.assert_array_equal(digits.target, expected.target)


@pytest.mark.parametrize("imbalance_factor", [20, 50, 128])
def test_the_training_part_is_a_long_tail(imbalance_factor):
    _, y = load_digits_lt(imbalance_factor=imbalance_factor, return_X_y=True)
    expected = long_tailed_counts(10, 128, imbalance_factor=imbalance_factor)
    np.testing.assert_array_equal(np.bincount(y), expected)


def test_imbalance_factor_one_is_balanced():
    _, y = load_digits_lt(imbalance_factor=1, return_X_y=True)
    assert len(set(np.bincount(y))) == 1


@pytest.mark.parametrize("subset", ["train", "test"])
def test_same_seed_same_part_other_seed_other_part(subset):
    assert rows(subset, random_state=3) == rows(subset, random_state=3)
    assert rows(subset, random_state=3) != rows(subset, random_state=4)


def test_a_seed_leaves_the_global_generator_alone():
    before = np.random.get_state()  # noqa: NPY002
    load_digits_lt(random_state=0)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


@pytest.mark.parametrize("subset", ["train", "test"])
def test_rows_are_those_of_scikit_learn_and_none_comes_twice(subset):
    whole = load_digits()
    part = load_digits_lt(subset, as_frame=True)
    index = part.data.index.to_numpy()
    assert len(set(index)) == len(index)
    np.testing.assert_array_equal(part.data.to_numpy(), whole.data[index])
    np.testing.assert_array_equal(part.target.to_numpy(), whole.target[index])
    np.testing.assert_array_equal(part.images, whole.images[index])


# ---------------------------------------------------------------------------- what comes back


@pytest.mark.parametrize("subset", ["train", "test"])
def test_class_count_is_that_of_the_training_part(subset):
    train = load_digits_lt(imbalance_factor=50)
    count = load_digits_lt(subset, imbalance_factor=50).class_count
    assert count == dict(enumerate(np.bincount(train.target).tolist()))
    assert all(type(label) is int and type(n) is int for label, n in count.items())


@pytest.mark.parametrize("subset", ["train", "test"])
@pytest.mark.parametrize("as_frame", [False, True])
def test_return_X_y_gives_data_and_target(subset, as_frame):
    bunch = load_digits_lt(subset, as_frame=as_frame)
    X, y = load_digits_lt(subset, as_frame=as_frame, return_X_y=True)
    assert type(X) is type(bunch.data)
    assert type(y) is type(bunch.target)
    np.testing.assert_array_equal(X, bunch.data)
    np.testing.assert_array_equal(y, bunch.target)


@pytest.mark.parametrize("subset", ["train", "test"])
def test_as_frame_gives_pandas_with_the_same_values(subset):
    plain, framed = load_digits_lt(subset), load_digits_lt(subset, as_frame=True)
    assert isinstance(framed.data, pd.DataFrame)
    assert isinstance(framed.target, pd.Series)
    assert plain.frame is None
    assert framed.data.columns.tolist() == framed.feature_names == plain.feature_names
    np.testing.assert_array_equal(framed.data.to_numpy(), plain.data)
    np.testing.assert_array_equal(framed.target.to_numpy(), plain.target)
    pd.testing.assert_frame_equal(framed.frame.drop(columns="target"), framed.data)
    pd.testing.assert_series_equal(framed.frame["target"], framed.target)


def test_the_bunch_describes_itself():
    digits = load_digits_lt()
    assert digits.DESCR.startswith("Long-tailed digits")
    assert digits.target_names.tolist() == list(range(10))
    np.testing.assert_array_equal(digits.images.reshape(-1, 64), digits.data)


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"subset": "all"}, r"subset must be 'train' or 'test', got 'all'\."),
        ({"subset": None}, r"subset must be 'train' or 'test', got None\."),
        ({"imbalance_factor": 0.9}, r"imbalance_factor must be a finite number >= 1, got 0\.9\."),
        ({"imbalance_factor": 129}, r"imbalance_factor must not exceed .*, got 129 and 128\."),
    ],
)
@pytest.mark.parametrize("subset", ["train", "test"])
def test_bad_parameters_are_named(subset, change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        load_digits_lt(**{"subset": subset} | change)
