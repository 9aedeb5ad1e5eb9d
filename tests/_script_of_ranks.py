"""Laws of a net that several ranks train: run by two, each of which writes down which ones hold.

A law is a function that raises if it does not hold. Every rank runs all of them, in their order.
"""

import contextlib
import io
import json
import os
import pickle
import signal
import sys
import tempfile
import time
import traceback
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs
from PIL import Image
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import (
    Callback,
    Checkpoint,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    Unfreezer,
)
from skorch.dataset import ValidSplit
from skorch.hf import AccelerateMixin
from torch import distributed, nn
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, Dataset, TensorDataset

from sk_cbloss import CBNeuralNetClassifier, ClassAwareSampler, LongTailedImages
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import (
    CifarResNet,
    DeferredReweighting,
    DistributedCBNeuralNetClassifier,
    LearningRateSchedule,
    RefitHead,
    TrainingCheckpoint,
    features_and_labels,
)
from sk_cbloss.neural_net.ranks import versions

RANK = int(os.environ["RANK"])
RNG = np.random.default_rng(0)
# In batches of 64, the last one has 9 rows: 5 and 4.
Y = np.repeat(["ant", "bee", "cat", "dog"], [50, 20, 8, 59])[RNG.permutation(137)]
X = RNG.normal(size=(137, 5)) + (Y == "bee")[:, None] - 1.5 * (Y == "cat")[:, None]
X = X.astype(np.float32)
WEIGHT = RNG.uniform(0.5, 3, len(Y))
GIVEN = {"max_epochs": 3, "random_state": 0, "device": "cpu", "module__hidden_units": (8,)}
TIMEOUT = 30


class Net(nn.Module):
    """With two parts by name, and whatever is asked for between."""

    def __init__(self, n_features, n_classes, between=nn.Identity, hidden_units=None):
        super().__init__()
        self.body = nn.Linear(n_features, 8)
        self.between = between()
        self.head = nn.Linear(8, n_classes)

    def forward(self, x):
        return self.head(self.between(torch.relu(self.body(x))))


class Unused(Net):
    def __init__(self, n_features, n_classes, hidden_units=None):
        super().__init__(n_features, n_classes)
        self.more = nn.Linear(2, 2)


class Several(Net):
    """Returns beside its logits what has rows, as many numbers as one rank has rows, and one."""

    def forward(self, x):
        logits = super().forward(x)
        return logits, x, logits.new_ones(5), logits.abs().mean()


class Tagger(nn.Module):
    """Looks at each token by itself; classes come second, as in torch's losses."""

    def __init__(self, n_classes, hidden_units=None):
        super().__init__()
        self.head = nn.Linear(5, n_classes)

    def forward(self, x):
        return self.head(x).movedim(-1, 1)


class Mixed(AccelerateMixin, CBNeuralNetClassifier):
    pass


class Losses(Callback):
    """Looks at the loss of each batch."""

    def on_batch_end(self, net, training=None, **kwargs):
        assert net.history[-1, "batches", -1, "train_loss" if training else "valid_loss"] > 0


class Watching(Callback):
    """Acts at an epoch, perhaps of one rank alone."""

    def __init__(self, act, epoch=2, rank=1):
        self.act, self.epoch, self.rank = act, epoch, rank

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == self.epoch and self.rank in (RANK, None):
            self.act(net)


class Dying(Callback):
    """Ends a training on all ranks, or loses one; remembers at which epoch the last one began."""

    reads_batches = False
    at = first = lost = None

    def on_train_begin(self, net, **kwargs):
        Dying.first = None

    def on_epoch_begin(self, net, **kwargs):
        if Dying.first is None:
            Dying.first = len(net.history)

    def on_batch_begin(self, net, training=None, **kwargs):
        if Dying.lost is None or RANK == 0 or not training or len(net.history) < 3:
            return
        if Dying.lost == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if Dying.lost == "failing":
            raise ZeroDivisionError("in a callback")
        if Dying.lost == "interrupted":
            raise KeyboardInterrupt
        time.sleep(600)

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == Dying.at:
            raise ZeroDivisionError

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def ranks(**params):
    return DistributedCBNeuralNetClassifier(**GIVEN | {"timeout": TIMEOUT} | params)


def one(**params):
    return CBNeuralNetClassifier(**GIVEN | params)


def both(fit=lambda net: net.fit(X, Y), **params):
    """Fit a net on two ranks of batch 32, and on one process of batch 64."""
    return fit(ranks(batch_size=32, **params)), fit(one(batch_size=64, **params))


def everyone(value):
    told = [None, None]
    distributed.all_gather_object(told, value)
    return told


def state(net):
    return {name: value.numpy().copy() for name, value in net.module_.state_dict().items()}


def check_same_on_all(net, features=X):
    told = everyone((state(net), [drop(row) for row in net.history_], net.predict_proba(features)))
    np.testing.assert_equal(told[0], told[1])


def drop(row, *names):
    return {name: value for name, value in row.items() if name not in ("dur", *names)}


def check_equal(some, other, atol=2e-6, rtol=1e-4, features=X):
    """Check that two nets are the same, and so are their histories."""
    for name, value in state(some).items():
        np.testing.assert_allclose(value, state(other)[name], rtol, atol, err_msg=name)
    np.testing.assert_array_equal(some.class_count_, other.class_count_)
    assert len(some.history_) == len(other.history_)
    for row, expected in zip(some.history_, other.history_, strict=True):
        assert row.keys() == expected.keys()
        for name in row.keys() - {"dur", "batches"}:
            np.testing.assert_allclose(row[name], expected[name], 1e-4, err_msg=name)
        for batch, whole in zip(row["batches"], expected["batches"], strict=True):
            if "train_loss" in batch:
                np.testing.assert_allclose(batch["train_loss"], whole["train_loss"], 1e-4, 1e-6)
                assert batch["train_batch_size"] == whole["train_batch_size"]
    check_same_on_all(some, features)


LAWS = {}


def law(function):
    LAWS[function.__name__] = function
    return function


# ---------------------------------------------------------------------- as one process


@law
def every_loss_is_that_of_one_process():
    for loss in LOSSES:
        for weight in (None, WEIGHT):
            for shuffle in (True, False):
                given = {"loss": loss, "beta": 0.9, "iterator_train__shuffle": shuffle}
                check_equal(*both(lambda net: net.fit(X, Y, sample_weight=weight), **given))  # noqa: B023


@law
def several_labels_are_those_of_one_process():
    labels = np.stack([Y == "ant", Y != "dog", X[:, 0] > 1], axis=1).astype(int)
    for y in (labels, csr_array(labels)):
        for more in ({}, {"sample_weight": WEIGHT}):
            given = {"beta": 0.9, "gamma": 1.0, "early_stopping": True}
            check_equal(*both(lambda net: net.fit(X, y, **more), **given))  # noqa: B023


@law
def what_is_known_counts_as_in_one_process():
    labels = np.stack([Y == "ant", Y != "dog", X[:, 0] > 1], axis=1)
    unknown = np.where(X[:, :3] > X[:, 3:4], np.nan, labels)
    unknown[:10] = unknown[100:] = np.nan  # of a batch in order, or of a rank, nothing is known
    tokens = np.stack([X, X[::-1]], axis=1)
    tags = np.where(tokens.sum(axis=2) > 0, -100, tokens.argmax(axis=2) % 3)
    tags[100:] = -100
    tagged = {"module": Tagger, "criterion__ignore_index": -100}
    theirs = {"criterion": nn.CrossEntropyLoss, "beta": None}
    for x, y, how in (
        (X, unknown, {}),
        (tokens, tags, tagged),
        (tokens, tags, tagged | theirs),
    ):
        for shuffle in (True, False):
            given = {"beta": 0.9, "iterator_train__shuffle": shuffle, "optimizer": torch.optim.SGD}
            given |= how | {"lr": 0.1}

            def fit(net):
                return net.fit(x, y, X_val=x[60:], y_val=y[60:])  # noqa: B023

            some, other = (
                kind(batch_size=size, **given) for kind, size in ((ranks, 32), (one, 64))
            )
            check_equal(fit(some), fit(other), features=x)
            names = "batches", slice(None), "train_n_known"
            assert some.history_[:, *names] == other.history_[:, *names]


@law
def a_summed_loss_is_the_sum_over_all_ranks():
    def fit(net):
        return net.fit(X[:129], Y[:129])  # one rank has no row of the last batch

    given = {"criterion__reduction": "sum", "lr": 1e-3, "optimizer": torch.optim.SGD}
    check_equal(*both(fit, **given))
    check_equal(*both(fit, criterion=nn.CrossEntropyLoss, **given))


@law
def a_rank_without_a_row_in_the_last_batch_takes_part():
    def fit(net):
        return net.fit(X[:129], Y[:129], sample_weight=WEIGHT[:129])

    check_equal(*both(fit))
    watching = [Losses(), EpochScoring("balanced_accuracy", name="on_train", on_train=True)]
    check_equal(*both(fit, callbacks=watching))


@law
def ranks_share_all_samples_in_one_batch():
    check_equal(ranks(batch_size=-1).fit(X, Y), one(batch_size=-1).fit(X, Y))
    check_equal(*both(iterator_train__drop_last=True))
    given = {"iterator_train__batch_size": 4, "max_epochs": 1}
    net = ranks(**given).fit(X, Y)
    assert net.iterator_train__batch_size == 4
    check_equal(net, one(**given | {"iterator_train__batch_size": 8}).fit(X, Y))


@law
def ranks_draw_the_same_rows():
    check_equal(*both(iterator_train__sampler=ClassAwareSampler(beta=0.9), beta=0))


@law
def batches_are_transformed():
    calls = []

    def halved(x):
        calls.append(len(x))
        return x / 2

    net = ranks(batch_size=32, batch_transform=halved).fit(X, Y)
    assert calls == 3 * [32, 32, 5 if RANK == 0 else 4]
    check_equal(net, one(batch_size=64, batch_transform=halved).fit(X, Y))


@law
def a_module_may_return_more_than_its_logits():
    check_equal(*both(module=Several, early_stopping=True))


@law
def early_stopping_decides_once():
    given = {"early_stopping": True, "n_iter_no_change": 3, "max_epochs": 60}
    net, alone = both(**given)
    assert 3 < len(net.history_) < 60, len(net.history_)
    check_equal(net, alone, atol=1e-3, rtol=1e-2)


@law
def validation_is_that_of_one_process():
    def fit(net):
        return net.fit(X, Y, X_val=X[:70], y_val=Y[:70])

    check_equal(*both(fit))
    check_equal(*both(fit, callbacks=[Losses()]))
    check_equal(*both(fit, iterator_valid__batch_size=137))
    # Another split on each rank: that of rank 0 is taken.
    split = ValidSplit(0.25, stratified=True, random_state=RANK)
    held = []
    hold = Watching(lambda net: held.append(net._call.split[1].tolist()), rank=None)
    net = ranks(train_split=split, callbacks=[hold]).fit(X, Y)
    check_same_on_all(net)
    told = everyone(held[0])
    assert told[0] == told[1]
    assert len(told[0]) == 35


@law
def callbacks_do_what_they_do_alone():
    given = {
        "max_epochs": 6,
        "callbacks": [DeferredReweighting(3), LearningRateSchedule(warmup=2)],
    }
    check_equal(*both(**given))
    check_equal(*both(module=Net, callbacks=[RefitHead(3, restart=True)], max_epochs=6))
    frozen = [Freezer("body.*"), Unfreezer("body.*", at=3)]
    check_equal(*both(module=Net, callbacks=frozen, max_epochs=5))
    scoring = EpochScoring("accuracy", name="uncached", use_caching=False, lower_is_better=False)
    check_equal(*both(callbacks=[scoring], train_split=ValidSplit(4)))
    scoring = EpochScoring("accuracy", name="of training", on_train=True, lower_is_better=False)
    check_equal(*both(callbacks=[scoring]))


@law
def a_fit_goes_on():
    def fit(net):
        net.partial_fit(X[:70], Y[:70], classes=np.unique(Y))
        return net.partial_fit(X[70:], Y[70:])

    check_equal(*both(fit))
    check_equal(*both(lambda net: net.fit(X, Y).fit(X, Y), warm_start=True))


@law
def a_criterion_may_learn():
    class Learning(nn.CrossEntropyLoss):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.ones(4))

        def forward(self, logits, target):
            return super().forward(logits * self.scale, target)

    net, alone = both(criterion=Learning)
    check_equal(net, alone)
    np.testing.assert_allclose(
        net.criterion_.scale.detach(), alone.criterion_.scale.detach(), 1e-5
    )
    assert net.criterion_.scale.detach().std() > 0.01


@law
def other_optimizers_do_as_alone():
    for optimizer in (torch.optim.SGD, torch.optim.AdamW):
        check_equal(*both(optimizer=optimizer, iterator_train__shuffle=False))
    check_equal(*both(dtype="float64"), atol=1e-9, rtol=1e-9)


# ---------------------------------------------------------------------- data


class Rows(Dataset):
    def __init__(self):
        self.targets, self.read = np.unique(Y, return_inverse=True)[1], []
        self.noise = None

    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        self.read.append(row)
        noise = 0 if self.noise is None else self.noise.normal(0, 1e-3, 5).astype(np.float32)
        return X[row] + noise, self.targets[row]


@law
def images_on_disk_train():
    root = FOLDER / f"images {RANK}"  # each rank's own
    for place in range(30):
        file = root / "abc"[place % 7 % 3] / f"{place}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), 8 * place, dtype=np.uint8)).save(file)
    images = LongTailedImages.from_folders(root)
    given = {"module": CifarResNet, "module__depth": 8, "module__n_features": 3}
    given |= {"max_epochs": 1, "batch_size": 4, "device": "cpu", "timeout": TIMEOUT}
    net = DistributedCBNeuralNetClassifier(**given).fit(images)
    told = everyone((state(net), net.class_count_))
    np.testing.assert_equal(told[0], told[1])
    np.testing.assert_array_equal(net.class_count_, list(images.class_count.values()))


@law
def a_rank_reads_its_rows():
    for loader in ({"module": Net}, {"module": Net, "iterator_train": DataLoader}):
        dataset = Rows()
        loader["module__n_features"] = 5
        net = ranks(batch_size=32, max_epochs=1, **loader).fit(dataset)
        alone = one(batch_size=64, max_epochs=1, **loader).fit(Rows())
        for name, value in state(net).items():
            np.testing.assert_allclose(value, state(alone)[name], 1e-4, 2e-6)
        read = everyone(dataset.read[-(69 - RANK) :])
        assert [len(rows) for rows in read] == [69, 68]
        assert sorted(read[0] + read[1]) == list(range(137))
    check_equal(*both(lambda net: net.fit(*features_and_labels(Rows()))))
    check_equal(*both(iterator_train__num_workers=1))


@law
def a_batch_sampler_gives_the_batches_of_all_ranks():
    batches = [list(range(60)), list(range(60, 61)), list(range(61, 137))]
    given = {"iterator_train__batch_sampler": batches, "iterator_train__shuffle": False}
    check_equal(ranks(**given).fit(X, Y), one(**given).fit(X, Y))
    given["callbacks"] = [EpochScoring("accuracy", name="on_train", on_train=True)]
    check_equal(ranks(**given).fit(X, Y), one(**given).fit(X, Y))


@law
def rows_may_be_mapped():
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "X.npy", X)
        mapped = np.load(Path(folder) / "X.npy", mmap_mode="r")
        check_equal(*both(lambda net: net.fit(mapped, Y)))


# ---------------------------------------------------------------------- random numbers


@law
def ranks_start_alike_without_a_seed():
    torch.manual_seed(RANK)
    check_same_on_all(ranks(random_state=None).fit(X, Y))
    check_same_on_all(ranks(random_state=np.random.RandomState(RANK)).fit(X, Y))


@law
def noise_is_each_ranks_own():
    drawn = []

    class Noise(nn.Module):
        def forward(self, x):
            noise = torch.rand(3) if self.training else torch.ones(3)
            drawn.append(noise.tolist())
            return x * noise.mean()

    given = {"module": Net, "module__between": Noise, "batch_size": 32, "max_epochs": 2}
    net = ranks(**given).fit(X, Y)
    told = everyone(list(drawn))
    assert len(told[0]) == len(told[1]) == 6
    assert not [noise for noise in told[0] if noise in told[1]]
    check_same_on_all(net)
    drawn.clear()
    net.fit(X, Y)  # the same seed draws the same
    assert drawn == told[RANK]


@law
def running_means_are_those_of_rank_0():
    seen = []
    see = Watching(lambda net: seen.append(state(net)), rank=None)
    given = {"module": Net, "module__between": lambda: nn.BatchNorm1d(8), "callbacks": [see]}
    check_same_on_all(ranks(early_stopping=True, **given).fit(X, Y))
    np.testing.assert_equal(*everyone(seen[0]))  # in the middle, as its validation does


# ---------------------------------------------------------------------- what ranks share


@law
def a_stop_on_one_rank_is_one_on_all():
    def stop(net):
        raise KeyboardInterrupt

    for rank in (0, 1, None):
        for epoch in (1, 4, 5):
            net = ranks(callbacks=[Watching(stop, epoch, rank)], max_epochs=5).fit(X, Y)
            assert len(net.history_) == epoch
            check_same_on_all(net)


@law
def a_stop_at_the_same_batch_of_all_ranks_ends_the_training_early():
    class Stopping(Callback):
        def on_batch_end(self, net, training=None, **kwargs):
            if training and len(net.history) == 3 and len(net.history[-1, "batches"]) == 2:
                raise KeyboardInterrupt

    net = ranks(callbacks=[Stopping()], max_epochs=5, batch_size=16).fit(X, Y)
    assert len(net.history_) == 3
    check_same_on_all(net)


@law
def what_rank_0_records_is_taken():
    def record(net):
        net.history.record("mine", RANK)

    net = ranks(callbacks=[Watching(record, rank=None)]).fit(X, Y)
    assert net.history_[1]["mine"] == 0
    seconds = everyone([row["dur"] for row in net.history_])
    assert seconds[0] == seconds[1]


@law
def rank_0_prints():
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        net = ranks(verbose=1, early_stopping=True).fit(X, Y)
    assert net.get_params()["verbose"] == net.verbose == 1
    said = everyone(said.getvalue())
    assert said[1] == ""
    assert said[0].count("DistributedCBNeuralNetClassifier trains on cpu; 137 samples") == 1
    assert len(said[0].splitlines()) >= 6


@law
def a_fitted_net_needs_no_other_rank():
    net = ranks(early_stopping=True).fit(X, Y)
    if RANK == 1:
        with tempfile.TemporaryDirectory() as folder:
            again = pickle.loads(pickle.dumps(net))
            for name in ("net.safetensors", "net.pt"):
                net.save_params(f_params=Path(folder) / name)
                other = clone(net).set_params(classes=np.unique(Y), module__n_features=5)
                other.set_params(module__n_classes=4).initialize()
                other.load_params(f_params=Path(folder) / name)
                np.testing.assert_array_equal(other.predict(X), net.predict(X))
        assert type(again) is type(net)
        np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
        assert net.score(X, Y) > 0.3


@law
def rank_0_saves_the_best_and_all_load_it():
    with tempfile.TemporaryDirectory() as folder:
        best = Checkpoint(dirname=folder, monitor="valid_loss_best", load_best=True)
        net = ranks(callbacks=[best], early_stopping=True, lr=0.3, max_epochs=8).fit(X, Y)
        check_same_on_all(net)
        told = everyone(sorted(path.name for path in Path(folder).iterdir()))
        assert "params.pt" in told[0]
        assert told[1] == []


@law
def a_search_is_the_same_on_all():
    scores = []
    for net in (ranks(batch_size=32), one(batch_size=64)):
        search = GridSearchCV(net, {"beta": [0, 0.99]}, scoring="balanced_accuracy", cv=2)
        scores.append(search.fit(X, Y).cv_results_["mean_test_score"])
    np.testing.assert_allclose(*scores, atol=0.05)
    told = everyone(scores[0].tolist())
    assert told[0] == told[1]


@law
def diverging_is_an_error_on_all():
    for callbacks in ([], [Losses()]):
        net = ranks(lr=1e30, optimizer=torch.optim.SGD, callbacks=callbacks)
        with pytest.raises(FloatingPointError, match="must be finite in training"):
            net.fit(X, Y)
    check_same_on_all(ranks().fit(X, Y))


# ---------------------------------------------------------------------- checkpoints


def training(folder, **params):
    checkpoint = TrainingCheckpoint(folder, **params)
    return ranks(
        module=Net,
        module__between=nn.Dropout,
        batch_size=32,
        max_epochs=6,
        early_stopping=True,
        callbacks=[("dying", Dying()), ("checkpoint", checkpoint)],
    )


@law
def a_checkpoint_is_rank_0s_and_all_resume():
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder) / f"of rank {RANK}"  # as on two machines
        undisturbed = training(f"{folder} undisturbed").fit(X, Y)
        Dying.at = 4
        with pytest.raises(ZeroDivisionError):
            training(folder).fit(X, Y)
        Dying.at = None
        again = training(folder).fit(X, Y)
        assert Dying.first == 4
        np.testing.assert_equal(state(again), state(undisturbed))
        check_same_on_all(again)
        assert folder.exists() == (RANK == 0)
        paths = everyone([str(path) for path in sorted(folder.rglob("epoch-*"))])
        branch = training(folder / "other", start_from=paths[0][0]).set_params(beta=0.5)
        check_same_on_all(branch.fit(X, Y))


@law
def a_training_that_was_killed_goes_on():
    net = training(FOLDER / "killed").fit(X, Y)
    assert Dying.first > 1
    with tempfile.TemporaryDirectory() as folder:
        np.testing.assert_equal(state(net), state(training(folder).fit(X, Y)))


@law
def what_rank_0_cannot_write_is_an_error_on_all():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_text("")
        with pytest.raises(OSError, match="Could not make the folder"):
            training(path).fit(X, Y)
    check_same_on_all(ranks().fit(X, Y))


# ---------------------------------------------------------------------- what must be alike


@law
def what_differs_is_told_before_training():
    other_y = np.where(np.arange(len(Y)) == 7, "bee", Y)
    first = RANK == 0
    cases = {
        "classes, got": (ranks(), X, Y if first else np.where(Y == "cat", "cow", Y)),
        "y, given whole to each, got": (ranks(), X, Y if first else other_y),
        "y, given whole to each, got 137 of digest .* and 100 of": (
            *(ranks(), X[: 137 if first else 100], Y[: 137 if first else 100]),
        ),
        "X, given whole to each, got": (ranks(), X + RANK, Y),
        "lr, got 0.1 on rank 0 and 0.2 on rank 1": (*(ranks(lr=0.1 + RANK / 10), X, Y),),
        "module, got": (ranks(module=Net if first else Unused), X, Y),
        "names of callbacks, got": (ranks(callbacks=[Losses()] if first else None), X, Y),
        "callbacks.0..gradient_clip_value, got 0.1 on rank 0 and 1.1 on rank 1": (
            *(ranks(callbacks=[("clip", GradientNormClipping(0.1 + RANK))]), X, Y),
        ),
        "callbacks.1..gamma, got": (
            ranks(callbacks=[Losses(), LRScheduler(StepLR, step_size=1, gamma=0.5 + RANK / 4)]),
            *(X, Y),
        ),
        "callbacks.0..act, got": (*(ranks(callbacks=[Watching(abs if first else drop)]), X, Y),),
        "callbacks__clip__gradient_clip_value, got": (
            ranks(
                callbacks=[("clip", GradientNormClipping())],
                callbacks__clip__gradient_clip_value=1 + RANK,
            ),
            *(X, Y),
        ),
        "optimizer__weight_decay, got none on rank 0 and 0.1 on rank 1": (
            *(ranks(**{} if first else {"optimizer__weight_decay": 0.1}), X, Y),
        ),
        "batch_transform, got partial of": (
            *(ranks(batch_transform=partial(torch.mul, other=1 + RANK)), X, Y),
        ),
        "batch_transform, got Dropout of digest": (
            *(ranks(batch_transform=nn.Dropout(RANK / 2)), X, Y),
        ),
    }
    for sentence, (net, *data) in cases.items():
        with pytest.raises(ValueError, match=f"All ranks must have the same {sentence}"):
            net.fit(*data)
    with pytest.raises(ValueError, match="same sums of weights by class, got"):
        ranks().fit(X, Y, sample_weight=WEIGHT + RANK)
    with pytest.raises(ValueError, match="same validation data, got none on rank 0 and"):
        ranks().fit(X, Y, **{} if first else {"X_val": X, "y_val": Y})
    with pytest.raises(ValueError, match="same labels of validation data, got"):
        ranks().fit(X, Y, X_val=X, y_val=Y if first else other_y)
    known = dict(versions())
    versions()["torch"] = "2.13.0" if first else "2.12.1"
    try:
        with pytest.raises(
            ValueError, match="same torch, got 2.13.0 on rank 0 and 2.12.1 on rank 1"
        ):
            ranks().fit(X, Y)
    finally:
        versions().update(known)
    check_same_on_all(ranks().fit(X, Y))


@law
def other_rows_of_a_dataset_are_told_before_training():
    net = ranks(module=Net, module__n_features=5)
    targets = torch.from_numpy(np.unique(Y, return_inverse=True)[1])
    for rows in (X + RANK, np.where(np.arange(len(X))[:, None] == len(X) - 1, X + RANK, X)):
        with pytest.raises(ValueError, match="same X, given whole to each, got 137 of a Tensor"):
            net.fit(TensorDataset(torch.from_numpy(rows), targets))
    # What is drawn anew each time cannot be compared.
    for drawing in ({0, 1}, {0}, {1}):  # one may draw the same by chance
        dataset = Rows()
        dataset.noise = np.random.default_rng(RANK) if RANK in drawing else None
        check_same_on_all(net.fit(dataset))
    streamed = features_and_labels(TensorDataset(torch.from_numpy(X + RANK), targets))
    with pytest.raises(ValueError, match="same X, given whole to each, got 137 of a Streamed"):
        net.fit(*streamed)


@law
def what_rank_0_writes_may_differ():
    with tempfile.TemporaryDirectory() as folder:
        best = Checkpoint(dirname=Path(folder) / str(RANK), monitor=None)
        given = {"callbacks__print_log": None} if RANK else {}
        check_same_on_all(ranks(callbacks=[("best", best)], **given).fit(X, Y))


@law
def what_one_rank_cannot_read_is_told_to_all():
    broken = X * (np.nan if RANK == 1 else 1)
    with pytest.raises(ValueError, match="contains NaN") as caught:
        ranks().fit(broken, Y)
    told = everyone(str(caught.value))
    assert told[0].startswith("All ranks must be able to start, got from rank 1 ValueError: Input")
    assert told[1].startswith("Input X contains NaN")


@law
def what_cannot_be_shared_is_refused():
    def accelerator(**given):
        return Accelerator(cpu=True, **given)

    cases = {
        "optimizer must be one that": lambda: ranks(optimizer=torch.optim.LBFGS),
        "accelerator must leave steps to the net, got gradient_acc": lambda: ranks(
            accelerator=accelerator(gradient_accumulation_steps=2)
        ),
        "timeout must be a number of seconds": lambda: ranks(timeout=0),
        "device must be that of the rank, cpu": lambda: ranks(device="meta"),
        "module must have parameters that all learn": lambda: ranks(module=Unused),
    }
    for sentence, net in cases.items():
        with pytest.raises(ValueError, match=sentence):
            net().fit(X, Y)
    handler = DistributedDataParallelKwargs(find_unused_parameters=True)
    given = {"module": Unused, "accelerator": accelerator(kwargs_handlers=[handler])}
    net, alone = ranks(batch_size=32, **given), one(batch_size=64, module=Unused)
    check_equal(net.fit(X, Y), alone.fit(X, Y))
    assert clone(net).accelerator is not None
    assert pickle.loads(pickle.dumps(net)).accelerator is None


@law
def skorchs_mixin_works_before_our_net():
    for placed in (True, False):
        accelerator = Accelerator(cpu=True, device_placement=placed)
        given = GIVEN | {"device": None if placed else "cpu", "batch_size": 32}
        mixed = Mixed(accelerator=accelerator, **given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of accelerate's own
            check_equal(
                mixed.fit(X, Y, sample_weight=WEIGHT), one(batch_size=64).fit(X, Y, WEIGHT)
            )
            with tempfile.TemporaryDirectory() as folder:
                folder = everyone(folder)[0]
                for _ in range(2):
                    mixed = Mixed(
                        accelerator=accelerator, callbacks=[TrainingCheckpoint(folder)], **given
                    )
                    check_same_on_all(mixed.fit(X, Y))
            for name, value in (("batch_transform", torch.relu), ("early_stopping", True)):
                with pytest.raises(ValueError, match="DistributedCBNeuralNetClassifier takes it"):
                    Mixed(accelerator=accelerator, **given, **{name: value}).fit(X, Y)


# ---------------------------------------------------------------------- to be lost


def lose(how):
    """Train, and let rank 1 be lost, in the middle or before."""
    if how == "late" and RANK == 1:
        time.sleep(600)
    if how != "late":
        ranks(max_epochs=1).fit(X, Y)  # a later fit may wait for less long
    Dying.lost = "failing" if how == "again" else how
    net = training(FOLDER / how).set_params(timeout=6)
    if how != "again":
        net.fit(X, Y)
        return
    with contextlib.suppress(ZeroDivisionError, RuntimeError):
        net.fit(X, Y)
    Dying.lost = None
    with contextlib.suppress(RuntimeError):
        net.fit(X, Y)  # in which rank 1 learns that rank 0 has missed it
    try:
        net.set_params(timeout=1e6).fit(X, Y)
    except RuntimeError as error:
        (FOLDER / f"again {RANK}").write_text(str(error))


def main():
    """Run each law, and write down which hold."""
    torch.set_num_threads(1)
    held = {}
    for name, check in LAWS.items():
        began = time.time()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                check()
            held[name] = "holds"
        except BaseException:
            held[name] = traceback.format_exc()
        print(RANK, name, round(time.time() - began, 1), held[name][-1500:], flush=True)  # noqa: T201
        (FOLDER / f"rank {RANK}.json").write_text(json.dumps(held))


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    LAWS = {name: LAWS[name] for name in sys.argv[3:] or LAWS}
    main() if sys.argv[2] == "laws" else lose(sys.argv[2])
