import subprocess
import sys
import tracemalloc
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pytest
from _label_cases import CODES, LABELS
from sklearn.utils.class_weight import compute_sample_weight

from sk_cbloss import class_balanced_sample_weight, class_balanced_weight


def expected(codes, beta, normalize):
    counts = np.bincount(codes)
    return class_balanced_weight(counts, beta=beta, normalize=normalize)[codes]


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("normalize", ["samples", "classes", None])
def test_labels_of_any_kind(kind, normalize):
    codes = np.minimum(CODES, 1) if "bool" in kind else CODES
    weights = class_balanced_sample_weight(LABELS[kind], beta=0.99, normalize=normalize)
    assert weights.dtype == np.float64
    np.testing.assert_allclose(weights, expected(codes, 0.99, normalize), rtol=1e-15)


@pytest.mark.parametrize("kind", LABELS)
def test_beta_1_is_scikit_learns_balanced(kind):
    codes = np.minimum(CODES, 1) if "bool" in kind else CODES
    np.testing.assert_allclose(
        class_balanced_sample_weight(LABELS[kind], beta=1),
        compute_sample_weight("balanced", codes),
        rtol=1e-12,
    )


@pytest.mark.parametrize("n_classes", [2, 1000, 40_000])
def test_more_samples_than_a_chunk(n_classes):
    y = np.random.default_rng(0).integers(n_classes, size=200_000) - 7
    np.testing.assert_allclose(
        class_balanced_sample_weight(y, beta=1), compute_sample_weight("balanced", y), rtol=1e-12
    )
    strings = y.astype(str)
    np.testing.assert_array_equal(
        class_balanced_sample_weight(strings, beta=1), class_balanced_sample_weight(y, beta=1)
    )


def test_strings_whose_hashes_collide(monkeypatch):
    from sk_cbloss import _labels

    class Zeros:
        def integers(self, *args, size, dtype, **kwargs):
            return np.zeros(size, dtype=dtype)

    monkeypatch.setattr(_labels.np.random, "default_rng", lambda seed: Zeros())
    y = np.array(["ab", "ba", "ba"])  # equal sums of characters
    np.testing.assert_array_equal(
        class_balanced_sample_weight(y, beta=1), compute_sample_weight("balanced", y)
    )


def test_objects_where_pandas_is_not_loaded():
    """The same weights, and the same errors, by the way that does without it."""
    script = """
import sys
import numpy as np
from sk_cbloss.weights import class_balanced_sample_weight as weigh
sys.modules["pandas"] = None
y = np.array(["b", "a", "b", "b"], dtype=object)
np.testing.assert_allclose(weigh(y, beta=1), [2 / 3, 2, 2 / 3, 2 / 3])
for bad in (["a", None], ["b", float("nan")], ["a", 1], ["a", [1]]):
    try:
        weigh(np.array(bad, dtype=object), beta=1)
    except ValueError as error:
        print(error)
    else:
        raise AssertionError(bad)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for said in ("got None at position 1", "got nan at position 1", "one kind", "got [1]; multi"):
        assert done.stdout.count(said) == 1


def test_weights_of_ones_own_are_counted_and_multiplied():
    own = np.random.default_rng(1).integers(0, 4, len(CODES))
    weights = class_balanced_sample_weight(CODES, beta=0.99, sample_weight=own)
    copies = class_balanced_sample_weight(np.repeat(CODES, own), beta=0.99)
    first_copy = np.flatnonzero(np.r_[True, np.diff(np.repeat(np.arange(len(CODES)), own)) > 0])
    np.testing.assert_allclose(weights[own > 0], copies[first_copy] * own[own > 0], rtol=1e-13)
    assert weights.sum() == pytest.approx(own.sum())
    np.testing.assert_array_equal(weights[own == 0], 0)


def test_one_number_as_weight():
    np.testing.assert_allclose(
        class_balanced_sample_weight(CODES, beta=1, sample_weight=2),
        2 * class_balanced_sample_weight(CODES, beta=1),
    )


def test_no_samples():
    for y in (
        [],
        np.array([], dtype=int),
        np.array([], dtype="U3"),
        np.array([], dtype=object),
        pd.Categorical([]),
    ):
        assert class_balanced_sample_weight(y, beta=0.9).shape == (0,)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.5, 1.0], "y must hold class labels, got the continuous value 0.5"),
        ([1.0, np.nan], "Input y contains NaN"),
        ([1.0, np.inf], "Input y contains infinity"),
        (["a", None], "y must not have missing labels, got None at position 1"),
        (["b", "a", np.nan], "y must not have missing labels, got nan at position 2"),
        (["a", 1], "y must hold labels of one kind, got int and str"),
        (pd.Series(["a", None]), "y must not have missing labels, got .* at position 1"),
        (pd.Series([1, None], dtype="Int64"), "missing labels|contains NaN"),
        (
            np.ma.array([1, 2, 2], mask=[0, 0, 1]),
            "y must not have missing labels, got a masked value at position 2",
        ),
        (pd.Categorical(["a", None]), "y must not have missing labels, got nan at position 1"),
        (
            np.array(["2020", "NaT"], dtype="M8[D]"),
            "y must not have missing labels, got NaT at position 1",
        ),
        (pl.Series(["a", None]), "y must not have missing labels, got None at position 1"),
        (pl.Series([1, None]), "Input y contains NaN"),
        ([[1, 0], [0, 1]], "y should be a 1d array"),
        ([["a", "b"], ["c"]], r"y must hold one label a sample, got \['a', 'b'\]; multi-label"),
        (pd.Series(["a", ["b"]]), r"y must hold one label a sample, got \['b'\]; multi-label"),
        (None, "y must be a sequence of labels, got None"),
        (5, "y must be a sequence of labels, got 5"),
        ("abc", "y must be a sequence of labels, got 'abc'"),
        ({"a", "b"}, "y must be a sequence of labels, got {.+}"),
        (
            Counter("aab"),
            r"y must hold a label for each sample, .* \(a Counter\): pass",
        ),
    ],
)
def test_labels_that_are_none(y, message):
    with pytest.raises(ValueError, match=message):
        class_balanced_sample_weight(y, beta=0.9)


@pytest.mark.parametrize(
    "y",
    [
        pd.Series([3, 2, 1, 0], index=[7, 5, 1, 3]),  # sorted: these could be counts
        pd.Series([2, 1, 2, 0], index=[7, 5, 1, 3]),
        pd.Series([], dtype=int),
        pd.Series(["b", "a"], index=[1, 0]),
        pd.Series(["b", "a"], index=["labels", "targets"]),
        pd.Series(["b", "a"], index=[1, 0], dtype="category"),
        pl.Series([2, 1, 0]),
        pd.Index([2, 1, 0]),
    ],
)
@pytest.mark.parametrize("name", ["count", "name", "array"])
def test_labels_may_have_any_name(y, name):
    y = y.rename(name)
    weights = class_balanced_sample_weight(y, beta=0.9)
    np.testing.assert_array_equal(weights, class_balanced_sample_weight(list(y), beta=0.9))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
@pytest.mark.parametrize("name", ["name", "count", "array", "label", "labels", "targets"])
def test_one_column_of_a_frame_may_have_any_name(name):
    weights = class_balanced_sample_weight(pd.DataFrame({name: ["a", "b", "a"]}), beta=0.9)
    np.testing.assert_array_equal(weights, class_balanced_sample_weight(["a", "b", "a"], beta=0.9))


def test_parameters_are_checked_before_labels():
    with pytest.raises(ValueError, match="^beta must be"):
        class_balanced_sample_weight([], beta=2)
    with pytest.raises(ValueError, match="^normalize must be"):
        class_balanced_sample_weight([], beta=1, normalize="sum")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ([1, 2], r"sample_weight must have shape \(3,\), one weight a sample, got shape \(2,\)"),
        ([1, -2, 1], "sample_weight must hold finite numbers >= 0, got -2.0"),
        ([1, np.nan, 1], "sample_weight must hold finite numbers >= 0, got nan"),
        ([0, 0, 0], "sample_weight must not be 0 for every sample"),
        (["a", "b", "c"], "sample_weight must hold numbers"),
    ],
)
def test_invalid_weights_of_ones_own(own, message):
    with pytest.raises(ValueError, match=message):
        class_balanced_sample_weight([0, 1, 1], beta=0.9, sample_weight=own)


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint16])
def test_peak_memory_is_the_result(dtype):
    y = np.random.default_rng(0).integers(100, size=2_000_000).astype(dtype)
    class_balanced_sample_weight(y[:10], beta=0.99)  # imports aside
    tracemalloc.start()
    class_balanced_sample_weight(y, beta=0.99)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak <= 9 * len(y)
