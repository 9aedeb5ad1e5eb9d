"""Several labels a sample: scikit-learn's metas around our wrappers, which take one."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from sklearn.utils.fixes import parse_version

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    ClassBalancedWeigher,
    ConformalClassifierCV,
    DecisionClassifierCV,
    LogitAdjustedClassifier,
    PriorCorrectedClassifier,
    class_balanced_label_weight,
    make_long_tailed_multilabel,
)
from sk_cbloss.pipeline import make_pipeline

X, Y = make_multilabel_classification(800, n_features=5, n_classes=4, random_state=0)
X, Y = make_long_tailed_multilabel(X, Y, imbalance_factor=8, order="frequency", random_state=0)
WEIGHT = np.random.default_rng(0).uniform(0.5, 2, len(Y))
PLAIN = LogisticRegression(C=0.1)
WEIGHTED = ClassBalancedClassifier(PLAIN, beta=0.99)
WRAPPED = {
    "weighted": WEIGHTED,
    "weigher": make_pipeline(StandardScaler(), ClassBalancedWeigher(0.99), PLAIN),
    "adjusted": LogitAdjustedClassifier(PLAIN),
    "corrected": PriorCorrectedClassifier(WEIGHTED),
    "decision": DecisionClassifierCV(PLAIN, metric="f1_macro", cv=3),
    "conformal": ConformalClassifierCV(PLAIN, cv=3),
    "search": GridSearchCV(WEIGHTED, {"beta": [0, 0.9, 1]}, scoring="f1", cv=3),
    "net": CBNeuralNetClassifier(beta=0.99, max_epochs=1, device="cpu", random_state=0),
}
METAS = [MultiOutputClassifier, OneVsRestClassifier, ClassifierChain]
every_meta = pytest.mark.parametrize("meta", METAS, ids=lambda one: one.__name__)


@every_meta
@pytest.mark.parametrize("name", WRAPPED)
def test_each_label_is_fitted_as_if_alone(meta, name):
    model = meta(WRAPPED[name]).fit(X, Y)
    found = model.predict(X)
    for label in range(4):
        before = [X, Y[:, :label]] if meta is ClassifierChain else [X]
        alone = clone(WRAPPED[name]).fit(np.hstack(before), Y[:, label])
        before[1:] = [found[:, :label]] if meta is ClassifierChain else []
        np.testing.assert_array_equal(found[:, label], alone.predict(np.hstack(before)))


@pytest.mark.parametrize("name", WRAPPED)
def test_one_vs_rest_and_multi_output_are_two_names_of_one_model(name):
    one, other = (meta(WRAPPED[name]).fit(X, Y) for meta in METAS[:2])
    np.testing.assert_array_equal(one.predict(X), other.predict(X))
    proba = np.stack([p[:, 1] for p in one.predict_proba(X)], axis=1)
    np.testing.assert_array_equal(proba, other.predict_proba(X))


@every_meta
def test_beta_0_changes_nothing_and_more_finds_more(meta):
    plain, *weighted = (
        meta(each).fit(X, Y).predict(X)
        for each in (PLAIN, *(clone(WEIGHTED).set_params(beta=beta) for beta in (0, 0.9, 1)))
    )
    np.testing.assert_array_equal(weighted[0], plain)
    n_found = [each.sum(axis=0) for each in weighted]
    assert (np.diff(n_found, axis=0)[:, Y.mean(axis=0) < 0.2] >= 0).all()
    assert n_found[2][Y.sum(axis=0).argmin()] > n_found[0][Y.sum(axis=0).argmin()]


@pytest.mark.parametrize("meta", METAS[:2], ids=lambda one: one.__name__)
def test_weights_are_those_of_each_labels_two_sides(meta):
    model = meta(WEIGHTED).fit(X, Y)
    weight = class_balanced_label_weight(Y.sum(axis=0), len(Y), beta=0.99, normalize="samples")
    np.testing.assert_allclose([each.class_weight_ for each in model.estimators_], weight)
    weigher = ClassBalancedWeigher(0.99, normalize="samples").fit(None, Y)
    np.testing.assert_allclose(weigher.class_weight_, weight)


KINDS = {
    "frame": lambda y: pd.DataFrame(y, columns=list("abcd")),
    "float": lambda y: y.astype(float),
    "bool": lambda y: y.astype(bool),
    "CSR matrix": scipy.sparse.csr_matrix,
}
if parse_version(scipy.__version__) >= parse_version("1.15"):  # before, they have no columns
    KINDS |= {"CSR array": scipy.sparse.csr_array, "CSC array": scipy.sparse.csc_array}


@pytest.mark.parametrize("meta", METAS[:2], ids=lambda one: one.__name__)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["weighted", "weigher", "adjusted", "decision", "net"])
def test_whatever_holds_the_labels(meta, kind, name):
    """A sparse y that MultiOutputClassifier cuts into columns is one that plain ones refuse."""
    expected = meta(WRAPPED[name]).fit(X, Y).predict(X)
    found = meta(WRAPPED[name]).fit(X, KINDS[kind](Y)).predict(X)
    found = found.toarray() if scipy.sparse.issparse(found) else found
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", sorted(WRAPPED.keys() - {"search"}))  # whose F1 asks for a 1
def test_sides_may_have_names(name):
    y = np.array(["no", "yes"])[Y]
    model = MultiOutputClassifier(WRAPPED[name]).fit(X, y)
    expected = MultiOutputClassifier(WRAPPED[name]).fit(X, Y).predict(X)
    np.testing.assert_array_equal(model.predict(X) == "yes", expected == 1)
    assert [list(each) for each in model.classes_] == [["no", "yes"]] * 4


@pytest.mark.parametrize("name", ["weighted", "adjusted", "corrected", "decision", "conformal"])
def test_sample_weights_reach_each_label(name):
    model = MultiOutputClassifier(WRAPPED[name]).fit(X, Y, sample_weight=WEIGHT)
    for label, found in enumerate(model.estimators_):
        alone = clone(WRAPPED[name]).fit(X, Y[:, label], sample_weight=WEIGHT)
        np.testing.assert_array_equal(found.predict_proba(X), alone.predict_proba(X))
        assert found.class_count_.sum() == pytest.approx(WEIGHT.sum())


@every_meta
@pytest.mark.parametrize("name", ["weighted", "adjusted", "corrected", "decision", "conformal"])
def test_sample_weights_are_routed(meta, name):
    with sklearn.config_context(enable_metadata_routing=True):
        wrapped = clone(WRAPPED[name]).set_fit_request(sample_weight=True)
        model = meta(wrapped).fit(X, Y, sample_weight=WEIGHT)
    count = [each.class_count_[1] for each in model.estimators_]
    np.testing.assert_allclose(count, WEIGHT @ Y)


@pytest.mark.parametrize("meta", METAS[1:], ids=lambda one: one.__name__)
def test_but_not_without_routing(meta):
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        meta(WEIGHTED).fit(X, Y, sample_weight=WEIGHT)


def test_labels_with_one_side_only():
    """OneVsRestClassifier answers them itself; other metas say what they say of plain ones."""
    y = np.column_stack([Y, np.zeros(len(Y)), np.ones(len(Y))]).astype(int)
    with pytest.warns(UserWarning, match="present in all training examples"):
        model = OneVsRestClassifier(WEIGHTED).fit(X, y)
    np.testing.assert_array_equal(model.predict(X)[:, 4:], y[:, 4:])
    for inner in (PLAIN, WEIGHTED):
        with pytest.raises(ValueError, match="at least 2 classes in the data"):
            MultiOutputClassifier(inner).fit(X, y)


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_folds_inside_take_two_samples_with_each_label():
    few = np.flatnonzero(Y[:, 0])
    for n in (2, 1):
        y = Y.copy()
        y[few[n:], 0] = 0
        model = OneVsRestClassifier(WRAPPED["decision"])
        if n == 2:
            assert model.fit(X, y).predict(X).shape == Y.shape
        else:
            with pytest.raises(ValueError, match="at least 2 classes in the data"):
                model.fit(X, y)


def test_one_beta_for_all_labels_or_one_for_each():
    betas = [0, 0.9, 0.99, 1]
    grid = {"estimator__beta": betas}
    for_all = GridSearchCV(OneVsRestClassifier(WEIGHTED), grid, scoring="f1_macro", cv=3)
    for_all.fit(X, Y)
    inside = for_all.best_estimator_.estimators_
    assert {each.beta for each in inside} == {for_all.best_params_["estimator__beta"]}
    for_each = GridSearchCV(WEIGHTED, {"beta": betas}, scoring="f1", cv=3)
    chosen = [
        each.best_params_["beta"] for each in OneVsRestClassifier(for_each).fit(X, Y).estimators_
    ]
    alone = [clone(for_each).fit(X, Y[:, label]).best_params_["beta"] for label in range(4)]
    assert chosen == alone
    assert len(set(chosen)) > 1


def test_labels_in_chunks():
    weighted = ClassBalancedClassifier(SGDClassifier(random_state=0), beta=0.99)
    model = MultiOutputClassifier(weighted)
    for rows in np.array_split(np.arange(len(Y)), 5):
        model.partial_fit(X[rows], Y[rows], classes=[[0, 1]] * 4)
    count = np.stack([each.class_count_ for each in model.estimators_])
    np.testing.assert_array_equal(count, ClassBalancedWeigher().fit(None, Y).class_count_)


def test_a_chain_by_predictions_out_of_fold():
    chain = ClassifierChain(WEIGHTED, cv=3, chain_method="predict_proba", order=[3, 2, 1, 0])
    p = chain.fit(X, Y).predict_proba(X)
    assert p.shape == Y.shape
    assert ((p >= 0) & (p <= 1)).all()


@pytest.mark.parametrize("name", sorted(WRAPPED.keys() - {"search", "net", "decision"}))
@pytest.mark.parametrize("kind", ["array", "list", *KINDS])
def test_the_other_way_round_is_one_sentence(name, kind):
    y = ({"array": np.asarray, "list": np.ndarray.tolist} | KINDS)[kind](Y)
    message = (
        r"^(Pipeline with a ClassBalancedWeigher|\w+Classifier(CV)?) takes one label a sample, "
        "got y with 4 columns: put it into scikit-learn's MultiOutputClassifier, "
        r"OneVsRestClassifier or ClassifierChain\.$"
    )
    with pytest.raises(ValueError, match=message):
        clone(WRAPPED[name]).fit(X, y)


def test_tags_say_who_takes_several_labels():
    for inside in (RandomForestClassifier(), PLAIN):
        alone = get_tags(inside).classifier_tags.multi_label
        for wrapper in (ClassBalancedClassifier, LogitAdjustedClassifier, ConformalClassifierCV):
            assert not get_tags(wrapper(inside)).classifier_tags.multi_label
        assert get_tags(DecisionClassifierCV(inside)).classifier_tags.multi_label == alone


def test_nor_in_chunks():
    model = ClassBalancedClassifier(SGDClassifier())
    with pytest.raises(ValueError, match="^ClassBalancedClassifier takes one label a sample"):
        model.partial_fit(X, Y, classes=[0, 1])


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, scipy.sparse.coo_array])
def test_a_sparse_column_holds_labels(make):
    """So do a column of an array, and scikit-learn's type_of_target of one that is sparse."""
    label = Y[:, 1]
    expected = ClassBalancedWeigher().fit(None, label).class_count_
    for y in (make(label[:, None]), make(label)):
        weigher = ClassBalancedWeigher().fit(None, y)
        assert weigher.classes_.tolist() == [0, 1]
        np.testing.assert_array_equal(weigher.class_count_, expected)
        np.testing.assert_array_equal(weigher.sample_weight(y), weigher.sample_weight(label))
