import sys
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from sk_cbloss import (
    ConformalClassifierCV,
    SetCoverageDisplay,
    load_digits_lt,
    set_coverage_interval,
    set_coverage_score,
    shot_coverage_score,
)

# One class more than is tested, in no order.
COUNT = {"cat": 60, "ant": 5, "dog": 300, "yak": 2}
CLASSES = ["ant", "cat", "dog", "yak"]
TRUE = np.repeat(CLASSES[:3], [4, 10, 25])
SETS = np.random.default_rng(0).random((39, 4)) < 0.5


def heights(display):
    return np.asarray(display.points_.get_offsets())


def test_classes_stand_from_head_to_tail():
    display = SetCoverageDisplay.from_predictions(
        TRUE, SETS, classes=CLASSES, class_count=COUNT, confidence=0.8
    )
    of_class = set_coverage_score(TRUE, SETS, classes=CLASSES, average=None)
    assert_allclose(heights(display), np.c_[[1, 2, 3], of_class[[2, 1, 0]]])
    ticks = [tick.get_text() for tick in display.size_ax_.get_xticklabels()]
    assert ticks == ["dog", "cat", "ant"]
    found = set_coverage_interval(TRUE, SETS, classes=CLASSES, by="class")
    strokes = display.ax_.collections[1].get_segments()
    expected = [(found[name].low, found[name].high) for name in ("dog", "cat", "ant")]
    assert_allclose([stroke[:, 1] for stroke in strokes], expected)
    assert_allclose(display.size_ax_.get_xlim(), display.ax_.get_xlim())
    sizes = [bar.get_height() for bar in display.size_ax_.patches]
    assert_allclose(
        sizes, [SETS[name == TRUE].sum(axis=1).mean() for name in ("dog", "cat", "ant")]
    )
    areas = display.points_.get_sizes()
    assert areas[0] > areas[1] > areas[2]
    lines = [line for line in display.ax_.lines if line.get_linestyle() == "--"]
    assert [line.get_ydata()[0] for line in lines] == [0.8]


def test_means_are_those_of_the_score():
    display = SetCoverageDisplay.from_predictions(
        TRUE,
        sparse.csr_array(SETS),
        classes=CLASSES,
        class_count=[COUNT[name] for name in CLASSES],
    )
    scores = shot_coverage_score(TRUE, SETS, classes=CLASSES, class_count=COUNT)
    assert display.means_ == pytest.approx(scores)
    one = SetCoverageDisplay.from_predictions(
        TRUE, SETS, classes=CLASSES, class_count=COUNT, thresholds=(400, 400)
    )
    assert one.means_ == {
        "few": pytest.approx(set_coverage_score(TRUE, SETS, classes=CLASSES, average="macro"))
    }
    assert not [line for line in one.ax_.lines if line.get_linestyle() == "--"]


def test_from_an_estimator():
    X, y = load_digits_lt(return_X_y=True)
    X_test, y_test = load_digits_lt("test", return_X_y=True)
    model = ConformalClassifierCV(LogisticRegression(max_iter=1000), cv=2).fit(X / 16, y)
    display = SetCoverageDisplay.from_estimator(model, X_test / 16, y_test)
    again = SetCoverageDisplay.from_predictions(
        y_test,
        model.predict_set(X_test / 16),
        class_count=Counter(y.tolist()),
        classes=model.classes_,
    )
    assert_allclose(heights(display), heights(again))
    assert display.confidence == 0.9
    wide = SetCoverageDisplay.from_estimator(model, X_test / 16, y_test, confidence=0.98)
    assert wide.confidence == 0.98
    assert (heights(wide)[:, 1] >= heights(display)[:, 1]).all()
    other = SetCoverageDisplay.from_estimator(
        model, X_test / 16, y_test, class_count=np.arange(1, 11)
    )
    assert_allclose(heights(other)[::-1, 1], heights(display)[:, 1])


def test_on_axes_that_are_given():
    found = set_coverage_interval(TRUE, SETS, classes=CLASSES, by="class")
    display = SetCoverageDisplay(found, class_count=COUNT)
    assert display.plot().size_ax_ is None
    _, axes = plt.subplots(2)
    assert display.plot(axes[0]).ax_ is axes[0]
    sized = SetCoverageDisplay(found, class_count=COUNT, set_size=dict.fromkeys(CLASSES, 1.5))
    assert sized.plot(axes[0]).size_ax_ is None  # coverage alone
    assert sized.plot(axes).size_ax_ is axes[1]
    assert sized.plot(tuple(axes)).ax_ is axes[0]
    for bad in (5, [axes[0]], [axes[0], None]):
        with pytest.raises(ValueError, match="^ax must be a matplotlib Axes"):
            sized.plot(bad)


@pytest.mark.parametrize("n_classes", [1, 3, 100])
def test_any_number_of_classes(n_classes):
    rng = np.random.default_rng(0)
    y = rng.choice(n_classes, 500)
    y[:n_classes] = np.arange(n_classes)
    sets = rng.random((500, n_classes)) < 0.5
    display = SetCoverageDisplay.from_predictions(
        y, sets, class_count=np.arange(n_classes)[::-1], confidence=0.9
    )
    assert len(heights(display)) == n_classes
    display.figure_.canvas.draw()


FOUND = {"a": (0.5, 0.2, 0.8, 4)}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"coverage": {}}, "coverage must be a mapping from labels .* at least one, got {}"),
        ({"coverage": [0.5]}, r"coverage must be a mapping from labels .*, got \[0.5\]"),
        ({"coverage": {"a": 0.5}}, r"coverage must hold \(coverage, low, .* got 0.5 of 'a'"),
        ({"class_count": {"b": 5}}, "class_count must hold every one of classes, got no 'a'"),
        ({"set_size": {"b": 5}}, "set_size must hold every class, got no 'a'"),
        ({"confidence": 90}, r"confidence must be a number in \(0, 1\), got 90"),
        ({"thresholds": 5}, "thresholds must be two increasing numbers"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        SetCoverageDisplay(**{"coverage": FOUND, "class_count": {"a": 9}} | parameters).plot()
    assert not plt.get_fignums()


@pytest.mark.parametrize("wrong", [None, ConformalClassifierCV, LogisticRegression()])
def test_what_predicts_no_sets(wrong):
    with pytest.raises(TypeError, match="^estimator must be a fitted classifier with predict_set"):
        SetCoverageDisplay.from_estimator(wrong, [[0]], [0])


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"SetCoverageDisplay\.plot requires matplotlib"):
        SetCoverageDisplay(FOUND, class_count={"a": 9}).plot()
