"""Steps of training: half precision, augmentation, divergence, and no waiting for the device."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, GradientNormClipping, LRScheduler
from torch import nn
from torch.utils.data import TensorDataset

from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
from sk_cbloss.neural_net import CifarResNet, LearningRateSchedule, PadCropFlip, TrainingCheckpoint

X, Y = load_digits_lt(return_X_y=True)
X = X / 16
X_TEST, Y_TEST = load_digits_lt("test", return_X_y=True)
X_TEST = X_TEST / 16
IMAGES = np.random.default_rng(0).normal(size=(60, 3, 8, 8)).astype(np.float32)
LABELS = np.repeat([0, 1, 2], [30, 20, 10])


def make_net(**parameters):
    given = {"max_epochs": 3, "random_state": 0, "device": "cpu"}
    return CBNeuralNetClassifier(**(given | parameters))


# ---------------------------------------------------------------------- half precision


@pytest.mark.parametrize("autocast", ["bfloat16", "float16"])
@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "focal", "ldam", "vs"])
def test_half_precision_learns_about_the_same(autocast, loss):
    full, half = (
        make_net(loss=loss, autocast=a, max_epochs=10).fit(X, Y) for a in (None, autocast)
    )
    difference = half.decision_function(X_TEST) - full.decision_function(X_TEST)
    assert np.abs(difference).max() > 0
    assert np.mean(half.predict(X_TEST) == full.predict(X_TEST)) > 0.9
    assert half.predict_proba(X_TEST).dtype == np.float32
    np.testing.assert_allclose(half.predict_proba(X_TEST).sum(axis=1), 1, rtol=1e-5)
    assert all(p.dtype == torch.float32 for p in half.module_.parameters())


class SeesLogits(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, x):
        self.logits = self.head(x)
        return self.logits


def test_the_module_computes_in_half_and_the_loss_in_single_precision():
    taken = []

    class Net(CBNeuralNetClassifier):
        def get_loss(self, y_pred, y_true, *args, **kwargs):
            taken.append(y_pred.dtype)
            return super().get_loss(y_pred, y_true, *args, **kwargs)

    net = Net(SeesLogits, autocast="bfloat16", max_epochs=1, device="cpu").fit(X, Y)
    assert net.module_.logits.dtype == torch.bfloat16
    assert set(taken) == {torch.float32}


def test_gradients_that_callbacks_see_have_their_true_size():
    norms = {}

    class Norms(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            if net.autocast not in norms:
                norms[net.autocast] = max(p.grad.abs().max().item() for _, p in named_parameters)

    for autocast in (None, "float16"):
        make_net(autocast=autocast, callbacks=[Norms()], max_epochs=1).fit(X, Y)
    assert norms["float16"] == pytest.approx(norms[None], rel=0.05)


def test_a_net_in_float16_goes_on_and_can_be_pickled():
    net = make_net(autocast="float16").fit(X, Y)
    again = pickle.loads(pickle.dumps(net)).partial_fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), net.partial_fit(X, Y).predict(X))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"autocast": "half"}, "autocast must be 'bfloat16', 'float16' or None, got 'half'"),
        (
            {"autocast": "bfloat16", "dtype": "float64"},
            "autocast must be None for dtype='float64'",
        ),
        (
            {"autocast": "float16", "optimizer": torch.optim.LBFGS},
            "optimizer must be a single one .* got LBFGS",
        ),
        ({"batch_transform": "flip"}, "batch_transform must be an instance or .*, got 'flip'"),
        ({"batch_transform": PadCropFlip}, "batch_transform must be an instance or .*PadCropFlip"),
        (
            {"batch_transform": [PadCropFlip(), "flip"]},
            "batch_transform must .*, a list of",
        ),
        ({"batch_transform": lambda x: None}, "batch_transform must return the batch's 128 rows"),
        ({"batch_transform": lambda x: x[1:]}, "batch_transform must return .* rows, got 127"),
        ({"callbacks": LearningRateSchedule()}, "callbacks must be a list .*, None or 'disable'"),
        ({"callbacks": "disable", "early_stopping": True}, "early_stopping must be False with"),
        ({"early_stopping": np.array([True])}, "early_stopping must be True or False"),
        ({"device": None}, "device must be 'auto', the name of a device or .*, got None"),
        ({"device": "gpu"}, "device must be 'auto' or a device that torch finds .*, got 'gpu'"),
        ({"device": "cuda:99"}, "device must be 'auto' or a device that torch finds .*cuda:99"),
        ({"early_stopping": "yes"}, "early_stopping must be True or False, got 'yes'"),
        ({"channels_last": 1}, "channels_last must be True or False, got 1"),
        ({"validation_fraction": 1}, r"validation_fraction must be a number in \(0, 1\), got 1"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be an integer >= 1, got 0"),
        ({"early_stopping": True, "max_epochs": 0}, "max_epochs must be an integer >= 1, got 0"),
    ],
)
def test_wrong_parameters(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make_net(**parameters).fit(X, Y)


# ---------------------------------------------------------------------- images


def test_channels_last_changes_the_layout_alone():
    class Layout(CifarResNet):
        def forward(self, x):
            self.last = x.is_contiguous(memory_format=torch.channels_last)
            return super().forward(x)

    nets = []
    for channels_last in (False, True):
        net = make_net(module=Layout, module__depth=8, channels_last=channels_last, max_epochs=1)
        nets.append(net.fit(IMAGES, LABELS))
        assert net.module_.last is channels_last
    np.testing.assert_allclose(
        nets[0].decision_function(IMAGES), nets[1].decision_function(IMAGES), rtol=1e-3, atol=1e-3
    )


def test_batches_are_transformed_in_training_alone():
    seen = []

    def double(features):
        seen.append(features.shape)
        return 2 * features

    plain, net = make_net(), make_net(batch_transform=double)
    plain.fit(2 * X.astype(np.float32), Y, X_val=X_TEST, y_val=Y_TEST)
    net.fit(X, Y, X_val=X_TEST, y_val=Y_TEST)
    assert sum(shape[0] for shape in seen) == 3 * len(X)
    for ours, theirs in zip(net.module_.parameters(), plain.module_.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)
    net.predict(X)
    assert sum(shape[0] for shape in seen) == 3 * len(X)


class Shift(nn.Module):
    def __init__(self, size=0.5):
        super().__init__()
        self.register_buffer("size", torch.tensor(size))

    def forward(self, x):
        return x + self.size


def test_a_transform_may_be_a_module(tmp_path):
    by_function = make_net(batch_transform=lambda x: x + 0.5).fit(X, Y)
    shift = Shift()
    net = make_net(batch_transform=shift).fit(X, Y)
    np.testing.assert_array_equal(net.decision_function(X), by_function.decision_function(X))
    assert net.batch_transform is shift
    assert "batch_transform_" not in net.cuda_dependent_attributes_
    assert [name for name, _ in net.get_all_learnable_params()] == [
        name for name, _ in by_function.get_all_learnable_params()
    ]
    copied = clone(net)
    assert copied.batch_transform is not shift
    for again in (copied, make_net().set_params(batch_transform=Shift())):
        np.testing.assert_array_equal(again.fit(X, Y).predict_proba(X), net.predict_proba(X))
    again = pickle.loads(pickle.dumps(net))
    assert again.batch_transform.size == 0.5
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    net.set_params(batch_transform=nn.Identity()).fit(X, Y)
    np.testing.assert_array_equal(net.predict_proba(X), make_net().fit(X, Y).predict_proba(X))
    grid = {"batch_transform": [None, nn.Identity(), Shift(30.0)]}
    search = GridSearchCV(make_net(), grid, cv=2, error_score="raise").fit(X, Y)
    scores = search.cv_results_["mean_test_score"]
    assert scores[0] == scores[1] > scores[2]
    for transform in (Shift(), Shift(), Shift(0.25)):
        checkpoint = TrainingCheckpoint(tmp_path, every=1)
        make_net(batch_transform=transform, callbacks=[checkpoint]).fit(X, Y)
    assert len(list(tmp_path.iterdir())) == 2  # a folder for each size


def test_other_parameters_may_be_modules():
    net = make_net().set_params(predict_nonlinearity=nn.Softmax(dim=1)).fit(X, Y)
    np.testing.assert_allclose(
        net.predict_proba(X), make_net().fit(X, Y).predict_proba(X), rtol=1e-5
    )

    class WithTeacher(CBNeuralNetClassifier):
        def __init__(self, *args, teacher=None, **kwargs):
            super().__init__(*args, **kwargs)
            self.teacher = teacher

    teacher = nn.Linear(64, 10)
    net = clone(WithTeacher(teacher=teacher, max_epochs=1)).set_params(teacher=teacher).fit(X, Y)
    assert net.get_params()["teacher"] is teacher


def test_weights_stay_with_their_samples_when_batches_are_transformed():
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(Y))
    plain, same = (
        make_net(batch_transform=transform).fit(X, Y, sample_weight=weight)
        for transform in (None, torch.clone)
    )
    np.testing.assert_array_equal(plain.predict_proba(X), same.predict_proba(X))


def test_random_transforms_follow_the_seed():
    def noise(features):
        return features + torch.randn_like(features) / 10

    first, second, other = (
        make_net(batch_transform=noise, random_state=seed).fit(X, Y).predict_proba(X)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


# ---------------------------------------------------------------------- divergence


class Bomb(nn.Module):
    """Gives NaN from a chosen training step on."""

    def __init__(self, n_features, n_classes, step):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)
        self.step = step

    def forward(self, x):
        logits = self.head(x)
        if self.training:
            self.step -= 1
            if self.step < 0:
                logits = logits * torch.nan
        return logits


class Listener(Callback):
    def on_batch_end(self, net, **kwargs):
        net.history[-1, "batches", -1]


@pytest.mark.parametrize("callbacks", [[], [Listener()]], ids=["fast", "told of batches"])
@pytest.mark.parametrize("step", [0, 3, 4, 9])
def test_a_loss_that_is_no_number_stops_and_the_last_finite_parameters_stay(step, callbacks):
    parameters = {"batch_size": 120, "callbacks": callbacks}  # 4 batches an epoch
    net = make_net(module=Bomb, module__step=step, **parameters)
    epoch, batch = divmod(step, 4)
    kept = f"has the parameters of epoch {epoch} again" if epoch else "is as it was before"
    message = f"a loss of nan in batch {batch + 1} of epoch {epoch + 1}. The net {kept}."
    with pytest.raises(FloatingPointError, match=message):
        net.fit(X, Y)
    if not epoch:
        with pytest.raises(NotFittedError):
            net.predict(X)
        return
    calm = make_net(module=Bomb, module__step=99, **(parameters | {"max_epochs": epoch}))
    calm.fit(X, Y)
    for ours, theirs in zip(net.module_.parameters(), calm.module_.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert np.isfinite(net.predict_proba(X)).all()


def test_training_goes_on_from_the_finite_parameters():
    net = make_net(lr=1e20, optimizer=torch.optim.Adam)
    with pytest.raises(FloatingPointError, match=r"Likely cause: the learning rate, lr=1e\+20"):
        net.fit(X, Y)
    net.set_params(lr=0.01, max_epochs=20).partial_fit(X, Y)
    assert net.score(X_TEST, Y_TEST) > 0.7


@pytest.mark.parametrize(
    ("parameters", "scale", "cause"),
    [
        ({"lr": 1e30, "optimizer": torch.optim.SGD}, 1, "the learning rate, lr=1e\\+30"),
        ({"optimizer": torch.optim.SGD}, 1e25, "features as large as 1e\\+25; scale them"),
        (
            {"lr": 1e30, "optimizer": torch.optim.SGD, "beta": 1, "normalize": "samples"},
            1,
            "a class weight of .* which acts as a learning rate",
        ),
    ],
)
def test_the_likely_cause_is_named(parameters, scale, cause):
    with pytest.raises(FloatingPointError, match=f"Likely cause: ({cause})"):
        make_net(**parameters, max_epochs=50).fit(X * scale, np.where(Y == 9, 9, 0))


def test_a_search_goes_on_without_the_candidate_that_diverged():
    from sklearn.exceptions import FitFailedWarning
    from sklearn.model_selection import GridSearchCV

    search = GridSearchCV(make_net(optimizer=torch.optim.SGD), {"lr": [0.1, 1e30]}, cv=2)
    with (
        pytest.warns(FitFailedWarning, match="Losses and parameters must be finite"),
        pytest.warns(UserWarning, match="non-finite"),
    ):
        search.fit(X, Y)
    assert search.best_params_ == {"lr": 0.1}


# ---------------------------------------------------------------------- no waiting


def test_the_loss_is_asked_for_once_an_epoch(monkeypatch):
    asked = []
    to_list, item = torch.Tensor.tolist, torch.Tensor.item
    monkeypatch.setattr(torch.Tensor, "tolist", lambda t: asked.append("tolist") or to_list(t))
    monkeypatch.setattr(
        torch.Tensor, "item", lambda t: (t.requires_grad and asked.append("item")) or item(t)
    )
    callbacks = [LearningRateSchedule(warmup=1), GradientNormClipping(1e3)]
    net = make_net(batch_size=20, callbacks=callbacks).fit(X, Y)
    assert asked == ["tolist"] * 3
    assert len(net.history_[-1, "batches"]) == 22


class WritesOver(nn.Module):
    """Gives each loss the place of the one before, as a captured graph does."""

    def __init__(self, loss):
        super().__init__()
        self._orig_mod, self.last = loss, None  # torch's name for what was compiled

    def forward(self, *args):
        if self.last is not None:
            self.last.detach().fill_(0)
        self.last = self._orig_mod(*args)
        return self.last


class CapturedLoss(CBNeuralNetClassifier):
    """Compiles nothing, but treats the loss as a graph on a GPU would."""

    def torch_compile(self, module, name):
        return WritesOver(module) if name == "criterion" else module


def test_losses_of_a_captured_graph_are_kept_before_they_are_written_over():
    ours = CapturedLoss(compile=True, max_epochs=2, random_state=0, device="cpu").fit(X, Y)
    plain = make_net(max_epochs=2).fit(X, Y)
    assert (
        ours.history_[:, "batches", :, "train_loss"]
        == (plain.history_[:, "batches", :, "train_loss"])
    )


def test_an_epoch_that_breaks_off_keeps_its_losses():
    class Interrupt(Callback):
        n_steps = 0

        def on_grad_computed(self, net, **kwargs):
            self.n_steps += 1
            if self.n_steps == 6:
                raise KeyboardInterrupt

    net = make_net(callbacks=[Interrupt()], batch_size=120).fit(X, Y)
    whole = make_net(batch_size=120, max_epochs=2).fit(X, Y)
    assert [len(row["batches"]) for row in net.history_] == [4, 2]
    ours, theirs = (n.history_[-1]["batches"][0] for n in (net, whole))
    assert ours == theirs
    assert net.history_[-1]["batches"][1] == {}


class BadGradient(Callback):
    """Spoil the gradient of one batch; the loss of the next would tell, if there were one."""

    def __init__(self, epoch, batch):
        self.at = epoch, batch

    def on_grad_computed(self, net, **kwargs):
        if (len(net.history), len(net.history[-1]["batches"])) == self.at:
            net.module_.head.weight.grad.fill_(torch.nan)


@pytest.mark.parametrize("callbacks", [[], [Listener()]], ids=["fast", "told of batches"])
def test_parameters_that_the_last_batch_spoils_are_noticed(callbacks):
    parameters = {"batch_size": 120, "max_epochs": 2}
    net = make_net(callbacks=[BadGradient(2, 4), *callbacks], **parameters)
    message = "got parameters that are not after batch 4 of epoch 2. The net has the parameters"
    with pytest.raises(FloatingPointError, match=message):
        net.fit(X, Y)
    calm = make_net(**(parameters | {"max_epochs": 1})).fit(X, Y)
    np.testing.assert_array_equal(net.predict_proba(X), calm.predict_proba(X))


def test_nothing_is_promised_where_nothing_was_finite():
    net = make_net(max_epochs=1).fit(X, Y)
    net.module_.head.bias.data.fill_(torch.nan)
    with pytest.raises(FloatingPointError, match="The net had none that were"):
        net.partial_fit(X, Y)


def test_features_that_are_not_finite_are_a_likely_cause():
    dataset = TensorDataset(torch.from_numpy(np.float32(X * np.nan)), torch.from_numpy(Y))
    with pytest.raises(FloatingPointError, match="Likely cause: features that are not finite"):
        make_net(module__n_features=64, module__n_classes=10).fit(dataset)


def test_no_batch_is_an_error():
    with pytest.raises(ValueError, match="^Training must have at least one batch an epoch"):
        make_net(iterator_train__drop_last=True, batch_size=1000).fit(X, Y)


def test_the_users_data_stay_as_they_are():
    class InPlace(nn.Module):
        def __init__(self, n_features, n_classes):
            super().__init__()
            self.head = nn.Linear(n_features, n_classes)

        def forward(self, x):
            return self.head(x.mul_(0.5))

    features = X.astype(np.float32)
    net = make_net(
        module=InPlace, batch_transform=lambda f: f.add_(1), iterator_train__shuffle=False
    ).fit(features, Y, X_val=features, y_val=Y)
    first, second = (net.predict_proba(features) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(features, X.astype(np.float32))


def test_parts_that_are_new_are_set_to_evaluation_too():
    net = make_net().fit(X, Y)
    net.predict(X)
    net.module_.head = nn.Sequential(nn.Dropout(0.5), net.module_.head)
    np.testing.assert_array_equal(net.predict_proba(X), net.predict_proba(X))


def test_optimizers_that_look_at_the_loss_twice():
    class Twice(torch.optim.SGD):
        """Sharpness-aware in spirit: a look, a step, another look, a step."""

        def step(self, closure=None):
            with torch.enable_grad():
                loss = closure()
            super().step()
            with torch.enable_grad():
                closure()
            super().step()
            return loss

    net = make_net(optimizer=Twice, lr=0.1, max_epochs=20).fit(X, Y)
    assert net.score(X_TEST, Y_TEST) > 0.7


def test_a_criterion_that_learns_is_finite_again_too():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, logits, target):
            return nn.functional.cross_entropy(self.scale * logits, target)

    net = make_net(criterion=Scaled, optimizer=torch.optim.SGD, max_epochs=1).fit(X, Y)
    scale = net.criterion_.scale.item()
    assert scale != 1
    with pytest.raises(FloatingPointError, match="must be finite in training"):
        net.set_params(lr=1e30).partial_fit(X, Y)
    assert net.criterion_.scale == scale


def test_a_loader_that_can_be_read_once_does_not_hide_the_divergence():
    def once(dataset, **kwargs):
        return iter([(torch.randn(8, 64), torch.arange(8))] * 2)

    with pytest.raises(FloatingPointError, match="Likely cause"):
        make_net(iterator_train=once, lr=1e30, optimizer=torch.optim.SGD).fit(X, Y)


def test_skorchs_schedules_ask_for_no_loss_at_each_batch(monkeypatch):
    asked, to_list = [], torch.Tensor.tolist
    monkeypatch.setattr(torch.Tensor, "tolist", lambda t: asked.append("tolist") or to_list(t))
    for step_every in ("epoch", "batch"):
        schedule = LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=2, step_every=step_every)
        net = make_net(batch_size=20, callbacks=[schedule], max_epochs=2).fit(X, Y)
        assert ("event_lr" in net.history_[-1]["batches"][0]) is (step_every == "batch")
    assert asked == ["tolist"] * 4


def test_the_mode_is_set_again_when_a_callback_has_predicted():
    modes = []

    class Predicts(Callback):
        def on_grad_computed(self, net, **kwargs):
            modes.append(net.module_.training)
            net.predict(X[:3])

    make_net(callbacks=[Predicts()], batch_size=200).fit(X, Y)
    assert modes == [True] * 9
