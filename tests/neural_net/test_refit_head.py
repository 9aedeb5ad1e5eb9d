"""The second stage of a training, in which the head alone learns; and heads that are balanced."""

import copy
import pickle
from contextlib import nullcontext
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from skorch.callbacks import Callback
from torch import nn

from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV, load_digits_lt
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import LearningRateSchedule, LossChange, RefitHead, tau_normalized
from sk_cbloss.neural_net.modules import find_head

X, Y = load_digits_lt(return_X_y=True)
X, Y = X[:300] / 16, Y[:300]
COUNT = np.bincount(Y)


class Net(nn.Module):
    """A body whose dropout and running means tell whether it rests."""

    def __init__(self, n_features, n_classes, bias=True):
        super().__init__()
        self.head = nn.Linear(8, n_classes, bias=bias)
        self.body = nn.Sequential(
            nn.Linear(n_features, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2)
        )

    def forward(self, x):
        return self.head(self.body(x))


def make_net(*callbacks, **parameters):
    given = {"module": Net, "max_epochs": 6, "beta": 0.99, "random_state": 0, "device": "cpu"}
    return CBNeuralNetClassifier(callbacks=list(callbacks), **(given | parameters))


class Diary(Callback):
    """Write down the module as each epoch's first step finds it, and the norms after each step."""

    reads_batches = False

    def on_train_begin(self, net, **kwargs):
        self.states_, self.norms_ = [], []

    def on_epoch_begin(self, net, **kwargs):
        self.states_.append(copy.deepcopy(net.module_.state_dict()))

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.norms_.append(net.module_.head.weight.detach().norm(dim=1))


def diary_of(net):
    return next(callback for _, callback in net.callbacks_ if isinstance(callback, Diary))


def rests(before, after, prefix):
    names = [name for name in before if name.startswith(prefix)]
    assert names
    return all(torch.equal(before[name], after[name]) for name in names)


@pytest.mark.parametrize(("start", "first"), [(0, 0), (2, 2), (0.5, 3)])
@pytest.mark.parametrize("restart", [False, True])
def test_the_body_rests_from_the_start_on_and_the_head_learns(start, first, restart):
    net = make_net(RefitHead(start, restart=restart), Diary()).fit(X, Y)
    states = [*diary_of(net).states_, net.module_.state_dict()]
    for epoch in range(6):
        before, after = states[epoch : epoch + 2]
        assert rests(before, after, "body") is (epoch >= first)
        assert not rests(before, after, "head")


def test_until_the_start_it_is_the_unweighted_training():
    plain = make_net(beta=0).fit(X, Y)
    refitted = make_net(RefitHead(4)).fit(X, Y)
    np.testing.assert_array_equal(
        plain.history_[:4, "train_loss"], refitted.history_[:4, "train_loss"]
    )
    assert refitted.history_[:, "event_loss"] == [False] * 4 + [True, False]


@pytest.mark.parametrize("momentum", [0, 0.9])
def test_the_second_stage_by_hand(momentum):
    """Full batches, so that steps are those of the formulas: decay, momentum, and the limit."""
    given = {"optimizer": torch.optim.SGD, "optimizer__momentum": momentum, "lr": 0.1}
    given |= {"batch_size": -1, "dtype": "float64"}
    net = make_net(RefitHead(3, loss="softmax", max_norm=0.3), max_epochs=9, **given).fit(X, Y)
    first = make_net(beta=0, max_epochs=3, **given).fit(X, Y).module_.eval()
    features = first.body(torch.as_tensor(X)).detach()
    weight, bias = (parameter.detach().clone() for parameter in first.head.parameters())
    norms = weight.norm(dim=1)
    limit = norms.min() + 0.3 * (norms.max() - norms.min())
    loss = LOSSES["softmax"].from_class_count(COUNT, beta=0.99, normalize="samples")
    moving = [torch.zeros_like(weight), torch.zeros_like(bias)]
    for _ in range(6):
        leaves = [weight.clone().requires_grad_(), bias.clone().requires_grad_()]
        value = loss(nn.functional.linear(features, *leaves), torch.as_tensor(Y))
        slopes = torch.autograd.grad(value, leaves)
        moving = [
            momentum * old + slope + 0.1 * leaf.detach()
            for old, slope, leaf in zip(moving, slopes, leaves, strict=True)
        ]
        weight, bias = weight - 0.1 * moving[0], bias - 0.1 * moving[1]
        norms = weight.norm(dim=1, keepdim=True)
        weight = weight * (limit / norms).clamp(max=1)
    torch.testing.assert_close(net.module_.head.weight.detach(), weight, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(net.module_.head.bias.detach(), bias, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("max_norm", [0, 0.1, 1, None])
def test_no_class_is_longer_than_the_limit_after_any_step(max_norm):
    refit = RefitHead(3, max_norm=max_norm, weight_decay=0)
    diary = diary_of(make_net(refit, Diary(), lr=0.1).fit(X, Y))
    n_steps = len(diary.norms_) // 2
    at_start = diary.norms_[n_steps - 1]
    assert max(norms.max() for norms in diary.norms_[:n_steps]) == at_start.max()
    limit = at_start.min() + (max_norm or 0) * (at_start.max() - at_start.min())
    longest = torch.stack(diary.norms_[n_steps:]).max()
    if max_norm is None:
        assert longest > 1.01 * at_start.max()
    else:
        assert longest == pytest.approx(limit.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "bias"), [("logit_adjusted", 0), ("focal", -np.log(9)), ("softmax", None)]
)
def test_a_head_that_starts_anew_starts_as_its_loss_has_it(loss, bias):
    refit = RefitHead(3, loss=loss, restart=True)
    states = diary_of(make_net(refit, Diary()).fit(X, Y)).states_
    first, again = states[0], states[3]
    bound = 8**-0.5  # torch's own start is uniform
    assert again["head.weight"].abs().max() <= bound < states[2]["head.weight"].abs().max()
    assert not torch.equal(again["head.weight"], first["head.weight"])
    if bias is not None:
        np.testing.assert_allclose(again["head.bias"], bias, rtol=1e-6)
    goes_on = diary_of(make_net(RefitHead(3, loss=loss), Diary()).fit(X, Y)).states_
    assert goes_on[3]["head.weight"].abs().max() > bound


def test_a_head_of_cosines_starts_anew():
    module = partial(Net, bias=False)
    net = make_net(RefitHead(3, restart=True), Diary(), module=Net, loss="ldam").fit(X, Y)
    states = diary_of(net).states_
    assert not torch.equal(states[0]["head.weight"], states[3]["head.weight"])
    assert make_net(RefitHead(3, restart=True), module=module).fit(X, Y).module_.head.bias is None


def test_afterwards_all_is_as_it_was_and_the_next_fit_begins_at_the_beginning():
    given = {"optimizer": torch.optim.SGD, "optimizer__weight_decay": 0.01}
    net = make_net(RefitHead(3), Diary(), **given).fit(X, Y)

    def is_free():
        return all(p.requires_grad for p in net.module_.parameters()) and {
            group["weight_decay"] for group in net.optimizer_.param_groups
        } == {0.01}

    assert is_free()
    pickle.loads(pickle.dumps(net)).predict(X)
    net.partial_fit(X, Y)
    states = diary_of(net).states_
    assert not rests(states[0], states[1], "body")
    assert rests(states[3], states[5], "body")
    assert is_free()
    first = net.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(net.fit(X, Y).predict_proba(X), first)


class Fails(Callback):
    """Break an epoch of the second stage off, after its first batch."""

    epoch = error = None

    def on_batch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and self.error is FloatingPointError:
            net.module_.head.bias.data.fill_(torch.nan)
        elif len(net.history) == self.epoch:
            raise self.error


@pytest.mark.parametrize("error", [ValueError, FloatingPointError, KeyboardInterrupt])
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
def test_after_a_training_that_broke_off_all_learn_again(error, call, monkeypatch):
    monkeypatch.setattr(Fails, "error", error)
    net = make_net(RefitHead(3), Fails(), ("diary", Diary()))
    if call == "partial_fit":
        net.fit(X, Y)
    monkeypatch.setattr(Fails, "epoch", 11 if call == "partial_fit" else 5)
    ended = nullcontext() if error is KeyboardInterrupt else pytest.raises(error)
    with ended:
        getattr(net, call)(X, Y)
    if call == "partial_fit" and error is not FloatingPointError:
        assert all(p.requires_grad for p in net.module_.parameters())
    monkeypatch.setattr(Fails, "epoch", None)
    states = diary_of(net.partial_fit(X, Y)).states_
    assert not rests(states[0], states[1], "body")
    assert rests(states[3], states[5], "body")
    assert all(p.requires_grad for p in net.module_.parameters())
    assert {group["weight_decay"] for group in net.optimizer_.param_groups} == {0}


@pytest.mark.parametrize("weight_decay", [0, None, 5])
def test_the_bias_that_a_loss_has_set_is_left_out_of_the_decay(weight_decay):
    net = make_net(RefitHead(3, weight_decay=weight_decay), loss="focal").fit(X, Y)
    groups = net.optimizer_.param_groups
    assert len(groups) == (2 if weight_decay else 1)
    if weight_decay:
        assert [p is net.module_.head.bias for p in groups[0]["params"]] == [True]
        norms = net.module_.head.weight.detach().norm(dim=1)
        assert norms.max() < 0.5
        assert net.module_.head.bias.max() < -0.5


def test_a_decay_that_is_none_is_the_nets_own():
    given = {"optimizer": torch.optim.SGD, "optimizer__weight_decay": 0.02}
    same, none = (
        make_net(RefitHead(3, weight_decay=decay), **given).fit(X, Y) for decay in (0.02, None)
    )
    assert same.history_[:, "train_loss"] == none.history_[:, "train_loss"]


@pytest.mark.filterwarnings("ignore")  # the compiler warns of much in torch itself
def test_a_compiled_net_has_the_same_second_stage():
    given = {"compile": True, "compile__backend": "eager"}
    ours, theirs = (make_net(RefitHead(2), Diary(), **more).fit(X, Y) for more in (given, {}))
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-4)
    states = diary_of(ours).states_
    assert rests(states[2], states[5], "_orig_mod.body")
    assert not rests(states[1], states[2], "_orig_mod.body")


def test_it_adds_up_with_other_changes_of_the_loss_and_of_the_rate():
    changes = RefitHead(2), LossChange(4, loss="logit_adjusted", beta=0), LearningRateSchedule()
    net = make_net(*changes, Diary(), early_stopping=True).fit(X, Y)
    assert rests(diary_of(net).states_[2], diary_of(net).states_[5], "body")
    assert type(make_net(*changes).fit(X, Y).criterion_).__name__ == "LogitAdjustedLoss"


def test_a_stacked_search_fits_such_nets_one_by_one():
    net = make_net(RefitHead(2), max_epochs=3)
    search = StackedGridSearchCV(net, {"beta": [0.9, 0.99]}, cv=2).fit(X, Y)
    assert search.n_fallback_fits_ == 4


@pytest.mark.parametrize(
    ("given", "parameters", "message"),
    [
        ({"start": 1.5}, {}, "start must be a number of epochs.*got 1.5"),
        ({"restart": 1}, {}, "restart must be True or False, got 1"),
        ({"weight_decay": -1}, {}, "weight_decay must be a finite number >= 0, got -1"),
        ({"max_norm": 2}, {}, r"max_norm must be a number in \[0, 1\], got 2"),
        ({"head": "tail"}, {}, "head must name a part of .* 'head', 'body', got 'tail'"),
        ({"head": "body"}, {}, "The part 'body' of the module must have a last layer .* got none"),
        ({}, {"module": nn.Identity}, "The module must have a last layer .* 10 classes"),
        ({}, {"optimizer": torch.optim.Rprop}, "optimizer must have a weight_decay .*got Rprop"),
        ({}, {"criterion": nn.CrossEntropyLoss, "beta": None}, "criterion must be None for the"),
    ],
)
def test_a_wrong_second_stage_is_an_error_before_training(given, parameters, message):
    if parameters.get("module") is nn.Identity:
        parameters = {"module": nn.Sequential(nn.Linear(64, 20))}
    net = make_net(RefitHead(**given), **parameters)
    with pytest.raises(ValueError, match=f"^{message}"):
        net.fit(X, Y)


# ---------------------------------------------------------------------- which layer it is


def test_the_head_is_the_last_layer_with_a_row_a_class_or_that_of_a_name():
    aside = nn.Linear(8, 10)
    module = nn.ModuleDict(
        {
            "embedding": nn.Embedding(10, 64),
            "aside": aside,
            "classifier": nn.Sequential(nn.Linear(64, 8), nn.Dropout(), nn.Linear(8, 10)),
            "norm": nn.LayerNorm(10),
        }
    )
    for name in (None, "classifier", "classifier.2"):
        assert find_head(module, 10, name) is module["classifier"][2]
    assert find_head(module, 10, "aside") is aside
    with pytest.raises(ValueError, match="each of 9 classes"):
        find_head(module, 9)


# ---------------------------------------------------------------------- without training


@pytest.mark.parametrize("tau", [0, 0.5, 1, 2])
def test_a_class_is_divided_by_its_norm_to_the_power_of_tau(tau):
    net = make_net(beta=0).fit(X, Y)
    before = copy.deepcopy(net.module_.state_dict())
    even = tau_normalized(net, tau)
    norms = net.module_.head.weight.norm(dim=1)
    torch.testing.assert_close(even.module_.head.weight.norm(dim=1), norms ** (1 - tau))
    features = net.module_.eval().body(torch.as_tensor(X, dtype=torch.float32))
    logits = features @ net.module_.head.weight.T / norms**tau
    np.testing.assert_array_equal(even.predict(X), logits.argmax(dim=1).numpy())
    assert rests(before, net.module_.state_dict(), "")


def test_what_tau_normalisation_needs():
    net = make_net()
    with pytest.raises(ValueError, match="not fitted"):
        tau_normalized(net)
    with pytest.raises(ValueError, match="^tau must be a finite number >= 0, got -1"):
        tau_normalized(net.fit(X, Y), -1)
    with pytest.raises(ValueError, match="^head must name a part of the module"):
        tau_normalized(net, head="tail")


def test_only_a_net_is_normalised():
    with pytest.raises(TypeError, match="^net must be a CBNeuralNetClassifier, got LogisticReg"):
        tau_normalized(LogisticRegression())
