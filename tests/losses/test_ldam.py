"""The label-distribution-aware margin loss and its head."""

import math

import numpy as np
import pytest
import torch
from _loss_cases import COUNTS, batch

from sk_cbloss import ClassBalancedCrossEntropyLoss, LDAMLoss
from sk_cbloss.losses import NormalizedLinear
from sk_cbloss.losses._functional import ldam_margin


def test_by_hand():
    loss = LDAMLoss([0.5, 1.5], class_prior=[16, 1], max_margin=0.5, scale=2)
    # Of margins 1/4 and 1/2.
    logits = torch.tensor([[1.0, 0.5], [1.0, 0.5]], dtype=torch.float64)
    first = math.log(1 + math.exp(2 * (0.5 - 0.75)))
    second = math.log(1 + math.exp(2 * (1.0 - 0.0)))
    value = loss(logits, torch.tensor([0, 1]))
    assert value.item() == pytest.approx((0.5 * first + 1.5 * second) / 2)


def test_margins_of_the_published_kind():
    counts = np.array([5000, 387, 50, 0])
    margin = ldam_margin(torch.from_numpy(counts), 0.5)
    np.testing.assert_allclose(margin[:3], 0.5 * (50 / counts[:3]) ** 0.25)
    assert margin[3] == 0


@pytest.mark.parametrize("scale", [0, 3, 1.1])  # of which the last has many digits
def test_no_margin_gives_the_cross_entropy_of_scaled_logits(scale):
    logits, target = batch()
    loss = LDAMLoss.from_class_count(COUNTS, max_margin=0, scale=scale)
    plain = ClassBalancedCrossEntropyLoss()(scale * logits, target)
    torch.testing.assert_close(loss(logits, target), plain, rtol=1e-13, atol=0)


def test_weights_leave_the_margins_alone():
    """As in the published recipe, where weights set in late and margins stay."""
    weighted = LDAMLoss.from_class_count(COUNTS, beta=0.99)
    assert torch.equal(weighted.class_prior, LDAMLoss.from_class_count(COUNTS).class_prior)
    assert weighted.weight[3] > weighted.weight[0]


def test_probabilities_are_of_scaled_logits():
    logits, _ = batch()
    loss = LDAMLoss.from_class_count(COUNTS, scale=2)
    torch.testing.assert_close(loss.predict_proba(logits), (2 * logits).softmax(dim=1))


def test_the_head_gives_cosines():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    head = NormalizedLinear(5, 3).double()
    with torch.no_grad():
        for i in range(7):
            for c in range(3):
                cosine = x[i] @ head.weight[c] / (x[i].norm() * head.weight[c].norm())
                torch.testing.assert_close(head(x)[i, c], cosine)
        torch.testing.assert_close(head(100 * x), head(x))
        assert (head(torch.zeros(1, 5).double()) == 0).all()
    assert head(x.reshape(7, 1, 5)).shape == (7, 1, 3)


def test_the_head_takes_the_place_of_a_linear_one():
    head = LDAMLoss.prepare_head(torch.nn.Linear(5, 3).double())
    assert repr(head) == "NormalizedLinear(in_features=5, out_features=3)"
    assert head.weight.dtype == torch.float64


@pytest.mark.parametrize("sizes", [(0, 3), (3, 1.5)])
def test_bad_sizes(sizes):
    with pytest.raises(ValueError, match="features must be an integer >= 1"):
        NormalizedLinear(*sizes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_cosines_in_half_precision(dtype):
    """The squares of its numbers are beyond it, and a length of 0 is nothing to divide by."""
    layer = NormalizedLinear(512, 3)
    generator = torch.Generator().manual_seed(0)
    layer.weight.data = torch.randn(3, 512, generator=generator) + 0.1
    features = torch.stack(
        [torch.full((512,), 3000.0), torch.full((512,), 1e-4), torch.zeros(512)]
    )
    expected = layer(features.to(dtype).float())
    cosines = layer.to(dtype)(features.to(dtype))
    assert cosines.dtype == dtype
    torch.testing.assert_close(cosines.float(), expected, rtol=0, atol=2e-3)
    assert expected[0].min() > 0.05
    assert (cosines[2] == 0).all()
