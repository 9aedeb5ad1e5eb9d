"""The net on a GPU. Skipped, with this reason, where there is none."""

import copy
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn
from torch.utils.data import Subset

from sk_cbloss import CBNeuralNetClassifier, ClassAwareSampler
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import (
    MLP,
    ArrayDataset,
    BatchLoader,
    CifarResNet,
    DeferredReweighting,
    Fit,
    LearningRateSchedule,
    PadCropFlip,
    TrainingCheckpoint,
    cifar_recipe,
    fit_together,
)
from sk_cbloss.neural_net.training._graph import Graph

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

GPU = "cuda"
RNG = np.random.default_rng(0)
Y = np.repeat(["ant", "bee", "cat"], [140, 45, 15])
X = RNG.normal(size=(200, 5)) + np.repeat(np.eye(3, 5) * 2, [140, 45, 15], axis=0)
IMAGES = RNG.normal(size=(200, 3, 8, 8)).astype(np.float32)


class Plain(CBNeuralNetClassifier):
    """A net whose steps are never captured, since it may do anything in them."""

    def get_loss(self, *args, **kwargs):
        return super().get_loss(*args, **kwargs)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("own", [None, np.linspace(1, 2, 200)], ids=["", "weighted"])
def test_auto_takes_the_gpu_and_trains_as_the_cpu_does(loss, own):
    def fit(device):
        given = {"device": device, "dtype": "float64", "random_state": 0, "max_epochs": 15}
        return CBNeuralNetClassifier(loss=loss, **given).fit(X, Y, sample_weight=own)

    on_gpu, on_cpu = fit("auto"), fit("cpu")
    assert next(on_gpu.module_.parameters()).is_cuda
    assert on_gpu.criterion_.weight.is_cuda
    assert on_gpu.get_params()["device"] == "auto"
    np.testing.assert_allclose(on_gpu.predict_proba(X), on_cpu.predict_proba(X), rtol=1e-6)


LABELS = np.stack([Y == "ant", Y != "cat", X[:, 0] > 1, X[:, 1] > 2], axis=1).astype(int)
UNKNOWN = np.where(RNG.random(LABELS.shape) < 0.2, np.nan, LABELS)


@pytest.mark.parametrize("own", [None, np.linspace(1, 2, 200)], ids=["", "weighted"])
@pytest.mark.parametrize("gamma", [0, 1.5, (4, 0)])
@pytest.mark.parametrize(
    "labels", [LABELS, scipy.sparse.csr_array(LABELS), UNKNOWN], ids=["", "sparse", "unknown"]
)
def test_several_labels_train_as_on_the_cpu(labels, gamma, own):
    def fit(device):
        given = {"device": device, "dtype": "float64", "random_state": 0, "max_epochs": 15}
        return CBNeuralNetClassifier(beta=0.9, gamma=gamma, **given).fit(X, labels, own)

    on_gpu, on_cpu = fit("auto"), fit("cpu")
    assert on_gpu.criterion_.weight.is_cuda
    for method in ("predict_proba", "predict_natural_proba"):
        on_both = [getattr(net, method)(X) for net in (on_gpu, on_cpu)]
        np.testing.assert_allclose(*on_both, rtol=1e-6)


def test_tags_train_as_on_the_cpu():
    class Tagger(nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.head = nn.Linear(5, n_classes)

        def forward(self, X):
            return self.head(X).movedim(-1, 1)

    tags = RNG.choice([-100, 3, 5, 9], size=(50, 4))
    given = {"dtype": "float64", "random_state": 0, "criterion__ignore_index": -100}
    on_both = [
        CBNeuralNetClassifier(Tagger, device=device, **given)
        .fit(X.reshape(50, 4, 5), tags, np.linspace(1, 2, 50))
        .predict_proba(X.reshape(50, 4, 5))
        for device in ("auto", "cpu")
    ]
    np.testing.assert_allclose(*on_both, rtol=1e-6)


@pytest.mark.parametrize("labels", [Y, LABELS], ids=["classes", "labels"])
def test_class_aware_sampling_draws_as_on_the_cpu(labels):
    on_both = [
        CBNeuralNetClassifier(
            beta=0,
            iterator_train__sampler=ClassAwareSampler(beta=0.9),
            random_state=0,
            dtype="float64",
            device=device,
        )
        .fit(X, labels)
        .predict_proba(X)
        for device in ("auto", "cpu")
    ]
    np.testing.assert_allclose(*on_both, rtol=1e-6)


def test_sparse_features_and_cuda_tensors():
    expected = CBNeuralNetClassifier(random_state=0).fit(X, Y).predict_proba(X)
    for features in (scipy.sparse.csr_matrix(X), torch.from_numpy(X).cuda()):
        net = CBNeuralNetClassifier(random_state=0).fit(features, Y)
        np.testing.assert_allclose(net.predict_proba(features), expected, rtol=1e-4, atol=1e-6)


def test_same_seed_same_net_and_the_gpus_generator_untouched():
    torch.cuda.manual_seed(7)
    state = torch.cuda.get_rng_state()
    fits = [
        CBNeuralNetClassifier(random_state=0, module__dropout=0.5).fit(X, Y).predict_proba(X)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*fits)
    torch.testing.assert_close(torch.cuda.get_rng_state(), state)


@pytest.mark.filterwarnings("ignore::skorch.exceptions.DeviceWarning")
def test_a_pickle_from_the_gpu_loads_where_there_is_none(tmp_path):
    net = CBNeuralNetClassifier(random_state=0).fit(X, Y)
    file = tmp_path / "net.pkl"
    file.write_bytes(pickle.dumps((net, X)))
    script = f"""
import pickle
net, X = pickle.loads(open({str(file)!r}, "rb").read())
assert net.device == "cpu" and net.get_params()["device"] == "auto"
print(",".join(net.predict(X)))
"""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip().split(",") == net.predict(X).tolist(), done.stderr


def test_data_that_fit_live_on_the_gpu():
    dataset = ArrayDataset({"x": torch.from_numpy(X), "w": np.arange(200.0)}, np.arange(200))
    loader = BatchLoader(Subset(dataset, np.arange(150)), batch_size=64, shuffle=True)
    for features, target in loader.keep_on("cuda"):
        assert all(tensor.is_cuda for tensor in (*features.values(), target))
        torch.testing.assert_close(features["w"], target.double())
    sparse = BatchLoader(ArrayDataset(scipy.sparse.csr_array(X), np.arange(200)), batch_size=64)
    assert not next(iter(sparse.keep_on("cuda")))[0].is_cuda


@pytest.mark.parametrize("dtype", ["u1", "f2", "?"])
def test_bytes_stay_bytes_until_the_batch(dtype):
    given = (50 * IMAGES + 100).astype(dtype)
    arguments = {"max_epochs": 2, "random_state": 0, "device": GPU, "module__depth": 8}
    small = CBNeuralNetClassifier(CifarResNet, **arguments).fit(given, Y)
    plain = CBNeuralNetClassifier(CifarResNet, **arguments).fit(given.astype("f4"), Y)
    assert small.history[:, "train_loss"] == pytest.approx(
        plain.history[:, "train_loss"], rel=1e-3
    )
    np.testing.assert_array_equal(small.predict(given), small.predict(given.astype("f4")))
    loader = small.get_iterator(small.get_dataset(given), training=False)
    assert loader._data[0].array.is_cuda
    assert loader._data[0].array.element_size() == np.dtype(dtype).itemsize
    assert next(iter(loader))[0].dtype == torch.float32


def test_what_is_predicted_is_decided_on_the_gpu():
    net = CBNeuralNetClassifier(max_epochs=2, random_state=0, device=GPU).fit(X, Y)
    assert all(logits.is_cuda for logits in net._batches_of_logits(X))
    out = np.empty((200, 3))
    assert net.predict_proba(X, out=out) is out
    np.testing.assert_array_equal(out, net.predict_proba(X))
    np.testing.assert_array_equal(net.predict(X), net.classes_[out.argmax(axis=1)])


@pytest.mark.parametrize("autocast", [None, "bfloat16", "float16"])
def test_the_papers_recipe_in_any_precision(autocast):
    recipe = cifar_recipe(depth=8, max_epochs=2)
    net = CBNeuralNetClassifier(autocast=autocast, channels_last=True, random_state=0, **recipe)
    assert np.isfinite(net.fit(IMAGES, Y).predict_proba(IMAGES)).all()


class Strict(Callback):
    """Make each wait for the GPU an error, in the last epoch from its second batch to its last.

    Before, kernels are loaded, and steps that are captured wait for the GPU while they are.
    """

    reads_batches = False

    def on_epoch_begin(self, net, **kwargs):
        self.n_batches = 0

    def on_grad_computed(self, net, **kwargs):
        self.n_batches += 1
        is_strict = len(net.history) == net.max_epochs and self.n_batches < net._call.n_batches
        torch.cuda.set_sync_debug_mode("error" if is_strict else "default")


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
@pytest.mark.parametrize("autocast", [None, "bfloat16"])  # in float16, gradients are looked at
@pytest.mark.parametrize("kind", [CBNeuralNetClassifier, Plain])
def test_a_training_waits_for_the_gpu_between_epochs_alone(kind, autocast):
    net = kind(
        CifarResNet,
        module__depth=8,
        batch_size=10,
        batch_transform=PadCropFlip(),
        autocast=autocast,
        callbacks=[Strict()],
        max_epochs=3,
    )
    try:
        net.fit(IMAGES, Y)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert dict(net.callbacks_)["Strict"].n_batches == 20


@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_augmentation_waits_for_nothing():
    images = torch.from_numpy(IMAGES).to(GPU)
    for fill in (0.0, (-1.0, 0.5, 1.0)):
        PadCropFlip(fill=fill)(images)
        torch.cuda.set_sync_debug_mode("error")
        try:
            made = PadCropFlip(fill=fill)(images)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        assert made.device == images.device


# ---------------------------------------------------------------------- captured steps


@pytest.fixture
def graphs(monkeypatch, caplog):
    """Count the graphs and their replays."""

    class Counted(Graph):
        n_made = n_calls = 0

        def __init__(self, *args):
            super().__init__(*args)
            Counted.n_made += 1

        def __call__(self, *inputs):
            Counted.n_calls += 1
            return super().__call__(*inputs)

    monkeypatch.setattr("sk_cbloss.neural_net.training._graph.Graph", Counted)
    monkeypatch.setattr("sk_cbloss.neural_net.training._captured_step.PLAIN_STEPS", {"cuda": 2})
    with caplog.at_level("INFO", logger="sk_cbloss"):
        yield Counted


def both(graphs, caplog, data=(X, Y), own=None, **parameters):
    """Fit a net with graphs, and one without."""
    parameters = {"batch_size": 32, "max_epochs": 12, "random_state": 0} | parameters
    net = CBNeuralNetClassifier(**copy.deepcopy(parameters)).fit(*data, sample_weight=own)
    assert not caplog.records, caplog.text
    assert graphs.n_made == 2  # the last batch of an epoch is smaller
    assert graphs.n_calls > 20
    plain = Plain(**copy.deepcopy(parameters)).fit(*data, sample_weight=own)
    assert graphs.n_made == 2
    return net, plain


@pytest.mark.parametrize("own", [None, np.linspace(1, 2, 200)], ids=["", "weighted"])
@pytest.mark.parametrize("loss", LOSSES)
def test_captured_steps_are_the_plain_ones(graphs, caplog, loss, own):
    net, plain = both(graphs, caplog, own=own, loss=loss, dtype="float64", module__dropout=0.3)
    np.testing.assert_allclose(net.predict_proba(X), plain.predict_proba(X), rtol=1e-9)
    np.testing.assert_allclose(
        net.history_[:, "train_loss"], plain.history_[:, "train_loss"], rtol=1e-9
    )


@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD, torch.optim.AdamW])
@pytest.mark.parametrize("autocast", [None, "bfloat16", "float16"])
def test_captured_steps_of_images_in_any_precision(graphs, caplog, autocast, optimizer):
    net, plain = both(
        graphs,
        caplog,
        data=(IMAGES, Y),
        module=CifarResNet,
        module__depth=8,
        batch_transform=PadCropFlip(2),
        channels_last=True,
        autocast=autocast,
        optimizer=optimizer,
        lr=0.001,
        max_epochs=6,
    )
    rtol = 1e-4 if autocast is None else 0.05
    np.testing.assert_allclose(
        net.history_[:, "train_loss"], plain.history_[:, "train_loss"], rtol=rtol
    )


def test_captured_steps_follow_the_schedule_and_the_clipping_and_the_change_of_loss(graphs):
    callbacks = [
        LearningRateSchedule(warmup=2, milestones=(6,), factor=0.1),
        DeferredReweighting(start=6),
        GradientNormClipping(0.1),
    ]
    parameters = {"dtype": "float64", "batch_size": 32, "max_epochs": 12, "random_state": 0}
    nets = [
        kind(callbacks=copy.deepcopy(callbacks), **parameters).fit(X, Y)
        for kind in (CBNeuralNetClassifier, Plain)
    ]
    assert graphs.n_made == 4
    ours, theirs = (net.predict_proba(X) for net in nets)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


class Waits(MLP):
    def forward(self, x):
        return super().forward(x) * (2 if float(x.sum()) > 0 else 1)


def test_what_a_gpu_cannot_repeat_is_done_plainly(graphs, caplog):
    net = CBNeuralNetClassifier(Waits, batch_size=32, random_state=0).fit(X, Y)
    assert graphs.n_calls == 0
    assert "not captured" in caplog.text
    plain = Plain(Waits, batch_size=32, random_state=0).fit(X, Y)
    np.testing.assert_allclose(net.predict_proba(X), plain.predict_proba(X), rtol=1e-4)


def test_stacked_steps_are_captured(graphs, caplog):
    net = CBNeuralNetClassifier(batch_size=20, dtype="float64", random_state=0)
    fits = [Fit(clone(net).set_params(beta=beta), X, Y, range(200)) for beta in (0, 0.9, 0.99)]
    fit_together(fits, max_stack=3)
    assert [fit.obstacle for fit in fits] == [None] * 3
    assert not caplog.records, caplog.text
    assert graphs.n_calls > 100
    for fit in fits:
        alone = Plain(**clone(fit.net).get_params()).fit(X, Y)
        np.testing.assert_allclose(
            fit.fitted.predict_proba(X), alone.predict_proba(X), rtol=1e-6, atol=1e-9
        )


# ---------------------------------------------------------------------- precision and layout


@pytest.mark.parametrize("autocast", ["bfloat16", "float16"])
@pytest.mark.parametrize("loss", ["softmax", "focal", "ldam"])
def test_half_precision_learns_about_the_same(loss, autocast):
    given = {"loss": loss, "random_state": 0}
    half = CBNeuralNetClassifier(autocast=autocast, **given).fit(X, Y)
    full = CBNeuralNetClassifier(**given).fit(X, Y)
    losses = half.history_[:, "train_loss"]
    assert losses[-1] < losses[0]
    assert np.mean(half.predict(X) == full.predict(X)) > 0.9
    assert half.predict_proba(X).dtype == np.float32
    assert all(p.dtype == torch.float32 for p in half.module_.parameters())


class Overflow(nn.Module):
    """Has gradients beyond float16 in the third step."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)
        self.n_steps = 0

    def forward(self, x):
        logits = self.head(x)
        if self.training:
            self.n_steps += 1
            if self.n_steps == 3:
                logits.register_hook(lambda gradient: gradient * torch.inf)
        return logits


def test_a_step_that_overflows_is_left_out():
    net = CBNeuralNetClassifier(Overflow, autocast="float16", random_state=0, max_epochs=5)
    net.fit(X, Y)
    assert net.module_.n_steps == 10
    assert net._grad_scaler.get_scale() <= 2.0**15
    assert all(p.isfinite().all() for p in net.module_.parameters())
    assert net.history_[-1, "train_loss"] < net.history_[0, "train_loss"]


class Layout(CifarResNet):
    def forward(self, x):
        self.last = x.is_contiguous(memory_format=torch.channels_last)
        return super().forward(x)


@pytest.mark.parametrize("channels_last", [False, True])
def test_channels_last(channels_last):
    net = CBNeuralNetClassifier(
        Layout, module__depth=8, channels_last=channels_last, max_epochs=2, random_state=0
    )
    net.fit(IMAGES, Y)
    assert net.module_.last is channels_last
    assert np.isfinite(net.predict_proba(IMAGES)).all()


def test_batches_are_transformed_on_the_gpu():
    seen = set()

    def transform(features):
        seen.add((features.device.type, features.dtype))
        return features + torch.randn_like(features) / 10

    nets = [
        CBNeuralNetClassifier(batch_transform=transform, random_state=0, max_epochs=3).fit(X, Y)
        for _ in range(2)
    ]
    assert seen == {(GPU, torch.float32)}
    np.testing.assert_array_equal(*[net.predict_proba(X) for net in nets])


# ---------------------------------------------------------------------- validation, prediction


def test_early_stopping_keeps_the_best_parameters():
    net = CBNeuralNetClassifier(
        early_stopping=True, validation_fraction=0.3, n_iter_no_change=3, max_epochs=100
    )
    net.set_params(random_state=0).fit(X, Y)
    scores = net.history_[:, "valid_balanced_accuracy"]
    assert len(scores) < 100
    best = dict(net.callbacks_)["early_stopping"].best_epoch_
    assert scores[best - 1] >= max(scores) - 1e-4
    assert next(net.module_.parameters()).device.type == GPU
    assert np.isfinite(net.predict_proba(X)).all()


@pytest.mark.parametrize("loss", ["softmax", "sigmoid", "focal", "softmax_focal", "vs"])
def test_all_that_a_net_tells_is_finite(loss):
    smoothing = {"criterion__label_smoothing": 0.1} if loss in ("softmax", "vs") else {}
    net = CBNeuralNetClassifier(loss=loss, random_state=0, max_epochs=5, **smoothing).fit(X, Y)
    for p in (net.predict_proba(X), net.predict_natural_proba(X)):
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
        assert (p >= 0).all()
    assert np.isfinite(net.predict_log_proba(X)).all()
    assert np.isfinite(net.decision_function(X)).all()


def test_batches_of_any_size_predict_the_same():
    net = CBNeuralNetClassifier(random_state=0, max_epochs=5).fit(X, Y)
    expected = net.predict_proba(X)
    for size in (7, 50, -1):
        net.set_params(iterator_valid__batch_size=size)
        np.testing.assert_allclose(net.predict_proba(X), expected, rtol=1e-4, atol=1e-6)


# ---------------------------------------------------------------------- what goes wrong


class BadGradient(Callback):
    """Spoils the gradient of the last batch of an epoch."""

    def on_grad_computed(self, net, **kwargs):
        if (len(net.history), len(net.history[-1]["batches"])) == (2, 2):
            net.module_.head.weight.grad.fill_(torch.nan)


def test_parameters_are_put_back_when_a_training_diverges():
    given = {"random_state": 0, "batch_size": 100}
    net = CBNeuralNetClassifier(callbacks=[BadGradient()], max_epochs=4, **given)
    with pytest.raises(FloatingPointError, match="of epoch 2. The net has the parameters of"):
        net.fit(X, Y)
    calm = CBNeuralNetClassifier(max_epochs=1, **given).fit(X, Y)
    np.testing.assert_allclose(net.predict_proba(X), calm.predict_proba(X), rtol=1e-6)
    wild = CBNeuralNetClassifier(optimizer=torch.optim.SGD, lr=1e30, **given)
    with pytest.raises(FloatingPointError, match="^Losses and parameters must be finite"):
        wild.fit(X, Y)
    with pytest.raises(NotFittedError):
        wild.predict_proba(X)


class Hungry(nn.Module):
    """Wants more memory than there is for more than 50 rows."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head = nn.Linear(n_features, n_classes)

    def forward(self, x):
        if len(x) > 50:
            torch.empty(2**45, dtype=torch.uint8, device=x.device)
        return self.head(x)


def test_memory_that_runs_out():
    net = CBNeuralNetClassifier(Hungry, random_state=0, max_epochs=3)
    said = "^batch_size must be small enough .* cuda in training, got 128; try batch_size=64"
    with pytest.raises(torch.cuda.OutOfMemoryError, match=said):
        net.fit(X, Y)
    net.set_params(batch_size=50).fit(X, Y)
    expected = net.predict(X)
    net.set_params(iterator_valid__batch_size=200)
    said = "^iterator_valid__batch_size must .* in prediction, got 200; try .*_size=100"
    with pytest.raises(torch.cuda.OutOfMemoryError, match=said):
        net.predict(X)
    net.set_params(iterator_valid__batch_size=40)
    np.testing.assert_array_equal(net.predict(X), expected)


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
@pytest.mark.parametrize(("source", "target"), [("cpu", GPU), (GPU, "cpu"), (GPU, GPU)])
def test_parameters_go_from_device_to_device(source, target, ending, tmp_path):
    files = {name: tmp_path / f"{name}.{ending}" for name in ("f_params", "f_optimizer")}
    net = CBNeuralNetClassifier(device=source, random_state=0, max_epochs=5).fit(X, Y)
    net.save_params(**files)
    sizes = {"module__n_features": 5, "module__n_classes": 3}
    other = CBNeuralNetClassifier(device=target, classes=["ant", "bee", "cat"], **sizes)
    other.initialize().load_params(**files)
    assert next(other.module_.parameters()).device.type == target
    np.testing.assert_allclose(other.predict_proba(X), net.predict_proba(X), rtol=1e-4, atol=1e-6)
    other.partial_fit(X, Y)
    assert np.isfinite(other.predict_proba(X)).all()


class CutOff(Exception):
    """What cuts a training off."""


class Cut(Callback):
    """Cuts a training off at the end of an epoch, once; counts the epochs."""

    at, n_epochs = None, 0

    def on_epoch_end(self, net, **kwargs):
        Cut.n_epochs += 1
        if Cut.n_epochs == Cut.at:
            raise CutOff

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


IMAGE_NET = {
    "module": CifarResNet,
    "module__depth": 8,
    "batch_transform": PadCropFlip(2),
    "optimizer": torch.optim.SGD,
    "optimizer__momentum": 0.9,
}


@pytest.mark.parametrize(
    ("features", "parameters", "rounding"),
    [
        (X, {"module__dropout": 0.5, "max_epochs": 6}, 0),
        (X, {"module__dropout": 0.5, "max_epochs": 30, "dtype": "float64"}, 1e-9),
        (X, {"autocast": "float16", "max_epochs": 6}, 0),
        (IMAGES, IMAGE_NET | {"max_epochs": 6}, 1e-5),
    ],
    ids=["dropout", "captured", "float16", "images"],
)
def test_a_training_that_was_cut_off_goes_on(
    features, parameters, rounding, tmp_path, monkeypatch
):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    monkeypatch.setattr(Cut, "n_epochs", 0)

    def fit(folder):
        callbacks = [("cut", Cut()), TrainingCheckpoint(tmp_path / folder)]
        return CBNeuralNetClassifier(callbacks=callbacks, random_state=0, **parameters).fit(
            features, Y
        )

    whole, n_epochs = fit("whole"), parameters["max_epochs"]
    assert Cut.n_epochs == n_epochs
    monkeypatch.setattr(Cut, "n_epochs", 0)
    monkeypatch.setattr(Cut, "at", n_epochs // 2)
    with pytest.raises(CutOff):
        fit("cut")
    resumed = fit("cut")
    assert Cut.n_epochs == n_epochs + 1  # the epoch that was cut off is trained again
    assert len(resumed.history_) == n_epochs
    for ours, theirs in zip(
        resumed.module_.state_dict().values(), whole.module_.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=10 * rounding, atol=rounding)
