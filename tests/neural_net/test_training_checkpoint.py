"""A training that was cut off goes on as if nothing had happened, or says why it cannot."""

import copy
import errno
import functools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import GenericAlias

import _killed_training
import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    BatchScoring,
    Callback,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    ParamMapper,
    Unfreezer,
)
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch import nn
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import (
    Cutout,
    DeferredReweighting,
    LearningRateSchedule,
    LossChange,
    PadCropFlip,
    RandAugment,
    RefitHead,
    TrainingCheckpoint,
)
from sk_cbloss.neural_net.callbacks._training_checkpoint import KIND
from sk_cbloss.neural_net.state import _fingerprint
from sk_cbloss.neural_net.state._fingerprint import fingerprint
from sk_cbloss.neural_net.state._state_file import read_state, write_state

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL and no limits")
MAX_EPOCHS = 8

rng = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], [60, 25, 15])
X = (rng.normal(size=(100, 5)) + np.eye(3, 5)[Y] * 2).astype(np.float32)
WEIGHT = rng.uniform(0.5, 2, 100)
X_VAL, Y_VAL = X[::3] + 0.1, Y[::3]
IMAGES = rng.normal(size=(100, 3, 6, 6)).astype(np.float32) + Y[:, None, None, None]
NAMES = np.array(["ant", "bee", "cat"])[Y]


class Interrupted(Exception):
    """What cuts a training off, inside this process."""


class Moments(Callback):
    """Cuts the training off at the n-th moment of a kind, and counts epochs."""

    reads_batches = False
    kind, n, n_epochs = None, 0, 0

    @classmethod
    def tell(cls, kind):
        if kind == cls.kind:
            cls.n -= 1
            if cls.n == 0:
                raise Interrupted(kind)

    def on_train_begin(self, net, **kwargs):
        Moments.tell("start")

    def on_epoch_begin(self, net, **kwargs):
        Moments.n_epochs += 1

    def on_batch_begin(self, net, training=None, **kwargs):
        Moments.tell("batch" if training else "validation")

    def on_epoch_end(self, net, **kwargs):
        Moments.tell("epoch end")

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


@pytest.fixture(autouse=True)
def moments(monkeypatch):
    """Tell of writes too; afterwards, no moment is left."""
    fsync, replace = os.fsync, os.replace

    def telling_fsync(descriptor):
        Moments.tell("write")
        fsync(descriptor)

    def telling_replace(*paths):
        Moments.tell("replace")
        replace(*paths)
        Moments.tell("replaced")

    monkeypatch.setattr(os, "fsync", telling_fsync)
    monkeypatch.setattr(os, "replace", telling_replace)
    monkeypatch.setattr(Moments, "kind", None)
    monkeypatch.setattr(Moments, "n", 0)
    monkeypatch.setattr(Moments, "n_epochs", 0)


class Net(nn.Module):
    def __init__(self, n_features, n_classes, dropout=0.3):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(n_features, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(dropout)
        )
        self.head = nn.Linear(8, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


class LazyNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.LazyLinear(8), nn.Dropout(0.3), nn.Linear(8, 3))

    def forward(self, x):
        return self.body(x)


class ImageNet(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1),
            nn.BatchNorm2d(5),
            nn.ReLU(),
            nn.Conv2d(5, 7, 3),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(7, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


class LearnedLoss(nn.Module):
    """A criterion with a parameter and a buffer."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.register_buffer("n_calls", torch.zeros((), dtype=torch.int64))

    def forward(self, logits, target):
        self.n_calls += 1
        return nn.functional.cross_entropy(logits * self.scale, target)


class OpaqueDataset(torch.utils.data.Dataset):
    """Draws random numbers, and holds what cannot be told from others of its type."""

    def __init__(self):
        self.lock = threading.Lock()

    def __len__(self):
        return len(Y)

    def __getitem__(self, row):
        return noise(torch.from_numpy(X[row])), Y[row]


class Counter(Callback):
    """Remembers, and acts on what it remembers."""

    def __init__(self, scale=0.9):
        self.scale = scale
        self.n_epochs = 0

    def on_train_begin(self, net, **kwargs):
        self.n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1
        net.history.record("array", np.arange(self.n_epochs + 1))
        with torch.no_grad():
            net.module_.head.weight *= self.scale**self.n_epochs

    def state_dict(self):
        return {"n_epochs": self.n_epochs}

    def load_state_dict(self, state):
        self.n_epochs = state["n_epochs"]


def noise(features):
    return features + 0.1 * torch.randn_like(features)


def half(net):
    return len(net.history) == 4


# ---------------------------------------------------------------------- calls


def fit(net, X=X, y=Y, **kwargs):
    return net.fit(X, y, **kwargs)


def fit_weighted(net):
    return fit(net, sample_weight=WEIGHT)


def fit_with_validation(net):
    return fit(net, X_val=X_VAL, y_val=Y_VAL)


def fit_images(net):
    return fit(net, IMAGES)


def fit_names(net):
    return fit(net, y=NAMES)


def fit_sparse(net):
    return fit(net, scipy.sparse.csr_matrix(X))


def fit_dataset(net, X=X):
    return fit(net, TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), None)


def fit_opaque(net):
    return fit(net, OpaqueDataset())


def fit_parts(net):
    net.set_params(max_epochs=3)
    for part in range(3):
        net.partial_fit(X[part::3], Y[part::3], sample_weight=WEIGHT[part::3])
    return net


def fit_warm(net):
    net.set_params(warm_start=True, max_epochs=4)
    fit(net)
    return fit(net, sample_weight=WEIGHT)


def fit_with_other_loss(net):
    net.set_params(max_epochs=4)
    net.partial_fit(X, Y)
    net.set_params(loss="focal", beta=0.9, gamma=2)
    return net.partial_fit(X, Y)


def schedule(policy, **kwargs):
    return lambda: {"callbacks": [("schedule", LRScheduler(policy, **kwargs))]}


def with_callbacks(*callbacks, **settings):
    """Return a maker of settings: callbacks keep what they learned, each net needs its own."""

    def make():
        named = [
            (f"callback {n}", copy.deepcopy(callback)) for n, callback in enumerate(callbacks)
        ]
        return settings | {"callbacks": named}

    return make


SGD = {"optimizer": torch.optim.SGD, "lr": 0.1}
STRATIFIED = {"train_split": ValidSplit(4, stratified=True)}
VALIDATED = {"train_split": predefined_split(Dataset(X_VAL, Y_VAL))}

CASES = {
    "SGD": SGD,
    "momentum": SGD | {"optimizer__momentum": 0.9, "optimizer__nesterov": True},
    "AdamW": {"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.1},
    "AMSGrad": {"optimizer__amsgrad": True},
    "LBFGS": {"optimizer": torch.optim.LBFGS, "lr": 0.1, "batch_size": -1},
    "groups": SGD | {"optimizer__param_groups": [("head*", {"lr": 0.05})]},
    "step": with_callbacks(LearningRateSchedule(warmup=2, milestones=(4, 6), factor=0.1), **SGD),
    "cosine": with_callbacks(LearningRateSchedule("cosine", warmup=0.25)),
    "StepLR": schedule("StepLR", step_size=2),
    "MultiStepLR": schedule("MultiStepLR", milestones=[2, 3, 5]),
    "CosineAnnealingLR": schedule("CosineAnnealingLR", T_max=MAX_EPOCHS),
    "WarmRestartLR": schedule("WarmRestartLR"),
    "OneCycleLR": schedule(
        lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=40, step_every="batch"
    ),
    "CyclicLR": schedule(lr_scheduler.CyclicLR, base_lr=0.01, max_lr=0.1, step_every="batch"),
    "ReduceLROnPlateau": schedule("ReduceLROnPlateau", patience=0, threshold=0.2),
    "LambdaLR": schedule(lr_scheduler.LambdaLR, lr_lambda=lambda epoch: 0.9**epoch),
    "EarlyStopping": with_callbacks(
        EarlyStopping("valid_loss", patience=2, threshold=0.03, load_best=True), **STRATIFIED
    ),
    "early_stopping": {"early_stopping": True, "n_iter_no_change": 4, "validation_fraction": 0.3},
    "LossChange": with_callbacks(
        LossChange(3, loss="focal", gamma=2), LossChange(0.75, loss="vs", beta=0.9)
    ),
    "DeferredReweighting": with_callbacks(DeferredReweighting(0.5), loss="ldam", beta=0.9),
    "RefitHead": with_callbacks(RefitHead(3, restart=True), beta=0.9),
    "RefitHead, partial_fit": lambda: (
        with_callbacks(RefitHead(2, loss="focal"), **SGD)() | {"call": fit_parts}
    ),
    "float64": {"dtype": "float64"},
    "bfloat16": {"autocast": "bfloat16"},
    "float16": {"autocast": "float16"},
    "compiled": {"compile": True, "compile__backend": "eager"},
    "partial_fit": {"call": fit_parts},
    "partial_fit with OneCycleLR": lambda: (
        schedule(lr_scheduler.OneCycleLR, max_lr=0.1, total_steps=40)() | {"call": fit_parts}
    ),
    "partial_fit with another loss": {"call": fit_with_other_loss},
    "partial_fit without seed": {"call": fit_parts, "random_state": None},
    "partial_fit, early_stopping": {"call": fit_parts, "early_stopping": True},
    "warm_start": {"call": fit_warm},
    "ValidSplit": STRATIFIED,
    "predefined_split": VALIDATED,
    "X_val": {"call": fit_with_validation},
    "batch_transform": {"batch_transform": noise},
    "images": {"module": ImageNet, "call": fit_images, "batch_transform": PadCropFlip(1)},
    "several": {
        "module": ImageNet,
        "call": fit_images,
        "batch_transform": [PadCropFlip(1), RandAugment(), Cutout(2)],
    },
    "channels_last": {"module": ImageNet, "call": fit_images, "channels_last": True},
    "names": {"call": fit_names} | STRATIFIED,
    "sparse": {"call": fit_sparse},
    "Dataset": {"call": fit_dataset, "module": Net(5, 3)},
    "opaque Dataset": {"call": fit_opaque, "module": Net(5, 3)},
    "DataLoader": {"iterator_train": DataLoader, "iterator_train__drop_last": True},
    "criterion": {"criterion": nn.CrossEntropyLoss, "criterion__label_smoothing": 0.1},
    "learned criterion": {"criterion": LearnedLoss},
    "instance": {"module": nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.3), nn.Linear(8, 3))},
    "lazy": {"module": LazyNet},
    "Freezer": with_callbacks(Freezer("body*", at=3), Unfreezer("body.0*", at=6)),
    "ParamMapper": with_callbacks(ParamMapper("head*", fn=nn.init.zeros_, at=half)),
    "clipped": with_callbacks(GradientNormClipping(0.1)),
    "scored": with_callbacks(
        EpochScoring("f1_macro", lower_is_better=False), BatchScoring("accuracy"), **STRATIFIED
    ),
    "own callback": with_callbacks(Counter()),
    "sample_weight": {"call": fit_weighted},
    "without seed": {"random_state": None},
    "RandomState": lambda: {"random_state": np.random.RandomState(0)},
}


def train(settings=None, folder=None, *, end=None, seed=3, **checkpoint):
    """Do the call; end is a kind of moment, and a number, at which to cut it off."""
    settings = dict(settings() if callable(settings) else settings or {})
    call, callbacks = settings.pop("call", fit), settings.pop("callbacks", [])
    defaults = {"module": Net, "max_epochs": MAX_EPOCHS, "batch_size": 30, "random_state": 0}
    defaults["device"] = "cpu"
    if folder is not None:
        callbacks = [("checkpoint", TrainingCheckpoint(folder, **checkpoint)), *callbacks]
    callbacks = [("moments", Moments()), *callbacks]
    torch.manual_seed(seed)
    net = CBNeuralNetClassifier(**(defaults | settings), callbacks=callbacks)
    Moments.kind, Moments.n = end or (None, 0)
    if end is None:
        return call(net)
    with pytest.raises(Interrupted, match=end[0]):
        call(net)
    return net


def result(net):
    """Return, part by part, what must be the same to the last bit."""
    schedules = [cb.lr_scheduler_.state_dict() for _, cb in net.callbacks_ if is_schedule(cb)]
    stops = [cb for _, cb in net.callbacks_ if isinstance(cb, EarlyStopping)]
    images = isinstance(net.module, type) and issubclass(net.module, ImageNet)
    history = [{k: v for k, v in row.items() if k != "dur"} for row in net.history_]
    return {
        "module": bits(net.module_.state_dict()),
        "trains": [p.requires_grad for p in net.module_.parameters()],
        "criterion": (repr(net.criterion_), bits(net.criterion_.state_dict())),
        "optimizer": bits(net.optimizer_.state_dict()),
        "schedules": repr(schedules),
        "stops": [(cb.misses_, cb.dynamic_threshold_, cb.best_epoch_) for cb in stops],
        "class_count": net.class_count_.tolist(),
        "history": repr(plain(history)),
        "probabilities": net.predict_proba(IMAGES if images else X).tobytes(),
        "generator": torch.get_rng_state().tolist() if net.random_state is None else None,
    }


def is_schedule(callback):
    return isinstance(callback, LRScheduler)


def plain(value):
    """Return the history with Python's own numbers: those from a checkpoint are."""
    if isinstance(value, list | dict):
        return [plain(item) for item in (value.items() if isinstance(value, dict) else value)]
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.item() if isinstance(value, np.generic) else value


def bits(state):
    """Return a nested state with bytes in place of tensors."""
    if isinstance(state, dict):
        return {name: bits(value) for name, value in state.items()}
    if isinstance(state, list | tuple):
        return [bits(value) for value in state]
    if isinstance(state, torch.Tensor):
        state = state.detach()
        return str(state.dtype), tuple(state.shape), state.contiguous().numpy().tobytes()
    return state


def assert_same(ours, theirs):
    ours, theirs = result(ours), result(theirs)
    for name, value in theirs.items():
        assert ours[name] == value, name


def files(folder):
    return sorted(Path(folder).rglob("epoch-*.safetensors"))


# ---------------------------------------------------------------------- cut off by an exception


@pytest.mark.filterwarnings("ignore::UserWarning:torch")  # the compiler warns of torch itself
@pytest.mark.parametrize("name", CASES)
def test_cut_off_four_times(name, tmp_path):
    settings, draw = CASES[name], random.Random(name)
    n_batches = 1 if name == "LBFGS" else 3  # at least
    train(settings, tmp_path, end=("batch", draw.randint(1, 2 * n_batches)))
    train(settings, tmp_path, end=("epoch end", 2))
    train(settings, tmp_path, end=("write", draw.choice([1, 2, 3])))
    train(settings, tmp_path, end=("batch", 1))
    Moments.n_epochs = 0
    ours = train(settings, tmp_path)
    n_epochs, Moments.n_epochs = Moments.n_epochs, 0
    theirs = train(settings)
    assert n_epochs < Moments.n_epochs
    assert_same(ours, theirs)
    if name not in LOSS_CHANGES:
        assert_not_repeated(settings, tmp_path, theirs)


LOSS_CHANGES = ["LossChange", "DeferredReweighting", "RefitHead"]


@pytest.mark.parametrize("name", LOSS_CHANGES)
def test_finished_training_has_the_last_loss(name, tmp_path):
    assert_not_repeated(CASES[name], tmp_path, train(CASES[name], tmp_path))


def assert_not_repeated(settings, folder, theirs):
    times = [file.stat().st_mtime_ns for file in files(folder)]
    Moments.n_epochs = 0
    ours = train(settings, folder)
    assert_same(ours, theirs)
    # A training that stops early has no checkpoint of its last epoch.
    stops = (EarlyStopping,)
    n_stopped = sum(
        isinstance(cb, stops) and cb.misses_ == cb.patience for _, cb in ours.callbacks_
    )
    assert Moments.n_epochs == n_stopped
    assert [file.stat().st_mtime_ns for file in files(folder)] == times


MOMENTS = ["start", "batch", "validation", "epoch end", "write", "replace", "replaced"]


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("kind", MOMENTS)
def test_cut_off_at_any_moment(kind, every, tmp_path):
    settings, draw = CASES["EarlyStopping"], random.Random(kind)
    theirs = train(settings)
    for attempt in range(2):
        folder, n = tmp_path / str(attempt), draw.randint(1, 6)
        n = {"start": 1, "replace": 1, "replaced": 1, "write": 1 + n % 2}.get(kind, n)
        train(settings, folder, end=(kind, n), every=every)
        assert not list(folder.rglob("*.tmp"))
        assert_same(train(settings, folder, every=every), theirs)


def test_a_checkpoint_changes_nothing(tmp_path):
    for name in ("EarlyStopping", "without seed", "early_stopping"):
        assert_same(train(CASES[name], tmp_path / name), train(CASES[name]))


def test_unseeded_training_goes_on_with_its_own_random_numbers(tmp_path):
    settings = {"random_state": None, "early_stopping": True, "validation_fraction": 0.3}
    train(settings, tmp_path, seed=3, end=("batch", 10))
    ours = train(settings, tmp_path, seed=4)
    theirs = train(settings, seed=3)
    assert bits(ours.module_.state_dict()) == bits(theirs.module_.state_dict())


def test_the_same_net_goes_on_too(tmp_path):
    net = train({}, tmp_path, end=("batch", 10))
    Moments.kind = None
    assert_same(net.fit(X, Y), train())


def test_training_that_the_user_stopped_goes_on(tmp_path, monkeypatch):
    def stop(callback, net, **kwargs):
        if len(net.history) == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Moments, "on_batch_begin", stop)
        assert len(train({}, tmp_path).history_) == 4  # skorch ends the training in order
    assert_same(train({}, tmp_path), train())


def test_epochs_of_one_call_are_not_trained_again(tmp_path):
    def call(net):
        return net.partial_fit(X, Y, epochs=3)

    train({"call": call}, tmp_path, end=("epoch end", 2))
    assert_same(train({"call": call}, tmp_path), train({"call": call}))


def test_one_net_fits_several_data(tmp_path):
    net = train(STRATIFIED, tmp_path)
    net.fit(X[::-1].copy(), Y[::-1].copy())
    assert len({file.parent for file in files(tmp_path)}) == 2


# ---------------------------------------------------------------------- killed


def start(script, *args, **environment):
    """Start a process."""
    paths = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, args)],
        env=os.environ | paths | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(script, *args, **environment):
    """Return what a process prints; it must succeed."""
    process = start(script, *args, **environment)
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return printed


TRAINING = "import sys, _killed_training; _killed_training.main(*sys.argv[1:])"


def kill(folder, draw, kind):
    """Start a training that kills itself; return at which moment."""
    n = draw.randint(1, {"batch": 27, "validation": 2, "epoch": 4, "write": 60}[kind])
    process = start(TRAINING, folder, kind, n)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGKILL, errors
    return (folder / "ends.txt").read_text().splitlines()[-1]


def finish(folder, kind="end"):
    run(TRAINING, folder, kind, 0)
    return read_state(folder / f"{kind}.result", "result")


def finish_here(folder, path):
    """Train to the end in this process; return the result as a file gives it back."""
    write_state(path, _killed_training.result(_killed_training.train(folder)), "result")
    return read_state(path, "result")


def assert_ends_alike(ours, theirs):
    assert 30 < len(theirs["history"]) < _killed_training.MAX_EPOCHS  # it stopped early
    assert len(ours["history"]) == len(theirs["history"])
    assert fingerprint(ours) == fingerprint(theirs)


def assert_in_batches_and_writes(moments, folder):
    assert any(moment.startswith("batch") for moment in moments)
    parts = [moment for moment in moments if moment.startswith("write of")]
    assert any(str(folder) in part and not part.endswith(" at 0") for part in parts)


@pytest.mark.slow
@POSIX
def test_killed_twice(tmp_path):
    moments = [kill(tmp_path, random.Random(0), kind) for kind in ("write", "batch")]
    assert_in_batches_and_writes(moments, tmp_path)
    ours = finish_here(tmp_path, tmp_path / "ours")
    assert_ends_alike(ours, finish_here(None, tmp_path / "theirs"))


@POSIX
@pytest.mark.slow
def test_killed_twenty_times(tmp_path):
    draw, moments = random.Random(0), []
    theirs = finish(tmp_path, "undisturbed")
    kinds = ["batch"] * 9 + ["write"] * 9 + ["validation", "epoch"]
    for kind in draw.sample(kinds, len(kinds)):
        moments.append(kill(tmp_path, draw, kind))
    assert len(moments) == 20
    assert_in_batches_and_writes(moments, tmp_path)
    for _ in range(3):  # at a moment of the clock
        process = start(TRAINING, tmp_path, "slowly", 0)
        assert process.stdout.readline() == "begun\n"
        time.sleep(draw.uniform(0, 0.5))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    assert_ends_alike(finish(tmp_path), theirs)


# ---------------------------------------------------------------------- folders


def folder_of(tmp_path, settings=None, **kwargs):
    """Return the name of the folder of a training."""
    settings = settings() if callable(settings) else settings or {}
    net = train({"max_epochs": 1} | settings, tmp_path, **kwargs)
    return dict(net.callbacks_)["checkpoint"].folder_.name


def other(**arrays):
    return {"call": lambda net: fit(net, **({"X": X, "y": Y} | arrays))}


def changed(array, row=50):
    array = array.copy()
    array[row] = 1 - array[row]
    return array


DIFFERENT = {
    "beta": {"beta": 0.9},
    "loss": {"loss": "focal"},
    "lr": {"lr": 0.02},
    "max_epochs": {"max_epochs": 2},
    "random_state": {"random_state": 1},
    "module parameter": {"module__dropout": 0.4},
    "optimizer": {"optimizer": torch.optim.AdamW},
    "callback": with_callbacks(LearningRateSchedule()),
    "callback's parameter": with_callbacks(LearningRateSchedule(warmup=1)),
    "callback's keyword": schedule("StepLR", step_size=2),
    "callback's other keyword": schedule("StepLR", step_size=3),
    "layers": {"module": None, "module__hidden_units": (4,)},
    "more layers": {"module": None, "module__hidden_units": (4, 4)},
    "function": {"batch_transform": noise},
    "lambda": {"batch_transform": lambda features: features * 2},
    "object": {"batch_transform": PadCropFlip(1), "module": ImageNet, "call": fit_images},
    "other object": {"batch_transform": PadCropFlip(2), "module": ImageNet, "call": fit_images},
    "several objects": {
        "batch_transform": [PadCropFlip(1), Cutout(2)],
        "module": ImageNet,
        "call": fit_images,
    },
    "data": other(X=changed(X)),
    "labels": other(y=changed(Y)),
    "order": other(X=X[::-1].copy(), y=Y[::-1].copy()),
    "names": other(y=NAMES),
    "weights": other(sample_weight=WEIGHT),
    "other weights": other(sample_weight=changed(WEIGHT)),
    "validation": {"call": fit_with_validation},
    "other validation": other(X_val=changed(X_VAL, 20), y_val=Y_VAL),
    "other validation labels": other(X_val=X_VAL, y_val=changed(Y_VAL, 20)),
    "split": VALIDATED,
    "other split": {"train_split": predefined_split(Dataset(changed(X_VAL, 20), Y_VAL))},
    "Dataset": {"call": fit_dataset, "module": Net(5, 3)},
    "other Dataset": {"call": lambda net: fit_dataset(net, changed(X)), "module": Net(5, 3)},
    "instance": lambda: {"module": seeded_module(0)},
    "other instance": lambda: {"module": seeded_module(1)},
    "without seed": {"random_state": None},
}


def seeded_module(seed):
    torch.manual_seed(seed)
    return Net(5, 3)


def test_each_training_has_a_folder_of_its_own(tmp_path):
    names = [folder_of(tmp_path)]
    names += [folder_of(tmp_path, settings) for settings in DIFFERENT.values()]
    assert len(set(names)) == len(names) == len(list(tmp_path.iterdir()))


def test_what_changes_nothing_leaves_the_folder(tmp_path):
    names = {folder_of(tmp_path), folder_of(tmp_path, every=2, keep=5)}
    for settings in (
        {"verbose": 1},
        {"device": torch.device("cpu")},
        {"use_caching": False},
        {"callbacks__print_log__sink": lambda text: None},
        {"callbacks__print_log": None},
    ):
        names.add(folder_of(tmp_path, settings))
    assert len(names) == 1


MODULE = """
from torch import nn


class Block(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.linear = nn.Linear(n_features, n_classes)

    def forward(self, x):
        return self.linear(x)


class Edited(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.block = Block(n_features, n_classes)

    def forward(self, x):
        return self.block(x)
"""

SCRIPT = """
import sys
import numpy as np
from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import TrainingCheckpoint

_, checkpoints, *folders = sys.argv
y = np.repeat(["a", "b"], [30, 10])
X = np.arange(80, dtype=np.float32).reshape(40, 2) / 80
for folder in folders:
    sys.path.insert(0, folder)
    sys.modules.pop("edited_module", None)
    from edited_module import Edited

    net = CBNeuralNetClassifier(
        Edited, max_epochs=1, random_state=0, callbacks=[TrainingCheckpoint(checkpoints)]
    ).fit(X, y)
    print(net.callbacks_[-1][1].folder_.name)
"""


@pytest.mark.slow
def test_the_folder_is_found_again_unless_the_module_was_edited(tmp_path):
    texts = {"first": MODULE, "edited": MODULE.replace("linear(x)", "linear(x).relu()")}
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "edited_module.py").write_text(text)
    names = []
    for seed, folders in [("0", ["first"]), ("1", ["first", "edited"])]:
        folders = [str(tmp_path / name) for name in folders]
        names += run(SCRIPT, tmp_path / "checkpoints", *folders, PYTHONHASHSEED=seed).split()
    assert names[0] == names[1] != names[2]
    assert len(names[2]) == 32


# ---------------------------------------------------------------------- searches


def search(folder, end=None, n_jobs=1):
    checkpoint = ("checkpoint", TrainingCheckpoint(folder))
    net = CBNeuralNetClassifier(
        Net,
        max_epochs=2,
        batch_size=30,
        random_state=0,
        device="cpu",
        callbacks=[("moments", Moments()), checkpoint],
    )
    Moments.kind, Moments.n = end or (None, 0)
    Moments.n_epochs = 0
    grid = {"beta": [0.9, 0.99], "loss": ["softmax", "focal"]}
    return GridSearchCV(net, grid, cv=3, n_jobs=n_jobs, error_score="raise").fit(X, Y)


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_nets_of_a_search_have_folders_of_their_own(n_jobs, tmp_path):
    ours = search(tmp_path, n_jobs=n_jobs)
    assert len({file.parent for file in files(tmp_path)}) == 2 * 2 * 3 + 1
    again = search(tmp_path)
    assert Moments.n_epochs == 0
    for name, scores in ours.cv_results_.items():
        if "time" not in name:
            np.testing.assert_array_equal(scores, again.cv_results_[name])
    np.testing.assert_array_equal(ours.decision_function(X), again.decision_function(X))


def test_a_search_that_was_cut_off_trains_what_is_missing(tmp_path):
    with pytest.raises(Interrupted):
        search(tmp_path, end=("epoch end", 8))  # in the second epoch of the fourth training
    ours = search(tmp_path)
    assert Moments.n_epochs == (12 + 1) * 2 - 7
    theirs = search(tmp_path / "other")
    np.testing.assert_array_equal(ours.decision_function(X), theirs.decision_function(X))


# ---------------------------------------------------------------------- damage

NEWEST = "epoch-00003.safetensors"


def cut_off(folder, settings=None, n=3, **checkpoint):
    """Train for some epochs; return the checkpoints' paths."""
    train(settings, folder, end=("epoch end", n + 1), **checkpoint)
    return files(folder)


def damage(path, how):
    content = path.read_bytes()
    if how == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "flipped":
        path.write_bytes(content[:-100] + bytes([content[-100] ^ 1]) + content[-99:])
    elif how == "not ours":
        path.write_bytes(b"PK" * 1000)


HOW = ["truncated", "empty", "flipped", "not ours"]


@pytest.mark.parametrize("how", HOW)
def test_damaged_file_is_named_and_the_one_before_it_taken(how, tmp_path):
    damage(cut_off(tmp_path)[-1], how)
    Moments.n_epochs = 0
    with pytest.warns(UserWarning, match=rf"(?s){NEWEST}.*damaged.*from epoch-00002"):
        ours = train({}, tmp_path)
    assert Moments.n_epochs == MAX_EPOCHS - 2
    assert_same(ours, train())


def test_foreign_file_is_named_and_the_one_before_it_taken(tmp_path):
    *_, foreign = cut_off(tmp_path / "other", {"beta": 0.5}, n=6)
    folder = cut_off(tmp_path / "ours")[0].parent
    shutil.copy(foreign, folder / "epoch-00099.safetensors")
    with pytest.warns(UserWarning, match=rf"epoch-00099.*other parameters.*from {NEWEST}"):
        ours = train({}, tmp_path / "ours")
    assert_same(ours, train())
    names = [path.name for path in sorted(folder.iterdir())]
    assert names == [f"epoch-{n:05}.safetensors" for n in (7, 8, 99)]


@pytest.mark.parametrize("how", HOW)
def test_no_whole_file_is_an_error(how, tmp_path):
    paths = cut_off(tmp_path)
    assert len(paths) == 2
    for path in paths:
        damage(path, how)
    Moments.n_epochs = 0
    with pytest.raises(ValueError, match=rf"{NEWEST}.*No other checkpoint.*remove the folder"):
        train({}, tmp_path)
    assert Moments.n_epochs == 0
    shutil.rmtree(paths[0].parent)
    assert_same(train({}, tmp_path), train())


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk(call, tmp_path, monkeypatch):
    paths = cut_off(tmp_path)
    contents = [path.read_bytes() for path in paths]

    def fail(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(OSError, match="Could not write .*No space left") as info:
            train({}, tmp_path)
    assert info.value.errno == errno.ENOSPC
    assert "untouched" in str(info.value)
    assert [path.read_bytes() for path in paths] == contents
    assert sorted(paths[0].parent.iterdir()) == paths
    assert_same(train({}, tmp_path), train())


LIMITED = """
import resource, sys
import _killed_training

resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
try:
    _killed_training.train(sys.argv[1])
except OSError as error:
    print(error)
"""


@POSIX
@pytest.mark.slow
def test_file_that_may_not_grow_so_large(tmp_path):
    error = run(LIMITED, tmp_path)  # the history outgrows the limit in the course of the training
    assert re.match(r"\[Errno 27\] Could not write .* is untouched\.", error)
    assert len(files(tmp_path)) == 2
    assert not list(tmp_path.rglob("*.tmp"))
    ours = finish_here(tmp_path, tmp_path / "ours")
    assert_ends_alike(ours, finish_here(None, tmp_path / "theirs"))


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="Could not make the folder"):
        train({}, tmp_path / "file")


# ---------------------------------------------------------------------- what is refused


class Stateless(Callback):
    pass


class StatelessStop(EarlyStopping):
    """Learns what nobody knows of."""


class OddState(Stateless):
    def state_dict(self):
        return {"net": [object()]}

    def load_state_dict(self, state):
        pass


@pytest.mark.parametrize("callback", [Stateless(), StatelessStop("train_loss")])
def test_callback_without_state_is_an_error_before_training(callback, tmp_path):
    message = f"state_dict.*'callback 0' of type {type(callback).__name__}"
    with pytest.raises(TypeError, match=message):
        train(with_callbacks(callback), tmp_path / "new")
    assert Moments.n_epochs == 0
    assert not (tmp_path / "new").exists()


def test_state_that_only_pickle_could_write_is_an_error(tmp_path):
    message = re.escape("got object in state['callbacks']['callback 0']['net'][0]")
    with pytest.raises(TypeError, match=message):
        train(with_callbacks(OddState()), tmp_path)
    assert not files(tmp_path)
    assert not list(tmp_path.rglob("*.tmp"))


def test_nothing_is_unpickled(tmp_path, monkeypatch):
    cut_off(tmp_path, CASES["EarlyStopping"])

    def fail(*args, **kwargs):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(torch, "load", fail)
        patch.setattr("pickle.load", fail)
        patch.setattr("pickle.loads", fail)
        train(CASES["EarlyStopping"], tmp_path)


def test_generator_of_ones_own_is_an_error(tmp_path):
    generator = torch.Generator()
    sampler = torch.utils.data.RandomSampler(X, generator=generator)
    for given in ({"generator": generator}, {"sampler": sampler, "shuffle": False}):
        settings = {f"iterator_train__{name}": value for name, value in given.items()}
        with pytest.raises(
            ValueError, match="iterator_train__.* must have no generator of its own"
        ):
            train(settings, tmp_path)


def test_split_that_differs_each_time_is_kept(tmp_path):
    random_split = {"train_split": ValidSplit(0.3)}
    cut_off(tmp_path, random_split)
    *_, path = files(tmp_path)
    rows = read_state(path, KIND)["split"]
    net = train(random_split, tmp_path)
    again = read_state(files(tmp_path)[-1], KIND)["split"]
    np.testing.assert_array_equal(np.concatenate(rows), np.concatenate(again))
    assert len(net.history) == MAX_EPOCHS
    seeded_split = {"train_split": ValidSplit(0.3, random_state=0)}
    cut_off(tmp_path / "seeded", seeded_split)
    assert_same(train(seeded_split, tmp_path / "seeded"), train(seeded_split))


@pytest.mark.parametrize(
    ("parameter", "value", "message"),
    [
        ("every", 0, "every must be an integer >= 1"),
        ("every", 1.5, "every must be an integer"),
        ("keep", 1, "keep must be an integer >= 2"),
        ("keep", "all", "keep must be an integer"),
        ("folder", 5, "dirname must be a path, got 5"),
        ("start_from", 5, "start_from must be a path or None, got 5"),
        ("sink", 5, "sink must be callable, got 5"),
    ],
)
def test_invalid_parameters(parameter, value, message, tmp_path):
    with pytest.raises((ValueError, TypeError), match=message):
        train({}, **({"folder": tmp_path} | {parameter: value}))
    assert Moments.n_epochs == 0


@pytest.mark.parametrize(
    ("checkpoint", "epochs"),
    [
        ({}, [7, 8]),
        ({"keep": 3}, [6, 7, 8]),
        ({"keep": None}, [1, 2, 3, 4, 5, 6, 7, 8]),
        ({"every": 3}, [6, 8]),
        ({"every": 3, "keep": None}, [3, 6, 8]),
        ({"every": 100}, [8]),
    ],
)
def test_every_and_keep(checkpoint, epochs, tmp_path):
    train({}, tmp_path, **checkpoint)
    assert [path.name for path in files(tmp_path)] == [f"epoch-{n:05}.safetensors" for n in epochs]


# ---------------------------------------------------------------------- branches


class ChangeAt(Callback):
    """Changes the loss of an undisturbed training, as a branch does."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 4:
            net._use_loss(beta=0.5)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def without_callbacks(net):
    everything = result(net)
    return {name: everything[name] for name in ("module", "optimizer", "history", "criterion")}


def test_branch_with_another_beta(tmp_path):
    *_, path = cut_off(tmp_path)
    ours = train({"beta": 0.5}, tmp_path, start_from=path)
    theirs = train(with_callbacks(ChangeAt()))
    assert without_callbacks(ours) == without_callbacks(theirs)
    assert path.exists()
    assert len({file.parent for file in files(tmp_path)}) == 2


def test_branch_with_deferred_reweighting(tmp_path):
    settings = with_callbacks(DeferredReweighting(3), beta=0.9)
    *_, path = cut_off(tmp_path, {"beta": 0})
    ours, theirs = train(settings, tmp_path, start_from=path), train(settings)
    for net in (ours, theirs):  # the branch's first epochs are of a net without the callback
        for row in net.history:
            row.pop("event_loss", None)
    assert without_callbacks(ours) == without_callbacks(theirs)


def test_branch_that_was_cut_off_goes_on(tmp_path):
    *_, path = cut_off(tmp_path)
    train({"beta": 0.5}, tmp_path, end=("batch", 6), start_from=path)
    Moments.n_epochs = 0
    ours = train({"beta": 0.5}, tmp_path, start_from=path)
    assert Moments.n_epochs == MAX_EPOCHS - 4
    assert without_callbacks(ours) == without_callbacks(train(with_callbacks(ChangeAt())))


@pytest.mark.parametrize(
    "settings",
    [{"module": None}, SGD, {"optimizer__param_groups": [("head*", {"lr": 0.1})]}],
)
def test_branch_from_another_module_or_optimizer_is_an_error(settings, tmp_path):
    *_, path = cut_off(tmp_path)
    with pytest.raises(
        ValueError, match="start_from must be a checkpoint of the same module.*not fit: [^\n]*$"
    ):
        train(settings, tmp_path, start_from=path)


def test_branch_has_settings_of_its_own(tmp_path):
    def stepping(lr, step_size):
        return with_callbacks(LRScheduler(lr_scheduler.StepLR, step_size=step_size), lr=lr)

    *_, path = cut_off(tmp_path, stepping(0.1, 100))
    net = train(stepping(0.01, 2), tmp_path, start_from=path)
    n_epochs = MAX_EPOCHS - 4
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(0.01 * 0.1 ** (n_epochs // 2))

    def stopping(**settings):
        return with_callbacks(EarlyStopping("train_loss", patience=1, threshold=0.9), **settings)

    net = train(stopping(), tmp_path / "stopped")
    assert len(net.history) == 2
    *_, path = files(tmp_path / "stopped")
    net = train(stopping(beta=0.5), tmp_path, start_from=path)
    assert len(net.history) == 3


class Typed(nn.Module):
    def __init__(self, n_features, n_classes, scale=1.0):
        super().__init__()
        self.head, self.scale = nn.Linear(n_features, n_classes), scale

    def forward(self, x, times=1.0):
        return self.scale * times * self.head(x)


def test_a_part_may_hold_the_whole(tmp_path):
    torch.manual_seed(0)
    module = Typed(5, 3)
    module.head.whole = [module]
    names = {folder_of(tmp_path, {"module": module}) for _ in range(2)}
    assert len(names) == 1
    module.head.whole.append("more")
    assert folder_of(tmp_path, {"module": module}) not in names


def test_what_shows_in_no_parameter_names_another_folder(tmp_path):
    torch.manual_seed(0)
    one, other = Typed(5, 3), Typed(5, 3, scale=50.0)
    other.load_state_dict(one.state_dict())
    names = [folder_of(tmp_path, {"module": module}) for module in (one, other)]
    for scale in (1.0, 2.0):
        times = {"call": lambda net, scale=scale: net.fit(X, Y, times=scale), "module": Typed}
        names.append(folder_of(tmp_path, times))
    for body in ("x", "-x"):  # as typed into a notebook: there is no source
        typed = {"nn": nn, "__name__": "__main__"}
        exec(
            "class Cell(nn.Module):\n"
            "    def __init__(self, n_features, n_classes):\n"
            "        super().__init__()\n"
            "        self.head = nn.Linear(n_features, n_classes)\n"
            f"    def forward(self, x):\n        return self.head({body})\n",
            typed,
        )
        names.append(folder_of(tmp_path, {"module": typed["Cell"]}))
    assert len(set(names)) == len(names)


def test_parameters_that_are_not_finite_are_never_kept(tmp_path):
    settings = with_callbacks(Spoils())
    for _ in range(2):
        Spoils.active = True
        with pytest.raises(FloatingPointError, match="after batch . of epoch 3"):
            train(settings, tmp_path)
    assert files(tmp_path)[-1].name == "epoch-00002.safetensors"
    Spoils.active = False
    assert_same(train(settings, tmp_path), train(settings))


class Spoils(Callback):
    """Spoil the gradient of the last batch of the third epoch."""

    active = False

    def on_grad_computed(self, net, **kwargs):
        is_last = len(net.history[-1]["batches"]) == net._call.n_batches
        if self.active and len(net.history) == 3 and is_last:
            net.module_.head.weight.grad.fill_(torch.nan)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def test_branch_is_taken_once(tmp_path):
    *_, path = files(tmp_path) or cut_off(tmp_path)

    def twice(net):
        return net.fit(X, Y).partial_fit(X, Y)

    net = train({"call": twice}, tmp_path / "twice", start_from=path)
    assert len(net.history) == 2 * MAX_EPOCHS
    with pytest.raises(ValueError, match="max_epochs must be above the . epochs .*got 2"):
        train({"max_epochs": 2}, tmp_path, start_from=path)


def test_numpys_numbers_name_the_same_folder(tmp_path):
    names = {folder_of(tmp_path, {"lr": kind(0.5)}) for kind in (float, np.float64)}
    assert len(names) == 1


def test_a_checkpoint_says_where_training_goes_on(tmp_path):
    said = []
    settings = {"verbose": 1, "callbacks__print_log": None}
    train(settings, tmp_path, end=("epoch end", 3), sink=said.append)
    train(settings, tmp_path, sink=said.append)
    assert [text.split(str(tmp_path))[0] for text in said] == [
        "Starting in ",
        "Going on after epoch 2, from ",
    ]


def test_another_process_with_the_same_training_may_be_further(tmp_path):
    theirs = train({}, tmp_path)
    *_, last = files(tmp_path)
    further = last.with_name("epoch-00099.safetensors")
    further.write_bytes(last.read_bytes())
    for path in files(tmp_path)[:-1]:
        path.unlink()
    checkpoint = dict(theirs.callbacks_)["checkpoint"]
    theirs.set_params(max_epochs=MAX_EPOCHS)
    checkpoint.on_epoch_end(theirs)
    assert [path.name for path in files(tmp_path)] == [last.name, further.name]


def test_branch_from_what_is_no_checkpoint_is_an_error(tmp_path):
    path = tmp_path / "epoch-00001.safetensors"
    path.write_text("foreign")
    with pytest.raises(ValueError, match=f"{path.name} must be a whole file of kind"):
        train({}, tmp_path / "new", start_from=path)
    with pytest.raises(FileNotFoundError, match="missing"):
        train({}, tmp_path / "new", start_from=tmp_path / "missing")


def test_libraries_are_known_wherever_they_are_installed(monkeypatch):
    monkeypatch.setattr(_fingerprint, "LIBRARIES", ())  # as where torch is a system's
    if "site-packages" in torch.__file__:
        assert _fingerprint._is_of_a_library(torch.optim.Adam)
    monkeypatch.setattr(_fingerprint, "SITES", frozenset())  # as where it is in any folder
    assert not _fingerprint._is_of_a_library(torch.optim.Adam)
    names = {kind: fingerprint(kind) for kind in (torch.optim.Adam, torch.optim.SGD)}
    assert len(set(names.values())) == 2


@pytest.mark.parametrize("wrap", [classmethod, staticmethod])
def test_wrapped_functions_are_told_apart_by_their_code(wrap):
    one, other = (type("Kind", (), {"make": wrap(f)}) for f in (lambda *a: 1, lambda *a: 2))
    assert fingerprint(one) != fingerprint(other)


def test_classes_may_hold_what_is_built_in():
    kind = type("Kind", (), {"__init__": object.__init__, "of": classmethod(GenericAlias)})
    assert fingerprint(kind) == fingerprint(kind)
    assert fingerprint(kind) != fingerprint(type("Kind", (), {"__init__": object.__repr__}))


# ---------------------------------------------------------------------- subclasses


def make_child(label):
    class Child(CBNeuralNetClassifier):
        """Nets are used by inheritance in skorch."""

        once = functools.cached_property(lambda self: label)

        def get_loss(self, *args, **kwargs):
            return super().get_loss(*args, **kwargs)

    return Child


def make_rescaled():
    class Child(CBNeuralNetClassifier):
        def get_loss(self, *args, **kwargs):
            return 2 * super().get_loss(*args, **kwargs)

    return Child


def test_subclasses_of_the_net_go_on(tmp_path):
    def fit(kind, max_epochs):
        net = kind(module=Net, max_epochs=max_epochs, random_state=0, device="cpu")
        return net.set_params(callbacks=[TrainingCheckpoint(tmp_path)]).fit(X, Y)

    whole, again = fit(make_child(1), 3), fit(make_child(1), 3)
    assert again.history[:, "dur"] == whole.history[:, "dur"]  # nothing was trained again
    assert_same(again, whole)
    fit(make_rescaled(), 3)
    assert len(list(tmp_path.iterdir())) == 2
