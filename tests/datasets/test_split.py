import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from sk_cbloss import long_tailed_train_test_split, make_long_tailed


@pytest.fixture
def data():
    y = np.tile(np.repeat(np.arange(4), 5), 50)  # 250 of each
    return np.arange(len(y)).reshape(-1, 1), y


def test_a_long_tail_and_a_balanced_test_part(data):
    X, y = data
    X_train, X_test, y_train, y_test = long_tailed_train_test_split(
        X, y, imbalance_factor=10, test_size=100, random_state=0
    )
    np.testing.assert_array_equal(np.bincount(y_test), [25, 25, 25, 25])
    np.testing.assert_array_equal(np.bincount(y_train), [225, 104, 48, 22])
    np.testing.assert_array_equal(y[X_train[:, 0]], y_train)
    np.testing.assert_array_equal(y[X_test[:, 0]], y_test)
    rows = np.concatenate([X_train[:, 0], X_test[:, 0]])
    assert len(np.unique(rows)) == len(rows)


@pytest.mark.parametrize(
    ("test_size", "each"), [(0.25, 62), (0.333, 83), (4, 1), (7, 1), (100, 25)]
)
def test_sizes_are_rounded_down_to_as_many_of_each_class(data, test_size, each):
    *_, y_test = long_tailed_train_test_split(*data, test_size=test_size, random_state=0)
    np.testing.assert_array_equal(np.bincount(y_test), [each] * 4)


def test_the_test_part_is_the_same_for_every_training_part(data):
    def test_part(**parameters):
        return long_tailed_train_test_split(*data, random_state=5, **parameters)[1].tolist()

    expected = test_part()
    assert test_part(imbalance_factor=3) == expected
    assert test_part(profile="step", order="random") == expected
    assert long_tailed_train_test_split(*data, random_state=6)[1].tolist() != expected


def test_the_training_part_is_made_as_by_the_maker(data):
    X, y = data
    parameters = {"imbalance_factor": 5, "profile": "step", "order": [3, 1, 0, 2], "n_max": 40}
    _, _, y_train, _ = long_tailed_train_test_split(X, y, random_state=0, **parameters)
    _, expected = make_long_tailed(X, y, random_state=0, **parameters)
    np.testing.assert_array_equal(np.bincount(y_train), np.bincount(expected))


def test_indices(data):
    X, y = data
    parts = long_tailed_train_test_split(X, y, random_state=0, return_indices=True)
    X_train, X_test, _, _, train, test = parts
    np.testing.assert_array_equal(X[train], X_train)
    np.testing.assert_array_equal(X[test], X_test)
    without = long_tailed_train_test_split(X, y, random_state=0)
    for one, other in zip(parts, without, strict=False):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "container",
    [
        lambda X: pd.DataFrame(X, columns=["row"]),
        lambda X: sparse.csr_matrix(X),
        lambda X: X.tolist(),
        lambda X: X[:, :, None, None] * np.ones((1, 1, 3, 2)),
    ],
)
def test_containers(data, container):
    X, y = data
    X, y = container(X), pd.Series([f"class {label}" for label in y], name="label")
    X_train, X_test, y_train, y_test = long_tailed_train_test_split(X, y, random_state=0)
    assert type(X_train) is type(X_test) is type(X)
    assert y_train.name == "label"
    assert len(y_train) == (X_train.shape[0] if hasattr(X_train, "shape") else len(X_train))
    if isinstance(X, pd.DataFrame):
        np.testing.assert_array_equal(X_train.index, y_train.index)
        np.testing.assert_array_equal(y.loc[X_test.index], y_test)


@pytest.mark.parametrize("test_size", [0, -1, 0.0, 1.0, 1.5, np.nan, "10", None, True])
def test_bad_sizes(data, test_size):
    with pytest.raises(ValueError, match="^test_size must be a number of samples as an int"):
        long_tailed_train_test_split(*data, test_size=test_size)


@pytest.mark.parametrize("test_size", [3, 1000, 0.001])
def test_each_class_is_in_both_parts(data, test_size):
    X, y = data
    with pytest.raises(ValueError, match=r"leave each of the 4 classes .* class 0 has 250 in all"):
        long_tailed_train_test_split(X, y, test_size=test_size)


def test_different_lengths(data):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        long_tailed_train_test_split(data[0][:-1], data[1])
