"""The table of ways in which classifiers weigh classes, asked by all wrappers."""

import numpy as np
import pytest
from imblearn.ensemble import BalancedRandomForestClassifier
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.metrics import recall_score
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB
from sklearn.neighbors import (
    KNeighborsClassifier,
    NearestCentroid,
    RadiusNeighborsClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.validation import has_fit_parameter

from sk_cbloss import (
    ClassBalancedClassifier,
    ClassBalancedWeigher,
    ConformalClassifierCV,
    DecisionClassifierCV,
    LogitAdjustedClassifier,
    PriorCorrectedClassifier,
)
from sk_cbloss import pipeline as weighing_pipeline
from sk_cbloss.meta._natural import weights_within

ASKING = [
    PriorCorrectedClassifier,
    LogitAdjustedClassifier,
    ConformalClassifierCV,
    DecisionClassifierCV,
]


def yes_no(n=20_000, share=0.1):
    """Return independent features of yes and no, of which naive Bayes is the truth."""
    rng = np.random.default_rng(0)
    y = (rng.random(n) < share).astype(int)
    return (rng.random((n, 3)) < np.where(y, 0.6, 0.3)[:, None]).astype(float), y


def three_bells(n=4000, share=(0.9, 0.08, 0.02)):
    rng = np.random.default_rng(0)
    y = rng.choice(3, size=n, p=share)
    return rng.normal(size=(n, 2)) + 1.5 * np.eye(3)[y][:, :2] + 0.5 * (y == 2)[:, None], y


GIVEN_PRIORS = {
    "fit_prior": BernoulliNB(fit_prior=False),
    "class_prior": BernoulliNB(class_prior=[0.5, 0.5]),
    "class_prior first": BernoulliNB(class_prior=[0.2, 0.8], fit_prior=False),
    "priors": GaussianNB(priors=[0.3, 0.7]),
    "priors of a discriminant": QuadraticDiscriminantAnalysis(priors=[0.5, 0.5]),
}


@pytest.mark.parametrize("name", GIVEN_PRIORS)
def test_a_given_prior_is_undone_exactly(name):
    """As if it had been learned."""
    X, y = yes_no()
    given = GIVEN_PRIORS[name]
    off = {"fit_prior": True, "class_prior": None, "priors": None}
    learned = clone(given).set_params(**{k: off[k] for k in off if k in given.get_params()})
    expected = learned.fit(X, y).predict_proba(X)
    natural = PriorCorrectedClassifier(given).fit(X, y)
    np.testing.assert_allclose(natural.predict_proba(X), expected, rtol=1e-6)
    if isinstance(given, BernoulliNB):
        assert natural.predict_proba(X)[:, 1].mean() == pytest.approx(0.1, abs=0.01)
    decisions = [LogitAdjustedClassifier(model).fit(X, y).predict(X) for model in (given, learned)]
    np.testing.assert_array_equal(*decisions)
    recalls = recall_score(y, decisions[0], average=None)
    assert recalls.min() > 0.5


@pytest.mark.parametrize("wrapper", ASKING)
@pytest.mark.parametrize(
    "estimator", [QuadraticDiscriminantAnalysis(priors=[0.5, 0.5]), BernoulliNB(class_prior=[1])]
)
def test_a_given_prior_is_one_for_each_class(wrapper, estimator):
    match = f"^{type(estimator).__name__} must be given a prior for each of the 3 classes, got"
    with pytest.raises(ValueError, match=match):
        wrapper(estimator).fit(*three_bells(200))


def test_a_given_prior_beside_weights_of_ones_own():
    X, y = yes_no()
    own = np.random.default_rng(1).uniform(0.5, 2, len(y)) * np.where(y, 3, 1)
    natural = PriorCorrectedClassifier(BernoulliNB(fit_prior=False)).fit(X, y, own)
    expected = BernoulliNB().fit(X, y, own).predict_proba(X)
    np.testing.assert_allclose(natural.predict_proba(X), expected, rtol=1e-9)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda e: e,
        lambda e: make_pipeline(StandardScaler(), e),
        lambda e: VotingClassifier([("a", e)], voting="soft"),
        lambda e: GridSearchCV(e, {"var_smoothing": [1e-9]}),
    ],
)
def test_what_keeps_a_given_prior_cannot_be_weighed(wrap):
    message = (
        "^GaussianNB must learn how frequent classes are, or their weights cannot reach its "
        r"probabilities: set priors=None, got \[0.5, 0.5\]\."
    )
    with pytest.raises(ValueError, match=message):
        ClassBalancedClassifier(wrap(GaussianNB(priors=[0.5, 0.5]))).fit(*yes_no(100))


@pytest.mark.parametrize(
    ("estimator", "setting"),
    [
        (BernoulliNB(fit_prior=False), "fit_prior=True, got False"),
        (BernoulliNB(class_prior=[0.5, 0.5]), "class_prior=None, got"),
        (GaussianNB(priors=np.array([0.5, 0.5])), "priors=None, got array"),
    ],
)
def test_the_parameter_of_a_given_prior_is_named(estimator, setting):
    with pytest.raises(ValueError, match=f"set {setting}"):
        ClassBalancedClassifier(estimator).fit(*yes_no(100))
    model = weighing_pipeline.make_pipeline(ClassBalancedWeigher(), estimator)
    with pytest.raises(ValueError, match=f"set {setting}"):
        model.fit(*yes_no(100))


@pytest.mark.parametrize(
    "learner",
    [
        lambda e: CalibratedClassifierCV(e, cv=2),
        lambda e: StackingClassifier([("a", e)], LogisticRegression(), cv=2),
    ],
)
def test_what_learns_from_a_given_prior_can_be_weighed(learner):
    X, y = yes_no(5000)
    model = ClassBalancedClassifier(learner(GaussianNB(priors=[0.5, 0.5])), beta=1).fit(X, y)
    assert model.predict_proba(X)[:, 1].mean() == pytest.approx(0.5, abs=0.1)
    assert model.predict_natural_proba(X)[:, 1].mean() == pytest.approx(y.mean(), abs=0.02)


@pytest.mark.parametrize("beta", [0, 0.999, 1])
def test_naive_bayes_that_learns_its_prior_is_weighed(beta):
    X, y = yes_no()
    for model in (BernoulliNB(), GaussianNB()):
        weighted = ClassBalancedClassifier(model, beta=beta).fit(X, y)
        natural = weighted.predict_natural_proba(X)[:, 1].mean()
        assert natural == pytest.approx(y.mean(), abs=0.01)
    # It has a prior, but no use for it.
    assert (
        ClassBalancedClassifier(ComplementNB(fit_prior=False), beta=beta).fit(X, y).classes_.size
    )


@pytest.mark.parametrize("wrapper", ASKING)
@pytest.mark.parametrize("weight", ["balanced", {0: 1, 1: 11, 2: 45}])
def test_one_class_against_the_rest_cannot_be_undone(wrapper, weight):
    """There a weight acts on the positive side alone."""
    model = SGDClassifier(loss="log_loss", class_weight=weight)
    with pytest.raises(ValueError, match="can be undone, got class_weight=.* of SGDClassifier"):
        wrapper(model).fit(*three_bells(200))


def test_one_class_against_one_other_can():
    X, y = three_bells()
    two = (y > 0).astype(int)
    sgd = SGDClassifier(loss="log_loss", random_state=0)
    natural = PriorCorrectedClassifier(clone(sgd).set_params(class_weight="balanced"))
    expected = ClassBalancedClassifier(sgd, beta=1).fit(X, two).predict_natural_proba(X)
    np.testing.assert_allclose(natural.fit(X, two).predict_proba(X), expected, rtol=1e-6)


def test_sample_weights_reach_both_sides_of_one_against_the_rest():
    """Where features tell nothing, probabilities are the shares."""
    _, y = three_bells(20_000)
    X = np.zeros((len(y), 1))
    sgd = SGDClassifier(loss="log_loss", random_state=0, average=True, alpha=1e-3)
    model = ClassBalancedClassifier(sgd, beta=1).fit(X, y)
    share = np.bincount(y) / len(y)
    np.testing.assert_allclose(model.predict_natural_proba(X[0:1])[0], share, atol=0.01)


@pytest.mark.filterwarnings("ignore:.*probability.*:FutureWarning")
@pytest.mark.parametrize("n_classes", [2, 3])
def test_platts_scaling_of_support_vector_machines_sees_no_weights(n_classes):
    X, y = three_bells(1500)
    y = np.minimum(y, n_classes - 1)
    share = np.bincount(y) / len(y)
    svc = SVC(probability=True, random_state=0)
    balanced = clone(svc).set_params(class_weight="balanced")
    weighted = ClassBalancedClassifier(svc, beta=1)
    for model in (balanced, weighted, make_pipeline(StandardScaler(), balanced)):
        natural = PriorCorrectedClassifier(model).fit(X, y)
        np.testing.assert_array_equal(natural.class_weight_, 1)
        np.testing.assert_allclose(natural.predict_proba(X).mean(axis=0), share, atol=0.02)
    p = weighted.fit(X, y).predict_natural_proba(X)
    np.testing.assert_allclose(p, weighted.predict_proba(X), rtol=1e-12)


class Boosting(DecisionTreeClassifier):
    """Take the parameters of a boosting library, and none of them if there are three classes."""

    def __init__(self, *, scale_pos_weight=None, is_unbalance=False, unbalance=False):
        super().__init__(max_depth=3, random_state=0)
        self.scale_pos_weight = scale_pos_weight
        self.is_unbalance = is_unbalance
        self.unbalance = unbalance

    def fit(self, X, y, sample_weight=None):
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("parameter", [{"scale_pos_weight": 5}, {"unbalance": True}])
@pytest.mark.parametrize("wrapper", [*ASKING, ClassBalancedClassifier])
def test_what_has_no_effect_on_three_classes_is_left_alone(wrapper, parameter):
    X, y = three_bells(1000)
    model = wrapper(Boosting(**parameter)).fit(X, y)
    plain = wrapper(Boosting()).fit(X, y)
    np.testing.assert_array_equal(model.class_weight_, plain.class_weight_)
    np.testing.assert_array_equal(model.predict_natural_proba(X), plain.predict_natural_proba(X))
    pipe = weighing_pipeline.make_pipeline(ClassBalancedWeigher(), Boosting(**parameter))
    np.testing.assert_array_equal(pipe.fit(X, y).classes_, [0, 1, 2])


def test_other_names_of_a_parameter_are_known():
    for name in ("unbalance", "is_unbalance"):
        model = Boosting(**{name: True})
        with pytest.raises(ValueError, match=f"weighted twice: set {name}=None, got True"):
            ClassBalancedClassifier(model).fit(*yes_no(100))
        weight = weights_within(model, np.array([0, 1]), np.repeat([0, 1], [80, 20]))
        assert weight[1] / weight[0] == pytest.approx(4)


@pytest.mark.parametrize(
    "off",
    [
        BernoulliNB(fit_prior=np.True_),
        Boosting(is_unbalance=np.False_),
        Boosting(unbalance="false"),
        Boosting(scale_pos_weight=np.float32(1)),
    ],
)
def test_what_is_switched_off_in_other_words_does_not_weigh(off):
    X, y = yes_no(1000)
    assert PriorCorrectedClassifier(off).fit(X, y).class_weight_.tolist() == [1, 1]
    assert ClassBalancedClassifier(off, beta=1).fit(X, y).classes_.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("estimator", "got"),
    [
        (LogisticRegression(class_weight={0: "a"}), "class_weight={0: 'a'}"),
        (LogisticRegression(class_weight=5), "class_weight=5"),
        (Boosting(scale_pos_weight="a"), "scale_pos_weight='a'"),
        (NearestCentroid(priors=[0.5, 0.5]), "priors=.0.5, 0.5. of NearestCentroid"),
    ],
)
@pytest.mark.parametrize("wrapper", ASKING)
def test_what_cannot_be_read_as_weights_cannot_be_undone(wrapper, estimator, got):
    with pytest.raises(ValueError, match=f"in a way that can be undone, got {got}"):
        wrapper(estimator).fit(*yes_no(100))


def test_a_forest_that_resamples_is_not_weighed_too():
    with pytest.raises(
        ValueError, match="weighted twice: take one that does not resample, got sam"
    ):
        ClassBalancedClassifier(BalancedRandomForestClassifier()).fit(*yes_no(100))


@pytest.mark.parametrize(
    ("inner", "name"),
    [
        (make_pipeline(StandardScaler(), LogisticRegression()), "Pipeline"),
        (KNeighborsClassifier(), "KNeighborsClassifier"),
        pytest.param(
            *(VotingClassifier([("a", LogisticRegression())], voting="soft"), "VotingClassifier"),
            marks=pytest.mark.skipif(
                has_fit_parameter(VotingClassifier(()), "sample_weight"),
                reason="in older versions of scikit-learn it hands weights on by itself",
            ),
        ),
        (GridSearchCV(LogisticRegression(), {"C": [1]}), "GridSearchCV"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_calibration_that_would_hide_an_unweighted_fit_is_refused(inner, name):
    with pytest.raises(TypeError, match=f"^{name} inside Calib.* takes no sample_weight in fit"):
        ClassBalancedClassifier(CalibratedClassifierCV(inner)).fit(*yes_no(100))


@pytest.mark.filterwarnings("ignore:Since FrozenEstimator does not appear to accept")
def test_the_calibration_of_a_fitted_classifier_is_weighed():
    X, y = yes_no(5000)
    frozen = FrozenEstimator(KNeighborsClassifier(100).fit(X, y))
    model = ClassBalancedClassifier(CalibratedClassifierCV(frozen), beta=1).fit(X, y)
    assert model.predict_proba(X)[:, 1].mean() == pytest.approx(0.5, abs=0.1)


# ----------------------------------------------------------- another order of the classes inside


class ByNumber(ClassifierMixin, BaseEstimator):
    """Sort texts by the numbers that they are, and answer in a column, as CatBoost does."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.array(sorted(np.unique(y), key=int))
        code = np.array([self.classes_.tolist().index(label) for label in y])
        self.tree_ = DecisionTreeClassifier(max_depth=4, random_state=0)
        self.tree_.fit(X, code, sample_weight)
        return self

    def predict(self, X):
        return self.classes_[self.tree_.predict(X)][:, None]

    def predict_proba(self, X):
        return self.tree_.predict_proba(X)

    def predict_log_proba(self, X):
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def decision_function(self, X):
        scores = self.predict_proba(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores


TEXTS = np.array(["2", "10", "1"])  # which numpy sorts as 1, 10, 2


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("wrapper", [*ASKING, ClassBalancedClassifier])
def test_columns_are_those_of_our_classes(wrapper, n_classes):
    X, codes = three_bells()
    codes = np.minimum(codes, n_classes - 1)
    labels = TEXTS[codes]
    theirs = wrapper(DecisionTreeClassifier(max_depth=4, random_state=0)).fit(X, labels)
    ours = wrapper(ByNumber()).fit(X, labels)
    assert ours.classes_.tolist() == sorted(set(labels.tolist()))
    assert ours.class_count_.tolist() == [(labels == label).sum() for label in ours.classes_]
    np.testing.assert_array_equal(ours.class_weight_, theirs.class_weight_)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    for method in ("predict_proba", "predict_log_proba", "predict_natural_proba"):
        if hasattr(ours, method) and hasattr(theirs, method):
            with np.errstate(divide="ignore"):
                expected, got = getattr(theirs, method)(X), getattr(ours, method)(X)
            np.testing.assert_allclose(got, expected, rtol=1e-9, err_msg=method)
    if wrapper is ClassBalancedClassifier:
        scores, p = ours.decision_function(X), ours.predict_proba(X)
        np.testing.assert_allclose(scores, p[:, 1] - p[:, 0] if n_classes == 2 else p)
    natural = ours.predict_natural_proba(X).mean(axis=0)
    np.testing.assert_allclose(natural, ours.class_count_ / len(labels), atol=0.01)
    frozen = wrapper(FrozenEstimator(ByNumber().fit(X, labels)))
    if wrapper is not ClassBalancedClassifier:
        np.testing.assert_array_equal(
            frozen.fit(X, labels).predict_natural_proba(X),
            wrapper(ByNumber()).fit(X, labels).predict_natural_proba(X),
        )


def test_the_positive_class_is_the_second_inside():
    X, codes = three_bells()
    labels = np.where(codes > 0, "10", "9")  # inside, 9 comes first

    class Positive(ByNumber):
        def __init__(self, scale_pos_weight=None):
            self.scale_pos_weight = scale_pos_weight

        def fit(self, X, y):
            return super().fit(X, y, np.where(y == "10", self.scale_pos_weight or 1, 1))

    weighted = PriorCorrectedClassifier(Positive(9)).fit(X, labels)
    assert weighted.class_weight_.tolist() == [9, 1]
    assert weighted.predict_proba(X)[:, 0].mean() == pytest.approx((codes > 0).mean(), abs=0.01)


# -------------------------------------------------------------------- what is no probability


class RawScores(DecisionTreeClassifier):
    """Answer by scores, as LightGBM does where the objective is one's own."""

    def __init__(self, kind="1-dimensional"):
        super().__init__(random_state=0)
        self.kind = kind

    def predict_proba(self, X):
        p = super().predict_proba(X)
        scores = {"1-dimensional": p[:, 1] - 0.5, "negative": p - 0.5, "no sum": p / 2}
        return scores.get(self.kind, p * np.nan)

    def predict(self, X):
        return super().predict_proba(X)[:, 1] - 0.5


@pytest.mark.filterwarnings("ignore:Outlier label")
@pytest.mark.parametrize("wrapper", ASKING)
def test_of_a_sample_that_is_like_none_all_classes_are_alike(wrapper):
    X, y = three_bells(300)
    far = [[100.0, 100.0]]
    model = RadiusNeighborsClassifier(2.0, outlier_label=9)  # which is no class of these
    assert not model.fit(X, y).predict_proba(far).any()
    fitted = wrapper(model).fit(X, y)
    np.testing.assert_allclose(fitted.predict_natural_proba(far), [[1 / 3] * 3])


@pytest.mark.parametrize("kind", ["1-dimensional", "negative", "no sum", "nan"])
@pytest.mark.parametrize("wrapper", [*ASKING, ClassBalancedClassifier])
def test_what_is_no_probability_is_said_to_be_none(wrapper, kind):
    X, y = yes_no(200)
    message = "^predict_proba of RawScores must give numbers >= 0 that sum to 1, one for each of 2"
    with pytest.raises(ValueError, match=message):
        wrapper(RawScores(kind)).fit(X, y).predict_proba(X)
    if wrapper is ClassBalancedClassifier:
        fitted = wrapper(RawScores(kind)).fit(X, y)
        with pytest.raises(ValueError, match=message):
            fitted.predict_natural_proba(X)
        with pytest.raises(ValueError, match="^predict of RawScores must give classes, got -0"):
            fitted.predict(X)
