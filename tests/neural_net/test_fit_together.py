"""Nets that train as one are, in all that they hold, nets that were fitted alone."""

import gc
import random
import weakref

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone
from skorch.callbacks import LRScheduler
from skorch.helper import predefined_split
from torch import nn
from torch.func import vmap
from torch.utils._python_dispatch import _get_current_dispatch_mode

from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import MLP, ArrayDataset, BatchLoader, Fit, fit_together
from sk_cbloss.neural_net.data._arrays import Rows
from sk_cbloss.neural_net.stack import _plan
from sk_cbloss.neural_net.stack._alone import NotStackableError
from sk_cbloss.neural_net.stack._probe import probe
from sk_cbloss.neural_net.stack._stack import Stack
from sk_cbloss.neural_net.stack._stack_size import stack_size
from sk_cbloss.neural_net.stack._stacked_linear import _VmappedLinear
from sk_cbloss.neural_net.stack._stacked_loss import StackedLoss
from sk_cbloss.neural_net.stack._stacked_step import StackedStep

X, Y = load_digits_lt(return_X_y=True)
X = X / 16
ALL = np.arange(len(Y))


@pytest.fixture(autouse=True)
def _as_few_as_one(monkeypatch):
    monkeypatch.setattr(_plan, "FEW", 1)


@pytest.mark.parametrize(
    ("n_nets", "more", "n_together"), [(2, {}, 0), (2, {"max_stack": 2}, 2), (3, {}, 3)]
)
def test_few_nets_are_left_alone(monkeypatch, n_nets, more, n_together):
    monkeypatch.undo()
    fits = [Fit(make_net(beta=b, device="cpu"), X, Y, ALL) for b in (0, 0.5, 0.9)[:n_nets]]
    fit_together(fits, **more)
    why = None if n_together else "fewer than 3 nets are faster one by one on a CPU"
    assert {(fit.n_nets, fit.obstacle) for fit in fits} == {(n_together, why)}


def make_net(**params):
    given = {"dtype": "float64", "max_epochs": 3, "random_state": 0}
    if "module" not in params:
        given["module__hidden_units"] = (8,)
    return CBNeuralNetClassifier(**given | params)


def assert_same_tensors(ours, theirs, **tolerance):
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(
            ours[name], theirs[name], **({"rtol": 1e-9, "atol": 1e-10} | tolerance)
        )


def assert_same_nets(ours, theirs, **tolerance):
    """Parameters, buffers, what the optimizer learned, loss, history and what is learned of X."""
    assert_same_tensors(ours.module_.state_dict(), theirs.module_.state_dict(), **tolerance)
    states = [net.optimizer_.state_dict() for net in (ours, theirs)]
    assert states[0]["param_groups"] == states[1]["param_groups"]
    assert states[0]["state"].keys() == states[1]["state"].keys()
    for key in states[0]["state"]:
        assert_same_tensors(states[0]["state"][key], states[1]["state"][key], **tolerance)
    assert_same_tensors(ours.criterion_.state_dict(), theirs.criterion_.state_dict(), **tolerance)
    assert repr(ours.criterion_) == repr(theirs.criterion_)
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.class_count_, theirs.class_count_)
    assert ours.n_features_in_ == theirs.n_features_in_
    assert len(ours.history_) == len(theirs.history_)
    for one, other in zip(ours.history_, theirs.history_, strict=True):
        assert one.keys() == other.keys()
        for batch, of_other in zip(one["batches"], other["batches"], strict=True):
            assert batch == pytest.approx(of_other)
        for name in one.keys() - {"dur", "batches"}:
            assert one[name] == pytest.approx(other[name])


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"module__dropout": 0.3},
        {"early_stopping": True, "n_iter_no_change": 2, "max_epochs": 20},
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "lr": 0.1},
        {"optimizer__amsgrad": True},
        {"loss": "focal", "optimizer__weight_decay": 0.1},
        {"iterator_train__shuffle": False, "iterator_train__drop_last": True},
        {"batch_size": -1},
        {"max_epochs": 40, "batch_size": 16},  # long enough to be captured
    ],
    ids=str,
)
def test_all_that_a_net_holds(params):
    net = make_net(**params)
    nets = [clone(net).set_params(beta=beta, lr=lr) for beta in (0, 0.9) for lr in (0.01, 0.03)]
    fits = [Fit(net, X, Y, ALL) for net in nets]
    fit_together(fits)
    for fit in fits:
        assert fit.n_nets == 4
        assert fit.seconds > 0
        assert not hasattr(fit.net, "module_")
        assert_same_nets(fit.fitted, clone(fit.net).fit(X, Y))


def test_sample_weights_and_rows():
    weight = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    rows = np.flatnonzero(np.arange(len(Y)) % 3)
    fits = [
        Fit(make_net(beta=beta), X, Y[rows], rows, sample_weight=weight[rows])
        for beta in (0, 0.99)
    ]
    fit_together(fits)
    for fit in fits:
        assert_same_nets(fit.fitted, clone(fit.net).fit(X[rows], Y[rows], weight[rows]))


def test_fitted_nets_share_nothing():
    fits = [Fit(make_net(beta=beta), X, Y, ALL) for beta in (0, 0.9)]
    fit_together(fits)
    first, second = (fit.fitted for fit in fits)
    expected = second.predict_proba(X)
    first.partial_fit(X, Y)
    np.testing.assert_array_equal(second.predict_proba(X), expected)
    theirs = clone(fits[1].net).fit(X, Y)
    state = theirs._random_state
    second._random_state = state  # the seed of what comes next is drawn from it
    theirs._random_state = np.random.RandomState()
    theirs._random_state.set_state(state.get_state())
    assert_same_nets(second.partial_fit(X, Y), theirs.partial_fit(X, Y))


def test_a_net_that_diverges_leaves_the_others_alone():
    rates = [0.01, 1e300, 0.02]
    nets = [make_net(lr=lr, optimizer=torch.optim.SGD, max_epochs=4) for lr in rates]
    fits = [Fit(net, X, Y, ALL) for net in nets]
    fit_together(fits)
    assert [fit.fitted is None for fit in fits] == [False, True, False]
    with pytest.raises(FloatingPointError) as alone:
        clone(nets[1]).fit(X, Y)
    assert str(fits[1].error) == str(alone.value)
    for fit in fits[::2]:
        assert_same_nets(fit.fitted, clone(fit.net).fit(X, Y))


def test_invalid_nets_and_data():
    fits = [
        Fit(make_net(beta=2), X, Y, ALL),
        Fit(make_net(), X, Y * 0, ALL),
        Fit(make_net(loss="softmax", gamma=1), X, Y, ALL),
        Fit(make_net(), np.where(X == 0, np.nan, X), Y, ALL),
        Fit(make_net(), {"x": X}, Y, ALL),
        Fit(make_net(), X, Y, ALL),
    ]
    fit_together(fits)
    assert [bool(fit.error) for fit in fits] == [True] * 3 + [False] * 3
    assert [bool(fit.obstacle) for fit in fits] == [False] * 3 + [True] * 2 + [False]
    assert fits[-1].fitted.score(X, Y) > 0.5
    fit_together([])


class Odd(nn.Module):
    """Does what a stack cannot do, or only with care."""

    def __init__(self, n_features, n_classes, how):
        super().__init__()
        self.body, self.head = nn.Linear(n_features, 8), nn.Linear(8, n_classes)
        self.norm, self.how = nn.BatchNorm1d(8) if how == "batch norm" else nn.Identity(), how
        self.register_buffer("center", torch.zeros(8))
        if how == "second path":
            self.paths = [self.body.weight]
        self.scale = lambda h: h * self.head.weight.mean()
        if how == "hook on a parameter":
            self.head.weight.register_hook(lambda gradient: gradient.clamp(-1e-3, 1e-3))
        if how == "hook on a module":
            self.body.register_full_backward_hook(lambda module, x, y: tuple(2 * g for g in x))

    def train(self, mode=True):
        if self.how == "counts what it is told":
            self.n_told = getattr(self, "n_told", 0) + bool(mode)
        return super().train(mode)

    def forward(self, x):
        if self.how == "writes to its input":
            x *= 0.5
        h = self.norm(self.body(x).tanh())
        if self.how == "transposed dropout":
            h = F.dropout(h.T, 0.5, self.training).T
        if self.how == "dropout":
            h = F.dropout(h, 0.5, self.training)
        if self.how == "hook on a tensor" and h.requires_grad:
            h.register_hook(lambda gradient: gradient / 2)
        if self.how == "second path":
            h = h + self.paths[0].mean()
        if self.how == "closure":
            h = self.scale(h)
        if self.how == "loop":
            h = F.bilinear(h, h, self.center.expand(8, 8, 8) + 1)
        if self.how == "counts what it is told":
            h = h * self.n_told
        if self.how == "replaced buffer" and self.training:
            self.center = 0.9 * self.center + 0.1 * h.mean(dim=0).detach()
            h = h - self.center
        return self.head(h)


NUMBERS = np.random.default_rng(0)


class DrawsElsewhere(MLP):
    """A module whose draws seldom make a difference."""

    def __init__(self, n_features, n_classes, is_own):
        super().__init__(n_features, n_classes)
        self.own, self.is_own = random.Random(0), is_own

    def forward(self, x):
        drawn = self.own.random() if self.is_own else NUMBERS.random()
        return super().forward(x) * (1 if drawn < 0.97 else 0.5)


@pytest.mark.parametrize("is_own", [True, False])
def test_modules_that_draw_from_other_generators_are_left_alone(is_own):
    nets = [make_net(module=DrawsElsewhere, module__is_own=is_own, lr=0.1 / n) for n in (1, 2, 3)]
    fits = [Fit(net, X, Y, ALL) for net in nets]
    fit_together(fits)
    assert all("draws random numbers" in fit.obstacle for fit in fits)


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("transposed dropout", "its loss would differ"),
        ("hook on a parameter", "its gradient of head.weight would differ"),
        ("hook on a tensor", "its gradient of body.weight would differ"),
        ("replaced buffer", "its buffer center would differ"),
        ("second path", "its gradient of body.weight would differ"),
        ("closure", "its gradient of head.weight would differ"),
        ("loop", "it would be slow"),
    ],
)
def test_modules_that_would_differ_are_left_alone(how, why):
    fits = [Fit(make_net(module=Odd, module__how=how, beta=b), X, Y, ALL) for b in (0, 0.9)]
    fit_together(fits)
    for fit in fits:
        assert fit.fitted is None
        assert why in fit.obstacle


@pytest.mark.parametrize(
    "how", ["batch norm", "dropout", "hook on a module", "writes to its input"]
)
@pytest.mark.parametrize("batch_size", [3, 16])
def test_long_trainings_of_odd_modules(how, batch_size):
    """More than 100 batches an epoch, and long enough to be captured."""
    params = {"module": Odd, "module__how": how, "batch_size": batch_size, "max_epochs": 2}
    fits = [Fit(make_net(beta=beta, **params), X, Y, ALL) for beta in (0, 0.9, 1)]
    fit_together(fits)
    for fit in fits:
        if how == "hook on a module":
            assert fit.obstacle
        else:
            assert fit.n_nets == 3
            assert_same_nets(fit.fitted, clone(fit.net).fit(X, Y), rtol=1e-5, atol=1e-7)


def test_a_module_that_changes_between_epochs():
    params = {"module": Odd, "module__how": "counts what it is told", "early_stopping": True}
    fits = [Fit(make_net(beta=beta, **params), X, Y, ALL) for beta in (0, 0.9)]
    fit_together(fits)
    assert all(fit.obstacle for fit in fits)


def test_a_module_that_is_another_one_when_it_is_recorded():
    class Wary(nn.Module):
        def __init__(self, n_features, n_classes):
            super().__init__()
            self.head = nn.Linear(n_features, n_classes)

        def forward(self, x):
            return self.head(x) * (1 if _get_current_dispatch_mode() is None else 2)

    params = {"module": Wary, "batch_size": 16, "max_epochs": 2}
    fits = [Fit(make_net(beta=beta, **params), X, Y, ALL) for beta in (0, 0.9)]
    fit_together(fits)
    for fit in fits:
        assert fit.obstacle == "it computes something else when it is repeated"
        assert fit.n_nets == 0


class OwnWay(CBNeuralNetClassifier):
    def get_loss(self, *args, **kwargs):
        return 2 * super().get_loss(*args, **kwargs)


class Lazy(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.LazyLinear(n_classes)

    def forward(self, x):
        return self.head(x)


def test_nets_that_are_not_even_tried():
    nets = [OwnWay(max_epochs=1, random_state=0), make_net(module=Lazy)]
    fits = [Fit(net, X, Y, ALL) for net in nets]
    fit_together(fits)
    assert [fit.fitted for fit in fits] == [None, None]
    assert fits[0].obstacle == "OwnWay may train in a way of its own"
    assert fits[1].obstacle == "its module has parameters without a size"


def test_parameters_that_the_last_step_ruins():
    """The losses are numbers, all of them; one net's parameters no longer are."""
    params = {"optimizer": torch.optim.SGD, "batch_size": -1, "max_epochs": 1}
    fits = [Fit(make_net(optimizer__lr=lr, **params), X, Y, ALL) for lr in (0.1, float("inf"))]
    fit_together(fits)
    assert fits[0].fitted
    with pytest.raises(FloatingPointError, match="parameters that are not after batch 1") as alone:
        clone(fits[1].net).fit(X, Y)
    assert str(fits[1].error) == str(alone.value)


def test_what_is_no_fit():
    with pytest.raises(TypeError, match="^fits must list Fit objects, got a CBNeuralNetC"):
        fit_together([make_net()])


def test_wrong_max_stack():
    for wrong in (0, -3, 2.5, "x"):
        with pytest.raises(ValueError, match="max_stack must be an integer >= 1"):
            fit_together([], max_stack=wrong)


def test_nets_that_part_keep_their_momentum():
    """One diverges, the learning rates of the others fall apart, and one ends early."""
    plateau = LRScheduler(
        torch.optim.lr_scheduler.ReduceLROnPlateau,
        monitor="train_loss",
        patience=0,
        threshold=0.1,
    )
    given = {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "max_epochs": 12}
    rates = [(1e300, 12), (0.01, 12), (0.3, 12), (0.3, 3), (1e300, 12), (0.1, 12), (1e-4, 12)]
    fits = [
        Fit(make_net(callbacks=[plateau], **given | {"lr": lr, "max_epochs": n}), X, Y, ALL)
        for lr, n in rates
    ]
    fit_together(fits)
    assert [fit.error is None for fit in fits] == [lr < 1 for lr, _ in rates]
    for fit in fits:
        if fit.fitted:
            assert fit.n_nets == 7
            assert_same_nets(fit.fitted, clone(fit.net).fit(X, Y))


def test_nets_that_part_in_their_random_numbers():
    valid = ArrayDataset(X[:50].copy(), Y[:50].astype(np.int64))
    fits = [
        Fit(make_net(module__dropout=0.3, train_split=split), X, Y, ALL)
        for split in (None, predefined_split(valid), None)
    ]
    fit_together(fits)
    assert all("random numbers" in fit.obstacle for fit in fits)


def test_attempts_that_fail_lose_nothing():
    class Picky(nn.Module):
        def __init__(self, n_features, n_classes, width):
            super().__init__()
            self.body, self.head = nn.Linear(n_features, width), nn.Linear(16, n_classes)

        def forward(self, x):
            return self.head(self.body(x))

    nets = [make_net(module=Picky, module__width=width) for width in (8, 16)]
    nets += [make_net(), make_net(device="nonsense")]
    fits = [Fit(net, X, Y, ALL) for net in nets]
    fit_together(fits)
    assert "mat1 and mat2" in fits[0].obstacle
    assert fits[1].fitted
    assert fits[2].fitted
    assert fits[3].obstacle or fits[3].error


# ------------------------------------------------------------------ the parts


@pytest.mark.parametrize("n_features", [3, 9])
@pytest.mark.parametrize("shape", [(4,), (4, 5), ()])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers(n_features, shape, bias):
    torch.manual_seed(0)
    x = torch.randn(2, *shape, n_features, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(2, 6, n_features, dtype=torch.float64, requires_grad=True)
    b = torch.randn(2, 6, dtype=torch.float64, requires_grad=True) if bias else None
    tensors = [x, weight, b] if bias else [x, weight]
    in_dims = (0, 0, 0 if bias else None)
    results = []
    for function in (_VmappedLinear.apply, F.linear):
        out = vmap(function, in_dims)(x, weight, b)
        results.append([out, *torch.autograd.grad((out**3).sum(), tensors)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_linear_layer_that_all_share():
    x, weight = torch.randn(5, 3), torch.randn(2, 6, 3)
    out = vmap(_VmappedLinear.apply, (None, 0, None))(x, weight, None)
    torch.testing.assert_close(out, x @ weight.transpose(1, 2))


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_stacked_losses(name):
    torch.manual_seed(0)
    kind = LOSSES[name]
    values = {"gamma": (0.3, 2.0), "tau": (0.5, 1.5), "max_margin": (0.1, 0.5), "scale": (5, 20)}
    values["alpha"] = (1.0, 2.0)
    losses = [
        kind.from_class_count(
            [50, 20, 5], beta=(0.9, 0)[i], **{n: values[n][i] for n in kind.stacked_numbers}
        )
        for i in range(2)
    ]
    logits = torch.randn(2, 7, 3, dtype=torch.float64)
    target, weight = torch.randint(3, (2, 7)), torch.rand(2, 7, dtype=torch.float64)
    for loss in losses:
        loss.ignore_index = None
    stacked = StackedLoss(losses, 0)
    for batch in ((logits, target), (logits, target, weight)):
        expected = torch.stack([losses[i](*(part[i] for part in batch)) for i in range(2)])
        torch.testing.assert_close(stacked(*batch), expected)


def test_captured_steps_are_the_same(monkeypatch):
    monkeypatch.setattr("sk_cbloss.neural_net.stack._stacked_step.PLAIN_STEPS", 3)
    torch.manual_seed(0)
    sizes = {"module__n_features": 5, "module__n_classes": 2, "module__dropout": 0.5}
    nets = [make_net(beta=beta, **sizes).initialize() for beta in (0, 0.9)]
    stack = Stack(nets)
    stack._copy_in()
    step = StackedStep(nets[0].module_, [StackedLoss([net.criterion_ for net in nets], 0)])
    batch = [torch.randn(2, 6, 5, dtype=torch.float64), torch.randint(2, (2, 6))]
    results = []
    for _ in range(4):
        torch.manual_seed(1)
        losses, gradients = step(stack.parameters, stack.buffers, batch)
        results.append([losses, *gradients])
    assert step.captured
    for result in results[1:]:
        for ours, first in zip(result, results[0], strict=True):
            torch.testing.assert_close(ours, first)


class Drawing(nn.Module):
    def __init__(self, how):
        super().__init__()
        self.head, self.how, self.n_calls = nn.Linear(3, 2), how, 0

    def forward(self, x):
        if self.how == "dropout":
            x = F.dropout(x, 0.5, self.training)
        if self.how == "numpy":
            x = x * np.random.mtrand._rand.uniform()
        if self.how == "count":
            self.n_calls += 1
        return self.head(x).relu()


def test_probe():
    x, plain, dropout = torch.randn(4, 3), Drawing("plain"), Drawing("dropout")
    state = torch.get_rng_state()
    is_random, n_bytes = probe(plain, x)
    assert not is_random
    assert n_bytes >= x.nbytes
    assert probe(dropout, x)[0]
    assert torch.equal(torch.get_rng_state(), state)
    for how in ("numpy", "count"):
        with pytest.raises(NotStackableError, match="attributes of its own, or draws"):
            probe(Drawing(how), x)


def test_probe_leaves_no_tensors_behind():
    made, module = [], nn.Sequential(nn.Linear(5, 3), nn.Sigmoid(), nn.Flatten())
    # whose gradient needs what it returns
    module[1].register_forward_hook(lambda *args: made.append(weakref.ref(args[-1])))
    probe(module, torch.zeros(7, 5))
    gc.collect()
    assert [tensor() for tensor in made] == [None]


def test_stack_size():
    module = nn.Linear(1000, 1000)
    assert stack_size(module, 10**9, 3) == 3
    assert stack_size(module, 10**9, "auto") == 8
    assert stack_size(nn.Linear(2, 2), 10**4, "auto") > 100
    with pytest.raises(NotStackableError, match="convolutions"):
        stack_size(nn.Sequential(nn.Conv2d(1, 1, 1)), 1, "auto")


def test_rows_are_rows_of_the_array():
    array = np.arange(20.0).reshape(10, 2)
    rows = Rows(array, np.array([7, 1, 4]))
    assert rows.shape == (3, 2)
    assert len(rows) == 3
    np.testing.assert_array_equal(rows[[2, 0]], array[[4, 7]])
    loader = BatchLoader(ArrayDataset(rows, np.array([0, 1, 0])), batch_size=2)
    batches = [batch for batch, _ in loader]
    np.testing.assert_array_equal(torch.cat(batches), array[[7, 1, 4]])
