import sys
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_validate

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    load_digits_lt,
    make_shot_scorer,
    shot_recall_score,
)
from sk_cbloss.inspection import ShotRecallDisplay

RUNS = {"plain": [[0.9, 0.6, 0.1], [0.8, 0.5, 0.3]], "weighted": [0.8, 0.7, 0.5]}


def heights(display, name):
    return display.marks_[name].get_ydata()


def test_marks_are_means_and_strokes_reach_from_lowest_to_highest():
    display = ShotRecallDisplay(RUNS).plot()
    assert_allclose(heights(display, "plain"), [0.85, 0.55, 0.2])
    assert_allclose(heights(display, "weighted"), [0.8, 0.7, 0.5])
    strokes = display.ax_.collections[0].get_segments()
    assert_allclose([stroke[:, 1] for stroke in strokes], [[0.8, 0.9], [0.5, 0.6], [0.1, 0.3]])
    ticks = [tick.get_text() for tick in display.ax_.get_xticklabels()]
    assert ticks == ["many-shot", "medium-shot", "few-shot"]
    assert not display.marks_["plain"].get_clip_on()  # or a recall of 0 would show half


def test_a_run_may_be_a_dict():
    runs = [{"few": 0.1, "many": 0.9, "medium": 0.6}, {"many": 0.8, "medium": 0.5, "few": 0.3}]
    display = ShotRecallDisplay({"plain": runs, "one": runs[0]}).plot()
    assert_allclose(heights(display, "plain"), [0.85, 0.55, 0.2])
    assert_allclose(heights(display, "one"), [0.9, 0.6, 0.1])


def test_a_series_goes_by_its_labels():
    runs = pd.Series({"few": 0.1, "medium": 0.5, "many": 0.9})
    display = ShotRecallDisplay({"plain": runs}).plot()
    assert_allclose(heights(display, "plain"), [0.9, 0.5, 0.1])


def test_names_are_written_as_they_are():
    names = ["_plain", "$a_{$", "x" * 300]
    display = ShotRecallDisplay({name: [0.5, 0.5, 0.5] for name in names}).plot()
    display.figure_.canvas.draw()
    shown = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert shown == ["_plain", r"\$a_{\$", "x" * 20 + "…" + "x" * 19]


def test_models_stand_side_by_side():
    display = ShotRecallDisplay({str(i): [0.5, 0.5, 0.5] for i in range(9)}).plot()
    x = np.array([mark.get_xdata() for mark in display.marks_.values()])
    assert (np.diff(x, axis=0) > 0).all()
    assert (np.abs(x - [0, 1, 2]) < 0.5).all()


def test_a_group_without_classes_is_left_out():
    display = ShotRecallDisplay({"plain": [[0.9, np.nan, 0.1], [0.8, np.nan, np.nan]]}).plot()
    assert_allclose(heights(display, "plain"), [0.85, np.nan, 0.1])
    display.figure_.canvas.draw()


@pytest.fixture(scope="module")
def data():
    return load_digits_lt(return_X_y=True), load_digits_lt("test", return_X_y=True)


def test_from_estimators_and_their_predictions(data):
    (X, y), (X_test, y_test) = data
    count = Counter(y.tolist())
    plain = LogisticRegression(max_iter=500)
    models = {"plain": plain, "weighted": ClassBalancedClassifier(plain, beta=1)}
    models = {name: model.fit(X / 16, y) for name, model in models.items()}
    display = ShotRecallDisplay.from_estimator(models, X_test / 16, y_test, class_count=count)
    predictions = {name: model.predict(X_test / 16) for name, model in models.items()}
    again = ShotRecallDisplay.from_predictions(y_test, predictions, class_count=count)
    for name, predicted in predictions.items():
        expected = list(shot_recall_score(y_test, predicted, class_count=count).values())
        assert_array_equal(heights(display, name), expected)
        assert_array_equal(heights(again, name), expected)
    single = ShotRecallDisplay.from_estimator(
        models["plain"], X_test / 16, y_test, class_count=count
    )
    assert list(single.marks_) == ["LogisticRegression"]
    named = ShotRecallDisplay.from_predictions(
        y_test, predictions["plain"], class_count=count, name="mine", thresholds=(0, 0)
    )
    assert list(named.marks_) == ["mine"]
    assert np.isnan(heights(named, "mine")[1:]).all()


def test_from_a_cross_validation(data):
    (X, y), _ = data
    scoring = {shot: make_shot_scorer(y, shot=shot) for shot in ("many", "medium", "few")}
    results = cross_validate(LogisticRegression(max_iter=500), X / 16, y, cv=3, scoring=scoring)
    display = ShotRecallDisplay.from_cv_results({"plain": results}, ax=plt.subplots()[1])
    expected = [results[f"test_{shot}"].mean() for shot in scoring]
    assert_allclose(heights(display, "plain"), expected)
    alone = ShotRecallDisplay.from_cv_results(results, name="plain")
    assert_allclose(heights(alone, "plain"), expected)
    del results["test_few"]
    with pytest.raises(ValueError, match="cv_results must hold a score for .* none of 'few'"):
        ShotRecallDisplay.from_cv_results(results)
    with pytest.raises(ValueError, match="cv_results must hold a score .* none of 'many' for 'a'"):
        ShotRecallDisplay.from_cv_results({"a": 5})


@pytest.mark.parametrize("wrong", [None, LogisticRegression, {"a": None}])
def test_what_is_no_fitted_classifier(data, wrong):
    with pytest.raises(TypeError, match="^estimator must be a fitted classifier, got"):
        ShotRecallDisplay.from_estimator(wrong, *data[1], class_count={})


@pytest.mark.parametrize(
    ("recalls", "message"),
    [
        ({}, "recalls must be a mapping .* at least one, got {}"),
        ([0.9, 0.7, 0.2], "recalls must be a mapping from the names of models"),
        ({"a": [0.5, 0.5]}, r"recalls must be three numbers for each run, .* \[0.5, 0.5\] of 'a'"),
        ({"a": np.empty((0, 3))}, "recalls must be three numbers for each run, .* of 'a'"),
        (
            {"a": {"many": 0.9, "few": 0.2}},
            "recalls must be three numbers for each run, .* of 'a'",
        ),
        ({"a": [[0.9, 0.7, 0.2], [0.9]]}, "recalls must be three numbers for each run"),
        ({"a": [90, 70, 20]}, r"recalls must be in \[0, 1\], got 90 of 'a'"),
    ],
)
def test_bad_recalls(recalls, message):
    with pytest.raises(ValueError, match=message):
        ShotRecallDisplay(recalls).plot()
    assert not plt.get_fignums()


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="ShotRecallDisplay.plot requires matplotlib"):
        ShotRecallDisplay(RUNS).plot()


def test_long_names_stay_distinct():
    names = [f"ClassBalancedClassifier(LogisticRegression(C={C}))" for C in (0.1, 1, 10)]
    names += [f"a long name that ends{middle}in the same way as others" for middle in "-+"]
    display = ShotRecallDisplay({name: [0.9, 0.5, 0.1] for name in names}).plot(name_length=24)
    legend = display.ax_.get_legend()
    assert legend.get_title().get_text() == "… where names are cut"
    shown = [text.get_text() for text in legend.get_texts()]
    assert shown[0] == "ClassBalance…ion(C=0.1))"
    assert shown[-1].endswith(" (2)")
    assert len(set(shown)) == len(names)
    assert max(map(len, shown)) <= 24


def test_of_several_labels_a_sample():
    y = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0]])
    display = ShotRecallDisplay.from_predictions(y, y[::-1], class_count=[200, 50, 3])
    assert_allclose(display.recalls["model"], [2 / 3, 0, 0])


def test_columns_of_several_labels_are_those_that_an_estimator_has_learned():
    X = np.random.default_rng(0).normal(size=(60, 2))
    y = pd.DataFrame((X > 0).astype(int), columns=["war", "epic"])
    net = CBNeuralNetClassifier(max_epochs=1, random_state=0, device="cpu").fit(X, y)
    forest = RandomForestClassifier(2, random_state=0).fit(X, y)  # which keeps no names
    models = {"net": net, "forest": forest}
    how = {"class_count": {"war": 200, "epic": 3}}
    display = ShotRecallDisplay.from_estimator(models, X, y, **how)
    expected = shot_recall_score(y, net.predict(X), **how)
    assert_array_equal(display.recalls["net"], list(expected.values()))
    with pytest.raises(ValueError, match="in their order, got 'epic' in the place of 'war'"):
        ShotRecallDisplay.from_estimator(models, X, y[["epic", "war"]], **how)
