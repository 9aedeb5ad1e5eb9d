import math
from collections import Counter, UserDict
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, make_scorer, recall_score
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from sk_cbloss import load_digits_lt, make_shot_scorer, shot_recall_score

COUNT = {"a": 500, "b": 101, "c": 100, "d": 20, "e": 19, "f": 1}
Y_TRUE = list("aaaabbccddeeff")
Y_PRED = list("aaabbbcaddafff")
RECALL = {"a": 3 / 4, "b": 1, "c": 1 / 2, "d": 1, "e": 0, "f": 1}


# ---------------------------------------------------------------------------------- laws


@pytest.mark.parametrize(
    ("shot", "thresholds"), [("many", (0, 0)), ("medium", (0, 1e9)), ("few", (1e9, 1e9))]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_group_of_all_classes_scores_balanced_accuracy(shot, thresholds, weighted):
    weight = np.linspace(0.5, 3, len(Y_TRUE)) if weighted else None
    score = shot_recall_score(
        Y_TRUE, Y_PRED, class_count=COUNT, thresholds=thresholds, sample_weight=weight
    )
    expected = balanced_accuracy_score(Y_TRUE, Y_PRED, sample_weight=weight)
    assert score[shot] == pytest.approx(expected, rel=1e-12)
    assert all(math.isnan(value) for name, value in score.items() if name != shot)


def test_groups_weighed_by_their_number_of_classes_add_up_to_balanced_accuracy():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(9, size=300), rng.integers(9, size=300)
    count = dict(enumerate([900, 400, 200, 90, 50, 30, 20, 5, 2]))
    score = shot_recall_score(y_true, y_pred, class_count=count)
    total = 3 * score["many"] + 4 * score["medium"] + 2 * score["few"]
    assert total / 9 == pytest.approx(balanced_accuracy_score(y_true, y_pred), rel=1e-12)


def test_one_shot_is_that_entry_of_all_shots():
    every = shot_recall_score(Y_TRUE, Y_PRED, class_count=COUNT)
    assert list(every) == ["many", "medium", "few"]
    for shot, value in every.items():
        alone = shot_recall_score(Y_TRUE, Y_PRED, class_count=COUNT, shot=shot)
        assert type(alone) is type(value) is float
        assert alone == value


def test_the_order_of_the_samples_and_of_the_mapping_does_not_matter():
    rows = np.random.default_rng(0).permutation(len(Y_TRUE))
    shuffled = shot_recall_score(
        np.array(Y_TRUE)[rows],
        np.array(Y_PRED)[rows],
        class_count=dict(reversed(COUNT.items())),
    )
    assert shuffled == pytest.approx(shot_recall_score(Y_TRUE, Y_PRED, class_count=COUNT))


def test_weight_two_equals_two_copies():
    copies = np.tile([1, 2], len(Y_TRUE) // 2)
    weighted = shot_recall_score(Y_TRUE, Y_PRED, class_count=COUNT, sample_weight=copies)
    copied = shot_recall_score(
        np.repeat(Y_TRUE, copies), np.repeat(Y_PRED, copies), class_count=COUNT
    )
    assert weighted == pytest.approx(copied, rel=1e-12)
    assert weighted != pytest.approx(shot_recall_score(Y_TRUE, Y_PRED, class_count=COUNT))


# ------------------------------------------------------------------------ by hand


def test_by_hand_with_counts_at_the_thresholds_in_the_medium_group():
    """101 is many, 100 and 20 are medium, 19 is few."""
    score = shot_recall_score(Y_TRUE, Y_PRED, class_count=COUNT)
    assert score == pytest.approx(
        {
            "many": (RECALL["a"] + RECALL["b"]) / 2,
            "medium": (RECALL["c"] + RECALL["d"]) / 2,
            "few": (RECALL["e"] + RECALL["f"]) / 2,
        }
    )


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ((20, 100), {"many": "ab", "medium": "cd", "few": "ef"}),
        ((19, 101), {"many": "a", "medium": "bcde", "few": "f"}),
        ((20.5, 100.5), {"many": "ab", "medium": "c", "few": "def"}),
        ((100, 100), {"many": "ab", "medium": "c", "few": "def"}),
        ([1, 499], {"many": "a", "medium": "bcdef", "few": ""}),
        ((0, 1), {"many": "abcde", "medium": "f", "few": ""}),
    ],
)
def test_thresholds_move_the_groups(thresholds, expected):
    score = shot_recall_score(Y_TRUE, Y_PRED, class_count=COUNT, thresholds=thresholds)
    by_hand = {
        shot: np.mean([RECALL[label] for label in labels]) if labels else np.nan
        for shot, labels in expected.items()
    }
    assert score == pytest.approx(by_hand, nan_ok=True)


def test_weighted_by_hand():
    score = shot_recall_score(
        ["a", "a", "f"], ["a", "f", "f"], class_count=COUNT, sample_weight=[3, 1, 5]
    )
    assert score == pytest.approx({"many": 0.75, "medium": np.nan, "few": 1}, nan_ok=True)


# ------------------------------------------------------------------- what may be missing


@pytest.mark.parametrize(
    "thresholds",
    [(4, math.inf), [4, 1e9], np.array([4, 600]), (Decimal(4), 600), torch.tensor([4, 600])],
)
def test_thresholds_come_in_any_container(thresholds):
    scores = shot_recall_score(["a", "b"], ["a", "b"], class_count=COUNT, thresholds=thresholds)
    assert scores["medium"] == 1


def test_a_group_without_classes_is_nan_without_a_warning():
    score = shot_recall_score(["a", "b"], ["a", "a"], class_count=COUNT)
    assert score["many"] == 0.5
    assert math.isnan(score["medium"])
    assert math.isnan(score["few"])
    assert math.isnan(shot_recall_score(["a"], ["a"], class_count=COUNT, shot="few"))


def test_a_class_without_test_samples_takes_no_part():
    """Even if it is predicted."""
    score = shot_recall_score(["a", "a", "f"], ["a", "b", "e"], class_count=COUNT)
    assert score["many"] == 0.5
    assert score["few"] == 0


def test_a_class_whose_test_samples_weigh_nothing_takes_no_part():
    score = shot_recall_score(
        ["a", "b", "b"], ["a", "a", "a"], class_count=COUNT, sample_weight=[1, 0, 0]
    )
    assert score["many"] == 1
    assert math.isnan(score["medium"])


def test_a_predicted_label_that_class_count_lacks_is_a_miss():
    score = shot_recall_score(["a", "a"], ["a", "unheard of"], class_count={"a": 500})
    assert score["many"] == 0.5


def test_a_class_counted_zero_times_is_few_shot():
    assert shot_recall_score([0, 1], [0, 1], class_count={0: 50, 1: 0})["few"] == 1


# ------------------------------------------------------------------------------ containers


@pytest.mark.parametrize(
    "mapping",
    [
        Counter,
        dict,
        lambda y: UserDict(Counter(y)),
        lambda y: pd.Series(y).value_counts(),
        lambda y: pd.Series(y, dtype="category").value_counts(),
        lambda y: {label: np.int64(n) for label, n in Counter(y).items()},
    ],
    ids=["Counter", "dict", "UserDict", "value_counts", "category", "numpy numbers"],
)
@pytest.mark.parametrize("labels", [["cat", "dog"], [0, 1], [False, True]])
def test_counts_come_as_any_mapping(mapping, labels):
    y_train = [labels[0]] * 150 + [labels[1]] * 3
    if mapping is dict:
        y_train = Counter(y_train)
    y_true = [labels[0], labels[0], labels[1]]
    y_pred = [labels[0], labels[1], labels[1]]
    score = shot_recall_score(y_true, y_pred, class_count=mapping(y_train))
    assert score == pytest.approx({"many": 0.5, "medium": np.nan, "few": 1}, nan_ok=True)


@pytest.mark.parametrize(
    "container", [np.array, list, tuple, pd.Series, pd.Categorical, pl.Series]
)
def test_labels_come_in_any_container(container):
    score = shot_recall_score(container(Y_TRUE), container(Y_PRED), class_count=COUNT)
    assert score == shot_recall_score(Y_TRUE, Y_PRED, class_count=COUNT)


# ------------------------------------------------------------------------------- scorers


@pytest.fixture(scope="module")
def digits():
    train, test = load_digits_lt(), load_digits_lt("test")
    return train.data / 16, train.target, test.data / 16, test.target, train.class_count


@pytest.mark.parametrize("shot", ["many", "medium", "few"])
def test_make_scorer_scores_a_group(digits, shot):
    X, y, X_test, y_test, class_count = digits
    model = LogisticRegression(max_iter=500).fit(X, y)
    scorer = make_scorer(shot_recall_score, class_count=class_count, shot=shot)
    recall = recall_score(y_test, model.predict(X_test), average=None)
    count = np.array([class_count[label] for label in range(10)])
    group = {"many": count > 100, "medium": (count >= 20) & (count <= 100), "few": count < 20}
    assert scorer(model, X_test, y_test) == pytest.approx(recall[group[shot]].mean())


def test_a_search_refits_the_best_of_a_group(digits):
    X, y, _, _, class_count = digits
    scoring = {
        shot: make_scorer(shot_recall_score, class_count=class_count, shot=shot)
        for shot in ("many", "few")
    }
    search = GridSearchCV(
        LogisticRegression(max_iter=500), {"C": [1e-4, 1]}, scoring=scoring, refit="few", cv=3
    ).fit(X, y)
    few = search.cv_results_["mean_test_few"]
    assert few[1] > few[0]
    assert np.isfinite(search.cv_results_["mean_test_many"]).all()
    assert search.best_params_ == {"C": 1}
    assert search.best_score_ == few[1]


def test_a_scorer_takes_sample_weight():
    class Constant(LogisticRegression):
        def predict(self, X):
            return np.array([0] * len(X))

    X, y = np.arange(8.0).reshape(-1, 1), np.tile([0, 1], 4)
    scorer = make_scorer(shot_recall_score, class_count={0: 500, 1: 500}, shot="many")
    model = Constant().fit(X, y)
    assert scorer(model, X, y) == 0.5
    assert scorer(model, X, y, sample_weight=np.where(y == 1, 0, 1)) == 1


def test_cross_val_score_of_an_empty_group_is_nan():
    X, y = np.arange(12.0).reshape(-1, 1), np.tile([0, 1], 6)
    scorer = make_scorer(shot_recall_score, class_count={0: 500, 1: 500}, shot="few")
    assert np.isnan(cross_val_score(LogisticRegression(), X, y, scoring=scorer, cv=2)).all()


# -------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shot": "some"}, r"shot must be 'many', 'medium', 'few' or None, got 'some'\."),
        ({"shot": ["few"]}, r"shot must be 'many', 'medium', 'few' or None, got \['few'\]\."),
        ({"shot": np.array(["few", "many"])}, "shot must be 'many', 'medium', 'few' or None, got"),
        ({"thresholds": (1, 10**400)}, r"thresholds must be two increasing numbers >= 0, got \(1"),
        ({"thresholds": ([1], [2])}, r"thresholds must be two increasing numbers >= 0, got \(\["),
        ({"thresholds": (100, 20)}, r"thresholds must be two increasing numbers .*\(100, 20\)\."),
        ({"thresholds": (-1, 20)}, r"thresholds must be two increasing numbers >= 0, got \(-1"),
        ({"thresholds": (20,)}, r"thresholds must be two increasing numbers >= 0, got \(20,\)\."),
        ({"thresholds": (1, 2, 3)}, r"thresholds must be two increasing numbers >= 0, got \(1"),
        ({"thresholds": (np.nan, 2)}, r"thresholds must be two increasing numbers >= 0, got \(n"),
        ({"thresholds": (2, np.nan)}, r"thresholds must be two increasing numbers >= 0, got \(2"),
        ({"thresholds": 20}, r"thresholds must be two increasing numbers >= 0, got 20\."),
        ({"thresholds": ("a", "b")}, r"thresholds must be two increasing numbers >= 0, got \('a"),
        (
            {"class_count": [500, 3, 1]},
            r"class_count must have a number for each of the 2 labels .*, got shape \(3,\): pass "
            r"dict\(zip\(classes, class_count\)\)\.",
        ),
        ({"class_count": 500}, r"class_count must have a number for each .*, got shape \(\): "),
        ({"class_count": {"a": 5, "b": 4, "c": -1}}, r"class_count must hold finite .* got -1\.0"),
        ({"class_count": pd.Series([5, 4], ["b", "b"])}, r"class_count must hold each .* 'b' twi"),
        ({"sample_weight": [2, -1]}, r"sample_weight must hold finite numbers >= 0, got -1\.0\."),
        ({"sample_weight": [2, np.nan]}, r"sample_weight must hold finite numbers >= 0, got nan"),
        ({"sample_weight": [2, 1, 1]}, r"sample_weight must have shape \(2,\), one weight a sam"),
        ({"sample_weight": [0, 0]}, r"sample_weight must not be 0 for every sample"),
        ({"class_count": {"a": 5}}, r"class_count must hold every label of y_true, got no 'b'\."),
        ({"class_count": {}}, r"class_count must hold every label of y_true, got no 'a'\."),
        (
            {"class_count": {"a": 5, "b": -1}},
            r"class_count must hold finite numbers >= 0, got -1\.0\.",
        ),
        (
            {"class_count": {"a": 5, "b": np.nan}},
            r"class_count must hold finite numbers >= 0, got nan\.",
        ),
        ({"class_count": {"a": 5, "b": "many"}}, r"class_count must hold numbers, got "),
    ],
)
def test_bad_arguments_are_named_with_rule_and_value(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        shot_recall_score(["a", "b"], ["a", "b"], **{"class_count": COUNT} | change)


def test_labels_of_another_kind_than_the_counts_are_unknown():
    with pytest.raises(ValueError, match=r"class_count must hold every label of y_true, got no 0"):
        shot_recall_score([0, 1], [0, 1], class_count={"0": 5, "1": 5})


def test_y_true_and_y_pred_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        shot_recall_score(["a", "b"], ["a"], class_count=COUNT)


# ---------------------------------------------------------------------------------- the scorer


@pytest.mark.parametrize("shot", ["many", "medium", "few"])
def test_the_scorer_groups_by_the_labels_it_was_made_of(shot):
    X, y = load_digits_lt(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    X_test, y_test = load_digits_lt("test", return_X_y=True)
    expected = shot_recall_score(y_test, model.predict(X_test), class_count=Counter(y), shot=shot)
    assert make_shot_scorer(y, shot=shot)(model, X_test, y_test) == expected
    assert make_shot_scorer(pd.Series(y), shot=shot)(model, X_test, y_test) == expected


def test_thresholds_of_the_scorer():
    X, y = load_digits_lt(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(X, y)
    scorer = make_shot_scorer(y, shot="few", thresholds=(1000, 1000))
    assert scorer(model, X, y) == balanced_accuracy_score(y, model.predict(X))


def test_bad_parameters_of_the_scorer():
    with pytest.raises(ValueError, match="^shot must be 'many', 'medium' or 'few', got 'all'"):
        make_shot_scorer([0, 1], shot="all")
    with pytest.raises(ValueError, match="^thresholds must be"):
        make_shot_scorer([0, 1], shot="few", thresholds=5)


# ---------------------------------------------------------------- several labels a sample


def labels_of_samples(n=300):
    rng = np.random.default_rng(0)
    true = (rng.random((n, 4)) < [0.5, 0.3, 0.1, 0.05]).astype(int)
    return true, np.where(rng.random(true.shape) < 0.3, 1 - true, true)


@pytest.mark.parametrize("weighted", [False, True])
def test_of_several_labels_a_sample_each_has_a_recall(weighted):
    true, predicted = labels_of_samples()
    weight = np.linspace(0.5, 2, len(true)) if weighted else None
    recall = recall_score(true, predicted, average=None, sample_weight=weight)
    count = [500, 80, 50, 3]
    expected = {"many": recall[0], "medium": recall[1:3].mean(), "few": recall[3]}
    frame = pd.DataFrame(true, columns=list("abcd"))
    kinds = [(true, count), (scipy.sparse.csr_array(true), dict(enumerate(count)))]
    kinds += [(frame, dict(zip("abcd", count, strict=True))), (true.astype(bool), np.array(count))]
    for y_true, class_count in kinds:
        for y_pred in (predicted, scipy.sparse.csr_matrix(predicted)):
            score = shot_recall_score(
                y_true, y_pred, class_count=class_count, sample_weight=weight
            )
            assert score == pytest.approx(expected)


def test_a_label_that_no_test_sample_has_takes_no_part():
    true, predicted = labels_of_samples()
    true[:, 3] = 0
    scores = shot_recall_score(true, predicted, class_count=[500, 80, 50, 3])
    assert math.isnan(scores["few"])
    assert scores["many"] == pytest.approx(recall_score(true[:, 0], predicted[:, 0]))


def test_a_scorer_of_several_labels_a_sample():
    true, _ = labels_of_samples()
    X = np.random.default_rng(1).normal(size=(300, 4)) + true
    model = KNeighborsClassifier().fit(X, true)
    scorer = make_shot_scorer(true, shot="few", thresholds=(40, 100))
    few = true.sum(axis=0) < 40
    recall = recall_score(true, model.predict(X), average=None)
    assert scorer(model, X, true) == pytest.approx(recall[few].mean())


@pytest.mark.parametrize(
    ("y_true", "y_pred", "count", "message"),
    [
        (np.eye(3), np.eye(3)[:, :2], [1, 2, 3], "y must have a column for each of the 3 known"),
        (np.eye(3), np.eye(3), [1, 2], "class_count must have a number for each of the 3 labels"),
        (np.eye(3), 2 * np.eye(3), [1, 2, 3], "y must hold 0 and 1, .* got 2"),
        (np.eye(3), [0, 1, 2], [1, 2, 3], "y must have a column for each"),
        (np.eye(3), np.eye(3)[:2], [1, 2, 3], "Found input variables with inconsistent"),
        (
            pd.DataFrame(np.eye(2), columns=["a", "b"]),
            np.eye(2),
            {"a": 1},
            "class_count must hold",
        ),
    ],
)
def test_bad_matrices(y_true, y_pred, count, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        shot_recall_score(y_true, y_pred, class_count=count)
