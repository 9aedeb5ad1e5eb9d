import sys
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_cbloss import (
    ClassBalancedClassifier,
    DecisionClassifierCV,
    load_digits_lt,
    make_long_tailed_classification,
    shot_recall_score,
)
from sk_cbloss.inspection import RecallTradeOffDisplay

PLAIN = LogisticRegression(max_iter=1000)
X, Y = make_long_tailed_classification(3000, n_classes=3, random_state=0)
Y = np.array(["fine", "bent", "broken"])[Y]
X_TRAIN, X_TEST, Y_TRAIN, Y_TEST = train_test_split(X, Y, stratify=Y, random_state=0)
SCORES = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "f1_macro": lambda *both: f1_score(*both, average="macro"),
    "geometric_mean": lambda *both: np.prod(recall_score(*both, average=None)) ** (1 / 3),
    "worst_class_recall": lambda *both: recall_score(*both, average=None).min(),
}


@pytest.fixture(scope="module")
def model():
    return DecisionClassifierCV(PLAIN, cv=3).fit(X_TRAIN, Y_TRAIN)


def decided(model, tau):
    share = model.class_count_ / model.class_count_.sum()
    p = model.predict_natural_proba(X_TEST)
    return model.classes_[(p * share**-tau).argmax(axis=1)]


@pytest.mark.parametrize("metric", SCORES)
def test_lines_are_recalls_and_scores_of_decisions_along_tau(model, metric):
    display = RecallTradeOffDisplay.from_estimator(model, X_TEST, Y_TEST, metric=metric)
    tau = display.lines_["fine"].get_xdata()
    assert tau[0] == 0
    assert tau[-1] == 2
    *classes, name = display.lines_
    assert classes == ["fine", "bent", "broken"]  # from head to tail
    for place in (0, 17, 80):
        decision = decided(model, tau[place])
        score = SCORES[metric](Y_TEST, decision)
        assert display.lines_[name].get_ydata()[place] == pytest.approx(score)
        for label in classes:
            recall = recall_score(Y_TEST, decision, labels=[label], average=None)[0]
            assert display.lines_[label].get_ydata()[place] == pytest.approx(recall)


def test_the_decision_is_marked_where_it_was_made(model):
    display = RecallTradeOffDisplay.from_estimator(model, X_TEST, Y_TEST)
    for label, mark in display.marks_.items():
        ((at,), (value,)) = mark.get_data()
        assert at == model.tau_
        decision = model.predict(X_TEST)
        if label == "balanced accuracy":
            assert value == pytest.approx(balanced_accuracy_score(Y_TEST, decision))
        else:
            recall = recall_score(Y_TEST, decision, labels=[label], average=None)[0]
            assert value == pytest.approx(recall)
    assert len(display.marks_) == 4


def test_a_decision_without_tau_stands_beside(model):
    reached = DecisionClassifierCV(PLAIN, min_recall={"bent": 0.5}).fit(X_TRAIN, Y_TRAIN)
    weighted = ClassBalancedClassifier(PLAIN).fit(X_TRAIN, Y_TRAIN)
    for one in (reached, weighted):
        display = RecallTradeOffDisplay.from_estimator(one, X_TEST, Y_TEST, metric="accuracy")
        assert all(mark.get_xdata()[0] > 2 for mark in display.marks_.values())


def test_tau_of_two_classes_may_be_any():
    far = np.abs(X_TRAIN[:, 0]) > 0.5
    model = DecisionClassifierCV(PLAIN).fit(X_TRAIN, far)
    model.tau_ = -1.5
    display = RecallTradeOffDisplay.from_estimator(model, X_TEST, np.abs(X_TEST[:, 0]) > 0.5)
    assert display.lines_["True"].get_xdata()[0] == -1.5
    model.tau_ = 40.0
    display = RecallTradeOffDisplay.from_estimator(model, X_TEST, np.abs(X_TEST[:, 0]) > 0.5)
    assert display.lines_["True"].get_xdata()[-1] == 2


def test_many_classes_are_drawn_by_groups():
    train, y = load_digits_lt(return_X_y=True)
    test, y_test = load_digits_lt("test", return_X_y=True)
    model = DecisionClassifierCV(PLAIN, cv=2).fit(train / 16, y)
    display = RecallTradeOffDisplay.from_estimator(model, test / 16, y_test)
    names = list(display.lines_)
    assert names[:3] == ["many-shot, 1 class", "medium-shot, 5 classes", "few-shot, 4 classes"]
    count = dict(enumerate(model.class_count_))
    shots = shot_recall_score(y_test, model.predict(test / 16), class_count=count)
    reached = [display.marks_[name].get_ydata()[0] for name in names[:3]]
    assert_allclose(reached, list(shots.values()))
    each = RecallTradeOffDisplay.from_estimator(model, test / 16, y_test, group="classes")
    assert list(each.lines_)[:-1] == [str(label) for label in range(10)]


def test_very_many_classes_each():
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(50), 500)
    y = np.r_[np.arange(50), rng.integers(50, size=450)]
    count = dict(zip(range(50), range(60, 10, -1), strict=True))
    display = RecallTradeOffDisplay.from_predictions(y, p, class_count=count, group="classes")
    shown = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert shown == ["0, most frequent", "49, rarest", "balanced accuracy"]
    assert len(display.lines_) == 51
    assert not display.marks_


def test_columns_in_an_order_of_ones_own(model):
    p = model.predict_natural_proba(X_TEST)
    count = dict(zip(model.classes_.tolist(), model.class_count_, strict=True))
    sorted_ = RecallTradeOffDisplay.from_predictions(Y_TEST, p, class_count=count)
    turned = RecallTradeOffDisplay.from_predictions(
        Y_TEST, p[:, ::-1], class_count=count, labels=model.classes_[::-1].tolist(), metric=None
    )
    assert list(turned.lines_) == list(sorted_.lines_)[:-1]
    for name, line in turned.lines_.items():
        assert_allclose(line.get_ydata(), sorted_.lines_[name].get_ydata())


def test_decisions_are_found_in_pipelines_and_searches():
    inner = DecisionClassifierCV(PLAIN, cv=3)
    outer = GridSearchCV(make_pipeline(StandardScaler(), inner), {}, cv=2).fit(X_TRAIN, Y_TRAIN)
    shown = RecallTradeOffDisplay.from_estimator(outer, X_TEST, Y_TEST)
    scaler = StandardScaler().fit(X_TRAIN)
    inner.fit(scaler.transform(X_TRAIN), Y_TRAIN)
    expected = RecallTradeOffDisplay.from_estimator(inner, scaler.transform(X_TEST), Y_TEST)
    for name, line in expected.lines_.items():
        assert_allclose(shown.lines_[name].get_ydata(), line.get_ydata())
        assert_allclose(shown.marks_[name].get_xydata(), expected.marks_[name].get_xydata())


@pytest.mark.parametrize("first", [0, 1, 2])
def test_columns_do_not_go_by_the_order_of_counts(model, first):
    """A Counter has labels in the order in which they came, predict_proba has them sorted."""
    p = model.predict_natural_proba(X_TEST)
    labels = np.roll(model.classes_, first).tolist()
    count = Counter({label: int((label == Y_TRAIN).sum()) for label in labels})
    given = {"class_count": count, "y_pred": model.predict(X_TEST), "tau": model.tau_}
    by_count = RecallTradeOffDisplay.from_predictions(Y_TEST, p, **given)
    expected = RecallTradeOffDisplay.from_estimator(model, X_TEST, Y_TEST)
    assert list(by_count.lines_) == list(expected.lines_)
    for name, line in by_count.lines_.items():
        assert_allclose(line.get_ydata(), expected.lines_[name].get_ydata())


def test_it_draws_where_it_is_told():
    _, ax = plt.subplots()
    display = RecallTradeOffDisplay([0, 1], {"a": [0, 1]}, score=[0.5, 0.5], score_name="mine")
    assert display.plot(ax).ax_ is ax
    assert list(display.lines_) == ["a", "mine"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"metric": "auc"}, "metric must be 'accuracy', "),
        ({"group": "all"}, "group must be 'classes', 'shots' or None, got 'all'"),
        (
            {"y_proba": np.ones((3, 2)) / 2},
            r"y_proba must have shape \(3, 3\), a row for",
        ),
        ({"y_true": ["a", "b", "z"]}, "y_true must hold labels that have probabilities, got 'z'"),
        ({"y_pred": ["a", "b", "z"]}, "y_pred must hold labels that have probabilities, got 'z'"),
        ({"class_count": {"a": 3}, "labels": list("abc")}, "class_count must hold every label, "),
        (
            {"class_count": [3, 2], "labels": list("abc")},
            "class_count must have a number for each",
        ),
        ({"thresholds": (3, 1), "group": "shots"}, "thresholds must be two increasing numbers"),
    ],
)
def test_bad_values(changed, message):
    good = {"y_true": list("abc"), "y_proba": np.ones((3, 3)) / 3}
    good |= {"class_count": {"a": 3, "b": 2, "c": 1}}
    with pytest.raises(ValueError, match=f"^{message}"):
        RecallTradeOffDisplay.from_predictions(**good | changed)


def test_lines_of_other_lengths():
    for values in ({"recalls": {"a": [1]}}, {"recalls": {"a": [1, 1]}, "score": [1]}):
        with pytest.raises(ValueError, match="^recalls and score must have a number"):
            RecallTradeOffDisplay([0, 1], **values).plot()


def test_what_has_no_natural_probabilities():
    for estimator in (PLAIN, DecisionClassifierCV):
        with pytest.raises(TypeError, match="^estimator must be a fitted classifier with"):
            RecallTradeOffDisplay.from_estimator(estimator, X_TEST, Y_TEST)


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="RecallTradeOffDisplay.plot requires matplotlib"):
        RecallTradeOffDisplay([0, 1], {"a": [0, 1]}).plot()
