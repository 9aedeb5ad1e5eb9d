"""Probabilities for other frequencies of the classes, and decisions by them."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn.pipeline
import torch
from imblearn.ensemble import BalancedRandomForestClassifier
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV, CalibrationDisplay
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    VotingClassifier,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_score,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    ClassBalancedSampler,
    ClassBalancedWeigher,
    ConformalClassifierCV,
    DecisionClassifierCV,
    LogitAdjustedClassifier,
    PriorCorrectedClassifier,
)
from sk_cbloss.pipeline import make_pipeline

SHARE = np.array([0.8, 0.15, 0.05])


def cells(n=3000, share=SHARE, seed=0):
    """Return samples in four cells, among which classes are mixed in known ways."""
    rng = np.random.default_rng(seed)
    y = rng.choice(3, size=n, p=share)
    within = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.5, 0.2, 0.2], [0.2, 0.1, 0.1, 0.6]])
    X = (rng.uniform(size=(n, 1)) > within[y].cumsum(axis=1)).sum(axis=1, keepdims=True)
    return X.astype(float), np.array(["a", "b", "c"])[y]


@pytest.fixture
def data():
    return cells()


@pytest.fixture
def shares(data):
    """Return the natural probabilities of the cells' samples: the classes' shares in them."""
    return DecisionTreeClassifier().fit(*data).predict_proba(data[0])


def soft_vote(estimator):
    return VotingClassifier([("b", estimator)], voting="soft")


def tree(**parameters):
    return DecisionTreeClassifier(random_state=0, **parameters)


class NeverFitted(DecisionTreeClassifier):
    """Fail the test if fit gets this far."""

    def fit(self, X, y, sample_weight=None):
        pytest.fail("The inner fit was reached.")


class NeverBoosted(HistGradientBoostingClassifier):
    """The same, with a parameter that searches have too."""

    fit = NeverFitted.fit


WEIGHTED = {
    "plain": tree(),
    "meta": ClassBalancedClassifier(tree(), beta=0.999),
    "meta around a pipeline": ClassBalancedClassifier(
        sklearn.pipeline.make_pipeline(StandardScaler(), tree()), beta=1
    ),
    "weigher": make_pipeline(StandardScaler(), ClassBalancedWeigher(0.999), tree()),
    "pipeline": sklearn.pipeline.make_pipeline(
        "passthrough", StandardScaler(), ClassBalancedClassifier(tree(), beta=0.999)
    ),
    "balanced": tree(class_weight="balanced"),
    "dict": tree(class_weight={"a": 0.1, "b": 3, "c": 2}),
    "search": GridSearchCV(ClassBalancedClassifier(tree()), {"beta": [0.999, 1]}, cv=2),
}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("name", WEIGHTED)
def test_natural_probabilities_of_weighted_classifiers(data, shares, name, frozen):
    """A tree's leaf holds weighted shares; undone, they are the natural ones to the last digit."""
    X, y = data
    estimator = WEIGHTED[name]
    if frozen:
        estimator = FrozenEstimator(sklearn.clone(estimator).fit(X, y))
    natural = PriorCorrectedClassifier(estimator).fit(X, y)
    np.testing.assert_allclose(natural.predict_proba(X), shares, rtol=1e-12)
    if name != "plain":
        assert abs(natural.estimator_.predict_proba(X) - shares).max() > 0.1
    if hasattr(estimator, "predict_natural_proba"):
        p = natural.estimator_.predict_natural_proba(X)
        np.testing.assert_allclose(p, shares, rtol=1e-12)


@pytest.mark.parametrize(
    "sampler",
    [
        ClassBalancedSampler(1, sampling_strategy=20.0, random_state=0),
        RandomOverSampler(random_state=0),
        RandomUnderSampler(random_state=0),
    ],
)
def test_samplers_are_undone(data, shares, sampler):
    X, y = data
    model = make_resampling_pipeline(FunctionTransformer(), sampler, tree())
    natural = PriorCorrectedClassifier(model).fit(X, y)
    assert abs(natural.estimator_.predict_proba(X) - shares).max() > 0.3
    assert abs(natural.predict_proba(X) - shares).max() < 0.1


def test_own_weights_are_part_of_the_data(data):
    X, y = data
    own = np.random.default_rng(1).uniform(0.5, 2, len(y))
    natural = PriorCorrectedClassifier(WEIGHTED["meta"]).fit(X, y, sample_weight=own)
    expected = tree().fit(X, y, sample_weight=own).predict_proba(X)
    np.testing.assert_allclose(natural.predict_proba(X), expected, rtol=1e-12)
    np.testing.assert_allclose(natural.class_count_.sum(), own.sum())


@pytest.mark.parametrize("loss", ["softmax", "focal", "logit_adjusted"])
def test_a_net_knows_its_own_way_back(data, loss):
    X, y = data
    net = CBNeuralNetClassifier(loss=loss, beta=0.99, max_epochs=3, random_state=0)
    natural = PriorCorrectedClassifier(net).fit(X.astype("float32"), y)
    fitted = natural.estimator_
    logits = fitted.forward(X.astype("float32"))
    expected = fitted.criterion_.natural_proba(logits).numpy()
    np.testing.assert_allclose(natural.predict_proba(X.astype("float32")), expected, rtol=1e-5)
    np.testing.assert_array_equal(fitted.predict_natural_proba(X.astype("float32")), expected)
    wrapped = ClassBalancedClassifier(
        CBNeuralNetClassifier(loss=loss, beta=0, max_epochs=3, random_state=0), beta=0.99
    ).fit(X.astype("float32"), y)
    p = wrapped.estimator_.predict_natural_proba(X.astype("float32")) / wrapped.class_weight_
    p /= p.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(wrapped.predict_natural_proba(X.astype("float32")), p, rtol=1e-5)


def test_a_net_with_a_loss_of_others_has_none(data):
    X, y = data
    net = CBNeuralNetClassifier(criterion=torch.nn.CrossEntropyLoss, max_epochs=1)
    with pytest.raises(ValueError, match="^predict_natural_proba must be asked of a net with"):
        net.fit(X.astype("float32"), y).predict_natural_proba(X.astype("float32"))


@pytest.mark.parametrize(
    ("target", "prior"),
    [
        ("uniform", [1 / 3, 1 / 3, 1 / 3]),
        ([0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
        ({"c": 0.5, "a": 0.2, "b": 0.3}, [0.2, 0.3, 0.5]),
        (pd.Series({"b": 0.3, "a": 0.2, "c": 0.5}).to_dict(), [0.2, 0.3, 0.5]),
    ],
)
@pytest.mark.parametrize("name", ["plain", "meta", "balanced"])
def test_other_worlds(data, shares, target, prior, name):
    """By Bayes' rule: the natural posterior times the ratio of the frequencies."""
    X, y = data
    model = PriorCorrectedClassifier(WEIGHTED[name], target_prior=target).fit(X, y)
    np.testing.assert_allclose(model.target_prior_, prior)
    expected = shares * prior / (np.unique(y, return_counts=True)[1] / len(y))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.classes_[expected.argmax(axis=1)])
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), expected)


def test_the_prior_of_unlabelled_data():
    """Classes look as before; only their frequencies are others."""
    X, y = cells(20_000)
    there = np.array([0.3, 0.3, 0.4])
    X_there, y_there = cells(20_000, there, seed=1)
    model = PriorCorrectedClassifier(WEIGHTED["meta"], target_prior="estimate").fit(X, y)
    with pytest.raises(NotFittedError, match=r"call estimate_prior\(X\) before predictions"):
        model.predict(X)
    assert model.estimate_prior(X_there) is model
    np.testing.assert_allclose(model.target_prior_, there, atol=0.03)
    natural = PriorCorrectedClassifier(WEIGHTED["meta"]).fit(X, y)
    losses = [log_loss(y_there, m.predict_proba(X_there)) for m in (model, natural)]
    assert losses[0] < 0.8 * losses[1]
    model.estimate_prior(X)
    np.testing.assert_allclose(model.target_prior_, SHARE, atol=0.02)


def test_the_right_target_is_that_of_the_test_data(data):
    X, y = cells(20_000)
    for share, best in ((SHARE, "natural"), ([1 / 3, 1 / 3, 1 / 3], "uniform")):
        X_test, y_test = cells(20_000, share, seed=2)
        losses = {
            target: log_loss(
                y_test,
                PriorCorrectedClassifier(WEIGHTED["meta"], target_prior=target)
                .fit(X, y)
                .predict_proba(X_test),
            )
            for target in ("natural", "uniform")
        }
        assert min(losses, key=losses.get) == best


def test_in_scorers_and_displays(data):
    X, y = data
    corrected = PriorCorrectedClassifier(WEIGHTED["meta"])
    scores = [
        cross_val_score(model, X, y, scoring="neg_log_loss", cv=3, error_score="raise").mean()
        for model in (corrected, WEIGHTED["meta"])
    ]
    assert scores[0] > scores[1]
    two = y != "b"
    model = corrected.fit(X[two], y[two])
    display = CalibrationDisplay.from_estimator(model, X[two], y[two], pos_label="c")
    np.testing.assert_allclose(display.prob_true, display.prob_pred, atol=0.03)


class Spoilt(DecisionTreeClassifier):
    """Weigh by a parameter that boosting libraries have."""

    def __init__(self, *, scale_pos_weight=None):
        super().__init__(random_state=0)
        self.scale_pos_weight = scale_pos_weight

    def fit(self, X, y, sample_weight=None):
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        rare = y == np.unique(y)[1]
        return super().fit(X, y, weight * np.where(rare, self.scale_pos_weight or 1, 1))


class Hidden(DecisionTreeClassifier):
    """Keep a parameter where CatBoost does, behind get_params alone."""

    def get_params(self, deep=True):
        return super().get_params(deep) | {"pos_bagging_fraction": 0.5}


def test_parameters_are_read_from_get_params(data):
    X, y = data
    two = np.where(y == "a", "a", "rest")
    with pytest.raises(ValueError, match="got pos_bagging_fraction=0.5 of Hidden"):
        PriorCorrectedClassifier(FrozenEstimator(Hidden().fit(X, two))).fit(X, two)


def test_scale_pos_weight(data):
    X, y = data
    two = np.where(y == "a", "a", "rest")
    natural = PriorCorrectedClassifier(Spoilt(scale_pos_weight=7)).fit(X, two)
    expected = tree().fit(X, two).predict_proba(X)
    np.testing.assert_allclose(natural.predict_proba(X), expected, rtol=1e-12)


def test_thresholds_hand_probabilities_on(data):
    X, y = data
    two = np.where(y == "a", "a", "rest")
    weighted = ClassBalancedClassifier(tree(), beta=1)
    expected = tree().fit(X, two).predict_proba(X)
    for wrapped in (
        FixedThresholdClassifier(weighted, threshold=0.3, pos_label="rest"),
        TunedThresholdClassifierCV(weighted, cv=2),
        PriorCorrectedClassifier(weighted, target_prior="uniform"),
        LogitAdjustedClassifier(weighted),
    ):
        natural = PriorCorrectedClassifier(wrapped).fit(X, two)
        np.testing.assert_allclose(natural.predict_proba(X), expected, rtol=1e-12)


@pytest.mark.parametrize("last", [tree(), tree(class_weight="balanced"), WEIGHTED["meta"]])
def test_samplers_one_after_another(data, shares, last):
    """Each draws from what the one before has left, which is what the last step counts."""
    X, y = data
    for samplers in (
        [RandomUnderSampler(sampling_strategy={"a": 1200}, random_state=0)],
        [
            RandomUnderSampler(sampling_strategy={"a": 1200}, random_state=0),
            RandomOverSampler(sampling_strategy={"c": 600}, random_state=0),
        ],
        [
            RandomOverSampler(sampling_strategy={"c": 900}, random_state=0),
            RandomUnderSampler(sampling_strategy={"a": 1200}, random_state=0),
        ],
    ):
        natural = PriorCorrectedClassifier(make_resampling_pipeline(*samplers, last)).fit(X, y)
        assert abs(natural.predict_proba(X) - shares).max() < 0.06


def test_a_frozen_sampler_wants_the_labels_it_saw(data):
    X, y = data
    model = make_resampling_pipeline(RandomUnderSampler(random_state=0), tree()).fit(X, y)
    with pytest.raises(ValueError, match="^y must hold the labels that the fitted estimator"):
        PriorCorrectedClassifier(FrozenEstimator(model)).fit(X[:100], y[:100])
    fitted = DecisionClassifierCV(FrozenEstimator(model)).fit(X, y)
    weight = PriorCorrectedClassifier(FrozenEstimator(model)).fit(X, y).class_weight_
    np.testing.assert_array_equal(fitted.class_weight_, weight)


def test_balanced_with_weights_of_ones_own(data):
    """Whether these are counted depends on the classifier and its version."""
    X, y = data
    with pytest.raises(ValueError, match="got class_weight='balanced' of DecisionTree"):
        PriorCorrectedClassifier(tree(class_weight="balanced")).fit(X, y, np.ones(len(y)))
    frozen = FrozenEstimator(tree().fit(X, y))
    natural = PriorCorrectedClassifier(frozen).fit(X, y, 2.0)  # counted only
    assert natural.class_count_.sum() == 2 * len(y)


def test_where_nothing_is_left(data):
    """A sample that can only be of a class that is not there is of any that is."""
    X, y = data
    X = np.where(y == "a", 0, 1)[:, None] * 1.0
    model = PriorCorrectedClassifier(tree(), target_prior=[0, 0.6, 0.4]).fit(X, y)
    np.testing.assert_allclose(
        model.predict_proba(X)[y == "a"], [[0, 0.5, 0.5]] * (y == "a").sum()
    )
    extreme = LogitAdjustedClassifier(tree(), tau=500).fit(X, y)
    assert np.isfinite(extreme.predict_proba(X)).all()
    assert set(extreme.predict(X[y != "a"])) == {"c"}


def test_series_are_read_by_label(data):
    prior = pd.Series({"c": 0.6, "b": 0.3, "a": 0.1})
    model = PriorCorrectedClassifier(tree(), target_prior=prior).fit(*data)
    np.testing.assert_allclose(model.target_prior_, [0.1, 0.3, 0.6])


@pytest.mark.parametrize("index", [np.asarray, pd.to_datetime], ids=["numpy", "pandas"])
def test_dates_are_read_by_label(data, index):
    names = np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[D]")
    X, y = data
    prior = pd.Series({"c": 0.6, "b": 0.3, "a": 0.1}).set_axis(index(names[::-1]))
    for given in (prior, dict(prior)):
        model = PriorCorrectedClassifier(tree(), target_prior=given)
        model.fit(X, names[np.searchsorted(["a", "b", "c"], y)])
        np.testing.assert_allclose(model.target_prior_, [0.1, 0.3, 0.6])


def test_an_estimate_is_forgotten_by_the_next_fit(data):
    model = PriorCorrectedClassifier(tree(class_weight="balanced"), target_prior="estimate")
    model.fit(*data).estimate_prior(data[0])
    np.testing.assert_allclose(
        model.target_prior_, np.unique(data[1], return_counts=True)[1] / 3000, atol=1e-3
    )
    with pytest.raises(NotFittedError):
        model.fit(*data).predict(data[0])


@pytest.mark.parametrize(
    ("estimator", "error", "message"),
    [
        (LinearSVC(), TypeError, "estimator must have predict_proba, got LinearSVC"),
        *(
            (estimator, ValueError, f"estimator must weight .* can be undone, got {what}")
            for estimator, what in [
                (soft_vote(tree(class_weight="balanced")), "the weights of Dec"),
                (soft_vote(WEIGHTED["meta"]), "the weights of ClassBalanced"),
                (soft_vote(WEIGHTED["weigher"]), "the weights of"),
                (BaggingClassifier(WEIGHTED["pipeline"]), "the weights of ClassBalanced"),
                (OneVsRestClassifier(WEIGHTED["meta"]), "the weights of ClassBalanced"),
                (
                    BaggingClassifier(make_resampling_pipeline(SMOTE(), GaussianNB())),
                    "a sampler inside of BaggingClassifier",
                ),
                (
                    BalancedRandomForestClassifier(n_estimators=5),
                    "sampling_strategy='all' of Balanced",
                ),
                (soft_vote(GaussianNB(priors=[0.5, 0.5])), "the weights of GaussianNB inside"),
                (GaussianNB(priors=[0, 1]), "a weight of 0 of GaussianNB"),
                (tree(class_weight={"a": 0, "b": 1}), "a weight of 0 of Dec"),
                (NeverFitted(class_weight={"a": 0, "b": 1}), "a weight of 0 of NeverFitted"),
                (NeverBoosted(class_weight={"a": 0, "b": 1}), "a weight of 0 of NeverBoosted"),
                (NeverFitted(class_weight=[1, 2]), r"class_weight=\[1, 2\] of NeverFitted"),
                (
                    make_pipeline(StandardScaler(), NeverFitted(class_weight={"a": 0, "b": 1})),
                    "a weight of 0 of NeverFitted",
                ),
                (
                    FixedThresholdClassifier(NeverFitted(class_weight={"a": 0, "b": 1})),
                    "a weight of 0 of NeverFitted",
                ),
                (
                    BaggingClassifier(NeverFitted(class_weight="balanced")),
                    "the weights of NeverFitted inside of BaggingClassifier",
                ),
                (
                    CBNeuralNetClassifier(criterion=torch.nn.CrossEntropyLoss, max_epochs=10**9),
                    "criterion=CrossEntropyLoss of CBNeuralNetClassifier",
                ),
                (
                    CBNeuralNetClassifier(criterion=torch.nn.CrossEntropyLoss(), max_epochs=10**9),
                    r"criterion=CrossEntropyLoss\(\) of CBNeuralNetClassifier",
                ),
            ]
        ),
        (
            make_resampling_pipeline(SMOTE(random_state=0), GaussianNB()),
            ValueError,
            "estimator must hold only samplers that tell which samples they drew .* got SMOTE",
        ),
    ],
)
def test_what_cannot_be_undone(estimator, error, message):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 2)), np.repeat(["a", "b"], [45, 15])
    with pytest.raises(error, match=f"^{message}"):
        PriorCorrectedClassifier(estimator).fit(X, y)


def test_what_cannot_be_undone_can_be_calibrated(data):
    for estimator in (tree(class_weight={"a": 0, "b": 1, "c": 1}), GaussianNB(priors=[1 / 3] * 3)):
        natural = PriorCorrectedClassifier(CalibratedClassifierCV(estimator, cv=2)).fit(*data)
        np.testing.assert_allclose(natural.predict_proba(data[0]).mean(axis=0), SHARE, atol=0.02)


class SearchOfAnotherLibrary(ClassifierMixin, BaseEstimator):
    """Choose no priors, without being of scikit-learn's family of searches."""

    def __init__(self, estimator, scoring=None):
        self.estimator = estimator
        self.scoring = scoring

    def fit(self, X, y):
        self.best_estimator_ = sklearn.clone(self.estimator).set_params(priors=None).fit(X, y)
        self.classes_ = self.best_estimator_.classes_
        return self

    def predict_proba(self, X):
        return self.best_estimator_.predict_proba(X)


@pytest.mark.parametrize(
    "search", [partial(GridSearchCV, param_grid={"priors": [None]}), SearchOfAnotherLibrary]
)
def test_what_a_search_chooses_is_seen_after_its_fit(data, search):
    natural = PriorCorrectedClassifier(search(GaussianNB(priors=[1 / 3] * 3))).fit(*data)
    np.testing.assert_array_equal(natural.class_weight_, 1)


def test_calibrators_that_see_no_weights_are_natural_already(data, shares):
    X, y = data
    model = CalibratedClassifierCV(WEIGHTED["meta"], method="isotonic", cv=5)
    natural = PriorCorrectedClassifier(model).fit(X, y)
    assert (natural.class_weight_ == 1).all()
    assert abs(natural.predict_proba(X) - shares).max() < 0.05


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("test", "target_prior must be 'natural', 'uniform', 'estimate', an array or a mapping"),
        (None, "target_prior must be 'natural'"),
        ([0.5, 0.5], "target_prior must have a frequency for each of the 3 classes"),
        ([0.5, 0.4, 0.2], "target_prior must hold numbers >= 0 that sum to 1, got"),
        ([1.5, -0.4, -0.1], "target_prior must hold numbers >= 0 that sum to 1, got"),
        (
            {"a": 0.5, "b": 0.5},
            "target_prior must name the 3 classes and no other label, got none of 'c'",
        ),
        (
            {"a": 0.5, "b": 0.3, "c": 0.1, "d": 0.1},
            "target_prior must name the 3 classes and no other label, got also 'd'",
        ),
        (
            pd.Series([0.2, 0.2, 0.3, 0.3], index=["a", "b", "a", "c"]),
            "target_prior must hold each label once, got 'a' twice",
        ),
        (["x", "y", "z"], r"target_prior must hold numbers, got \['x', 'y', 'z'\]"),
    ],
)
def test_bad_targets_are_named_before_the_fit(data, target, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        PriorCorrectedClassifier(NeverFitted(), target_prior=target).fit(*data)


@pytest.mark.parametrize(
    "wrapper",
    [
        PriorCorrectedClassifier,
        LogitAdjustedClassifier,
        ConformalClassifierCV,
        DecisionClassifierCV,
        ClassBalancedClassifier,
    ],
)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "requires y to be passed, but the target y is None"),
        (["a", None, "b"], "^y must not have missing labels, got None at position 1"),
        (["a", 1, "b"], "^y must hold labels of one kind, got int and str"),
        ([0.5, 1, 2], "^y must hold class labels, got the continuous value 0.5"),
        ([], "^y must hold at least one label, got none"),
    ],
)
def test_bad_labels_are_named_before_the_fit(wrapper, y, message):
    with pytest.raises(ValueError, match=message):
        wrapper(NeverFitted()).fit(np.zeros((3, 1)), y)


def test_weights_that_the_classifier_does_not_take(data):
    own = np.ones(len(data[1]))
    for model in (KNeighborsClassifier(), make_pipeline(KNeighborsClassifier())):
        with pytest.raises(TypeError, match="^sample_weight must be None .* for KNeighborsClass"):
            PriorCorrectedClassifier(model).fit(*data, own)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tol": "a"}, "tol must be a finite number >= 0, got 'a'"),
        ({"tol": -1}, "tol must be a finite number >= 0, got -1"),
        ({"max_iter": 2.5}, "max_iter must be an integer >= 1, got 2.5"),
        ({"max_iter": 0}, "max_iter must be an integer >= 1, got 0"),
    ],
)
def test_bad_parameters_of_the_estimate(data, parameters, message):
    model = PriorCorrectedClassifier(tree(), target_prior="estimate").fit(*data)
    with pytest.raises(ValueError, match=f"^{message}"):
        model.estimate_prior(data[0], **parameters)


def test_only_an_estimated_prior_can_be_estimated(data):
    model = PriorCorrectedClassifier(tree()).fit(*data)
    with pytest.raises(ValueError, match="^target_prior must be 'estimate' for estimate_prior"):
        model.estimate_prior(data[0])


def test_other_labels_than_the_fitted_ones(data):
    X, y = data
    frozen = FrozenEstimator(tree().fit(X, y))
    with pytest.raises(ValueError, match="^y must hold the classes of the fitted estimator"):
        PriorCorrectedClassifier(frozen).fit(X, np.where(y == "c", "b", y))


# ---------------------------------------------------------------------- logit adjustment


@pytest.mark.parametrize("tau", [0, 0.5, 1, 2])
def test_it_does_not_matter_how_a_classifier_is_weighed(data, tau):
    X, y = data
    for names in (["meta", "weigher", "pipeline"], ["balanced", "meta around a pipeline"]):
        p = [
            LogitAdjustedClassifier(WEIGHTED[name], tau=tau).fit(X, y).predict_proba(X)
            for name in names
        ]
        for other in p[1:]:
            np.testing.assert_allclose(other, p[0], rtol=1e-9)
        if tau == 0:
            weighted = sklearn.clone(WEIGHTED[names[0]]).fit(X, y)
            np.testing.assert_allclose(p[0], weighted.predict_proba(X), rtol=1e-9)


@pytest.mark.parametrize("prior_beta", [1, 0.99])
def test_whatever_the_weights_the_decision_is_the_same(data, prior_beta):
    """The prior of a weighted classifier is the weighted one, so nothing is corrected twice."""
    X, y = data
    plain = LogitAdjustedClassifier(tree(), prior_beta=prior_beta).fit(X, y).predict_proba(X)
    for name in WEIGHTED:
        model = LogitAdjustedClassifier(WEIGHTED[name], prior_beta=prior_beta).fit(X, y)
        np.testing.assert_allclose(model.predict_proba(X), plain, rtol=1e-10)


@pytest.mark.parametrize("tau", [0, 0.5, 1, 2])
def test_the_published_formula(data, shares, tau):
    X, y = data
    prior = np.unique(y, return_counts=True)[1] / len(y)
    expected = shares * prior**-tau
    expected /= expected.sum(axis=1, keepdims=True)
    model = LogitAdjustedClassifier(tree(), tau=tau).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)


def test_effective_prior(data, shares):
    X, y = data
    count = np.unique(y, return_counts=True)[1]
    expected = shares / (1 - 0.999**count)
    expected /= expected.sum(axis=1, keepdims=True)
    model = LogitAdjustedClassifier(tree(), prior_beta=0.999).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)
    weighted = ClassBalancedClassifier(tree(), beta=0.999).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), weighted.predict(X))


def test_parameters_are_searched_without_another_fit_of_a_frozen_classifier(data):
    X, y = data
    frozen = FrozenEstimator(tree().fit(X, y))
    search = GridSearchCV(
        LogitAdjustedClassifier(frozen), {"tau": [0, 1]}, scoring="balanced_accuracy"
    ).fit(X, y)
    assert search.best_params_ == {"tau": 1}
    assert search.best_estimator_.estimator_.estimator is frozen.estimator


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"tau": -1}, "tau must be a finite number >= 0, got -1"),
        ({"prior_beta": 2}, r"prior_beta must be a number in \[0, 1\], got 2"),
    ],
)
def test_bad_adjustments(data, parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        LogitAdjustedClassifier(tree(), **parameters).fit(*data)


@parametrize_with_checks(
    [
        PriorCorrectedClassifier(LogisticRegression()),
        PriorCorrectedClassifier(ClassBalancedClassifier(LogisticRegression())),
        LogitAdjustedClassifier(LogisticRegression()),
        LogitAdjustedClassifier(ClassBalancedClassifier(LogisticRegression())),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
