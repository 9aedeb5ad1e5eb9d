"""The focal loss over a softmax."""

import math

import pytest
import torch
from _loss_cases import batch

from sk_cbloss import ClassBalancedCrossEntropyLoss, ClassBalancedSoftmaxFocalLoss


def test_by_hand():
    loss = ClassBalancedSoftmaxFocalLoss([0.5, 1.5], gamma=2)
    logits = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)  # p = 3/4 and 1/4
    assert loss(logits, torch.tensor([0])).item() == pytest.approx(0.5 * math.log(4 / 3) / 16)
    assert loss(logits, torch.tensor([1])).item() == pytest.approx(1.5 * math.log(4) * 9 / 16)


def test_gamma_0_is_the_cross_entropy():
    logits, target = batch()
    for smoothing in (0, 0.1):
        focal = ClassBalancedSoftmaxFocalLoss(gamma=0, label_smoothing=smoothing)
        plain = ClassBalancedCrossEntropyLoss(label_smoothing=smoothing)
        torch.testing.assert_close(focal(logits, target), plain(logits, target))
