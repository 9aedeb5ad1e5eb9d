"""The fused forms are the plain ones, whatever the blocks."""

import pytest
import torch

from sk_cbloss.losses import _functional, _fused

SHAPES = [(70, 40), (5, 3, 200), (3, 4, 20, 30), (1, 7, 900), (2, 3000)]


def fused_and_plain(logits, target, gamma):
    for form in (_fused.sigmoid_focal, _functional.sigmoid_focal):
        z = logits.detach().clone().requires_grad_()
        loss = form(z, target, gamma)
        upstream = torch.linspace(-1, 2, loss.numel(), dtype=loss.dtype).reshape(loss.shape)
        loss.backward(upstream)
        yield loss.detach(), z.grad


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 3.7])
@pytest.mark.parametrize("block", [1, 1000, 2**17])
def test_fused_is_plain(shape, gamma, block, monkeypatch):
    monkeypatch.setattr(_fused, "SMALL", 0)
    monkeypatch.setattr(_fused, "BLOCK", block)
    generator = torch.Generator().manual_seed(0)
    logits = 10 * torch.randn(shape, generator=generator, dtype=torch.float64)
    target = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    (loss, gradient), (plain, plain_gradient) = fused_and_plain(logits, target, gamma)
    torch.testing.assert_close(loss, plain, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(gradient, plain_gradient, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("gamma", [0, 2])
def test_logits_that_are_not_contiguous(gamma, monkeypatch):
    monkeypatch.setattr(_fused, "SMALL", 0)
    monkeypatch.setattr(_fused, "BLOCK", 100)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(3, 5, 6, 4, generator=generator, dtype=torch.float64)
    for logits in (images.movedim(-1, 1), images.transpose(0, 1), images[:, ::2]):
        target = torch.zeros(logits.shape[0], *logits.shape[2:], dtype=torch.int64)
        (loss, gradient), (plain, plain_gradient) = fused_and_plain(logits, target, gamma)
        torch.testing.assert_close(loss, plain)
        torch.testing.assert_close(gradient, plain_gradient)


def test_large_batches_are_fused_and_small_ones_are_not():
    for n, name in [(_fused.SMALL // 4, "Sum"), (_fused.SMALL // 4 + 1, "_Sigmoid")]:
        logits = torch.zeros(n, 4, requires_grad=True)
        target = torch.zeros(n, dtype=torch.int64)
        assert name in type(_fused.sigmoid(logits, target).grad_fn).__name__


def test_no_gradient_is_made_where_none_is_wanted(monkeypatch):
    monkeypatch.setattr(_fused, "SMALL", 0)
    logits, target = torch.zeros(50, 4), torch.zeros(50, dtype=torch.int64)
    assert not _fused.sigmoid_focal(logits, target, 2).requires_grad
    with torch.no_grad():
        assert not _fused.sigmoid_focal(logits.requires_grad_(), target, 2).requires_grad
