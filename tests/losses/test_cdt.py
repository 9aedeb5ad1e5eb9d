"""The loss with class-dependent temperatures."""

import math

import pytest
import torch
from _loss_cases import COUNTS, batch

from sk_cbloss import CDTLoss, ClassBalancedCrossEntropyLoss


def test_by_hand():
    loss = CDTLoss([0.5, 1.5], class_prior=[4, 1], gamma=0.5)  # temperatures 1 and 2
    logits = torch.tensor([[1.0, 3.0], [1.0, 3.0]], dtype=torch.float64)
    first, second = math.log(1 + math.exp(1.5 - 1)), math.log(1 + math.exp(1 - 1.5))
    value = loss(logits, torch.tensor([0, 1]))
    assert value.item() == pytest.approx((0.5 * first + 1.5 * second) / 2)


def test_gamma_0_and_equal_counts_give_the_cross_entropy():
    logits, target = batch()
    plain = ClassBalancedCrossEntropyLoss()(logits, target)
    for loss in (
        CDTLoss.from_class_count(COUNTS, gamma=0),
        CDTLoss.from_class_count([7, 7, 7, 7]),
        CDTLoss.from_class_count(COUNTS, prior_beta=0),
    ):
        torch.testing.assert_close(loss(logits, target), plain)


def test_a_step_along_the_temperatures_is_not_seen():
    """So the bias starts at 0, and weight decay may hold it there."""
    logits, target = batch()
    loss = CDTLoss.from_class_count(COUNTS)
    temperature = (loss.class_prior.max() / loss.class_prior) ** loss.gamma
    torch.testing.assert_close(loss(logits + 5 * temperature, target), loss(logits, target))
    head = torch.nn.Linear(3, 4)
    assert (CDTLoss.prepare_head(head).bias == 0).all()
    assert CDTLoss.decays_head_bias
    assert CDTLoss.prepare_head(torch.nn.Linear(3, 4, bias=False)).bias is None
