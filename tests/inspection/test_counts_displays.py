"""The displays of class counts: long tail, effective numbers, weights."""

import sys
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    ClassBalancedSampler,
    ClassBalancedWeigher,
    class_balanced_label_weight,
    class_balanced_weight,
    load_digits_lt,
    long_tailed_counts,
)
from sk_cbloss.inspection import ClassWeightDisplay, EffectiveNumberDisplay, LongTailDisplay

DISPLAYS = [EffectiveNumberDisplay, ClassWeightDisplay, LongTailDisplay]
COUNTS = {"dog": 90, "cat": 900, "emu": 0, "yak": 9}
MANY = long_tailed_counts(8142, 1000, imbalance_factor=500)


def texts(ax):
    return [text.get_text() for text in ax.texts]


def legend(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# ------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("counts", [COUNTS, pd.Series(COUNTS), [3, 2, 1], [5], MANY])
def test_draws_few_classes_and_thousands(display, counts):
    drawn = display(counts).plot()
    drawn.figure_.canvas.draw()
    assert drawn.ax_.figure is drawn.figure_


@pytest.mark.parametrize("display", DISPLAYS)
def test_labels_or_counts(display):
    y = ["cat"] * 900 + ["yak"] * 9 + ["dog"] * 90
    _, (left, right) = plt.subplots(1, 2)
    first = display.from_labels(y, ax=left)
    second = display(COUNTS).plot(right)
    assert first.ax_ is left
    assert len(plt.get_fignums()) == 1
    for one, other in zip(first.ax_.lines, second.ax_.lines, strict=True):
        assert_array_equal(one.get_xydata(), other.get_xydata())
    assert [t.get_text() for t in left.get_xticklabels()] == [
        t.get_text() for t in right.get_xticklabels()
    ]


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([0, 0], "class_count must hold a class that has samples, got none"),
        ([], "class_count must hold a class that has samples, got none"),
        ([3, -1], "class_count must .* got"),
        ("cat", "class_count must .* got 'cat'"),
        (5, r"class_count must have a number for each class, got an array of shape \(\)"),
        ([[5, 3]], r"class_count must have a number for each class, .* shape \(1, 2\)"),
    ],
)
def test_bad_counts(display, counts, message):
    with pytest.raises(ValueError, match=message):
        display(counts).plot()
    assert not plt.get_fignums()


@pytest.mark.parametrize("display", DISPLAYS)
def test_bad_labels(display):
    with pytest.raises(ValueError, match="^y must hold at least one label, got none"):
        display.from_labels([])
    with pytest.raises(ValueError, match="^y must hold a label for each sample, got counts"):
        display.from_labels(COUNTS)
    assert not plt.get_fignums()


@pytest.mark.parametrize("display", DISPLAYS)
def test_without_matplotlib(display, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=f"{display.__name__}.plot requires matplotlib"):
        display(COUNTS).plot()


@pytest.mark.parametrize("display", DISPLAYS)
def test_bad_axes(display):
    with pytest.raises(ValueError, match="ax must be a matplotlib Axes or None, got list"):
        display(COUNTS).plot([plt.subplots()[1]])


@pytest.mark.parametrize("display", DISPLAYS[1:])
def test_names_that_are_long_or_look_like_formulas(display):
    given = display({"price $5 or $9": 90, "$a_{$": 50, "n" * 300: 3})
    for name_length, left in ((40, (20, 19)), (24, (12, 11))):
        drawn = given.plot(name_length=name_length)
        drawn.figure_.canvas.draw()
        shown = [label.get_text() for label in drawn.ax_.get_xticklabels()]
        cut = "…".join("n" * n for n in left)
        assert shown == [r"price \$5 or \$9", r"\$a_{\$", cut]
        assert drawn.ax_.get_xlabel() == "Class, from head to tail; … where names are cut"


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("n_samples", [None, 2000])
@pytest.mark.parametrize("n_named", [3, 100])
def test_the_axis_counts_those_without_samples(display, n_samples, n_named):
    kind, plural = ("class", "classes") if n_samples is None else ("label", "labels")
    for n_empty, said in ((0, ""), (1, f"1 {kind} without"), (12, f"12 {plural} without")):
        counts = [*range(1, n_named + 1), *[0] * n_empty]
        shown = display(counts, n_samples=n_samples).plot().ax_.get_xlabel()
        assert shown.partition("\n")[2] == (said and f"{said} samples")


@pytest.mark.parametrize("display", DISPLAYS)
@pytest.mark.parametrize("kind", [np.asarray, csr_array, pd.DataFrame])
def test_a_label_that_no_sample_has_is_not_dropped_in_silence(display, kind):
    y = np.eye(5, 3, dtype=int) * [1, 0, 1]
    assert display.from_labels(kind(y)).ax_.get_xlabel().endswith("\n1 label without samples")


# -------------------------------------------------------------------------------- long tail


def test_long_tail_goes_from_head_to_tail_and_leaves_empty_classes_out():
    display = LongTailDisplay(COUNTS).plot()
    assert_array_equal(display.outline_.get_data().values, [900, 90, 9])
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["cat", "dog", "yak"]
    assert display.ax_.get_yscale() == "log"
    assert display.ax_.get_title() == "999 samples of 3 classes, imbalance factor 100"


def test_long_tail_names_the_groups():
    assert texts(LongTailDisplay(COUNTS).plot().ax_) == ["many\n1", "medium\n1", "few\n1"]
    # At a threshold, a class is of medium size.
    edges = LongTailDisplay([100, 20, 1], thresholds=(20, 100)).plot()
    assert texts(edges.ax_) == ["medium\n2", "few\n1"]
    with pytest.raises(ValueError, match="thresholds must be two increasing numbers"):
        LongTailDisplay(COUNTS, thresholds=(3, 1)).plot()


def test_long_tail_names_narrow_groups_in_the_title():
    ax = LongTailDisplay([5000, 50] + [5] * 2000).plot().ax_
    assert texts(ax) == ["few\n2,000"]
    assert ax.get_title().endswith("imbalance factor 1,000\ntoo narrow to name: many 1, medium 1")


def test_long_tail_of_thousands_has_ranks_for_ticks():
    ax = LongTailDisplay(MANY).plot().ax_
    assert ax.get_xlabel() == "Class, by rank from head to tail"
    ax.figure.canvas.draw()
    assert 4 <= len(ax.get_xticklabels()) <= 12
    assert ax.get_title().startswith("1,303,811 samples of 8,142 classes")


# ------------------------------------------------------------------------ effective numbers


def test_effective_number_is_the_papers_formula():
    display = EffectiveNumberDisplay(COUNTS, betas=[0.9, 0.999, 1, 0]).plot()
    for beta, line in zip([0.9, 0.999], display.lines_[:2], strict=True):
        n, number = line.get_data()
        assert_allclose(number, (1 - beta**n) / (1 - beta), rtol=1e-9)
    assert_array_equal(*display.lines_[2].get_data())
    assert set(display.lines_[3].get_ydata()) == {1}
    assert_array_equal(display.classes_.get_xdata(), [900, 90, 9])


def test_effective_number_says_where_a_line_ends():
    assert legend(EffectiveNumberDisplay(COUNTS, betas=[0.99, 0.99995]).plot().ax_) == [
        "beta 1, inverse frequency",
        "beta 0.99, N = 100",
        "beta 0.99995, N = 20,000",
        "the classes",
    ]


@pytest.mark.parametrize("display", DISPLAYS[:2])
def test_bad_beta(display):
    for betas, wrong in (([0.9, 1.5], "1.5"), ([0.9, "a"], "'a'")):
        with pytest.raises(
            ValueError, match=rf"^each of betas must be a number in \[0, 1\], got {wrong}"
        ):
            display(COUNTS, betas=betas).plot()
    for betas in (0.9, "0.9", [], np.array(0.9), iter([0.9])):
        with pytest.raises(ValueError, match="^betas must list at least one number, got"):
            display(COUNTS, betas=betas).plot()
    assert not plt.get_fignums()


# ---------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("normalize", ["samples", "classes", None])
def test_weights_are_those_of_the_function(normalize):
    display = ClassWeightDisplay(COUNTS, betas=[0, 0.99, 1], normalize=normalize).plot()
    for beta, line in zip([0, 0.99, 1], display.lines_, strict=True):
        expected = class_balanced_weight([900, 90, 9], beta=beta, normalize=normalize)
        assert_array_equal(line.get_ydata(), expected)
        assert_array_equal(line.get_xdata(), [1, 2, 3])
    assert texts(display.ax_) == ["head", "tail"]


@pytest.mark.parametrize("n_betas", [7, 8])
def test_a_long_legend_stands_beside_the_lines(n_betas):
    ax = ClassWeightDisplay(COUNTS, betas=np.linspace(0, 1, n_betas)).plot().ax_
    ax.figure.draw_without_rendering()
    covers = ax.get_legend().get_window_extent().overlaps(ax.get_window_extent())
    assert covers == (n_betas <= 7)


def test_weights_by_default_span_the_limits():
    labels = legend(ClassWeightDisplay(COUNTS).plot().ax_)
    assert len(labels) == 5
    assert (labels[0], labels[-1]) == ("beta 0, no weights", "beta 1, inverse frequency")


@pytest.fixture(scope="module")
def data():
    X, y = load_digits_lt(return_X_y=True)
    return X / 16, np.array(list("zyxwvutsrq"))[y]


def estimators(data):
    weighted = ClassBalancedClassifier(LogisticRegression(max_iter=500), beta=0.99)
    pipeline = make_pipeline(StandardScaler(), weighted)
    search = GridSearchCV(pipeline, {"classbalancedclassifier__beta": [0.99]}, cv=2)
    net = CBNeuralNetClassifier(beta=0.99, normalize="samples", max_epochs=1)
    return {
        "weigher": ClassBalancedWeigher(0.99).fit(*data),
        "classifier": weighted.fit(*data),
        "pipeline": pipeline.fit(*data),
        "search": search.fit(*data),
        "net": net.fit(*data),
    }


def test_weights_of_an_estimator_and_of_what_holds_one(data):
    _, count = np.unique(data[1], return_counts=True)
    count = np.sort(count)[::-1]
    for name, estimator in estimators(data).items():
        display = ClassWeightDisplay.from_estimator(estimator)
        assert [t.get_text() for t in display.ax_.get_xticklabels()] == list("zyxwvutsrq"), name
        expected = class_balanced_weight(count, beta=0.99, normalize="samples")
        assert_allclose(display.lines_[1].get_ydata(), expected, err_msg=name)
        assert legend(display.ax_)[1] == "beta 0.99"


def test_dates_have_their_names_by_either_way():
    y = np.array(["2021-03-05", "2020-01-01", "2020-01-01"], dtype="M8[ns]")
    displays = (
        ClassWeightDisplay.from_labels(y),
        ClassWeightDisplay.from_estimator(ClassBalancedWeigher().fit(None, y)),
    )
    for display in displays:
        assert display.class_count == {y[0]: 1, y[1]: 2}


def test_weights_of_a_net_that_takes_its_losss_beta(data):
    net = CBNeuralNetClassifier(max_epochs=1).fit(*data)
    assert legend(ClassWeightDisplay.from_estimator(net).ax_)[1] == "beta 0.999"
    net = CBNeuralNetClassifier(loss="logit_adjusted", max_epochs=1).fit(*data)
    assert len(ClassWeightDisplay.from_estimator(net).lines_) == 2


def test_weights_of_what_does_not_weigh(data):
    plain = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(*data)
    with pytest.raises(ValueError, match="estimator must weight classes by beta, .* got Pipeline"):
        ClassWeightDisplay.from_estimator(plain)
    with pytest.raises(NotFittedError):
        ClassWeightDisplay.from_estimator(ClassBalancedWeigher())
    with pytest.raises(NotFittedError):
        ClassWeightDisplay.from_estimator(ClassBalancedSampler())


def test_long_tail_of_several_labels_a_sample():
    y = pd.DataFrame(np.zeros((50, 3), dtype=int), columns=["a", "b", "c"])
    y.loc[:29, "b"] = 1
    y.loc[20:39, "a"] = 1
    for given in (y, LongTailDisplay({"a": 20, "b": 30, "c": 0}, n_samples=50)):
        display = given.plot() if given is not y else LongTailDisplay.from_labels(y)
        assert_array_equal(display.outline_.get_data().values, [30, 20])
        assert display.ax_.get_title() == "50 samples of 2 labels, imbalance factor 1.5"
        assert display.ax_.get_xlabel() == "Label, from head to tail\n1 label without samples"
        assert [tick.get_text() for tick in display.ax_.get_xticklabels()] == ["b", "a"]
        plt.close(display.figure_)


# ----------------------------------------------------------------------- several labels a sample

POSITIVE, N_SAMPLES = {"war": 20, "drama": 900, "any": 1500, "none": 0}, 1500


def sides(display):
    return [
        np.stack([line.get_ydata() for line in pair], axis=1)
        for pair in zip(display.without_, display.lines_, strict=True)
    ]


@pytest.mark.parametrize("normalize", ["samples", "classes", None])
def test_weights_of_a_label_are_those_of_two_classes(normalize):
    settings = {"betas": [0, 0.99, 1], "normalize": normalize}
    display = ClassWeightDisplay(POSITIVE, n_samples=N_SAMPLES, **settings).plot()
    for beta, drawn in zip(settings["betas"], sides(display), strict=True):
        for of_label, n in zip(drawn, [1500, 900, 20], strict=True):
            two = class_balanced_weight([1500 - n, n], beta=beta, normalize=normalize)
            if n == 1500:  # nobody is without it: no weight to be drawn
                two[0] = np.nan
            assert_allclose(of_label, two)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["any", "drama", "war"]
    assert display.ax_.get_xlabel() == "Label, from head to tail\n1 label without samples"
    assert legend(display.ax_)[-2:] == ["with the label", "without it"]


def test_effective_numbers_have_a_stroke_for_each_side():
    display = EffectiveNumberDisplay(POSITIVE, n_samples=N_SAMPLES).plot()
    assert_array_equal(display.classes_.get_xdata(), [1500, 900, 20])
    assert_array_equal(display.without_.get_xdata(), [600, 1480])
    assert display.ax_.get_xlim()[1] > 1500
    assert legend(display.ax_)[-2:] == ["below: with each label", "above: without it"]
    assert EffectiveNumberDisplay(POSITIVE).plot().without_ is None
    assert ClassWeightDisplay(POSITIVE).plot().without_ == []


@pytest.mark.parametrize("kind", [np.asarray, csr_array, pd.DataFrame])
def test_indicators_of_any_kind(kind):
    y = np.zeros((50, 3), dtype=int)
    y[:30, 1] = y[20:40, 0] = 1
    weights = ClassWeightDisplay.from_labels(kind(y), betas=[0.9])
    expected = class_balanced_label_weight([30, 20], 50, beta=0.9, normalize="samples")
    assert_allclose(sides(weights)[0], expected)
    numbers = EffectiveNumberDisplay.from_labels(kind(y))
    assert_array_equal(numbers.classes_.get_xdata(), [30, 20])
    assert_array_equal(numbers.without_.get_xdata(), [20, 30])


def test_labels_that_are_not_known_are_on_neither_side():
    y = np.zeros((50, 2))
    y[:30, 0] = y[:5, 1] = 1
    y[10:, 1] = np.nan
    display = EffectiveNumberDisplay.from_labels(y)
    assert_array_equal(display.classes_.get_xdata(), [30, 5])
    assert_array_equal(display.without_.get_xdata(), [20, 5])
    assert_allclose(sides(ClassWeightDisplay.from_labels(y, betas=[1]))[0][1], [1, 1])


def test_weights_of_a_weigher_of_several_labels():
    y = pd.DataFrame({"rare": [1, 0, 0, 0, 0], "often": [1, 1, 1, 0, np.nan]})
    weigher = ClassBalancedWeigher(0.9).fit(None, y)
    display = ClassWeightDisplay.from_estimator(weigher)
    assert legend(display.ax_)[1] == "beta 0.9"
    assert_allclose(sides(display)[1], weigher.class_weight_[::-1])
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["often", "rare"]


@pytest.mark.parametrize("display", DISPLAYS[:2])
def test_bad_numbers_of_samples(display):
    for n_samples, message in (
        (800, "n_samples must not be below the number with a label, got 800 of which 900 have"),
        ([1500, 1500], r"n_samples must be a number, or one for each of the 4 labels, .* \(2,\)"),
        (-1, "n_samples must hold finite numbers >= 0, got -1"),
        ("many", "n_samples must"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            display(POSITIVE, n_samples=n_samples).plot()
    with pytest.raises(ValueError, match="^y must hold 0 and 1, a column for each label, got 2"):
        display.from_labels([[0, 2], [1, 0]])
    for y in (np.zeros((5, 3)), np.zeros((0, 3)), np.full((5, 3), np.nan)):
        with pytest.raises(ValueError, match="^y must hold a label that a sample has, got "):
            display.from_labels(y)
    assert not plt.get_fignums()


def test_names_do_not_overlap():
    names = ["a", "drama", "comedy of a long name", "war"]
    for some in (names, names[1:], names[:2], [str(n) for n in range(16)]):
        ax = LongTailDisplay(dict.fromkeys(some, 5)).plot().ax_
        ax.figure.draw_without_rendering()
        if not ax.get_xticklabels()[0].get_rotation():
            boxes = [tick.get_window_extent() for tick in ax.get_xticklabels()]
            assert not any(one.overlaps(other) for one, other in pairwise(boxes))
