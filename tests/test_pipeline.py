import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn.pipeline
from imblearn.over_sampling import RandomOverSampler
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    ClassBalancedWeigher,
    UnusedWeightsWarning,
    class_balanced_sample_weight,
)
from sk_cbloss.pipeline import Pipeline, make_pipeline


class Recorder(ClassifierMixin, BaseEstimator):
    """Keep the weights that fit receives."""

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.unique(y)
        self.sample_weight_ = sample_weight
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    y = np.array(["head"] * 60 + ["tail"] * 9 + ["mid"] * 21)
    return rng.normal(size=(90, 3)) + (y == "tail")[:, None], y


@pytest.fixture
def own():
    return np.random.default_rng(1).uniform(0.5, 2, size=90)


def weighed(last=None, beta=0.9, **parameters):
    last = Recorder() if last is None else last
    return make_pipeline(StandardScaler(), ClassBalancedWeigher(beta), last, **parameters)


def test_the_last_step_gets_the_weights(data):
    X, y = data
    model = weighed().fit(X, y)
    assert isinstance(model, sklearn.pipeline.Pipeline)
    expected = class_balanced_sample_weight(y, beta=0.9)
    np.testing.assert_array_equal(model[-1].sample_weight_, expected)


@pytest.mark.parametrize("place", [0, 1])
def test_it_is_the_meta_estimator(data, place):
    """Wherever the weigher stands."""
    X, y = data
    steps = [("scale", StandardScaler())]
    steps.insert(place, ("weigh", ClassBalancedWeigher(0.99, normalize="classes")))
    model = Pipeline([*steps, ("last", LogisticRegression())]).fit(X, y)
    wrapped = ClassBalancedClassifier(
        sklearn.pipeline.make_pipeline(StandardScaler(), LogisticRegression()),
        beta=0.99,
        normalize="classes",
    ).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), wrapped.predict_proba(X))


def test_without_a_weigher_it_is_scikit_learns(data, own):
    X, y = data
    model = make_pipeline(StandardScaler(), Recorder())
    assert model.fit(X, y)[-1].sample_weight_ is None
    np.testing.assert_array_equal(
        model.fit(X, y, recorder__sample_weight=own)[-1].sample_weight_, own
    )


def test_a_search_weighs_every_fold_anew(data):
    X, y = data
    search = GridSearchCV(
        weighed(LogisticRegression()),
        {"classbalancedweigher__beta": [0, 0.9, 1]},
        scoring="balanced_accuracy",
        cv=3,
        n_jobs=2,
    ).fit(X, y)
    wrapped = GridSearchCV(
        sklearn.pipeline.make_pipeline(
            StandardScaler(), ClassBalancedClassifier(LogisticRegression())
        ),
        {"classbalancedclassifier__beta": [0, 0.9, 1]},
        scoring="balanced_accuracy",
        cv=3,
    ).fit(X, y)
    ours, theirs = (s.cv_results_["mean_test_score"] for s in (search, wrapped))
    np.testing.assert_array_equal(ours, theirs)
    assert ours[0] < ours[2]
    assert cross_validate(weighed(), X, y, error_score="raise")["test_score"].shape == (5,)


def test_clone_parameters_and_slices(data):
    X, y = data
    model = clone(weighed()).set_params(classbalancedweigher__beta=1).fit(X, y)
    expected = class_balanced_sample_weight(y, beta=1)
    np.testing.assert_array_equal(model[-1].sample_weight_, expected)
    assert isinstance(model[:-1], Pipeline)
    assert model[:-1].transform(X).shape == X.shape
    assert model["classbalancedweigher"].class_count_.tolist() == [60, 21, 9]
    assert not hasattr(model, "_labels")


def test_memory(data, tmp_path):
    """The weigher that is read back from the disk gives the same weights, without a warning."""
    X, y = data
    for beta in (0.9, 0.9, 0.5):
        model = weighed(beta=beta, memory=str(tmp_path)).fit(X, y)
        expected = class_balanced_sample_weight(y, beta=beta)
        np.testing.assert_array_equal(model[-1].sample_weight_, expected)


@pytest.mark.parametrize("step", ["recorder", "classbalancedweigher"])
@pytest.mark.parametrize("kind", [np.asarray, list, pd.Series])
def test_own_weights_multiply_and_are_counted(data, own, step, kind):
    X, y = data
    model = weighed().fit(X, y, **{f"{step}__sample_weight": kind(own)})
    expected = class_balanced_sample_weight(y, beta=0.9, sample_weight=own)
    np.testing.assert_allclose(model[-1].sample_weight_, expected, rtol=1e-14)


def test_with_metadata_routing(data, own):
    X, y = data
    with config_context(enable_metadata_routing=True):
        np.testing.assert_array_equal(
            weighed().fit(X, y)[-1].sample_weight_, class_balanced_sample_weight(y, beta=0.9)
        )
        model = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            ClassBalancedWeigher(0.9).set_fit_request(sample_weight=True),
            Recorder().set_fit_request(sample_weight=True),
        )
        model.fit(X, y, sample_weight=own)
        expected = class_balanced_sample_weight(y, beta=0.9, sample_weight=own)
        np.testing.assert_allclose(model[-1].sample_weight_, expected, rtol=1e-14)
        scorer = make_scorer(accuracy_score).set_score_request(sample_weight=False)
        given = {"params": {"sample_weight": own}, "error_score": "raise"}
        cross_validate(model, X, y, scoring=scorer, **given)


@pytest.mark.parametrize("make", [make_pipeline, sklearn.pipeline.make_pipeline])
def test_the_last_step_may_be_a_pipeline(data, own, make):
    X, y = data
    model = weighed(make(StandardScaler(), Recorder())).fit(X, y)
    expected = class_balanced_sample_weight(y, beta=0.9)
    np.testing.assert_array_equal(model[-1][-1].sample_weight_, expected)
    model.fit(X, y, pipeline__recorder__sample_weight=own)
    expected = class_balanced_sample_weight(y, beta=0.9, sample_weight=own)
    np.testing.assert_allclose(model[-1][-1].sample_weight_, expected, rtol=1e-14)


def test_a_net_may_be_last(data):
    X, y = data
    net = CBNeuralNetClassifier(beta=0, max_epochs=2, random_state=0)
    model = weighed(net).fit(X.astype("float32"), y)
    assert model.predict(X.astype("float32")).shape == y.shape


def test_a_last_step_without_sample_weight_is_refused(data):
    with pytest.raises(TypeError, match="^KNeighborsClassifier takes no sample_weight in fit"):
        weighed(KNeighborsClassifier()).fit(*data)


@pytest.mark.parametrize(
    "last",
    [
        SVC(class_weight="balanced"),
        ClassBalancedClassifier(LogisticRegression()),
        CBNeuralNetClassifier(),
        weighed(),
    ],
)
def test_classes_are_not_weighed_twice(data, last):
    with pytest.raises(ValueError, match="must not weight classes itself"):
        weighed(last).fit(*data)
    if isinstance(last, Pipeline):
        with pytest.raises(ValueError, match="^Pipeline must not weight classes itself"):
            ClassBalancedClassifier(last).fit(*data)


def test_a_sampler_is_refused(data):
    sampler = RandomOverSampler()
    model = make_pipeline(sampler, ClassBalancedWeigher(), LogisticRegression())
    with pytest.raises(TypeError, match="imbalanced-learn's Pipeline, with Class"):
        model.fit(*data)


def test_two_weighers_are_refused(data):
    model = make_pipeline(ClassBalancedWeigher(), ClassBalancedWeigher(), Recorder())
    with pytest.raises(ValueError, match=r"one ClassBalancedWeigher, got 2: \['classbalan"):
        model.fit(*data)


@pytest.mark.parametrize("last", ["passthrough", StandardScaler(), ClassBalancedWeigher()])
def test_with_no_classifier_last(data, last):
    """Nobody is there to take weights; a weigher that has no use says so."""
    X, y = data
    model = make_pipeline(ClassBalancedWeigher(), last)
    if isinstance(last, StandardScaler):
        with pytest.raises(TypeError, match="^the last step must be a classifier, or a Pipeline"):
            model.fit(X, y)
    else:
        with pytest.warns(UnusedWeightsWarning, match=r"sk_cbloss\.pipeline\.Pipeline"):
            model.fit_transform(X, y)


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([], "pipeline is empty|not enough values to unpack"),  # the latter in 1.6
        (None, "The 'steps' parameter of Pipeline must be an instance of 'list'. Got None"),
        ("abc", "The 'steps' parameter of Pipeline must be an instance of 'list'. Got 'abc'"),
    ],
)
def test_of_what_is_no_list_of_steps_scikit_learn_has_its_say(data, steps, said):
    with pytest.raises(ValueError, match=said):
        Pipeline(steps).fit(*data)


def test_a_failed_fit_leaves_no_trace(data):
    X, y = data
    model = weighed(LogisticRegression(C=-1))
    with pytest.raises(ValueError, match="'C' parameter"):
        model.fit(X, y)
    assert not hasattr(model, "_labels")
    with pytest.warns(UnusedWeightsWarning):
        ClassBalancedWeigher().fit_transform(X, y)


def test_others_are_still_warned_meanwhile(data):
    """The mark of one fit is not seen by another pipeline, such as a transformer inside."""
    X, y = data
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        sklearn.pipeline.make_pipeline(ClassBalancedWeigher(), LogisticRegression()).fit(X, y)
        weighed().fit(X, y)
    assert [w.category for w in seen] == [UnusedWeightsWarning]


# What scikit-learn's own Pipeline fails, too.
STEPS_ARE_FITTED_IN_PLACE = {
    "check_estimators_overwrite_params": "a Pipeline's steps are fitted in place",
    "check_dont_overwrite_parameters": "a Pipeline's steps are fitted in place",
}


@parametrize_with_checks(
    [make_pipeline(StandardScaler(), ClassBalancedWeigher(), LogisticRegression())],
    expected_failed_checks=lambda _: STEPS_ARE_FITTED_IN_PLACE,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
