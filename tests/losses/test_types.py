"""Plain PyTorch code with the losses, as type checkers see it: mypy reads this file strictly.

Where a line is said to be wrong, mypy must find it wrong, or it complains of the comment.
"""

import inspect
from typing import assert_type, get_type_hints

import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import sk_cbloss
from sk_cbloss import ClassBalancedFocalLoss, LDAMLoss, LogitAdjustedLoss, losses
from sk_cbloss.losses import LOSSES, ClassBalancedLoss, NormalizedLinear
from sk_cbloss.neural_net import MLP, CifarResNet, Cutout, PadCropFlip, RandAugment

# ---------------------------------------------------------------------- right


def test_a_training_loop() -> None:
    X, y = torch.randn(60, 4), torch.arange(60) % 3
    device = torch.device("cpu")
    net = MLP(n_features=4, n_classes=3, hidden_units=[8]).to(device)
    count = torch.bincount(y)
    loss = sk_cbloss.ClassBalancedFocalLoss.from_class_count(count, beta=0.99, gamma=2.0)
    loss = assert_type(loss.to(device), ClassBalancedFocalLoss)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for features, target in DataLoader(TensorDataset(X, y), batch_size=20):
        optimizer.zero_grad()
        value = assert_type(loss(net(features.to(device)), target.to(device)), Tensor)
        value.backward()
        optimizer.step()
    proba = assert_type(loss.predict_proba(net(X)), Tensor)
    torch.testing.assert_close(proba.sum(dim=1), torch.ones(60))
    assert assert_type(loss.weight, Tensor | None) is not None


def test_images_under_a_loss_with_a_prior_and_a_head() -> None:
    loss = assert_type(LDAMLoss.from_class_count([9, 1], beta=0.9, prior_beta=1.0), LDAMLoss)
    body = CifarResNet(n_features=1, n_classes=16, depth=8)
    head = assert_type(loss.prepare_head(nn.Linear(16, 2)), NormalizedLinear)
    images = assert_type(PadCropFlip(padding=1)(torch.zeros(4, 1, 8, 8)), Tensor)
    images = assert_type(Cutout(size=2)(RandAugment(magnitude=5)(images)), Tensor)
    target, own = torch.tensor([0, 0, 0, 1]), torch.ones(4)
    assert loss(nn.Sequential(body, head)(images), target, sample_weight=own).ndim == 0
    assert assert_type(loss.class_prior, Tensor).shape == (2,)


@pytest.mark.parametrize("count", [[9, 1], (9.0, 1.0), np.array([9, 1]), torch.tensor([9, 1])])
def test_counts_of_any_kind(count: ArrayLike) -> None:
    loss = LogitAdjustedLoss.from_class_count(count, normalize=None, reduction="none")
    assert loss(torch.zeros(2, 2), torch.tensor([0, 1])).shape == (2,)


def test_a_loss_by_name() -> None:
    loss = assert_type(LOSSES["focal"].from_class_count([9, 1]), ClassBalancedLoss)
    assert isinstance(loss, ClassBalancedFocalLoss)


class Squared(ClassBalancedLoss):
    def __init__(self, weight: Tensor | None = None, *, power: float = 2.0):
        super().__init__(weight)
        self.power = power

    def loss_per_sample(self, logits: Tensor, target: Tensor) -> Tensor:
        one_hot = nn.functional.one_hot(target, logits.shape[1])
        return ((logits - one_hot).abs() ** self.power).sum(dim=1)


def test_a_loss_of_ones_own() -> None:
    loss = assert_type(Squared.from_class_count([9, 1], beta=0, power=1.0), Squared)
    assert assert_type(loss(torch.zeros(2, 2), torch.tensor([0, 1])), Tensor) == 1


def test_the_version() -> None:
    assert assert_type(sk_cbloss.__version__, str)


# ---------------------------------------------------------------------- wrong


def test_wrong_parameters() -> None:
    with pytest.raises(ValueError, match="reduction must be"):
        ClassBalancedFocalLoss(reduction="avg")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="gamma must be"):
        ClassBalancedFocalLoss(gamma="2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tau"):
        ClassBalancedFocalLoss(tau=1.0)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="class_prior"):
        LogitAdjustedLoss()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="class_prior"):
        LogitAdjustedLoss(torch.ones(2))  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="normalize must be"):
        ClassBalancedFocalLoss.from_class_count([9, 1], normalize="sum")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="class_count must list numbers"):
        ClassBalancedFocalLoss.from_class_count({"a": 9, "b": 1})  # type: ignore[arg-type]


def test_wrong_calls() -> None:
    loss = ClassBalancedFocalLoss()
    with pytest.raises(TypeError, match="logits must be a tensor"):
        loss([[0.0, 1.0]], torch.tensor([1]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="target must be a tensor"):
        loss(torch.zeros(1, 2), 1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="target"):
        loss(torch.zeros(1, 2))  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="logits must be a tensor"):
        loss.predict_proba(np.zeros((1, 2)))  # type: ignore[arg-type]


# ---------------------------------------------------------------------- all

TYPES = [getattr(losses, name) for name in losses.__all__ if name != "LOSSES"]
TYPES += [MLP, CifarResNet, PadCropFlip]


@pytest.mark.parametrize("kind", TYPES)
def test_all_that_is_public_has_hints(kind: type) -> None:
    for name, value in vars(kind).items():
        function = getattr(value, "__func__", value)  # of a class method or a static one
        is_public = not name.startswith("_") or name in ("__init__", "__call__")
        if not (is_public and inspect.isfunction(function)):
            continue
        named = inspect.signature(function).parameters.keys() - {"self", "cls"}
        named |= set() if name == "__init__" else {"return"}
        assert named <= get_type_hints(function).keys(), name
