"""What the logits mean where the expected loss is least: the closed forms, found numerically."""

import numpy as np
import pytest
import torch
from _loss_cases import COUNTS, SOFTMAX, build, cases

WITH_A_WAY_BACK = [case for case in cases() if case.values[0] != "ldam"]
POSTERIORS = torch.tensor(
    [[0.7, 0.2, 0.07, 0.03], [0.25, 0.25, 0.25, 0.25], [0.01, 0.04, 0.05, 0.9]],
    dtype=torch.float64,
)


def minimiser(loss, posterior):
    """Return the logits that make the loss expected under a posterior least, by Newton's steps."""
    weight = loss.weight * posterior

    def expected(logits):
        return (weight * loss.loss_per_class(logits.unsqueeze(0))[0]).sum()

    logits = torch.zeros(4, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(
        [logits.requires_grad_()],
        max_iter=2000,
        tolerance_grad=1e-13,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        value = expected(logits)
        value.backward()
        return value

    optimizer.step(closure)
    assert logits.grad.abs().max() < 1e-7
    return logits.detach()


@pytest.mark.parametrize(("name", "parameters"), WITH_A_WAY_BACK)
@pytest.mark.parametrize("beta", [0, 0.99])
@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_population_minimiser_gives_back_the_posterior(name, parameters, beta, posterior):
    loss = build(name, parameters, beta=beta)
    logits = minimiser(loss, posterior).unsqueeze(0)
    torch.testing.assert_close(loss.natural_proba(logits)[0], posterior, rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(loss.natural_log_proba(logits).exp(), loss.natural_proba(logits))


@pytest.mark.parametrize("beta", [0, 0.9, 0.99, 1])
def test_weights_and_prior_together_correct_once(beta):
    """Whatever the weights, logit adjustment decides as if classes were equally frequent."""
    prior = torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)
    for posterior in POSTERIORS:
        loss = build("logit_adjusted", {}, beta=beta)
        p = loss.predict_proba(minimiser(loss, posterior).unsqueeze(0))[0]
        balanced = posterior / prior
        torch.testing.assert_close(p, balanced / balanced.sum(), rtol=1e-5, atol=1e-7)


def test_an_effective_prior_decides_as_class_balanced_weights_do():
    for posterior in POSTERIORS:
        weights = build("softmax", {}, beta=0.99)
        prior = build("logit_adjusted", {}, beta=0, prior_beta=0.99)
        torch.testing.assert_close(
            prior.predict_proba(minimiser(prior, posterior).unsqueeze(0)),
            weights.predict_proba(minimiser(weights, posterior).unsqueeze(0)),
            rtol=1e-5,
            atol=1e-7,
        )


@pytest.mark.parametrize(("name", "parameters"), WITH_A_WAY_BACK)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_logits_have_a_posterior(name, parameters, dtype):
    logits = torch.tensor(
        [[1e4, -1e4, 0, 0], [-1e4, -1e4, -1e4, -1e4], [50, -50, 40, 30], [200, 100, 0, -100]],
        dtype=dtype,
    )
    p = build(name, parameters).natural_proba(logits)
    assert p.isfinite().all()
    torch.testing.assert_close(p.sum(dim=1), torch.ones(4, dtype=dtype))


@pytest.mark.parametrize(("name", "parameters"), WITH_A_WAY_BACK)
def test_float32_agrees(name, parameters):
    logits = torch.tensor(
        [[20.0, 3, -5, 0], [12, 9, 2, 1], [-30, -3, -25, -30], [0.1, 0, 0, 0], [150, -150, 20, 0]]
    )
    loss = build(name, parameters)
    torch.testing.assert_close(
        loss.natural_log_proba(logits).double(),
        loss.natural_log_proba(logits.double()),
        rtol=2e-4,
        atol=1e-5,
    )


SATURATED = torch.tensor(
    [
        [sign * z if place == c else fill * z for place in range(4)]
        for z in (1e-3, 15.0, 40.0, 88.0, 104.0, 300.0, 746.0, 1e4, 1e8, 1e30)
        for sign in (1, -1)
        for fill in (0, 1, -1)
        for c in range(4)
    ]
)


def way_back(loss, logits):
    """Return natural probabilities, and the gradient of their sum, each weighted by its place."""
    logits = logits.clone().requires_grad_()
    p = loss.natural_proba(logits)
    (slope,) = torch.autograd.grad((p * torch.arange(1, 5)).sum(), logits)
    return p.detach(), slope


@pytest.mark.parametrize(("name", "parameters"), WITH_A_WAY_BACK)
@pytest.mark.parametrize("counts", [COUNTS, [500, 100, 20, 0]])
def test_gradients_of_the_way_back_are_finite_and_exact(name, parameters, counts):
    softmax = name in SOFTMAX
    for more in ({}, {"label_smoothing": 0.1}) if softmax else ({},):
        loss = build(name, parameters, counts=counts, **more)
        for dtype in (torch.float32, torch.float64):
            for made in way_back(loss, SATURATED.to(dtype)):
                assert made.isfinite().all()
        near = SATURATED[SATURATED.abs().amax(dim=1) < 100]
        single, double = way_back(loss, near), way_back(loss, near.double())
        for one, exact in zip(single, double, strict=True):
            torch.testing.assert_close(one.double(), exact, rtol=1e-3, atol=2e-5)
        if not more:
            inner = torch.randn(3, 4, generator=torch.Generator().manual_seed(0)).double() * 3
            assert torch.autograd.gradcheck(loss.natural_proba, inner.requires_grad_())


@pytest.mark.parametrize("name", sorted(SOFTMAX))
@pytest.mark.parametrize("counts", [COUNTS, [500, 100, 20, 0]])
def test_smoothed_labels_are_undone(name, counts):
    loss = build(name, {}, counts=counts, beta=0.9, label_smoothing=0.2)
    posterior = torch.tensor([0.1, 0.2, 0.7, 0], dtype=torch.float64)
    logits = minimiser(loss, posterior).unsqueeze(0)
    torch.testing.assert_close(loss.natural_proba(logits)[0], posterior, rtol=1e-5, atol=1e-6)


def test_a_logit_of_minus_infinity():
    logits = torch.tensor([[1.0, 0.0, 2.0, -torch.inf]])
    for case in WITH_A_WAY_BACK:
        p = build(*case.values).natural_proba(logits)
        assert p.isfinite().all()
        assert p[0, 3] == pytest.approx(0, abs=1e-6)


def test_columns_are_counted():
    for case in WITH_A_WAY_BACK:
        loss = build(*case.values)
        for ask in (loss.predict_proba, loss.predict_log_proba, loss.natural_proba):
            with pytest.raises(ValueError, match="^logits must have a column for each of the 4"):
                ask(torch.zeros(3, 1))
            with pytest.raises(TypeError, match="^logits must be a tensor, got ndarray"):
                ask(np.zeros((3, 4)))


@pytest.mark.parametrize(("name", "parameters"), WITH_A_WAY_BACK)
def test_a_class_without_samples_has_no_natural_probability(name, parameters):
    loss = build(name, parameters, counts=[500, 100, 20, 0])
    logits = torch.tensor([[1.0, 2.0, 3.0, 4.0]], dtype=torch.float64)
    p = loss.natural_proba(logits)
    assert p[0, 3] == 0
    assert p.sum() == pytest.approx(1)


@pytest.mark.parametrize("name", ["logit_adjusted", "cdt", "vs"])
def test_a_class_without_samples_is_never_decided_for(name):
    loss = build(name, {}, counts=[500, 100, 20, 0])
    logits = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    assert loss.decision_function(logits).argmax(dim=1) == 2
    assert loss.predict_proba(logits)[0, 3] == 0
    assert (loss.decision_function(logits)[:, :3] == logits[:, :3]).all()


def test_images_too():
    logits = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0)).double()
    for case in WITH_A_WAY_BACK:
        loss = build(*case.values)
        flat = loss.natural_proba(logits.movedim(1, -1).reshape(-1, 4))
        torch.testing.assert_close(
            loss.natural_proba(logits), flat.reshape(2, 3, 5, 4).movedim(-1, 1)
        )


def test_ldam_has_no_way_back():
    loss = build("ldam", {})
    for ask in (loss.natural_proba, loss.natural_log_proba):
        with pytest.raises(ValueError, match="^Natural probabilities must .* got LDAMLoss"):
            ask(torch.zeros(1, 4))
