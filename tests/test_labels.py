"""Labels of any kind mean the same to everything that reads them."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from _label_cases import CODES, FOR_ESTIMATORS, LABELS, NOT_SCIKIT_LEARNS, codes_of
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.utils.fixes import parse_version

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    ClassBalancedSampler,
    ClassBalancedWeigher,
    LogitAdjustedClassifier,
    classwise_brier_score_loss,
    describe_long_tail,
    long_tailed_strategy,
    make_long_tailed,
    make_shot_scorer,
    shot_recall_score,
    worst_class_recall_score,
)
from sk_cbloss._labels import as_labels, counts_by_label, read_labels
from sk_cbloss.pipeline import make_pipeline


class Listed(torch.utils.data.Dataset):
    targets = (0, 1)

    def __len__(self):
        return 2

    def __getitem__(self, row):
        raise AssertionError("no row is to be read")


X = np.random.default_rng(1).normal(size=(len(CODES), 2)) + CODES[:, None]
all_kinds = pytest.mark.parametrize("kind", LABELS)
kinds_for_estimators = pytest.mark.parametrize("kind", FOR_ESTIMATORS)


@all_kinds
def test_classes_positions_and_counts(kind):
    codes = codes_of(kind)
    classes, position, count = read_labels(LABELS[kind]).encode()
    np.testing.assert_array_equal(position, codes)
    np.testing.assert_array_equal(count, np.bincount(codes))
    assert list(classes) == sorted(classes)


@all_kinds
def test_labels_are_found_by_their_names(kind):
    """Each label that is told is equal to a label that was given, and hashes so."""
    y = LABELS[kind]
    given = Counter(np.asarray(y)) if hasattr(y, "__array__") else Counter(y)
    if not isinstance(next(iter(given)), torch.Tensor):
        assert counts_by_label(y) == given


@all_kinds
def test_an_array_of_labels_holds_the_same(kind):
    y = as_labels(LABELS[kind])
    assert type(y) is np.ndarray
    assert y.ndim == 1
    np.testing.assert_array_equal(np.unique(y, return_inverse=True)[1], codes_of(kind))


@all_kinds
def test_weigher(kind):
    weigher = ClassBalancedWeigher(beta=0.9).fit(X, LABELS[kind])
    coded = ClassBalancedWeigher(beta=0.9).fit(X, codes_of(kind))
    np.testing.assert_array_equal(weigher.class_weight_, coded.class_weight_)
    weight = coded.sample_weight(codes_of(kind))
    np.testing.assert_array_equal(weigher.sample_weight(LABELS[kind]), weight)
    weigher.partial_fit(X, LABELS[kind])
    np.testing.assert_array_equal(weigher.class_count_, 2 * coded.class_count_)


@all_kinds
def test_sampler(kind):
    _, y = ClassBalancedSampler(1, random_state=0).fit_resample(X, LABELS[kind])
    sampler = ClassBalancedSampler(1, random_state=0)
    sampler.fit_resample(X, codes_of(kind))
    drawn = as_labels(LABELS[kind])[sampler.sample_indices_]
    assert list(as_labels(y)) == list(drawn)
    assert type(y) is type(LABELS[kind]) or kind in ("tuple", "readonly")


@all_kinds
def test_makers(kind):
    codes = codes_of(kind)
    strategy = long_tailed_strategy(LABELS[kind], imbalance_factor=2)
    coded = long_tailed_strategy(codes, imbalance_factor=2)
    assert list(strategy.values()) == list(coded.values())
    assert set(strategy) <= set(counts_by_label(LABELS[kind]))
    assert describe_long_tail(LABELS[kind]).class_count == counts_by_label(LABELS[kind])
    *_, rows = make_long_tailed(
        X, LABELS[kind], imbalance_factor=2, random_state=0, return_indices=True
    )
    *_, expected = make_long_tailed(
        X, codes, imbalance_factor=2, random_state=0, return_indices=True
    )
    np.testing.assert_array_equal(rows, expected)


@all_kinds
def test_metrics(kind):
    y, codes = LABELS[kind], codes_of(kind)
    guess = np.roll(codes, 1)
    y_pred = as_labels(y)[np.roll(np.arange(len(codes)), 1)]
    for true in (y, as_labels(y)):
        assert worst_class_recall_score(true, y_pred) == worst_class_recall_score(codes, guess)
    assert shot_recall_score(y, y_pred, class_count=counts_by_label(y)) == pytest.approx(
        shot_recall_score(codes, guess, class_count=Counter(codes.tolist())), nan_ok=True
    )
    p = np.eye(4)[guess][:, : codes.max() + 1]
    assert classwise_brier_score_loss(y, p) == classwise_brier_score_loss(codes, p)


@kinds_for_estimators
@pytest.mark.parametrize(
    "model",
    [
        ClassBalancedClassifier(LogisticRegression()),
        LogitAdjustedClassifier(LogisticRegression()),
        make_pipeline(ClassBalancedWeigher(), LogisticRegression()),
    ],
    ids=["ClassBalancedClassifier", "LogitAdjustedClassifier", "Pipeline"],
)
def test_wrappers(kind, model):
    check_predictions(model, kind)
    score = make_shot_scorer(LABELS[kind], shot="many")(model, X, LABELS[kind])
    assert 0.4 < score <= 1


@kinds_for_estimators
def test_nets(kind):
    net = CBNeuralNetClassifier(max_epochs=2, random_state=0)
    check_predictions(net, kind)
    net.partial_fit(X, LABELS[kind])
    assert net.class_count_.sum() == 2 * len(X)


def check_predictions(model, kind):
    codes = codes_of(kind)
    predicted = model.fit(X, codes).predict(X)
    labels = model.fit(X, LABELS[kind]).predict(X)
    np.testing.assert_array_equal(labels, model.classes_[predicted])
    assert set(labels.tolist()) <= set(as_labels(LABELS[kind]).tolist())


@pytest.mark.parametrize("kind", sorted(NOT_SCIKIT_LEARNS))
def test_nets_say_which_labels_they_take(kind):
    with pytest.raises(ValueError, match="^y must hold integers, strings, booleans or dates, .*"):
        CBNeuralNetClassifier().fit(X, LABELS[kind])


def test_objects_that_are_0_and_1_are_integers():
    for values in ([0, 1], [1], [True, 0]):
        assert as_labels(np.array(values, dtype=object)).dtype == np.int64
    assert as_labels(np.array([True, False], dtype=object)).dtype == bool


def test_dates_stay_dates():
    y = np.array(["2020-01-01"] * 9 + ["2021-01-01"] * 3, dtype="M8[ns]")
    strategy = long_tailed_strategy(y, imbalance_factor=3)
    assert {pd.Timestamp(label): n for label, n in strategy.items()} == {
        pd.Timestamp("2020-01-01"): 9,
        pd.Timestamp("2021-01-01"): 3,
    }
    assert "from 9 (2020-01-01T00" in repr(describe_long_tail(y))
    weigher = ClassBalancedWeigher().fit(y.reshape(-1, 1), y)
    np.testing.assert_array_equal(
        weigher.sample_weight(y.astype("M8[D]")), weigher.sample_weight(pd.Series(y))
    )


@pytest.mark.parametrize(
    "reads",
    [
        as_labels,
        counts_by_label,
        describe_long_tail,
        long_tailed_strategy,
        lambda y: ClassBalancedWeigher().fit(np.zeros((2, 1)), y),
        lambda y: ClassBalancedSampler().fit_resample(np.zeros((2, 1)), y),
        lambda y: ClassBalancedClassifier(GaussianNB()).fit(np.zeros((2, 1)), y),
        lambda y: CBNeuralNetClassifier().fit(np.zeros((2, 1)), y),
        lambda y: worst_class_recall_score(y, ["a", "b"]),
        lambda y: worst_class_recall_score(["a", "b"], y),
        lambda y: classwise_brier_score_loss(y, [0.5, 0.5]),
    ],
)
@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.array([0.5, 0.7], dtype=object), "y must hold class labels, got the continuous value"),
        (pd.Categorical([1, "a"]), "y must hold labels of one kind, got int and str"),
        (np.array([b"a", "a"], dtype=object), "y must hold labels of one kind, got bytes and str"),
        ([("a", "b"), ("c",)], r"y must hold one label a sample, got \('a', 'b'\); multi-label"),
        (pd.Series([("a", "b"), ("c", "d")]), r"y must hold one label a sample, got \('a', 'b'\)"),
        (np.ma.array(["a", "b"], mask=[0, 1]), "y must not have missing labels, got a masked"),
        (
            np.array(["a", None], dtype=np.dtypes.StringDType(na_object=None)),
            "y must not have missing labels, got None at position 1",
        ),
        (np.array([1, np.inf], dtype=object), "Input y contains infinity"),
        ([1j, 2], r"Complex data not supported: y must hold class labels, .* complex128\.$"),
        ("ab", "y must be a sequence of labels, got 'ab'"),
        ({"a": 5, "b": 3}, "y must hold a label for each sample, got counts of labels"),
        (
            Listed(),
            "y must hold a label for each sample, got Listed, a data set: pass its targets",
        ),
        (pd.Series(list("aab")).value_counts(), "y must hold a label for each sample, got counts"),
        (np.zeros(2, dtype="i4,i4"), "y must hold class labels, got values of type "),
    ],
)
def test_the_same_sentence_everywhere(reads, y, message):
    with pytest.raises(ValueError, match=message):
        reads(y)


@pytest.mark.parametrize("index", [None, [5, 3, 4], list("aab")])
def test_labels_that_are_named_as_counts_are(index):
    assert counts_by_label(pd.Series([2, 2, 1], index=index, name="count")) == {1: 1, 2: 2}


def test_labels_that_cannot_be_sorted():
    y = np.array([1j, 2j], dtype=object)
    with pytest.raises(ValueError, match="^y must hold labels that can be sorted, got complex"):
        counts_by_label(y)
    with pytest.raises(ValueError, match="^y must hold labels that can be sorted, got complex"):
        ClassBalancedWeigher().fit(np.zeros((2, 1)), y)


def test_true_and_predicted_labels_of_two_kinds():
    with pytest.raises(ValueError, match="labels of one kind in y_true and y_pred, got int64 aft"):
        worst_class_recall_score(["1", "2"], [1, 2])


@pytest.mark.parametrize("average", ["macro", None])
def test_metrics_of_tensors(average):
    true, p = torch.tensor([0, 1, 1]), torch.tensor([[0.75, 0.25]] * 3, requires_grad=True)
    np.testing.assert_array_equal(
        classwise_brier_score_loss(true, p, average=average),
        classwise_brier_score_loss([0, 1, 1], p.tolist(), average=average),
    )


@pytest.mark.parametrize("span", [2**14 - 1, 2**14, 25_000, 25_001, 300_000])
def test_integers_of_any_span_are_counted_alike(span):
    """Below an eighth of their number without sorting, in chunks of other sizes."""
    y = np.random.default_rng(0).integers(span + 1, size=200_000)
    y[:2] = 0, span
    classes, count = np.unique(y, return_counts=True)
    found, position, counted = read_labels(y).encode()
    np.testing.assert_array_equal(found, classes)
    np.testing.assert_array_equal(counted, count)
    np.testing.assert_array_equal(found[position], y)
    weight = np.random.default_rng(1).random(len(y))
    labels = read_labels(y)
    np.testing.assert_allclose(
        labels.count(weight)[labels.places_among(classes)[0] >= 0],
        np.bincount(position, weight),
    )


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(
            ["a\0", "a", "a", "b\0\0"],
            marks=pytest.mark.xfail(
                parse_version(pd.__version__) < parse_version("3"),
                reason="pandas numbered strings by what comes before a NUL",
            ),
        ),
        [b"a\0", b"a", b"a", b"b\0\0"],
    ],
)
def test_a_nul_at_the_end_of_a_label_is_part_of_it(labels):
    counts = Counter(labels)
    assert counts_by_label(labels) == counts_by_label(np.array(labels, dtype=object)) == counts
    given = ClassBalancedWeigher.from_class_count(counts)
    counted = ClassBalancedWeigher().partial_fit(None, labels)
    assert given.classes_.tolist() == counted.classes_.tolist() == sorted(counts)
    np.testing.assert_array_equal(given.class_count_, counted.class_count_)
    np.testing.assert_array_equal(
        given.sample_weight(labels), [given.class_weight_[sorted(counts).index(y)] for y in labels]
    )
