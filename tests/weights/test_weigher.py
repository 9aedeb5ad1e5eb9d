import pickle
import tracemalloc
import warnings
from functools import reduce
from itertools import pairwise

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_cbloss import (
    ClassBalancedWeigher,
    UnusedWeightsWarning,
    class_balanced_sample_weight,
    class_balanced_weight,
    effective_number,
)

X = np.arange(20.0).reshape(10, 2)
Y = np.array(["b"] * 6 + ["a"] * 3 + ["c"])


@pytest.mark.filterwarnings("ignore::sk_cbloss.UnusedWeightsWarning")
@parametrize_with_checks(
    [ClassBalancedWeigher(), ClassBalancedWeigher(beta=1, normalize="classes")]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_what_fit_learns():
    weigher = ClassBalancedWeigher(beta=0.9, normalize="classes").fit(X, Y)
    np.testing.assert_array_equal(weigher.classes_, ["a", "b", "c"])
    np.testing.assert_array_equal(weigher.class_count_, [3, 6, 1])
    np.testing.assert_array_equal(weigher.effective_number_, effective_number([3, 6, 1], beta=0.9))
    np.testing.assert_array_equal(
        weigher.class_weight_, class_balanced_weight([3, 6, 1], beta=0.9)
    )


@pytest.mark.parametrize("normalize", ["samples", "classes", None])
def test_weights_of_the_training_labels_are_the_functions(normalize):
    weigher = ClassBalancedWeigher(beta=0.9, normalize=normalize).fit(X, Y)
    np.testing.assert_allclose(
        weigher.sample_weight(Y),
        class_balanced_sample_weight(Y, beta=0.9, normalize=normalize),
        rtol=1e-15,
    )


def test_weights_of_other_labels_of_any_kind():
    weigher = ClassBalancedWeigher(beta=0.9).fit(X, pd.Categorical(Y))
    weight = dict(zip(weigher.classes_, weigher.class_weight_, strict=True))
    for y in (["c", "a"], np.array(["c", "a"], dtype=object), pd.Series(["c", "a"])):
        np.testing.assert_array_equal(weigher.sample_weight(y), [weight["c"], weight["a"]])
    assert weigher.sample_weight([]).shape == (0,)


def test_chunks_add_up():
    whole = ClassBalancedWeigher(beta=0.9).fit(X, Y)
    chunked = ClassBalancedWeigher(beta=0.9)
    for rows in (slice(0, 2), slice(2, 7), slice(7, 10)):  # the later ones bring new classes
        chunked.partial_fit(X[rows], Y[rows])
    np.testing.assert_array_equal(chunked.classes_, whole.classes_)
    np.testing.assert_array_equal(chunked.class_count_, whole.class_count_)
    np.testing.assert_array_equal(chunked.class_weight_, whole.class_weight_)


def test_fit_forgets_earlier_chunks():
    weigher = ClassBalancedWeigher().partial_fit(X, Y).fit(X[:9], Y[:9])
    np.testing.assert_array_equal(weigher.class_count_, [3, 6])


def test_weight_2_means_two_copies():
    own = np.random.default_rng(0).integers(1, 4, 10)
    weighted = ClassBalancedWeigher(beta=0.9).fit(X, Y, sample_weight=own)
    copies = ClassBalancedWeigher(beta=0.9).fit(np.repeat(X, own, axis=0), np.repeat(Y, own))
    np.testing.assert_allclose(weighted.class_weight_, copies.class_weight_, rtol=1e-15)


def test_classes_whose_samples_have_weight_0():
    own = (Y != "c").astype(float)
    weigher = ClassBalancedWeigher(beta=0.9).fit(X, Y, sample_weight=own)
    np.testing.assert_array_equal(weigher.class_count_, [3, 6, 0])
    assert weigher.class_weight_[2] == 0
    np.testing.assert_array_equal(weigher.sample_weight(["c"]), [0])


@pytest.mark.parametrize(
    "features",
    [
        X,
        pd.DataFrame(X, columns=["u", "v"]),
        pl.DataFrame(X, schema=["u", "v"]),
        scipy.sparse.csr_matrix(X),
        scipy.sparse.csc_array(X),
        X[:, None, :],
        np.array([["text", None]] * 10, dtype=object),
    ],
)
def test_transform_gives_the_same_object_back(features):
    weigher = ClassBalancedWeigher().fit(features, Y)
    assert weigher.transform(features) is features


def test_transform_makes_an_array_of_a_list():
    weigher = ClassBalancedWeigher().fit(X.tolist(), Y)
    np.testing.assert_array_equal(weigher.transform(X.tolist()), X)


def test_in_a_pipeline_it_warns_and_names_what_works():
    pipeline = make_pipeline(ClassBalancedWeigher(), LogisticRegression())
    with pytest.warns(UnusedWeightsWarning, match="ClassBalancedClassifier.*sample_weight"):
        pipeline.fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline.predict(X)


def test_alone_it_warns_of_what_is_lost_and_only_if_it_is_fitted():
    message = "^fit_transform hands the weights of ClassBalancedWeigher to no other step"
    with pytest.warns(UnusedWeightsWarning, match=message):
        assert ClassBalancedWeigher().fit_transform(X, Y) is X
    with pytest.raises(ValueError, match="requires y to be passed"):  # a warning is an error here
        ClassBalancedWeigher().fit_transform(X)


def test_unseen_labels():
    weigher = ClassBalancedWeigher().fit(X, Y)
    with pytest.raises(ValueError, match="^y must hold only the known classes, .*, got 'd'"):
        weigher.sample_weight(["a", "d"])


def test_unfitted():
    with pytest.raises(NotFittedError):
        ClassBalancedWeigher().sample_weight(["a"])


def test_lengths_that_differ():
    with pytest.raises(ValueError, match="^X and y must have the same number .*, got 10 and 9"):
        ClassBalancedWeigher().fit(X, Y[:9])


@pytest.mark.parametrize("parameters", [{"beta": 1.5}, {"normalize": "mean"}])
def test_invalid_parameters_show_in_fit_only(parameters):
    weigher = clone(ClassBalancedWeigher(**parameters))
    with pytest.raises(ValueError, match=f"^{next(iter(parameters))} must be"):
        weigher.fit(X, Y)


def test_pickle_and_html():
    weigher = ClassBalancedWeigher().fit(X, Y)
    again = pickle.loads(pickle.dumps(weigher))
    np.testing.assert_array_equal(again.sample_weight(Y), weigher.sample_weight(Y))
    assert "ClassBalancedWeigher" in weigher._repr_html_()


def test_chunks_of_another_kind():
    with pytest.raises(ValueError, match="labels of one kind in every chunk, got <U1 after int64"):
        ClassBalancedWeigher().partial_fit(X, np.arange(10)).partial_fit(X, Y)


def test_chunks_of_signed_and_unsigned_integers_keep_their_labels():
    big = 2**63 + 1
    weigher = ClassBalancedWeigher().partial_fit(X, np.repeat(-1, 10))
    weigher.partial_fit(X, np.repeat(np.uint64(big), 10))
    assert weigher.classes_.tolist() == [-1, big]


class Lazy:
    """A table whose values cost a lot: its shape is known, or but the number of columns."""

    def __init__(self, *shape):
        self.shape = shape

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("the values were read")


@pytest.mark.parametrize("n_rows", [10, float("nan"), None])
def test_features_are_not_read(n_rows):
    weigher = ClassBalancedWeigher()
    for features in (Lazy(n_rows, 2), Lazy(n_rows, 2, 3)):
        assert weigher.fit(features, Y).partial_fit(features, Y).transform(features) is features
    assert weigher.n_features_in_ == 2
    with pytest.raises(ValueError, match="X has 3 features, but .* is expecting 2"):
        weigher.transform(Lazy(n_rows, 3))


def test_a_frame_is_not_converted(monkeypatch):
    frame = pd.DataFrame({"u": np.arange(10), "v": ["text"] * 10})
    monkeypatch.setattr(pd.DataFrame, "__array__", None)
    weigher = ClassBalancedWeigher().fit(frame, Y)
    assert weigher.transform(frame) is frame
    assert weigher.feature_names_in_.tolist() == ["u", "v"]


@pytest.mark.parametrize("features", [Lazy(10), Lazy(0, 2), Lazy(10, 0), pd.Series(range(10))])
def test_shapes_that_are_none(features):
    with pytest.raises(ValueError, match="X must have a row for each sample and a column"):
        ClassBalancedWeigher().fit(features, Y)


@pytest.mark.parametrize("none", [X[:0], X[:0].tolist(), pd.DataFrame(X[:0]), Lazy(0, 2)])
def test_an_empty_chunk_changes_nothing(none):
    weigher = ClassBalancedWeigher().partial_fit(none, [])
    with pytest.raises(NotFittedError):
        weigher.sample_weight(Y)
    weigher.partial_fit(X, Y)
    before = pickle.dumps(weigher)
    assert pickle.dumps(weigher.partial_fit(none, Y[:0])) == before
    with pytest.raises(ValueError, match="same number of samples|0 sample|each sam|1D arr"):
        weigher.partial_fit(none, Y)
    with pytest.raises(ValueError, match="0 sample|each sample|1D array"):
        weigher.fit(none, [])


@pytest.mark.parametrize(
    "chunks",
    [
        ([2**60 + 1, 2**60], [1.0, 2.0]),
        ([True, False], [2, 0]),
        (np.array(["2020"], "M8[Y]"), np.array(["2020-05-01", "2020-01-01"], "M8[ns]")),
        (np.array(["2020"], "M8[Y]"), pd.Series([pd.Timestamp("2021")], dtype=object)),
        (["a", "b"], np.array(["long", "a"], dtype=object)),
        ([2**70, 1], [3, 1]),
    ],
)
def test_chunks_of_other_types_keep_their_labels(chunks):
    weigher = ClassBalancedWeigher()
    for y in chunks:
        weigher.partial_fit(np.zeros((len(y), 1)), y)
    names = [name for y in chunks for name in list(y)]
    assert len(weigher.classes_) == len(set(names))
    assert weigher.class_count_.sum() == len(names)
    for y in chunks:
        assert np.all(weigher.sample_weight(y) > 0)


# ---------------------------------------------------------------------- counts add up


def counted(weigher):
    names = weigher.classes_.tolist()
    return list(zip(names, map(type, names), weigher.class_count_.tolist(), strict=True))


LABELS = (
    st.lists(st.integers(-3, 3)) | st.lists(st.text("ab", max_size=2)) | st.lists(st.booleans())
)
CONTAINERS = st.sampled_from([list, pd.Series, pl.Series, lambda y: np.array(y, object)])


@settings(deadline=None)
@given(
    y=LABELS.filter(len),
    cuts=st.lists(st.integers(0, 20), max_size=5).map(sorted),
    make=CONTAINERS,
    data=st.data(),
)
def test_merged_parts_have_counted_what_one_has(y, cuts, make, data):
    """Whatever the parts, and in whatever order and grouping they are merged."""
    whole = counted(ClassBalancedWeigher().fit(None, y))
    bounds = [0, *cuts, max(20, len(y))]
    chunks = [y[start:stop] for start, stop in pairwise(bounds)]
    chunks = data.draw(st.permutations([make(chunk) if chunk else chunk for chunk in chunks]))
    parts = [ClassBalancedWeigher().partial_fit(None, chunk) for chunk in chunks]
    while len(parts) > 1:
        place = data.draw(st.integers(0, len(parts) - 2))
        parts[place : place + 2] = [parts[place].merge(parts[place + 1])]
    (merged,) = parts
    assert counted(merged) == whole
    stream = ClassBalancedWeigher()
    for chunk in chunks:
        stream.partial_fit(None, chunk)
    assert counted(stream) == whole
    np.testing.assert_array_equal(merged.sample_weight(y), stream.sample_weight(y))


def test_merging_changes_neither_and_keeps_the_parameters_of_the_first():
    one = ClassBalancedWeigher(0.9, normalize="classes").fit(X, Y)
    other = ClassBalancedWeigher(1).fit(X[:4], ["d", "a", "a", "d"])
    before = pickle.dumps((one, other))
    merged = one.merge(other)
    assert pickle.dumps((one, other)) == before
    assert merged.get_params() == one.get_params()
    assert dict(zip(merged.classes_, merged.class_count_, strict=True)) == {
        "a": 5,
        "b": 6,
        "c": 1,
        "d": 2,
    }
    assert merged.n_features_in_ == 2
    merged.partial_fit(X, Y)
    assert pickle.dumps((one, other)) == before


def test_a_weigher_that_has_seen_nothing_is_neutral():
    empty, full = ClassBalancedWeigher(1), ClassBalancedWeigher(0.9).fit(X, Y)
    for merged in (
        empty.merge(full),
        full.merge(empty),
        reduce(ClassBalancedWeigher.merge, [full]),
    ):
        assert counted(merged) == counted(full)
        assert merged.n_features_in_ == 2
    with pytest.raises(NotFittedError):
        empty.merge(empty).sample_weight(Y)


@pytest.mark.parametrize(
    ("other", "error", "message"),
    [
        ({"a": 1}, TypeError, "other must be a ClassBalancedWeigher, got dict"),
        (
            ClassBalancedWeigher().fit(None, [1]),
            ValueError,
            "one kind in every chunk, got int64 a",
        ),
        (
            ClassBalancedWeigher().fit(X[:, :1], Y),
            ValueError,
            "other must have seen the same features, got n_features_in_=1 beside 2",
        ),
        (
            ClassBalancedWeigher().fit(pd.DataFrame(X, columns=["u", "w"]), Y),
            ValueError,
            "other must have seen the same features, got feature_names_in_=.*'w'.* beside .*'v'",
        ),
    ],
)
def test_what_cannot_be_merged(other, error, message):
    weigher = ClassBalancedWeigher().fit(pd.DataFrame(X, columns=["u", "v"]), Y)
    with pytest.raises(error, match=message):
        weigher.merge(other)


@pytest.mark.parametrize(
    ("count", "classes"),
    [
        ({"b": 6, "c": 1, "a": 3}, None),
        (pd.Series(Y).value_counts(), None),
        (pd.Series(pd.Categorical(Y, categories=list("cab"))).value_counts(), None),
        ([6, 1, 3], ["b", "c", "a"]),
        (np.array([3.0, 6, 1]), pd.Index(list("abc"))),
    ],
)
def test_a_weigher_of_counts_is_that_of_so_many_labels(count, classes):
    weigher = ClassBalancedWeigher.from_class_count(
        count, classes=classes, beta=0.9, normalize="classes"
    )
    whole = ClassBalancedWeigher(0.9, normalize="classes").fit(None, Y)
    assert weigher.get_params() == whole.get_params()
    np.testing.assert_array_equal(weigher.sample_weight(Y), whole.sample_weight(Y))
    weigher, whole = weigher.partial_fit(X, Y), whole.partial_fit(X, Y)
    assert counted(weigher) == counted(whole)
    assert counted(pickle.loads(pickle.dumps(weigher))) == counted(whole)


def test_counts_without_labels_are_of_positions():
    weigher = ClassBalancedWeigher.from_class_count([5, 0, 2], beta=0)
    np.testing.assert_array_equal(weigher.classes_, [0, 1, 2])
    np.testing.assert_array_equal(weigher.sample_weight([2, 1, 0]), [1, 0, 1])


def test_counts_of_dates_are_found_by_dates():
    y = np.array(["2020", "2021", "2021"], dtype="M8[ns]")
    weigher = ClassBalancedWeigher.from_class_count(pd.Series(y).value_counts())
    whole = ClassBalancedWeigher().fit(None, y)
    np.testing.assert_array_equal(weigher.sample_weight(y), whole.sample_weight(y))


@pytest.mark.parametrize(
    ("count", "parameters", "message"),
    [
        ({"a": 3}, {"classes": ["a"]}, "classes must be None for a class_count that names them"),
        ([3, 1], {"classes": ["a"]}, r"classes must name each of the 2 classes .* got \['a'\]"),
        ([3, 1], {"classes": ["a", "a"]}, "classes must name each of the 2 classes .*, once"),
        (
            {"a": 3, 1: 2},
            {},
            "In the labels of the counts: y must hold labels of one kind, got int",
        ),
        ({"a": -1}, {}, "class_count must hold finite numbers >= 0, got -1.0"),
        ({}, {}, "class_count must hold a class that has samples, got none"),
        ({"a": 3}, {"beta": 2}, r"beta must be a number in \[0, 1\], got 2"),
        ({"a": 3}, {"normalize": "mean"}, "normalize must be"),
    ],
)
def test_counts_that_are_refused(count, parameters, message):
    with pytest.raises(ValueError, match=message):
        ClassBalancedWeigher.from_class_count(count, **parameters)


@pytest.mark.parametrize("parameters", [{"beta": 0.5}, {"normalize": None}, {"beta": 1.0}])
def test_weights_follow_the_parameters(parameters):
    weigher = ClassBalancedWeigher(0.9).fit(X, Y)
    before = weigher.sample_weight(Y)
    whole = ClassBalancedWeigher(0.9).set_params(**parameters).fit(X, Y)
    weigher.set_params(**parameters)
    assert not np.allclose(before, weigher.sample_weight(Y))
    np.testing.assert_array_equal(weigher.class_weight_, whole.class_weight_)
    np.testing.assert_array_equal(weigher.effective_number_, whole.effective_number_)
    np.testing.assert_array_equal(weigher.sample_weight(Y), whole.sample_weight(Y))
    weigher.set_params(beta=2)
    with pytest.raises(ValueError, match=r"beta must be a number in \[0, 1\], got 2"):
        weigher.sample_weight(Y)


def test_what_was_asked_for_is_not_pickled():
    weigher = ClassBalancedWeigher(0.9).fit(X, Y)
    before = pickle.dumps(weigher)
    weigher.sample_weight(Y)
    assert pickle.dumps(weigher) == before


def test_labels_need_no_features():
    weigher = ClassBalancedWeigher(0.9).fit(None, Y)
    assert counted(weigher) == counted(ClassBalancedWeigher(0.9).fit(X, Y))
    assert not hasattr(weigher, "n_features_in_")
    assert weigher.transform(X) is X
    weigher.partial_fit(None, Y).partial_fit(X, Y)
    assert weigher.n_features_in_ == 2
    with pytest.raises(ValueError, match="X has 1 features, but .* is expecting 2"):
        weigher.partial_fit(X[:, :1], Y)
    assert not hasattr(weigher.fit(None, Y), "n_features_in_")


@pytest.mark.parametrize(
    "nothing",
    [
        *([], (), np.empty(0, int), pd.Series([], dtype="str"), pa.array([], pa.string())),
        *(pd.Categorical([], categories=["unused"]), pa.chunked_array([], pa.int8())),
    ],
)
def test_an_empty_chunk_needs_no_features(nothing):
    assert class_balanced_sample_weight(nothing, beta=0.9, sample_weight=[]).shape == (0,)
    weigher = ClassBalancedWeigher().partial_fit(None, nothing)
    with pytest.raises(NotFittedError):
        weigher.sample_weight(Y)
    weigher.partial_fit(None, Y)
    before = weigher.class_count_
    assert weigher.partial_fit(None, nothing, []).class_count_ is before
    with pytest.raises(ValueError, match="y must hold at least one label, got none"):
        weigher.fit(None, nothing)


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("float32")])
def test_weights_of_single_precision(dtype):
    weigher = ClassBalancedWeigher(0.9).fit(X, Y)
    for weight, double in (
        (weigher.sample_weight(Y, dtype=dtype), weigher.sample_weight(Y)),
        (class_balanced_sample_weight(Y, beta=0.9, dtype=dtype), weigher.sample_weight(Y)),
    ):
        assert weight.dtype == np.float32
        assert double.dtype == np.float64
        np.testing.assert_array_equal(weight, double.astype(np.float32))
    own = np.linspace(1, 2, 10)
    weight, double = (
        class_balanced_sample_weight(Y, beta=0.9, sample_weight=own, dtype=each)
        for each in (dtype, "float64")
    )
    assert weight.dtype == np.float32
    np.testing.assert_allclose(weight, double, rtol=2e-7)


@pytest.mark.parametrize("dtype", [None, "float16", int, "nonsense", np.longdouble])
def test_types_that_weights_have_not(dtype):
    for call in (
        lambda: ClassBalancedWeigher().fit(X, Y).sample_weight(Y, dtype=dtype),
        lambda: class_balanced_sample_weight(Y, beta=0.9, dtype=dtype),
    ):
        with pytest.raises(ValueError, match="^dtype must be float64 or float32, got "):
            call()


# ---------------------------------------------------------------------- many classes


def peak_of(call):
    tracemalloc.start()
    call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


@pytest.mark.parametrize("of_chunk", [str, object, "str"])
def test_no_index_is_made_of_the_known_classes(of_chunk):
    """A dictionary of them takes 50 bytes each, beside what their names take."""
    classes = np.array([f"class {i}" for i in range(50_000)])
    weigher = ClassBalancedWeigher(0.9).fit(None, classes)
    weigher.sample_weight(classes[:10])  # which makes the weights of the classes
    chunk = classes[::500]
    chunk = pd.Series(chunk, dtype=of_chunk) if of_chunk == "str" else chunk.astype(of_chunk)
    assert peak_of(lambda: weigher.sample_weight(chunk)) < 8 * len(classes)
    assert peak_of(lambda: weigher.partial_fit(None, chunk)) < 3 * 8 * len(classes)
    assert weigher.class_count_.sum() == 50_100


def test_classes_come_in_any_order():
    order = np.random.default_rng(0).permutation(3000)
    for names in (order, order.astype(str), order.astype(str).astype(object), order - 2.0):
        weigher = ClassBalancedWeigher(0.9)
        for chunk in np.split(np.repeat(names, 2), 40):
            weigher.partial_fit(None, chunk)
        np.testing.assert_array_equal(weigher.classes_, np.sort(names))
        np.testing.assert_array_equal(weigher.class_count_, 2)


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        (["a", "b"], np.array(["a\0"], object)),
        (["ab", "b"], "abc"),
        (np.array(["a", "abcd"]), np.array(["abcde"])),
        ([1, 2], 1.5 + 0.5 + 1),
        ([-1, 2], 2**64 - 1),
        ([0, 1], True + 1),
        ([2**53, 5], 2.0**60),
        (np.array([2.0**53, 1]), 2**53 + 1),
        ([False, True], 2),
        (["1", "2"], 1),
        ([1, 2], "1"),
        ([1, 2], "a"),
        (np.array(["2020"], "M8[Y]"), np.array(["2020-02"], "M8[M]")),
        (np.array(["2020"], "M8[D]"), 18262),
        (["2020-01-01"], np.array(["2020"], "M8[D]")),
        (["a", "b"], np.array(["2020"], "M8[D]")),
        ([2**70, 1], "a"),
        ([b"a"], "a"),
    ],
)
def test_a_label_that_is_nearly_a_known_one_is_unknown(known, asked):
    weigher = ClassBalancedWeigher().fit(None, known)
    asked = asked if isinstance(asked, np.ndarray) else [asked]
    with pytest.raises(ValueError, match="y must hold only the known classes, .*, got "):
        weigher.sample_weight(asked)


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ([1, 2], [2.0]),
        ([1.0, 2.0], [2]),
        ([1, 2], np.array([2], np.uint8)),
        (np.array([2], np.uint64), [2]),
        ([2**70, 2], [2]),
        ([0, 1], [True]),
        (["a", "long"], np.array(["a"], object)),
        (np.array(["a", "long"], object), ["a"]),
        (np.array(["2020"], "M8[Y]"), np.array(["2020-01-01"], "M8[ns]")),
        (np.array(["2020"], "M8[ns]"), pd.Series([pd.Timestamp("2020")], dtype=object)),
    ],
)
def test_labels_of_another_type_that_are_equal_are_the_same(known, asked):
    weigher = ClassBalancedWeigher().fit(None, known)
    n_classes = len(weigher.classes_)
    assert weigher.sample_weight(asked) > 0
    assert weigher.partial_fit(None, asked).class_count_.sum() == len(known) + 1
    assert len(weigher.classes_) == n_classes


def test_labels_that_cannot_be_sorted_together():
    naive, aware = pd.Timestamp("2020"), pd.Timestamp("2020", tz="UTC")
    weigher = ClassBalancedWeigher().fit(None, np.array([naive], object))
    with pytest.raises(ValueError, match="y must hold labels that can be sorted, got Timestamp"):
        weigher.partial_fit(None, np.array([aware], object))


def test_a_wrong_parameter_leaves_the_weigher_to_be_looked_at():
    """A display asks for all attributes, and takes an AttributeError alone."""
    weigher = ClassBalancedWeigher().fit(None, ["a", "b", "a"]).set_params(beta=3)
    assert not hasattr(weigher, "class_weight_")
    assert "beta=3" in repr(weigher)
    assert "beta" in weigher._repr_html_()
    with pytest.raises(AttributeError, match=r"beta must be a number in \[0, 1\], got 3"):
        weigher.effective_number_  # noqa: B018
    with pytest.raises(ValueError, match=r"beta must be a number in \[0, 1\], got 3"):
        weigher.sample_weight(["a"])


def test_the_weights_that_are_kept_cannot_be_written_to():
    weigher = ClassBalancedWeigher().fit(None, ["a", "b", "a"])
    with pytest.raises(ValueError, match="read-only"):
        weigher.class_weight_[:] = 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1, 2], [1, 2**70]),
        ([2**70, 1], [1, 3]),
        ([1, 2], [2, -(2**70)]),
        ([0.0, 1.0], [1, 2**70]),
    ],
)
def test_a_label_too_large_for_the_type_leaves_the_others_what_they_are(first, second):
    one, other = (ClassBalancedWeigher().fit(None, labels) for labels in (first, second))
    whole = sorted({*first, *second})
    expected = [first.count(label) + second.count(label) for label in whole]
    streamed = ClassBalancedWeigher().partial_fit(None, first).partial_fit(None, second)
    for weigher in (streamed, one.merge(other), other.merge(one)):
        assert weigher.classes_.tolist() == whole
        assert weigher.class_count_.tolist() == expected
    unseen = next(label for label in second if label not in first)
    with pytest.raises(ValueError, match=f"known classes, .*, got {unseen}"):
        one.sample_weight(second)


def test_dates_that_do_not_fit_the_finer_unit_are_refused():
    weigher = ClassBalancedWeigher().fit(None, np.array(["2020-01-01"], dtype="M8[ns]"))
    weigher.partial_fit(None, np.array(["2021-01-01"], dtype="M8[D]"))
    with pytest.raises(ValueError, match=r"dates that fit datetime64\[ns\] .*, got 3020-01-01"):
        weigher.partial_fit(None, np.array(["3020-01-01"], dtype="M8[D]"))
    assert weigher.class_count_.tolist() == [1, 1]
