"""DecisionClassifierCV: what is decided for costs, a score and recalls, and what is promised."""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from imblearn.metrics import geometric_mean_score
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.dummy import DummyClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    check_scoring,
    f1_score,
    make_scorer,
    matthews_corrcoef,
    max_error,
    recall_score,
)
from sklearn.model_selection import (
    GridSearchCV,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
    train_test_split,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_cbloss import (
    ClassBalancedClassifier,
    DecisionClassifierCV,
    LogitAdjustedClassifier,
    PriorCorrectedClassifier,
    load_digits_lt,
    make_long_tailed_classification,
    make_shot_scorer,
    worst_class_recall_score,
)
from sk_cbloss.meta import _decision
from sk_cbloss.meta._decision_rows import left_out

PLAIN = LogisticRegression(max_iter=1000)
NAMES = np.array(["fine", "bent", "scratched", "broken", "lost"])
SCORES = {
    "balanced_accuracy": balanced_accuracy_score,
    "f1_macro": lambda y, decision: f1_score(y, decision, average="macro"),
    "geometric_mean": geometric_mean_score,
    "worst_class_recall": worst_class_recall_score,
}
every_metric = pytest.mark.parametrize("metric", SCORES)


class NeverFitted(GaussianNB):
    """Fail the test if fit gets this far."""

    def fit(self, X, y):
        pytest.fail("The inner fit was reached.")


class LabelsGiven(ClassifierMixin, BaseEstimator):
    """Predict what is given, as positions of classes."""

    def fit(self, classes):
        self.classes_ = classes
        return self

    def predict(self, X):
        return self.classes_[X]


X, Y = make_long_tailed_classification(8000, n_classes=5, random_state=0)
PARTS = train_test_split(X, NAMES[Y], train_size=2000, stratify=Y, random_state=0)


@pytest.fixture
def data():
    return PARTS[0], PARTS[2]


@pytest.fixture
def new_data():
    return PARTS[1], PARTS[3]


# ---------------------------------------------------------------------- scores


@every_metric
def test_the_score_is_the_one_out_of_fold(data, metric):
    X, y = data
    model = DecisionClassifierCV(PLAIN, metric=metric, cv=3).fit(X, y)
    p = cross_val_predict(PLAIN, X, y, cv=3, method="predict_proba")
    decision = model.classes_[(p * model.class_multiplier_).argmax(axis=1)]
    assert model.best_score_ == pytest.approx(SCORES[metric](y, decision), abs=1e-7)
    assert model.best_score_ >= SCORES[metric](y, model.classes_[p.argmax(axis=1)])
    assert model.best_score_ >= model.expected_score_
    recall = recall_score(y, decision, average=None, labels=model.classes_)
    np.testing.assert_allclose(model.recall_, recall)


@every_metric
def test_no_tau_of_a_grid_is_better_out_of_fold(data, metric):
    X, y = data
    model = DecisionClassifierCV(PLAIN, metric=metric, cv=3).fit(X, y)
    p = cross_val_predict(PLAIN, X, y, cv=3, method="predict_proba")
    share = model.class_count_ / len(y)
    scores = [
        SCORES[metric](y, model.classes_[(p * share**-tau).argmax(axis=1)])
        for tau in np.linspace(0, 2, 201)
    ]
    assert model.best_score_ >= max(scores) - 0.02  # class by class may lose what it shrinks
    if np.isinf(model.shrinkage_):
        assert model.best_score_ >= max(scores) - 1e-9
        expected = share**-model.tau_
        np.testing.assert_allclose(model.class_multiplier_, expected / expected.min())


def bells(seed, n, draw):
    """Return samples of three normal distributions that overlap."""
    rng = np.random.default_rng(seed)
    share, centre = rng.dirichlet([8, 2, 1]), rng.normal(size=(3, 2))
    rng = np.random.default_rng([seed, draw])
    y = rng.choice(3, size=n, p=share)
    return centre[y] + rng.normal(size=(n, 2)), y


@every_metric
@pytest.mark.parametrize("seed", range(4))
def test_it_comes_near_the_best_decision_there_is(metric, seed):
    """Of all that decide by probabilities times a weight of each class, on new data."""
    model = DecisionClassifierCV(GaussianNB(), metric=metric).fit(*bells(seed, 20_000, 0))
    X, y = bells(seed, 40_000, 1)
    p, steps = model.predict_natural_proba(X), np.geomspace(0.1, 100, 20)

    def score(decision):
        hits, decided, true = (
            np.bincount(z, minlength=3) for z in (y[y == decision], decision, y)
        )
        recall = hits / true
        return {
            "balanced_accuracy": recall.mean(),
            "f1_macro": (2 * hits / (decided + true)).mean(),
            "geometric_mean": recall.prod() ** (1 / 3),
            "worst_class_recall": recall.min(),
        }[metric]

    best = max(
        score((p * [1, second, third]).argmax(axis=1))
        for second, third in itertools.product(steps, steps)
    )
    reached = score(model.predict(X))
    assert reached > best - 0.015
    for promised in (model.best_score_, model.expected_score_):
        assert promised == pytest.approx(reached, abs=0.03)


@every_metric
def test_it_gains_on_new_data(data, new_data, metric):
    X, y = new_data
    scores = [
        SCORES[metric](y, model.fit(*data).predict(X))
        for model in (DecisionClassifierCV(PLAIN, metric=metric), clone(PLAIN))
    ]
    assert scores[0] > scores[1] + (0.005 if metric == "f1_macro" else 0.02)


def test_what_is_expected_is_chance_where_there_is_nothing_to_learn():
    """While the best score out of fold is above it, the more so the fewer rows there are."""
    best, expected = [], []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(120, 4)), rng.choice(3, size=120, p=[0.6, 0.25, 0.15])
        model = DecisionClassifierCV(GaussianNB(), metric="balanced_accuracy").fit(X, y)
        best.append(model.best_score_)
        expected.append(model.expected_score_)
    assert np.mean(best) > 1 / 3 + 0.03
    assert abs(np.mean(expected) - 1 / 3) < 0.025


def test_a_single_split_has_an_expected_score_too():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 4)), rng.choice(3, size=300, p=[0.6, 0.25, 0.15])
    cv = ShuffleSplit(1, test_size=0.5, random_state=0)
    model = DecisionClassifierCV(GaussianNB(), cv=cv).fit(X, y)
    assert model.best_score_ > model.expected_score_ + 0.02


def test_rows_left_out_often_count_once(data):
    X, y = data
    once = list(StratifiedKFold(3).split(X, y))
    models = [DecisionClassifierCV(PLAIN, cv=cv).fit(X, y) for cv in (once, once * 3)]
    for name in ("class_multiplier_", "best_score_", "expected_score_", "recall_"):
        np.testing.assert_allclose(*(getattr(model, name) for model in models), err_msg=name)
    cv = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    assert 0.5 < DecisionClassifierCV(PLAIN, cv=cv).fit(X, y).expected_score_ < 1


# ---------------------------------------------------------------------- two classes


@pytest.mark.parametrize(
    ("metric", "scoring"),
    [
        ("balanced_accuracy", "balanced_accuracy"),
        ("f1_macro", "f1_macro"),
        ("geometric_mean", make_scorer(geometric_mean_score)),
        ("worst_class_recall", make_scorer(worst_class_recall_score)),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.1])
def test_a_threshold_is_that_of_scikit_learn(metric, scoring, share):
    rng = np.random.default_rng(0)
    y = (np.arange(400) < 400 * share).astype(int)
    X = rng.normal(size=(400, 2)) + y[:, None]
    one = [next(StratifiedKFold(3, shuffle=True, random_state=0).split(X, y))]
    p = PLAIN.fit(X[one[0][0]], y[one[0][0]]).predict_proba(X[one[0][1]])[:, 1]
    p = np.unique(p)
    tuned = TunedThresholdClassifierCV(
        PLAIN, scoring=scoring, cv=one, refit=True, thresholds=(p[1:] + p[:-1]) / 2
    ).fit(X, y)
    model = DecisionClassifierCV(PLAIN, metric=metric, cv=one).fit(X, y)
    assert model.best_score_ == pytest.approx(tuned.best_score_, abs=1e-9)
    threshold = model.class_multiplier_[0] / model.class_multiplier_.sum()
    left_out = one[0][1]
    rows = PLAIN.predict_proba(X[left_out])[:, 1]
    score = SCORES[metric](y[left_out], rows > threshold)
    assert score == pytest.approx(tuned.best_score_, abs=1e-9)


def test_a_threshold_over_several_folds():
    """Whose classes are of one size, so that the mean of folds is the score of all rows."""
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], [300, 60])
    X = rng.normal(size=(360, 2)) + y[:, None]
    cv = StratifiedKFold(3)
    p = np.unique(cross_val_predict(PLAIN, X, y, cv=cv, method="predict_proba")[:, 1])
    tuned = TunedThresholdClassifierCV(
        PLAIN, scoring="balanced_accuracy", cv=cv, thresholds=(p[1:] + p[:-1]) / 2
    ).fit(X, y)
    model = DecisionClassifierCV(PLAIN, cv=cv).fit(X, y)
    assert model.best_score_ == pytest.approx(tuned.best_score_, abs=1e-9)


def test_tau_of_two_classes(data):
    X, y = data
    y = y == "fine"
    model = DecisionClassifierCV(PLAIN, metric="f1").fit(X, y)
    share = model.class_count_ / len(y)
    ratio = model.class_multiplier_[1] / model.class_multiplier_[0]
    assert (share[0] / share[1]) ** model.tau_ == pytest.approx(ratio)
    even = np.r_[np.flatnonzero(y)[:300], np.flatnonzero(~y)[:300]]
    model = DecisionClassifierCV(PLAIN, metric="worst_class_recall").fit(X[even], y[even])
    assert np.isnan(model.tau_) == (model.class_multiplier_ != 1).any()
    usual = model.set_params(metric=lambda estimator, X, y: 0.5).fit(X[even], y[even])
    assert usual.tau_ == 0


# ---------------------------------------------------------------------- costs


def test_if_all_mistakes_cost_the_same_the_largest_probability_decides(data):
    X, y = data
    expected = clone(PLAIN).fit(X, y).predict(X)
    for costs in (1 - np.eye(5), 3 - 3 * np.eye(5), dict.fromkeys(NAMES, 1), -np.eye(5)):
        model = DecisionClassifierCV(PLAIN, cost_matrix=costs).fit(X, y)
        np.testing.assert_array_equal(model.predict(X), expected)
        np.testing.assert_array_equal(model.class_multiplier_, 1)


def test_missing_a_class_at_the_price_of_its_rarity_is_tau_of_one(data):
    X, y = data
    adjusted = LogitAdjustedClassifier(PLAIN).fit(X, y)
    price = pd.Series(len(y) / adjusted.class_count_, index=adjusted.classes_)
    for costs in (price, price.to_dict()):
        model = DecisionClassifierCV(PLAIN, cost_matrix=costs).fit(X, y)
        np.testing.assert_allclose(model.predict_proba(X), adjusted.predict_proba(X))
    uniform = DecisionClassifierCV(PLAIN, cost_matrix=1 - np.eye(5), target_prior="uniform")
    np.testing.assert_allclose(uniform.fit(X, y).predict_proba(X), adjusted.predict_proba(X))


def test_the_least_expected_cost(data):
    X, y = data
    rng = np.random.default_rng(0)
    costs = rng.uniform(0, 5, (5, 5))
    model = DecisionClassifierCV(PLAIN, cost_matrix=costs).fit(X, y)
    p = clone(PLAIN).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(model.decision_function(X), -p @ costs)
    np.testing.assert_array_equal(model.predict(X), model.classes_[(p @ costs).argmin(axis=1)])
    for name in ("predict_proba", "predict_log_proba", "class_multiplier_", "best_score_"):
        assert not hasattr(model, name)
    order = rng.permutation(5)
    table = pd.DataFrame(costs, index=model.classes_, columns=model.classes_).iloc[order]
    by_label = clone(model).set_params(cost_matrix=table.iloc[:, rng.permutation(5)]).fit(X, y)
    np.testing.assert_array_equal(by_label.cost_matrix_, costs)


@pytest.mark.parametrize("costs", [np.eye(5), np.zeros((5, 5)), np.diag([1, -1, 0, 0, 0])])
def test_costs_of_being_right(data, costs):
    X, y = data
    model = DecisionClassifierCV(PLAIN, cost_matrix=costs).fit(X, y)
    expected = (clone(PLAIN).fit(X, y).predict_proba(X) @ costs).argmin(axis=1)
    np.testing.assert_array_equal(model.predict(X), model.classes_[expected])
    assert not hasattr(model, "class_multiplier_")


def test_costs_are_measured_with_weights(data):
    X, y = data
    own, costs = np.linspace(1, 3, len(y)), np.arange(25).reshape(5, 5) % 7.0
    frozen = FrozenEstimator(clone(PLAIN).fit(X, y))
    model = DecisionClassifierCV(frozen, cost_matrix=costs, cv=2).fit(X, y, own)
    true = np.searchsorted(model.classes_, y)
    paid = costs[true, (frozen.predict_proba(X) @ costs).argmin(axis=1)]
    assert model.best_score_ == pytest.approx(-np.average(paid, weights=own))
    assert abs(model.best_score_ + paid.mean()) > 1e-3


def test_costs_take_one_fit_and_are_measured_where_folds_are_given(data):
    X, y = data

    class Counting(LogisticRegression):
        n_fits = 0

        def fit(self, *args):
            Counting.n_fits += 1
            return super().fit(*args)

    costs = np.arange(25).reshape(5, 5) % 7.0
    model = DecisionClassifierCV(Counting(max_iter=1000), cost_matrix=costs).fit(X, y)
    assert Counting.n_fits == 1
    model.set_params(cv=3).fit(X, y)
    assert Counting.n_fits == 1 + 4
    p = cross_val_predict(PLAIN, X, y, cv=3, method="predict_proba")
    true = np.searchsorted(model.classes_, y)
    cost = costs[true, (p @ costs).argmin(axis=1)].mean()
    assert model.best_score_ == model.expected_score_ == pytest.approx(-cost)
    Counting.n_fits = 0
    for asked in ({"metric": "f1_macro"}, {"metric": "accuracy"}, {"min_recall": {"bent": 0.5}}):
        DecisionClassifierCV(Counting(max_iter=1000), **asked, cv=3).fit(X, y)
    assert Counting.n_fits == 3 * 4


# ---------------------------------------------------------------------- recalls


@pytest.mark.parametrize("asked", [{"bent": 0.8}, {"bent": 0.6, "lost": 0.5}, 0.4])
def test_recalls_are_reached_out_of_fold(data, asked):
    X, y = data
    model = DecisionClassifierCV(PLAIN, min_recall=asked, cv=3).fit(X, y)
    asked = asked if isinstance(asked, dict) else dict.fromkeys(NAMES, asked)
    p = cross_val_predict(PLAIN, X, y, cv=3, method="predict_proba")
    decision = model.classes_[(p * model.class_multiplier_).argmax(axis=1)]
    recall = recall_score(y, decision, average=None, labels=model.classes_)
    np.testing.assert_allclose(model.recall_, recall)
    for label, multiplier, reached in zip(
        model.classes_, model.class_multiplier_, recall, strict=True
    ):
        assert reached >= asked.get(label, 0) - 1e-9
        if label not in asked:
            assert multiplier == 1
    assert model.best_score_ == pytest.approx(accuracy_score(y, decision))
    assert model.best_score_ <= accuracy_score(y, model.classes_[p.argmax(axis=1)]) + 1e-9


def test_recalls_that_are_there_leave_the_model_as_it_is(data):
    X, y = data
    model = DecisionClassifierCV(PLAIN, min_recall={"fine": 0.1, "lost": 0}).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), clone(PLAIN).fit(X, y).predict(X))


def test_recalls_out_of_reach_are_told_with_those_that_are_not(data):
    X, y = data
    asked = {"bent": 0.97, "scratched": 0.95}
    message = (
        r"^min_recall must be within reach of the model: out of fold, LogisticRegression reaches "
        r"together no more than 0\.\d+ for 'bent', 0\.\d+ for 'scratched', got \{'bent': 0.97"
    )
    with pytest.raises(ValueError, match=message) as caught:
        DecisionClassifierCV(PLAIN, min_recall=asked).fit(X, y)
    words = str(caught.value).replace(",", "").split()
    reached = {label: float(words[words.index(f"'{label}'") - 2]) for label in asked}
    nearer = {label: value - 0.02 for label, value in reached.items()}
    DecisionClassifierCV(PLAIN, min_recall=nearer).fit(X, y)


@pytest.mark.parametrize("n_classes", [4, 12])
def test_of_many_recalls_out_of_reach_the_farthest_are_named(n_classes):
    """A number asks it of all, and those that stand in each other's way are not all few."""
    X, y = make_long_tailed_classification(
        60 * n_classes, n_classes=n_classes, imbalance_factor=5, class_sep=0.5, random_state=0
    )
    with pytest.raises(ValueError, match="^min_recall must be within reach") as caught:
        DecisionClassifierCV(PLAIN, min_recall=0.9, cv=3).fit(X, y)
    named = re.findall(r"(\d\.\d+) for (\d+)", str(caught.value))
    assert len(named) == min(n_classes, 6)
    assert min(float(recall) for recall, _ in named) < 0.9
    assert ("(and 6 others that are nearer)" in str(caught.value)) == (n_classes == 12)


def test_half_of_the_recalls_asked_for_are_reached_on_new_data():
    """And what is expected says what is reached, on average."""
    reached, expected = [], []
    for seed in range(24):
        X, y = bells(0, 600, seed)
        model = DecisionClassifierCV(GaussianNB(), min_recall={2: 0.6}).fit(X, y)
        X, y = bells(0, 5000, 100 + seed)
        reached.append((model.predict(X) == y)[y == 2].mean())
        expected.append(model.expected_recall_[2])
    assert 0.25 < np.mean(np.array(reached) >= 0.6) < 0.75
    assert np.mean(expected) == pytest.approx(np.mean(reached), abs=0.04)


def test_a_class_whose_rows_are_all_in_one_fold():
    X, y = bells(0, 600, 0)
    fold = np.where(y == 2, 0, np.arange(600) % 3)
    cv = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(3)]
    frozen = FrozenEstimator(GaussianNB().fit(*bells(0, 600, 1)))
    model = DecisionClassifierCV(frozen, min_recall={2: 0.8}, cv=cv).fit(X, y)
    assert model.recall_[2] >= 0.8
    assert model.expected_recall_[2] < model.recall_[2]  # learned without any of it


def test_probabilities_that_are_next_to_nothing():
    """As naive Bayes has: multipliers stay numbers."""
    rng = np.random.default_rng(0)
    y = np.r_[np.zeros(80, int), np.ones(20, int)]
    X = np.repeat(rng.normal(size=(100, 1)) + 3 * y[:, None], 80, axis=1)
    for asked in ({"metric": "worst_class_recall"}, {"metric": "recall"}, {"min_recall": {1: 1}}):
        model = DecisionClassifierCV(GaussianNB(), **asked).fit(X, y)
        assert np.isfinite(model.class_multiplier_).all()
        assert np.isfinite(model.predict_proba(X)).all()


# ---------------------------------------------------------------------- weights, priors, labels


@pytest.mark.parametrize(
    "asked",
    [{"metric": "f1_macro"}, {"metric": "accuracy"}, {"min_recall": {"bent": 0.7}}],
    ids=repr,
)
def test_a_weight_of_two_is_two_copies(data, asked):
    """Where both copies are in the same fold."""
    X, y = data
    X, y = X[:600], y[:600]
    weight = 1 + (np.arange(600) % 3 == 0)
    copies = np.repeat(np.arange(600), weight)
    fold = np.arange(600) % 7 % 3
    splits, of_copies = (
        [(np.flatnonzero(f != k), np.flatnonzero(f == k)) for k in range(3)]
        for f in (fold, fold[copies])
    )
    estimator = GaussianNB()
    weighted = DecisionClassifierCV(estimator, **asked, cv=splits).fit(X, y, weight)
    copied = DecisionClassifierCV(estimator, **asked, cv=of_copies).fit(X[copies], y[copies])
    names = ("class_multiplier_", "best_score_", "expected_score_", "recall_", "class_count_")
    for name in names:
        np.testing.assert_allclose(
            getattr(weighted, name), getattr(copied, name), err_msg=name, rtol=1e-6
        )


def test_a_target_prior_is_a_world_of_such_weights(data):
    """So far as the score is concerned, rows of a class that is twice as frequent count twice."""
    X, y = data
    prior = dict(zip(NAMES, (0.3, 0.3, 0.2, 0.1, 0.1), strict=True))
    model = DecisionClassifierCV(PLAIN, metric="f1_macro", target_prior=prior, cv=3).fit(X, y)
    p = cross_val_predict(PLAIN, X, y, cv=3, method="predict_proba")
    share = model.class_count_ / len(y)
    change = np.array([prior[label] for label in model.classes_]) / share
    decision = model.classes_[(p * change * model.class_multiplier_).argmax(axis=1)]
    weight = change[np.searchsorted(model.classes_, y)]
    expected = f1_score(y, decision, average="macro", sample_weight=weight)
    assert model.best_score_ == pytest.approx(expected)
    np.testing.assert_allclose(model.target_prior_, change * share)
    natural = DecisionClassifierCV(PLAIN, metric="f1_macro", cv=3).fit(X, y)
    np.testing.assert_allclose(model.predict_natural_proba(X), natural.predict_natural_proba(X))


def test_rows_weigh_as_in_the_target_and_are_as_many_as_in_training(data, monkeypatch):
    X, y = data
    own, seen = np.linspace(1, 2, len(y)), []

    def spy(*given):
        seen.append(left_out(*given))
        return seen[-1]

    monkeypatch.setattr(_decision, "left_out", spy)
    model = DecisionClassifierCV(GaussianNB(), target_prior="uniform", cv=3).fit(X, y, own)
    ((rows, _),) = seen
    np.testing.assert_allclose(np.bincount(rows.y, rows.size), model.class_count_)
    np.testing.assert_allclose(np.bincount(rows.y, rows.weight), own.sum() / 5)


def test_a_class_that_will_not_be_there(data):
    X, y = data
    prior = dict(zip(NAMES, (0.8, 0.2, 0, 0, 0), strict=True))
    for asked in (
        {"metric": "balanced_accuracy"},
        {"metric": "f1_macro"},
        {"cost_matrix": 1 - np.eye(5)},
        {"min_recall": {"bent": 0.5}},
    ):
        model = DecisionClassifierCV(PLAIN, **asked, target_prior=prior).fit(X, y)
        assert set(model.predict(X)) == {"fine", "bent"}
        assert np.isfinite(model.class_multiplier_).all()
        assert model.class_multiplier_[model.target_prior_ > 0].min() == 1


def test_a_class_without_weight(data):
    X, y = data
    weight = (y != "lost").astype(float)
    for asked in ({}, {"metric": "f1_macro"}, {"min_recall": {"bent": 0.6}}):
        model = DecisionClassifierCV(PLAIN, **asked, cv=3).fit(X, y, weight)
        assert "lost" not in model.predict(X)
        lost = model.classes_.tolist().index("lost")
        assert model.class_multiplier_[lost] == 0
        assert np.isnan(model.recall_[lost])
    with pytest.raises(ValueError, match="^cv must leave out samples of every class of min_reca"):
        DecisionClassifierCV(PLAIN, min_recall=0.5, cv=3).fit(X, y, weight)


@pytest.mark.filterwarnings("ignore:The least populated class:UserWarning")
def test_a_fold_without_the_rarest_class(data):
    X, y = data
    y = np.where(np.arange(len(y)) == 5, "rarest", y)
    model = DecisionClassifierCV(PLAIN, cv=2).fit(X, y)
    assert model.predict_proba(X).shape == (len(X), 6)
    assert model.recall_[model.classes_ == "rarest"] == 0  # its fold does not know it


def test_a_class_that_no_fold_leaves_out_takes_no_part(data):
    X, y = data
    folds = [(np.arange(len(y)), np.flatnonzero(y != "lost"))]
    model = DecisionClassifierCV(PLAIN, cv=folds).fit(X, y)
    lost = model.classes_ == "lost"
    np.testing.assert_array_equal(np.isnan(model.recall_), lost)
    assert model.best_score_ == pytest.approx(model.recall_[~lost].mean())
    with pytest.raises(ValueError, match="of every class of min_recall, got none of 'lost'"):
        DecisionClassifierCV(PLAIN, min_recall={"lost": 0.5}, cv=folds).fit(X, y)


def test_a_weighted_classifier_is_asked_for_natural_probabilities(data):
    X, y = data
    weighted = ClassBalancedClassifier(PLAIN, beta=1)
    model = DecisionClassifierCV(weighted, cost_matrix=1 - np.eye(5)).fit(X, y)
    natural = PriorCorrectedClassifier(weighted).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), natural.predict_proba(X))
    scores = [
        DecisionClassifierCV(clone(PLAIN).set_params(class_weight=w)).fit(X, y).best_score_
        for w in (None, "balanced")
    ]
    assert abs(scores[0] - scores[1]) < 0.05


def test_what_is_left_of_another_fit(data):
    X, y = data
    model = DecisionClassifierCV(PLAIN, cv=3).fit(X, y)
    assert hasattr(model, "tau_")
    model.set_params(min_recall={"bent": 0.6}).fit(X, y)
    assert not hasattr(model, "tau_")
    rng = np.random.default_rng(0)
    model.set_params(min_recall=None, cost_matrix=rng.uniform(size=(5, 5)), cv=None).fit(X, y)
    for name in ("class_multiplier_", "best_score_", "recall_", "predict_proba"):
        assert not hasattr(model, name)
    model.set_params(cost_matrix=None).fit(X, y)
    assert not hasattr(model, "cost_matrix_")
    assert hasattr(model, "predict_proba")


def test_searches_and_pipelines(data):
    X, y = data
    model = make_pipeline(StandardScaler(), DecisionClassifierCV(PLAIN, cv=2))
    grid = {
        "decisionclassifiercv__metric": ["balanced_accuracy", "f1_macro"],
        "decisionclassifiercv__estimator__C": [0.1, 1],
    }
    search = GridSearchCV(model, grid, scoring="f1_macro", cv=2).fit(X, y)
    assert search.best_params_["decisionclassifiercv__metric"] == "f1_macro"
    frozen = FrozenEstimator(make_pipeline(StandardScaler(), PLAIN).fit(X, y))
    again = DecisionClassifierCV(frozen, min_recall={"bent": 0.5}, cv=2).fit(X, y)
    assert again.estimator_ is frozen


@pytest.mark.parametrize(
    "metric",
    [
        "accuracy",
        make_scorer(matthews_corrcoef),
        make_shot_scorer(PARTS[2], shot="few"),
        lambda estimator, X, y: balanced_accuracy_score(y, estimator.predict(X)),
    ],
    ids=["accuracy", "Matthews", "few", "callable"],
)
def test_any_score_of_predictions(data, metric):
    X, y = data
    model = DecisionClassifierCV(GaussianNB(), metric=metric, cv=2).fit(X, y)
    assert 0 <= model.tau_ <= 2
    p = cross_val_predict(GaussianNB(), X, y, cv=2, method="predict_proba")
    decision = (p * model.class_multiplier_).argmax(axis=1)
    given = LabelsGiven().fit(model.classes_)
    scores = [
        check_scoring(given, scoring=metric)(given, one, y) for one in (decision, p.argmax(axis=1))
    ]
    assert scores[0] >= scores[1]
    assert model.best_score_ == pytest.approx(scores[0])


def test_many_classes_and_digits():
    X, y = load_digits_lt(return_X_y=True)
    X_test, y_test = load_digits_lt("test", return_X_y=True)
    plain = clone(PLAIN).fit(X / 16, y)
    model = DecisionClassifierCV(PLAIN).fit(X / 16, y)
    scores = [balanced_accuracy_score(y_test, m.predict(X_test / 16)) for m in (model, plain)]
    assert model.tau_ > 0
    assert scores[0] > scores[1] + 0.02


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            {"metric": "f1_macro", "min_recall": 0.5},
            "Only one of cost_matrix, metric and min_recall must be given, got metric and min_re",
        ),
        ({"metric": 5}, "metric must name one score or be callable, got 5"),
        ({"metric": ["f1_macro"]}, r"metric must name one score or be callable, got \['f1_macro'"),
        ({"metric": "foo"}, "metric must be one of 'balanced_accuracy', .*, got 'foo'"),
        ({"metric": "roc_auc_ovr"}, "metric must score predictions alone, got one that asks for"),
        ({"metric": "neg_log_loss"}, "metric must score predictions alone, got one that asks for"),
        ({"metric": "top_k_accuracy"}, "metric must score predictions alone, got one that asks"),
        ({"metric": "f1"}, "(Target is multiclass|pos_label=1 is not a valid label)"),
        ({"min_recall": 1.5}, r"min_recall must be a number in \[0, 1\], got 1.5"),
        ({"min_recall": {"bent": -1}}, r"min_recall of 'bent' must be a number in \[0, 1\], got"),
        ({"min_recall": {"ben": 0.5}}, "min_recall must name classes of y, got 'ben'"),
        ({"min_recall": {}}, "min_recall must name at least one class, got none"),
        (
            {"min_recall": "a"},
            r"min_recall must be a number .*, or a mapping .*, got 'a'",
        ),
        (
            {"min_recall": [0.5]},
            r"min_recall must be a number .*, or a mapping .* \[0.5\]",
        ),
        (
            {"cost_matrix": np.ones((4, 4))},
            "cost_matrix must have a row for each of the 5 true cl",
        ),
        ({"cost_matrix": 1.0}, r"cost_matrix must have a row .*, got shape \(\)"),
        (
            {"cost_matrix": np.full((5, 5), np.nan)},
            "cost_matrix must hold finite numbers, got nan",
        ),
        (
            {"cost_matrix": {"bent": 3}},
            "cost_matrix must name the 5 classes and no other label, g",
        ),
        (
            {"cost_matrix": dict.fromkeys(NAMES, -1)},
            "cost_matrix must hold costs >= 0 of missing each class, got -1.0",
        ),
        (
            {"cost_matrix": pd.DataFrame(np.ones((5, 5)))},
            "cost_matrix must have the 5 classes as its index, each once, got",
        ),
        ({"cost_matrix": [["a"] * 5] * 5}, "cost_matrix must hold numbers, got"),
        ({"target_prior": "estimate"}, "target_prior must be 'natural', 'uniform', an array or a"),
        ({"target_prior": [0.5, 0.5]}, "target_prior must have a frequency for each of the 5 cla"),
        ({"cv": 1}, "k-fold cross-validation requires at least one train/test split"),
        ({"cv": []}, "cv must yield at least one split, got none"),
        ({"cv": "prefit"}, "cv must be an integer or folds, got 'prefit': a .* a FrozenEstimator"),
        ({"cost_matrix": np.ones((5, 5)), "cv": 1}, "k-fold cross-validation requires at least"),
    ],
)
def test_bad_values_are_named_before_any_fit(data, asked, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        DecisionClassifierCV(NeverFitted(), **asked).fit(*data)


def test_a_score_that_takes_no_weights(data):
    X, y = data
    metric = make_scorer(max_error, greater_is_better=False)
    y = np.searchsorted(NAMES[np.argsort(NAMES)], y)
    assert DecisionClassifierCV(PLAIN, metric=metric, cv=2).fit(X, y).best_score_ <= 0
    for asked, weight in (({}, np.ones(len(y))), ({"target_prior": "uniform"}, None)):
        model = DecisionClassifierCV(GaussianNB(), metric=metric, **asked)
        with pytest.raises(TypeError, match="^metric must take sample_weight where samples have"):
            model.fit(X, y, weight)


@pytest.mark.parametrize(
    "metric",
    [
        lambda model, X, y: np.average(model.predict(X) == y, weights=X[:, 0]),
        lambda model, X, y: np.average(model.predict(X) == y, weights=X["price"]),
        lambda model, X, y: np.average(model.predict(X) == y, weights=X.price),
        lambda model, X, y: accuracy_score(y, model.predict(X)) - len(model.coef_),
    ],
)
def test_a_score_by_features_is_no_score_of_predictions(metric):
    with pytest.raises(ValueError, match="^metric must score predictions alone, .* for more: "):
        DecisionClassifierCV(NeverFitted(), metric=metric).fit(*bells(0, 60, 0))


def test_a_score_that_is_never_a_number(data):
    metric = make_shot_scorer(NAMES, shot="many")  # one sample of each
    with pytest.raises(ValueError, match="^metric must give a number .*, got NaN of make_scorer"):
        DecisionClassifierCV(GaussianNB(), metric=metric).fit(*data)


def test_one_class():
    model = DecisionClassifierCV(DummyClassifier(), cv=2).fit(np.zeros((6, 1)), ["a"] * 6)
    assert model.predict(np.zeros((2, 1))).tolist() == ["a", "a"]
    assert model.best_score_ == 1


@parametrize_with_checks(
    [
        DecisionClassifierCV(LogisticRegression(), cv=2),
        DecisionClassifierCV(LogisticRegression(), metric="f1_macro", cv=2),
        DecisionClassifierCV(LogisticRegression(), metric="accuracy", cv=2),
        DecisionClassifierCV(LogisticRegression(), min_recall=0.1, cv=2),
    ],
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)
