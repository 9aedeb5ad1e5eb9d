import copy
import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from imblearn.over_sampling import SMOTE
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from imblearn.under_sampling import RandomUnderSampler
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import average_precision_score, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    train_test_split,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.validation import has_fit_parameter
from threadpoolctl import threadpool_limits

from sk_cbloss import ClassBalancedClassifier, class_balanced_sample_weight


class Recorder(ClassifierMixin, BaseEstimator):
    """Keep what fit receives."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.X_, self.y_, self.sample_weight_ = X, y, sample_weight
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


class NeverFitted(Recorder):
    """Fail the test if fit gets this far."""

    def fit(self, X, y, sample_weight=None):
        pytest.fail("The inner fit was reached.")


def exact(**kwargs):
    """Return a LogisticRegression that finds the one minimum of its loss."""
    return LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000, **kwargs)


@pytest.fixture(scope="module")
def data():
    """Three classes of about 80, 15 and 5 percent."""
    return make_classification(
        240, 6, n_informative=5, n_redundant=0, n_classes=3, weights=[0.8, 0.15], random_state=0
    )


@pytest.fixture(scope="module")
def binary():
    """Two classes of about 85 and 15 percent."""
    return make_classification(240, 6, weights=[0.85], flip_y=0.1, random_state=0)


def not_promised(model):
    """Return the checks that these classifiers fail without us, where warnings are errors."""
    reason = {"check_classifiers_one_label_sample_weights": "warns of it"}
    if isinstance(model.estimator, SGDClassifier):
        for kind in ("dense", "sparse"):
            reason[f"check_sample_weight_equivalence_on_{kind}_data"] = "is random in the rows"
    return reason if hasattr(model, "partial_fit") else {}


@parametrize_with_checks(
    [
        ClassBalancedClassifier(LogisticRegression()),
        ClassBalancedClassifier(HistGradientBoostingClassifier(max_iter=10)),
        ClassBalancedClassifier(GaussianNB()),
        ClassBalancedClassifier(SGDClassifier(random_state=0)),
    ],
    expected_failed_checks=not_promised,
)
def test_scikit_learn_estimator_checks(estimator, check):
    # Threads that wait for each other take many times as long as these small fits.
    with threadpool_limits(1, user_api="openmp"):
        check(estimator)


# ---------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("C", [0.1, 1])
def test_beta_one_is_class_weight_balanced_for_logistic_regression(data, C):
    ours = ClassBalancedClassifier(exact(C=C), beta=1).fit(*data)
    theirs = exact(C=C, class_weight="balanced").fit(*data)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=1e-6)
    unweighted = exact(C=C).fit(*data)
    assert not np.allclose(ours.coef_, unweighted.coef_, rtol=1e-2)


@pytest.mark.parametrize("min_weight_fraction_leaf", [0, 0.05])
def test_beta_one_is_class_weight_balanced_for_a_tree(data, min_weight_fraction_leaf):
    X, y = data
    parameters = {
        "max_depth": 4,
        "min_weight_fraction_leaf": min_weight_fraction_leaf,
        "random_state": 0,
    }
    ours = ClassBalancedClassifier(DecisionTreeClassifier(**parameters), beta=1).fit(X, y)
    theirs = DecisionTreeClassifier(**parameters, class_weight="balanced").fit(X, y)
    np.testing.assert_array_equal(ours.tree_.feature, theirs.tree_.feature)
    np.testing.assert_allclose(ours.tree_.threshold, theirs.tree_.threshold)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize("normalize", ["samples", "classes"])
@pytest.mark.parametrize(
    "estimator", [exact(), DecisionTreeClassifier(max_depth=4, random_state=0)]
)
def test_beta_zero_is_the_unweighted_fit(data, estimator, normalize):
    """Weights of 1 under both normalisations, and without any."""
    X, y = data
    ours = ClassBalancedClassifier(estimator, beta=0, normalize=normalize).fit(X, y)
    plain = clone(estimator).fit(X, y)
    np.testing.assert_allclose(ours.predict_proba(X), plain.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("normalize", ["samples", "classes", None])
@pytest.mark.parametrize("beta", [0, 0.9, 0.999, 1])
def test_the_classifier_gets_the_weights_of_its_labels(data, beta, normalize):
    X, y = data
    model = ClassBalancedClassifier(Recorder(), beta=beta, normalize=normalize).fit(X, y)
    np.testing.assert_array_equal(
        model.sample_weight_, class_balanced_sample_weight(y, beta=beta, normalize=normalize)
    )
    assert model.X_ is X
    np.testing.assert_array_equal(model.y_, y)


def test_the_default_weights_have_mean_one(data):
    weight = ClassBalancedClassifier(Recorder()).fit(*data).sample_weight_
    assert weight.mean() == pytest.approx(1, rel=1e-12)
    assert len(np.unique(weight)) == 3


@pytest.mark.parametrize("normalize", ["samples", "classes", None])
@pytest.mark.parametrize("beta", [0, 0.9, 1])
def test_weight_two_equals_two_copies(data, beta, normalize):
    X, y = data
    copies = np.random.default_rng(0).integers(1, 4, size=len(y))
    model = ClassBalancedClassifier(exact(), beta=beta, normalize=normalize)
    weighted = clone(model).fit(X, y, sample_weight=copies)
    copied = clone(model).fit(np.repeat(X, copies, axis=0), np.repeat(y, copies))
    np.testing.assert_allclose(weighted.coef_, copied.coef_, rtol=1e-6)
    assert not np.allclose(weighted.coef_, clone(model).fit(X, y).coef_, rtol=1e-3)


def test_weight_zero_equals_absence(data):
    X, y = data
    keep = np.random.default_rng(0).random(len(y)) < 0.7
    weighted = ClassBalancedClassifier(exact(), beta=0.9).fit(X, y, sample_weight=keep)
    absent = ClassBalancedClassifier(exact(), beta=0.9).fit(X[keep], y[keep])
    np.testing.assert_allclose(weighted.coef_, absent.coef_, rtol=1e-6)


def test_a_users_weights_are_multiplied_and_counted():
    """Class a weighs 1 + 3 = 4 and class b 2; inverse frequency then gives 6 / (2 * 4) and 1.5."""
    model = ClassBalancedClassifier(Recorder(), beta=1)
    model.fit(np.zeros((3, 1)), ["a", "a", "b"], sample_weight=[1, 3, 2])
    np.testing.assert_allclose(model.sample_weight_, [0.75, 2.25, 3])


def test_a_single_number_weighs_every_sample(data):
    X, y = data
    one, many = (
        ClassBalancedClassifier(Recorder(), beta=0.9).fit(X, y, sample_weight=weight)
        for weight in (2, np.full(len(y), 2.0))
    )
    np.testing.assert_array_equal(one.sample_weight_, many.sample_weight_)


def test_fit_returns_itself_and_leaves_the_given_estimator_unfitted(data):
    inner = LogisticRegression()
    model = ClassBalancedClassifier(inner)
    assert model.fit(*data) is model
    assert model.estimator is inner
    assert not hasattr(inner, "coef_")
    assert model.estimator_.get_params() == inner.get_params()


def test_a_second_fit_forgets_the_first(data):
    X, y = data
    model = ClassBalancedClassifier(LogisticRegression(), beta=0.9).fit(X, y)
    model.set_params(beta=0).fit(X[:, :3], y > 0)
    assert model.classes_.tolist() == [False, True]
    assert model.n_features_in_ == 3
    np.testing.assert_allclose(model.coef_, LogisticRegression().fit(X[:, :3], y > 0).coef_)


def test_the_rare_classes_gain_recall(data):
    X, y = data
    score = [
        cross_val_score(
            ClassBalancedClassifier(LogisticRegression(), beta=beta),
            X,
            y,
            scoring="balanced_accuracy",
            cv=3,
        ).mean()
        for beta in (0, 1)
    ]
    assert score[1] > score[0]


def test_sparse_features_reach_the_classifier(data):
    X, y = data
    dense = ClassBalancedClassifier(exact()).fit(X, y)
    ours = ClassBalancedClassifier(LogisticRegression(tol=1e-10, max_iter=1000))
    ours.fit(sparse.csr_matrix(X), y)
    np.testing.assert_allclose(ours.coef_, dense.coef_, rtol=1e-3)
    np.testing.assert_array_equal(ours.predict(sparse.csr_matrix(X)), dense.predict(X))


# ------------------------------------------------------------------------- searches and folds


def test_weights_are_those_of_the_fold(data):
    X, y = data
    folds = list(KFold(4).split(X, y))
    fitted = cross_validate(
        ClassBalancedClassifier(Recorder(), beta=0.9), X, y, cv=folds, return_estimator=True
    )["estimator"]
    whole = class_balanced_sample_weight(y, beta=0.9)
    for model, (train, _) in zip(fitted, folds, strict=True):
        np.testing.assert_array_equal(
            model.sample_weight_, class_balanced_sample_weight(y[train], beta=0.9)
        )
        assert not np.allclose(model.sample_weight_, whole[train], rtol=1e-6)


def test_a_fold_may_lack_a_class():
    X = np.random.default_rng(0).normal(size=(33, 2))
    y = np.r_[np.tile(["a", "b"], 15), ["c"] * 3]
    result = cross_validate(
        ClassBalancedClassifier(LogisticRegression(), beta=0.9),
        X,
        y,
        cv=KFold(11),
        return_estimator=True,
        error_score="raise",
    )
    assert [len(model.classes_) for model in result["estimator"]] == [3] * 10 + [2]
    assert result["test_score"][-1] == 0


SAMPLERS = {
    "no sampler": [],
    "under": [RandomUnderSampler(sampling_strategy="majority", random_state=0)],
    "over": [SMOTE(sampling_strategy={2: 40}, k_neighbors=2, random_state=0)],
}


@pytest.mark.parametrize(
    ("make", "sampler"),
    [
        (make_pipeline, "no sampler"),
        (make_resampling_pipeline, "no sampler"),
        (make_resampling_pipeline, "under"),
        (make_resampling_pipeline, "over"),
    ],
)
def test_a_search_over_beta_in_a_pipeline(data, make, sampler):
    X, y = data
    model = make(
        StandardScaler(), *SAMPLERS[sampler], ClassBalancedClassifier(LogisticRegression())
    )
    search = GridSearchCV(
        model,
        {"classbalancedclassifier__beta": [0, 0.9, 1]},
        scoring="balanced_accuracy",
        cv=StratifiedKFold(3),
        error_score="raise",
    ).fit(X, y)
    score = search.cv_results_["mean_test_score"]
    if sampler == "no sampler":
        assert len(set(score)) == 3
    assert search.best_score_ == score.max()
    assert search.predict(X).shape == y.shape


def test_weights_after_a_sampler_are_those_of_the_resampled_labels(data):
    X, y = data
    model = make_resampling_pipeline(
        RandomUnderSampler(sampling_strategy="majority", random_state=0),
        ClassBalancedClassifier(Recorder(), beta=1),
    ).fit(X, y)[-1]
    assert len(model.y_) < len(y)
    np.testing.assert_array_equal(
        model.sample_weight_, class_balanced_sample_weight(model.y_, beta=1)
    )


def test_parameters_of_the_classifier_can_be_searched_too(data):
    X, y = data
    search = GridSearchCV(
        ClassBalancedClassifier(LogisticRegression()),
        {"estimator__C": [1e-4, 1], "normalize": ["samples", "classes"], "beta": [0.9]},
        cv=3,
        error_score="raise",
    ).fit(X, y)
    score = dict(
        zip(
            [(p["estimator__C"], p["normalize"]) for p in search.cv_results_["params"]],
            search.cv_results_["mean_test_score"],
            strict=True,
        )
    )
    assert score[1, "samples"] > score[1e-4, "samples"]
    assert search.best_params_["estimator__C"] == 1


def test_jobs_change_nothing(data):
    X, y = data
    model = ClassBalancedClassifier(LogisticRegression(), beta=0.9)
    serial, parallel = (
        GridSearchCV(model, {"beta": [0, 0.9]}, cv=2, n_jobs=n_jobs, error_score="raise").fit(X, y)
        for n_jobs in (None, 2)
    )
    np.testing.assert_array_equal(
        serial.cv_results_["mean_test_score"], parallel.cv_results_["mean_test_score"]
    )
    np.testing.assert_allclose(serial.best_estimator_.coef_, parallel.best_estimator_.coef_)


def test_jobs_of_the_classifier_change_nothing(data):
    X, y = data
    serial, parallel = (
        ClassBalancedClassifier(RandomForestClassifier(10, random_state=0, n_jobs=n_jobs))
        .fit(X, y)
        .predict_proba(X)
        for n_jobs in (None, 2)
    )
    np.testing.assert_array_equal(serial, parallel)


# --------------------------------------------------------------------------------- labels


LABELS = {
    "int": lambda y: y,
    "negative int": lambda y: y.astype(np.int8) - np.int8(1),
    "float": lambda y: y.astype(float),
    "str": lambda y: np.array(["cat", "dog", "yak"])[y],
    "object": lambda y: np.array(["cat", "dog", "yak"], dtype=object)[y],
    "list of int": lambda y: y.tolist(),
    "list of str": lambda y: np.array(["cat", "dog", "yak"])[y].tolist(),
    "bool": lambda y: y > 0,
    "list of bool": lambda y: (y > 0).tolist(),
    "Series of int": lambda y: pd.Series(y, index=np.arange(len(y)) + 7),
    "Series of str": lambda y: pd.Series(np.array(["cat", "dog", "yak"])[y].tolist()),
    "Series of string": lambda y: pd.Series(np.array(["cat", "dog", "yak"])[y], dtype="string"),
    "Series of Int64": lambda y: pd.Series(y, dtype="Int64"),
    "Series of boolean": lambda y: pd.Series(y > 0, dtype="boolean"),
    "Series of category": lambda y: pd.Series(
        pd.Categorical.from_codes(y, categories=["yak", "cat", "dog"])
    ),
    "Categorical": lambda y: pd.Categorical.from_codes(
        y, categories=["yak", "cat", "dog", "never seen"], ordered=True
    ),
    "polars int": lambda y: pl.Series(y),
    "polars str": lambda y: pl.Series(np.array(["cat", "dog", "yak"])[y].tolist()),
    "tensor": lambda y: torch.from_numpy(y),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_kind_and_container(data, kind):
    """Classes and predictions are those of the classifier itself on plain labels."""
    X, codes = data
    labels = LABELS[kind](codes)
    plain = np.asarray(labels)
    model = ClassBalancedClassifier(exact(), beta=0.9).fit(X, labels)
    expected = exact().fit(X, plain, class_balanced_sample_weight(plain, beta=0.9))
    np.testing.assert_array_equal(model.classes_, expected.classes_)
    np.testing.assert_array_equal(model.predict(X), expected.predict(X))
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)
    assert model.score(X, plain) == expected.score(X, plain)


def test_a_column_of_labels_is_ravelled_with_a_warning(data):
    X, y = data
    with pytest.warns(UserWarning, match="column-vector y"):
        model = ClassBalancedClassifier(exact()).fit(X, y[:, None])
    np.testing.assert_allclose(model.coef_, ClassBalancedClassifier(exact()).fit(X, y).coef_)


def test_one_class_gives_weights_of_one():
    X = np.arange(4.0).reshape(-1, 1)
    for beta in (0, 0.9, 1):
        model = ClassBalancedClassifier(Recorder(), beta=beta).fit(X, ["a"] * 4)
        assert model.sample_weight_.tolist() == [1] * 4
    tree = ClassBalancedClassifier(DecisionTreeClassifier()).fit(X, ["a"] * 4)
    assert tree.predict(X).tolist() == ["a"] * 4
    assert tree.predict_proba(X).tolist() == [[1]] * 4


@pytest.mark.parametrize("names", [None, ["no", "yes"]])
def test_average_precision_in_a_search(binary, names):
    """Integers by the scorer's name; strings with the positive label named, as always."""
    X, y = binary
    scoring = "average_precision"
    if names:
        y = np.array(names)[y]
        scoring = make_scorer(
            average_precision_score,
            response_method=("decision_function", "predict_proba"),
            pos_label="yes",
        )
    folds = StratifiedKFold(3)
    search = GridSearchCV(
        ClassBalancedClassifier(exact()),
        {"beta": [0, 0.9, 1]},
        scoring=scoring,
        cv=folds,
        error_score="raise",
    ).fit(X, y)
    balanced = exact(class_weight="balanced")
    expected = [
        cross_val_score(model, X, y, scoring=scoring, cv=folds).mean()
        for model in (exact(), balanced)
    ]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"][[0, 2]], expected)


@pytest.mark.parametrize("scoring", ["roc_auc", "neg_log_loss", "accuracy"])
def test_scorers_of_strings_see_what_they_see_of_the_classifier_itself(binary, scoring):
    X, y = binary
    y = np.array(["yes", "no"])[y]
    ours, theirs = (
        cross_val_score(model, X, y, scoring=scoring, cv=3, error_score="raise")
        for model in (ClassBalancedClassifier(exact(), beta=0), exact())
    )
    np.testing.assert_allclose(ours, theirs)


@pytest.mark.parametrize("names", [[0, 1], ["no", "yes"]])
def test_a_tuned_threshold_on_top(binary, names):
    X, y = binary
    y = np.array(names)[y]
    tuned = TunedThresholdClassifierCV(
        ClassBalancedClassifier(LogisticRegression(), beta=0.99), scoring="balanced_accuracy", cv=3
    ).fit(X, y)
    positive = tuned.estimator_.predict_proba(X)[:, 1] >= tuned.best_threshold_
    np.testing.assert_array_equal(tuned.predict(X), np.array(names)[positive.astype(int)])
    assert 0 < positive.mean() < 1


# ------------------------------------------------------------------------- what shows through


METHODS = ["predict_proba", "predict_log_proba", "decision_function"]


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        LinearSVC(),
        RandomForestClassifier(5, random_state=0),
        SGDClassifier(loss="hinge"),
        SGDClassifier(loss="log_loss"),
        SVC(),
        make_pipeline(StandardScaler(), LinearSVC()),
        make_pipeline(StandardScaler(), LogisticRegression()),
    ],
    ids=lambda e: "-".join(type(step).__name__ for _, step in getattr(e, "steps", [("", e)])),
)
def test_methods_are_there_if_the_classifier_has_them(data, estimator):
    """Before fit and after, with the classifier's own results."""
    X, y = data
    model = ClassBalancedClassifier(estimator)
    has = {name: hasattr(estimator, name) for name in METHODS}
    assert {name: hasattr(model, name) for name in METHODS} == has
    model.fit(X, y)
    assert {name: hasattr(model, name) for name in METHODS} == has
    with np.errstate(divide="ignore"):  # the logarithm of a probability of 0
        for name in ["predict", *(name for name in METHODS if has[name])]:
            np.testing.assert_array_equal(
                getattr(model, name)(X), getattr(model.estimator_, name)(X), err_msg=name
            )


def test_the_support_vector_machine_without_probabilities_says_so(data):
    model = ClassBalancedClassifier(LinearSVC()).fit(*data)
    for name in ("predict_proba", "predict_natural_proba"):
        message = f"^This ClassBalancedClassifier has no '{name}', since its estimator LinearSVC "
        with pytest.raises(AttributeError, match=f"{message}has no predict_proba\\.$"):
            getattr(model, name)


@pytest.mark.parametrize("method", ["predict", *METHODS])
def test_before_fit_each_method_says_so(method):
    with pytest.raises(NotFittedError, match="ClassBalancedClassifier instance is not fitted"):
        getattr(ClassBalancedClassifier(LogisticRegression()), method)([[0.0]])


def test_fitted_attributes_reach_through(data):
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = ClassBalancedClassifier(LogisticRegression()).fit(frame, y)
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.n_features_in_ == 6
    assert model.feature_names_in_.tolist() == list("abcdef")
    for name in ("coef_", "intercept_", "n_iter_"):
        assert getattr(model, name) is getattr(model.estimator_, name)
    forest = ClassBalancedClassifier(RandomForestClassifier(5, random_state=0)).fit(X, y)
    np.testing.assert_array_equal(
        forest.feature_importances_, forest.estimator_.feature_importances_
    )
    assert not hasattr(forest, "feature_names_in_")


def test_attributes_of_a_pipeline_inside_reach_through(data):
    X, y = data
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = ClassBalancedClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
    model.fit(frame, y)
    assert model.classes_.tolist() == [0, 1, 2]
    assert model.n_features_in_ == 6
    assert model.feature_names_in_.tolist() == list("abcdef")


@pytest.mark.parametrize("name", ["coef_", "classes_", "n_features_in_", "estimator_"])
def test_nothing_is_learned_before_fit(name):
    with pytest.raises(AttributeError, match=f"'ClassBalancedClassifier' .* attribute '{name}'"):
        getattr(ClassBalancedClassifier(LogisticRegression()), name)


@pytest.mark.parametrize("name", ["coef", "tol", "sparsify", "_private_", "__len__"])
def test_only_learned_attributes_reach_through(data, name):
    """Parameters and methods of the classifier stay its own."""
    model = ClassBalancedClassifier(SGDClassifier()).fit(*data)
    with pytest.raises(AttributeError, match=f"'ClassBalancedClassifier' .* attribute '{name}'"):
        getattr(model, name)


def test_an_unknown_learned_attribute_is_an_attribute_error(data):
    model = ClassBalancedClassifier(DecisionTreeClassifier()).fit(*data)
    with pytest.raises(AttributeError, match="coef_"):
        _ = model.coef_


@pytest.mark.parametrize(
    ("estimator", "nan_too"),
    [
        (LogisticRegression(), False),
        (HistGradientBoostingClassifier(), True),
        (DecisionTreeClassifier(), True),
    ],
)
def test_tags_of_the_data_are_those_of_the_classifier(estimator, nan_too):
    tags = get_tags(ClassBalancedClassifier(estimator))
    assert tags.estimator_type == "classifier"
    assert tags.input_tags == get_tags(estimator).input_tags
    assert tags.input_tags.allow_nan == nan_too
    assert tags.target_tags.required


# ----------------------------------------------------------------------- clone, pickle, HTML


def test_a_clone_has_the_parameters_and_nothing_learned(data):
    model = ClassBalancedClassifier(LogisticRegression(C=3), beta=0.5, normalize=None).fit(*data)
    copied = clone(model)
    assert copied.get_params(deep=False).keys() == {"estimator", "beta", "normalize"}
    assert copied.get_params()["estimator__C"] == 3
    assert (copied.beta, copied.normalize) == (0.5, None)
    assert copied.estimator is not model.estimator
    assert not hasattr(copied, "estimator_")
    with pytest.raises(NotFittedError):
        copied.predict(data[0])


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))]
)
def test_copies_and_pickles_predict_the_same(data, duplicate):
    X, y = data
    model = ClassBalancedClassifier(LogisticRegression(), beta=0.9).fit(X, y)
    other = duplicate(model)
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))
    assert other.get_params().keys() == model.get_params().keys()
    assert not hasattr(duplicate(ClassBalancedClassifier(LogisticRegression())), "estimator_")


@pytest.mark.parametrize("fitted", [False, True])
def test_the_html_shows_both_estimators(data, fitted):
    model = ClassBalancedClassifier(LogisticRegression(), beta=0.5)
    if fitted:
        model.fit(*data)
    html = model._repr_html_()
    assert "ClassBalancedClassifier" in html
    assert "LogisticRegression" in html


# ------------------------------------------------------------------------- metadata routing


def user_weight(y):
    return np.random.default_rng(0).uniform(0.5, 3, size=len(y))


@pytest.mark.parametrize("inner", [[], [StandardScaler()]], ids=["classifier", "pipeline"])
def test_routed_sample_weight_is_that_of_a_direct_fit(data, inner):
    X, y = data
    weight = user_weight(y)
    estimator = make_pipeline(*inner, exact()) if inner else exact()
    scaled = StandardScaler().fit_transform(X)
    direct = ClassBalancedClassifier(estimator, beta=0.9).fit(scaled, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        model = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            ClassBalancedClassifier(estimator, beta=0.9).set_fit_request(sample_weight=True),
        ).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.predict_proba(X), direct.predict_proba(scaled), rtol=1e-9)
    unweighted = ClassBalancedClassifier(estimator, beta=0.9).fit(scaled, y)
    assert not np.allclose(direct.predict_proba(scaled), unweighted.predict_proba(scaled))


def test_a_routed_search_weighs_each_fold(data):
    X, y = data
    weight = user_weight(y)
    folds = list(StratifiedKFold(3).split(X, y))
    with config_context(enable_metadata_routing=True):
        model = (
            ClassBalancedClassifier(Recorder(), beta=0.9)
            .set_fit_request(sample_weight=True)
            .set_score_request(sample_weight=False)
        )
        fitted = cross_validate(
            model,
            X,
            y,
            cv=folds,
            params={"sample_weight": weight},
            return_estimator=True,
            error_score="raise",
        )["estimator"]
    for one, (train, _) in zip(fitted, folds, strict=True):
        np.testing.assert_array_equal(
            one.sample_weight_,
            class_balanced_sample_weight(y[train], beta=0.9, sample_weight=weight[train]),
        )


@pytest.mark.parametrize("request_", [None, False, True])
def test_with_routing_on_the_classifier_inside_needs_no_request(data, request_):
    """The weights are handed over whatever the classifier inside requests."""
    X, y = data
    with config_context(enable_metadata_routing=True):
        inner = exact().set_fit_request(sample_weight=request_)
        routed = ClassBalancedClassifier(make_pipeline(StandardScaler(), inner), beta=0.9)
        routed.fit(X, y)
    plain = ClassBalancedClassifier(make_pipeline(StandardScaler(), exact()), beta=0.9).fit(X, y)
    np.testing.assert_allclose(routed.predict_proba(X), plain.predict_proba(X), rtol=1e-9)


def test_with_routing_on_a_pipeline_without_a_request_refuses_weights(data):
    X, y = data
    with config_context(enable_metadata_routing=True):
        model = make_pipeline(ClassBalancedClassifier(LogisticRegression()))
        with pytest.raises(ValueError, match="not explicitly set as requested"):
            model.fit(X, y, sample_weight=np.ones(len(y)))


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"beta": 1.5}, r"beta must be a number in \[0, 1\], got 1\.5\."),
        ({"beta": -0.1}, r"beta must be a number in \[0, 1\], got -0\.1\."),
        ({"beta": np.nan}, r"beta must be a number in \[0, 1\], got nan\."),
        ({"beta": "0.9"}, r"beta must be a number in \[0, 1\], got '0\.9'\."),
        ({"beta": None}, r"beta must be a number in \[0, 1\], got None\."),
        ({"normalize": "mean"}, r"normalize must be 'classes', 'samples' or None, got 'mean'\."),
        ({"normalize": True}, r"normalize must be 'classes', 'samples' or None, got True\."),
    ],
)
def test_a_bad_parameter_is_named_before_the_inner_fit(data, parameters, message):
    model = ClassBalancedClassifier(NeverFitted(), **parameters)
    with pytest.raises(ValueError, match=f"^{message}"):
        model.fit(*data)


def test_bad_parameters_may_be_set_and_only_fit_complains():
    model = ClassBalancedClassifier(None, beta="a", normalize=3)
    assert model.set_params(beta=7).get_params(deep=False)["beta"] == 7


def test_missing_y_is_named(data):
    model = ClassBalancedClassifier(NeverFitted())
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        model.fit(data[0], None)


@pytest.mark.parametrize(
    "labels",
    [
        [0.0, 1.0, np.nan],
        np.array(["a", "b", None], dtype=object),
        np.array(["a", "b", np.nan], dtype=object),
        pd.Series(["a", "b", None]),
        pd.Series([0, 1, None], dtype="Int64"),
        pd.Categorical(["a", "b", None]),
        pl.Series(["a", "b", None]),
        pl.Series([0, 1, None]),
    ],
    ids=["float", "None", "NaN object", "str", "Int64", "Categorical", "polars str", "polars int"],
)
def test_a_missing_label_is_named_before_the_inner_fit(labels):
    with pytest.raises(ValueError, match=r"^(Input y contains NaN|y must not have missing)"):
        ClassBalancedClassifier(NeverFitted()).fit(np.zeros((3, 1)), labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0.5, 1.0, 1.0], r"y must hold class labels, got the continuous value 0\.5\."),
        (["a", 1, 1], r"y must hold labels of one kind, got int and str\."),
        (np.eye(3), "ClassBalancedClassifier takes one label a sample, got y with 3 columns"),
    ],
)
def test_what_is_no_label_is_named_before_the_inner_fit(labels, message):
    with pytest.raises(ValueError, match=message):
        ClassBalancedClassifier(NeverFitted()).fit(np.zeros((3, 1)), labels)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1, 1], r"sample_weight must have shape \(3,\), .* got shape \(2,\)\."),
        ([1, 1, -1], r"sample_weight must hold finite numbers >= 0, got -1\.0\."),
        ([1, 1, np.nan], r"sample_weight must hold finite numbers >= 0, got nan\."),
        ([0, 0, 0], r"sample_weight must not be 0 for every sample, got only zeros\."),
    ],
)
def test_a_bad_sample_weight_is_named_before_the_inner_fit(weight, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        ClassBalancedClassifier(NeverFitted()).fit(np.zeros((3, 1)), [0, 1, 1], weight)


def test_cross_val_predict_gives_probabilities_that_sum_to_one(data):
    X, y = data
    proba = cross_val_predict(
        ClassBalancedClassifier(LogisticRegression()), X, y, method="predict_proba", cv=3
    )
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    prior = cross_val_predict(
        ClassBalancedClassifier(DummyClassifier(strategy="prior"), beta=1),
        X,
        y,
        method="predict_proba",
        cv=3,
    )
    np.testing.assert_allclose(prior, 1 / 3)


# ------------------------------------------------------------------------- validation data

takes_validation = pytest.mark.skipif(
    not has_fit_parameter(HistGradientBoostingClassifier, "X_val"),
    reason="an older HistGradientBoostingClassifier takes no validation data",
)


@takes_validation
@pytest.mark.parametrize("inside", [False, True])
def test_early_stopping_sees_weighted_validation_data(data, inside):
    X, y = data
    y = np.array(["x", "b", "c"])[y]
    X, X_val, y, y_val = train_test_split(X, y, stratify=y, random_state=0)
    boosting = HistGradientBoostingClassifier(early_stopping=True, n_iter_no_change=3)
    scaler = StandardScaler()
    whole = make_pipeline(scaler, boosting) if inside else boosting
    model = ClassBalancedClassifier(whole, beta=1).fit(X, y, X_val=X_val, y_val=y_val)
    fitted = model.estimator_[-1] if inside else model.estimator_
    places = (np.searchsorted(model.classes_, labels) for labels in (y, y_val))
    weight, weight_val = (model.class_weight_[place] for place in places)
    X_in, X_val_in = X, X_val
    if inside:
        X_in, X_val_in = scaler.fit_transform(X), scaler.transform(X_val)
    by_hand = clone(boosting).fit(
        X_in, y, weight, X_val=X_val_in, y_val=y_val, sample_weight_val=weight_val
    )
    assert fitted.n_iter_ == by_hand.n_iter_ < boosting.max_iter
    np.testing.assert_array_equal(model.predict_proba(X_val), by_hand.predict_proba(X_val_in))


@takes_validation
def test_validation_data_pass_through_steps_from_a_cache(data, tmp_path):
    X, y = data
    boosting = HistGradientBoostingClassifier(max_iter=5, early_stopping=True, random_state=0)
    steps = StandardScaler(), StandardScaler(), boosting  # of which the first is cached
    cached, plain = (
        ClassBalancedClassifier(make_pipeline(*steps, memory=memory))
        for memory in (str(tmp_path), None)
    )
    for model in (cached, plain):
        model.fit(X, y, X_val=X, y_val=y)
    np.testing.assert_array_equal(cached.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize(
    ("validation", "error", "message"),
    [
        ({"X_val": [[0.0]]}, ValueError, "X_val must come with y_val, got X_val alone"),
        ({"y_val": [0]}, ValueError, "y_val must come with X_val, got y_val alone"),
        ({"X_val": [[0.0]], "y_val": [0]}, TypeError, "X_val must be None for NeverFitted, whose"),
    ],
)
def test_bad_validation_data_is_named_before_the_fit(data, validation, error, message):
    with pytest.raises(error, match=f"^{message}"):
        ClassBalancedClassifier(NeverFitted()).fit(*data, **validation)


class Unchecked(HistGradientBoostingClassifier):
    """Takes whatever it is given to validate on, as some libraries do."""

    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        return super().fit(X, y, sample_weight)


BAD_TO_VALIDATE_BY = {
    "label": (
        lambda X, y: (X, np.full(len(y), 7)),
        "y must hold only the known classes, .*got 7",
    ),
    "none": (lambda X, y: (X[:0], y[:0]), "y must hold at least one label, got none"),
    "length": (lambda X, y: (X, y[1:]), r"X and y must have the same number .*got (\d+) and"),
    "list": (lambda X, y: (X.tolist(), y[1:]), "X and y must have the same number of samples"),
    "columns": (lambda X, y: (X[:, 1:], y), r"X must have rows of shape \(\d,\), as in training"),
}


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("bad", BAD_TO_VALIDATE_BY)
def test_validation_data_are_checked_whatever_the_library_checks(data, bad, inside):
    X, y = data
    make, message = BAD_TO_VALIDATE_BY[bad]
    X_val, y_val = make(X, y)
    # A scaler would say of itself how many columns it takes.
    model = make_pipeline(FunctionTransformer(), Unchecked()) if inside else Unchecked()
    with pytest.raises(ValueError, match=f"^In the validation data: {message}"):
        ClassBalancedClassifier(model).fit(X, y, X_val=X_val, y_val=y_val)


def test_columns_to_validate_by_are_compared_where_the_classifier_sees_them(data):
    X, y = data
    X = pd.DataFrame(X).add_prefix("x")
    other, more = X[X.columns[::-1]], X.assign(more=0)
    with pytest.raises(ValueError, match="validation data: X must have the columns .*got"):
        ClassBalancedClassifier(Unchecked()).fit(X, y, X_val=other, y_val=y)
    chosen = ColumnTransformer([("all", "passthrough", list(X.columns))])
    model = ClassBalancedClassifier(make_pipeline(chosen, Unchecked()))
    for X_val in (other, more):
        model.fit(X, y, X_val=X_val, y_val=y)
