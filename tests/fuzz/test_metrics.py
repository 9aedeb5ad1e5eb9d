"""Metrics of labels and probabilities of any kind."""

import math

import numpy as np
from fuzz._call import Code, Refused, answer, attempt, codes, law
from fuzz._strategies import (
    HELD,
    ODD_NUMBERS,
    any_counts,
    any_labels,
    any_sample_weight,
    labels,
    positions,
)
from hypothesis import assume
from hypothesis import strategies as st
from sklearn.metrics import recall_score

from sk_cbloss import (
    classwise_brier_score_loss,
    classwise_calibration_error,
    paired_difference_interval,
    shot_f1_score,
    shot_recall_score,
    worst_class_recall_score,
)

HELD = [held for held in HELD if "reshape" not in held[1] and "DataFrame" not in held[1]]
STRINGS = ["{}", "np.array({}, str)", "np.array({}, object)", "pd.Series({})", "pl.Series({})"]
COUNT = {"a": 500, "b": 50, "c": 5, "d": 1}


def shot_recall(y_true, y_pred, **more):
    return shot_recall_score(y_true, y_pred, class_count=COUNT, **more)


@st.composite
def decisions(draw, max_size=12):
    """Return as many true labels as predicted ones, of classes of which some may be missing."""
    true = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=max_size))
    predicted = draw(st.lists(st.sampled_from("abcd"), min_size=len(true), max_size=len(true)))
    return true, predicted


@law(25, pair=decisions(), held=st.lists(st.sampled_from(STRINGS), min_size=2, max_size=2))
def test_recalls_are_scikit_learns(pair, held):
    y_true, y_pred = (Code.of(text, values) for text, values in zip(held, pair, strict=True))
    classes = sorted(set(pair[0]))
    recall = recall_score(*pair, labels=classes, average=None, zero_division=0)
    assert answer(worst_class_recall_score, y_true, y_pred) == recall.min()
    shots = {"many": "a", "medium": "b", "few": "cd"}
    scores = answer(shot_recall, y_true, y_pred)
    for shot, names in shots.items():
        of_group = [r for r, name in zip(recall, classes, strict=True) if name in names]
        expected = np.mean(of_group) if of_group else math.nan
        np.testing.assert_allclose(scores[shot], expected)
        np.testing.assert_equal(answer(shot_recall, y_true, y_pred, shot=shot), scores[shot])
    everyone = answer(shot_recall, y_true, y_pred, thresholds=(0, 10**9), shot="medium")
    np.testing.assert_allclose(everyone, recall.mean())


@law(25, pair=decisions(), data=st.data())
def test_weight_2_is_two_copies_and_order_is_nothing(pair, data):
    true, predicted = map(np.array, pair)
    n = len(true)
    own = np.array(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n), label="own"))
    assume(own.any())
    order = np.array(data.draw(st.permutations(range(n))))
    p = np.array(data.draw(st.lists(st.floats(0, 1), min_size=n, max_size=n), label="p"))
    for score, first, second in [
        (worst_class_recall_score, true, predicted),
        (shot_recall, true, predicted),
        (classwise_brier_score_loss, true == "a", p),
        (classwise_calibration_error, true == "a", p),
    ]:
        more = {} if first is true else {"labels": [False, True]}
        weighed = answer(score, first, second, sample_weight=own, **more)
        copies = answer(score, first.repeat(own), second.repeat(own), **more)
        ordered = answer(score, first[order], second[order], sample_weight=own[order], **more)
        for other in (copies, ordered):
            np.testing.assert_allclose(
                *(list(s.values()) if isinstance(s, dict) else s for s in (weighed, other)),
                atol=1e-12,
            )


@law(40, data=st.data(), n_classes=st.integers(2, 4))
def test_scores_of_probabilities(data, n_classes):
    names = st.sampled_from(range(n_classes))
    true = np.array(data.draw(st.lists(names, min_size=1, max_size=12), label="y_true"))
    cells = data.draw(
        st.lists(st.integers(1, 9), min_size=true.size * n_classes, max_size=true.size * n_classes)
    )
    p = np.array(cells, dtype=float).reshape(-1, n_classes)
    p /= p.sum(axis=1, keepdims=True)
    known = {"labels": list(range(n_classes))}
    each = answer(classwise_brier_score_loss, true, p, average=None, **known)
    for c in range(n_classes):
        np.testing.assert_allclose(each[c], np.mean(((true == c) - p[:, c]) ** 2))
    np.testing.assert_allclose(answer(classwise_brier_score_loss, true, p, **known), each.mean())
    for strategy in ("uniform", "quantile"):
        more = {"strategy": strategy, "average": None, **known}
        error = answer(classwise_calibration_error, true, p, **more)
        assert ((error >= 0) & (error <= 1)).all()
        one_bin = answer(classwise_calibration_error, true, p, n_bins=1, **more)
        gap = np.abs(p.mean(axis=0) - np.bincount(true, minlength=n_classes) / len(true))
        np.testing.assert_allclose(one_bin, gap, atol=1e-12)
        assert (error >= one_bin - 1e-12).all()


SCORES = {
    "worst_class_recall_score": worst_class_recall_score,
    "shot_recall_score": lambda y, y_pred, **more: shot_recall_score(
        y, y_pred, class_count={0: 500, 1: 50, "a": 5, "b": 1}, **more
    ),
    "shot_f1_score": lambda y, y_pred, **more: shot_f1_score(
        y, y_pred, class_count={0: 500, 1: 50, "a": 5, "b": 1}, **more
    ),
}


@law(
    150,
    name=st.sampled_from(sorted(SCORES)),
    first=any_labels(),
    second=any_labels(),
    data=st.data(),
)
def test_anything_in_the_place_of_labels(name, first, second, data):
    if data.draw(st.booleans(), label="the same"):
        second = first
    own = data.draw(st.none() | any_sample_weight(2), label="sample_weight")
    score = attempt(SCORES[name], first, second, sample_weight=own)
    if isinstance(score, float):
        assert 0 <= score <= 1


@law(100, data=st.data(), like=positions(min_size=1))
def test_recalls_of_labels_of_any_kind(data, like):
    """The same labels score 1, in whatever container each of the two lies."""
    y = data.draw(labels(held=HELD, like=like), label="y")
    assert answer(worst_class_recall_score, y, y) == 1


ANY_PROBA = codes(
    "[[0.9, 0.1], [0.2, 0.8]]",
    "[0.1, 0.8]",
    "[[0.1], [0.8]]",
    "np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)",
    "pd.DataFrame([[0.9, 0.1], [0.2, 0.8]])",
    "torch.tensor([[0.9, 0.1], [0.2, 0.8]])",
    "pl.DataFrame([[0.9, 0.2], [0.1, 0.8]])",
    "np.ma.array([[0.9, 0.1], [0.2, 0.8]], mask=[[0, 0], [1, 0]])",
    "[[0.9, 0.2], [0.2, 0.8]]",
    "[[1.5, -0.5], [0.2, 0.8]]",
    "[[nan, 1.0], [0.2, 0.8]]",
    "[[inf, 1.0], [0.2, 0.8]]",
    "[[0.9, 0.1]]",
    "[[0.3, 0.3, 0.4]] * 2",
    "[['a', 'b']] * 2",
    "[[None, 1.0], [0.2, 0.8]]",
    "[[0.9, 0.1], [0.2]]",
    "[[1j, 0.1], [0.2, 0.8]]",
    "[[[0.9, 0.1]], [[0.2, 0.8]]]",
    "[[], []]",
    "[]",
    "0.5",
    "'ab'",
    "None",
    "{}",
)


@law(
    150,
    score=st.sampled_from([classwise_brier_score_loss, classwise_calibration_error]),
    y=any_labels()
    | codes("[0, 1]", "['a', 'b']", "pd.Series(['a', 'b'])", "torch.tensor([0, 1])"),
    p=ANY_PROBA,
    own=st.none() | any_sample_weight(2),
    given=st.dictionaries(
        st.sampled_from(["labels", "average", "n_bins", "strategy"]),
        ODD_NUMBERS
        | codes(
            "['a', 'b']",
            "[0, 1]",
            "[0, 0]",
            "[1, 0]",
            "'macro'",
            "'uniform'",
            "['macro']",
            "'micro'",
        ),
        max_size=1,
    ),
)
def test_anything_in_the_place_of_probabilities(score, y, p, own, given):
    assume(score is classwise_calibration_error or not given.keys() & {"n_bins", "strategy"})
    result = attempt(score, y, p, sample_weight=own, **given)
    if not isinstance(result, Refused):
        assert ((np.asarray(result) >= 0) & (np.asarray(result) <= 1)).all()


@law(
    120,
    count=any_counts()
    | codes(
        "{0: 500, 1: 5}",
        "pd.Series({0: 500, 1: 5})",
        "{0: 5}",
        "{0: 'a', 1: 2}",
        "{0: -1, 1: 2}",
        "{0: nan, 1: 1}",
        "{0: None, 1: 1}",
        "{}",
    ),
    shot=codes("None", "'few'", "'some'", "1", "['few']", "np.array(['few', 'many'])"),
    thresholds=codes(
        "(20, 100)",
        "(100, 20)",
        "(0, 0)",
        "20",
        "None",
        "'ab'",
        "(1,)",
        "(nan, 1)",
        "(1, inf)",
        "('a', 'b')",
        "(1j, 2)",
        "[20, 100]",
        "np.array([20, 100])",
        "([1], [2])",
        "(None, 2)",
    ),
)
def test_any_groups(count, shot, thresholds):
    y = [0, 0, 1, 1]
    given = {"class_count": count, "shot": shot, "thresholds": thresholds}
    scores = attempt(shot_recall_score, y, [0, 1, 1, 1], **given)
    if not isinstance(scores, Refused):
        for score in scores.values() if isinstance(scores, dict) else [scores]:
            assert math.isnan(score) or 0 <= score <= 1


@law(60, pair=decisions(), data=st.data())
def test_any_weights_of_samples(pair, data):
    own = data.draw(any_sample_weight(len(pair[0])), label="sample_weight")
    for score in (worst_class_recall_score, shot_recall):
        result = attempt(score, *pair, sample_weight=own)
        if not isinstance(result, Refused):
            for value in result.values() if isinstance(result, dict) else [result]:
                assert math.isnan(value) or 0 <= value <= 1, value


ANY_SCORES = ODD_NUMBERS | codes(
    "[0.5, 0.7]",
    "(1, 2)",
    "np.array([0.5, 0.7], np.float32)",
    "pd.Series([0.5, 0.7], index=[3, 1])",
    "pl.Series([0.5, 0.7])",
    "torch.tensor([0.5, 0.7])",
    "np.ma.array([0.5, 0.7], mask=[0, 1])",
    "[True, False]",
    "[0.1, 0.2, 0.3]",
    "[1e-320, 0]",
    "[1e200, -1e200]",
    "[1e308, -1e308]",
    "[nan, 1]",
    "[-inf, 1]",
    "['a', 'b']",
    "[None, 1]",
    "[10**400, 1]",
    "[1j, 1]",
    "[[0.5, 0.7]]",
    "[[0.5], [0.7, 0.8]]",
    "[]",
    "'ab'",
    "{}",
    "{0: 0.5, 1: 0.7}",
)


@law(
    150,
    a=ANY_SCORES,
    b=ANY_SCORES | codes("[0.6, 0.7]"),
    given=st.dictionaries(
        st.sampled_from(["n_train", "n_test", "confidence"]),
        ODD_NUMBERS | codes("1e-308", "0.5", "1 - 1e-16"),
        max_size=2,
    ),
)
def test_any_scores_of_two_models(a, b, given):
    found = attempt(paired_difference_interval, a, b, **{"n_train": 2, "n_test": 1} | given)
    if not isinstance(found, Refused):
        assert -math.inf < found.low <= found.mean <= found.high < math.inf
        assert 0 <= found.p_value <= 1
