"""A tag for each token of a sample."""

import numpy as np
import pytest
import torch
from _tagger import Tagger
from sklearn.model_selection import GridSearchCV
from torch import nn

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassAwareSampler,
    ClassBalancedCrossEntropyLoss,
    StackedGridSearchCV,
)
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import features_and_labels
from sk_cbloss.neural_net.data._tags import rarest_tag

RNG = np.random.default_rng(0)
TAGS = RNG.choice([3, 5, 9], p=[0.8, 0.15, 0.05], size=(150, 6))
X = (RNG.normal(size=(150, 6, 4)) + np.eye(10, 4)[TAGS % 4] * 2).astype(np.float32)
Y = TAGS.copy()
Y[RNG.random(Y.shape) < 0.2] = -1  # padding
Y[3] = -1
COUNTS = Y != -1
OWN = RNG.uniform(0.5, 2, 150)


def net(**parameters):
    given = {"module": Tagger, "criterion__ignore_index": -1, "max_epochs": 5, "beta": 0.9}
    return CBNeuralNetClassifier(**given | {"random_state": 0, "device": "cpu"} | parameters)


@pytest.mark.parametrize("own", [None, OWN], ids=["", "weighted"])
@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "ldam"])
def test_tags_are_samples_of_their_own(loss, own):
    how = {"optimizer": torch.optim.SGD, "lr": 0.5, "batch_size": -1, "dtype": "float64"}
    tagged = net(loss=loss, **how).fit(X, Y, sample_weight=own)
    weight = None if own is None else own.repeat(COUNTS.sum(axis=1))
    flat = CBNeuralNetClassifier(
        Tagger, loss=loss, beta=0.9, max_epochs=5, random_state=0, device="cpu", **how
    ).fit(X[COUNTS], Y[COUNTS], sample_weight=weight)
    np.testing.assert_array_equal(tagged.class_count_, flat.class_count_)
    assert tagged.classes_.tolist() == [3, 5, 9]
    np.testing.assert_allclose(
        tagged.module_.head.weight.detach().numpy(),
        flat.module_.head.weight.detach().numpy(),
        rtol=1e-6,
    )
    np.testing.assert_array_equal(tagged.predict(X)[COUNTS], flat.predict(X[COUNTS]))
    proba = tagged.predict_proba(X)
    assert proba.shape == (150, 3, 6)
    np.testing.assert_array_equal(tagged.predict(X), tagged.classes_[proba.argmax(axis=1)])


def test_it_scores_what_counts():
    one = net(early_stopping=True, lr=0.1).fit(X, Y)
    right = (one.predict(X) == Y)[COUNTS]
    assert one.score(X, Y) == right.mean()
    weight = OWN.repeat(COUNTS.sum(axis=1))
    assert one.score(X, Y, OWN) == pytest.approx(np.average(right, weights=weight))
    assert 0.5 < one.history_[-1, "valid_balanced_accuracy"] <= 1


@pytest.mark.parametrize("n", [1, 5])
def test_as_many_tags_are_scored_as_are_predicted(n):
    one = net(max_epochs=1).fit(X, Y)
    for y in (Y[:n], Y[:, :n]):
        with pytest.raises(ValueError, match="^y must have a tag for each that is predicted"):
            one.score(X, y)
    with pytest.raises(ValueError, match=r"^sample_weight must have shape \(150,\)"):
        one.score(X, Y, np.ones(n))


def test_rows_of_tags_are_of_one_length():
    with pytest.raises(ValueError, match="^y must hold rows of tags of one length, filled up"):
        net().fit(X, [[3], [3, 5]] * 75)


def test_validation_looks_at_what_counts():
    one = net(max_epochs=1).fit(X[:100], Y[:100], X_val=X[100:], y_val=Y[100:])
    y, predicted = Y[100:][COUNTS[100:]], one.predict(X[100:])[COUNTS[100:]]
    recalls = [(predicted[y == label] == label).mean() for label in (3, 5, 9)]
    assert one.history_[-1, "valid_balanced_accuracy"] == pytest.approx(np.mean(recalls))
    logits = torch.from_numpy(one.decision_function(X[100:])).movedim(1, -1)[COUNTS[100:]]
    expected = nn.functional.cross_entropy(logits, torch.from_numpy(np.searchsorted([3, 5, 9], y)))
    assert one.history_[-1, "valid_loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_padding_of_any_number_is_the_same():
    other = net(criterion__ignore_index=0).fit(X, np.where(COUNTS, Y, 0))
    np.testing.assert_array_equal(other.predict(X), net().fit(X, Y).predict(X))


def test_a_criterion_of_torchs():
    theirs = net(criterion=nn.CrossEntropyLoss, criterion__ignore_index=-100, beta=None)
    ours = net(beta=0, criterion__ignore_index=-100)
    y = np.where(COUNTS, Y, -100)
    np.testing.assert_allclose(
        theirs.fit(X, y).decision_function(X), ours.fit(X, y).decision_function(X), atol=1e-4
    )


def test_a_criterion_of_torchs_may_leave_out_a_class():
    """Of one label a sample, what is left out is the criterion's own affair."""
    x, y = X[:, 0], np.searchsorted([3, 5, 9], TAGS[:, 0])
    how = {"beta": None, "module": None, "criterion": nn.CrossEntropyLoss}
    ours = net(**how, criterion__ignore_index=1).fit(x, y)
    weights = torch.tensor([1.0, 0.0, 1.0])
    theirs = net(**how, criterion__ignore_index=None, criterion__weight=weights)
    del theirs.criterion__ignore_index
    theirs.fit(x, y)
    assert ours.score(x, y) == (ours.predict(x) == y).mean()
    np.testing.assert_allclose(
        ours.decision_function(x), theirs.decision_function(x), rtol=1e-4, atol=1e-5
    )


def test_the_rarest_tag_tells_rows_apart():
    targets = np.array([[0, 0, 1], [0, 2, -100], [0, 0, 0], [1, 1, -100], [-100] * 3])
    assert rarest_tag(targets).tolist() == [1, 2, 0, 1, 3]


def test_searches():
    grid = {"beta": [0, 0.9, 0.99], "lr": [0.01, 0.1]}
    ours = StackedGridSearchCV(net(), grid, cv=3).fit(X, Y)
    theirs = GridSearchCV(net(), grid, cv=3).fit(X, Y)
    assert ours.n_fallback_fits_ == 0
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], atol=0.01
    )


def test_chunks_add_up():
    one = net(max_epochs=1).partial_fit(X[:100], Y[:100], classes=[3, 5, 9])
    one.partial_fit(X[100:], Y[100:])
    np.testing.assert_array_equal(one.class_count_, net().fit(X, Y).class_count_)
    with pytest.raises(ValueError, match="y must hold only the known classes"):
        one.partial_fit(X, Y + 1)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:, 0], r"^y must hold a row of integers, its tags, .*got int64 of shape \(150,\)"),
        (Y.astype(float), "^y must hold a row of integers, its tags, .*got float64"),
        (Y[:100], "X and y must have the same number of samples, got 150 and 100"),
        (np.where(COUNTS, 3, -1), "needs samples of at least 2 classes, got one class: 3"),
        (np.full_like(Y, -1), "y must hold at least one label, got none"),
    ],
)
def test_bad_tags(y, message):
    with pytest.raises(ValueError, match=message):
        net().fit(X, y)


def test_rows_of_tags_have_no_class_to_draw_by():
    with pytest.raises(ValueError, match="^iterator_train__sampler must be None or one of torch"):
        net(iterator_train__sampler=ClassAwareSampler(beta=0.9)).fit(X, Y)


def test_a_dataset_of_tags_is_told_how():
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    with pytest.raises(ValueError, match=r"features_and_labels\(dataset\) takes them"):
        net().fit(dataset)
    features, tags = features_and_labels(dataset)
    one = net().fit(features, tags)
    np.testing.assert_array_equal(one.predict(features), net().fit(X, Y).predict(X))
    grid = {"beta": [0, 0.9]}
    ours = StackedGridSearchCV(net(), grid, cv=3).fit(features, tags)
    theirs = GridSearchCV(net(), grid, cv=3).fit(X, Y)
    np.testing.assert_array_equal(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"]
    )


def test_weights_are_those_of_from_labels():
    expected = ClassBalancedCrossEntropyLoss.from_labels(
        np.where(COUNTS, np.searchsorted([3, 5, 9], Y), -100), beta=0.9
    )
    torch.testing.assert_close(net().fit(X, Y).criterion_.weight, expected.float().weight)


def test_tags_and_one_hot_rows_are_told_from_several_labels():
    with pytest.raises(ValueError, match="^y must hold 0 and 1, .* criterion__ignore_index.$"):
        CBNeuralNetClassifier(Tagger, device="cpu").fit(X, Y)
    rows = np.eye(3)[RNG.integers(3, size=150)]
    with pytest.raises(ValueError, match=r"^loss must be 'multi_label', .* by argmax\(axis=1\)"):
        CBNeuralNetClassifier(loss="focal", device="cpu").fit(X[:, 0], rows)
