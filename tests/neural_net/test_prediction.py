"""Predictions go in batches that fill the machine, checked once, whoever has a say in how."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import nn

import sk_cbloss._labels
from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV
from sk_cbloss.neural_net import _prediction

RNG = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], [300, 150, 50])
X = (RNG.normal(size=(500, 4)) + np.eye(3, 4)[Y]).astype(np.float32)


class Seen(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head, self.sizes = nn.Linear(n_features, n_classes), []

    def forward(self, x):
        if not self.training:
            self.sizes.append(len(x))
        return self.head(x)


def fitted(**parameters):
    given = {"max_epochs": 1, "batch_size": 32, "random_state": 0, "device": "cpu"}
    net = CBNeuralNetClassifier(Seen, **given | parameters).fit(X, Y)
    net.module_.sizes.clear()
    return net


def test_a_table_goes_in_few_batches_of_bounded_size(monkeypatch):
    net = fitted()
    whole = net.decision_function(X)
    assert net.module_.sizes == [500]
    monkeypatch.setattr(_prediction, "NUMBERS", 4 * 200)
    np.testing.assert_allclose(net.decision_function(X), whole, rtol=1e-6)
    assert net.module_.sizes[1:] == [200, 200, 100]
    monkeypatch.setattr(_prediction, "NUMBERS", 0)
    np.testing.assert_allclose(net.decision_function(X), whole, rtol=1e-6)
    assert max(net.module_.sizes[4:]) == 32  # never smaller than in training


@pytest.mark.parametrize("numbers", [0, 4 * 200])
@pytest.mark.parametrize("size", [-1, None])
def test_a_batch_size_that_names_no_number(monkeypatch, size, numbers):
    net = fitted()
    expected = net.predict_proba(X)
    monkeypatch.setattr(_prediction, "NUMBERS", numbers)
    net.set_params(batch_size=size)
    np.testing.assert_allclose(net.predict_proba(X), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [7, 400])
def test_a_size_that_is_given_holds(size):
    net = fitted(iterator_valid__batch_size=size)
    net.predict(X)
    assert max(net.module_.sizes) == size


def test_what_a_subclass_does_is_done():
    class Doubled(CBNeuralNetClassifier):
        def evaluation_step(self, batch, training=False):
            return 2 * super().evaluation_step(batch, training=training)

    given = {"max_epochs": 1, "random_state": 0, "device": "cpu"}
    ours, theirs = (kind(**given).fit(X, Y) for kind in (Doubled, CBNeuralNetClassifier))
    np.testing.assert_allclose(
        ours.decision_function(X), 2 * theirs.decision_function(X), rtol=1e-5
    )
    before, evaluation_step = theirs.decision_function(X), theirs.evaluation_step
    vars(theirs)["evaluation_step"] = lambda *args, **kwargs: 2 * evaluation_step(*args, **kwargs)
    np.testing.assert_allclose(theirs.decision_function(X), 2 * before, rtol=1e-5)


@pytest.mark.parametrize("n_rows", [1, 500])
def test_every_way_to_ask(n_rows):
    net, some = fitted(), X[:n_rows]
    logits = net.forward(some).numpy()
    np.testing.assert_allclose(net.decision_function(some), logits, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(net.predict(some), net.classes_[logits.argmax(axis=1)])
    assert net.predict_proba(some).shape == net.predict_natural_proba(some).shape == (n_rows, 3)
    assert torch.is_grad_enabled()


def test_a_module_that_writes_to_its_input_leaves_the_users_alone():
    class Writes(Seen):
        def forward(self, x):
            return super().forward(x.mul_(2))

    net = CBNeuralNetClassifier(Writes, max_epochs=1, device="cpu", random_state=0).fit(X, Y)
    before = X.copy()
    np.testing.assert_array_equal(net.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(X, before)


def test_labels_are_read_once(monkeypatch):
    calls, reader = [], sk_cbloss._labels._READERS["U"]

    def counted(y):
        calls.append(len(y))
        return reader(y)

    monkeypatch.setitem(sk_cbloss._labels._READERS, "U", counted)
    names = np.array(["ant", "bee", "cat"])[Y]
    net = CBNeuralNetClassifier(max_epochs=1, device="cpu").fit(X, names)
    assert calls == [500]
    assert net.classes_.tolist() == ["ant", "bee", "cat"]


def test_tables_that_nobody_sees_are_not_laid_out():
    assert dict(fitted().callbacks_)["print_log"].first_iteration_
    lines = []
    net = fitted(callbacks__print_log__sink=lines.append)  # which is told all the same
    assert any("train_loss" in line for line in lines)
    assert net.verbose == 0


class Named(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, x):
        return {"hidden": x, "logits": self.head(x)}


class Several(Named):
    def forward(self, x):
        return self.head(x), x


class Plain(Named):
    def forward(self, x):
        return self.head(x)


@pytest.mark.parametrize("module", [Named, Several])
def test_logits_are_the_first_output_or_the_one_of_that_name(module):
    given = {"max_epochs": 5, "random_state": 0, "device": "cpu", "early_stopping": True}
    nets = [CBNeuralNetClassifier(one, **given).fit(X, Y) for one in (module, Plain)]
    proba, expected = (net.predict_proba(X) for net in nets)
    np.testing.assert_array_equal(proba, expected)
    grid = {"beta": [0, 0.9]}
    searches = [StackedGridSearchCV(net, grid, cv=2, refit=False).fit(X, Y) for net in nets]
    scores, expected = (search.cv_results_["mean_test_score"] for search in searches)
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize(
    "form",
    [
        Y.tolist(),
        torch.from_numpy(Y).bfloat16(),
        torch.from_numpy(Y).to_sparse(),
        pd.Series(Y).astype("Int64"),
        pd.Series(Y).astype("category"),
        pa.array(Y),
    ],
    ids=lambda form: type(form).__name__,
)
def test_labels_of_any_kind_are_scored(form):
    net, weight = fitted(), RNG.random(500)
    right = net.predict(X) == Y
    assert net.score(X, form) == right.mean()
    assert net.score(X, form, weight) == pytest.approx(np.average(right, weights=weight))
    assert net.fit(X, form).score(X, form) == right.mean()
