"""The vector-scaling loss."""

import math

import pytest
import torch
from _loss_cases import COUNTS, batch

from sk_cbloss import CDTLoss, LogitAdjustedLoss, VSLoss


def test_by_hand():
    loss = VSLoss([0.5, 1.5], class_prior=[0.8, 0.2], gamma=0.5, tau=1)  # temperatures 1 and 2
    logits = torch.tensor([[1.0, 3.0], [1.0, 3.0]], dtype=torch.float64)
    head, tail = 0.8 * math.exp(1), 0.2 * math.exp(1.5)
    first, second = -math.log(head / (head + tail)), -math.log(tail / (head + tail))
    value = loss(logits, torch.tensor([0, 1]))
    assert value.item() == pytest.approx((0.5 * first + 1.5 * second) / 2)


@pytest.mark.parametrize("beta", [0, 0.99])
@pytest.mark.parametrize("prior_beta", [0.9, 1])
def test_its_limits_are_logit_adjustment_and_temperatures(beta, prior_beta):
    logits, target = batch()
    given = {"beta": beta, "prior_beta": prior_beta}
    shift = VSLoss.from_class_count(COUNTS, tau=1.3, gamma=0, **given)
    scale = VSLoss.from_class_count(COUNTS, tau=0, gamma=0.3, **given)
    adjusted = LogitAdjustedLoss.from_class_count(COUNTS, tau=1.3, **given)
    cooled = CDTLoss.from_class_count(COUNTS, gamma=0.3, **given)
    torch.testing.assert_close(shift(logits, target), adjusted(logits, target))
    torch.testing.assert_close(scale(logits, target), cooled(logits, target))
