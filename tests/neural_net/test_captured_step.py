"""Steps that a GPU repeats as a whole, with a stand-in for the GPU; on one, in test_cuda.py."""

import copy
import pickle
import random

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EpochScoring, GradientNormClipping
from torch import nn

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import (
    MLP,
    CifarResNet,
    DeferredReweighting,
    LearningRateSchedule,
    PadCropFlip,
    _captured_step,
    _graph,
)
from sk_cbloss.neural_net._captured_step import CapturedSteps
from sk_cbloss.neural_net._proof import kept_random_numbers

RNG = np.random.default_rng(0)
Y = np.repeat(["ant", "bee", "cat"], [140, 45, 15])
X = RNG.normal(size=(200, 5)) + np.repeat(np.eye(3, 5) * 2, [140, 45, 15], axis=0)
X_VAL, Y_VAL = X[::3], Y[::3]
OWN = RNG.uniform(0.5, 2, 200)
IMAGES = RNG.normal(size=(200, 3, 8, 8)).astype(np.float32)
PARAMETERS = {"batch_size": 32, "max_epochs": 8, "random_state": 0, "device": "cpu"}


class Replay:
    """What Graph is, but for the graph: what it returns is written over by the next call."""

    n_made = n_calls = 0

    def __init__(self, function, inputs):
        self.function, self.inputs = function, [tensor.clone() for tensor in inputs]
        type(self).n_made += 1
        with kept_random_numbers(inputs[0].device):
            function(*self.inputs)
        self.outputs = None

    def __call__(self, *inputs):
        type(self).n_calls += 1
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        outputs = self.function(*self.inputs)
        if self.outputs is None:
            self.outputs = [tensor.clone() for tensor in outputs]
        for own, made in zip(self.outputs, outputs, strict=True):
            own.copy_(made)
        return self.outputs


@pytest.fixture
def graphs(monkeypatch):
    """Capture on the CPU, too; count graphs and calls."""

    class Counted(Replay):
        pass

    def captured(function, inputs, state):
        device = inputs[0].device
        before = [tensor.clone() for tensor in state]
        graph = Counted(function, inputs)
        for tensor, value in zip(state, before, strict=True):
            tensor.copy_(value)
        theirs = _graph._tried(function, inputs, state, device)
        ours = _graph._tried(graph, inputs, state, device)
        assert all(map(torch.equal, ours[0], theirs[0]))
        return graph

    monkeypatch.setattr(_captured_step, "DEVICES", {"cpu"})
    monkeypatch.setattr(_captured_step, "PLAIN_STEPS", 2)
    monkeypatch.setattr(_captured_step, "captured", captured)
    return Counted


def fitted(*, plain=False, own=None, data=(X, Y), **parameters):
    net = CBNeuralNetClassifier(**PARAMETERS | parameters)
    if plain:
        net = Plain(**PARAMETERS | parameters)
    return net.fit(*data, sample_weight=own)


class Plain(CBNeuralNetClassifier):
    """A net that is never captured, since it may do anything."""

    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs)


def assert_same(net, plain, features=X):
    np.testing.assert_array_equal(
        net.decision_function(features), plain.decision_function(features)
    )
    assert net.history_[:, "train_loss"] == plain.history_[:, "train_loss"]
    for ours, theirs in zip(net.module_.buffers(), plain.module_.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@pytest.mark.parametrize("own", [None, OWN], ids=["", "weighted"])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_net_is_that_of_plain_steps(graphs, loss, own):
    parameters = {"loss": loss, "module__dropout": 0.3, "own": own}
    net = fitted(**parameters)
    assert graphs.n_made == 2  # the last batch of an epoch is smaller
    assert graphs.n_calls > 30
    n_calls = graphs.n_calls
    assert_same(net, fitted(plain=True, **parameters))
    assert graphs.n_calls == n_calls


@pytest.mark.parametrize(
    "parameters",
    [
        {"optimizer": torch.optim.Adam},
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "optimizer__weight_decay": 0.1},
        {"optimizer": torch.optim.LBFGS, "max_epochs": 4},
        {"callbacks": [LearningRateSchedule(warmup=2, milestones=(4,), factor=0.1)]},
        {"callbacks": [GradientNormClipping(0.01)]},
        {"callbacks": [DeferredReweighting(start=4)]},
        {"callbacks": [EpochScoring("accuracy", on_train=True, lower_is_better=False)]},
        {"early_stopping": True, "n_iter_no_change": 3},
        {"dtype": "float64", "channels_last": True},
        {"criterion": nn.CrossEntropyLoss},
        {"iterator_train__drop_last": True},
    ],
)
def test_whatever_acts_on_a_training_acts_on_captured_steps(graphs, parameters):
    def given():
        return copy.deepcopy(parameters)

    net = fitted(**given())
    assert graphs.n_calls > 10
    assert_same(net, fitted(plain=True, **given()))


def test_images_that_are_augmented_and_normalised(graphs):
    parameters = {"module": CifarResNet, "module__depth": 8, "batch_transform": PadCropFlip(2)}
    parameters |= {"data": (IMAGES[::4], Y[::4]), "max_epochs": 5, "batch_size": 20}
    net = fitted(**parameters)
    assert graphs.n_calls > 10
    assert_same(net, fitted(plain=True, **parameters), IMAGES)


class Two(nn.Module):
    """A module of two inputs, which returns two things and has a layer that is not used."""

    def __init__(self, n_classes):
        super().__init__()
        self.head, self.unused = nn.Linear(5, n_classes), nn.Linear(2, 2)

    def forward(self, left, right):
        hidden = torch.cat([left, right], dim=1)
        return self.head(hidden), hidden


def test_dicts_of_features_and_tuples_of_outputs(graphs):
    data = {"left": X[:, :2].astype(np.float32), "right": X[:, 2:].astype(np.float32)}
    nets = [fitted(plain=plain, module=Two, data=(data, Y)) for plain in (False, True)]
    assert graphs.n_calls > 30
    assert_same(*nets, data)


def test_a_new_loss_and_frozen_layers_are_captured_anew(graphs):
    class Freeze(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 5:
                net.module_.body[0].requires_grad_(False)

    net = fitted(callbacks=[Freeze()])
    assert graphs.n_made == 4
    assert_same(net, fitted(plain=True, callbacks=[Freeze()]))
    graphs.n_made = 0
    fitted(callbacks=[DeferredReweighting(start=4)])
    assert graphs.n_made == 4


# ---------------------------------------------------------------------- what is not captured


class Counts(MLP):
    n = 0

    def forward(self, x):
        self.n += 1
        return super().forward(x)


class DrawsElsewhere(MLP):
    def forward(self, x):
        return super().forward(x) * (1 + random.random() + np.random.rand())  # noqa: NPY002


class ReplacesABuffer(MLP):
    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)
        self.register_buffer("mean", torch.zeros(5))

    def forward(self, x):
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(dim=0)
        return super().forward(x - self.mean)


class Hooked(MLP):
    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)
        self.register_forward_hook(lambda module, args, output: output * 2)


class CountingTransform:
    n = 0

    def __call__(self, features):
        self.n += 1
        return features + self.n


class Looks(Callback):
    def on_batch_end(self, net, training, loss=None, **kwargs):
        assert not training or loss.ndim == 0


class Jitter(nn.Module):
    """A transform that draws, counts in a buffer and has numbers of its own."""

    def __init__(self, size):
        super().__init__()
        self.register_buffer("size", torch.as_tensor(size))
        self.register_buffer("n_seen", torch.zeros(()))

    def forward(self, x):
        self.n_seen += len(x)
        return x + self.size * torch.randn_like(x)


def test_a_transform_that_is_a_module(graphs):
    transforms = [Jitter(0.5) for _ in range(2)]
    net = fitted(batch_transform=transforms[0])
    assert graphs.n_calls > 10
    assert_same(net, fitted(plain=True, batch_transform=transforms[1]))
    assert transforms[0].n_seen == transforms[1].n_seen == 8 * 200
    hooked = nn.Identity()
    hooked.register_forward_hook(lambda module, args, output: output * 2)
    assert_same(fitted(batch_transform=hooked), fitted(plain=True, batch_transform=hooked))


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"module": Counts}, "changes attributes"),
        ({"module": ReplacesABuffer}, "changes attributes"),
        ({"module": Hooked}, "hooks"),
        ({"batch_transform": CountingTransform()}, "changes attributes"),
        ({"batch_transform": Hooked(5, 5)}, "hooks"),
        ({"callbacks": [Looks()]}, "a callback looks at each batch"),
    ],
    ids=lambda value: "",
)
def test_what_is_more_than_arithmetic_is_done_plainly(graphs, caplog, parameters, reason):
    def given():
        return copy.deepcopy(parameters)

    with caplog.at_level("INFO", logger="sk_cbloss"):
        net = fitted(**given())
    assert graphs.n_calls == 0
    assert len(caplog.records) == 1
    assert reason in caplog.text
    assert_same(net, fitted(plain=True, **given()))


def test_random_numbers_that_are_not_the_devices(graphs, caplog):
    with caplog.at_level("INFO", logger="sk_cbloss"):
        fitted(module=DrawsElsewhere, max_epochs=3)
    assert graphs.n_calls == 0
    assert "draws random numbers that are not the device's" in caplog.text


def test_on_a_cpu_nothing_is_captured_and_nothing_said(caplog):
    class Looks(Callback):
        def on_epoch_end(self, net, **kwargs):
            assert net._call.captured.obstacle == "no epoch has begun on a GPU"

    with caplog.at_level("INFO", logger="sk_cbloss"):
        fitted(callbacks=[Looks()])
    assert not caplog.records


def test_a_net_in_training_can_be_pickled(graphs):
    class Pickles(Callback):
        def on_epoch_end(self, net, **kwargs):
            steps = net._call.captured
            self.n = max(getattr(self, "n", 0), len(steps.graphs))
            assert not pickle.loads(pickle.dumps(steps)).graphs
            assert not copy.deepcopy(steps).graphs

    net = fitted(callbacks=[("pickles", Pickles())])
    assert dict(net.callbacks_)["pickles"].n == 2
    assert "_fit_call" not in vars(net)


def test_a_step_outside_of_fit_is_taken_plainly(graphs):
    net = fitted(max_epochs=1)
    batch = [torch.tensor(X[:4], dtype=torch.float32), torch.zeros(4, dtype=torch.int64)]
    n_calls = graphs.n_calls
    for _ in range(5):
        net.train_step(batch)
    assert graphs.n_calls == n_calls
    assert CapturedSteps().take(net, batch) is None
