import itertools
import pickle
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from mpmath import betainc
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_cbloss import (
    ConformalClassifierCV,
    SetCoverageDisplay,
    load_digits_lt,
    make_set_scorer,
    mean_set_size,
    set_coverage_interval,
    set_coverage_score,
    shot_coverage_score,
    shot_recall_score,
)

CLASSES = ["cat", "dog", "eel", "yak"]
Y = np.repeat(CLASSES[:3], [6, 3, 1])
COUNT = {"cat": 500, "dog": 80, "eel": 9, "yak": 3}
SETS = np.zeros((10, 4), dtype=bool)
SETS[[0, 1, 2, 3, 4, 5], 0] = [1, 1, 1, 0, 1, 1]  # 5 of 6 cats
SETS[[6, 7, 8], 1] = [1, 0, 1]  # 2 of 3 dogs
SETS[:4, 3] = True

CONTAINERS = [
    np.asarray,
    lambda sets: sets.tolist(),
    pd.DataFrame,
    sparse.csr_array,
    sparse.coo_matrix,
    lambda sets: sparse.csc_array(sets.astype(int)),
]


def test_by_hand():
    given = {"classes": CLASSES}
    assert set_coverage_score(Y, SETS, **given) == 0.7
    assert set_coverage_score(Y, SETS, average="macro", **given) == pytest.approx(1.5 / 3)
    of_class = set_coverage_score(Y, SETS, average=None, **given)
    np.testing.assert_allclose(of_class, [5 / 6, 2 / 3, 0, np.nan])
    scores = shot_coverage_score(Y, SETS, class_count=COUNT, **given)
    assert scores == pytest.approx({"many": 5 / 6, "medium": 2 / 3, "few": 0})
    assert (
        shot_coverage_score(Y, SETS, class_count=COUNT, shot="medium", **given) == scores["medium"]
    )
    few = shot_coverage_score(Y, SETS, class_count=COUNT, thresholds=(100, 100), **given)
    assert few == pytest.approx({"many": 5 / 6, "medium": np.nan, "few": 1 / 3}, nan_ok=True)
    assert mean_set_size(SETS) == 1.1


@pytest.mark.parametrize("container", CONTAINERS)
def test_sets_come_in_any_container(container):
    sets = container(SETS)
    for average in ("marginal", "macro", None):
        np.testing.assert_array_equal(
            set_coverage_score(Y, sets, classes=CLASSES, average=average),
            set_coverage_score(Y, SETS, classes=CLASSES, average=average),
        )
    assert mean_set_size(sets) == 1.1
    assert isinstance(mean_set_size(sets), float)


def test_columns_go_by_their_labels():
    order = [2, 0, 3, 1]
    names = [CLASSES[c] for c in order]
    for each in (set_coverage_score, lambda *a, **k: set_coverage_interval(*a, **k).high):
        assert each(Y, SETS[:, order], classes=names) == each(Y, SETS, classes=CLASSES)
    np.testing.assert_array_equal(
        set_coverage_score(Y, SETS[:, order], classes=names, average=None),
        set_coverage_score(Y, SETS, classes=CLASSES, average=None)[order],
    )
    counts = [COUNT[name] for name in names]
    assert shot_coverage_score(
        Y, SETS[:, order], classes=names, class_count=counts
    ) == shot_coverage_score(Y, SETS, classes=CLASSES, class_count=COUNT)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_columns_of_a_table_go_by_their_names(order):
    """So they do in a table that is sorted from head to tail, whatever else is said."""
    table = pd.DataFrame(SETS, columns=CLASSES).iloc[:, list(order)]
    names = list(table.columns)
    for classes in (None, CLASSES, names):
        of_class = set_coverage_score(Y, table, classes=classes, average=None)
        labels = names if classes is None else classes
        found = dict(zip(labels, of_class, strict=True))
        assert [found[name] for name in CLASSES[:3]] == [5 / 6, 2 / 3, 0]
        by = set_coverage_interval(Y, table, classes=classes, by="class")
        assert {name: each.coverage for name, each in by.items()} == {
            name: found[name] for name in CLASSES[:3]
        }
        counts = [COUNT[label] for label in labels]
        assert shot_coverage_score(Y, table, classes=classes, class_count=counts) == (
            shot_coverage_score(Y, SETS, classes=CLASSES, class_count=COUNT)
        )
    named = table.set_axis([f"in {name}" for name in names], axis=1)  # which are no classes
    assert set_coverage_score(Y, named, classes=names) == 0.7
    # Numbers that pandas gives are no names.
    position, numbered = (
        np.array([CLASSES.index(name) for name in Y]),
        table.set_axis(range(4), axis=1),
    )
    assert set_coverage_score(position, numbered, classes=list(order)) == 0.7


def test_a_weight_of_2_is_two_samples():
    weight = np.arange(10) % 3
    rows = np.repeat(np.arange(10), weight)
    for average in ("marginal", "macro", None):
        np.testing.assert_allclose(
            set_coverage_score(Y, SETS, classes=CLASSES, average=average, sample_weight=weight),
            set_coverage_score(Y[rows], SETS[rows], classes=CLASSES, average=average),
        )
    assert mean_set_size(SETS, sample_weight=weight) == mean_set_size(SETS[rows])


def test_sets_of_one_class_are_predictions():
    rng = np.random.default_rng(0)
    y, predicted = rng.choice(3, size=(2, 200))
    sets = np.eye(3, dtype=bool)[predicted]
    count = [500, 50, 5]
    assert set_coverage_score(y, sets) == (y == predicted).mean()
    assert shot_coverage_score(y, sets, class_count=count) == pytest.approx(
        shot_recall_score(y, predicted, class_count=count)
    )


# ------------------------------------------------------------------------------------ intervals


@pytest.mark.parametrize(("k", "n"), [(0, 5), (3, 3), (5, 6), (40, 57)])
def test_the_exact_interval_is_clopper_and_pearsons(k, n):
    sets = np.arange(n)[:, None] < k
    found = set_coverage_interval(np.zeros(n, dtype=int), sets, confidence=0.9)
    assert (found.coverage, found.n_samples) == (k / n, n)

    def at_least(k, p):  # successes of n, each with probability p
        return betainc(k, n - k + 1, 0, p, regularized=True)

    if k:
        assert float(at_least(k, found.low)) == pytest.approx(0.05, abs=1e-9)
    if k < n:
        assert float(at_least(k + 1, found.high)) == pytest.approx(0.95, abs=1e-9)
    assert found.low == 0 or k
    assert found.high == 1 or k < n


def test_wilsons_interval_is_shorter():
    given = {"classes": CLASSES, "by": "class"}
    exact, wilson = (
        set_coverage_interval(Y, SETS, method=method, **given) for method in ("exact", "wilson")
    )
    assert list(exact) == list(wilson) == CLASSES[:3]
    for name in exact:
        assert exact[name].coverage == wilson[name].coverage
        assert exact[name].high - exact[name].low > wilson[name].high - wilson[name].low


def test_intervals_by_shot_take_samples_together():
    found = set_coverage_interval(Y, SETS, classes=CLASSES, by="shot", class_count=COUNT)
    assert {name: (each.coverage, each.n_samples) for name, each in found.items()} == {
        "many": (5 / 6, 6),
        "medium": (2 / 3, 3),
        "few": (0, 1),
    }
    lumped = set_coverage_interval(
        Y, SETS, classes=CLASSES, by="shot", class_count=COUNT, thresholds=(100, 500)
    )
    assert (lumped["few"].coverage, lumped["few"].n_samples) == (0.5, 4)
    assert lumped["many"].n_samples == 0
    assert np.isnan(lumped["many"][:3]).all()


# -------------------------------------------------------------------------------------- scorers


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits_lt(return_X_y=True)
    X_test, y_test = load_digits_lt("test", return_X_y=True)
    model = ConformalClassifierCV(LogisticRegression(max_iter=1000), cv=3).fit(X / 16, y)
    return model, X / 16, y, X_test / 16, y_test


def test_scorers_score_what_is_predicted(digits):
    model, _, y, X_test, y_test = digits
    sets, given = model.predict_set(X_test), {"classes": model.classes_}
    count = Counter(y.tolist())
    few = shot_coverage_score(y_test, sets, class_count=count, shot="few", **given)
    expected = {
        make_set_scorer("coverage"): set_coverage_score(y_test, sets, **given),
        make_set_scorer("macro_coverage"): set_coverage_score(
            y_test, sets, average="macro", **given
        ),
        make_set_scorer("neg_mean_set_size"): -mean_set_size(sets),
    }
    for scorer, score in expected.items():
        assert pickle.loads(pickle.dumps(scorer))(model, X_test, y_test) == score
    assert (
        make_set_scorer("shot_coverage", shot="few", class_count=count)(model, X_test, y_test)
        == few
    )
    wide = make_set_scorer("neg_mean_set_size", confidence=0.98)
    assert wide(model, X_test, y_test) == -mean_set_size(model.predict_set(X_test, 0.98))
    assert wide(model, X_test, y_test) < -mean_set_size(sets)
    weight = (y_test == 9).astype(float)
    nine = make_set_scorer("coverage")(model, X_test, y_test, sample_weight=weight)
    assert nine == set_coverage_score(y_test, sets, average=None)[9]


def test_searches_and_cross_validation(digits):
    model, X, y, _, _ = digits
    scoring = {
        "few": make_set_scorer("shot_coverage", shot="few", class_count=Counter(y.tolist())),
        "size": make_set_scorer("neg_mean_set_size"),
    }
    results = cross_validate(model, X, y, scoring=scoring, cv=3, error_score="raise")
    assert (results["test_few"] > 0.5).all()
    assert (results["test_size"] <= -1).all()
    search = GridSearchCV(model, {"method": ["plain", "classwise"]}, scoring=scoring["size"], cv=3)
    assert search.fit(X, y).best_params_ == {"method": "plain"}


def in_a_pipeline(model):
    return make_pipeline(StandardScaler(), model)


def in_a_search(model):
    return GridSearchCV(model, {}, cv=2)


@pytest.mark.parametrize(
    "around",
    [
        in_a_pipeline,
        in_a_search,
        lambda model: in_a_search(in_a_pipeline(model)),
        lambda model: make_pipeline("passthrough", in_a_search(model)),
    ],
)
def test_scorers_find_the_sets_in_pipelines_and_searches(digits, around):
    model, X, y, X_test, y_test = digits
    outer = around(model).fit(X, y)
    scaler = StandardScaler().fit(X)
    is_scaled = "standardscaler" in str(outer).lower()
    inner = clone(model).fit(*((scaler.transform(X), y) if is_scaled else (X, y)))
    given = scaler.transform(X_test) if is_scaled else X_test
    for metric in ("coverage", "macro_coverage", "neg_mean_set_size"):
        for confidence in (None, 0.8):
            score = make_set_scorer(metric, confidence=confidence)
            assert score(outer, X_test, y_test) == score(inner, given, y_test)
    for shown, expected in zip(
        SetCoverageDisplay.from_estimator(outer, X_test, y_test).means_.items(),
        SetCoverageDisplay.from_estimator(inner, given, y_test).means_.items(),
        strict=True,
    ):
        assert shown == expected


def test_no_sets_at_the_end_of_a_pipeline(digits):
    _, X, y, X_test, y_test = digits
    plain = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    with pytest.raises(TypeError, match="^estimator must have predict_set, got Pipeline"):
        make_set_scorer("coverage")(plain, X_test, y_test)
    with pytest.raises(TypeError, match="^estimator must be a fitted classifier with predict_set"):
        SetCoverageDisplay.from_estimator(plain, X_test, y_test)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "size"}, "metric must be 'coverage', .* or 'neg_mean_set_size', got 'size'"),
        ({"metric": "coverage", "confidence": 1}, r"confidence must be a number in \(0, 1\), got"),
        ({"metric": "coverage", "shot": "few"}, "shot and class_count must be None but for .*few"),
        ({"metric": "shot_coverage"}, "shot must be 'many', 'medium' or 'few', got None"),
        (
            {"metric": "shot_coverage", "shot": "few"},
            "class_count must be given for metric='shot_coverage', got None",
        ),
        (
            {"metric": "shot_coverage", "shot": "few", "class_count": COUNT, "thresholds": 5},
            "thresholds must be two increasing numbers",
        ),
    ],
)
def test_bad_parameters_of_the_scorer(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make_set_scorer(**parameters)


def test_a_classifier_without_sets(digits):
    _, X, y, _, _ = digits
    with pytest.raises(TypeError, match="^estimator must have predict_set, got LogisticRegr"):
        make_set_scorer("coverage")(LogisticRegression(), X, y)


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"sets": SETS[:9]},
            "sets and y must have the same number of samples, got 9 and 10|y_true a",
        ),
        ({"sets": SETS.astype(float)}, "sets must hold True or False .*, got float64 of shape"),
        ({"sets": SETS[None]}, r"sets must hold True or False .* of shape \(1, 10, 4\)"),
        ({"sets": sparse.csr_array(SETS.astype(float))}, "sets must hold True or False"),
        ({"sets": SETS[:0]}, "sets must hold True or False .*"),
        (
            {"sets": [["cat"]] * 9 + [["cat", "dog"]]},
            "sets must hold True or False .*, got object",
        ),
        ({"classes": None}, r"classes must name the 4 columns of sets, got \['cat', 'dog', 'eel'"),
        ({"classes": CLASSES[:3]}, "classes must name the 4 columns of sets, got"),
        ({"classes": ["cat", "dog", "eel", "cat"]}, "classes must hold each label once, got"),
        ({"classes": ["cat", "dog", "fox", "yak"]}, "classes must hold every label .* no 'eel'"),
        ({"average": "micro"}, "average must be 'marginal', 'macro' or None, got 'micro'"),
        ({"sample_weight": [1, 2]}, r"sample_weight must have shape \(10,\)"),
    ],
)
def test_bad_arguments(change, message):
    given = {"y_true": Y, "sets": SETS, "classes": CLASSES} | change
    with pytest.raises(ValueError, match=f"^{message}"):
        set_coverage_score(**given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_count": {"cat": 5}}, "class_count must hold every one of classes, got no 'dog'"),
        ({"class_count": [5, 4]}, "class_count must have a number for each of the 4 columns"),
        ({"class_count": None}, "class_count must be given for by='shot', got None"),
        ({"by": "group"}, "by must be 'class', 'shot' or None, got 'group'"),
        ({"confidence": 95}, r"confidence must be a number in \(0, 1\), got 95"),
        ({"method": "normal"}, "method must be 'exact' or 'wilson', got 'normal'"),
        ({"thresholds": (5, 1)}, "thresholds must be two increasing numbers"),
    ],
)
def test_bad_arguments_of_intervals(change, message):
    given = {"classes": CLASSES, "by": "shot", "class_count": COUNT} | change
    with pytest.raises(ValueError, match=f"^{message}"):
        set_coverage_interval(Y, SETS, **given)
