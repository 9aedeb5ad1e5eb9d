"""CBNeuralNetClassifier: laws of weights, scikit-learn's contract, skorch's features."""

import copy
import pickle
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, PrintLog
from skorch.dataset import ValidSplit
from skorch.exceptions import NotInitializedError
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    ClassBalancedFocalLoss,
    class_balanced_weight,
    effective_number,
)
from sk_cbloss.losses import LOSSES, NormalizedLinear
from sk_cbloss.neural_net import MLP


def rng():
    return np.random.default_rng(0)


Y = np.repeat([0, 1, 2], [140, 45, 15])
X = (rng().normal(size=(200, 5)) + np.eye(3, 5)[Y] * 2).astype(np.float32)
NAMES = np.array(["ant", "bee", "cat"])[Y]


def make_net(**parameters):
    defaults = {"max_epochs": 3, "random_state": 0, "module__hidden_units": (8,), "device": "cpu"}
    return CBNeuralNetClassifier(**(defaults | parameters))


# ------------------------------------------------------------------ scikit-learn's contract


def float32_rounds(net):
    if net.dtype == "float64":
        return {}
    reason = "float32 sums of repeated and of weighted samples differ by rounding (1e-7)"
    return {
        "check_sample_weight_equivalence_on_dense_data": reason,
        "check_sample_weight_equivalence_on_sparse_data": reason,
    }


@parametrize_with_checks(
    [
        CBNeuralNetClassifier(random_state=0, dtype="float64"),
        CBNeuralNetClassifier(random_state=0, dtype="float64", loss="focal", beta=1),
        CBNeuralNetClassifier(random_state=0, dtype="float64", loss="ldam"),
        CBNeuralNetClassifier(random_state=0),
    ],
    expected_failed_checks=float32_rounds,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_no_check_is_skipped():
    net = CBNeuralNetClassifier(random_state=0, max_epochs=2)
    results = check_estimator(net, on_fail=None, on_skip=None)
    assert len(results) > 50
    assert not [result["check_name"] for result in results if result["status"] == "skipped"]


def test_clone_and_get_params_give_what_was_set():
    net = make_net(loss="focal", beta=0.9, optimizer__weight_decay=0.1, module__dropout=0.5)
    net.set_params(device="auto")
    again = clone(net)
    assert again.get_params(deep=False) == net.get_params(deep=False)
    assert again.get_params()["device"] == "auto"
    assert again.device in ("cpu", "cuda", "mps")


def test_set_params_of_everything_then_fit():
    net = make_net().set_params(
        loss="focal",
        beta=0.5,
        gamma=2,
        lr=0.1,
        module__hidden_units=(4, 4),
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=0.1,
        callbacks=[("stop", EarlyStopping(monitor="train_loss"))],
        callbacks__stop__patience=2,
        callbacks__print_log=None,
        iterator_train__shuffle=False,
    )
    net.fit(X, Y)
    assert net.criterion_.gamma == 2
    assert net.module_.head.in_features == 4
    assert dict(net.callbacks_)["stop"].patience == 2
    assert net.optimizer_.param_groups[0]["lr"] == 0.1


def test_parameters_with_typos():
    with pytest.raises(ValueError, match="itterator_train__shuffle"):
        make_net(itterator_train__shuffle=True).fit(X, Y)
    with pytest.raises(ValueError, match="betta"):
        make_net().set_params(betta=1)


def test_repr_and_html():
    assert repr(CBNeuralNetClassifier(beta=0.9)) == "CBNeuralNetClassifier(beta=0.9)"
    assert "CBNeuralNetClassifier" in make_net().fit(X, Y)._repr_html_()


def test_unfitted():
    for method in ("predict", "predict_proba", "predict_log_proba", "decision_function"):
        with pytest.raises(NotFittedError):
            getattr(make_net(), method)(X)
    with pytest.raises(NotInitializedError):
        make_net().forward(X)


def test_fitting_again_starts_afresh_and_leaves_parameters_alone():
    module = MLP(5, 3)
    before = copy.deepcopy(module.state_dict())
    net = make_net(module=module, module__hidden_units=None)
    del net.module__hidden_units
    first = net.fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(net.fit(X, Y).predict_proba(X), first)
    for name, value in module.state_dict().items():
        torch.testing.assert_close(value, before[name])


# ------------------------------------------------------------------ weights


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("with_sample_weight", [False, True])
@pytest.mark.parametrize("normalize", ["classes", "samples", None])
def test_an_epoch_of_batches_of_7_averages_to_the_full_formula(
    loss, with_sample_weight, normalize
):
    """Gradients at frozen parameters, through the net's own batches and its own get_loss."""
    own = rng().uniform(0.2, 3, len(Y)) if with_sample_weight else None
    gradients, sizes = [], []

    class Record(Callback):
        def on_grad_computed(self, net, named_parameters, batch, training=False):
            gradients.append(torch.cat([p.grad.ravel().clone() for _, p in named_parameters]))
            sizes.append(len(batch[1]))

    net = make_net(
        loss=loss,
        beta=0.9,
        normalize=normalize,
        dtype="float64",
        batch_size=7,
        max_epochs=1,
        optimizer=torch.optim.SGD,
        lr=0.0,
        callbacks=[Record()],
    ).fit(X, Y, sample_weight=own)
    assert len(sizes) == 29
    epoch = sum(g * n for g, n in zip(gradients, sizes, strict=True)) / 200

    own = np.ones(len(Y)) if own is None else own
    counts = np.bincount(Y, weights=own)
    weight = class_balanced_weight(counts, beta=0.9, normalize=normalize)[Y] * own / own.mean()
    net.module_.zero_grad()
    logits = net.module_(torch.from_numpy(X).double())
    plain = net.criterion_.loss_per_sample(logits, torch.from_numpy(Y))
    (torch.from_numpy(weight) * plain).sum().div(200).backward()
    full = torch.cat([p.grad.ravel() for p in net.module_.parameters()])
    torch.testing.assert_close(epoch, full, rtol=1e-12, atol=1e-15)


def test_weights_come_from_the_labels_of_each_fit():
    net = make_net(beta=0.9).fit(X, Y)
    np.testing.assert_array_equal(net.class_count_, [140, 45, 15])
    np.testing.assert_allclose(
        net.criterion_.weight, class_balanced_weight([140, 45, 15], beta=0.9), rtol=1e-6
    )
    net.fit(X[::2], Y[::2])
    np.testing.assert_allclose(
        net.criterion_.weight, class_balanced_weight(np.bincount(Y[::2]), beta=0.9), rtol=1e-6
    )


def test_weight_2_means_two_copies():
    own = rng().integers(1, 4, len(Y))
    parameters = {"dtype": "float64", "batch_size": -1, "beta": 0.9}
    weighted = make_net(**parameters).fit(X, Y, sample_weight=own)
    copies = make_net(**parameters).fit(np.repeat(X, own, axis=0), np.repeat(Y, own))
    np.testing.assert_allclose(
        weighted.predict_proba(X), copies.predict_proba(X), rtol=1e-6, atol=1e-9
    )


def test_the_scale_of_sample_weights_does_not_matter_at_beta_0():
    parameters = {"dtype": "float64", "beta": 0}
    own = rng().uniform(0.5, 2, len(Y))
    one = make_net(**parameters).fit(X, Y, sample_weight=own)
    ten = make_net(**parameters).fit(X, Y, sample_weight=10 * own)
    np.testing.assert_allclose(one.predict_proba(X), ten.predict_proba(X), rtol=1e-9)


def test_beta_and_gamma_none_are_the_published_values():
    np.testing.assert_array_equal(
        make_net(loss="focal").fit(X, Y).predict_proba(X),
        make_net(loss="focal", beta=0.999, gamma=1).fit(X, Y).predict_proba(X),
    )


NOTHING = {
    "arrays": (X[:0], Y[:0]),
    "lists": ([], []),
    "dataset": (TensorDataset(torch.from_numpy(X[:0]), torch.from_numpy(Y[:0])), None),
}


@pytest.mark.parametrize("nothing", NOTHING.values(), ids=NOTHING)
@pytest.mark.parametrize("begun", ["by it", "by initialize", "before"])
def test_an_empty_chunk_trains_nothing_and_keeps_the_classes(nothing, begun):
    chunks = np.array_split(rng().permutation(len(Y)), 3)
    net, plain = (
        make_net(max_epochs=2, module__n_features=5, module__n_classes=3) for _ in range(2)
    )
    if begun == "by initialize":
        for each in (net, plain):
            torch.manual_seed(0)
            each.initialize()
    for number, rows in enumerate(chunks):
        told = {"classes": [0, 1, 2]} if not number else {}
        if begun != "before":
            net.partial_fit(*nothing).partial_fit(*nothing, **told).partial_fit(*nothing)
        net.partial_fit(X[rows], Y[rows], **(told if begun == "before" else {}))
        plain.partial_fit(X[rows], Y[rows], **told)
        if begun == "before":
            net.partial_fit(*nothing, **told)
    assert len(net.history) == len(plain.history)
    assert net.n_features_in_ == plain.n_features_in_
    np.testing.assert_array_equal(net.class_count_, plain.class_count_)
    np.testing.assert_array_equal(net.predict_proba(X), plain.predict_proba(X))
    with pytest.raises(ValueError, match="classes must be the known ones"):
        net.partial_fit(*nothing, classes=[0, 1])
    with pytest.raises(ValueError, match="0 sample"):
        net.fit(*nothing)


def test_classes_told_beside_an_empty_chunk_hold_until_a_fit():
    net = make_net().partial_fit(X[:0], Y[:0], classes=[0, 1, 2])
    with pytest.raises(ValueError, match="classes must be the known ones"):
        net.partial_fit(X, Y, classes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="y must hold only the known classes"):
        net.partial_fit(X, Y + 1)
    assert net.fit(X, Y + 1).classes_.tolist() == [1, 2, 3]


def test_counts_add_up_in_partial_fit():
    net = make_net(beta=0.9)
    order = np.random.default_rng(0).permutation(200)
    for rows in np.array_split(order, 4):
        net.partial_fit(X[rows], Y[rows], classes=[0, 1, 2])
    np.testing.assert_array_equal(net.class_count_, [140, 45, 15])
    np.testing.assert_allclose(
        net.criterion_.weight, class_balanced_weight([140, 45, 15], beta=0.9), rtol=1e-6
    )
    assert len(net.history) == 12


def test_warm_start_goes_on():
    net = make_net(warm_start=True).fit(X, Y)
    before = net.module_.head.weight.detach().clone()
    net.set_params(lr=0.0).fit(X, Y)
    torch.testing.assert_close(net.module_.head.weight.detach(), before)


# ------------------------------------------------------------------ losses


@pytest.mark.parametrize("loss", LOSSES)
def test_it_learns(loss):
    net = make_net(loss=loss, max_epochs=60, random_state=1).fit(X, NAMES)
    recall = [(net.predict(X[c == NAMES]) == c).mean() for c in np.unique(NAMES)]
    # Temperatures help a net that fits its training data; this one is too small for it.
    assert np.mean(recall) > (0.7 if loss == "cdt" else 0.8)


@pytest.mark.parametrize("loss", LOSSES)
def test_predict_is_the_argmax_of_logits_and_of_probabilities(loss):
    net = make_net(loss=loss).fit(X, NAMES)
    logits, p = net.decision_function(X), net.predict_proba(X)
    np.testing.assert_array_equal(net.predict(X), net.classes_[logits.argmax(axis=1)])
    np.testing.assert_array_equal(net.predict(X), net.classes_[p.argmax(axis=1)])
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.exp(net.predict_log_proba(X)), p, rtol=1e-5)


def test_two_classes_have_one_decision():
    keep = Y < 2
    net = make_net().fit(X[keep], NAMES[keep])
    score = net.decision_function(X)
    assert score.shape == (200,)
    np.testing.assert_array_equal(net.predict(X), net.classes_[(score > 0).astype(int)])


def test_the_bias_starts_at_the_classes_share_for_one_vs_rest_losses():
    for loss in ("sigmoid", "focal"):
        net = make_net(loss=loss, lr=0.0).fit(X, Y)
        np.testing.assert_allclose(net.module_.head.bias.detach(), -np.log(2), rtol=1e-6)
    torch.manual_seed(0)
    assert make_net(lr=0.0).fit(X, Y).module_.head.bias.detach().std() > 0


@pytest.mark.parametrize("loss", ["logit_adjusted", "cdt", "vs"])
def test_the_bias_starts_at_0_and_decays_where_there_is_a_prior(loss):
    net = make_net(loss=loss, lr=0.0, optimizer__weight_decay=0.1).fit(X, Y)
    assert (net.module_.head.bias == 0).all()
    (group,) = net.optimizer_.param_groups
    assert group["weight_decay"] == 0.1


def test_ldam_gets_a_normalised_head():
    net = make_net(loss="ldam", dtype="float64").fit(X, Y)
    assert isinstance(net.module_.head, NormalizedLinear)
    assert abs(net.forward(X)).max() <= 1 + 1e-12
    again = make_net(loss="ldam", dtype="float64").fit(X, Y)
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(net)).predict(X), net.predict(X))


def test_a_module_instance_keeps_its_head_under_ldam():
    module = MLP(5, 3)
    net = make_net(module=module, module__hidden_units=None, loss="ldam", lr=0.0)
    del net.module__hidden_units
    with pytest.warns(UserWarning, match="last layer of .* for LDAMLoss.*named head") as warned:
        assert isinstance(net.fit(X, Y).module_.head, nn.Linear)
    assert [warning.filename for warning in warned] == [__file__]
    module.head = NormalizedLinear(module.head.in_features, 3)
    net.fit(X, Y)  # without a warning


def test_a_warm_start_with_another_head_is_warned():
    net = make_net(warm_start=True).fit(X, Y)
    with pytest.warns(UserWarning, match="last layer of type NormalizedLinear"):
        net.set_params(loss="ldam").fit(X, Y)


def test_validation_takes_half_precision_as_training_does():
    net = make_net(max_epochs=1).fit(X, Y)
    logits = torch.tensor([[6e4, -6e4, 0.0]], dtype=torch.float16)
    for training in (True, False):
        loss = net.get_loss(logits, torch.tensor([1]), training=training)
        assert loss.dtype == torch.float32
        assert loss.isfinite()


def test_the_prior_follows_the_data():
    """By default without weights; with them, and with sample weights, it is the weighted one."""
    for given, own in [({}, None), ({"beta": 0.9}, None), ({}, 1 + Y % 2)]:
        net = make_net(loss="logit_adjusted", dtype="float64", **given).fit(
            X, Y, sample_weight=own
        )
        prior = net.class_count_ * net.criterion_.weight.numpy()
        np.testing.assert_allclose(net.criterion_.class_prior, prior / prior.sum())
    np.testing.assert_array_equal(net.class_count_, [140, 90, 15])
    assert (net.criterion_.weight == 1).all()


def test_weights_from_outside_and_a_prior_correct_once():
    net = make_net(loss="logit_adjusted", dtype="float64")
    model = ClassBalancedClassifier(net, beta=1).fit(X, Y)
    np.testing.assert_allclose(model.estimator_.criterion_.class_prior, [1 / 3] * 3)


def test_parameters_of_a_loss_are_searched_by_prefix():
    grid = [
        {"loss": ["softmax"], "beta": [0, 0.9]},
        {
            "loss": ["logit_adjusted"],
            "criterion__tau": [0.5, 1],
            "criterion__prior_beta": [0.9, 1],
        },
        {"loss": ["cdt"], "gamma": [0.1, 0.3]},
        {"loss": ["ldam"], "criterion__max_margin": [0.2]},
    ]
    search = GridSearchCV(make_net(), grid, cv=2, error_score="raise").fit(X, Y)
    assert len(search.cv_results_["params"]) == 9
    net = make_net(loss="logit_adjusted", criterion__tau=0.5, criterion__prior_beta=0.9).fit(X, Y)
    assert net.criterion_.tau == 0.5
    number = effective_number([140, 45, 15], beta=0.9)
    np.testing.assert_allclose(net.criterion_.class_prior, number / number.sum(), rtol=1e-6)
    assert make_net(loss="cdt").fit(X, Y).criterion_.gamma == 0.2


@pytest.mark.parametrize("loss", ["logit_adjusted", "cdt", "vs"])
def test_a_class_still_to_come_is_not_predicted(loss):
    net = make_net(loss=loss, lr=0.0)
    net.partial_fit(X[Y < 2], Y[Y < 2], classes=[0, 1, 2])
    assert set(net.predict(X)) <= {0, 1}
    assert (net.predict_proba(X)[:, 2] == 0).all()
    assert np.isfinite(net.decision_function(X)).all()
    np.testing.assert_array_equal(net.decision_function(X).argmax(axis=1), net.predict(X))
    net.set_params(lr=0.01, max_epochs=30).partial_fit(X, Y)
    assert (net.predict_proba(X)[:, 2] > 0).all()


def test_the_bias_of_a_module_instance_stays():
    module = MLP(5, 3)
    net = CBNeuralNetClassifier(module, loss="focal", lr=0.0, max_epochs=1).fit(X, Y)
    torch.testing.assert_close(net.module_.head.bias, module.head.bias)


def test_weight_decay_leaves_the_started_bias_alone():
    decayed = {"optimizer__weight_decay": 0.1}
    net = make_net(loss="focal", **decayed).fit(X, Y)
    groups = net.optimizer_.param_groups
    assert [group["weight_decay"] for group in groups] == [0, 0.1]
    assert groups[0]["params"][0] is net.module_.head.bias
    assert len(make_net(loss="softmax", **decayed).fit(X, Y).optimizer_.param_groups) == 1
    assert len(make_net(loss="focal").fit(X, Y).optimizer_.param_groups) == 1
    by_default = make_net(loss="focal", optimizer=torch.optim.AdamW).fit(X, Y)
    assert by_default.optimizer_.param_groups[0]["weight_decay"] == 0
    own_groups = [("head*", {"lr": 0.5})]
    net = make_net(loss="focal", optimizer__param_groups=own_groups, **decayed).fit(X, Y)
    assert [group["lr"] for group in net.optimizer_.param_groups] == [0.5, 0.01]


def test_a_criterion_of_ones_own():
    net = make_net(criterion=nn.CrossEntropyLoss).fit(X, NAMES)
    assert isinstance(net.criterion_, nn.CrossEntropyLoss)
    np.testing.assert_allclose(net.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
    own = rng().uniform(1, 2, len(Y))
    with pytest.raises(ValueError, match="criterion must have reduction='none' with"):
        make_net(criterion=nn.CrossEntropyLoss).fit(X, Y, sample_weight=own)
    weighted = {"criterion": nn.CrossEntropyLoss, "criterion__reduction": "none"}
    by_torch = make_net(**weighted).fit(X, Y, sample_weight=own)
    ours = make_net(beta=0).fit(X, Y, sample_weight=own)
    np.testing.assert_allclose(by_torch.predict_proba(X), ours.predict_proba(X), rtol=1e-3)


@pytest.mark.parametrize(
    "parameter", [{"loss": "focal"}, {"beta": 0.9}, {"gamma": 1}, {"normalize": "samples"}]
)
def test_a_criterion_beside_a_loss_parameter(parameter):
    (name,) = parameter
    parameter = parameter | ({"loss": "softmax"} if name == "gamma" else {})
    with pytest.raises(ValueError, match=f"^{name} must be"):
        make_net(criterion=nn.CrossEntropyLoss, **parameter).fit(X, Y)


# ------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    "labels",
    [
        NAMES,
        NAMES.astype(object),
        NAMES.tolist(),
        Y * 10**12 - 5,
        Y.astype(float),
        (Y > 0),
        pd.Series(NAMES),
        pd.Series(pd.Categorical(NAMES)),
        pl.Series(NAMES),
        torch.from_numpy(Y),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_labels_of_any_kind(labels):
    net = make_net().fit(X, labels)
    assert set(net.predict(X).tolist()) <= set(np.unique(np.asarray(labels)).tolist())


def test_classes_may_hold_more_than_y():
    net = make_net(classes=["ant", "bee", "cat", "dog"]).fit(X, NAMES)
    np.testing.assert_array_equal(net.class_count_, [140, 45, 15, 0])
    assert net.predict_proba(X).shape == (200, 4)


@pytest.mark.parametrize(
    "classes",
    [["cat", "bee", "ant"], ["ant", "ant", "bee", "cat"], [1, "ant"], 5, "abc"],
)
def test_classes_out_of_order(classes):
    """scikit-learn's scorers would take one class's probabilities for another's."""
    with pytest.raises(ValueError, match="^classes must list labels of one kind, sorted and each"):
        make_net(classes=classes).fit(X, NAMES)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (Y * 0, "needs samples of at least 2 classes, got one class: 0"),
        (Y + 0.5, "y must hold class labels, got the continuous value 0.5"),
        (np.where(Y == 0, np.nan, Y), "contains NaN"),
        (Y[:-1], "X and y must have the same number of samples, got 200 and 199"),
        (None, "requires y to be passed, but the target y is None"),
        (np.where(Y == 0, None, NAMES), "y must .*missing"),
        ([None] * 200, "y must .*missing"),
        (pd.Categorical.from_codes(Y - 1, ["ant", "bee"]), "y must .*missing"),
        (pd.Series(NAMES, dtype="string").where(Y > 0), "y must .*missing"),
        (["ant", 1] * 100, "y must .*one kind"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(ValueError, match=message):
        make_net().fit(X, labels)


def test_a_new_class_in_partial_fit():
    net = make_net().partial_fit(X, NAMES)
    with pytest.raises(
        ValueError,
        match=r"^y must hold only the known classes, \['ant', 'bee', 'cat'\], got 'dog': list all",
    ):
        net.partial_fit(X[:2], ["ant", "dog"])
    np.testing.assert_array_equal(net.class_count_, [140, 45, 15])


def test_a_refused_partial_fit_leaves_the_counts():
    net = make_net(callbacks=[EarlyStopping("valid_loss")])
    net.partial_fit(X, Y, X_val=X, y_val=Y)
    for refused in ({}, {"X_val": X, "y_val": Y[1:]}):
        with pytest.raises(ValueError, match="validation data"):
            net.partial_fit(X, Y, **refused)
        np.testing.assert_array_equal(net.class_count_, [140, 45, 15])
    net.partial_fit(X, Y, X_val=X, y_val=Y)
    np.testing.assert_array_equal(net.class_count_, [280, 90, 30])


class Spoils(Callback):
    """Spoils the parameters at the begin of an epoch."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_batch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch:
            net.module_.head.bias.data.fill_(torch.nan)


def test_a_fit_that_diverges_has_the_classes_of_its_net():
    net = make_net().fit(X, NAMES)
    expected = net.predict_proba(X)
    with pytest.raises(FloatingPointError, match="The net is as it was before"):
        net.set_params(lr=1e30, max_epochs=5).fit(X, Y > 0)
    assert net.classes_.tolist() == ["ant", "bee", "cat"]
    np.testing.assert_array_equal(net.class_count_, [140, 45, 15])
    np.testing.assert_array_equal(net.predict_proba(X), expected)
    net.set_params(lr=0.01, callbacks=[Spoils(epoch=3)])
    with pytest.raises(FloatingPointError, match="has the parameters of epoch 2"):
        net.fit(X, Y > 0)
    assert net.classes_.tolist() == [False, True]
    np.testing.assert_array_equal(net.class_count_, [140, 60])
    assert net.predict_natural_proba(X).shape == (200, 2)


def test_epochs_of_a_call_must_stop_early_on_something():
    with pytest.raises(ValueError, match="^epochs must be an integer >= 1, got 0"):
        make_net(early_stopping=True).fit(X, Y, epochs=0)


@pytest.mark.parametrize("dataset", [False, True])
def test_a_batch_size_of_numpy(dataset):
    data = TensorDataset(torch.tensor(X), torch.tensor(Y)) if dataset else X
    net = make_net(batch_size=np.int64(32), module__n_features=5).fit(data, Y)
    assert len(net.history[0, "batches"]) == 7


def test_partial_fit_knows_its_classes():
    net = make_net().partial_fit(X, NAMES, classes=["cat", "bee", "ant", "dog"])
    net.partial_fit(X, NAMES, classes=["ant", "bee", "cat", "dog"])
    known = r"\['ant', 'bee', 'cat', 'dog'\]"
    with pytest.raises(
        ValueError, match=rf"^classes must be the known ones, {known}, got \['ant', 'bee'\]"
    ):
        net.partial_fit(X, NAMES, classes=["ant", "bee"])
    np.testing.assert_array_equal(net.class_count_, [280, 90, 30, 0])


def test_one_class_left_by_weights_of_0():
    with pytest.raises(
        ValueError, match="2 classes with a sample_weight above 0, got one class: bee"
    ):
        make_net().fit(X, NAMES, sample_weight=NAMES == "bee")


# ------------------------------------------------------------------ features


@pytest.mark.parametrize(
    ("features", "message"),
    [
        *((X, "X must be an array, a dict or list .*, got ") for X in (None, "abc", 5, X[0, 0])),
        (DataLoader(X), "X must be an array, .*, got DataLoader: pass its dataset, and set batch"),
        ({}, "X must hold at least one array, got {}"),
        (X[:0], r"Found array with 0 sample\(s\)"),
        ([], r"Found array with 0 sample\(s\)"),
    ],
)
def test_what_holds_no_samples(features, message):
    y = Y[: len(features)] if isinstance(features, np.ndarray | list) else Y
    with pytest.raises(ValueError, match=f"^{message}"):
        make_net().fit(features, y)


@pytest.mark.parametrize(
    "features",
    [
        X.astype(np.float64),
        X.tolist(),
        torch.from_numpy(X),
        pd.DataFrame(X, columns=list("abcde")),
        pl.DataFrame(X, schema=list("abcde")),
        scipy.sparse.csr_matrix(X),
        scipy.sparse.csc_array(X),
        scipy.sparse.dok_matrix(X),
    ],
    ids=lambda features: f"{type(features).__module__}.{type(features).__name__}",
)
@pytest.mark.parametrize("own", [None, Y + 1.0], ids=["", "weighted"])
def test_features_of_any_kind(features, own):
    expected = make_net().fit(X, Y, sample_weight=own).predict_proba(X)
    net = make_net().fit(features, Y, sample_weight=own)
    np.testing.assert_allclose(net.predict_proba(features), expected, rtol=1e-4, atol=1e-6)
    assert net.n_features_in_ == 5


def test_sparse_features_are_made_dense_a_batch_at_a_time():
    widest = []

    class Watch(nn.Module):
        def __init__(self, n_features, n_classes):
            super().__init__()
            self.head = nn.Linear(n_features, n_classes)

        def forward(self, x):
            widest.append(tuple(x.shape))
            return self.head(x)

    net = CBNeuralNetClassifier(Watch, batch_size=32, max_epochs=1)
    net.fit(scipy.sparse.random(200, 1000, density=0.01, format="csr", random_state=0), Y)
    assert max(rows for rows, _ in widest) == 32


def test_text_columns_get_an_error_that_names_an_encoder():
    frame = pd.DataFrame({"size": X[:, 0], "city": NAMES, "kind": pd.Categorical(NAMES)})
    for features in (frame, pl.DataFrame({"size": X[:, 0], "city": NAMES, "kind": NAMES})):
        with pytest.raises(ValueError, match="'city', 'kind'.*OneHotEncoder"):
            make_net().fit(features, Y)


def test_columns_in_another_order():
    frame = pd.DataFrame(X, columns=list("abcde"))
    net = make_net().fit(frame, Y)
    with pytest.raises(ValueError, match="feature names"):
        net.predict(frame[list("edcba")])


class TwoInputs(nn.Module):
    def __init__(self, n_classes, n_codes=3):
        super().__init__()
        self.embedding = nn.Embedding(n_codes, 2)
        self.head = nn.Linear(7, n_classes)

    def forward(self, numbers, code):
        return self.head(torch.cat([numbers, self.embedding(code)], dim=1))


@pytest.mark.parametrize("own", [None, Y + 1.0], ids=["", "weighted"])
def test_a_dict_of_inputs(own):
    features = {"numbers": X.astype(np.float64), "code": Y}
    net = CBNeuralNetClassifier(TwoInputs, max_epochs=30, random_state=0)
    net.fit(features, NAMES, sample_weight=own)
    assert (net.predict(features) == NAMES).mean() > 0.9
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        net.fit({"numbers": X, "code": Y[:-1]}, NAMES)


class Images(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.body = nn.Conv2d(n_features, 4, 3)
        self.head = nn.Linear(4, n_classes)

    def forward(self, x):
        return self.head(self.body(x).mean(dim=(2, 3)))


def test_images_give_their_number_of_channels():
    images = rng().normal(size=(200, 3, 8, 8))
    net = CBNeuralNetClassifier(Images, max_epochs=1).fit(images, Y)
    assert net.module_.body.in_channels == 3
    assert net.predict(images).shape == (200,)


def test_a_module_without_the_parameters_gets_none():
    net = CBNeuralNetClassifier(
        nn.Linear, module__in_features=5, module__out_features=3, max_epochs=1
    )
    assert net.fit(X, Y).module_.out_features == 3


def test_the_users_sizes_win():
    net = CBNeuralNetClassifier(MLP, module__n_classes=4, max_epochs=1, classes=[0, 1, 2, 3])
    assert net.fit(X, Y).module_.head.out_features == 4


def test_too_few_outputs():
    net = CBNeuralNetClassifier(MLP, module__n_classes=2, max_epochs=1)
    with pytest.raises(ValueError, match="a column for each of the 3 classes, got 2 columns"):
        net.fit(X, Y)


def test_a_torch_dataset():
    dataset = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    net = make_net(module=MLP, module__n_features=5).fit(dataset)
    np.testing.assert_array_equal(net.class_count_, [140, 45, 15])
    assert net.predict(dataset).shape == (200,)
    with pytest.raises(ValueError, match="^sample_weight must be None with a Dataset"):
        net.fit(dataset, sample_weight=np.ones(200))

    class Silent(torch.utils.data.Dataset):
        def __len__(self):
            return 200

        def __getitem__(self, i):
            return X[i], Y[i]

    net.fit(Silent())
    np.testing.assert_array_equal(net.class_count_, [140, 45, 15])
    net.fit(Silent(), Y)
    shifted = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y + 1))
    with pytest.raises(ValueError, match="targets must be integers from 0 to 2"):
        net.fit(shifted)


# ------------------------------------------------------------------ validation


@pytest.mark.parametrize("labels", [Y, NAMES], ids=["int", "str"])
def test_validation_scores(labels):
    split = ValidSplit(4, stratified=True)
    seen = {}

    class Watch(Callback):
        def on_train_begin(self, net, X, y, **kwargs):
            _, seen["valid"] = net.get_split_datasets(X, y)

    net = make_net(
        train_split=split,
        beta=1,
        callbacks=[Watch(), EpochScoring("accuracy", name="accuracy", lower_is_better=False)],
    )
    net.fit(X, labels, sample_weight=Y + 1.0)
    rows = seen["valid"].indices
    logits = net.module_(torch.from_numpy(X[rows])).detach()
    plain = nn.CrossEntropyLoss()(logits, torch.from_numpy(Y[rows]))
    assert net.history[-1, "valid_loss"] == pytest.approx(plain.item(), rel=1e-5)
    predicted = net.predict(X[rows])
    recall = [(predicted[labels[rows] == c] == c).mean() for c in net.classes_]
    assert net.history[-1, "valid_balanced_accuracy"] == pytest.approx(np.mean(recall))
    assert net.history[-1, "accuracy"] == pytest.approx((predicted == labels[rows]).mean())
    assert "valid_acc" not in net.history[-1]


def test_a_users_callback_is_not_changed():
    scoring = EpochScoring("accuracy", name="accuracy")
    extractor = scoring.target_extractor
    make_net(callbacks=[scoring], train_split=ValidSplit(4)).fit(X, NAMES)
    assert scoring.target_extractor is extractor


def test_verbose_prints_a_line_an_epoch(capsys):
    make_net(verbose=1).fit(X, Y)
    first, *table = capsys.readouterr().out.strip().splitlines()
    assert first.startswith("CBNeuralNetClassifier trains on cpu; ")
    assert len(table) == 2 + 3


def test_verbose_says_what_was_decided(capsys):
    X, y = np.zeros((8, 2), dtype=np.float32), ["ant"] * 6 + ["bee"] * 2
    classes = ["ant", "bee", "cat", "dog"]
    net = CBNeuralNetClassifier(loss="focal", classes=classes, max_epochs=0, verbose=1)
    net.fit(X, y, sample_weight=0.5)
    assert capsys.readouterr().out.startswith(
        "CBNeuralNetClassifier trains on cpu; 4 samples of 2 classes of 3 to 1; "
        "loss focal, beta 0.999, gamma 1; no samples of 'cat', 'dog'.\n"
    )
    net.set_params(criterion=torch.nn.CrossEntropyLoss, loss=None, verbose=0).fit(X, y)
    assert capsys.readouterr().out == ""
    net = CBNeuralNetClassifier(criterion=torch.nn.CrossEntropyLoss, max_epochs=0, verbose=1)
    net.fit(X[:4], y[4:])
    assert "4 samples of 2 classes of one size.\n" in capsys.readouterr().out
    net.set_params(classes=["ant", "bee", *(f"c{i}" for i in range(9))]).fit(X, y)
    assert "no samples of 'c0', 'c1', 'c2', 'c3', 'c4' and 4 more." in capsys.readouterr().out


# ------------------------------------------------------------------ searches and meta-estimators


@pytest.mark.parametrize("n_jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_grid_search(n_jobs):
    pipeline = make_pipeline(StandardScaler(), make_net())
    grid = [
        {"loss": ["softmax", "sigmoid"], "beta": [0, 0.9], "module__hidden_units": [(4,), (8,)]},
        {"loss": ["focal"], "gamma": [0.5, 2], "optimizer__weight_decay": [0, 0.1]},
    ]
    prefix = "cbneuralnetclassifier__"
    grid = [{prefix + name: values for name, values in part.items()} for part in grid]
    search = GridSearchCV(
        pipeline, grid, scoring="balanced_accuracy", cv=3, n_jobs=n_jobs, error_score="raise"
    ).fit(X, NAMES)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 12
    alone = clone(pipeline).set_params(**search.cv_results_["params"][5])
    np.testing.assert_allclose(
        cross_val_score(alone, X, NAMES, scoring="balanced_accuracy", cv=3).mean(), scores[5]
    )


def test_a_fold_that_lacks_a_class():
    from sklearn.model_selection import KFold

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="y_pred contains classes not in y_true")
        warnings.filterwarnings("ignore", message="A single label was found")
        scores = cross_val_score(make_net(), X, NAMES, cv=KFold(4), error_score="raise")
    assert np.isfinite(scores).all()


def test_a_grid_that_crosses_gamma_with_a_loss_that_has_none():
    with pytest.raises(ValueError, match="gamma must be None for loss='softmax'.*list of grids"):
        make_net(gamma=2).fit(X, Y)


def test_inside_class_balanced_classifier_it_equals_samples_weights():
    """The meta-estimator's weights at beta 0 of the net are the net's own with "samples"."""
    outside = ClassBalancedClassifier(make_net(beta=0, dtype="float64"), beta=0.9).fit(X, Y)
    inside = make_net(beta=0.9, normalize="samples", dtype="float64").fit(X, Y)
    np.testing.assert_allclose(
        outside.predict_proba(X), inside.predict_proba(X), rtol=1e-9, atol=1e-12
    )


def test_sample_weight_with_metadata_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        net = make_net().set_fit_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
        pipeline.fit(X, Y, sample_weight=Y + 1.0)
    np.testing.assert_array_equal(pipeline[-1].class_count_, [140, 90, 45])


# ------------------------------------------------------------------ randomness


def test_same_seed_same_net_and_the_global_generators_untouched():
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    first = make_net(module__dropout=0.5).fit(X, Y).predict_proba(X)
    torch.rand(3)
    torch.set_rng_state(torch_state)
    second = make_net(module__dropout=0.5).fit(X, Y).predict_proba(X)
    np.testing.assert_array_equal(first, second)
    torch.testing.assert_close(torch.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002
    other = make_net(module__dropout=0.5, random_state=1).fit(X, Y).predict_proba(X)
    assert not np.array_equal(first, other)


def test_no_seed_draws_from_torchs_generator():
    def fit():
        torch.manual_seed(3)
        return make_net(random_state=None).fit(X, Y).predict_proba(X)

    np.testing.assert_array_equal(fit(), fit())


def test_partial_fit_does_not_repeat_its_draws():
    net = make_net(max_epochs=1, module__dropout=0.5)
    seeds = []
    original = net._next_seed
    net._next_seed = lambda anew: seeds.append(original(anew)) or seeds[-1]
    net.partial_fit(X, Y)
    net.partial_fit(X, Y)
    assert seeds[0] != seeds[1]


def test_nets_in_two_threads_give_what_each_gives_alone():
    alone = [make_net(random_state=seed).fit(X, Y).predict_proba(X) for seed in (0, 1)]
    for _ in range(3):
        nets = [make_net(random_state=seed) for seed in (0, 1)]
        threads = [threading.Thread(target=net.fit, args=(X, Y)) for net in nets]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for net, expected in zip(nets, alone, strict=True):
            np.testing.assert_array_equal(net.predict_proba(X), expected)


# ------------------------------------------------------------------ persistence and devices


def test_pickle_joblib_and_deepcopy():
    net = make_net(device="auto", loss="focal").fit(X, NAMES)
    expected = net.predict_proba(X)
    for again in (pickle.loads(pickle.dumps(net)), copy.deepcopy(net)):
        np.testing.assert_array_equal(again.predict_proba(X), expected)
        assert again.get_params()["device"] == "auto"
        again.partial_fit(X, NAMES)


def test_a_net_pickled_while_it_trains_leaves_the_data_behind():
    pickles = []

    class Keep(Callback):
        def on_epoch_end(self, net, **kwargs):
            pickles.append(pickle.dumps(net))

        def __reduce__(self):
            return Callback, ()

    big = rng().normal(size=(20_000, 5))
    net = make_net(max_epochs=1, callbacks=[Keep()]).fit(big, np.arange(20_000) % 3)
    assert len(pickles[0]) < big.nbytes / 10
    np.testing.assert_array_equal(pickle.loads(pickles[0]).predict(X), net.predict(X))


@pytest.mark.slow
def test_a_pickle_loads_in_a_fresh_process(tmp_path):
    net = make_net(loss="focal").fit(X, NAMES)
    file = tmp_path / "net.pkl"
    file.write_bytes(pickle.dumps((net, X)))
    script = f"""
import pickle
net, X = pickle.loads(open({str(file)!r}, "rb").read())
print(net.predict(X)[0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == net.predict(X)[0], done.stderr


@pytest.mark.slow
def test_nets_of_a_script_go_to_processes_and_back():
    script = Path(__file__).parents[1] / "_script_of_processes.py"
    ran = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1:] == ["done"], ran.stderr


def test_float64_is_float64_throughout():
    net = make_net(dtype="float64").fit(X, Y)
    assert net.predict_proba(X).dtype == np.float64
    assert {p.dtype for p in net.module_.parameters()} == {torch.float64}
    assert make_net().fit(X, Y).predict_proba(X).dtype == np.float32


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"loss": "foc"}, "loss must be one of 'cdt', 'focal', .*, 'vs', or None, got 'foc'"),
        (
            {"criterion__tau": 2},
            "criterion__\\* must be one of .*reduction for loss='softmax', got criterion__tau",
        ),
        (
            {"loss": "ldam", "criterion__weight": [1, 2]},
            "criterion__\\* must be one of .*max_margin.* for loss='ldam', got criterion__weight",
        ),
        ({"loss": "logit_adjusted", "criterion__tau": -1}, "tau must be a finite number >= 0"),
        ({"loss": "logit_adjusted", "criterion__prior_beta": 2}, "prior_beta must be a number"),
        ({"beta": 1.1}, "beta must be a number in"),
        ({"loss": "focal", "gamma": -1}, "gamma must be a finite number >= 0, got -1"),
        ({"normalize": "mean"}, "normalize must be"),
        ({"dtype": "float16"}, "dtype must be 'float32' or 'float64', got 'float16'"),
        ({"module__dropout": 2}, "dropout must be"),
        ({"module__dropout": 1}, "dropout must be below 1, got 1"),
        ({"module__dropout": "a"}, "dropout must be a number in .*, got 'a'"),
        ({"module__hidden_units": 5}, "hidden_units must be a sequence of integers, got 5"),
        ({"max_epochs": 1.5}, "max_epochs must be an integer >= 0, got 1.5"),
        ({"loss": "focal", "gamma": 1, "criterion__gamma": 2}, "gamma must be None beside"),
        ({"module__hidden_units": (0,)}, "hidden_units must be an integer >= 1, got 0"),
        ({"module__n_features": "a"}, "n_features must be an integer >= 1, got 'a'"),
        *(
            ({name: value}, f"{name} must be {rule}.*, got ")
            for name, rule, values in [
                ("module", "a torch.nn.Module class", ["mlp", 5]),
                ("criterion", "a loss class, function or instance", ["ce", 5]),
                ("optimizer", "a class such as", ["Adam", None, torch.optim.SGD([torch.ones(1)])]),
                ("lr", "a finite number >= 0", ["a", None, -1, np.nan]),
                ("iterator_train", "a class such as", [None, DataLoader(X)]),
                ("iterator_valid", "a class such as", [None, DataLoader(X)]),
                ("dataset", "a torch.utils.data.Dataset class", [None, 5]),
                ("train_split", "callable, such as .*ValidSplit", [0.2, 5, True, np.ones(2)]),
                ("batch_size", "an integer >= 1, or -1 for all samples", [0, -2, 2.5, "a", True]),
                ("predict_nonlinearity", "callable, None or 'auto'", ["x", 5, np.ones(2)]),
                ("callbacks", "a list of callbacks", [[5], [("a", 5)], [(5, PrintLog)]]),
                ("dtype", "'float32' or", [None, ["float32"]]),
                ("autocast", "'bfloat16', 'float16' or None", [5, ["float16"]]),
            ]
            for value in values
        ),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make_net(**parameters).fit(X, Y)


@pytest.mark.parametrize("as_class", [True, False])
def test_a_loss_of_the_family_as_criterion_keeps_its_probabilities_and_weights(as_class):
    if as_class:
        given = {"criterion": ClassBalancedFocalLoss, "criterion__gamma": 2.0}
    else:
        given = {"criterion": ClassBalancedFocalLoss(gamma=2.0)}
    own = rng().uniform(1, 2, len(Y))
    net = make_net(**given).fit(X, Y, sample_weight=own)
    assert net.criterion_.gamma == 2
    by_name = make_net(loss="focal", gamma=2, beta=0).fit(X, Y, sample_weight=own)
    np.testing.assert_allclose(net.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.exp(net.predict_log_proba(X)), net.predict_proba(X), rtol=1e-5)
    assert by_name.predict_proba(X).shape == net.predict_proba(X).shape


# ------------------------------------------------------------------ nothing is lost by an error


def test_a_refit_that_raises_leaves_the_net_as_it_was():
    net = make_net(warm_start=True).fit(X, NAMES)
    expected, attributes = net.predict_proba(X), set(vars(net))
    for bad_X, bad_y in (
        (X, np.where(NAMES == "ant", "dog", NAMES)),
        (X[:, :3], NAMES),
        (X, NAMES[:-1]),
        (np.full_like(X, np.nan), NAMES),
    ):
        with pytest.raises(ValueError, match="known classes|features|samples|NaN"):
            net.fit(bad_X, bad_y)
        np.testing.assert_array_equal(net.predict_proba(X), expected)
    assert set(vars(net)) == attributes


def test_a_warm_start_with_fewer_classes_keeps_them_all():
    net = make_net(warm_start=True).fit(X, NAMES).fit(X[:185], NAMES[:185])
    np.testing.assert_array_equal(net.class_count_, [140, 45, 0])
    assert net.predict_proba(X).shape == (200, 3)


@pytest.mark.parametrize("features", [X.reshape(200, 5, 1), {"numbers": X}])
def test_the_default_module_takes_tables_only(features):
    with pytest.raises(ValueError, match=r"^X must have shape \(n_samples, n_features\) for the"):
        make_net().fit(features, Y)


# ------------------------------------------------------------------ going on


@pytest.mark.parametrize("change", [{"loss": "focal"}, {"gamma": 3.0}, {"beta": 0.5}])
def test_a_warm_start_takes_a_changed_loss(change):
    loss = "softmax" if "loss" in change else "focal"
    net = make_net(warm_start=True, loss=loss).fit(X, Y)
    net.set_params(**change).fit(X, Y)
    anew = make_net(**({"loss": loss} | change)).fit(X, Y)
    assert type(net.criterion_) is type(anew.criterion_)
    assert getattr(net.criterion_, "gamma", None) == getattr(anew.criterion_, "gamma", None)
    torch.testing.assert_close(net.criterion_.weight, anew.criterion_.weight)


@pytest.mark.parametrize("classes", [None, ["ant", "bee", "cat"]])
def test_initialize_then_partial_fit(classes):
    """skorch's way to go on from loaded parameters."""
    sizes = {"module__n_features": 5, "module__n_classes": 3, "classes": classes}
    net = make_net(**sizes).initialize()
    module = net.module_
    net.partial_fit(X, NAMES)
    assert net.module_ is module
    np.testing.assert_array_equal(net.class_count_, [140, 45, 15])
    assert set(net.predict(X)) <= set(NAMES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler warns of much in torch itself
def test_compiled_nets_train_and_go_on():
    net = make_net(compile=True, max_epochs=1).fit(X, NAMES).partial_fit(X, NAMES)
    np.testing.assert_array_equal(net.class_count_, [280, 90, 30])
    np.testing.assert_allclose(net.predict_proba(X).sum(axis=1), 1, rtol=1e-5)


class HiddenHead(nn.Module):
    def __init__(self, n_features, n_classes, head):
        super().__init__()
        self.head = head(n_features)
        self.last = nn.Linear(7, n_classes)

    def forward(self, x):
        return self.last(self.head(x))


def linear_head(n_features):
    return nn.Linear(n_features, 7)


def lazy_head(n_features):
    return nn.LazyLinear(7)


@pytest.mark.parametrize("head", [linear_head, lazy_head])
def test_a_head_that_is_not_the_last_layer_keeps_its_bias(head):
    decay = {"optimizer__weight_decay": 0.1}
    net = CBNeuralNetClassifier(
        HiddenHead, module__head=head, loss="focal", lr=0.0, max_epochs=1, **decay
    )
    net.fit(X, Y)
    assert net.module_.head.bias.std() > 0
    assert len(net.optimizer_.param_groups) == 1


def test_a_function_that_makes_the_module_keeps_its_bias():
    def pretrained(n_features, n_classes):
        module = MLP(n_features, n_classes)
        nn.init.constant_(module.head.bias, 7.0)
        return module

    net = CBNeuralNetClassifier(pretrained, loss="focal", lr=0.0, max_epochs=1).fit(X, Y)
    assert (net.module_.head.bias == 7).all()


def test_another_dtype_waits_for_the_next_fit():
    net = make_net().fit(X, Y)
    expected = net.predict_proba(X)
    net.set_params(dtype="float64")
    np.testing.assert_array_equal(net.predict_proba(X), expected)
    assert net.partial_fit(X, Y).predict_proba(X).dtype == np.float32
    assert net.fit(X, Y).predict_proba(X).dtype == np.float64
