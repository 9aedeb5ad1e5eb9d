"""FusedLinear: the losses of a linear layer, without its logits."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skorch.callbacks import Callback, EpochScoring
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV, load_digits_lt
from sk_cbloss.losses import LOSSES, FusedLinear, LinearLogits, _fused_linear

N_SAMPLES, N_FEATURES, N_CLASSES = 150, 5, 37
FUSED = ["softmax", "logit_adjusted"]


@pytest.fixture(autouse=True)
def _few_classes_do(monkeypatch):
    """Take the way of many classes with few, too."""
    monkeypatch.setattr(_fused_linear, "FEWEST_CLASSES", 1)


needs_linear_cross_entropy = pytest.mark.skipif(
    not hasattr(F, "linear_cross_entropy"), reason="torch before 2.13 has no linear_cross_entropy"
)


COUNT = np.random.default_rng(0).integers(1, 1000, N_CLASSES)
COUNT[:3] = 0  # classes that take no part


def heads(bias=True):
    torch.manual_seed(0)
    ours = FusedLinear(N_FEATURES, N_CLASSES, bias, dtype=torch.float64)
    theirs = nn.Linear(N_FEATURES, N_CLASSES, bias, dtype=torch.float64)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def batch(n_samples=N_SAMPLES):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(n_samples, N_FEATURES, generator=generator, dtype=torch.float64)
    target = torch.randint(N_CLASSES, (n_samples,), generator=generator)
    return features, target


def values_and_gradients(head, loss, features, target, sample_weight=None):
    features = features.clone().requires_grad_()
    value = loss(head(features), target, sample_weight)
    (value * torch.arange(1, 1 + value.numel()).reshape(value.shape)).sum().backward()
    return [value.detach(), features.grad, *(p.grad for p in head.parameters())]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("n_samples", [20, N_SAMPLES], ids=["few", "many"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_every_loss_is_that_of_a_linear_layer(name, reduction, n_samples, weighted, bias):
    loss = LOSSES[name].from_class_count(COUNT, beta=0.99, reduction=reduction)
    features, target = batch(n_samples)
    target[4] = loss.ignore_index
    sample_weight = torch.rand(n_samples) if weighted else None
    data = features, target, sample_weight
    ours, theirs = (values_and_gradients(head, loss, *data) for head in heads(bias=bias))
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", FUSED)
def test_single_precision_is_as_exact(name):
    loss = LOSSES[name].from_class_count(COUNT, beta=0.99)
    (single, wide), (features, target) = heads(), batch()
    exact = values_and_gradients(wide, loss, features, target)
    fused = values_and_gradients(single.float(), loss.float(), features.float(), target)
    for one, other in zip(fused, exact, strict=True):
        assert (one - other).abs().max() <= 1e-5 * other.abs().max()


@pytest.mark.parametrize("name", ["softmax", "focal", "logit_adjusted"])
def test_probabilities_as_targets(name):
    loss = LOSSES[name].from_class_count(COUNT)
    features, target = batch()
    drawn = F.one_hot(target, N_CLASSES).double().roll(1, 0) * 0.3
    drawn += 0.7 * F.one_hot(target, N_CLASSES)
    ours, theirs = (values_and_gradients(head, loss, features, drawn) for head in heads())
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


class Largest(TorchDispatchMode):
    """Note the number of elements of the largest tensor that is made."""

    n_elements = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, list | tuple) else [made]:
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage().nbytes():
                self.n_elements = max(
                    self.n_elements, tensor.untyped_storage().nbytes() // tensor.element_size()
                )
        return made


@needs_linear_cross_entropy
@pytest.mark.parametrize("name", FUSED)
def test_few_rows_or_classes_go_at_once(name, monkeypatch):
    """What takes longer in pieces does not go in pieces."""

    def refuse(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(F, "linear_cross_entropy", refuse)
    loss, (features, target) = LOSSES[name].from_class_count(COUNT), batch()
    loss(heads()[0](features[:64]), target[:64])
    monkeypatch.setattr(_fused_linear, "FEWEST_CLASSES", N_CLASSES + 1)
    loss(heads()[0](features), target)


@needs_linear_cross_entropy
@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("weighted", [False, True])
def test_logits_are_never_made(name, weighted):
    n_samples, n_classes = 1000, 500
    loss = LOSSES[name].from_class_count(np.arange(1, n_classes + 1)).float()
    features, target = torch.randn(n_samples, 8), torch.randint(n_classes, (n_samples,))
    sample_weight = torch.rand(n_samples) if weighted else None
    largest = {}
    for kind in FusedLinear, nn.Linear:
        with Largest() as seen:
            loss(kind(8, n_classes)(features), target, sample_weight).backward()
        largest[kind] = seen.n_elements
    assert largest[nn.Linear] >= n_samples * n_classes
    assert largest[FusedLinear] <= 64 * n_classes  # rows at a time


def test_without_linear_cross_entropy_the_logits_are_made(monkeypatch):
    monkeypatch.delattr(F, "linear_cross_entropy", raising=False)
    loss = LOSSES["logit_adjusted"].from_class_count(COUNT)
    ours, theirs = (values_and_gradients(head, loss, *batch()) for head in heads())
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", FUSED)
def test_what_is_ignored_costs_nothing(name):
    loss = LOSSES[name].from_class_count(COUNT)
    features, target = batch()
    target[:-2] = loss.ignore_index
    value, gradient, *_ = values_and_gradients(heads()[0], loss, features, target)
    alone, *_ = values_and_gradients(heads()[1], loss, features[-2:], target[-2:])
    torch.testing.assert_close(value, alone)
    assert not gradient[:-2].any()


@pytest.mark.parametrize("name", FUSED)
def test_no_sample_that_counts_costs_0(name):
    loss = LOSSES[name].from_class_count(COUNT)
    features, target = batch()
    head = heads()[0]
    value = loss(head(features), torch.full_like(target, loss.ignore_index))
    value.backward()
    assert value == 0
    assert not head.weight.grad.any()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("n_samples", [20, N_SAMPLES], ids=["few", "many"])
def test_wrong_targets_and_weights_get_their_sentences(name, n_samples):
    loss, head = LOSSES[name].from_class_count(COUNT), heads()[0]
    features, target = batch(n_samples)
    logits = head(features)
    target[1] = N_CLASSES
    with pytest.raises(ValueError, match=f"class positions from 0 to 36, .* got {N_CLASSES}"):
        loss(logits, target)
    with pytest.raises(ValueError, match=r"logits .* target .* got \(\d+, 37\) and \(3,\)"):
        loss(logits, target[:3])
    with pytest.raises(TypeError, match="target must be a tensor, got list"):
        loss(logits, target.tolist())
    with pytest.raises(ValueError, match="sample_weight must have one weight a sample"):
        loss(logits, target, torch.ones(3))
    with pytest.raises(ValueError, match="a column for each of the 36 classes, got 37 columns"):
        LOSSES[name].from_class_count(COUNT[1:])(logits, target)


def test_torch_takes_the_logits_in_lists_and_by_methods():
    (ours, theirs), (features, _) = heads(), batch()
    parts, logits = ours(features), theirs(features)
    assert torch.equal(torch.cat([parts, parts]), torch.cat([logits, logits]))
    assert torch.equal(torch.stack((parts,)), torch.stack((logits,)))
    assert torch.equal(parts.softmax(dim=1), logits.softmax(dim=1))
    assert parts.shape == logits.shape
    assert parts.dtype == logits.dtype
    assert parts != ours(features)  # to compare them makes no logits
    loss = LOSSES["vs"].from_class_count(COUNT)
    target = torch.zeros(len(features), dtype=torch.int64)
    assert torch.equal(loss.loss_per_sample(parts, target), loss.loss_per_sample(logits, target))


def test_torch_takes_the_logits():
    (ours, theirs), (features, target) = heads(), batch()
    parts, logits = ours(features), theirs(features)
    assert isinstance(parts, LinearLogits)
    assert torch.equal(F.cross_entropy(parts, target), F.cross_entropy(logits, target))
    assert torch.equal(torch.argmax(input=parts, dim=1), logits.argmax(dim=1))
    loss = LOSSES["softmax"].from_class_count(COUNT)
    assert torch.equal(loss.predict_proba(parts), loss.predict_proba(logits))


def test_outside_of_training_it_is_a_linear_layer():
    (ours, theirs), (features, _) = heads(), batch()
    logits = theirs(features)
    with torch.no_grad():
        assert torch.equal(ours(features), logits)
    assert torch.equal(ours.eval()(features), logits)
    ours.train()
    images = features.reshape(10, 15, N_FEATURES)
    assert torch.equal(ours(images), theirs(images))
    with torch.autocast("cpu", torch.bfloat16):
        assert copy.deepcopy(ours).float()(features.float()).dtype == torch.bfloat16
    assert torch.equal(torch.func.vmap(ours)(images), torch.func.vmap(theirs)(images))
    compiled = torch.compile(ours, backend="eager", fullgraph=True)
    assert torch.equal(compiled(features), logits)
    assert torch.equal(torch.export.export(ours, (features,)).module()(features), logits)


class Net(nn.Module):
    def __init__(self, n_features, n_classes, head=FusedLinear):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_features, 8), nn.ReLU())
        self.head = head(8, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_net_learns_the_same_with_it(name, weighted):
    X, y = load_digits_lt(return_X_y=True)
    sample_weight = np.linspace(0.5, 1.5, len(y)) if weighted else None
    logits = []
    for head in FusedLinear, nn.Linear:
        net = CBNeuralNetClassifier(
            Net, loss=name, module__head=head, max_epochs=2, random_state=0, dtype="float64"
        )
        net.fit(X / 16, y, sample_weight=sample_weight)
        logits.append(net.decision_function(X / 16))
    np.testing.assert_allclose(*logits, rtol=1e-8, atol=1e-8)


class Squared(CBNeuralNetClassifier):
    def get_loss(self, y_pred, *args, **kwargs):
        return super().get_loss(y_pred, *args, **kwargs) + 0.01 * (y_pred**2).mean()


class Looks(Callback):
    def on_batch_end(self, net, y_pred=None, training=False, **kwargs):
        self.seen = y_pred[:3].argmax(dim=1)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        (Squared, {}),
        (CBNeuralNetClassifier, {"criterion": nn.MultiMarginLoss}),
        (CBNeuralNetClassifier, {"callbacks": [Looks()]}),
        (
            CBNeuralNetClassifier,
            {"callbacks": [EpochScoring("neg_log_loss", on_train=True, name="score")]},
        ),
        (
            CBNeuralNetClassifier,
            {"callbacks": [EpochScoring("accuracy", on_train=True, name="s")]},
        ),
    ],
    ids=["get_loss", "criterion", "callback", "probabilities", "labels"],
)
def test_whoever_looks_at_outputs_is_given_logits(kind, parameters):
    X, y = load_digits_lt(return_X_y=True)
    histories = []
    for head in FusedLinear, nn.Linear:
        net = kind(Net, module__head=head, max_epochs=2, random_state=0, **parameters)
        net.fit(X / 16, y)
        names = net.history[0].keys() - {"batches", "dur"}
        histories.append({name: net.history[:, name] for name in names})
        logits = list(net.forward_iter(X / 16, training=True))
        assert all(isinstance(part, torch.Tensor) for part in logits)
    ours, theirs = histories
    assert "train_loss" in ours
    for name, values in ours.items():
        assert values == pytest.approx(theirs[name], rel=1e-4)


def test_a_net_that_nobody_looks_at_makes_no_logits(monkeypatch):
    def refuse(self):
        raise AssertionError

    X, y = load_digits_lt(return_X_y=True)
    net = CBNeuralNetClassifier(Net, max_epochs=2, early_stopping=True, random_state=0)
    net.set_params(callbacks=[EpochScoring("accuracy", name="valid")])
    monkeypatch.setattr(LinearLogits, "logits", property(refuse))
    monkeypatch.setattr(
        LinearLogits, "cross_entropy", lambda self, *args, **kwargs: self.weight.sum()
    )
    net.fit(X / 16, y)


def test_a_stacked_search_takes_it():
    X, y = load_digits_lt(return_X_y=True)
    net = CBNeuralNetClassifier(Net, max_epochs=2, random_state=0, dtype="float64")
    scores = []
    for head in FusedLinear, nn.Linear:
        net.set_params(module__head=head)
        search = StackedGridSearchCV(net, {"beta": [0, 0.9, 1]}, cv=2).fit(X / 16, y)
        assert search.n_fallback_fits_ == 0
        scores.append(search.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(*scores)
