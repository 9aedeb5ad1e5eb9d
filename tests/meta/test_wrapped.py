"""What wrappers say of what is inside, and of what is set or given otherwise than expected."""

import numpy as np
import pytest
from numpydoc.docscrape import FunctionDoc
from sklearn.ensemble import StackingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsOneClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from sk_cbloss import (
    ClassBalancedClassifier,
    ConformalClassifierCV,
    DecisionClassifierCV,
    LogitAdjustedClassifier,
    PriorCorrectedClassifier,
)

Y = np.repeat([0, 1, 2], [12, 8, 4])
X = np.random.default_rng(0).normal(size=(24, 2)) + Y[:, None]
WRAPPERS = [
    ClassBalancedClassifier,
    PriorCorrectedClassifier,
    LogitAdjustedClassifier,
    lambda estimator: ConformalClassifierCV(estimator, cv=2),
    lambda estimator: DecisionClassifierCV(estimator, cv=2),
    lambda estimator: DecisionClassifierCV(estimator, cost_matrix=1 - np.eye(3)),
]
every_wrapper = pytest.mark.parametrize("wrap", WRAPPERS)


@every_wrapper
def test_a_class_is_no_instance(wrap):
    for estimator in (GaussianNB, ClassBalancedClassifier(GaussianNB, beta=0)):
        with pytest.raises(TypeError, match="^estimator must be an instance, got the class Gauss"):
            wrap(estimator).fit(X, Y)


@every_wrapper
def test_what_is_fitted_answers_whatever_is_set_inside(wrap):
    model = wrap(GaussianNB()).fit(X, Y)
    expected = model.predict(X)
    for inside in (None, 5, GaussianNB):
        model.set_params(estimator=inside)
        np.testing.assert_array_equal(model.predict(X), expected)
        with pytest.raises(TypeError, match=r"^estimator must .*\.$"):
            model.fit(X, Y)
        np.testing.assert_array_equal(model.predict(X), expected)


STACK = StackingClassifier([("bayes", GaussianNB())], cv=2)
ANSWERS_WHEN_FITTED = [
    STACK,
    make_pipeline(StandardScaler(), STACK),
    GridSearchCV(STACK, {"passthrough": [False, True]}, cv=2),
    ClassBalancedClassifier(STACK, beta=0),
]


@every_wrapper
@pytest.mark.parametrize("estimator", ANSWERS_WHEN_FITTED, ids=lambda one: type(one).__name__)
def test_probabilities_that_come_with_the_fit(wrap, estimator):
    """A stack's last classifier is made in its fit, if none is given."""
    model = wrap(estimator).fit(np.tile(X, (3, 1)), np.tile(Y, 3))
    assert model.predict_natural_proba(X).shape == (24, 3)


@pytest.mark.parametrize("wrap", WRAPPERS[1:])
@pytest.mark.parametrize(
    "estimator",
    [
        StackingClassifier([("bayes", GaussianNB())], LinearSVC()),
        OneVsOneClassifier(STACK),
        GridSearchCV(LinearSVC(), {}),
    ],
    ids=lambda one: type(one).__name__,
)
def test_probabilities_that_will_never_come(wrap, estimator):
    with pytest.raises(TypeError, match="^estimator must have predict_proba, got"):
        wrap(estimator).fit(X, Y)


def test_folds_may_be_masks():
    left_out = np.arange(24) % 3 == 0
    masks = [(~left_out, left_out), (left_out, ~left_out)]
    rows = [tuple(map(np.flatnonzero, split)) for split in masks]
    by_mask, by_row = (DecisionClassifierCV(GaussianNB(), cv=cv).fit(X, Y) for cv in (masks, rows))
    assert by_mask.best_score_ == by_row.best_score_
    np.testing.assert_array_equal(by_mask.predict(X), by_row.predict(X))


def test_folds_are_cut_out_of_a_slice_dict():
    match = r"^X must be something that folds can be cut out of, .*SliceDict\(\*\*X\), got a dict"
    with pytest.raises(ValueError, match=match):
        DecisionClassifierCV(GaussianNB()).fit({"x": X}, Y)


def test_what_is_given_to_both_kinds_of_fit_is_described_in_the_same_words():
    at_once, out_of_fold = (
        {each.name: " ".join(each.desc) for each in FunctionDoc(kind.fit)["Parameters"]}
        for kind in (PriorCorrectedClassifier, DecisionClassifierCV)
    )
    assert out_of_fold.keys() - at_once.keys() == {"groups"}
    for name, words in at_once.items():
        assert out_of_fold[name].startswith(words)


@every_wrapper
def test_no_features(wrap):
    with pytest.raises(ValueError, match="^(X must hold a row|Expected 2D array)"):
        wrap(GaussianNB()).fit(None, Y)


@pytest.mark.parametrize(
    ("bad", "message"), [({"tau": -1}, "tau must be"), ({"prior_beta": 2}, "prior_beta must be")]
)
def test_what_is_read_in_predict_is_checked_there(bad, message):
    model = LogitAdjustedClassifier(GaussianNB()).fit(X, Y).set_params(**bad)
    with pytest.raises(ValueError, match=f"^{message} a"):
        model.predict(X)
