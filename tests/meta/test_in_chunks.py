"""Classifiers that are fitted chunk by chunk: counts go on, and weights follow them."""

import pickle
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import balanced_accuracy_score
from sklearn.naive_bayes import BernoulliNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import has_fit_parameter

from sk_cbloss import (
    ClassBalancedClassifier,
    ClassBalancedWeigher,
    class_balanced_sample_weight,
    class_balanced_weight,
)

X, CODES = make_classification(
    600, 6, n_informative=5, n_redundant=0, n_classes=3, weights=[0.8, 0.15], random_state=0
)
CLASSES = np.array(["ant", "bee", "cat"])
Y = CLASSES[CODES]
OWN = np.random.default_rng(0).integers(1, 4, len(Y)).astype(float)
CHUNKS = np.split(np.arange(len(Y)), [50, 51, 300])


class Recorder(ClassifierMixin, BaseEstimator):
    """Keep what partial_fit receives."""

    def fit(self, X, y, sample_weight=None):
        return self.partial_fit(X, y, sample_weight=sample_weight)

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        self.classes_ = np.unique(y) if classes is None else classes
        self.given_ = [*getattr(self, "given_", []), (X, y, classes, sample_weight)]
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


def fit_in_chunks(model, y=Y, sample_weight=None, chunks=CHUNKS, X=X, **first):
    for rows in chunks:
        own = {} if sample_weight is None else {"sample_weight": sample_weight[rows]}
        model.partial_fit(X[rows], y[rows], **own, **first)
        first = {}
    return model


def test_weights_are_those_of_the_counts_so_far():
    model = fit_in_chunks(ClassBalancedClassifier(Recorder(), beta=0.9), classes=CLASSES)
    weigher = ClassBalancedWeigher(0.9)
    for rows, (_, y, classes, weight) in zip(CHUNKS, model.given_, strict=True):
        weigher.partial_fit(None, Y[rows])
        np.testing.assert_array_equal(y, Y[rows])
        np.testing.assert_array_equal(classes, CLASSES)
        np.testing.assert_allclose(weight, weigher.sample_weight(Y[rows]), rtol=1e-15)
    np.testing.assert_array_equal(model.class_count_, weigher.class_count_)
    np.testing.assert_array_equal(model.class_weight_, weigher.class_weight_)
    np.testing.assert_array_equal(model.classes_, CLASSES)


@pytest.mark.parametrize("estimator", [GaussianNB(), BernoulliNB(), MultinomialNB()])
@pytest.mark.parametrize("sample_weight", [None, OWN])
def test_with_the_counts_of_all_chunks_it_is_one_fit(estimator, sample_weight):
    """Naive Bayes learns from sums, which do not depend on how rows are cut."""
    features = np.abs(X)
    whole = ClassBalancedClassifier(estimator, beta=0.99).fit(features, Y, sample_weight)
    for count in (
        dict(zip(CLASSES, whole.class_count_, strict=True)),
        pd.Series(whole.class_count_, CLASSES)[::-1],
    ):
        model = ClassBalancedClassifier(estimator, beta=0.99)
        fit_in_chunks(model, sample_weight=sample_weight, X=features, class_count=count)
        np.testing.assert_allclose(
            model.predict_proba(features), whole.predict_proba(features), rtol=1e-6
        )
        np.testing.assert_allclose(
            model.predict_natural_proba(features), whole.predict_natural_proba(features), rtol=1e-6
        )
        np.testing.assert_allclose(model.class_weight_, whole.class_weight_)


def test_one_chunk_is_one_fit():
    whole = ClassBalancedClassifier(GaussianNB(), beta=0.9).fit(X, Y, OWN)
    model = ClassBalancedClassifier(GaussianNB(), beta=0.9)
    model.partial_fit(X, Y, sample_weight=OWN, classes=CLASSES[::-1])
    np.testing.assert_array_equal(model.predict_proba(X), whole.predict_proba(X))


def test_a_fit_goes_on_in_chunks_and_a_second_fit_forgets_them():
    model = ClassBalancedClassifier(GaussianNB(), beta=0.9).fit(X[:400], Y[:400])
    model.partial_fit(X[400:], Y[400:])
    assert dict(zip(model.classes_, model.class_count_, strict=True)) == Counter(Y)
    model.partial_fit(X, Y, class_count=[1, 2, 3]).fit(X, Y).partial_fit(X, Y)
    np.testing.assert_array_equal(model.class_count_, 2 * np.bincount(CODES))


def test_given_counts_are_kept_and_not_added_to():
    count = {"cat": 10, "ant": 400, "bee": 100}
    model = ClassBalancedClassifier(Recorder(), beta=0.9)
    fit_in_chunks(model, class_count=count)
    expected = class_balanced_weight([400, 100, 10], beta=0.9, normalize="samples")
    for _, y, _, weight in model.given_:
        np.testing.assert_array_equal(weight, expected[np.searchsorted(CLASSES, y)])
    np.testing.assert_array_equal(model.class_count_, [400, 100, 10])
    model = pickle.loads(pickle.dumps(model)).partial_fit(X, Y)
    np.testing.assert_array_equal(model.class_count_, [400, 100, 10])
    model.partial_fit(X, Y, class_count=[1, 1, 1])
    np.testing.assert_array_equal(model.class_weight_, 1)


def test_counts_of_classes_in_an_order_of_ones_own():
    model = ClassBalancedClassifier(Recorder())
    model.partial_fit(X, Y, classes=["cat", "ant", "bee"], class_count=[10, 400, 100])
    np.testing.assert_array_equal(model.class_count_, [400, 100, 10])


@pytest.mark.parametrize("estimator", [SGDClassifier(random_state=0), GaussianNB()])
def test_rare_classes_gain_recall(estimator):
    """For each of these the wrapper's weights do what they do in one fit."""
    scores = []
    count = dict(zip(CLASSES, np.bincount(CODES), strict=True))
    for beta in (0, 1):
        model = ClassBalancedClassifier(estimator, beta=beta)
        model.partial_fit(X, Y, class_count=count)
        for _ in range(10):
            fit_in_chunks(model)
        scores.append(balanced_accuracy_score(Y, model.predict(X)))
    assert scores[1] > scores[0] + 0.03


@pytest.mark.skipif(
    not has_fit_parameter(MLPClassifier(), "sample_weight"), reason="of scikit-learn 1.7"
)
def test_a_net_of_scikit_learn():
    model = ClassBalancedClassifier(MLPClassifier((8,), random_state=0))
    fit_in_chunks(model, classes=CLASSES)
    inner = MLPClassifier((8,), random_state=0)
    weigher = ClassBalancedWeigher()
    for rows in CHUNKS:
        weight = weigher.partial_fit(None, Y[rows]).sample_weight(Y[rows])
        inner.partial_fit(X[rows], Y[rows], classes=CLASSES, sample_weight=weight)
    np.testing.assert_array_equal(model.predict_proba(X), inner.predict_proba(X))


def test_sparse_rows_labels_of_any_kind_and_an_order_of_ones_own():
    labels = {
        "objects": Y.astype(object),
        "Series": pd.Series(Y),
        "Categorical": pd.Series(pd.Categorical(Y)),
        "wider": Y.astype("U9"),
    }
    plain = fit_in_chunks(ClassBalancedClassifier(MultinomialNB()), X=abs(X), classes=CLASSES)
    for y in labels.values():
        model = ClassBalancedClassifier(MultinomialNB())
        for rows in CHUNKS:
            chunk = y.iloc[rows] if isinstance(y, pd.Series) else y[rows]
            model.partial_fit(sparse.csr_array(abs(X[rows])), chunk, classes=["cat", "bee", "ant"])
        np.testing.assert_allclose(model.predict_proba(abs(X)), plain.predict_proba(abs(X)))
        np.testing.assert_array_equal(model.predict(abs(X)), plain.predict(abs(X)))


@pytest.mark.parametrize("nothing", [(X[:0], Y[:0]), (X[:0].tolist(), [])])
def test_an_empty_chunk_changes_nothing(nothing):
    model = ClassBalancedClassifier(GaussianNB()).partial_fit(*nothing, classes=CLASSES)
    with pytest.raises(NotFittedError):
        model.predict(X)
    model.partial_fit(X, Y, classes=CLASSES)
    before = pickle.dumps(model)
    assert pickle.dumps(model.partial_fit(*nothing)) == before
    assert pickle.dumps(model.partial_fit(*nothing, classes=CLASSES)) == before


@pytest.mark.parametrize("nothing", [(X[:0], Y[:0]), (X[:0].tolist(), [])])
@pytest.mark.parametrize(
    "told", [{"classes": CLASSES}, {"class_count": dict.fromkeys(CLASSES, 7)}], ids=str
)
def test_what_is_told_beside_an_empty_chunk_is_kept(nothing, told):
    model = (
        ClassBalancedClassifier(GaussianNB()).partial_fit(*nothing).partial_fit(*nothing, **told)
    )
    plain = ClassBalancedClassifier(GaussianNB())
    for rows in CHUNKS:
        model.partial_fit(X[rows], Y[rows])
        plain.partial_fit(X[rows], Y[rows], **told)
    np.testing.assert_array_equal(model.class_count_, plain.class_count_)
    np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    with pytest.raises(ValueError, match="classes must be the known classes"):
        model.partial_fit(*nothing, classes=["ant", "bee"])
    with pytest.raises(ValueError, match="class_count must hold finite numbers"):
        model.partial_fit(*nothing, class_count=dict.fromkeys(CLASSES, -1))
    model.partial_fit(*nothing, class_count=dict.fromkeys(CLASSES, 9))
    np.testing.assert_array_equal(model.partial_fit(X, Y).class_count_, [9, 9, 9])


def test_parameters_of_the_classifier_that_are_set_between_chunks_wait_for_a_fit():
    model = ClassBalancedClassifier(SGDClassifier(alpha=1e-4, random_state=0))
    model.partial_fit(X, Y, classes=CLASSES).set_params(estimator__alpha=1.0)
    assert model.partial_fit(X, Y).estimator_.alpha == 1e-4
    assert model.fit(X, Y).estimator_.alpha == 1.0


def test_classes_that_have_not_come_yet():
    model = ClassBalancedClassifier(GaussianNB(), beta=0.9)
    early = Y != "cat"
    model.partial_fit(X[early], Y[early], classes=CLASSES)
    assert model.class_weight_[2] == 0
    with np.errstate(all="ignore"):
        assert (model.predict_natural_proba(X)[:, 2] == 0).all()
    model.partial_fit(X, Y)
    assert (model.class_weight_ > 0).all()
    assert set(model.predict(X)) <= set(CLASSES)


def test_routing_is_off_inside():
    plain = ClassBalancedClassifier(SGDClassifier(random_state=0)).partial_fit(X, Y, CLASSES)
    with config_context(enable_metadata_routing=True):
        model = ClassBalancedClassifier(SGDClassifier(random_state=0)).partial_fit(X, Y, CLASSES)
    np.testing.assert_array_equal(model.coef_, plain.coef_)


@pytest.mark.parametrize(
    "estimator", [LogisticRegression(), make_pipeline(StandardScaler(), SGDClassifier())]
)
def test_it_is_there_if_the_classifier_has_it(estimator):
    model = ClassBalancedClassifier(estimator)
    assert not hasattr(model, "partial_fit")
    with pytest.raises(AttributeError, match="has no 'partial_fit', since its estimator"):
        model.partial_fit(X, Y, CLASSES)
    assert hasattr(ClassBalancedClassifier(SGDClassifier()), "partial_fit")


class WithoutWeights(Recorder):
    def partial_fit(self, X, y, classes=None):
        pytest.fail("The inner partial_fit was reached.")


@pytest.mark.parametrize(
    ("estimator", "arguments", "error", "message"),
    [
        (
            WithoutWeights(),
            {"classes": CLASSES},
            TypeError,
            "WithoutWeights takes no sample_weight in partial_fit, so its classes cannot be",
        ),
        (KNeighborsClassifier(), {}, AttributeError, "has no 'partial_fit'"),
        (GaussianNB(), {}, ValueError, "classes must list all classes at the first call"),
        (GaussianNB(), {"classes": ["ant", "bee"]}, ValueError, "known classes.*got 'cat'"),
        (GaussianNB(), {"classes": [1, 2]}, ValueError, "known classes, .1, 2., got 'ant'"),
        (GaussianNB(), {"class_count": [1, 2, 3]}, ValueError, "classes, .0, 1, 2., got 'ant'"),
        (GaussianNB(), {"class_count": {"ant": 5}}, ValueError, "classes.*'ant'.*got 'bee'"),
        (
            GaussianNB(),
            {"class_count": {"ant": 5, "bee": 0, "cat": 1}},
            ValueError,
            "class_count must be above 0 for every class of y, got 0 for 'bee'",
        ),
        (
            GaussianNB(),
            {"class_count": {"ant": 5, "bee": 1}, "classes": CLASSES},
            ValueError,
            "class_count must count the known classes, .'ant', 'bee', 'cat'., got .'ant', 'bee'.",
        ),
        (
            GaussianNB(priors=[0.5, 0.3, 0.2]),
            {"classes": CLASSES},
            ValueError,
            "GaussianNB must learn how frequent classes are",
        ),
        (
            GaussianNB(),
            {"classes": CLASSES, "sample_weight": -OWN},
            ValueError,
            "sample_weight must hold finite numbers >= 0",
        ),
        (
            GaussianNB(),
            {"classes": CLASSES, "sample_weight": OWN[1:]},
            ValueError,
            "sample_weight must have shape",
        ),
    ],
)
def test_what_is_refused(estimator, arguments, error, message):
    model = ClassBalancedClassifier(estimator)
    with pytest.raises(error, match=message):
        model.partial_fit(X, Y, **arguments)
    assert not hasattr(model, "estimator_")


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        (np.full(600, "dog"), {}, "y must hold only the known classes, .'ant', .*, got 'dog'"),
        (Y, {"classes": ["ant", "dog"]}, "classes must be the known classes, .*'dog'"),
        (Y, {"class_count": [1, 2]}, "classes must name each of the 2 classes that are counted"),
        (Y, {"class_count": {"ant": 1}}, "class_count must count the known classes"),
        (Y[1:], {}, "inconsistent|same number"),
        (None, {}, "y must be a sequence of labels, got None"),
    ],
)
def test_a_chunk_that_is_refused_changes_nothing(y, arguments, message):
    model = ClassBalancedClassifier(GaussianNB(), beta=0.9).partial_fit(X, Y, CLASSES)
    before = pickle.dumps(model)
    with pytest.raises(ValueError, match=message):
        model.partial_fit(X, y, **arguments)
    assert pickle.dumps(model) == before


def test_what_is_learned_from_half_a_chunk_is_put_back():
    class Fails(SGDClassifier):
        def partial_fit(self, X, y, classes=None, sample_weight=None):
            super().partial_fit(X[:9], y[:9], classes, sample_weight[:9])
            if np.isnan(X).any():
                raise ValueError("half-way")
            return self

    model = ClassBalancedClassifier(Fails(random_state=0)).partial_fit(X, Y, CLASSES)
    before = model.coef_.copy()
    broken = np.where(np.arange(len(X))[:, None] > 9, np.nan, X)
    with pytest.raises(ValueError, match="half-way"):
        model.partial_fit(broken, Y)
    np.testing.assert_array_equal(model.coef_, before)


def test_streams_of_one_label_weigh_as_the_function_does():
    """Where one chunk is all there is, its weights are the function's."""
    model = ClassBalancedClassifier(Recorder(), beta=0.9).partial_fit(X, Y, CLASSES)
    np.testing.assert_allclose(
        model.given_[0][3], class_balanced_sample_weight(Y, beta=0.9), rtol=1e-15
    )
