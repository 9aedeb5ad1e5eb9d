"""What works with skorch's NeuralNetClassifier works here, and gives the same numbers."""

import copy
import inspect
import pickle
import tracemalloc
from functools import partial

import numpy as np
import optuna
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, VotingClassifier
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_predict, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier, callbacks, toy
from skorch.dataset import Dataset, ValidSplit, unpack_data
from skorch.exceptions import SkorchTrainingImpossibleError
from skorch.helper import SliceDataset, SliceDict, predefined_split
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, Subset, TensorDataset

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import (
    BatchLoader,
    DeferredReweighting,
    LearningRateSchedule,
    LossChange,
    RefitHead,
    TrainingCheckpoint,
)

rng = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], [140, 45, 15])
X = (rng.normal(size=(200, 5)) + np.eye(3, 5)[Y] * 2).astype(np.float32)
NAMES = np.array(["ant", "bee", "cat"])[Y]
RTOL = {"float32": 1e-6, "float64": 1e-12}


class Net(nn.Module):
    def __init__(self, n_features=5, n_classes=3, dropout=0.5):
        super().__init__()
        self.body = nn.Linear(n_features, 8)
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(8, n_classes)

    def forward(self, x):
        return self.last(self.dropout(self.body(x).relu()))


class Scaled(Net):
    def forward(self, x, scale=1.0, groups=None):
        return scale * super().forward(x)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(3, 2)
        self.body = Net(7)

    def forward(self, numbers, code):
        return self.body(torch.cat([numbers, self.embedding(code)], dim=1))


class InAList(TwoInputs):
    def forward(self, both):
        numbers, code = both
        return super().forward(numbers, code[:, 0])


class Theirs(NeuralNetClassifier):
    """skorch's net, in double precision if asked and started as ours starts."""

    def __init__(
        self, *args, dtype="float32", random_state=0, criterion=nn.CrossEntropyLoss, **kwargs
    ):
        self.dtype = dtype
        self.random_state = random_state
        super().__init__(*args, criterion=criterion, **kwargs)

    def initialize_module(self):
        super().initialize_module()
        self.module_ = self.module_.to(getattr(torch, self.dtype))
        return self

    def fit(self, X, y=None, **fit_params):
        seed = np.random.RandomState(self.random_state).randint(np.iinfo(np.int32).max)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return super().fit(X, y, **fit_params)


SHARED = {
    "module": Net,
    "max_epochs": 3,
    "batch_size": 48,
    "optimizer": torch.optim.SGD,
    "lr": 0.1,
    "iterator_train__shuffle": True,
    "train_split": ValidSplit(5, stratified=True),
    "verbose": 0,
    "device": "cpu",
}


def make_ours(kind=CBNeuralNetClassifier, **parameters):
    return kind(**(SHARED | {"beta": 0, "random_state": 0} | parameters))


def make_theirs(kind=Theirs, **parameters):
    return kind(**(SHARED | parameters))


def both(**parameters):
    """Return our net and skorch's. Callbacks are copied, as they would learn from both."""
    return make_ours(**copy.deepcopy(parameters)), make_theirs(**copy.deepcopy(parameters))


def both_of(change, **parameters):
    """Return the same subclass of our net and of skorch's."""
    kinds = (type(kind.__name__, (change, kind), {}) for kind in (CBNeuralNetClassifier, Theirs))
    ours, theirs = kinds
    return make_ours(ours, **copy.deepcopy(parameters)), make_theirs(theirs, **parameters)


def assert_same_row(ours, theirs, rtol):
    extra = {"valid_acc", "valid_acc_best"}
    assert theirs.keys() - extra <= ours.keys()
    for name in theirs.keys() - extra - {"dur", "batches"}:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=rtol, err_msg=name)
    for our_batch, their_batch in zip(
        ours.get("batches", []), theirs.get("batches", []), strict=True
    ):
        assert our_batch.keys() == their_batch.keys()
        assert_same_row(our_batch, their_batch, rtol)


def assert_same_training(ours, theirs, rtol=1e-6):
    assert len(theirs.history) == len(ours.history) > 0
    for our_row, their_row in zip(ours.history, theirs.history, strict=True):
        assert_same_row(our_row, their_row, rtol)
    assert_same_parameters(ours, theirs, rtol)


def assert_same_parameters(ours, theirs, rtol=1e-6):
    pairs = zip(ours.module_.named_parameters(), theirs.module_.named_parameters(), strict=True)
    for (name, our), (their_name, their) in pairs:
        assert name == their_name
        torch.testing.assert_close(our, their, rtol=rtol, atol=rtol)


# ------------------------------------------------------------------ the same training


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize(
    "optimizer",
    [
        {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9},
        {"optimizer": torch.optim.Adam, "lr": 0.01},
        {"optimizer": torch.optim.LBFGS, "optimizer__max_iter": 3},
    ],
    ids=["SGD", "Adam", "LBFGS"],
)
def test_the_same_training_as_skorch(dtype, optimizer):
    ours, theirs = both(dtype=dtype, **optimizer)
    assert_same_training(ours.fit(X.astype(dtype), Y), theirs.fit(X.astype(dtype), Y), RTOL[dtype])
    sizes = [row["train_batch_size"] for row in ours.history[-1]["batches"][:4]]
    assert sizes == [48, 48, 48, 16]


@pytest.mark.parametrize("dtype", RTOL)
@pytest.mark.parametrize("module", [TwoInputs, InAList])
def test_the_same_training_on_several_inputs(dtype, module):
    numbers = X.astype(dtype)
    inputs = {"numbers": numbers, "code": Y} if module is TwoInputs else [numbers, Y[:, None]]
    ours, theirs = both(module=module, dtype=dtype)
    assert_same_training(ours.fit(inputs, Y), theirs.fit(inputs, Y), RTOL[dtype])
    np.testing.assert_allclose(ours.predict_proba(inputs), theirs.predict_proba(inputs), rtol=1e-5)


class Look(callbacks.Callback):
    """Look at the loss of each batch while the epoch runs."""

    def on_train_begin(self, net, **kwargs):
        self.seen = []

    def on_batch_end(self, net, training, **kwargs):
        name = "train_loss" if training else "valid_loss"
        self.seen.append(net.history[-1, "batches", -1, name])


@pytest.mark.parametrize("dtype", RTOL)
def test_who_looks_at_each_batch_changes_nothing(dtype):
    blind = make_ours(dtype=dtype).fit(X, Y)
    look = Look()
    seeing = make_ours(dtype=dtype, callbacks=[("look", look)]).fit(X, Y)
    assert_same_training(seeing, blind, rtol=0)
    assert [*blind.history[0]] == [*seeing.history[0]]
    seen = [
        row.get("train_loss", row.get("valid_loss"))
        for epoch in seeing.history
        for row in epoch["batches"]
    ]
    assert dict(seeing.callbacks_)["look"].seen == seen


@pytest.mark.parametrize(
    "parameters",
    [
        {"batch_size": -1},
        {"iterator_train__drop_last": True},
        {"iterator_train__batch_size": 30, "iterator_valid__batch_size": 7},
        {"iterator_train__shuffle": False},
        {"train_split": None},
        {"train_split": ValidSplit(0.3, stratified=True, random_state=0)},
        {"train_split": ValidSplit(3)},
        {"optimizer__param_groups": [("body*", {"lr": 0.01})], "optimizer__momentum": 0.5},
        {"callbacks": "disable"},
        {"module": toy.make_classifier(None, input_units=5, output_units=3, dropout=0.5)},
        {"criterion": nn.CrossEntropyLoss, "criterion__label_smoothing": 0.1},
        {"criterion": nn.NLLLoss, "module": toy.make_classifier(input_units=5, output_units=3)},
        {"predict_nonlinearity": None},
        {"predict_nonlinearity": torch.sigmoid},
        {"use_caching": False, "max_epochs": 1},
        {"iterator_train": DataLoader, "iterator_valid": DataLoader, "dataset": Dataset},
        {"iterator_train__num_workers": 2, "max_epochs": 1, "iterator_valid__num_workers": 2},
        {"max_epochs": 0, "train_split": None},
        {"optimizer": partial(torch.optim.SGD, momentum=0.5)},
        {"lr": 0},
        {"lr": torch.tensor(0.1)},
        {"lr": None, "optimizer__lr": 0.1},
        {"train_split": False, "callbacks": ()},
        {"callbacks": [("none", None), None, ("timer", callbacks.EpochTimer)]},
        {"criterion": nn.CrossEntropyLoss(label_smoothing=0.1)},
        {"criterion": lambda: nn.functional.cross_entropy},
        {"module": partial(Net, dropout=0.1)},
        {"module": Net(dropout=0.1)},
    ],
    ids=lambda parameters: "-".join(parameters),
)
def test_the_same_training_with(parameters):
    ours, theirs = both(**parameters)
    if parameters.get("criterion"):
        ours.set_params(beta=None)
    ours.fit(X, Y), theirs.fit(X, Y)
    if parameters.get("max_epochs") != 0:
        assert_same_training(ours, theirs)
    assert_same_parameters(ours, theirs)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))


def test_a_loader_that_is_a_plain_function():
    def load(dataset, batch_size, **kwargs):
        return [dataset[slice(start, start + batch_size)] for start in range(0, 160, batch_size)]

    class Rows(Dataset):
        def transform(self, X, y):
            return torch.as_tensor(X), torch.as_tensor(0 if y is None else y)

    ours, theirs = both(
        iterator_train=load, iterator_valid=load, train_split=None, dataset=Rows, batch_size=40
    )
    assert_same_training(ours.fit(X, Y), theirs.fit(X, Y))
    assert ours.predict(X).shape == (160,)


def test_fit_params_reach_forward_and_split():
    groups = np.arange(200) % 7
    ours, theirs = both(module=Scaled, train_split=ValidSplit(GroupKFold(4)))
    with pytest.raises(TypeError, match="scale"):
        ours.fit(X, Y, scale=3.0, groups=groups)
    assert_same_training(ours.fit(X, Y, groups=groups), theirs.fit(X, Y, groups=groups))
    ours, theirs = both(module=Scaled, train_split=None)
    assert_same_training(ours.fit(X, Y, scale=3.0), theirs.fit(X, Y, scale=3.0))
    for net in (ours.set_params(random_state=None), theirs):
        torch.manual_seed(1)
        net.partial_fit(X, Y, scale=0.5)
    assert_same_training(ours, theirs)


# ------------------------------------------------------------------ callbacks


CALLBACKS = {
    "EpochScoring": lambda: callbacks.EpochScoring("f1_macro", lower_is_better=False),
    "EpochScoring train": lambda: callbacks.EpochScoring(
        "accuracy", name="train_acc", on_train=True, lower_is_better=False
    ),
    "EpochScoring function": lambda: callbacks.EpochScoring(mean_proba, name="proba"),
    "BatchScoring": lambda: callbacks.BatchScoring("accuracy", lower_is_better=False),
    "BatchScoring train": lambda: callbacks.BatchScoring(
        "accuracy", name="train_acc", on_train=True, lower_is_better=False
    ),
    "PassthroughScoring": lambda: callbacks.PassthroughScoring("train_batch_size", on_train=True),
    "EarlyStopping": lambda: callbacks.EarlyStopping(
        patience=2, threshold=10.0, threshold_mode="abs", load_best=True, sink=ignore
    ),
    "LRScheduler": lambda: callbacks.LRScheduler("StepLR", step_size=1, gamma=0.5),
    "LRScheduler batch": lambda: callbacks.LRScheduler(
        torch.optim.lr_scheduler.OneCycleLR, max_lr=0.5, total_steps=30, step_every="batch"
    ),
    "LRScheduler plateau": lambda: callbacks.LRScheduler(
        "ReduceLROnPlateau", monitor="valid_loss", patience=0, threshold=10.0
    ),
    "WarmRestartLR": lambda: callbacks.LRScheduler(
        callbacks.WarmRestartLR, min_lr=0.01, max_lr=0.5, base_period=2
    ),
    "GradientNormClipping": lambda: callbacks.GradientNormClipping(0.1),
    "Freezer": lambda: callbacks.Freezer("body.*"),
    "Unfreezer": lambda: [
        ("freeze", callbacks.Freezer("body.*")),
        ("unfreeze", callbacks.Unfreezer("body.*", at=3)),
    ],
    "Initializer": lambda: callbacks.Initializer("*.weight", fn=nn.init.ones_),
    "ParamMapper": lambda: callbacks.ParamMapper(
        "last.weight", fn=halve, schedule=every_second_epoch
    ),
    "ProgressBar": lambda: callbacks.ProgressBar(detect_notebook=False),
    "PrintLog": lambda: callbacks.PrintLog(sink=ignore),
    "EpochTimer": lambda: ("timer", callbacks.EpochTimer()),
}


def ignore(text):
    pass


def mean_proba(net, X, y):
    return net.predict_proba(X)[:, 0].mean() + np.unique(y).size


def halve(parameter):
    with torch.no_grad():
        parameter.mul_(0.5)


def every_second_epoch(net):
    return halve if len(net.history) % 2 else callbacks.ParamMapper


@pytest.mark.parametrize("name", CALLBACKS)
def test_callbacks_do_what_they_do_in_skorch(name):
    given = CALLBACKS[name]()
    given = given if isinstance(given, list) else [given]
    ours, theirs = both(callbacks=given, max_epochs=5)
    assert_same_training(ours.fit(X, Y), theirs.fit(X, Y))
    by_name = make_ours(callbacks=copy.deepcopy(given), max_epochs=5).fit(X, NAMES)
    assert_same_training(by_name, ours)  # scores, too: they see the labels


@pytest.mark.parametrize(
    "callback",
    [
        LearningRateSchedule(),
        LossChange(),
        DeferredReweighting(),
        RefitHead(),
        TrainingCheckpoint("folder"),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_our_callbacks_name_the_net_that_they_are_for(callback):
    message = f"^{type(callback).__name__} must belong to a CBNeuralNetClassifier, got a Theirs"
    with pytest.raises(TypeError, match=message):
        make_theirs(callbacks=[callback]).fit(X, Y)


@pytest.mark.parametrize("labels", [Y, NAMES], ids=["int", "str"])
def test_a_score_without_cached_predictions(labels):
    """Predicting in between draws no random numbers here, so that training is the same."""
    cached, not_cached = (
        callbacks.EpochScoring("neg_log_loss", use_caching=caching, lower_is_better=False)
        for caching in (True, False)
    )
    expected = make_ours(callbacks=[cached]).fit(X, Y)
    assert_same_training(make_ours(callbacks=[not_cached]).fit(X, labels), expected)
    theirs = make_theirs(callbacks=[not_cached], max_epochs=1).fit(X, Y)
    assert_same_row(expected.history[0], theirs.history[0], 1e-6)


def test_early_stopping_may_watch_a_score_of_strings():
    stop = callbacks.EarlyStopping(
        "accuracy", lower_is_better=False, patience=2, threshold=1.0, sink=ignore
    )
    score = callbacks.EpochScoring("accuracy", name="accuracy", lower_is_better=False)
    net = make_ours(max_epochs=9, callbacks=[score, stop]).fit(X, NAMES)
    assert len(net.history) < 9
    assert max(net.history[:, "accuracy"]) <= 1


def test_print_log_writes_to_its_sink():
    lines = []
    make_ours(verbose=1, callbacks__print_log__sink=lines.append).fit(X, Y)
    assert len(lines) == 2 + 3
    assert "valid_balanced_accuracy" in lines[0]


def test_a_default_callback_may_be_replaced_or_left_out():
    net = make_ours(callbacks__valid_balanced_accuracy=None, callbacks__print_log=None).fit(X, Y)
    assert "valid_balanced_accuracy" not in net.history[-1]
    net.set_params(callbacks__epoch_timer=None).fit(X, Y)
    assert "dur" not in net.history[-1]


def test_input_shape_setter():
    setter = callbacks.InputShapeSetter(param_name="n_features")
    wide = np.hstack([X, X])
    ours, theirs = both(callbacks=[setter], module__n_features=1)
    assert_same_training(ours.fit(wide, Y), theirs.fit(wide, Y))
    assert ours.module_.body.in_features == 10


@pytest.mark.parametrize("safe", [False, True])
def test_checkpoint_load_init_state_and_load_best(tmp_path, safe):
    rows = []
    for make, folder in ((make_ours, tmp_path / "ours"), (make_theirs, tmp_path / "theirs")):
        files = {"dirname": folder, "use_safetensors": safe}
        files |= {"f_optimizer": None} if safe else {"f_pickle": "net.pkl"}
        best = callbacks.Checkpoint(monitor=first_epochs, load_best=True, **files)
        net = make(callbacks=[best]).fit(X, Y)
        rows.append(net)
        assert sum(net.history[:, "event_cp"]) == 2
        again = make(callbacks=[callbacks.LoadInitState(best, use_safetensors=safe)])
        assert_same_parameters(make(max_epochs=2).fit(X, Y), net)
        rows.append(again.set_params(random_state=1).fit(X, Y))
        if not safe:
            saved = pickle.loads((folder / "net.pkl").read_bytes())
            np.testing.assert_array_equal(saved.predict(X), net.predict(X))
    assert_same_training(rows[0], rows[2])
    assert_same_training(rows[1], rows[3])


def first_epochs(net):
    return len(net.history) < 3


class Vandal(callbacks.Callback):
    """Another fit, which writes to the same files."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_end(self, net, **kwargs):
        for file in self.folder.iterdir():
            file.write_bytes(b"of another")


@pytest.mark.parametrize("file", ["params.pt", "params_{last_epoch[epoch]}.pt"])
def test_the_best_of_a_fit_is_its_own(tmp_path, file):
    shared, alone = tmp_path / "shared", tmp_path / "alone"
    files = {"monitor": lambda net: len(net.history) == 2, "f_params": file, "load_best": True}
    given = {"max_epochs": 4, "train_split": None}
    checkpoint = callbacks.Checkpoint(dirname=str(shared), **files)
    ours = make_ours(callbacks=[("vandal", Vandal(shared)), checkpoint], **given).fit(X, Y)
    checkpoint = callbacks.Checkpoint(dirname=str(alone), **files)
    theirs = make_theirs(callbacks=[checkpoint], **given).fit(X, Y)
    assert len(ours.history) == len(theirs.history) == 2
    assert_same_training(ours, theirs)
    again = make_ours(**given).initialize()
    again.load_params(f_params=alone / file.format(last_epoch={"epoch": 2}))
    np.testing.assert_allclose(again.forward(X), ours.forward(X), rtol=1e-6)


def test_train_end_checkpoint_and_going_on_from_it(tmp_path):
    rows = []
    for make, folder in ((make_ours, tmp_path / "ours"), (make_theirs, tmp_path / "theirs")):
        end = callbacks.TrainEndCheckpoint(dirname=folder)
        first = make(callbacks=[end]).fit(X, Y)
        load = callbacks.LoadInitState(end)
        rows.append(make(callbacks=[load], max_epochs=2).fit(X, Y))
        assert rows[-1].history[:3] == first.history
        assert len(rows[-1].history) == 3 + 2
    assert_same_training(*rows)


def test_a_checkpoint_is_loaded_into_a_new_net(tmp_path):
    checkpoint = callbacks.Checkpoint(dirname=tmp_path, monitor=None)
    net = make_ours(callbacks=[checkpoint]).fit(X, NAMES)
    again = make_ours(classes=["ant", "bee", "cat"]).initialize()
    again.load_params(checkpoint=checkpoint)
    assert again.history == net.history
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    assert len(again.partial_fit(X, NAMES).history) == 6


class Count(callbacks.Callback):
    """Count what is told."""

    def initialize(self):
        self.told = dict.fromkeys(
            ("train_begin", "train_end", "epoch_begin", "epoch_end", "begin", "end", "grad"), 0
        )
        return self

    def on_train_begin(self, net, X, y, **kwargs):
        self.told["train_begin"] += 1

    def on_train_end(self, net, X, y, **kwargs):
        self.told["train_end"] += 1

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **kwargs):
        self.told["epoch_begin"] += len(dataset_train) - len(dataset_valid)

    def on_epoch_end(self, net, dataset_train, dataset_valid, **kwargs):
        self.told["epoch_end"] += 1

    def on_batch_begin(self, net, batch, training, **kwargs):
        features, target = batch
        self.told["begin"] += len(features) * (1 + training)
        assert torch.is_tensor(target)

    def on_batch_end(self, net, batch, training, loss, y_pred, **kwargs):
        assert loss.ndim == 0
        assert y_pred.shape == (len(batch[1]), 3)
        self.told["end"] += 1

    def on_grad_computed(self, net, named_parameters, batch, training=False, **kwargs):
        assert {name for name, _ in named_parameters} >= {"body.weight", "last.bias"}
        assert all(parameter.grad is not None for _, parameter in named_parameters)
        self.told["grad"] += training


def test_callbacks_are_told_what_skorch_tells():
    ours, theirs = both(callbacks=[("count", Count())])
    told = [dict(net.fit(X, Y).callbacks_)["count"].told for net in (ours, theirs)]
    assert told[0] == told[1]
    assert all(told[0].values())


class GradientSize(callbacks.Callback):
    def on_grad_computed(self, net, named_parameters, **kwargs):
        size = sum(parameter.grad.abs().sum().item() for _, parameter in named_parameters)
        net.history.record_batch("gradient", size)


def test_a_callback_may_record_the_gradients_of_each_batch():
    ours, theirs = both(callbacks=[GradientSize()])
    assert_same_training(ours.fit(X, Y), theirs.fit(X, Y), rtol=1e-5)


class StopAfter(callbacks.Callback):
    def on_batch_end(self, net, training, **kwargs):
        if len(net.history) == 2:
            raise KeyboardInterrupt


def test_an_interrupt_ends_training_as_in_skorch():
    ours, theirs = both(callbacks=[StopAfter()])
    ours.fit(X, Y), theirs.fit(X, Y)
    assert len(ours.history[-1]["batches"]) == len(theirs.history[-1]["batches"]) == 1
    assert_same_parameters(ours, theirs)


class Duck:
    """What skorch asks of a callback, and of what it may be told only some things."""

    def __init__(self):
        self.told = []

    def initialize(self):
        return self

    def get_params(self, deep=True):
        return {}

    def set_params(self, **params):
        return self

    def on_epoch_end(self, net, **kwargs):
        self.told.append("epoch")


class DuckOfBatches(Duck):
    def on_batch_end(self, net, batch, training, loss, y_pred):
        self.told.append(loss.shape)


def test_a_callback_may_have_some_methods_alone():
    plain = make_ours().fit(X, Y)
    assert_same_training(make_ours(callbacks=[duck := Duck()]).fit(X, Y), plain, rtol=0)
    assert duck.told == ["epoch"] * 3
    clip = ("clip", callbacks.GradientNormClipping(1e9))
    of_batches = DuckOfBatches()
    of_batches.on_grad_computed = lambda net, **kwargs: of_batches.told.append("gradient")
    made = make_ours(callbacks=[clip, of_batches]).fit(X, Y)
    assert_same_training(made, plain, rtol=0)
    assert of_batches.told[:3] == ["gradient", (), "gradient"]
    with pytest.raises(ValueError, match="callbacks, which have initialize, get_params and set_p"):
        make_ours(callbacks=[object()]).fit(X, Y)


def test_hooks_of_ones_own_are_notified():
    class Own:
        def get_default_callbacks(self):
            return []

        def on_my_event(self, net, **kwargs):
            pass

        def on_epoch_end(self, net, **kwargs):
            super().on_epoch_end(net, **kwargs)
            self.notify("on_my_event", value=len(net.history))

    class Listen(callbacks.Callback):
        heard = ()

        def on_my_event(self, net, value):
            self.heard = (*self.heard, value)

    for net in both_of(Own, callbacks=[("listen", Listen())]):
        assert dict(net.fit(X, Y).callbacks_)["listen"].heard == (1, 2, 3)


# ------------------------------------------------------------------ subclasses


class PenalisedLoss:
    def get_loss(self, y_pred, y_true, X=None, training=False):
        loss = super().get_loss(y_pred, y_true, X=X, training=training)
        loss += 0.01 * sum(parameter.abs().sum() for parameter in self.module_.parameters())
        return loss


class LossOfOneElement:
    def get_loss(self, y_pred, y_true, *args, **kwargs):
        return super().get_loss(y_pred, y_true, *args, **kwargs).reshape(1)


class NoisyInference:
    def infer(self, x, **fit_params):
        return super().infer(x + torch.randn_like(x), **fit_params)


class OwnSingleStep:
    def train_step_single(self, batch, **fit_params):
        self._set_training(True)
        features, target = unpack_data(batch)
        y_pred = self.infer(features, **fit_params)
        loss = 2 * self.get_loss(y_pred, target, X=features, training=True)
        loss.backward()
        return {"loss": loss, "y_pred": y_pred}


class AddedUpGradients:
    """The recipe of skorch's FAQ, which counts the batches so far by the history."""

    def train_step(self, batch, **fit_params):
        n_batches = len(self.history[-1, "batches"])
        step = self.train_step_single(batch, **fit_params)
        if n_batches % 2 == 0:
            self.optimizer_.step()
            self.optimizer_.zero_grad()
        return step


class Recording:
    """Record something of each batch, as skorch's GAN example does."""

    def train_step(self, batch, **fit_params):
        step = super().train_step(batch, **fit_params)
        self.history.record_batch("largest_logit", step["y_pred"].max().item())
        return step


class LastLoss:
    def get_train_step_accumulator(self):
        class Last:
            def store_step(self, step):
                self.step = step

            def get_step(self):
                return self.step

        return Last()


class OwnValidation:
    def validation_step(self, batch, **fit_params):
        step = super().validation_step(batch, **fit_params)
        return step | {"loss": 2 * step["loss"]}


class OwnEpoch:
    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        self.history.record(f"{prefix}_done", len(self.history))


class OwnBatchEnd:
    def on_batch_end(self, net, batch, training, **kwargs):
        super().on_batch_end(net, batch=batch, training=training, **kwargs)
        self.history.record_batch(
            "seen", self.history[-1, "batches", -1, "train_loss"] if training else 0
        )


class GradientsToNone:
    calls = 0

    def _zero_grad_optimizer(self, set_to_none=None):
        self.calls += 1
        super()._zero_grad_optimizer(set_to_none=True)


class HeardGradients:
    def on_grad_computed(self, net, named_parameters, **kwargs):
        for _, parameter in named_parameters:
            parameter.grad.clamp_(-0.01, 0.01)


class TwoModules:
    """A second module with an optimizer of its own, as in skorch's guide."""

    def initialize_module(self):
        super().initialize_module()
        self.front_ = nn.Linear(5, 5).to(next(self.module_.parameters()).dtype)
        return self

    def initialize_optimizer(self, *args, **kwargs):
        super().initialize_optimizer(*args, **kwargs)
        self.second_ = torch.optim.Adam(self.front_.parameters(), lr=0.01)
        return self

    def infer(self, x, **fit_params):
        return super().infer(self.front_(x), **fit_params)


class NoModuleOfThatName:
    def initialize_module(self):
        self.encoder_ = Net(5, 4)
        self.decoder_ = Net(4, 3)
        return self

    def infer(self, x, **fit_params):
        return self.decoder_(self.encoder_(x))


SUBCLASSES = [
    PenalisedLoss,
    LossOfOneElement,
    NoisyInference,
    OwnSingleStep,
    AddedUpGradients,
    Recording,
    LastLoss,
    OwnValidation,
    OwnEpoch,
    OwnBatchEnd,
    GradientsToNone,
    HeardGradients,
    TwoModules,
]


@pytest.mark.parametrize("change", SUBCLASSES)
def test_subclasses(change):
    ours, theirs = both_of(change)
    assert_same_training(ours.fit(X, Y), theirs.fit(X, Y), rtol=1e-5)
    np.testing.assert_array_equal(ours.predict(X).shape, theirs.predict(X).shape)
    assert getattr(ours, "calls", 0) == getattr(theirs, "calls", 0)


def test_a_net_without_a_module_of_that_name():
    ours, theirs = (net.fit(X, Y) for net in both_of(NoModuleOfThatName))
    for our_row, their_row in zip(ours.history, theirs.history, strict=True):
        assert_same_row(our_row, their_row, 1e-6)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5)


def test_an_accumulator_sees_each_evaluation_of_lbfgs():
    ours, theirs = both_of(LastLoss, optimizer=torch.optim.LBFGS, optimizer__max_iter=3)
    assert_same_training(ours.fit(X, Y), theirs.fit(X, Y))
    first = make_ours(optimizer=torch.optim.LBFGS, optimizer__max_iter=3).fit(X, Y)
    assert first.history[0, "train_loss"] != ours.history[0, "train_loss"]


def test_parameters_of_a_subclass():
    class Penalised(CBNeuralNetClassifier):
        def __init__(self, *args, penalty=0.1, **kwargs):
            self.penalty = penalty
            super().__init__(*args, **kwargs)

        def get_loss(self, *args, **kwargs):
            return super().get_loss(*args, **kwargs) * self.penalty

    net = make_ours(Penalised, penalty=0.0)
    assert clone(net).get_params()["penalty"] == 0
    search = GridSearchCV(net, {"penalty": [0.0, 1.0]}, cv=2, error_score="raise").fit(X, Y)
    assert search.best_params_ == {"penalty": 1.0}


class Extra(Net):
    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        assert state == {"version": 1}


def test_a_module_with_extra_state():
    ours, theirs = both(module=Extra)
    assert_same_training(ours.fit(X, Y), theirs.fit(X, Y))


# ------------------------------------------------------------------ a net at hand


@pytest.mark.parametrize(
    "change",
    [
        {"lr": 0.5},
        {"optimizer__momentum": 0.5},
        {"optimizer__param_groups__0__lr": 0.5},
        {"max_epochs": 1, "batch_size": 10},
        {"module__dropout": 0.1},
        {"train_split": None},
    ],
    ids=lambda change: "-".join(change),
)
def test_set_params_on_a_trained_net(change):
    """Parameters act at once, and training goes on."""
    ours, theirs = both()
    ours.fit(X, Y).set_params(random_state=None)
    theirs.fit(X, Y)
    for net in (ours, theirs):
        torch.manual_seed(0)
        net.set_params(**change)
    assert_same_parameters(ours, theirs)
    for ours_group, theirs_group in zip(
        ours.optimizer_.param_groups, theirs.optimizer_.param_groups, strict=True
    ):
        assert ours_group["lr"] == theirs_group["lr"]
        assert ours_group.get("momentum") == theirs_group.get("momentum")
    for net in (ours, theirs):
        torch.manual_seed(1)
        net.partial_fit(X, Y)
    assert_same_training(ours, theirs)


def test_the_loop_trains_for_max_epochs():
    ours, theirs = both()
    ours.fit(X, Y).fit_loop(X, Y)
    theirs.fit(X, Y).fit_loop(X, Y)
    assert len(ours.history) == len(theirs.history) == 6


def test_a_call_may_have_epochs_of_its_own():
    ours, theirs = both()
    assert_same_training(ours.fit(X, Y, epochs=5), theirs.fit(X, Y, epochs=5))
    assert len(ours.partial_fit(X, Y, epochs=1).history) == 6
    assert len(ours.partial_fit(X, Y, epochs=None).history) == 9
    with pytest.raises(ValueError, match=r"^epochs must be an integer >= 0, got 2\.5"):
        ours.fit(X, Y, epochs=2.5)


def test_steps_by_hand():
    ours, theirs = both(train_split=None)
    losses = []
    ours.set_params(classes=[0, 1, 2])
    for net in (ours, theirs):
        torch.manual_seed(0)
        net.initialize()
        batch = torch.from_numpy(X), torch.from_numpy(Y)
        train = net.train_step(batch)["loss"].item()
        valid = net.validation_step(batch)["loss"].item()
        logits = net.evaluation_step(batch)
        dataset = net.get_dataset(X, Y)
        for _, rows in zip(range(2), net.get_iterator(dataset, training=True), strict=False):
            net.train_step(rows)
        losses.append((train, valid, logits.sum().item(), net.infer(batch[0]).sum().item()))
    np.testing.assert_allclose(*losses, rtol=1e-5)


def test_forward_in_training_mode_keeps_the_order_of_rows():
    """Dropout at prediction; skorch's own net would shuffle only if it were told to."""
    net = make_ours(module__dropout=0.0).fit(X, Y)
    still = net.forward(X)
    torch.testing.assert_close(net.forward(X, training=True), still)
    dropped = make_ours(module__dropout=0.5).fit(X, Y)
    torch.manual_seed(0)
    first, second = (dropped.forward(X, training=True) for _ in range(2))
    assert not torch.equal(first, second)


def test_submodules_come_back_to_training_mode_at_each_step():
    class Freeze(callbacks.Callback):
        def on_epoch_begin(self, net, **kwargs):
            net.module_.dropout.eval()

    ours, theirs = both(callbacks=[Freeze()])
    assert_same_training(ours.fit(X, Y), theirs.fit(X, Y))


@pytest.mark.parametrize("safe", [False, True])
def test_parameters_are_saved_and_loaded(tmp_path, safe):
    files = {"f_params": "net", "f_criterion": "criterion", "f_history": "history.json"}
    files |= {} if safe else {"f_optimizer": "optimizer"}
    files = {name: tmp_path / file for name, file in files.items()}
    parameters = {"beta": 0.9, "optimizer": torch.optim.Adam}
    net = make_ours(**parameters).fit(X, NAMES)
    net.save_params(use_safetensors=safe, **files)
    again = make_ours(classes=["ant", "bee", "cat"], **parameters).initialize()
    again.load_params(use_safetensors=safe, **files)
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(again.predict(X), net.predict(X))
    torch.testing.assert_close(again.criterion_.weight, net.criterion_.weight)
    assert again.history == net.history
    if not safe:
        steps = [n.optimizer_.state_dict()["state"] for n in (net, again)]
        torch.testing.assert_close(*steps)
        for one in (net, again):
            one.set_params(random_state=None)
            torch.manual_seed(0)
            one.fit_loop(X, Y, epochs=2)
        assert_same_training(again, net, rtol=0)


def test_files_of_skorch_are_loaded_and_the_other_way_round(tmp_path):
    ours, theirs = both(optimizer=torch.optim.Adam)
    for one, other in ((ours, theirs), (theirs, ours)):
        one.fit(X, Y).save_params(f_params=tmp_path / "net", f_optimizer=tmp_path / "optimizer")
        given = {"classes": [0, 1, 2]} if other is ours else {}
        fresh = clone(other).set_params(**given).initialize()
        fresh.load_params(f_params=tmp_path / "net", f_optimizer=tmp_path / "optimizer")
        np.testing.assert_allclose(fresh.predict_proba(X), one.predict_proba(X), rtol=1e-5)


def test_copies_go_on_alike():
    net = make_ours(optimizer=torch.optim.Adam, callbacks=[callbacks.LRScheduler()]).fit(X, NAMES)
    copies = [pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    net.partial_fit(X, NAMES)
    for again in copies:
        assert_same_training(again.partial_fit(X, NAMES), net, rtol=0)


def test_trim_for_prediction():
    net = make_ours().fit(X, NAMES)
    expected = net.predict_proba(X)
    net.trim_for_prediction()
    np.testing.assert_array_equal(net.predict_proba(X), expected)
    with pytest.raises(SkorchTrainingImpossibleError, match="trimmed"):
        net.fit(X, NAMES)


@pytest.mark.filterwarnings("ignore")  # the compiler warns of much in torch itself
def test_compiled():
    ours, theirs = both(compile=True, compile__backend="eager")
    assert_same_training(ours.fit(X, Y), theirs.fit(X, Y))
    assert hasattr(ours.module_, "_orig_mod")
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5)
    again = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(again.predict(X), ours.predict(X))


def test_export():
    net = make_ours().fit(X, Y)
    batch = torch.export.Dim("batch")
    exported = torch.export.export(
        net.module_.eval(), (torch.from_numpy(X[:7]),), dynamic_shapes=({0: batch},)
    )
    logits = exported.module()(torch.from_numpy(X))
    torch.testing.assert_close(logits.detach(), net.forward(X))


# ------------------------------------------------------------------ where data come from


def test_a_predefined_split():
    dataset = TensorDataset(torch.from_numpy(X[1::2]), torch.from_numpy(Y[1::2]))
    for given in (dataset, Dataset(X[1::2], Y[1::2])):
        ours, theirs = both(train_split=predefined_split(given))
        assert_same_training(ours.fit(X[::2], Y[::2]), theirs.fit(X[::2], Y[::2]))
    named = make_ours(train_split=predefined_split(Dataset(X[1::2], NAMES[1::2])))
    assert_same_training(named.fit(X[::2], NAMES[::2]), ours)


def test_validation_data_through_a_pipeline():
    with sklearn.config_context(enable_metadata_routing=True):
        net = make_ours().set_fit_request(X_val=True, y_val=True)
        pipeline = Pipeline([("scale", StandardScaler()), ("net", net)], transform_input=["X_val"])
        pipeline.fit(X[::2] * 9, NAMES[::2], X_val=X[1::2] * 9, y_val=NAMES[1::2])
    scaled = StandardScaler().fit(X[::2] * 9).transform(X * 9)
    split = predefined_split(Dataset(scaled[1::2], Y[1::2]))
    theirs = make_theirs(train_split=split).fit(scaled[::2], Y[::2])
    assert_same_training(pipeline[-1], theirs)


@pytest.mark.skipif(
    "RequestMethod" in str(inspect.getattr_static(CBNeuralNetClassifier, "set_fit_request")),
    reason="older versions of scikit-learn make this method for each class, and lose skorch's",
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_arguments_of_forward_and_split_are_routed(method):
    groups = np.arange(200) % 7
    with sklearn.config_context(enable_metadata_routing=True):
        split = ValidSplit(GroupKFold(4).set_split_request(groups=True))
        for net in both(module=Scaled, train_split=split):
            request = getattr(net, f"set_{method}_request")
            request(scale=True, groups=True)
            getattr(net, method)(X, Y, scale=3.0, groups=groups)
            assert net.history[-1, "valid_batch_count"] > 0


class WithTargets(TensorDataset):
    @property
    def targets(self):
        return self.tensors[1].tolist()


class WithY(TensorDataset):
    @property
    def y(self):
        return self.tensors[1].numpy()


class Silent(torch.utils.data.Dataset):
    """Tell no labels but with the rows."""

    def __init__(self, features=X, target=Y):
        self.features, self.target = features, target
        self.n_read = 0

    def __len__(self):
        return len(self.features)

    def __getitem__(self, row):
        self.n_read += 1
        return self.features[row], self.target[row]


PAIR = torch.from_numpy(X), torch.from_numpy(Y)
ODD, EVEN = np.arange(1, 200, 2), np.arange(0, 200, 2)
DATASETS = {
    "TensorDataset": lambda: TensorDataset(*PAIR),
    "targets": lambda: WithTargets(*PAIR),
    "y": lambda: WithY(*PAIR),
    "Subset": lambda: Subset(WithTargets(*PAIR), np.arange(200)),
    "Subset of a Subset": lambda: Subset(Subset(TensorDataset(*PAIR), range(200)), [*range(200)]),
    "ConcatDataset": lambda: ConcatDataset(
        [TensorDataset(PAIR[0][:50], PAIR[1][:50]), Silent(PAIR[0][50:], PAIR[1][50:])]
    ),
    "neither": Silent,
    "skorch's": lambda: Dataset(X, Y),
}


@pytest.mark.parametrize("name", DATASETS)
@pytest.mark.parametrize("with_y", [False, True])
def test_datasets(name, with_y):
    dataset = DATASETS[name]()
    y = Y if with_y else None
    split = None if y is None else SHARED["train_split"]
    ours, theirs = both(train_split=split)
    # skorch finds no labels in a Subset of a Subset.
    assert_same_training(ours.fit(dataset, y), theirs.fit(dataset, Y if "of" in name else y))
    np.testing.assert_array_equal(ours.class_count_, [140, 45, 15])
    np.testing.assert_allclose(
        ours.predict_proba(dataset), theirs.predict_proba(dataset), rtol=1e-5
    )
    np.testing.assert_array_equal(ours.predict_proba(dataset), ours.predict_proba(X))


def test_a_part_of_a_dataset_counts_its_own_labels():
    part = Subset(WithTargets(*PAIR), ODD)
    net = make_ours(train_split=None, classes=["ant", "bee", "cat"], beta=0.9).fit(part)
    np.testing.assert_array_equal(net.class_count_, np.bincount(Y[ODD]))
    np.testing.assert_array_equal(net.predict(part), net.predict(X[ODD]))
    assert set(net.predict(part)) <= set(NAMES)


def test_labels_are_counted_in_one_pass():
    dataset = Silent()
    make_ours(train_split=None).fit(dataset)
    assert dataset.n_read == 200 * (1 + 3)
    dataset = Silent()
    make_ours(train_split=None).fit(dataset, Y)
    assert dataset.n_read == 200 * 3 + 1  # of which one is looked at


def test_workers_read_a_dataset_as_one_process_does():
    parameters = {"train_split": None, "max_epochs": 2}
    alone = make_ours(**parameters).fit(Silent(), Y)
    workers = {"iterator_train__num_workers": 2}
    assert_same_training(make_ours(**parameters, **workers).fit(Silent(), Y), alone, rtol=0)


def test_sliced_datasets_are_cross_validated():
    dataset = TensorDataset(*PAIR)
    features, target = SliceDataset(dataset), SliceDataset(dataset, idx=1)
    ours, theirs = both()
    assert_same_training(ours.fit(features, target), theirs.fit(features, target))
    np.testing.assert_array_equal(ours.predict(features), ours.predict(X))
    expected = cross_val_predict(make_ours(), X, Y, cv=2)
    np.testing.assert_array_equal(cross_val_predict(make_ours(), features, Y, cv=2), expected)
    search = GridSearchCV(make_ours(), {"beta": [0, 0.9]}, cv=2, error_score="raise")
    scores = search.fit(features, Y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(scores, search.fit(X, Y).cv_results_["mean_test_score"])


def test_sliced_dicts_are_cross_validated():
    inputs = SliceDict(numbers=X, code=Y)
    scores = [
        cross_val_score(net, inputs, Y, cv=2, error_score="raise")
        for net in both(module=TwoInputs)
    ]
    np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("split", [None, SHARED["train_split"]])
def test_memory_mapped_features_stay_on_disk(tmp_path, split):
    n_rows = 2_000
    features = np.memmap(tmp_path / "X", dtype=np.float32, mode="w+", shape=(n_rows, 1_000))
    features[:, :5] = np.resize(X, (n_rows, 5))
    features.flush()
    features = np.memmap(tmp_path / "X", dtype=np.float32, mode="r", shape=(n_rows, 1_000))
    y = np.resize(Y, n_rows)
    loaders = []

    class Watch(BatchLoader):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            loaders.append(self)

    parameters = {"module__n_features": 1_000, "max_epochs": 1, "train_split": split}
    net = make_ours(iterator_train=Watch, iterator_valid=Watch, **parameters)
    tracemalloc.start()
    try:
        net.fit(features, y).predict(features)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < features.nbytes / 4
    assert len(loaders) == (2 if split is None else 3)
    for loader in loaders:
        held, _ = loader._data
        assert not torch.is_tensor(held)
        assert np.shares_memory(held, features)
    in_memory = make_ours(**parameters).fit(np.array(features), y)
    assert_same_training(net, in_memory, rtol=0)


# ------------------------------------------------------------------ meta-estimators


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: CalibratedClassifierCV(net, cv=2, ensemble=False),
        lambda net: OneVsRestClassifier(net.set_params(module__n_classes=2)),
        lambda net: VotingClassifier([("a", net), ("b", clone(net))], voting="soft"),
    ],
    ids=["calibrated", "one_vs_rest", "voting"],
)
def test_meta_estimators_give_what_they_give_with_skorch(wrap):
    ours, theirs = (wrap(net).fit(X, Y) for net in both())
    if isinstance(ours, CalibratedClassifierCV):  # it is fitted to decisions, where there are any
        assert ours.predict_proba(X).shape == (200, 3)
        np.testing.assert_allclose(ours.predict_proba(X).sum(axis=1), 1)
        inner = [one.calibrated_classifiers_[0].estimator for one in (ours, theirs)]
        assert_same_training(*inner)
        return
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-5)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda net: CalibratedClassifierCV(net, method="sigmoid", cv=2),
        lambda net: BaggingClassifier(net, n_estimators=2, random_state=0),
        lambda net: AdaBoostClassifier(net, n_estimators=2, random_state=0),
        lambda net: OneVsRestClassifier(net),
        lambda net: VotingClassifier([("a", net)]),
    ],
    ids=["calibrated", "bagging", "boosting", "one_vs_rest", "voting"],
)
def test_meta_estimators_of_nets_that_validate_by_name(wrap):
    scores = callbacks.EpochScoring("accuracy", lower_is_better=False)
    model = wrap(make_ours(callbacks=[scores], max_epochs=20, module__dropout=0.0))
    model = clone(model).fit(X, NAMES)
    assert model.score(X, NAMES) > 0.75
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))


def test_an_optuna_study():
    optuna.logging.set_verbosity(optuna.logging.WARNING)

    def objective(trial):
        one_minus_beta = trial.suggest_float("one_minus_beta", 1e-4, 1.0, log=True)
        loss = trial.suggest_categorical("loss", ["softmax", "focal"])
        parameters = {"loss": loss, "beta": 1 - one_minus_beta, "max_epochs": 10}
        net = make_ours(callbacks=[("prune", Prune(trial))], **parameters)
        return cross_val_score(net, X, NAMES, cv=2, scoring="balanced_accuracy").mean()

    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
    study.optimize(objective, n_trials=3)
    assert len(study.trials) == 3
    assert study.best_value > 0.3


class Prune(callbacks.Callback):
    """Tell a trial how it goes."""

    def __init__(self, trial):
        self.trial = trial

    def on_epoch_end(self, net, **kwargs):
        assert not self.trial.should_prune()
