"""What is learned out of fold: rows, groups, jobs, weights and failures."""

from functools import partial

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, StratifiedKFold, cross_validate
from sklearn.svm import LinearSVC

from sk_cbloss import (
    DecisionClassifierCV,
    LogitAdjustedClassifier,
    PriorCorrectedClassifier,
    load_digits_lt,
    make_long_tailed_classification,
)

X, Y = load_digits_lt(return_X_y=True)
X = X / 16
PLAIN = LogisticRegression(max_iter=1000)
CROSS_FITTED = [
    DecisionClassifierCV,
    partial(DecisionClassifierCV, metric="f1_macro"),
    partial(DecisionClassifierCV, metric="accuracy"),
    partial(DecisionClassifierCV, min_recall=0.3),
]
every_wrapper = pytest.mark.parametrize(
    "wrapper", CROSS_FITTED, ids=["balanced", "macro-F1", "accuracy", "recall"]
)


class Counting(LogisticRegression):
    """Count the fits of all copies."""

    n_fits = 0

    def fit(self, X, y, sample_weight=None):
        Counting.n_fits += 1
        return super().fit(X, y, sample_weight)


@every_wrapper
def test_one_fit_for_each_fold_and_one_for_all(wrapper):
    Counting.n_fits = 0
    wrapper(Counting(max_iter=1000), cv=3).fit(X, Y)
    assert Counting.n_fits == 4


def test_own_weights_reach_the_folds_and_the_score():
    own = np.where(Y == 0, 0.01, 1.0)
    folds = list(StratifiedKFold(3).split(X, Y))
    weighted = DecisionClassifierCV(PLAIN, cv=folds, metric="accuracy").fit(X, Y, own)
    hits = np.empty(len(Y))
    for train, rows in folds:
        p = clone(PLAIN).fit(X[train], Y[train], own[train]).predict_proba(X[rows])
        hits[rows] = (p * weighted.class_multiplier_).argmax(axis=1) == Y[rows]
    assert weighted.best_score_ == pytest.approx(np.average(hits, weights=own))
    one_for_all = DecisionClassifierCV(PLAIN, cv=folds).fit(X, Y, sample_weight=2.0)
    assert one_for_all.class_count_.sum() == 2 * len(Y)
    plain = DecisionClassifierCV(PLAIN, cv=folds).fit(X, Y)
    assert 0 < plain.best_score_ <= 1
    expected = clone(PLAIN).fit(X, Y, own).predict_proba(X)
    np.testing.assert_allclose(weighted.predict_natural_proba(X), expected, rtol=1e-6)


@every_wrapper
def test_a_frozen_classifier_is_not_fitted_again(wrapper):
    Counting.n_fits = 0
    frozen = FrozenEstimator(Counting(max_iter=1000).fit(X, Y))
    wrapper(frozen, cv=2).fit(X, Y)
    assert Counting.n_fits == 1


@every_wrapper
def test_what_a_frozen_classifier_does_not_learn_from_does_not_matter(wrapper):
    """A class may be missing there."""
    frozen = FrozenEstimator(clone(PLAIN).fit(X, Y))
    every = np.arange(len(Y))
    whole, lacking = (
        wrapper(frozen, cv=[(rows, every)]).fit(X, Y) for rows in (every, every[Y < 9])
    )
    assert lacking.best_score_ == whole.best_score_
    np.testing.assert_array_equal(lacking.predict(X), whole.predict(X))


def test_a_classifier_without_probabilities():
    with pytest.raises(TypeError, match="^estimator must have predict_proba, got LinearSVC"):
        DecisionClassifierCV(LinearSVC()).fit(X, Y)


def test_it_gains_where_the_test_part_is_balanced():
    X_test, y_test = load_digits_lt("test", return_X_y=True)
    plain = clone(PLAIN).fit(X, Y)
    adjusted = DecisionClassifierCV(PLAIN).fit(X, Y)
    scores = [balanced_accuracy_score(y_test, m.predict(X_test / 16)) for m in (adjusted, plain)]
    assert adjusted.tau_ > 0
    assert scores[0] > scores[1] + 0.02


@pytest.fixture(scope="module")
def sites():
    """Return two classes at eight sites, of which each has both."""
    X, y = make_long_tailed_classification(800, n_classes=2, imbalance_factor=3, random_state=0)
    return X, y, np.arange(len(y)) % 8


@every_wrapper
def test_groups_are_kept_together(sites, wrapper):
    X, y, groups = sites
    splits = list(GroupKFold(4).split(X, y, groups))
    expected = wrapper(LogisticRegression(), cv=splits).fit(X, y)
    model = wrapper(LogisticRegression(), cv=GroupKFold(4)).fit(X, y, groups=groups)
    assert model.best_score_ == expected.best_score_
    with pytest.raises(ValueError, match="groups"):
        wrapper(LogisticRegression(), cv=GroupKFold(4)).fit(X, y)


@every_wrapper
def test_groups_are_routed_to_the_splitter(sites, wrapper):
    X, y, groups = sites
    model = wrapper(LogisticRegression(), cv=GroupKFold(3))
    with config_context(enable_metadata_routing=True):
        fitted = cross_validate(
            model,
            X,
            y,
            cv=GroupKFold(2),
            params={"groups": groups},
            return_estimator=True,
            error_score="raise",
        )["estimator"]
        direct = clone(model).fit(X, y, groups=groups)
    for one, (train, _) in zip(fitted, GroupKFold(2).split(X, y, groups), strict=True):
        expected = clone(model).fit(X[train], y[train], groups=groups[train])
        assert one.best_score_ == expected.best_score_
    assert direct.best_score_ == clone(model).fit(X, y, groups=groups).best_score_


@every_wrapper
def test_jobs_change_nothing(sites, wrapper):
    X, y, _ = sites
    serial, parallel = (
        wrapper(LogisticRegression(), cv=3, n_jobs=n_jobs).fit(X, y, np.linspace(1, 2, len(y)))
        for n_jobs in (None, 2)
    )
    assert serial.best_score_ == parallel.best_score_
    np.testing.assert_array_equal(serial.predict(X), parallel.predict(X))


@every_wrapper
def test_a_fold_without_weight_is_named_before_any_fit(wrapper):
    Counting.n_fits = 0
    message = "^sample_weight must not be 0 for every sample that a fold trains on, got only zeros"
    with pytest.raises(ValueError, match=message):
        wrapper(Counting(), cv=2).fit(X, Y, (np.arange(len(Y)) == 3).astype(float))
    assert Counting.n_fits == 0


def test_folds_that_leave_out_no_weight():
    half = np.arange(len(Y)) < len(Y) // 2
    message = "^sample_weight must not be 0 for every sample that folds leave out, got only zeros"
    with pytest.raises(ValueError, match=message):
        DecisionClassifierCV(PLAIN, cv=[(half, ~half)]).fit(X, Y, half.astype(float))


@pytest.mark.parametrize(
    "wrapper", [*CROSS_FITTED, PriorCorrectedClassifier, LogitAdjustedClassifier]
)
def test_a_fit_that_fails_loses_nothing(wrapper):

    class Failing(LogisticRegression):
        fails = False

        def predict_proba(self, X):
            if Failing.fails:
                raise RuntimeError("no answer")
            return super().predict_proba(X)

    model = wrapper(Failing(max_iter=1000))
    Failing.fails = True
    with pytest.raises(RuntimeError, match="no answer"):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    Failing.fails = False
    before = model.fit(X, Y).predict(X)
    Failing.fails = True
    with pytest.raises(RuntimeError, match="no answer"):
        model.fit(X[:, :9], Y == 0)
    Failing.fails = False
    np.testing.assert_array_equal(model.predict(X), before)
