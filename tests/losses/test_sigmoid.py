"""The class-balanced sigmoid loss."""

import math

import pytest
import torch
from _loss_cases import batch

from sk_cbloss import ClassBalancedFocalLoss, ClassBalancedSigmoidLoss


def test_by_hand():
    """Each sample's weight acts on all its terms."""
    loss = ClassBalancedSigmoidLoss([0.5, 1.5])
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]], dtype=torch.float64)
    value = loss(logits, torch.tensor([0, 1]))
    first, second = 2 * math.log(2), math.log(4) + math.log(2)
    assert value.item() == pytest.approx((0.5 * first + 1.5 * second) / 2)


def test_probabilities_are_normalised_sigmoids():
    logits, _ = batch()
    p = logits.sigmoid()
    for loss in (ClassBalancedSigmoidLoss(), ClassBalancedFocalLoss()):
        torch.testing.assert_close(loss.predict_proba(logits), p / p.sum(dim=1, keepdim=True))


def test_the_bias_starts_where_each_class_has_its_share():
    for cls in (ClassBalancedSigmoidLoss, ClassBalancedFocalLoss):
        head = torch.nn.Linear(3, 100)
        assert cls.prepare_head(head) is head
        torch.testing.assert_close(head.bias.sigmoid(), torch.full((100,), 0.01))
        assert not cls.decays_head_bias
        assert cls.prepare_head(torch.nn.Linear(3, 100, bias=False)).bias is None
