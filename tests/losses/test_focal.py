"""The class-balanced focal loss."""

import math

import pytest
import torch
from _loss_cases import batch

from sk_cbloss import ClassBalancedFocalLoss, ClassBalancedSigmoidLoss


def test_by_hand():
    loss = ClassBalancedFocalLoss([0.5, 1.5], gamma=2)
    logits = torch.tensor([[math.log(3), 0.0]], dtype=torch.float64)  # p = 3/4 and 1/2
    assert loss(logits, torch.tensor([0])).item() == pytest.approx(
        0.5 * (math.log(4 / 3) / 16 + math.log(2) / 4)
    )
    assert loss(logits, torch.tensor([1])).item() == pytest.approx(
        1.5 * (math.log(4) * 9 / 16 + math.log(2) / 4)
    )


def test_gamma_0_is_exactly_the_sigmoid_loss():
    logits, target = batch()
    focal, sigmoid = ClassBalancedFocalLoss(gamma=0), ClassBalancedSigmoidLoss()
    assert focal(logits, target) == sigmoid(logits, target)


def test_focus_lowers_what_is_right_already():
    logits = torch.tensor([[4.0, -4.0], [-4.0, 4.0]])
    losses = {g: ClassBalancedFocalLoss(gamma=g, reduction="none") for g in (0, 1, 2)}
    right = [loss(logits, torch.tensor([0, 1]))[0] for loss in losses.values()]
    wrong = [loss(logits, torch.tensor([1, 0]))[0] for loss in losses.values()]
    assert right[0] > 50 * right[1] > 2500 * right[2]
    torch.testing.assert_close(torch.stack(wrong), wrong[0].repeat(3), rtol=0.05, atol=0)
