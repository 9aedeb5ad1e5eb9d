"""Losses and weights that change in the course of a training, and the learning rate with them."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, EpochScoring
from skorch.dataset import ValidSplit
from torch.utils.data import RandomSampler

from sk_cbloss import CBNeuralNetClassifier, class_balanced_weight, load_digits_lt
from sk_cbloss.losses import ClassBalancedFocalLoss, LDAMLoss
from sk_cbloss.neural_net import (
    CifarResNet,
    DeferredReweighting,
    LearningRateSchedule,
    LossChange,
    PadCropFlip,
    TrainingCheckpoint,
    cifar_recipe,
)

X, Y = load_digits_lt(return_X_y=True)
X = X[:300] / 16
Y = Y[:300]
COUNT = np.bincount(Y)


def make_net(*callbacks, **parameters):
    given = {"max_epochs": 5, "random_state": 0, "module__hidden_units": (8,)}
    return CBNeuralNetClassifier(callbacks=list(callbacks), **(given | parameters))


class Diary(Callback):
    """Write down the loss of each epoch, as it is before the epoch's first step."""

    def on_train_begin(self, net, **kwargs):
        self.losses_ = []

    def on_epoch_begin(self, net, **kwargs):
        self.losses_.append(net.criterion_)


def losses_of(net):
    diary = next(callback for _, callback in net.callbacks_ if isinstance(callback, Diary))
    return diary.losses_


@pytest.mark.parametrize(("start", "first"), [(0, 0), (2, 2), (0.4, 2), (0.8, 4)])
def test_weights_come_with_mean_one_from_the_start_on(start, first):
    net = make_net(DeferredReweighting(start), Diary(), beta=0.99).fit(X, Y)
    weights = [loss.weight.double().numpy() for loss in losses_of(net)]
    wanted = class_balanced_weight(COUNT, beta=0.99, normalize="samples")
    assert (wanted * COUNT).sum() == pytest.approx(len(Y))
    for epoch, weight in enumerate(weights):
        np.testing.assert_allclose(weight, wanted if epoch >= first else 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "start"),
    [
        (DeferredReweighting(9), "9"),
        (LossChange(0.9, loss="focal"), "0.9, which is epoch 5"),
    ],
)
def test_a_change_that_comes_too_late_is_told_of(change, start):
    with pytest.warns(UserWarning, match=rf"^start should come before .*=5.*got {start}\."):
        make_net(change).fit(X, Y)


def test_until_the_start_it_is_the_unweighted_training():
    plain = make_net(beta=0).fit(X, Y)
    deferred = make_net(DeferredReweighting(4), beta=0.99).fit(X, Y)
    np.testing.assert_array_equal(
        plain.history_[:4, "train_loss"], deferred.history_[:4, "train_loss"]
    )
    assert plain.history_[4, "train_loss"] != deferred.history_[4, "train_loss"]


def test_the_margin_loss_with_deferred_weights_keeps_its_margins():
    net = make_net(DeferredReweighting(3), Diary(), loss="ldam", beta=0.999).fit(X, Y)
    before, after = losses_of(net)[0], losses_of(net)[-1]
    assert isinstance(before, LDAMLoss)
    assert isinstance(after, LDAMLoss)
    torch.testing.assert_close(before.class_prior, after.class_prior)
    assert not torch.equal(before.weight, after.weight)


def test_probabilities_are_those_of_the_last_loss():
    net = make_net(DeferredReweighting(3), beta=0.99).fit(X, Y)
    weight = class_balanced_weight(COUNT, beta=0.99, normalize="samples")
    natural = net.predict_proba(X) / weight
    np.testing.assert_allclose(
        net.predict_natural_proba(X), natural / natural.sum(axis=1, keepdims=True), rtol=1e-5
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_changes_add_up_in_the_order_of_their_starts(reverse):
    changes = [LossChange(2, loss="focal", gamma=2), LossChange(4, beta=0.9, normalize=None)]
    net = make_net(*(changes[::-1] if reverse else changes), Diary(), beta=0).fit(X, Y)
    kinds = [type(loss).__name__ for loss in losses_of(net)]
    assert kinds == ["ClassBalancedCrossEntropyLoss"] * 2 + ["ClassBalancedFocalLoss"] * 3
    assert isinstance(losses_of(net)[2], ClassBalancedFocalLoss)
    assert losses_of(net)[2].gamma == net.criterion_.gamma == 2
    np.testing.assert_array_equal(losses_of(net)[2].weight, 1)
    wanted = class_balanced_weight(COUNT, beta=0.9, normalize=None)
    np.testing.assert_allclose(net.criterion_.weight, wanted, rtol=1e-6)


def test_a_loss_may_change_while_weights_are_deferred():
    changes = DeferredReweighting(4), LossChange(2, loss="sigmoid"), Diary()
    losses = losses_of(make_net(*changes, beta=0.99).fit(X, Y))
    kinds = [type(loss).__name__.removeprefix("ClassBalanced") for loss in losses]
    assert kinds == ["CrossEntropyLoss"] * 2 + ["SigmoidLoss"] * 3
    assert [bool((loss.weight == 1).all()) for loss in losses] == [True] * 4 + [False]


def test_deferred_weights_are_those_that_hold_by_then():
    changes = LossChange(2, beta=0.5), DeferredReweighting(4), Diary()
    losses = losses_of(make_net(*changes, beta=0.99).fit(X, Y))
    assert [bool((loss.weight == 1).all()) for loss in losses] == [True] * 4 + [False]
    wanted = class_balanced_weight(COUNT, beta=0.5, normalize="samples")
    np.testing.assert_allclose(losses[-1].weight, wanted, rtol=1e-6)


def test_a_later_loss_without_its_head_is_told_of():
    with pytest.warns(UserWarning, match="last layer of type NormalizedLinear for LDAMLoss"):
        make_net(LossChange(2, loss="ldam")).fit(X, Y)


def test_a_later_loss_has_no_gamma_of_an_earlier_one():
    changes = LossChange(1, loss="focal", gamma=2), LossChange(2, loss="softmax")
    assert "CrossEntropy" in repr(make_net(*changes).fit(X, Y).criterion_)


@pytest.mark.parametrize("loads_best", [True, False])
def test_the_loss_is_that_of_the_parameters_that_are_kept(loads_best):
    scores = iter([0.5, 0.6, 0.1, 0.2, 0.3])
    best = EpochScoring(lambda *_: next(scores), name="made_up", lower_is_better=False)
    stop = EarlyStopping("made_up", lower_is_better=False, patience=9, load_best=loads_best)
    callbacks = ("best", best), ("stop", stop), ("defer", DeferredReweighting(3))
    split = {"train_split": ValidSplit(3, stratified=True)}
    net = make_net(*callbacks, beta=0.99, **split).fit(X, Y)
    assert bool((net.criterion_.weight == 1).all()) is loads_best


def test_a_gamma_that_the_new_loss_lacks_is_left_behind():
    net = make_net(LossChange(1, loss="softmax"), loss="focal", gamma=2).fit(X, Y)
    assert type(net.criterion_).__name__ == "ClassBalancedCrossEntropyLoss"


def test_each_fit_begins_at_the_beginning():
    net = make_net(DeferredReweighting(2), Diary(), beta=0.99)
    first, second = ([loss.weight for loss in losses_of(net.fit(X, Y))] for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    net.partial_fit(X, Y)
    assert len(losses_of(net)) == 5
    np.testing.assert_array_equal(losses_of(net)[0].weight, 1)


@pytest.mark.parametrize(
    ("callback", "parameters", "message"),
    [
        (DeferredReweighting(1.5), {}, "start must be a number of epochs.*got 1.5"),
        (DeferredReweighting(-1), {}, "start must be .*got -1"),
        (DeferredReweighting(True), {}, "start must be .*got True"),
        (DeferredReweighting("late"), {}, "start must be .*got 'late'"),
        (DeferredReweighting(), {"beta": 0}, "beta must be above 0 with .*got beta=0"),
        (DeferredReweighting(), {"loss": "ldam"}, "beta must be above 0 .*loss='ldam'"),
        (LossChange(loss="hinge"), {}, "loss must be one of .*got 'hinge'"),
        (LossChange(beta=2), {}, "beta must be a number in .*got 2"),
        (LossChange(gamma=2), {}, "gamma must be None for loss='softmax'"),
        (LossChange(normalize="rows"), {}, "normalize must be .*got 'rows'"),
        (
            LossChange(beta=0.9),
            {"criterion": torch.nn.CrossEntropyLoss},
            "criterion must be None for the loss to change",
        ),
        (LearningRateSchedule("stairs"), {}, "policy must be 'step' or 'cosine', got 'stairs'"),
        (LearningRateSchedule(np.zeros(2)), {}, "policy must be 'step' or 'cosine', got array"),
        (LearningRateSchedule(warmup=-1), {}, "warmup must be .*got -1"),
        (LearningRateSchedule(milestones=(2.5,)), {}, "milestones must be .*got 2.5"),
        (LearningRateSchedule(factor=-1), {}, "factor must be .*got -1"),
        (LearningRateSchedule(milestones=0.8), {}, "milestones must be a list or tuple, got 0.8"),
        (LearningRateSchedule(restarts=3), {}, "restarts must be a list or tuple, got 3"),
        (LearningRateSchedule(restarts=(2.5,)), {}, "restarts must be .*got 2.5"),
    ],
)
def test_a_wrong_change_is_an_error_before_training(callback, parameters, message):
    net = make_net(callback, **parameters)
    with pytest.raises(ValueError, match=f"^{message}"):
        net.fit(X, Y)
    assert net.history_ is None


# ---------------------------------------------------------------------- learning rate


class Rates(Callback):
    """Write down the learning rate of each step."""

    def on_train_begin(self, net, **kwargs):
        self.rates_ = []

    def on_grad_computed(self, net, **kwargs):
        self.rates_.append([group["lr"] for group in net.optimizer_.param_groups])


def rates_of(schedule, **parameters):
    net = make_net(schedule, Rates(), batch_size=60, **parameters).fit(X, Y)
    return net, np.array(dict(net.callbacks_)["Rates"].rates_)


def test_warm_up_is_linear_by_step_and_drops_multiply():
    schedule = LearningRateSchedule(warmup=2, milestones=(3, 0.8), factor=0.1)
    net, rates = rates_of(schedule, lr=0.5)
    wanted = [*np.arange(1, 11) / 10, *[1] * 5, *[0.1] * 5, *[0.01] * 5]
    np.testing.assert_allclose(rates[:, 0], 0.5 * np.array(wanted), rtol=1e-12)
    np.testing.assert_allclose(net.history_[:, "event_lr"], rates[4::5, 0])
    assert net.optimizer_.param_groups[0]["lr"] == 0.5


def test_the_cosine_falls_from_one_to_nearly_zero():
    _, rates = rates_of(LearningRateSchedule("cosine", warmup=1), lr=1.0)
    np.testing.assert_allclose(rates[:5, 0], np.arange(1, 6) / 5)
    wanted = (1 + np.cos(np.pi * np.arange(20) / 20)) / 2
    np.testing.assert_allclose(rates[5:, 0], wanted, rtol=1e-12)


@pytest.mark.parametrize("policy", ["step", "cosine"])
def test_a_schedule_that_begins_anew_is_that_of_each_stage(policy):
    """Of 5 epochs, 3 and 2: each as if it were a training of its own."""
    settings = {"warmup": 1, "milestones": (2, 0.9), "factor": 0.1}
    _, rates = rates_of(LearningRateSchedule(policy, restarts=(0.6,), **settings))
    alone = [rates_of(LearningRateSchedule(policy, **settings), max_epochs=n)[1] for n in (3, 2)]
    np.testing.assert_allclose(rates, np.concatenate(alone), rtol=1e-9)


def test_groups_keep_their_ratio():
    groups = [("head.*", {"lr": 0.2})]
    _, rates = rates_of(LearningRateSchedule(warmup=1), lr=0.1, optimizer__param_groups=groups)
    np.testing.assert_allclose(rates[:, 0] / rates[:, 1], 2)


class Breaks(Callback):
    """Let the first training diverge in its second epoch."""

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            net.module_.head.bias.data.fill_(torch.nan)


def test_a_training_that_broke_off_leaves_the_learning_rate_behind():
    net = make_net(LearningRateSchedule(warmup=4), Rates(), Breaks(), lr=1.0, batch_size=-1)
    with pytest.raises(FloatingPointError, match="has the parameters of epoch 1"):
        net.fit(X, Y)
    assert net.optimizer_.param_groups[0]["lr"] == 0.5
    net.partial_fit(X, Y)
    rates = np.ravel(dict(net.callbacks_)["Rates"].rates_)
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1, 0.01])
    with pytest.raises(FloatingPointError, match="has the parameters of epoch 1"):
        net.set_params(lr=0.5).fit(X, Y)
    net.set_params(lr=0.1).partial_fit(X, Y)
    assert max(dict(net.callbacks_)["Rates"].rates_) == [0.1]


@pytest.mark.parametrize(
    ("parameters", "n_steps"),
    [
        ({"batch_size": -1}, 1),
        ({"batch_size": 70}, 5),
        ({"batch_size": 70, "iterator_train__drop_last": True}, 4),
        ({"batch_size": 7, "iterator_train__batch_size": 100}, 3),
        ({"iterator_train__sampler": RandomSampler(range(300), num_samples=900)}, 8),
    ],
)
def test_the_warm_up_knows_the_number_of_batches(parameters, n_steps):
    if "iterator_train__sampler" in parameters:
        parameters = parameters | {"iterator_train__shuffle": False}
    net = make_net(LearningRateSchedule(warmup=1), Rates(), lr=1.0, max_epochs=1, **parameters)
    rates = dict(net.fit(X, Y).callbacks_)["Rates"].rates_
    np.testing.assert_allclose(np.ravel(rates), np.arange(1, n_steps + 1) / n_steps)


# ---------------------------------------------------------------------- the paper's recipe


def test_the_recipe_is_the_papers():
    recipe = cifar_recipe()
    net = CBNeuralNetClassifier(**recipe)
    assert (net.lr, net.batch_size, net.max_epochs) == (0.1, 128, 200)
    assert net.optimizer is torch.optim.SGD
    assert net.get_params()["optimizer__weight_decay"] == 2e-4
    assert net.get_params()["optimizer__momentum"] == 0.9
    assert net.module is CifarResNet
    assert net.batch_transform == PadCropFlip(padding=4, fill=-1.0)
    schedule = dict(net.callbacks)["schedule"]
    epochs = (0, 4, 5, 159.9, 160, 179.9, 180, 199)
    scales = [schedule.scale(net, epoch, 1.0) for epoch in epochs]
    np.testing.assert_allclose(scales, [0.2, 1, 1, 1, 0.01, 0.01, 1e-4, 1e-4])


def test_callbacks_show_their_parameters():
    net = CBNeuralNetClassifier(**cifar_recipe(deferred=True))
    assert "LearningRateSchedule(warmup=0.025)" in repr(net)
    assert "DeferredReweighting()" in repr(net)
    assert repr(LossChange(3, gamma=2)) == "LossChange(start=3, gamma=2)"
    checkpoint = TrainingCheckpoint("folder", keep=None)
    assert repr(checkpoint) == "TrainingCheckpoint(dirname='folder', keep=None)"


def test_the_recipe_trains_and_its_parts_can_be_replaced():
    rng = np.random.default_rng(0)
    images = rng.normal(size=(40, 3, 8, 8)).astype(np.float32)
    labels = np.repeat([0, 1], [30, 10])
    recipe = cifar_recipe(depth=8, max_epochs=10, deferred=True)
    net = CBNeuralNetClassifier(loss="ldam", beta=0.99, random_state=0, **recipe)
    net.set_params(callbacks__schedule__warmup=1, batch_size=16)
    net.fit(images, labels)
    assert net.history_[-1, "event_lr"] == pytest.approx(0.1 * 1e-4)
    assert net.predict(images).shape == (40,)
