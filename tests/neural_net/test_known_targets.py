"""Targets that are not known, or do not count: losses of an epoch are means over the others."""

import numpy as np
import pytest
import torch
from _tagger import Tagger
from sklearn.base import clone
from skorch.callbacks import Callback
from torch import nn
from torch.utils.data import TensorDataset

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import Fit, TrainingCheckpoint, fit_together

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5, 4)).astype(np.float32)
# Of some rows little is known, of the first ones nothing.
SHARE = np.r_[np.ones(9), RNG.random(51)][:, None]
LABELS = np.where(RNG.random((60, 3)) < SHARE, np.nan, RNG.random((60, 3)) < 0.3)
TAGS = np.where(RNG.random((60, 5)) < SHARE, -100, RNG.integers(0, 3, (60, 5)))
ROWS = X.mean(axis=1)
KINDS = {"labels": (ROWS, LABELS), "tags": (X, TAGS)}
KNOWN = {"labels": ~np.isnan(LABELS), "tags": TAGS != -100}


class ReadsBatches(Callback):
    """Has the loss of each batch there at once."""

    def on_batch_end(self, net, training=None, **kwargs):
        name = "train_loss" if training else "valid_loss"
        assert np.isfinite(net.history[-1, "batches", -1, name])


def net(kind, **parameters):
    given = {"lr": 0.0, "max_epochs": 1, "beta": 0.9, "random_state": 0, "device": "cpu"}
    if kind == "tags":
        given |= {"module": Tagger, "criterion__ignore_index": -100}
    return CBNeuralNetClassifier(**given | parameters)


def losses(one):
    return one.history_[-1, ("train_loss", "valid_loss")]


def expected(one, x, y):
    """Return the losses of all at once: the weighted one, and that without weights."""
    logits, target = torch.from_numpy(one.decision_function(x)), torch.from_numpy(y)
    target = target if target.dtype == torch.int64 else target.float()
    plain = clone(one).set_params(beta=0).fit(x, y).criterion_
    return one.criterion_(logits, target).item(), plain(logits, target).item()


@pytest.mark.parametrize("more", [{}, {"callbacks": [ReadsBatches()]}], ids=["", "at once"])
@pytest.mark.parametrize("batch_size", [-1, 25, 7, 1])
@pytest.mark.parametrize("kind", KINDS)
def test_batches_are_weighed_by_what_is_known(kind, batch_size, more):
    x, y = KINDS[kind]
    one = net(kind, batch_size=batch_size, **more).fit(x, y, X_val=x, y_val=y)
    assert losses(one) == pytest.approx(expected(one, x, y), rel=1e-5)


def test_of_a_dataset_too():
    target = torch.from_numpy(LABELS).float()
    dataset = TensorDataset(torch.from_numpy(ROWS), target)
    one = net("labels", loss="multi_label", batch_size=7, classes=range(3))
    one.set_params(module__n_features=4, module__n_classes=3).fit(dataset, X_val=dataset)
    assert losses(one) == pytest.approx(expected(one, ROWS, LABELS), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_nets_of_a_stack_have_them_too(kind):
    (x, y), rows = KINDS[kind], np.arange(5, 60)
    nets = [net(kind, batch_size=7, lr=0.1, max_epochs=3, beta=beta) for beta in (0, 0.9)]
    fits = [Fit(one, x, y[rows], rows) for one in nets]
    fit_together(fits, max_stack=2)
    for fit, alone in zip(fits, nets, strict=True):
        assert fit.n_nets == 2
        alone.fit(x[rows], y[rows])
        together = fit.fitted.history_
        np.testing.assert_allclose(
            together[:, "train_loss"], alone.history_[:, "train_loss"], rtol=1e-4
        )
        for history in (together, alone.history_):
            assert sum(history[-1, "batches", :, "train_n_known"]) == KNOWN[kind][rows].sum()


@pytest.mark.parametrize("kind", KINDS)
def test_of_nothing_the_loss_is_0(kind):
    x, y = KINDS[kind]
    one = net(kind, batch_size=4).fit(x, y, X_val=x[:9], y_val=y[:9])
    assert one.history_[-1, "valid_loss"] == 0
    if kind == "tags":
        assert one.history_[-1, "valid_balanced_accuracy"] == 0
        with pytest.raises(ValueError, match="^y must hold a tag that counts"):
            one.score(x[:9], y[:9])


def test_a_criterion_of_torchs_has_no_nan_where_no_tag_counts():
    theirs = {"criterion": nn.CrossEntropyLoss, "beta": None, "batch_size": 1}
    one = net("tags", **theirs).fit(X, TAGS, X_val=X, y_val=TAGS)
    whole = net("tags", beta=0, batch_size=-1).fit(X, TAGS, X_val=X, y_val=TAGS)
    assert losses(one) == pytest.approx(losses(whole), rel=1e-5)


def test_where_all_is_known_it_is_a_mean_over_rows():
    y = RNG.integers(0, 3, 60)
    one = net("", batch_size=7).fit(ROWS, y, X_val=ROWS, y_val=y)
    assert "train_n_known" not in one.history_[-1]["batches"][0]
    assert losses(one) == pytest.approx(expected(one, ROWS, y), rel=1e-5)


def test_a_checkpoint_knows_the_best_of_them(tmp_path):
    how = {"batch_size": 7, "lr": 0.5, "max_epochs": 4}
    whole = net("labels", **how).fit(ROWS, LABELS)
    net("labels", **how | {"max_epochs": 2}, callbacks=[TrainingCheckpoint(tmp_path)]).fit(
        ROWS, LABELS
    )
    resumed = net("labels", **how, callbacks=[TrainingCheckpoint(tmp_path)]).fit(ROWS, LABELS)
    names = ("train_loss", "train_loss_best")
    assert resumed.history_[:, names] == whole.history_[:, names]
