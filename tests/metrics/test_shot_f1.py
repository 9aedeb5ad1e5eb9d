"""F1 by how many training samples the classes have, of one label a sample and of several."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.dummy import DummyClassifier
from sklearn.metrics import f1_score

from sk_cbloss import make_shot_scorer, shot_f1_score, shot_recall_score

RNG = np.random.default_rng(0)
COUNT = np.array([500, 300, 60, 30, 9, 2])
ONE = RNG.integers(6, size=200)
SEVERAL = (RNG.random((200, 6)) < 0.3).astype(int)
WEIGHT = RNG.integers(1, 4, size=200)


def misread(y):
    """Return predictions, of which a third are wrong."""
    other = RNG.permutation(y)
    return np.where(RNG.random(y.shape) < 0.3, other, y)


@pytest.mark.parametrize("y", [ONE, SEVERAL], ids=["one", "several"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_means_of_scikit_learns_f1(y, weight):
    predicted = misread(y)
    f1 = f1_score(y, predicted, average=None, sample_weight=weight)
    expected = {"many": f1[:2].mean(), "medium": f1[2:4].mean(), "few": f1[4:].mean()}
    count = dict(enumerate(COUNT))
    found = shot_f1_score(y, predicted, class_count=count, sample_weight=weight)
    assert found == pytest.approx(expected)
    for shot, score in found.items():
        alone = {"class_count": count, "sample_weight": weight, "shot": shot}
        assert shot_f1_score(y, predicted, **alone) == score


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, lambda y: pd.DataFrame(y).astype(bool)])
def test_whatever_holds_the_labels(make):
    predicted = misread(SEVERAL)
    expected = shot_f1_score(SEVERAL, predicted, class_count=COUNT)
    assert shot_f1_score(make(SEVERAL), make(predicted), class_count=COUNT) == expected


def test_all_labels_predicted_are_all_found_and_mostly_false_alarms():
    every = np.ones_like(SEVERAL)
    assert set(shot_recall_score(SEVERAL, every, class_count=COUNT).values()) == {1}
    assert max(shot_f1_score(SEVERAL, every, class_count=COUNT).values()) < 0.6


def test_what_is_not_known_counts_nowhere():
    predicted = misread(SEVERAL)
    some = SEVERAL.astype(float)
    some[:150, 0] = np.nan
    f1 = f1_score(SEVERAL[:, 1], predicted[:, 1]), f1_score(SEVERAL[150:, 0], predicted[150:, 0])
    found = shot_f1_score(some, predicted, class_count=COUNT, shot="many")
    assert found == pytest.approx(np.mean(f1))


@pytest.mark.parametrize("score", [shot_f1_score, shot_recall_score])
def test_a_prediction_says_something_of_each_label(score):
    predicted = misread(SEVERAL).astype(float)
    predicted[3, 2] = np.nan
    for given in (predicted, pd.DataFrame(predicted)):
        with pytest.raises(ValueError, match=r"^y_pred must say 0 or 1 of each label, got nan:"):
            score(SEVERAL, given, class_count=COUNT)


def test_a_class_that_does_not_occur_has_no_f1():
    found = shot_f1_score(["a", "a"], ["a", "b"], class_count={"a": 500, "b": 3})
    assert found == pytest.approx({"many": 2 / 3, "medium": np.nan, "few": np.nan}, nan_ok=True)


@pytest.mark.parametrize("score", ["recall", "f1"])
def test_the_scorer_scores_either(score):
    y = np.repeat([0, 1], [150, 30])
    model = DummyClassifier(strategy="constant", constant=0).fit(y[:, None], y)
    scorer = make_shot_scorer(y, shot="many", score=score)
    expected = {"recall": 1, "f1": 300 / 330}[score]
    assert scorer(model, y[:, None], y) == pytest.approx(expected)


def test_another_score_is_one_sentence():
    with pytest.raises(ValueError, match=r"^score must be 'recall' or 'f1', got 'precision'\.$"):
        make_shot_scorer(ONE, shot="few", score="precision")
