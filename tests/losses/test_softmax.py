"""The class-balanced cross entropy."""

import math

import pytest
import torch
from _loss_cases import batch

from sk_cbloss import ClassBalancedCrossEntropyLoss


def test_by_hand():
    loss = ClassBalancedCrossEntropyLoss([0.5, 1.5])
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]], dtype=torch.float64)
    value = loss(logits, torch.tensor([0, 1]))
    assert value.item() == pytest.approx((0.5 * math.log(2) + 1.5 * math.log(4)) / 2)


def test_it_starts_from_the_head_as_it_is():
    head = torch.nn.Linear(3, 4)
    before = head.bias.detach().clone()
    assert ClassBalancedCrossEntropyLoss.prepare_head(head) is head
    assert torch.equal(head.bias, before)
    assert ClassBalancedCrossEntropyLoss.decays_head_bias


def test_the_fused_sum_is_the_plain_one():
    """A sample weight of 1 takes the way that is not fused."""
    logits, target = batch()
    target[::5] = -100
    for reduction in ("mean", "sum"):
        loss = ClassBalancedCrossEntropyLoss([0.1, 0.2, 1, 2.7], reduction=reduction).double()
        ones = torch.ones_like(target, dtype=torch.float64)
        torch.testing.assert_close(loss(logits, target), loss(logits, target, ones))
