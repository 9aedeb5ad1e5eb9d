import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import csr_array
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, make_scorer
from sklearn.model_selection import cross_val_score

from sk_cbloss import (
    ClassBalancedClassifier,
    PriorCorrectedClassifier,
    classwise_brier_score_loss,
    classwise_calibration_error,
    make_long_tailed_classification,
)


def table_of(values, *, columns):
    return pa.table(list(values.T.copy()), names=columns)


@pytest.fixture
def drawn():
    """Return labels that are drawn with the probabilities given."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet([5, 1, 0.3], size=20_000)
    position = (rng.uniform(size=(len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    return np.array(["a", "b", "c"])[position], p


def by_definition(y, p, labels, n_bins, weight):
    """Return the classes' calibration errors, bin by bin."""
    errors = []
    for c, label in enumerate(labels):
        error = 0
        for b in range(n_bins):
            inside = (p[:, c] > b / n_bins) & (p[:, c] <= (b + 1) / n_bins)
            if b == 0:
                inside |= p[:, c] == 0
            if weight[inside].sum():
                share = np.average(y[inside] == label, weights=weight[inside])
                mean = np.average(p[inside, c], weights=weight[inside])
                error += weight[inside].sum() / weight.sum() * abs(share - mean)
        errors.append(error)
    return errors


@pytest.mark.parametrize("n_bins", [1, 10, 15])
@pytest.mark.parametrize("weighted", [False, True])
def test_calibration_error_by_definition(drawn, n_bins, weighted):
    y, p = (part[:500] for part in drawn)
    p = p**2 / (p**2).sum(axis=1, keepdims=True)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else np.ones(len(y))
    errors = classwise_calibration_error(
        y, p, n_bins=n_bins, average=None, sample_weight=weight if weighted else None
    )
    expected = by_definition(y, p, "abc", n_bins, weight)
    np.testing.assert_allclose(errors, expected, rtol=1e-10)
    mean = classwise_calibration_error(
        y, p, n_bins=n_bins, sample_weight=weight if weighted else None
    )
    assert mean == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_true_probabilities_are_calibrated_and_others_are_not(drawn, strategy):
    y, p = drawn
    sharper = p**3 / (p**3).sum(axis=1, keepdims=True)
    assert classwise_calibration_error(y, p, strategy=strategy) < 0.01
    assert classwise_calibration_error(y, sharper, strategy=strategy) > 0.05


def test_quantile_bins_hold_as_many_samples():
    p = np.concatenate([np.linspace(0, 0.1, 50), np.linspace(0.9, 1, 50)])
    y = p > 0.95
    error = classwise_calibration_error(y, p, n_bins=2, strategy="quantile", average=None)
    halves = [abs(y[part].mean() - p[part].mean()) / 2 for part in (slice(50), slice(50, None))]
    np.testing.assert_allclose(error, [sum(halves)] * 2)


@pytest.mark.parametrize("weighted", [False, True])
def test_brier_scores(drawn, weighted):
    y, p = drawn
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y)) if weighted else None
    scores = classwise_brier_score_loss(y, p, average=None, sample_weight=weight)
    for c, label in enumerate("abc"):
        expected = brier_score_loss(y == label, p[:, c], sample_weight=weight)
        assert scores[c] == pytest.approx(expected)
    assert classwise_brier_score_loss(y, p, sample_weight=weight) == pytest.approx(scores.mean())


def test_two_classes_by_the_second_ones_probabilities():
    y, p = ["no", "yes", "no", "no"], np.array([0.1, 0.7, 0.4, 0.2])
    both = np.column_stack([1 - p, p])
    for metric in (classwise_brier_score_loss, classwise_calibration_error):
        assert metric(y, p) == metric(y, both)


@pytest.mark.parametrize("metric", [classwise_brier_score_loss, classwise_calibration_error])
@pytest.mark.parametrize("frame", [pd.DataFrame, table_of])
def test_columns_are_told_by_their_names(metric, frame, drawn):
    y, p = drawn
    expected = metric(y, p, average=None)
    for order in ([0, 1, 2], [2, 0, 1]):
        labels = [str("abc"[c]) for c in order]
        table = frame(p[:, order], columns=labels)
        np.testing.assert_array_equal(metric(y, table, average=None), expected[order])
        sorted_ = metric(y, table, labels=["a", "b", "c"], average=None)
        np.testing.assert_array_equal(sorted_, expected)
        only = y != "c"  # which the names tell of nevertheless
        some = metric(y[only], table[only] if hasattr(table, "iloc") else table.filter(only))
        assert some == pytest.approx(metric(y[only], p[only], labels=["a", "b", "c"]))
    others = frame(p, columns=["first", "second", "third"])
    np.testing.assert_array_equal(metric(y, others, average=None), expected)


def test_labels_that_do_not_occur():
    p = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1]]
    scores = classwise_brier_score_loss([3, 5], p, labels=[3, 5, 7], average=None)
    np.testing.assert_allclose(scores, [0.13, 0.065, 0.025])


def test_in_scorers():
    """Weights spoil probabilities, and the way back mends them."""
    X, y = make_long_tailed_classification(2000, n_classes=3, random_state=0)
    weighted = ClassBalancedClassifier(LogisticRegression(max_iter=1000), beta=1)
    for metric in (classwise_brier_score_loss, classwise_calibration_error):
        scorer = make_scorer(metric, greater_is_better=False, response_method="predict_proba")
        losses = [
            -cross_val_score(model, X, y, scoring=scorer, cv=3).mean()
            for model in (PriorCorrectedClassifier(weighted), weighted)
        ]
        assert losses[0] < 0.7 * losses[1]


@pytest.mark.parametrize(
    ("arguments", "parameters", "message"),
    [
        (([0, 1], [[0.5, 0.5]] * 2), {"average": "micro"}, "average must be 'macro' or None"),
        (
            ([0, 1], [[0.5, 0.3, 0.2]] * 2),
            {},
            r"y_proba must have a column for each of the 2 labels, got shape \(2, 3\); labels",
        ),
        (
            ([0, 1, 2, 2], [0.5] * 4),
            {},
            r"y_proba must have a column for each of the 3 labels, got shape \(4,\)",
        ),
        (
            ([0, 1], [[0.5, 0.5], [0.5, 0.9]]),
            {},
            "y_proba must hold probabilities that sum to 1 in every row, got a row .* to 1.4",
        ),
        (
            ([0, 1], [[0.5, 0.5], [1.5, -0.5]]),
            {},
            "y_proba must hold probabilities that sum to 1 in every row, got 1.5",
        ),
        (([0, 1], [0.5, 0.5]), {"average": np.array(["macro"] * 2)}, "average must be 'macro' or"),
        *[
            (([0, 1], no_numbers), {}, "y_proba must hold numbers, got ")
            for no_numbers in ([["a", "b"]] * 2, [[0.9, 0.1], [0.2]], [1j, 2], None, {}, [None, 1])
        ],
        (
            ([0, 1], np.ma.array([0.5, 0.5], mask=[0, 1])),
            {},
            "y_proba must not have masked entries, got one at position 1",
        ),
        (([0, 1], [0.5, 0.5]), {"labels": "abc"}, "labels must list the labels .*, got 'abc'"),
        (([0, 1], [0.5, 0.5]), {"labels": 5}, "labels must list the labels .*, got 5"),
        ((["a", None], [0.5, 0.5]), {}, "y must not have missing labels, got None at position 1"),
        ((["a", None], [0.5, 0.5]), {"labels": ["a", "b"]}, "y must not have missing labels"),
        (([0, 2], [[0.5, 0.5]] * 2), {"labels": [0, 1]}, "labels must hold every label .* no 2"),
    ],
)
@pytest.mark.parametrize("metric", [classwise_brier_score_loss, classwise_calibration_error])
def test_bad_input(metric, arguments, parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        metric(*arguments, **parameters)


def test_bad_bins():
    with pytest.raises(ValueError, match=r"^n_bins must not exceed 2 \*\* 53, got 1000000"):
        classwise_calibration_error([0, 1], [0.5, 0.5], n_bins=10**400)
    with pytest.raises(ValueError, match="^n_bins must be an integer >= 1, got 0"):
        classwise_calibration_error([0, 1], [0.5, 0.5], n_bins=0)
    with pytest.raises(ValueError, match="^strategy must be 'uniform' or 'quantile', got 'x'"):
        classwise_calibration_error([0, 1], [0.5, 0.5], strategy="x")


# ------------------------------------------------------------------- several labels a sample

SCORES = [classwise_brier_score_loss, classwise_calibration_error]
LABELS = (np.random.default_rng(3).random((400, 3)) < [0.5, 0.2, 0.02]).astype(int)
P_LABELS = np.random.default_rng(4).random((400, 3))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("weight", [None, np.arange(1.0, 401)], ids=["plain", "weighted"])
def test_each_label_is_scored_as_if_alone(score, weight):
    found = score(LABELS, P_LABELS, average=None, sample_weight=weight)
    alone = [
        score(of, p, average=None, sample_weight=weight)[1]
        for of, p in zip(LABELS.T, P_LABELS.T, strict=True)
    ]
    np.testing.assert_allclose(found, alone)
    assert score(LABELS, P_LABELS, sample_weight=weight) == pytest.approx(np.mean(alone))
    sparse = score(csr_array(LABELS), P_LABELS, average=None, sample_weight=weight)
    np.testing.assert_array_equal(sparse, found)


@pytest.mark.parametrize("score", SCORES)
def test_labels_that_are_not_known_are_left_out(score):
    some = LABELS.astype(float)
    some[100:, 0], some[:, 1] = np.nan, np.nan
    found = score(some, P_LABELS, average=None)
    first, last = (score(LABELS[rows], P_LABELS[rows], average=None) for rows in (slice(100), ...))
    np.testing.assert_allclose(found, [first[0], np.nan, last[2]])
    assert score(some, P_LABELS) == pytest.approx((first[0] + last[2]) / 2)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize(
    ("p", "labels", "message"),
    [
        (P_LABELS[:, :2], None, r"y_proba must have a column for each of the 3 .* \(400, 2\)\."),
        (P_LABELS * 2, None, r"y_proba must hold probabilities, got 1\.\d+\."),
        (P_LABELS, ["a", "b"], "y must have a column for each of the 2 known labels, got 3"),
    ],
)
def test_what_does_not_fit_the_labels(score, p, labels, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        score(LABELS, p, labels=labels)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("frame", [pd.DataFrame, table_of])
def test_columns_of_labels_are_those_of_their_probabilities(score, frame):
    y = pd.DataFrame(LABELS, columns=["war", "epic", "noir"])
    expected = score(LABELS, P_LABELS)
    for p in (P_LABELS, pd.DataFrame(P_LABELS), frame(P_LABELS, columns=y.columns.tolist())):
        assert score(y, p) == pytest.approx(expected) == score(LABELS, p)
    with pytest.raises(ValueError, match="in their order, got 'noir' in the place of 'war'"):
        score(y, frame(P_LABELS[:, ::-1], columns=y.columns.tolist()[::-1]))
