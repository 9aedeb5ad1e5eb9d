"""Decisions for several labels a sample."""

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from _tagger import Tagger
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    ConformalClassifierCV,
    DecisionClassifierCV,
)
from sk_cbloss._indicator import read_indicator
from sk_cbloss.meta._decision_labels import LABEL_METRICS, Label, best_tau, learn_thresholds

X, Y = make_multilabel_classification(400, 8, n_classes=5, n_labels=1, random_state=0)
Y[:, 3] &= np.random.default_rng(0).random(400) < 0.3
PLAIN = OneVsRestClassifier(LogisticRegression(max_iter=1000))
RNG = np.random.default_rng(1)


def score_of(metric, y, decided, weight=None):
    if metric == "f1_macro":
        return f1_score(y, decided, average="macro", sample_weight=weight, zero_division=0)
    each = [
        recall_score(y[:, c], decided[:, c], average="macro", sample_weight=weight)
        for c in range(y.shape[1])
    ]
    return np.mean(each)


@pytest.mark.parametrize("metric", LABEL_METRICS)
def test_it_is_what_thresholds_say(metric):
    model = DecisionClassifierCV(PLAIN, metric=metric, cv=4).fit(X, Y)
    odds = logit(PLAIN.fit(X, Y).predict_proba(X))
    np.testing.assert_allclose(model.decision_function(X), odds - model.threshold_)
    np.testing.assert_array_equal(model.predict(X), odds > model.threshold_)
    np.testing.assert_allclose(model.predict_proba(X), expit(odds - model.threshold_))
    np.testing.assert_array_equal(model.class_count_[:, 1], Y.sum(axis=0))
    assert model.classes_.tolist() == [0, 1, 2, 3, 4]
    left_out = logit(cross_val_predict(PLAIN, X, Y, method="predict_proba", cv=4))
    expected = score_of(metric, Y, left_out > model.threshold_)
    assert model.best_score_ == pytest.approx(expected)
    assert model.best_score_ >= score_of(metric, Y, left_out > 0)


@pytest.mark.parametrize("metric", LABEL_METRICS)
def test_expected_scores_are_of_thresholds_learned_without_the_fold(metric):
    model = DecisionClassifierCV(PLAIN, metric=metric, cv=KFold(4)).fit(X, Y)
    odds = logit(cross_val_predict(PLAIN, X, Y, method="predict_proba", cv=KFold(4)))
    decided = np.zeros(Y.shape, dtype=bool)
    for others, rows in KFold(4).split(X):
        labels = [
            Label(
                odds[others, c],
                Y[others, c] == 1,
                np.ones(300, bool),
                np.ones(300),
                LABEL_METRICS[metric],
            )
            for c in range(5)
        ]
        line = best_tau(labels) * np.array([label.prior for label in labels])
        own, n = np.array([label.best() for label in labels]), Y[others].sum(axis=0)
        threshold = line + n / (n + model.shrinkage_) * (own - line)
        decided[rows] = odds[rows] > threshold
    assert model.expected_score_ == pytest.approx(score_of(metric, Y, decided))


@pytest.mark.parametrize("metric", LABEL_METRICS)
@pytest.mark.parametrize("seed", range(5))
def test_no_threshold_is_better(metric, seed):
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=60).round(1)  # with ties
    has, weight = rng.random(60) < expit(odds - 1), rng.integers(0, 3, 60).astype(float)
    has[0] = True
    weight[:2] = 1
    has[1] = False
    label = Label(odds, has, np.ones(60, bool), weight, LABEL_METRICS[metric])
    tried = np.r_[-9, np.unique(odds) + 0.05]
    best = max(label.score(odds > t) for t in tried)
    found = label.best()
    assert label.score(odds > found) == pytest.approx(best)
    if label.score(odds > 0) == pytest.approx(best):
        assert found == 0
    y = has.astype(int)
    by_hand = score_of(metric, np.stack([y, y], 1), np.stack([odds > found] * 2, 1), weight)
    assert label.score(odds > found) == pytest.approx(by_hand)


@pytest.mark.parametrize("metric", LABEL_METRICS)
@pytest.mark.parametrize("seed", range(5))
def test_no_tau_is_better(metric, seed):
    rng = np.random.default_rng(seed)
    odds = rng.normal(size=(80, 4)) - [0, 1, 2, -1]
    has = rng.random((80, 4)) < expit(odds)
    has[0], has[1] = True, False
    has[:, 0] = np.arange(80) % 2 == 0  # of which thresholds stay
    labels = [
        Label(*each, np.ones(80, bool), np.ones(80), LABEL_METRICS[metric])
        for each in zip(odds.T, has.T, strict=True)
    ]
    prior = logit(has.mean(axis=0))
    np.testing.assert_allclose([label.prior for label in labels], prior, atol=1e-12)

    def score(tau):
        return score_of(metric, has.astype(int), odds > tau * prior)

    at = np.sort((odds[:, 1:] / prior[1:]).ravel())
    at = np.r_[-2, at[abs(at) < 2], 2]
    best = max(score(tau) for tau in (at[1:] + at[:-1]) / 2)
    assert score(best_tau(labels)) >= best - 1e-12


@pytest.mark.parametrize("metric", LABEL_METRICS)
@pytest.mark.parametrize("seed", range(20))
def test_one_half_is_tried_where_probabilities_are_one_half(metric, seed):
    rng = np.random.default_rng(seed)
    odds = rng.choice([-np.inf, 0, 0, np.inf], size=(40, 3))
    has = rng.random((40, 3)) < [0.7, 0.2, 0.5]
    has[0], has[1] = True, False
    all_rows = np.ones(40, bool), np.ones(40)
    labels = [
        Label(*each, *all_rows, LABEL_METRICS[metric]) for each in zip(odds.T, has.T, strict=True)
    ]
    line = best_tau(labels) * np.array([label.prior for label in labels])
    scores = [score_of(metric, has.astype(int), odds > each) for each in (line, 0)]
    assert scores[0] >= scores[1] - 1e-12


def test_natural_probabilities_are_those_of_a_classifier_that_has_them():
    model = DecisionClassifierCV(PLAIN, cv=3).fit(X, Y)
    with pytest.raises(ValueError, match="^estimator must have predict_natural_proba"):
        model.predict_natural_proba(X)


def test_weights_are_repeated_samples():
    weight = RNG.integers(1, 4, 400)
    rows = np.arange(400).repeat(weight)
    odds = RNG.normal(size=Y.shape) + 2 * Y - 1
    fold = np.arange(400) % 3
    for metric in LABEL_METRICS.values():
        weighted = learn_thresholds(
            np.arange(400), odds, fold, read_indicator(Y), weight.astype(float), metric
        )
        n = np.arange(len(rows))
        repeated = learn_thresholds(
            n, odds[rows], fold[rows], read_indicator(Y[rows]), None, metric
        )
        assert weighted.tau == pytest.approx(repeated.tau)
        assert weighted.shrinkage == repeated.shrinkage
        np.testing.assert_allclose(weighted.threshold, repeated.threshold)


@pytest.mark.parametrize(
    "estimator",
    [
        MultiOutputClassifier(LogisticRegression(max_iter=1000)),
        MultiOutputClassifier(ClassBalancedClassifier(LogisticRegression(max_iter=1000), beta=0)),
    ],
)
def test_probabilities_in_a_list_are_the_same(estimator):
    listed = DecisionClassifierCV(estimator, cv=4).fit(X, Y)
    whole = DecisionClassifierCV(PLAIN, cv=4).fit(X, Y)
    np.testing.assert_allclose(listed.threshold_, whole.threshold_, rtol=1e-6)
    np.testing.assert_array_equal(listed.predict(X), whole.predict(X))


@pytest.mark.parametrize(
    "form", [sp.csr_array, lambda y: pd.DataFrame(y, columns=list("vwxyz")), np.ndarray.tolist]
)
def test_whatever_holds_the_labels(form):
    net = CBNeuralNetClassifier(beta=0.9, max_epochs=3, random_state=0, device="cpu")
    ours, theirs = (DecisionClassifierCV(net, cv=3).fit(X, y) for y in (form(Y), Y))
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    natural = ours.predict_natural_proba(X)
    np.testing.assert_allclose(natural, ours.estimator_.predict_natural_proba(X))
    named = isinstance(form(Y), pd.DataFrame)
    assert ours.classes_.tolist() == (list("vwxyz") if named else [0, 1, 2, 3, 4])


def test_what_is_not_known_does_not_count():
    unknown = np.where(RNG.random(Y.shape) < 0.2, np.nan, Y)
    odds, fold = RNG.normal(size=Y.shape) + 2 * Y - 1, np.arange(400) % 3
    metric = LABEL_METRICS["f1_macro"]
    learned = learn_thresholds(np.arange(400), odds, fold, read_indicator(unknown), None, metric)
    scores = []
    for label in range(5):
        rows = ~np.isnan(unknown[:, label])
        decided = odds[rows, label] > learned.threshold[label]
        scores.append(f1_score(Y[rows, label], decided))
    assert learned.score == pytest.approx(np.mean(scores))
    net = CBNeuralNetClassifier(beta=0.9, max_epochs=1, random_state=0, device="cpu")
    model = DecisionClassifierCV(net, cv=KFold(3)).fit(X, unknown)
    assert model.predict(X).shape == Y.shape


def test_a_row_that_is_left_out_twice_counts_once():
    once = DecisionClassifierCV(PLAIN, cv=KFold(3)).fit(X, Y)
    twice = DecisionClassifierCV(PLAIN, cv=[*KFold(3).split(X)] * 2).fit(X, Y)
    for name in ("threshold_", "best_score_", "expected_score_"):
        np.testing.assert_allclose(getattr(twice, name), getattr(once, name))


def test_labels_of_which_one_side_was_seen_come_in_a_list():
    y = Y.copy()
    y[:, 0], y[:, 1] = 0, 1
    model = DecisionClassifierCV(MultiOutputClassifier(DummyClassifier()), cv=3).fit(X, y)
    assert not model.predict(X)[:, 0].any()
    assert model.predict(X)[:, 1].all()


def test_labels_of_one_side_are_left_alone():
    y = Y.copy()
    y[:, 0], y[:, 1] = 0, 1
    net = CBNeuralNetClassifier(beta=0.9, max_epochs=3, random_state=0, device="cpu")
    model = DecisionClassifierCV(net, cv=3).fit(X, y)
    assert model.threshold_[:2].tolist() == [0, 0]
    assert not model.predict(X)[:, 0].any()
    assert model.predict(X)[:, 1].all()


def test_weights_reach_the_classifier():
    weight = RNG.uniform(0.1, 3, 400)
    net = CBNeuralNetClassifier(beta=0.9, max_epochs=2, random_state=0, device="cpu")
    model = DecisionClassifierCV(net, cv=3).fit(X, Y, sample_weight=weight)
    alone = clone(net).fit(X, Y, sample_weight=weight)
    np.testing.assert_array_equal(
        model.estimator_.decision_function(X), alone.decision_function(X)
    )
    np.testing.assert_allclose(model.class_count_, alone.class_count_)


def test_it_is_an_estimator_like_others():
    model = DecisionClassifierCV(PLAIN, cv=3)
    inner, other = CBNeuralNetClassifier(), ClassBalancedClassifier(CBNeuralNetClassifier())
    assert get_tags(DecisionClassifierCV(inner)).classifier_tags.multi_label
    assert not get_tags(other).classifier_tags.multi_label
    fitted = clone(model).fit(X, Y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    search = GridSearchCV(model, {"metric": ["f1_macro", "balanced_accuracy"]}, scoring="f1_macro")
    assert search.fit(X, Y).best_estimator_.predict(X).shape == Y.shape
    frozen = DecisionClassifierCV(FrozenEstimator(PLAIN.fit(X, Y)), cv=3).fit(X, Y)
    assert frozen.predict(X).shape == Y.shape
    classes = Y[:, 0]
    fitted.fit(X, classes)  # a fit begins anew
    assert not hasattr(fitted, "threshold_")
    assert fitted.predict(X).shape == (400,)
    fitted.fit(X, Y)
    assert not hasattr(fitted, "class_multiplier_")


NAMED = pd.DataFrame(Y, columns=list("vwxyz"))


@pytest.mark.parametrize(
    "form",
    [
        sp.csr_array,
        pd.DataFrame,
        np.ndarray.tolist,
        lambda y: y.astype(object),
        lambda y: pd.DataFrame(y, columns=NAMED.columns).astype("Int64"),
    ],
)
def test_it_scores_rows_of_which_all_known_labels_are_right(form):
    model = DecisionClassifierCV(PLAIN, cv=3).fit(X, NAMED)
    weight = RNG.random(400)
    right = (model.predict(X) == Y).all(axis=1)
    assert model.score(X, form(Y)) == pytest.approx(right.mean())
    assert model.score(X, form(Y), weight) == pytest.approx(np.average(right, weights=weight))


def test_a_number_of_folds_needs_no_known_labels():
    net = CBNeuralNetClassifier(beta=0.9, max_epochs=3, random_state=0, device="cpu")
    unknown = NAMED.where(np.random.default_rng(5).random(Y.shape) > 0.2)
    one, other = (DecisionClassifierCV(net, cv=cv).fit(X, unknown) for cv in (3, KFold(3)))
    np.testing.assert_array_equal(one.threshold_, other.threshold_)
    np.testing.assert_array_equal(one.class_count_.sum(axis=1), unknown.notna().sum())


def test_its_score_is_the_nets_by_one_rule():
    net = CBNeuralNetClassifier(beta=0.9, max_epochs=3, random_state=0, device="cpu")
    model = DecisionClassifierCV(net, cv=KFold(3)).fit(X, NAMED)
    model.threshold_ = np.zeros(5)  # where the net has it
    unknown = NAMED.where(RNG.random(Y.shape) > 0.2)
    assert model.score(X, unknown) == model.estimator_.score(X, unknown) > model.score(X, Y)
    unknown[::3] = np.nan
    assert model.score(X, unknown) == model.estimator_.score(X, unknown)
    for one in (model, model.estimator_):
        with pytest.raises(ValueError, match="^y must have the columns of the known labels"):
            one.score(X, NAMED[list("zyxwv")])
        with pytest.raises(ValueError, match="same number of samples, got 400 and 1.$"):
            one.score(X, NAMED[:1])
        with pytest.raises(ValueError, match="^sample_weight must have shape"):
            one.score(X, Y, [1, 2])


@pytest.mark.parametrize("wrap", [clone, make_pipeline, lambda net: GridSearchCV(net, {})])
@pytest.mark.parametrize("tags", [[0, 1], [0, 1, -100]])
def test_a_net_of_tags_is_refused(wrap, tags):
    tokens = RNG.normal(size=(40, 5, 4)).astype(np.float32)
    net = CBNeuralNetClassifier(Tagger, criterion__ignore_index=-100, max_epochs=1)
    model = DecisionClassifierCV(wrap(net), cv=3)
    with pytest.raises(ValueError, match=r"^estimator must learn one label .* got a net of tags"):
        model.fit(tokens, RNG.choice(tags, (40, 5)))


def test_what_gives_no_probability_of_each_label():
    class Half(OneVsRestClassifier):
        def predict_proba(self, X):
            return super().predict_proba(X)[:, :2]

    model = DecisionClassifierCV(Half(LogisticRegression(max_iter=1000)), cv=4)
    with pytest.raises(ValueError, match=r"of shape \(100, 5\), got \(100, 2\) of Half"):
        model.fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "geometric_mean"}, "^metric must be 'f1_macro' or 'balanced_accuracy' where"),
        ({"metric": "accuracy"}, "^metric must be 'f1_macro' or 'balanced_accuracy' where"),
        ({"min_recall": 0.5}, "^min_recall must be left at None where a sample has several"),
        ({"cost_matrix": {0: 1, 1: 5}}, "^cost_matrix must be left at None where"),
        ({"target_prior": "uniform"}, "^target_prior must be left at 'natural' where"),
    ],
)
def test_what_labels_do_not_have(parameters, message):
    with pytest.raises(ValueError, match=message):
        DecisionClassifierCV(PLAIN, **parameters).fit(X, Y)


@pytest.mark.parametrize(
    ("cv", "features", "message"),
    [
        ([], X, "^cv must yield at least one split, got none"),
        ([(np.arange(100), np.arange(100, 400))], X, "^sample_weight must not be 0 for every"),
        (3, None, "^X must hold a row for each sample, got None"),
        (3, {"a": X}, "^X must be something that folds can be cut out of"),
        (3, X[:300], "inconsistent numbers of samples"),
    ],
)
def test_what_folds_cannot_be_cut_of(cv, features, message):
    weight = np.repeat([0.0, 1.0], [100, 300])
    net = CBNeuralNetClassifier(beta=0.9, max_epochs=1, device="cpu")
    with pytest.raises(ValueError, match=message):
        DecisionClassifierCV(net, cv=cv).fit(features, Y, sample_weight=weight)


@pytest.mark.parametrize("form", [np.asarray, sp.coo_array, sp.lil_array, np.ndarray.tolist])
def test_folds_may_be_masks(form):
    splits = list(KFold(4).split(X))
    masks = [tuple(np.isin(np.arange(400), rows) for rows in split) for split in splits]
    by_masks, by_rows = (
        DecisionClassifierCV(PLAIN, cv=cv).fit(X, form(Y)) for cv in (masks, splits)
    )
    np.testing.assert_array_equal(by_masks.threshold_, by_rows.threshold_)
    np.testing.assert_array_equal(
        by_rows.threshold_, DecisionClassifierCV(PLAIN, cv=KFold(4)).fit(X, Y).threshold_
    )


def test_others_refuse_several_labels():
    for wrapper in (ConformalClassifierCV, ClassBalancedClassifier):
        with pytest.raises(ValueError, match="takes one label a sample, got y with 5 columns"):
            wrapper(LogisticRegression()).fit(X, Y)
    with pytest.raises(ValueError, match="y must hold 0 and 1"):
        DecisionClassifierCV(PLAIN).fit(X, Y + 1)
