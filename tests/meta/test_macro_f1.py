import itertools

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import cross_val_predict, cross_val_score
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_cbloss import (
    ClassBalancedClassifier,
    MacroF1Classifier,
    PriorCorrectedClassifier,
    make_long_tailed_classification,
)


class NeverFitted(GaussianNB):
    """Fail the test if fit gets this far."""

    def fit(self, X, y):
        pytest.fail("The inner fit was reached.")


def bells(seed, n, draw):
    """Return samples of three normal distributions that overlap."""
    rng = np.random.default_rng(seed)
    share, centre = rng.dirichlet([8, 2, 1]), rng.normal(size=(3, 2))
    rng = np.random.default_rng([seed, draw])
    y = rng.choice(3, size=n, p=share)
    return centre[y] + rng.normal(size=(n, 2)), y


def macro_f1(y, decision):
    hits, decided, true = (np.bincount(z, minlength=3) for z in (y[y == decision], decision, y))
    return (2 * hits / (decided + true)).mean()


@pytest.mark.parametrize("seed", range(8))
def test_it_comes_near_the_best_decision_there_is(seed):
    """Of all that decide by probabilities times a weight of each class, on new data."""
    model = MacroF1Classifier(GaussianNB()).fit(*bells(seed, 20_000, 0))
    X, y = bells(seed, 100_000, 1)
    p, steps = model.predict_natural_proba(X), np.geomspace(0.1, 100, 20)
    best = max(
        macro_f1(y, (p * [1, second, third]).argmax(axis=1))
        for second, third in itertools.product(steps, steps)
    )
    reached = macro_f1(y, model.predict(X))
    assert reached > best - 0.01
    assert reached == pytest.approx(f1_score(y, model.predict(X), average="macro"))
    assert model.best_score_ == pytest.approx(reached, abs=0.02)


@pytest.fixture
def data():
    return make_long_tailed_classification(2000, n_classes=5, random_state=0)


def test_it_gains_on_new_data(data):
    X, y = data
    plain = LogisticRegression(max_iter=1000)
    scores = [
        cross_val_score(model, X, y, scoring="f1_macro", cv=3).mean()
        for model in (MacroF1Classifier(plain), plain)
    ]
    assert scores[0] > scores[1] + 0.02


def test_probabilities_are_natural(data):
    X, y = data
    weighted = ClassBalancedClassifier(LogisticRegression(max_iter=1000), beta=1)
    p = MacroF1Classifier(weighted).fit(X, y).predict_natural_proba(X)
    natural = PriorCorrectedClassifier(weighted).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(p, natural, rtol=1e-12)


def test_the_score_is_the_one_out_of_fold(data):
    X, y = data
    plain = LogisticRegression(max_iter=1000)
    model = MacroF1Classifier(plain, cv=3).fit(X, y)
    p = cross_val_predict(plain, X, y, cv=3, method="predict_proba")
    decision = ((2 * p - model.f1_) / model.share_).argmax(axis=1)
    expected = f1_score(y, decision, average="macro")
    assert model.best_score_ == pytest.approx(expected)
    assert expected > f1_score(y, p.argmax(axis=1), average="macro")


def test_natural_probabilities_of_a_classifier_that_weighs_by_itself(data):
    X, y = data
    plain, balanced = (
        LogisticRegression(max_iter=1000, class_weight=w) for w in (None, "balanced")
    )
    model = MacroF1Classifier(balanced).fit(X, y)
    natural = PriorCorrectedClassifier(balanced).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(model.predict_natural_proba(X), natural, rtol=1e-12)
    assert abs(model.best_score_ - MacroF1Classifier(plain).fit(X, y).best_score_) < 0.03


def test_it_is_never_below_the_largest_probability():
    """Out of fold, also with two classes."""
    for seed in range(4):
        X, y = make_long_tailed_classification(1500, n_classes=2, random_state=seed)
        plain = LogisticRegression(max_iter=1000)
        p = cross_val_predict(plain, X, y, cv=5, method="predict_proba")
        score = MacroF1Classifier(plain).fit(X, y).best_score_
        assert score >= f1_score(y, p.argmax(axis=1), average="macro") - 1e-12


def test_folds_that_leave_out_no_sample_of_a_class(data):
    X, y = data
    rows = np.flatnonzero(y < 4)
    folds = [(np.arange(len(y)), rows)]
    for cv, message in (
        (folds, "cv must leave out samples of every class, got none of 4"),
        ([], "cv must yield at least one split, got none"),
        (1, "k-fold cross-validation requires at least one train/test split"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            MacroF1Classifier(NeverFitted(), cv=cv).fit(X, y)


def test_labels_and_frozen_classifiers(data):
    X, y = data
    y = np.array(["e", "d", "c", "b", "a"])[y]
    half = slice(None, 1000), slice(1000, None)
    frozen = FrozenEstimator(LogisticRegression(max_iter=1000).fit(X[half[0]], y[half[0]]))
    model = MacroF1Classifier(frozen).fit(X[half[1]], y[half[1]])
    assert set(model.predict(X)) <= set("abcde")
    assert model.estimator_ is frozen


def test_own_weights_reach_the_classifier(data):
    X, y = data
    own = np.where(y == 0, 0.1, 1.0)
    plain = LogisticRegression(max_iter=1000)
    model = MacroF1Classifier(plain).fit(X, y, sample_weight=own)
    expected = plain.fit(X, y, sample_weight=own).predict_proba(X)
    np.testing.assert_allclose(model.predict_natural_proba(X), expected, rtol=1e-6)


# What scikit-learn's own estimators with cross-validation inside fail, too.
NOT_BY_WEIGHT = dict.fromkeys(
    (
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ),
    "folds are drawn by samples, not by weight",
)


@parametrize_with_checks(
    [MacroF1Classifier(LogisticRegression(), cv=2)],
    expected_failed_checks=lambda _: NOT_BY_WEIGHT,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
