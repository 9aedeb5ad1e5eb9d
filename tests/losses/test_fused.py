"""The fused forms are the plain ones, whatever the blocks."""

import pytest
import torch

from sk_cbloss.losses import (
    ClassBalancedFocalLoss,
    ClassBalancedSigmoidLoss,
    _functional,
    _fused,
)

SHAPES = [(70, 40), (5, 3, 200), (3, 4, 20, 30), (1, 7, 900), (2, 3000)]


def fused_and_plain(logits, target, gamma, *, all_count=False):
    generator = torch.Generator().manual_seed(1)
    weight = torch.rand(target.shape, generator=generator, dtype=logits.dtype)
    counted = torch.rand(target.shape, generator=generator) > 0.2
    counted = None if all_count else counted
    for form in ("fused", "plain"):
        z = logits.detach().clone().requires_grad_()
        if form == "fused":
            loss = _fused.sigmoid_focal(z, target, weight, counted, gamma)
            loss = loss.sum(dim=1) if loss.ndim == z.ndim else loss
        else:
            loss = _functional.sigmoid_focal(z, target, gamma)
            loss = _functional.apply_weight(loss, weight, counted)
        upstream = torch.linspace(-1, 2, loss.numel(), dtype=loss.dtype).reshape(loss.shape)
        loss.backward(upstream)
        yield loss.detach(), z.grad


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 3.7])
@pytest.mark.parametrize("block", [1, 1000, 2**17, "few"])
@pytest.mark.parametrize("all_count", [False, True])
def test_fused_is_plain(shape, gamma, block, all_count, monkeypatch):
    if block == "few":
        monkeypatch.setattr(_fused, "SMALL", 10**6)
    else:
        monkeypatch.setattr(_fused, "BLOCK", block)
        monkeypatch.setattr(_fused, "SMALL", 0)
    generator = torch.Generator().manual_seed(0)
    logits = 10 * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    both = fused_and_plain(logits, target, gamma, all_count=all_count)
    (loss, gradient), (plain, plain_gradient) = both
    torch.testing.assert_close(loss, plain, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(gradient, plain_gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("gamma", [0, 2])
def test_logits_that_are_not_contiguous(gamma, monkeypatch):
    monkeypatch.setattr(_fused, "BLOCK", 100)
    monkeypatch.setattr(_fused, "SMALL", 0)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 5, 6, 4, generator=generator, dtype=torch.float64)
    for logits in (images.movedim(-1, 1), images.transpose(0, 1), images[:, ::2]):
        target = torch.zeros(logits.shape[0], *logits.shape[2:], dtype=torch.int64)
        (loss, gradient), (plain, plain_gradient) = fused_and_plain(logits, target, gamma)
        torch.testing.assert_close(loss, plain)
        torch.testing.assert_close(gradient, plain_gradient)


def test_a_weight_with_a_gradient_gets_one():
    """As when weights of samples are learned."""
    for loss in (ClassBalancedSigmoidLoss([1.0, 2.0]), ClassBalancedFocalLoss([1.0, 2.0])):
        logits = torch.tensor([[0.3, -1.0], [2.0, 0.5]], requires_grad=True)
        own = torch.tensor([0.5, 3.0], requires_grad=True)
        target = torch.tensor([0, 1])
        loss(logits, target, own).backward()
        constant = logits.detach().clone().requires_grad_()
        loss(constant, target, own.detach()).backward()
        torch.testing.assert_close(logits.grad, constant.grad)
        per_sample = loss.weight[target] * loss.loss_per_sample(logits, target).detach()
        torch.testing.assert_close(own.grad, per_sample / 2)


@pytest.mark.parametrize(("form", "small"), [("_focal", 0), ("_focal_of_few", 10**6)])
def test_no_gradient_is_made_where_none_is_wanted(form, small, monkeypatch):
    logits, target = torch.zeros(50, 4), torch.zeros(50, dtype=torch.int64)
    of_samples = torch.ones(50), torch.ones(50, dtype=torch.bool)
    original, made = getattr(_fused, form), []

    def focal(*args):
        made.append(args[-1])
        return original(*args)

    monkeypatch.setattr(_fused, form, focal)
    monkeypatch.setattr(_fused, "SMALL", small)
    _fused.sigmoid_focal(logits, target, *of_samples, 2)
    logits.requires_grad_()
    with torch.no_grad():
        _fused.sigmoid_focal(logits, target, *of_samples, 2)
    _fused.sigmoid_focal(logits, target, *of_samples, 2)
    assert made == [False, False, True]


def test_the_modules_are_fused():
    target = torch.zeros(5000, dtype=torch.int64)
    for loss in (ClassBalancedSigmoidLoss, ClassBalancedFocalLoss):
        logits = torch.zeros(5000, 4, requires_grad=True)
        assert "Sigmoid" in loss(reduction="none")(logits, target).grad_fn.name()


@pytest.mark.parametrize("n_classes", [1, 2, 10, 33])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_log_softmax_of_few_classes(n_classes, dtype):
    logits = torch.randn(50, n_classes, dtype=dtype) * 10
    logits[0, 0], logits[1] = -torch.inf, 1e4
    ours = _functional.log_softmax(logits)
    torch.testing.assert_close(ours, logits.log_softmax(dim=1), equal_nan=True)
    assert ours.is_contiguous()
    image = logits.reshape(5, 10, -1).movedim(2, 1)
    expected = image.log_softmax(dim=1)
    torch.testing.assert_close(_functional.log_softmax(image), expected, equal_nan=True)
