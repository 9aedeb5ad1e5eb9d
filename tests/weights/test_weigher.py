import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
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
    with pytest.raises(ValueError, match="^y must hold only the 3 labels seen in fit, got 'd'"):
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
