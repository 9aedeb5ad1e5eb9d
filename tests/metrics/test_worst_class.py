import pytest
from sklearn.metrics import make_scorer, recall_score
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

from sk_cbloss import load_digits_lt, worst_class_recall_score

Y_TRUE, Y_PRED = list("aaaabbccc"), list("aaabbbcxa")


def test_it_is_the_smallest_recall():
    assert worst_class_recall_score(Y_TRUE, Y_PRED) == pytest.approx(1 / 3)
    recalls = recall_score(Y_TRUE, Y_PRED, labels=list("abc"), average=None)
    assert worst_class_recall_score(Y_TRUE, Y_PRED) == recalls.min()


def test_classes_that_are_only_predicted_do_not_count():
    assert worst_class_recall_score(["a", "a", "b"], ["a", "x", "b"]) == 0.5


def test_weights():
    weight = [1, 1, 1, 1, 1, 1, 8, 1, 1]
    assert worst_class_recall_score(Y_TRUE, Y_PRED, sample_weight=weight) == 0.75
    y_pred = list("aaabxxcxa")  # of "b", whose samples then all have weight 0, none is found
    weight = [1, 1, 1, 1, 0, 0, 8, 1, 1]
    assert worst_class_recall_score(Y_TRUE, y_pred, sample_weight=weight) == 0.75
    assert worst_class_recall_score(Y_TRUE, y_pred) == 0


@pytest.mark.parametrize("weight", [[2, -1, 1], [1, float("inf"), 1], [1, 1], [0, 0, 0]])
def test_bad_weights(weight):
    with pytest.raises(ValueError, match="^sample_weight must "):
        worst_class_recall_score([0, 0, 1], [0, 1, 1], sample_weight=weight)


def test_of_several_labels_a_sample_it_is_the_worst_of_those_that_occur():
    y_true = [[1, 0, 1], [1, 0, 0], [1, 0, 1], [0, 0, 1]]
    y_pred = [[1, 1, 1], [1, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert worst_class_recall_score(y_true, y_pred) == pytest.approx(1 / 3)
    assert worst_class_recall_score(y_true, y_pred, sample_weight=[4, 1, 1, 1]) == 2 / 3
    with pytest.raises(ValueError, match="^y_true must hold a sample that has a label, got none"):
        worst_class_recall_score([[0, 0], [0, 0]], [[0, 1], [1, 1]])


def test_in_cross_validation():
    X, y = load_digits_lt(return_X_y=True)
    scores = cross_val_score(
        DecisionTreeClassifier(random_state=0),
        X,
        y,
        scoring=make_scorer(worst_class_recall_score),
        cv=3,
    )
    assert ((scores >= 0) & (scores < 1)).all()
