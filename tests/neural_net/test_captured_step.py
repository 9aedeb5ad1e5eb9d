"""Captured steps: lists of operations, and graphs by a stand-in (on a GPU: in test_cuda.py)."""

import copy
import pickle
import random
from collections import OrderedDict
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.utils import check_random_state
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, EpochScoring, GradientNormClipping
from torch import nn

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import (
    MLP,
    CifarResNet,
    Cutout,
    DeferredReweighting,
    LearningRateSchedule,
    PadCropFlip,
    RandAugment,
    RefitHead,
)
from sk_cbloss.neural_net.training import _captured_step
from sk_cbloss.neural_net.training._captured_step import CapturedSteps
from sk_cbloss.neural_net.training._proof import Proof, copy_into, kept_random_numbers

RNG = np.random.default_rng(0)
Y = np.repeat(["ant", "bee", "cat"], [140, 45, 15])
X = RNG.normal(size=(200, 5)) + np.repeat(np.eye(3, 5) * 2, [140, 45, 15], axis=0)
X_VAL, Y_VAL = X[::3], Y[::3]
OWN = RNG.uniform(0.5, 2, 200)
IMAGES = RNG.normal(size=(200, 3, 8, 8)).astype(np.float32)
PARAMETERS = {"batch_size": 32, "max_epochs": 8, "random_state": 0, "device": "cpu"}


class Replay:
    """What Graph is, but for the graph: what it returns is written over by the next call."""

    def __init__(self, function, inputs):
        self.function, self.inputs = function, [tensor.clone() for tensor in inputs]
        with kept_random_numbers(inputs[0].device):
            function(*self.inputs)
        self.outputs = None

    def __call__(self, *inputs):
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given)
        outputs = self.function(*self.inputs)
        if self.outputs is None:
            self.outputs = [tensor.clone() for tensor in outputs]
        for own, made in zip(self.outputs, outputs, strict=True):
            own.copy_(made)
        return self.outputs


@pytest.fixture(params=["list", "graph"])
def steps(request, monkeypatch):
    """Capture early, as a list of operations or with a stand-in for graphs; count steps."""

    class Counted(_captured_step._Step):
        n_made = n_calls = 0

        def __init__(self, *args):
            type(self).n_made += 1
            super().__init__(*args)

        def __call__(self, *args, **kwargs):
            type(self).n_calls += 1
            return super().__call__(*args, **kwargs)

    def captured(function, inputs, state):
        before = [tensor.clone() for tensor in state]
        graph = Replay(function, inputs)
        copy_into(state, before)
        Proof(function, inputs, state).check(graph, torch.equal)
        return graph

    monkeypatch.setattr(_captured_step, "PLAIN_STEPS", {"cpu": 2})
    monkeypatch.setattr(_captured_step, "RECORDED", OrderedDict())
    monkeypatch.setattr(_captured_step, "CONVOLUTIONS", ())
    monkeypatch.setattr(_captured_step, "_Step", Counted)
    if request.param == "graph":
        monkeypatch.setattr(_captured_step, "GRAPHS", {"cpu"})
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
def test_the_net_is_that_of_plain_steps(steps, loss, own):
    parameters = {"loss": loss, "module__dropout": 0.3, "own": own}
    net = fitted(**parameters)
    assert steps.n_made == 2  # the last batch of an epoch is smaller
    assert steps.n_calls > 30
    n_calls = steps.n_calls
    assert_same(net, fitted(plain=True, **parameters))
    assert steps.n_calls == n_calls


@pytest.mark.parametrize(
    "parameters",
    [
        {"optimizer": torch.optim.Adam},
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "optimizer__weight_decay": 0.1},
        {"optimizer": torch.optim.LBFGS, "max_epochs": 4},
        {"callbacks": [LearningRateSchedule(warmup=2, milestones=(4,), factor=0.1)]},
        {"callbacks": [GradientNormClipping(0.01)]},
        {"callbacks": [DeferredReweighting(start=4)]},
        {"callbacks": [RefitHead(start=4)], "module__dropout": 0.3},
        {"callbacks": [RefitHead(3, restart=True)], "optimizer": torch.optim.SGD},
        {"callbacks": [EpochScoring("accuracy", on_train=True, lower_is_better=False)]},
        {"early_stopping": True, "n_iter_no_change": 3},
        {"dtype": "float64", "channels_last": True},
        {"criterion": nn.CrossEntropyLoss},
        {"iterator_train__drop_last": True},
    ],
)
def test_whatever_acts_on_a_training_acts_on_captured_steps(steps, parameters):
    def given():
        return copy.deepcopy(parameters)

    net = fitted(**given())
    assert steps.n_calls > 10
    assert_same(net, fitted(plain=True, **given()))


@pytest.mark.parametrize("more", [[], [RandAugment(3), Cutout(4)]])
def test_images_that_are_augmented_and_normalised(steps, more):
    transform = [PadCropFlip(2), *more] if more else PadCropFlip(2)
    parameters = {"module": CifarResNet, "module__depth": 8, "batch_transform": transform}
    parameters |= {"data": (IMAGES[::4], Y[::4]), "max_epochs": 5, "batch_size": 20}
    net = fitted(**parameters)
    assert steps.n_calls > 10
    assert_same(net, fitted(plain=True, **parameters), IMAGES)


class Two(nn.Module):
    """A module of two inputs, which returns two things and has a layer that is not used."""

    def __init__(self, n_classes):
        super().__init__()
        self.head, self.unused = nn.Linear(5, n_classes), nn.Linear(2, 2)

    def forward(self, left, right):
        hidden = torch.cat([left, right], dim=1)
        return self.head(hidden), hidden


def test_dicts_of_features_and_tuples_of_outputs(steps):
    data = {"left": X[:, :2].astype(np.float32), "right": X[:, 2:].astype(np.float32)}
    nets = [fitted(plain=plain, module=Two, data=(data, Y)) for plain in (False, True)]
    assert steps.n_calls > 30
    assert_same(*nets, data)


def test_a_new_loss_and_frozen_layers_are_captured_anew(steps):
    class Freeze(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 5:
                net.module_.body[0].requires_grad_(False)

    net = fitted(callbacks=[Freeze()])
    assert steps.n_made == 4
    assert_same(net, fitted(plain=True, callbacks=[Freeze()]))
    steps.n_made = 0
    fitted(callbacks=[DeferredReweighting(start=4)])
    assert steps.n_made == 4
    steps.n_made = 0
    fitted(callbacks=[RefitHead(start=4)])
    assert steps.n_made == 4


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


def test_a_transform_that_is_a_module(steps):
    transforms = [Jitter(0.5) for _ in range(2)]
    net = fitted(batch_transform=transforms[0])
    assert steps.n_calls > 10
    assert_same(net, fitted(plain=True, batch_transform=transforms[1]))
    assert transforms[0].n_seen == transforms[1].n_seen == 8 * 200
    several = [[Jitter(0.5), torch.abs, Jitter(0.1)] for _ in range(2)]
    ours, theirs = (fitted(plain=n == 1, batch_transform=each) for n, each in enumerate(several))
    assert_same(ours, theirs)
    assert several[0][2].n_seen == several[1][2].n_seen == 8 * 200
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
        ({"batch_transform": (abs, CountingTransform())}, "changes attributes"),
        ({"callbacks": [Looks()]}, "a callback looks at each batch"),
    ],
    ids=lambda value: "",
)
def test_what_is_more_than_arithmetic_is_done_plainly(steps, caplog, parameters, reason):
    def given():
        return copy.deepcopy(parameters)

    with caplog.at_level("INFO", logger="sk_cbloss"):
        net = fitted(**given())
    assert steps.n_calls == 0
    assert len(caplog.records) == 1
    assert reason in caplog.text
    assert_same(net, fitted(plain=True, **given()))


def test_random_numbers_that_are_not_the_devices(steps, caplog):
    with caplog.at_level("INFO", logger="sk_cbloss"):
        fitted(module=DrawsElsewhere, max_epochs=3)
    assert steps.n_calls == 0
    assert "draws random numbers that are not the device's" in caplog.text


def test_beside_convolutions_on_a_cpu_it_would_make_no_difference(caplog):
    with caplog.at_level("INFO", logger="sk_cbloss"):
        fitted(module=CifarResNet, module__depth=8, data=(IMAGES[::4], Y[::4]), max_epochs=1)
    assert "beside convolutions on a CPU" in caplog.text


def test_a_net_in_training_can_be_pickled(steps):
    class Pickles(Callback):
        def on_epoch_end(self, net, **kwargs):
            captured = net._call.captured
            self.n = max(getattr(self, "n", 0), len(captured.steps))
            assert not pickle.loads(pickle.dumps(captured)).steps
            assert not copy.deepcopy(captured).steps

    net = fitted(callbacks=[("pickles", Pickles())])
    assert dict(net.callbacks_)["pickles"].n == 2
    assert "_fit_call" not in vars(net)


def test_a_step_outside_of_fit_is_taken_plainly(steps):
    net = fitted(max_epochs=1)
    batch = [torch.tensor(X[:4], dtype=torch.float32), torch.zeros(4, dtype=torch.int64)]
    n_calls = steps.n_calls
    for _ in range(5):
        net.train_step(batch)
    assert steps.n_calls == n_calls
    assert CapturedSteps().take(net, batch, whole=True) is None


# ---------------------------------------------------------------------- skorch's loop


class Theirs(NeuralNetClassifier):
    """skorch's net, as it comes, in the type and with the labels that ours has."""

    def __init__(self, *args, dtype=torch.float32, **kwargs):
        super().__init__(*args, **kwargs)
        self.dtype = dtype

    def initialize_module(self):
        super().initialize_module()
        self.module_ = self.module_.to(self.dtype)
        return self


@pytest.mark.parametrize(("dtype", "within"), [("float32", 1e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_results_are_those_of_skorchs_loop(optimizer, dtype, within):
    """Initial parameters, order of rows and dropout, over 35 steps, most of them recorded."""
    sizes = {"module__n_features": 5, "module__n_classes": 3, "module__dropout": 0.3}
    given = {"max_epochs": 5, "batch_size": 32, "lr": 0.01, "optimizer": optimizer, **sizes}
    positions = np.unique(Y, return_inverse=True)[1]
    net = CBNeuralNetClassifier(beta=0, dtype=dtype, random_state=0, device="cpu", **given)
    net.fit(X, Y)
    with torch.random.fork_rng():
        torch.manual_seed(check_random_state(0).randint(np.iinfo(np.int32).max))
        theirs = Theirs(
            MLP,
            criterion=nn.CrossEntropyLoss,
            train_split=None,
            iterator_train__shuffle=True,
            verbose=0,
            dtype=getattr(torch, dtype),
            **given,
        ).fit(X.astype(dtype), positions)
    np.testing.assert_allclose(
        net.history_[:, "train_loss"], theirs.history_[:, "train_loss"], rtol=within
    )
    for one, other in zip(net.module_.parameters(), theirs.module_.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=within, atol=within)


# ---------------------------------------------------------------------- what changes meanwhile

SETTINGS = {}  # of modules that read what is not their own


class Reads(MLP):
    """A module that asks for a factor wherever one may lie."""

    shared = 1.0

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)
        self.table = OrderedDict(factor=1.0)
        self.function = partial(torch.mul, other=1.0)
        self.draws = random.Random(0)

    def forward(self, x):
        return super().forward(self.function(x)) * self.factor()

    def factor(self):
        return SETTINGS["factor"] * self.shared * self.table["factor"]


class DrawsItsOwn(Reads):
    def factor(self):
        return 1.0 if self.draws.random() < 0.8 else 0.5


class DrawsFromAGlobal(Reads):
    def factor(self):
        return 1.0 if SETTINGS["rng"].random() < 0.8 else 0.5


class CountsAside(Reads):
    def factor(self):
        SETTINGS["n"] += 1
        return 1.0 if SETTINGS["n"] < 30 else 0.5


class LooksAtNumbers(Reads):
    def forward(self, x):
        return super().forward(x) * x.tolist()[0][0]


class Shrinks(Reads):
    def forward(self, x):
        with torch.no_grad():
            self.head.weight.mul_(0.99)
        return super().forward(x)


class ByItsRows(Reads):
    """A module of which the last, smaller batch uses another part."""

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes)
        self.other = nn.Linear(n_features, n_classes)

    def forward(self, x):
        return super().forward(x) if len(x) == 32 else self.other(x)


@pytest.fixture
def settings():
    SETTINGS.update(factor=1.0, n=0, rng=np.random.default_rng(0))
    Reads.shared = 1.0


@pytest.mark.parametrize(
    "module", [DrawsItsOwn, DrawsFromAGlobal, CountsAside, LooksAtNumbers, Shrinks, ByItsRows]
)
def test_modules_of_all_kinds_learn_what_plain_steps_teach(steps, settings, module, caplog):
    with caplog.at_level("INFO", logger="sk_cbloss"):
        net = fitted(module=module)
    assert bool(steps.n_calls) is (module in {Shrinks, ByItsRows})
    assert bool(caplog.records) is not bool(steps.n_calls)
    SETTINGS.update(n=0, rng=np.random.default_rng(0))
    plain = fitted(module=module, plain=True)
    for ours, theirs in zip(net.module_.parameters(), plain.module_.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert net.history_[:, "train_loss"] == plain.history_[:, "train_loss"]


def replaced_step(net):
    step, optimizer = net.optimizer_.step, net.optimizer_

    def halved(*args, **kwargs):
        loss = step(*args, **kwargs)
        optimizer.param_groups[0]["lr"] *= 0.5
        return loss

    optimizer.step = halved


def without_the_head(net):
    group = net.optimizer_.param_groups[0]
    group["params"] = group["params"][:2]


def in_two_groups(net):
    group = net.optimizer_.param_groups[0]
    without_the_head(net)
    net.optimizer_.add_param_group(
        {"params": [*net.module_.head.parameters()], "lr": 0.1 * group["lr"]}
    )


def forgotten(net):
    for state in net.optimizer_.state.values():
        state.update({name: torch.zeros_like(value) for name, value in state.items()})


def replaced_loss(net):
    get_loss = net.get_loss
    vars(net)["get_loss"] = lambda *args, **kwargs: 0.1 * get_loss(*args, **kwargs)


CHANGES = {
    "global": lambda net: SETTINGS.update(factor=0.5),
    "class": lambda net: setattr(Reads, "shared", 0.5),
    "ordered": lambda net: net.module_.table.update(factor=0.5),
    "partial": lambda net: setattr(net.module_, "function", partial(torch.mul, other=0.5)),
    "tensor hook": lambda net: net.module_.head.bias.register_hook(lambda grad: 0.1 * grad),
    "parameter": lambda net: setattr(
        net.module_.head, "bias", nn.Parameter(net.module_.head.bias.data)
    ),
    "loss": replaced_loss,
    "step hook": lambda net: net.optimizer_.register_step_post_hook(
        lambda optimizer, *args: optimizer.param_groups[0].update(lr=0.0)
    ),
    "step": replaced_step,
    "groups": without_the_head,
    "new group": in_two_groups,
    "state": forgotten,
    "another way": lambda net: net.optimizer_.param_groups[0].update(fused=False, foreach=True),
}


@pytest.mark.parametrize("clips", [False, True], ids=["", "clips"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_a_callback_changes_between_epochs_counts(steps, settings, change, clips):
    class Changes(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 4:
                change(net)

    def given():
        SETTINGS.update(factor=1.0)
        Reads.shared = 1.0
        callbacks = [Changes(), *[GradientNormClipping(0.1)] * clips]
        return {"module": Reads, "callbacks": callbacks}

    net = fitted(**given())
    assert steps.n_calls > 5
    plain = fitted(plain=True, **given())
    assert_same(net, plain)


@pytest.mark.parametrize("hook", ["on_grad_computed", "on_batch_begin"])
def test_what_a_callback_changes_between_batches_counts(steps, settings, hook):
    class Freezes(Callback):
        reads_batches, n = False, 0

    def freeze(self, net, **kwargs):
        self.n += 1
        net.module_.head.requires_grad_(self.n < 30)

    setattr(Freezes, hook, freeze)
    net = fitted(module=Reads, callbacks=[Freezes()])
    assert steps.n_calls > 5
    assert_same(net, fitted(plain=True, module=Reads, callbacks=[Freezes()]))


def test_gradients_that_an_optimizer_gathers(steps):
    class Gathers(torch.optim.SGD):
        n = 0

        def zero_grad(self, *args, **kwargs):
            self.n += 1
            if self.n % 3 == 0:
                super().zero_grad(*args, **kwargs)

    net = fitted(optimizer=Gathers)
    assert steps.n_calls > 30
    assert_same(net, fitted(plain=True, optimizer=Gathers))


def test_a_momentum_that_comes_late(steps):
    class Comes(Callback):
        def on_epoch_begin(self, net, **kwargs):
            net.optimizer_.param_groups[0]["momentum"] = 0.9 * (len(net.history) > 4)

    parameters = {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.0, "callbacks": [Comes()]}
    net = fitted(**parameters)
    assert steps.n_calls > 30
    assert_same(net, fitted(plain=True, **parameters))


def test_hooks_of_all_modules(steps, caplog):
    handle = nn.modules.module.register_module_forward_hook(lambda *args: None)
    try:
        with caplog.at_level("INFO", logger="sk_cbloss"):
            fitted(max_epochs=2)
    finally:
        handle.remove()
    assert steps.n_calls == 0
    assert "hooks" in caplog.text


class Clamps(MLP):
    """A module whose attribute makes a difference to few rows alone."""

    def __init__(self, n_features, n_classes, largest):
        super().__init__(n_features, n_classes)
        self.largest = largest

    def forward(self, x):
        return super().forward(self.largest(x))


def test_nets_that_differ_in_few_rows_share_nothing(steps):
    for make in (
        lambda largest: partial(torch.clamp, max=largest),
        lambda largest: lambda x: x.clamp(max=largest),
        lambda largest: nn.Hardtanh(-9, largest),
    ):
        nets = [fitted(module=Clamps, module__largest=make(largest)) for largest in (3.9, 9.0)]
        plain = fitted(plain=True, module=Clamps, module__largest=make(9.0))
        assert_same(nets[1], plain)
