"""The logit-adjusted softmax loss."""

import math

import numpy as np
import pytest
import torch
from _loss_cases import COUNTS, batch

from sk_cbloss import ClassBalancedCrossEntropyLoss, LogitAdjustedLoss, effective_number


def test_by_hand():
    loss = LogitAdjustedLoss([0.5, 1.5], class_prior=[0.9, 0.1])
    logits = torch.zeros(2, 2, dtype=torch.float64)
    value = loss(logits, torch.tensor([0, 1]))  # probabilities .9 and .1
    assert value.item() == pytest.approx((0.5 * -math.log(0.9) + 1.5 * -math.log(0.1)) / 2)


def test_tau_0_and_equal_counts_give_the_cross_entropy():
    logits, target = batch()
    plain = ClassBalancedCrossEntropyLoss()(logits, target)
    for loss in (
        LogitAdjustedLoss.from_class_count(COUNTS, tau=0),
        LogitAdjustedLoss.from_class_count([7, 7, 7, 7], tau=1.5),
        LogitAdjustedLoss.from_class_count(COUNTS, prior_beta=0),
    ):
        torch.testing.assert_close(loss(logits, target), plain)


def test_without_a_beta_the_prior_is_that_of_the_counts_and_no_weight_acts():
    loss = LogitAdjustedLoss.from_class_count(COUNTS)
    np.testing.assert_allclose(loss.class_prior, np.array(COUNTS) / sum(COUNTS))
    assert (loss.weight == 1).all()
    assert loss.tau == 1


def test_smoothing_and_a_prior_are_at_odds():
    """Of a sample that is surely common, the best logits decide for the rare class."""
    loss = LogitAdjustedLoss.from_class_count([990, 10], label_smoothing=0.1)
    smoothed = torch.tensor([[0.95, 0.05]], dtype=torch.float64)
    logits = (smoothed / loss.class_prior).log().requires_grad_()
    value = loss(logits, torch.tensor([0]))
    torch.testing.assert_close(torch.autograd.grad(value, logits)[0], torch.zeros_like(logits))
    assert loss.predict_proba(logits).argmax() == 1
    assert loss.natural_proba(logits).argmax() == 0


def test_with_a_beta_the_prior_is_the_weighted_one():
    loss = LogitAdjustedLoss.from_class_count(COUNTS, beta=0.99)
    weighted = np.array(COUNTS) / effective_number(COUNTS, beta=0.99)
    np.testing.assert_allclose(loss.class_prior, weighted / weighted.sum())


def test_beta_1_leaves_inverse_frequency_alone():
    logits, target = batch()
    loss = LogitAdjustedLoss.from_class_count(COUNTS, beta=1)
    weights = ClassBalancedCrossEntropyLoss.from_class_count(COUNTS, beta=1)
    torch.testing.assert_close(loss(logits, target), weights(logits, target))


def test_an_effective_prior():
    loss = LogitAdjustedLoss.from_class_count(COUNTS, prior_beta=0.99)
    number = effective_number(COUNTS, beta=0.99)
    np.testing.assert_allclose(loss.class_prior, number / number.sum())


def test_a_prior_need_not_sum_to_1():
    logits, target = batch()
    one = LogitAdjustedLoss(class_prior=COUNTS)
    other = LogitAdjustedLoss(class_prior=np.array(COUNTS) / 17)
    torch.testing.assert_close(one.double()(logits, target), other(logits, target))


def test_the_bias_starts_at_0():
    head = torch.nn.Linear(3, 4)
    assert LogitAdjustedLoss.prepare_head(head) is head
    assert (head.bias == 0).all()
    assert LogitAdjustedLoss.decays_head_bias


def test_a_loaded_prior_is_the_one_in_use():
    logits, target = batch()
    loss = LogitAdjustedLoss.from_class_count([1, 1, 1, 1])
    other = LogitAdjustedLoss.from_class_count([500, 100, 20, 0])
    loss.load_state_dict(other.state_dict())
    assert loss(logits, target) == other(logits, target)
