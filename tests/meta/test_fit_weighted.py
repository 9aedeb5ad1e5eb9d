import re

import numpy as np
import pytest
import sklearn
from imblearn import FunctionSampler
from imblearn.ensemble import BalancedBaggingClassifier, EasyEnsembleClassifier
from imblearn.pipeline import make_pipeline as make_resampling_pipeline
from imblearn.under_sampling import RandomUnderSampler
from scipy.stats import uniform
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV, RandomizedSearchCV
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier
from skorch import NeuralNetClassifier

from sk_cbloss import CBNeuralNetClassifier, ClassBalancedClassifier, class_balanced_sample_weight
from sk_cbloss.meta._fit_weighted import fit_weighted

bagging_draws_by_weight = pytest.mark.skipif(
    tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8),
    reason="an older Bagging takes weights only where its base estimator does",
)


def logistic(**kwargs):
    return LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000, **kwargs)


class Weighing(ClassifierMixin, BaseEstimator):
    """A classifier with the weighing parameters of the gradient boosting libraries."""

    def __init__(
        self,
        class_weights=None,
        auto_class_weights=None,
        is_unbalance=False,
        scale_pos_weight=None,
    ):
        self.class_weights = class_weights
        self.auto_class_weights = auto_class_weights
        self.is_unbalance = is_unbalance
        self.scale_pos_weight = scale_pos_weight

    def fit(self, X, y, sample_weight=None):
        self.classes_, self.sample_weight_ = np.unique(y), sample_weight
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


@pytest.fixture(scope="module")
def data():
    """Two classes of about 85 and 15 percent."""
    return make_classification(120, 4, n_redundant=0, weights=[0.85], random_state=0)


# --------------------------------------------------------- the weights' way through a Pipeline


def nest(depth, last, make=make_pipeline):
    for _ in range(depth):
        last = make(StandardScaler(), last)
    return last


def final_estimator(model):
    while isinstance(model, Pipeline):
        model = model.steps[-1][1]
    return model


@pytest.mark.parametrize("make", [make_pipeline, make_resampling_pipeline])
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_weights_reach_the_last_step_at_any_depth_and_no_other(data, depth, make):
    X, y = data
    weight = np.random.default_rng(0).uniform(0.5, 3, size=len(y))
    scaled = StandardScaler().fit_transform(X) if depth else X
    model = nest(depth, logistic(), make)
    assert fit_weighted(model, X, y, weight) is model
    np.testing.assert_allclose(
        final_estimator(model).coef_, logistic().fit(scaled, y, weight).coef_, rtol=1e-6
    )


@pytest.mark.parametrize("beta", [0.9, 1])
@pytest.mark.parametrize("depth", [1, 2])
def test_around_a_pipeline_equals_inside_it(data, depth, beta):
    X, y = data
    around = ClassBalancedClassifier(nest(depth, logistic()), beta=beta).fit(X, y)
    inside = nest(depth, ClassBalancedClassifier(logistic(), beta=beta)).fit(X, y)
    np.testing.assert_array_equal(
        final_estimator(around.estimator_).coef_, final_estimator(inside).coef_
    )
    np.testing.assert_array_equal(around.predict_proba(X), inside.predict_proba(X))


def test_step_names_do_not_matter(data):
    X, y = data
    model = Pipeline([("a", MinMaxScaler()), ("b", Pipeline([("sample_weight", Weighing())]))])
    model = ClassBalancedClassifier(model, beta=0.9).fit(X, y)
    np.testing.assert_array_equal(
        final_estimator(model.estimator_).sample_weight_,
        class_balanced_sample_weight(y, beta=0.9),
    )


# ------------------------------------------------------------------------------- accepted


@pytest.mark.parametrize(
    "wrap",
    [
        lambda e: GridSearchCV(e, {"C": [0.1, 1]}, cv=3, error_score="raise"),
        lambda e: VotingClassifier([("a", e), ("b", "drop"), ("c", GaussianNB())], voting="soft"),
        lambda e: StackingClassifier([("a", e), ("b", DecisionTreeClassifier(random_state=0))]),
        lambda e: BaggingClassifier(e, n_estimators=3, random_state=0),
        pytest.param(
            lambda e: BaggingClassifier(KNeighborsClassifier(), n_estimators=3, random_state=0),
            marks=bagging_draws_by_weight,
        ),
        lambda e: CalibratedClassifierCV(e, cv=3),
        lambda e: AdaBoostClassifier(e, n_estimators=3, random_state=0),
        lambda e: make_pipeline(StandardScaler(), GridSearchCV(e, {"C": [0.1, 1]}, cv=3)),
        lambda e: GridSearchCV(VotingClassifier([("a", e)]), {"voting": ["soft"]}, cv=3),
    ],
    ids=[
        "GridSearchCV",
        "VotingClassifier",
        "StackingClassifier",
        "BaggingClassifier",
        "BaggingClassifier of KNeighbors",
        "CalibratedClassifierCV",
        "AdaBoostClassifier",
        "Pipeline of GridSearchCV",
        "GridSearchCV of VotingClassifier",
    ],
)
def test_ensembles_and_searches_of_weighable_classifiers_are_weighed(data, wrap):
    """As if the user had passed the weights to their fit."""
    X, y = data
    model = ClassBalancedClassifier(wrap(logistic()), beta=1).fit(X, y)
    direct = fit_weighted(wrap(logistic()), X, y, class_balanced_sample_weight(y, beta=1))
    np.testing.assert_array_equal(model.predict_proba(X), direct.predict_proba(X))
    unweighted = wrap(logistic()).fit(X, y)
    assert not np.allclose(model.predict_proba(X), unweighted.predict_proba(X), rtol=1e-2)


def test_a_net_of_ours_without_weights_is_weighed(data):
    X, y = data
    net = CBNeuralNetClassifier(beta=0, max_epochs=2, random_state=0)
    weighted = ClassBalancedClassifier(net, beta=1).fit(X, y)
    plain = ClassBalancedClassifier(net, beta=0).fit(X, y)
    assert weighted.predict(X).shape == y.shape
    rare = [model.predict_proba(X)[:, 1].mean() for model in (plain, weighted)]
    assert rare[1] > rare[0]


# ------------------------------------------------------------ refused: no sample_weight in fit


REFUSED = {  # with none inside whose fit takes them
    "KNeighborsClassifier": KNeighborsClassifier(),
    "NeuralNetClassifier": NeuralNetClassifier(MLPClassifier),
    "Pipeline": make_pipeline(StandardScaler(), KNeighborsClassifier()),
    "nested Pipeline": nest(2, KNeighborsClassifier()),
    "GridSearchCV": GridSearchCV(KNeighborsClassifier(), {"n_neighbors": [1]}),
    "GridSearchCV of VotingClassifier": GridSearchCV(
        VotingClassifier([("a", KNeighborsClassifier())]), {"voting": ["hard"]}
    ),
    "EasyEnsembleClassifier": EasyEnsembleClassifier(2),
    "EasyEnsembleClassifier in a Pipeline": make_pipeline(
        StandardScaler(), EasyEnsembleClassifier(2)
    ),
    "EasyEnsembleClassifier in a vote": VotingClassifier([("a", EasyEnsembleClassifier(2))]),
}
REFUSED_AROUND_OTHERS = {
    "VotingClassifier": VotingClassifier(
        [("a", LogisticRegression()), ("b", KNeighborsClassifier())]
    ),
    "StackingClassifier": StackingClassifier(
        [("a", KNeighborsClassifier()), ("b", LogisticRegression())]
    ),
    "SelectFromModel before": make_pipeline(
        SelectFromModel(LogisticRegression()), KNeighborsClassifier()
    ),
    # Its fit takes no weights, whatever is inside.
    "BalancedBaggingClassifier": BalancedBaggingClassifier(LogisticRegression()),
    # They hand weights on by metadata routing only, or not to a Pipeline's last step.
    "OneVsRestClassifier": OneVsRestClassifier(LogisticRegression()),
    "OneVsOneClassifier": OneVsOneClassifier(LogisticRegression()),
    "FixedThresholdClassifier": FixedThresholdClassifier(LogisticRegression()),
    "GridSearchCV of Pipeline": GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1]}
    ),
    "VotingClassifier of Pipeline": VotingClassifier(
        [("a", make_pipeline(StandardScaler(), LogisticRegression()))]
    ),
    "StackingClassifier of Pipeline": StackingClassifier(
        [("a", make_pipeline(StandardScaler(), LogisticRegression()))]
    ),
}


@pytest.mark.parametrize("name", REFUSED | REFUSED_AROUND_OTHERS)
def test_a_classifier_that_weights_do_not_reach_is_refused_with_what_to_do(data, name):
    remedy = "use ClassBalancedSampler in imbalanced-learn's Pipeline"
    if name in REFUSED_AROUND_OTHERS:
        remedy = "put ClassBalancedClassifier around those inside that take it"
    message = f"takes no sample_weight in fit, so its classes cannot be weighted: {remedy}\\.$"
    with pytest.raises(TypeError, match=message):
        ClassBalancedClassifier((REFUSED | REFUSED_AROUND_OTHERS)[name]).fit(*data)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("KNeighborsClassifier", ""),
        ("nested Pipeline", " inside Pipeline"),
        ("VotingClassifier", " inside VotingClassifier"),
        ("GridSearchCV", " inside GridSearchCV"),
    ],
)
def test_the_refused_classifier_is_named_at_any_depth(data, name, place):
    with pytest.raises(TypeError, match=f"^KNeighborsClassifier{place} takes no sample_weight"):
        ClassBalancedClassifier((REFUSED | REFUSED_AROUND_OTHERS)[name]).fit(*data)


@pytest.mark.parametrize(
    "around",
    [
        lambda pipeline: pipeline,
        lambda pipeline: make_pipeline(StandardScaler(), pipeline),
        lambda pipeline: make_resampling_pipeline(StandardScaler(), pipeline),
        lambda pipeline: GridSearchCV(pipeline, {"logisticregression__C": [1]}),
    ],
    ids=["alone", "in a Pipeline", "in imbalanced-learn's Pipeline", "in a search"],
)
@pytest.mark.parametrize(
    "sampler",
    [RandomUnderSampler(random_state=0), FunctionSampler(func=lambda X, y: (X[::-1], y[::-1]))],
    ids=["fewer samples", "as many samples in another order"],
)
def test_a_sampler_inside_is_refused(data, sampler, around):
    """Resampling would leave the weights with other samples than their own."""
    pipeline = make_resampling_pipeline(sampler, LogisticRegression())
    with pytest.raises(TypeError, match=r"Sampler inside .* takes no sample_weight in fit"):
        ClassBalancedClassifier(around(pipeline)).fit(*data)


# --------------------------------------------------------------- refused: weighs classes twice


BALANCED = LogisticRegression(class_weight="balanced")
TWICE = {
    "class_weight": (BALANCED, "class_weight=None, got 'balanced'"),
    "class_weight dict": (
        LogisticRegression(class_weight={0: 1, 1: 5}),
        r"class_weight=None, got {0: 1, 1: 5}",
    ),
    "Pipeline": (make_pipeline(StandardScaler(), BALANCED), "class_weight=None, got 'balanced'"),
    "nested Pipeline": (nest(2, BALANCED), "class_weight=None, got 'balanced'"),
    "BaggingClassifier": (
        BaggingClassifier(estimator=BALANCED),
        "class_weight=None, got 'balanced'",
    ),
    "VotingClassifier": (
        VotingClassifier([("a", BALANCED)]),
        "class_weight=None, got 'balanced'",
    ),
    "GridSearchCV": (
        GridSearchCV(BALANCED, {"C": [1]}),
        "class_weight=None, got 'balanced'",
    ),
    "class_weights": (Weighing(class_weights=[1, 2]), r"class_weights=None, got \[1, 2\]"),
    "class_weights array": (Weighing(class_weights=np.array([1, 2])), r"class_weights=None, got "),
    "auto_class_weights": (
        Weighing(auto_class_weights="Balanced"),
        "auto_class_weights=None, got 'Balanced'",
    ),
    "is_unbalance": (Weighing(is_unbalance=True), "is_unbalance=None, got True"),
    "scale_pos_weight": (Weighing(scale_pos_weight=3), "scale_pos_weight=None, got 3"),
}


@pytest.mark.parametrize("name", TWICE)
def test_a_classifier_that_weighs_classes_is_refused(data, name):
    estimator, setting = TWICE[name]
    message = f"must not weight classes itself, or they are weighted twice: set {setting}"
    with pytest.raises(ValueError, match=message):
        ClassBalancedClassifier(estimator).fit(*data)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda e: e,
        lambda e: make_pipeline(StandardScaler(), e),
        lambda e: GridSearchCV(e, {"beta": [0.9]}, cv=2),
        lambda e: BaggingClassifier(e, n_estimators=2),
        lambda e: VotingClassifier([("a", e)]),
    ],
    ids=["alone", "Pipeline", "GridSearchCV", "BaggingClassifier", "VotingClassifier"],
)
@pytest.mark.parametrize(
    "ours",
    [
        CBNeuralNetClassifier(max_epochs=1, verbose=0),
        CBNeuralNetClassifier(beta=0.9, max_epochs=1, verbose=0),
        ClassBalancedClassifier(LogisticRegression()),
        ClassBalancedClassifier(LogisticRegression(), beta=1),
    ],
    ids=["net by default", "net", "meta by default", "meta"],
)
def test_one_of_ours_that_weighs_classes_is_refused(data, ours, wrap):
    with pytest.raises(ValueError, match="must not weight classes itself, .* set .*beta=0"):
        ClassBalancedClassifier(wrap(ours)).fit(*data)


def test_one_of_ours_that_weighs_nothing_is_accepted(data):
    X, y = data
    twice = ClassBalancedClassifier(ClassBalancedClassifier(logistic(), beta=0), beta=1).fit(X, y)
    once = ClassBalancedClassifier(logistic(), beta=1).fit(X, y)
    np.testing.assert_allclose(twice.coef_, once.coef_, rtol=1e-6)


def test_an_invalid_loss_of_our_net_is_named(data):
    with pytest.raises(ValueError, match=r"^loss must be one of .*, got 'unheard of'\."):
        ClassBalancedClassifier(CBNeuralNetClassifier(loss="unheard of")).fit(*data)


@pytest.mark.parametrize(
    "estimator",
    [
        Weighing(),
        Weighing(auto_class_weights="None"),
        Weighing(is_unbalance=None),
        Weighing(scale_pos_weight=1),
        Weighing(scale_pos_weight=1.0),
        LogisticRegression(class_weight=None),
    ],
    ids=lambda e: repr(e),
)
def test_weighing_that_is_switched_off_is_accepted(data, estimator):
    assert ClassBalancedClassifier(estimator).fit(*data).predict(data[0]).shape == data[1].shape


@pytest.mark.parametrize(
    "wrap",
    [
        lambda pipeline: pipeline,
        lambda pipeline: make_pipeline(StandardScaler(), pipeline),
        pytest.param(
            lambda pipeline: BaggingClassifier(pipeline, n_estimators=2, random_state=0),
            marks=bagging_draws_by_weight,
        ),
    ],
    ids=["Pipeline", "nested Pipeline", "BaggingClassifier of Pipeline"],
)
def test_a_weighing_feature_selector_before_the_classifier_is_accepted(data, wrap):
    """It chooses features, and its weights go no further."""
    X, y = data
    model = wrap(make_pipeline(SelectFromModel(BALANCED), LogisticRegression()))
    assert ClassBalancedClassifier(model).fit(X, y).predict(X).shape == y.shape


@pytest.mark.parametrize(
    "estimator",
    [
        Ridge(),
        make_pipeline(StandardScaler(), Ridge()),
        None,
        "lr",
        Pipeline([]),
        make_pipeline(StandardScaler(), "passthrough"),
    ],
)
def test_what_is_no_classifier_is_refused(data, estimator):
    message = "^estimator must be a classifier, or a Pipeline that ends in one, got "
    with pytest.raises(TypeError, match=message + re.escape(repr(estimator))):
        ClassBalancedClassifier(estimator).fit(*data)


def test_a_class_in_place_of_an_instance_is_refused(data):
    with pytest.raises(TypeError, match="^estimator must be an instance, got the class Logistic"):
        ClassBalancedClassifier(LogisticRegression).fit(*data)


@pytest.mark.parametrize(
    "search",
    [
        GridSearchCV(LogisticRegression(), {"class_weight": [None, "balanced"]}),
        GridSearchCV(LogisticRegression(), [{"C": [1]}, {"class_weight": ["balanced"]}]),
        RandomizedSearchCV(Weighing(), {"scale_pos_weight": uniform(1, 9)}, n_iter=2),
        GridSearchCV(CBNeuralNetClassifier(beta=0), {"beta": np.array([0, 0.9])}),
        GridSearchCV(CBNeuralNetClassifier(beta=0), {"beta": [0, None]}),
        GridSearchCV(ClassBalancedClassifier(LogisticRegression(), beta=0), {"beta": [0.9]}),
    ],
    ids=lambda search: type(search.estimator).__name__,
)
def test_a_search_that_would_weigh_classes_is_refused(data, search):
    with pytest.raises(
        ValueError, match="SearchCV must not search .* weighted twice: search beta"
    ):
        ClassBalancedClassifier(search).fit(*data)


def test_a_search_over_what_weighs_nothing_is_accepted(data):
    grid = {"class_weight": [None], "C": [0.1, 1]}
    search = GridSearchCV(LogisticRegression(), grid, cv=2)
    assert ClassBalancedClassifier(search).fit(*data).best_params_["class_weight"] is None
