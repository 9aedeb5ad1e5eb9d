"""Errors whose cause is known are a sentence with the remedy, and what is right is not refused."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import torch
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, EpochScoring
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import (
    DataLoader,
    RandomSampler,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV
from sk_cbloss.neural_net import MLP

Y = np.repeat([0, 1, 2], [140, 45, 15])
X = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)


class Normed(nn.Sequential):
    def __init__(self, n_features, n_classes):
        super().__init__(nn.Linear(n_features, n_classes), nn.BatchNorm1d(n_classes))


class Embedded(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.table = nn.Embedding(10, n_classes)

    def forward(self, ids):
        return self.table(ids).mean(dim=1)


class Two(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.pixels, self.writer = nn.Linear(5, n_classes), nn.Embedding(3, n_classes)

    def forward(self, pixels, writer, scale=1.0):
        return scale * self.pixels(pixels) + self.writer(writer)


class PartFails(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head = MLP(n_features, n_classes)

    def forward(self, x):
        return self.head(x, unknown=1)


class NeedsMargin(nn.Module):
    def __init__(self, margin):
        super().__init__()


def make_net(module=None, **params):
    given = {"max_epochs": 1, "random_state": 0, "device": "cpu"}
    return CBNeuralNetClassifier(module, **given | params)


def drawn(n_rows):
    return WeightedRandomSampler(np.ones(n_rows), n_rows)


@pytest.mark.parametrize(
    ("params", "data", "message"),
    [
        ({"module": Normed, "batch_size": 199}, X, "no batch of one row .*drop_last=True"),
        (
            {"module": Embedded},
            np.ones((200, 2), int),
            r"a dict of integers .*, \{'ids': X\}, ",
        ),
        ({"module": Embedded}, {"ids": np.ones((200, 2))}, r"floats in \['ids'\]"),
        (
            {"module": Embedded},
            {"ids": np.full((200, 2), 12)},
            "from 0 to 9 for an .* 10 rows, got 12",
        ),
        ({"module": Embedded}, {"ids": np.full((200, 2), -1)}, "from 0 to 9 for an .* got -1"),
        ({"module": MLP(4, 3)}, X, r"one that takes 4 numbers a row, and rows of 5: check X, or"),
        (
            {"module": nn.Linear},
            X,
            "^module__in_features and module__out_features must be gi",
        ),
        (
            {"module": MLP, "module__n_classes": 3},
            {"x": X},
            r"^module__n_features must be given for MLP, got \['n_classes'\]",
        ),
        ({"module": nn.Identity()}, X[:, :3], "parameters that learn, got none in Identity"),
        ({"criterion": nn.BCEWithLogitsLoss}, X, "got BCEWithLogitsLoss: loss='sigmoid' is it"),
        (
            {"criterion": nn.CrossEntropyLoss, "criterion__gamma": 1},
            X,
            r"criterion__\* must be on",
        ),
        ({"criterion": NeedsMargin}, X, "^criterion__margin must be given for NeedsMargin, got"),
        ({"criterion": nn.NLLLoss}, X, "Likely cause: criterion=NLLLoss, for which skorch has"),
        (
            {"module__hidden": 3},
            X,
            r"one of dropout, hidden_units, .* got module__hidden\.",
        ),
        ({"module": MLP(5, 3), "module__foo": 3}, X, "for MLP, got module__foo"),
        (
            {"optimizer__foo": 3},
            X,
            r"optimizer__\* must .*lr.* for Adam, got optimizer__f",
        ),
        (
            {"iterator_train__foo": 3},
            X,
            r"iterator_train__\* must .* got iterator_train__foo",
        ),
        (
            {"module": MLP},
            np.ones((200, 5, 5)),
            r"an MLP, got rows of shape \(5, 5\): flatten",
        ),
        (
            {"iterator_train": DataLoader, "iterator_train__sampler": drawn(200)},
            X,
            "iterator_train__shuffle must be False beside iterator_train__sampler for DataLoader",
        ),
        ({"iterator_train__sampler": drawn(50)}, X, "made for the 200 rows .* got one for 50"),
        (
            {"iterator_train__sampler": RandomSampler(Y), "early_stopping": True},
            X,
            "made for the 180 rows that there are, those held out to validate excluded, got one f",
        ),
    ],
)
def test_errors_of_a_fit(params, data, message):
    with pytest.raises((ValueError, FloatingPointError), match=message):
        make_net(**params).fit(data, Y)


NEED_NO_ARGUMENTS = {
    name: kind
    for name, kind in vars(nn).items()
    if name.endswith("Loss") and issubclass(kind, nn.modules.loss._Loss) and "Linear" not in name
} | {"TripletMarginLoss": nn.TripletMarginLoss}


@pytest.mark.parametrize("name", NEED_NO_ARGUMENTS)
def test_torchs_losses_take_positions_or_are_refused(name):
    """Also where a batch has as many rows as there are classes, and shapes fit."""
    net = make_net(criterion=NEED_NO_ARGUMENTS[name], batch_size=3)
    if name in ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"):
        softmax = nn.Sequential(MLP(5, 3), nn.Softmax(1)) if name == "NLLLoss" else None
        net.set_params(module=softmax).fit(X[:198], Y[:198])
        return
    with pytest.raises(ValueError, match=f"^criterion must take positions .*, got {name}"):
        net.fit(X[:198], Y[:198])


def test_what_fit_hands_on():
    inputs = {"pixels": X, "writer": Y}
    make_net(Two).fit(inputs, Y, scale=2.0)
    for module, data in ((None, X), (Two, inputs)):
        with pytest.raises(ValueError, match="^fit must be given what .*'sample_weight_val'"):
            make_net(module).fit(data, Y, sample_weight_val=Y)


@pytest.mark.parametrize(
    ("data", "got"),
    [
        ({"pixel": X, "writer": Y}, r"a dict of \['pixel', 'writer'\]"),
        ({"pixels": X}, r"a dict of \['pixels'\]"),
        (X, "a Tensor"),
    ],
)
def test_other_inputs_to_predict(data, got):
    net = make_net(Two).fit({"pixels": X, "writer": Y}, Y)
    with pytest.raises(ValueError, match=f"^X must be a dict of what .*'writer', .* got {got}"):
        net.predict(data)


def test_errors_of_ones_own_code_stay_what_they_are():
    with pytest.raises(TypeError, match="unexpected keyword argument 'unknown'"):
        make_net(PartFails).fit(X, Y)

    class Loss(nn.Module):
        def forward(self, y_pred, y_true):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="^mine$"):
        make_net(criterion=Loss).fit(X, Y)

    class OneHot(CBNeuralNetClassifier):
        def get_loss(self, y_pred, y_true, *args, **kwargs):
            return super().get_loss(y_pred, torch.eye(3)[y_true], *args, **kwargs)

    OneHot(criterion=nn.BCEWithLogitsLoss, max_epochs=1, random_state=0).fit(X, Y)


@pytest.mark.parametrize("wrap", [lambda x: {"a": x, "b": X}, lambda x: [X, x]])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_in_dicts_and_lists_are_finite(wrap, bad):
    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(5, 3)

        def forward(self, x=None, a=None, b=None):
            return self.head(a if x is None else x[1])

    broken = X.copy()
    broken[7, 1] = bad
    net = make_net(Last).fit(wrap(X), Y)
    for call in (net.predict, net.predict_proba, lambda data: make_net(Last).fit(data, Y)):
        with pytest.raises(ValueError, match=r"^Input X\[('a'|1)\] contains"):
            call(wrap(broken))
    with pytest.raises(ValueError, match=r"^X\[('a'|1)\] must hold numbers, got an array of"):
        net.predict(wrap(X.astype(object)))


DAYS = np.datetime64("2026-01-01") + np.arange(200).astype("timedelta64[D]")


@pytest.mark.parametrize(
    ("dates", "what"),
    [
        (DAYS[:, None], "datetime64.* in an array"),
        ((DAYS - DAYS[0])[:, None], "timedelta64.* in an array"),
        (pd.DataFrame({"day": DAYS}), "datetime64.* in column 'day'"),
        (pd.DataFrame({"x": X[:, 0], "day": DAYS}), "datetime64.* in column 'day'"),
        (pd.DataFrame({"day": pd.to_datetime(DAYS).tz_localize("UTC")}), "datetime64.*, UTC. in"),
        (pl.DataFrame({"x": X[:, 0], "day": DAYS}), "Date.* in column 'day'"),
        (pa.table({"x": X[:, 0], "day": DAYS}), "date.* in column 'day'"),
    ],
)
def test_dates_are_no_features(dates, what):
    with pytest.raises(ValueError, match=f"^X must hold numbers, got {what}"):
        make_net().fit(dates, Y)


@pytest.mark.parametrize("table", [pd.DataFrame, pl.DataFrame, pa.table])
def test_tables_of_numbers_are_features(table):
    features = table({f"x{column}": X[:, column] for column in range(5)})
    assert make_net().fit(features, Y).predict(features).shape == Y.shape


def test_callbacks_that_watch_what_nobody_records():
    class Recorder(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("valid_acc", 1.0)

    class Own(CBNeuralNetClassifier):
        def on_epoch_end(self, net, **kwargs):
            super().on_epoch_end(net, **kwargs)
            self.history.record("valid_acc", 1.0)

    split = {"train_split": ValidSplit(5), "max_epochs": 2, "random_state": 0}
    for watching in (EarlyStopping("valid_acc"), Checkpoint("valid_acc_best")):
        net = make_net(**split | {"callbacks": [watching]})
        with pytest.raises(ValueError, match="'valid_balanced_accuracy', .* got 'valid_acc"):
            net.fit(X, Y)
        assert not net.history
    stop = EarlyStopping("valid_acc", lower_is_better=False)
    score = EpochScoring("accuracy", name="valid_acc", lower_is_better=False)
    for before in (Recorder(), score):
        make_net(callbacks=[("first", before), ("stop", stop)], **split).fit(X, Y)
    Own(callbacks=[stop], **split).fit(X, Y)

    class Plain(CBNeuralNetClassifier):
        pass

    with pytest.raises(ValueError, match="EarlyStopping must watch what is recorded"):
        Plain(callbacks=[stop], **split).fit(X, Y)


def test_samplers_that_are_right():
    for sampler in (drawn(200), SubsetRandomSampler(range(0, 200, 2)), RandomSampler(X, True, 50)):
        make_net(iterator_train__sampler=sampler).fit(X, Y)
    loader = {"iterator_train": DataLoader, "iterator_train__shuffle": False}
    make_net(**loader, iterator_train__sampler=drawn(200)).fit(X, Y)


def test_default_weights_that_do_nothing_are_told_of():
    labels = np.repeat([0, 1], [21_000, 9_000])
    features = np.zeros((len(labels), 1), np.float32)
    given = {"batch_size": -1}
    with pytest.warns(
        UserWarning, match="0.999, weights classes of 9,000 to 21,000 samples alike"
    ):
        make_net(**given).fit(features, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_net(beta=0.999, **given).fit(features, labels)
        make_net(loss="logit_adjusted", **given).fit(features, labels)
        make_net(**given).fit(features[:18_000], labels[-18_000:])  # of one size


def test_a_balanced_sampler_beside_weights_corrects_twice():
    balanced = WeightedRandomSampler(1 / np.bincount(Y)[Y], 200)
    for loss in ("softmax", "logit_adjusted"):
        with pytest.warns(UserWarning, match=f"corrected twice.*loss='{loss}'"):
            make_net(loss=loss, iterator_train__sampler=balanced).fit(X, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_net(beta=0, iterator_train__sampler=balanced).fit(X, Y)
        make_net(iterator_train__sampler=drawn(200)).fit(X, Y)


class Gated(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.first, self.gate = nn.Linear(n_features, n_classes), nn.Sigmoid()

    def forward(self, x):
        return self.first(x) * self.gate(x.mean(dim=1, keepdim=True))


def ends_in(last):
    return lambda n_features, n_classes: nn.Sequential(nn.Linear(n_features, n_classes), last)


@pytest.mark.parametrize("y", [Y, np.eye(3, dtype=int)[Y]], ids=["one label", "several"])
@pytest.mark.parametrize("last", [nn.Sigmoid(), nn.Softmax(dim=1)])
def test_probabilities_in_the_place_of_logits_are_told_of(y, last):
    said = (
        rf"give logits, .* \[0, 1\] from its last part, {type(last).__name__}\(.*leave that out\.$"
    )
    net = make_net(module=ends_in(last))
    with pytest.warns(UserWarning, match=said) as caught:
        net.fit(X, y)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net.partial_fit(X, y)  # it has been said
        if y.ndim > 1 and isinstance(last, nn.Sigmoid):
            make_net(module=ends_in(last), criterion=nn.BCELoss).fit(X, y.astype(np.float32))


@pytest.mark.parametrize("y", [Y, np.eye(3, dtype=int)[Y]], ids=["one label", "several"])
@pytest.mark.parametrize("module", [Gated, ends_in(nn.LogSoftmax(dim=1)), ends_in(nn.Tanh())])
def test_other_ends_of_modules_are_left_alone(y, module):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_net(module=module).fit(X, y)


def test_subclasses_are_told_the_same_and_searched():
    class Own(CBNeuralNetClassifier):
        pass

    net = Own(max_epochs=1, random_state=0)
    with pytest.raises(ValueError, match="got module__hidden"):
        Own(module__hidden=3).fit(X, Y)
    search = StackedGridSearchCV(net, {"beta": [0, 0.9]}, cv=2, error_score="raise").fit(X, Y)
    assert search.n_fallback_fits_ == 4
    assert type(search.best_estimator_) is Own
    dataset = TensorDataset(torch.from_numpy(X[:, :5]), torch.from_numpy(Y))
    net = Own(batch_transform=nn.Identity(), max_epochs=1, random_state=0)
    assert StackedGridSearchCV(net, {"beta": [0]}, cv=2).fit(dataset).predict(X).shape == (200,)
