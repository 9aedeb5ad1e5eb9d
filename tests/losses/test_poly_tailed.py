"""The polynomially-tailed loss."""

import math

import numpy as np
import pytest
import torch
from _loss_cases import batch

from sk_cbloss import ClassBalancedCrossEntropyLoss, ClassBalancedPolyTailedLoss

ALPHAS = pytest.mark.parametrize("alpha", [0.5, 1, 3])


def of_margin(margin, alpha):
    """Return the loss of samples of two classes, by the difference of their logits."""
    logits = torch.stack([margin, torch.zeros_like(margin)], dim=1)
    loss = ClassBalancedPolyTailedLoss(alpha=alpha, reduction="none")
    return loss(logits, torch.zeros(len(margin), dtype=torch.int64))


def test_by_hand():
    loss = ClassBalancedPolyTailedLoss([0.5, 1.5], alpha=2)
    logits = torch.tensor([[4.0, 0.0]], dtype=torch.float64)
    assert loss(logits, torch.tensor([0])).item() == pytest.approx(0.5 / 16)
    by_hand = 1.5 * math.log2(1 + 4.0 ** (2 * 5))
    assert loss(logits, torch.tensor([1])).item() == pytest.approx(by_hand)


def test_the_margin_is_that_over_all_others_together():
    logits = torch.tensor([[3.0, 1.0, 1.0]], dtype=torch.float64)
    value = ClassBalancedPolyTailedLoss()(logits, torch.tensor([0]))
    torch.testing.assert_close(value, of_margin(torch.tensor([2 - math.log(2)]).double(), 1)[0])


@ALPHAS
def test_the_two_pieces_meet_in_value_and_slope_and_are_convex(alpha):
    """The slope rises along the margin, and makes no jump at 1."""
    margin = torch.linspace(-3, 5, 8001, dtype=torch.float64, requires_grad=True)
    value = of_margin(margin, alpha)
    (slope,) = torch.autograd.grad(value.sum(), margin)
    at = int((margin - 1).abs().argmin())
    assert value[at].item() == pytest.approx(1)
    assert slope[at].item() == pytest.approx(-alpha, rel=1e-6)
    assert (slope < 0).all()
    steps = slope.diff()
    assert (steps > 0).all()
    assert steps.max() < 0.01 * alpha * (1 + alpha)


@ALPHAS
def test_float32_knows_the_tail_where_the_cross_entropy_is_0(alpha):
    margin = torch.tensor([20.0, 200.0, 2e4])
    zeros = torch.zeros(3, dtype=torch.int64)
    logits = torch.stack([margin, torch.zeros(3)], dim=1)
    assert ClassBalancedCrossEntropyLoss()(logits, zeros) < 1e-8
    torch.testing.assert_close(of_margin(margin, alpha), margin**-alpha)


@pytest.mark.parametrize("weight", [1, 10, 100])
@ALPHAS
def test_weights_keep_their_say_however_well_the_data_are_fitted(alpha, weight):
    """Margins along (cos t, sin t) R: the tail divides by weight, the cross entropy alike."""
    angle = torch.linspace(0.01, math.pi / 2 - 0.01, 20001, dtype=torch.float64)
    margins = 200 * torch.stack([angle.cos(), angle.sin()])
    losses = torch.stack([weight * of_margin(margins[0], alpha), of_margin(margins[1], alpha)])
    best = losses.sum(dim=0).argmin()
    by_formula = weight ** (1 / (alpha + 2))
    assert margins[0, best] / margins[1, best] == pytest.approx(by_formula, rel=1e-3)
    cross_entropy = torch.nn.functional.softplus(-margins, threshold=800)
    best = (weight * cross_entropy[0] + cross_entropy[1]).argmin()
    assert margins[0, best] / margins[1, best] == pytest.approx(1, abs=0.04)


@ALPHAS
def test_natural_probabilities_keep_the_order_of_the_logits(alpha):
    logits, _ = batch(n=500)
    natural = ClassBalancedPolyTailedLoss(alpha=alpha).natural_proba(logits)
    np.testing.assert_array_equal(natural.argsort(dim=1), logits.argsort(dim=1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_as_targets_have_the_gradient_of_labels_however_sure_the_net(dtype):
    logits = torch.tensor([[1e3, 0, -5], [-1e3, 40, 39.5], [2, -1e3, 1.5]], dtype=dtype)
    target = torch.tensor([0, 1, 2])
    loss, found = ClassBalancedPolyTailedLoss(alpha=0.5), []
    for given in (target, torch.nn.functional.one_hot(target, 3).to(dtype)):
        leaf = logits.clone().requires_grad_()
        loss(leaf, given).backward()
        found.append(leaf.grad)
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("label_smoothing", [0, 0.1])
def test_of_one_class_it_costs_nothing(label_smoothing):
    logits = torch.zeros(2, 1, requires_grad=True)
    loss = ClassBalancedPolyTailedLoss(alpha=0.1, label_smoothing=label_smoothing)
    value = loss(logits, torch.zeros(2, dtype=torch.int64))
    assert value == 0
    assert torch.autograd.grad(value, logits)[0].tolist() == [[0], [0]]


def test_a_loss_that_does_not_fall():
    with pytest.raises(ValueError, match=r"^alpha must be above 0 .*, got 0\.$"):
        ClassBalancedPolyTailedLoss(alpha=0)
    with pytest.raises(ValueError, match="^alpha must be a finite number >= 0, got -1"):
        ClassBalancedPolyTailedLoss(alpha=-1)
