"""Memory that runs out: what to change is said, and the net stays of use."""

import gc
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import Fit, fit_together

Y = np.repeat(["ant", "bee", "cat"], [60, 25, 15])
X = np.random.default_rng(0).normal(size=(100, 5)) + np.repeat(np.eye(3, 5), [60, 25, 15], axis=0)

FREE = "that is free on cpu"
ROWS = {"training": 10**6, "evaluation": 10**6, "building": False}


class Hungry(nn.Module):
    """Fails as a GPU does on which there is room for some rows."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, x):
        if len(x) > ROWS["training" if self.training else "evaluation"]:
            raise torch.cuda.OutOfMemoryError("Tried to allocate 1024 GiB. GPU 0 has")
        return self.head(x)

    def _apply(self, *args, **kwargs):
        if ROWS["building"]:
            raise torch.cuda.OutOfMemoryError("Tried to allocate 1024 GiB. GPU 0 has")
        return super()._apply(*args, **kwargs)


@pytest.fixture
def room(monkeypatch):
    """Return a function that sets how many rows there is room for."""

    def set_room(**rows):
        for name, value in rows.items():
            monkeypatch.setitem(ROWS, name, value)

    return set_room


def make_net(**parameters):
    given = {"device": "cpu", "max_epochs": 2, "random_state": 0, "batch_size": 50}
    return CBNeuralNetClassifier(Hungry, **given | parameters)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({}, "batch_size must .* in training, got 50; try batch_size=25 or autocast='bfloat16'"),
        ({"batch_size": -1}, "batch_size must .*, got -1; try batch_size=128 or autocast="),
        (
            {"dtype": "float64"},
            "batch_size must .*, got 50; try batch_size=25 or a smaller module",
        ),
        ({"autocast": "bfloat16"}, "batch_size must .*; try batch_size=25 or a smaller module"),
        (
            {"iterator_train__batch_size": 70},
            "iterator_train__batch_size must .* 70; try iterator_train__batch_size=35 or",
        ),
    ],
)
def test_training_names_the_size_of_its_batches(parameters, said, room):
    room(training=20)
    with pytest.raises(torch.cuda.OutOfMemoryError, match=f"^{said}.*") as caught:
        make_net(**parameters).fit(X, Y)
    assert FREE in str(caught.value)
    assert type(caught.value) is torch.cuda.OutOfMemoryError
    assert str(caught.value.__cause__).startswith("Tried to allocate")
    assert caught.value.__cause__.__cause__ is None


def test_a_single_row_is_not_halved(room):
    room(training=0)
    said = r"got 1; try autocast='bfloat16' or a smaller module\.$"
    with pytest.raises(torch.cuda.OutOfMemoryError, match=said):
        make_net(batch_size=1).fit(X, Y)


@pytest.mark.parametrize(
    "ask", ["predict", "predict_proba", "predict_natural_proba", "decision_function"]
)
@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (
            {},
            "batch_size must .* in prediction, got 50; try iterator_valid__batch_size=25 "
            r"or a smaller module\.$",
        ),
        (
            {"iterator_valid__batch_size": 80},
            "iterator_valid__batch_size must .*, got 80; try iterator_valid__batch_size=40 or",
        ),
    ],
)
def test_prediction_names_the_size_of_its_own_batches(ask, parameters, said, room):
    net = make_net(**parameters).fit(X, Y)
    expected = getattr(net, ask)(X)
    room(evaluation=20)
    with pytest.raises(torch.cuda.OutOfMemoryError, match=f"^{said}"):
        getattr(net, ask)(X)
    net.set_params(iterator_valid__batch_size=20)
    if ask == "predict":
        np.testing.assert_array_equal(net.predict(X), expected)
    else:
        np.testing.assert_allclose(getattr(net, ask)(X), expected, rtol=1e-5)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_validation_is_prediction(early_stopping, room):
    room(evaluation=2)
    with pytest.raises(
        torch.cuda.OutOfMemoryError, match="^batch_size must .* in prediction"
    ) as caught:
        make_net(early_stopping=early_stopping).fit(X, Y, X_val=X, y_val=Y)
    assert caught.value.__cause__.__cause__ is None


def test_a_module_too_large_is_no_matter_of_batches(room):
    room(building=True)
    with pytest.raises(
        torch.cuda.OutOfMemoryError, match=f"^module must fit .* {FREE}, got one that"
    ):
        make_net().fit(X, Y)


@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_the_net_stays_of_use(call, room):
    net = make_net(warm_start=True).fit(X, Y)
    before, counts = net.predict_proba(X), net.class_count_.copy()
    room(training=20)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        getattr(net, call)(X, Y)
    np.testing.assert_array_equal(net.predict_proba(X), before)
    np.testing.assert_array_equal(net.class_count_, counts)
    getattr(net.set_params(batch_size=20), call)(X, Y)
    after = net.predict_proba(X)
    assert np.isfinite(after).all()
    assert not np.allclose(after, before)


def test_what_the_step_held_is_free_again(room):
    """Or the next try would have less memory still."""
    held = []

    class Holding(Hungry):
        def forward(self, x):
            held.append(weakref.ref(x))
            return super().forward(x)

    net = make_net().set_params(module=Holding)
    room(training=20)
    gc.disable()
    try:
        with pytest.raises(torch.cuda.OutOfMemoryError) as caught:
            net.fit(X, Y)
        del caught
    finally:
        gc.enable()
    gc.collect()
    assert held
    assert not any(reference() is not None for reference in held)


def test_nets_that_are_fitted_together_are_fitted_alone(room):
    room(training=20)
    fit = Fit(make_net(), X, Y, np.arange(100))
    fit_together([fit])
    assert "OutOfMemoryError" in fit.obstacle
