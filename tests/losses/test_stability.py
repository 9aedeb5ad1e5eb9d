"""Logits as large as they come: finite everywhere, and right where the usual forms are not."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from _loss_cases import PRIOR, cases, each_loss, unweighted
from _reference import exact_gradient, exact_loss

from sk_cbloss.losses import _fused

COUNTS = [500, 100, 20]
EXTREME = [0.0, 40.0, 15.0, -15.0, 100.0, -100.0, 1e4, -1e4]
HALF = [0.0, 15.0, -15.0, 6e4, -6e4]


def exact(z, label, name, parameters):
    """Return loss and gradient of one sample."""
    if name in PRIOR:
        parameters = parameters | {"prior": np.array(COUNTS) / sum(COUNTS)}
    value = exact_loss(z, label, name, **parameters)
    return float(value), [float(s) for s in exact_gradient(z, label, name, **parameters)]


def ours(z, label, name, parameters, dtype, *, plain=False):
    """Return loss and gradient of one sample, as the module computes them or as defined."""
    logits = torch.tensor([z], dtype=dtype, requires_grad=True)
    loss = unweighted(name, parameters, counts=COUNTS)
    form = loss.loss_per_sample if plain else loss
    value = form(logits, torch.tensor([label])).sum()
    value.backward()
    return value.item(), logits.grad[0].tolist()


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("form", ["plain", "called", "fused"])
def test_extreme_logits(name, parameters, dtype, form, monkeypatch):
    if form == "fused":
        monkeypatch.setattr(_fused, "SMALL", 0)  # whatever the size
    relative = 1e-5 if dtype == torch.float32 else 1e-11
    # Below, a softmax's loss is the rounding of 1 - p, as torch's own is.
    least = 1e-30 if name in ("sigmoid", "focal") else torch.finfo(dtype).eps
    for right in EXTREME:
        for wrong in EXTREME:
            z = [wrong, right, 0.5]
            value, gradient = ours(z, 1, name, parameters, dtype, plain=form == "plain")
            exact_value, exact_slopes = exact(z, 1, name, parameters)
            for one, other in [(value, exact_value), (gradient, exact_slopes)]:
                np.testing.assert_allclose(
                    one, other, rtol=relative, atol=least, err_msg=f"logits {z}"
                )


@each_loss
def test_half_precision(name, parameters):
    for right in HALF:
        for wrong in HALF:
            z = torch.tensor([wrong, right, 0.5], dtype=torch.float16).tolist()
            value, gradient = ours(z, 1, name, parameters, torch.float16)
            exact_value, exact_slopes = exact(z, 1, name, parameters)
            np.testing.assert_allclose(value, exact_value, rtol=1e-5, atol=1e-7)
            np.testing.assert_allclose(gradient, exact_slopes, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize(("name", "parameters"), cases({"softmax", "logit_adjusted", "ldam"}))
def test_ties_of_large_logits(name, parameters):
    """A difference of half a unit between logits of 1e4, where float32 knows thousandths."""
    z = [1e4, 1e4 - 0.5, 1e4 - 1]
    value, gradient = ours(z, 1, name, parameters, torch.float32)
    exact_value, exact_slopes = exact(z, 1, name, parameters)
    np.testing.assert_allclose(value, exact_value, rtol=1e-5)
    np.testing.assert_allclose(gradient, exact_slopes, rtol=1e-5)


@pytest.mark.parametrize("name", ["cdt", "vs"])
def test_ties_of_scaled_logits_are_known_to_their_rounding(name):
    """No further: z / a is rounded, to 1e-7 of its size."""
    z = [1e4, 13797.296614612149, 0.0]  # equal once divided by their temperatures
    parameters = {"gamma": 0.2} | ({"tau": 1.2} if name == "vs" else {})
    value, _ = ours(z, 1, name, parameters, torch.float32)
    z = torch.tensor(z, dtype=torch.float32).tolist()
    assert value == pytest.approx(exact(z, 1, name, parameters)[0], abs=2e-3)


@pytest.mark.parametrize("z", [-100.0, -1000.0])
def test_where_the_usual_focal_loss_is_no_number(z):
    """The published modulator, and powers of a rounded probability, give NaN gradients or 0."""

    def published(logits):
        modulator = torch.exp(-2 * logits - 2 * torch.log(1 + torch.exp(-logits)))
        return modulator * F.binary_cross_entropy_with_logits(logits, torch.ones(1))

    logits = torch.tensor([z], requires_grad=True)
    published(logits).backward()
    assert logits.grad.isnan().all()
    value, gradient = ours([z, 0.0, 0.0], 0, "focal", {"gamma": 2}, torch.float32)
    exact_value, exact_slopes = exact([z, 0.0, 0.0], 0, "focal", {"gamma": 2})
    np.testing.assert_allclose(value, exact_value, rtol=1e-6)
    np.testing.assert_allclose(gradient, exact_slopes, rtol=1e-6)


def test_where_a_power_has_no_finite_slope():
    """(1 - p)**gamma at p = 1 and gamma < 1."""
    for name in ("focal", "softmax_focal"):
        value, gradient = ours([-200.0, 200.0, -200.0], 1, name, {"gamma": 0.5}, torch.float32)
        assert value == 0
        assert gradient == [0, 0, 0]
