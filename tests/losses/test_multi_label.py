"""The loss of several labels a sample: its formula, the laws of the others, and the same doors."""

import copy
import functools
import io
import pickle

import mpmath
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from _reference import exact_label_loss, exact_label_slope
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from sk_cbloss import ClassBalancedMultiLabelLoss, class_balanced_label_weight
from sk_cbloss.losses import _functional, _fused_labels

N, POSITIVE = 500, [200, 100, 20, 4]
PARAMETERS = [
    {},
    {"gamma": 2.0},
    {"gamma": 0.5},
    {"gamma": (4.0, 1.0)},
    {"gamma": (2.5, 0.0)},
    {"tau": 1.0},
    {"label_smoothing": 0.1},
    {"gamma": (3.0, 0.7), "tau": 1.3, "label_smoothing": 0.2},
]


def named(parameters):
    return " ".join(f"{name}={value}" for name, value in parameters.items()) or "plain"


each_form = pytest.mark.parametrize("parameters", PARAMETERS, ids=named)


def build(parameters, *, positive=POSITIVE, n=N, beta=0.99, **more):
    make = ClassBalancedMultiLabelLoss.from_label_count
    return make(positive, n, beta=beta, **parameters, **more)


def batch(n=200, n_labels=4, dtype=torch.float64, seed=0, spread=3, kind="hard"):
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(n, n_labels, generator=generator, dtype=torch.float64)
    target = torch.rand(n, n_labels, generator=generator, dtype=torch.float64)
    if kind != "soft":
        target = (target < 0.3).double()
    if kind == "unknown":
        target[torch.rand(n, n_labels, generator=generator) < 0.2] = torch.nan
    return logits.to(dtype), target.to(dtype)


def of_label(loss, label):
    """What the formula must know of a label."""
    return {
        "weight": loss.weight[label].tolist(),
        "gamma": loss._gammas(),
        "prior": loss.label_prior[label].item(),
        "tau": loss.tau,
        "smoothing": loss.label_smoothing,
    }


def reference(loss, logits, target):
    """Each label's loss by the formula."""
    value = np.zeros(logits.shape)
    for (i, label), z in np.ndenumerate(logits.detach().numpy()):
        value[i, label] = exact_label_loss(z, target[i, label].item(), **of_label(loss, label))
    return value


# ---------------------------------------------------------------------- laws


@each_form
@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("beta", [0, 0.99, 1])
def test_float64_is_the_formula(parameters, kind, beta):
    logits, target = batch(n=15, kind=kind)
    expected = reference(build(parameters, beta=beta), logits, target)
    for reduction, reduce in {"none": np.array, "mean": np.mean, "sum": np.sum}.items():
        loss = build(parameters, beta=beta, reduction=reduction)
        np.testing.assert_allclose(loss(logits, target), reduce(expected), rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_without_weights_it_is_torchs(reduction, kind, dtype):
    logits, target = batch(kind=kind, dtype=dtype)
    theirs = nn.BCEWithLogitsLoss(reduction=reduction)(logits, target)
    for ours in (
        ClassBalancedMultiLabelLoss(reduction=reduction),
        build({}, beta=0, reduction=reduction),
    ):
        torch.testing.assert_close(ours(logits, target), theirs)
    pos_weight = torch.tensor([0.5, 1, 3, 9], dtype=dtype)
    weight = torch.stack([torch.ones(4, dtype=dtype), pos_weight], dim=1)
    torch.testing.assert_close(
        ClassBalancedMultiLabelLoss(weight, reduction=reduction)(logits, target),
        nn.BCEWithLogitsLoss(pos_weight=pos_weight, reduction=reduction)(logits, target),
    )


@each_form
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_float32_agrees_to_1e6(parameters, kind):
    logits, target = batch(dtype=torch.float32, kind=kind)
    loss = build(parameters, reduction="none")
    value, exact = loss(logits, target), loss(logits.double(), target.double())
    assert value.dtype == torch.float32
    np.testing.assert_allclose(value, exact, rtol=3e-6, atol=1e-6)
    mean = build(parameters)
    np.testing.assert_allclose(mean(logits, target), exact.mean(), rtol=1e-6)


@each_form
@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
def test_gradcheck(parameters, kind):
    logits, target = batch(n=6, spread=1, kind=kind)
    loss = build(parameters)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, target), logits)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, target), logits)


@each_form
def test_permuting_labels_changes_nothing(parameters):
    logits, target = batch()
    order = [2, 0, 3, 1]
    permuted = build(parameters, positive=np.array(POSITIVE)[order])
    value = permuted(logits[:, order], target[:, order])
    torch.testing.assert_close(value, build(parameters)(logits, target), rtol=1e-13, atol=0)


@pytest.mark.parametrize("parameters", [{}, {"gamma": 2.0}, {"label_smoothing": 0.1}], ids=named)
def test_asked_the_other_way_round_it_is_the_same(parameters):
    logits, target = batch()
    value = build(parameters)(logits, target)
    other = build(parameters, positive=N - np.array(POSITIVE))
    torch.testing.assert_close(other(-logits, 1 - target), value)


@each_form
@pytest.mark.parametrize("with_sample_weight", [False, True])
@pytest.mark.parametrize("kind", ["hard", "soft"])
def test_batches_of_7_add_up_to_the_full_loss(parameters, with_sample_weight, kind):
    logits, target = batch(kind=kind)
    own = torch.rand(200, generator=torch.Generator().manual_seed(2)).double() + 0.1
    own = own if with_sample_weight else None
    loss, parts = build(parameters), torch.arange(200).split(7)
    logits.requires_grad_()
    values = [
        len(rows) * loss(logits[rows], target[rows], None if own is None else own[rows]) / 200
        for rows in parts
    ]
    full = loss(logits, target, own)
    torch.testing.assert_close(sum(values), full)
    torch.testing.assert_close(
        torch.autograd.grad(sum(values), logits), torch.autograd.grad(full, logits)
    )


@each_form
@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
def test_weight_2_means_two_copies(parameters, kind):
    logits, target = batch(n=10, kind=kind)
    own = torch.arange(10) % 3
    loss = build(parameters, reduction="sum")
    copies = (each.repeat_interleave(own, dim=0) for each in (logits, target))
    torch.testing.assert_close(loss(logits, target, own), loss(*copies))


@each_form
def test_gradients_reach_sample_weights_and_soft_targets(parameters):
    logits, target = batch(n=10, kind="soft")
    own = torch.ones(10, dtype=torch.float64, requires_grad=True)
    build(parameters, reduction="sum")(logits, target, own).backward()
    of_samples = build(parameters, reduction="none")(logits, target).sum(dim=1)
    torch.testing.assert_close(own.grad, of_samples)
    loss = build(parameters, reduction="sum")
    target.requires_grad_()
    loss(logits, target).backward()
    ends = [loss(logits, torch.full_like(target, end).detach()) for end in (0, 1)]
    torch.testing.assert_close(target.grad.sum(), ends[1] - ends[0])


@each_form
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("anything", [torch.nan, torch.inf, -torch.inf, 1e300])
def test_what_is_not_known_is_left_out(parameters, reduction, anything):
    logits, target = batch(n=50, kind="unknown")
    known = ~target.isnan()
    logits[~known] = anything  # the loss and its gradient are finite all the same
    logits.requires_grad_()
    loss = build(parameters, reduction=reduction)
    value = loss(logits, target)
    of_each = build(parameters, reduction="none")(
        torch.where(known, logits, 0), torch.where(known, target, 0)
    )
    expected = torch.where(known, of_each, 0)
    if reduction != "none":
        expected = expected.sum() / (known.sum() if reduction == "mean" else 1)
    torch.testing.assert_close(value, expected)
    value.sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[~known] == 0).all()


@each_form
def test_nothing_known_gives_0(parameters):
    logits, target = batch(n=5)
    logits.requires_grad_()
    loss = build(parameters)
    value = loss(logits, target * torch.nan)
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()
    assert loss(logits[:0], target[:0]) == 0


@each_form
@pytest.mark.parametrize("shape", [(6,), (3, 2), (2, 1, 5)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_further_dimensions_are_more_samples(parameters, shape, reduction):
    n = 5 * int(np.prod(shape))
    logits, target = batch(n=n, kind="unknown")
    own = torch.rand(n, generator=torch.Generator().manual_seed(1)).double()
    loss = build(parameters, reduction=reduction)
    flat = loss(logits, target, own)
    shaped = loss(
        *(each.reshape(5, *shape, 4).movedim(-1, 1) for each in (logits, target)),
        own.reshape(5, *shape),
    )
    if reduction == "none":
        assert shaped.shape == (5, 4, *shape)
        shaped = shaped.movedim(1, -1).reshape(-1, 4)
    torch.testing.assert_close(shaped, flat)


def test_targets_of_any_type_of_numbers():
    logits, target = batch()
    loss = build({})
    for dtype in (torch.bool, torch.int64, torch.uint8, torch.float16):
        assert loss(logits, target.to(dtype)) == loss(logits, target)


def test_a_label_that_no_sample_has_or_all_have():
    """Its one side is trained, and no NaN comes of the other."""
    logits, target = batch()
    logits.requires_grad_()
    for parameters in PARAMETERS:
        loss = build(parameters, positive=[200, 0, 20, N], reduction="none")
        assert loss.weight[1, 1] == loss.weight[3, 0] == 0
        value = loss(logits, target)
        assert value.isfinite().all()
        assert (torch.autograd.grad(value.sum(), logits)[0]).isfinite().all()
        if not loss.label_smoothing:
            assert (value[:, 1] == 0).equal(target[:, 1] == 1)
            assert (value[:, 3] == 0).equal(target[:, 3] == 0)
        p = loss.natural_proba(logits)
        assert (p[:, 1] == 0).all()
        assert (p[:, 3] == 1).all()


@each_form
def test_the_unweighted_losses(parameters):
    logits, target = batch(kind="unknown")
    loss = ClassBalancedMultiLabelLoss(
        label_prior=build(parameters).label_prior, **parameters, reduction="none"
    )
    of_labels = build(parameters).loss_per_label(logits, target)
    torch.testing.assert_close(of_labels, loss(logits, target))
    mean = of_labels.sum(dim=1) / target.isnan().logical_not().sum(dim=1).clamp(min=1)
    torch.testing.assert_close(build(parameters).loss_per_sample(logits, target), mean)


# ---------------------------------------------------------------------- fast and stable


@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
@pytest.mark.parametrize("block", [1, 30, 2**17])
@pytest.mark.parametrize("shape", [(), (3, 2)])
@each_form
def test_what_is_read_of_targets_changes_no_bit(parameters, kind, block, shape, monkeypatch):
    """Or a step that was recorded, and can look at nothing, would not be the same."""
    monkeypatch.setattr(_fused_labels, "BLOCK", block)
    n = 40 * int(np.prod(shape))
    logits, target = (each.reshape(40, *shape, 4).movedim(-1, 1) for each in batch(n=n, kind=kind))
    own = torch.linspace(0.5, 2, n).double().reshape(40, *shape)
    for given in ((target,), (target, own)):
        for reduction in ("mean", "sum"):
            loss = build(parameters, reduction=reduction)
            made = []
            for is_fast in (True, False):
                z = logits.clone().requires_grad_()
                with pytest.MonkeyPatch.context() as patch:
                    if not is_fast:
                        patch.setattr(_functional, "can_be_read", lambda tensor: False)
                    value = 3 * loss(z, *given)
                value.backward()
                made.append((value.detach(), z.grad))
            for one, other in zip(*made, strict=True):
                assert one.equal(other)


EXTREME = [0.0, 15.0, -15.0, 40.0, -40.0, 100.0, -100.0, 1e4, -1e4, 1e30, -1e30]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("is_fast", [True, False])
@each_form
def test_extreme_logits(parameters, dtype, is_fast, monkeypatch):
    if not is_fast:
        monkeypatch.setattr(_functional, "can_be_read", lambda tensor: False)
    relative = 2e-5 if dtype == torch.float32 else 1e-11
    loss = build(parameters, reduction="sum")
    given = of_label(loss, 2) | {"weight": loss.weight[2].to(dtype).tolist()}
    for z in EXTREME:
        for t in (0.0, 1.0):
            logits = torch.zeros(1, 4, dtype=dtype)
            logits[0, 2] = z
            target = torch.full_like(logits, torch.nan)
            target[0, 2] = t
            logits.requires_grad_()
            value = loss(logits, target)
            value.backward()
            z = logits[0, 2].item()
            for one, exact in (
                (value.item(), exact_label_loss(z, t, **given)),
                (logits.grad[0, 2].item(), exact_label_slope(z, t, **given)),
            ):
                np.testing.assert_allclose(one, float(exact), rtol=relative, atol=1e-30)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_largest_factors_leave_all_finite(dtype):
    for gamma in (1e6, (1e6, 0.0), (0.0, 1e6)):
        loss = build({"gamma": gamma, "tau": 1e6}, reduction="none")
        logits, target = batch(dtype=dtype)
        for size in (1.0, 1e4, 1e29):
            large = (size * logits).requires_grad_()
            value = loss(large, target)
            value.sum().backward()
            for made in (value, large.grad):
                assert made.isfinite().all()
            for meaning in (loss.predict_proba, loss.natural_proba, loss.natural_log_proba):
                made = meaning(large)
                (slope,) = torch.autograd.grad(made.sum(), large)
                assert made.isfinite().all()
                assert slope.isfinite().all()


# ---------------------------------------------------------------------- what logits mean


def minimiser(loss, label, posterior):
    """Return the logit that makes the expected loss least, where its slope is 0, in 50 digits."""

    def slope(z):
        given = of_label(loss, label)
        with_it, without = (exact_label_slope(z, t, **given) for t in (1, 0))
        return posterior * with_it + (1 - posterior) * without

    low, high = mpmath.mpf(-60), mpmath.mpf(60)
    assert slope(low) < 0 < slope(high)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(low)


@each_form
@pytest.mark.parametrize("beta", [0, 0.99, 1])
def test_the_population_minimiser_gives_back_the_posterior(parameters, beta):
    loss = build(parameters, beta=beta)
    for posterior in (0.003, 0.7):
        logits = torch.zeros(1, 4, dtype=torch.float64)
        for label in (0, 3):
            logits[0, label] = minimiser(loss, label, posterior)
        p = loss.natural_proba(logits)[0, [0, 3]]
        np.testing.assert_allclose(p, posterior, rtol=1e-9)
        torch.testing.assert_close(
            loss.natural_log_proba(logits).exp(), loss.natural_proba(logits)
        )


def posterior_of(loss, z):
    """Return the posterior of which z is the minimiser for label 2: where slopes balance."""
    without, with_it = (exact_label_slope(z, t, **of_label(loss, 2)) for t in (0, 1))
    return min(max(without / (without - with_it), 0), 1)


SATURATED = [0.0, 0.3, 5.0, 15.0, 17.0, 30.0, 60.0, 87.0, 89.0, 100.0, 104.0, 150.0]
FACTORS = [0.5, 1.0, 2.0, 4.0, 50.0, (4.0, 0.0), (0.0, 4.0), (0.5, 3.0), (1e3, 0.5)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "parameters", PARAMETERS + [{"gamma": gamma} for gamma in FACTORS], ids=named
)
def test_the_way_back_and_its_gradient_are_exact_at_either_end(parameters, dtype):
    relative = 5e-4 if dtype == torch.float32 else 1e-9
    loss = build(parameters)
    # A smoothed label has a posterior as far as one that is all on one side.
    absolute = relative if loss.label_smoothing else 1e-30
    z = torch.tensor([sign * z for z in SATURATED for sign in (1, -1)], dtype=dtype)
    logits = torch.zeros(len(z), 4, dtype=dtype)
    logits[:, 2] = z
    logits.requires_grad_()
    p = loss.natural_proba(logits)[:, 2]
    (slope,) = torch.autograd.grad(p.sum(), logits)
    for each, value, by_z in zip(z.tolist(), p.tolist(), slope[:, 2].tolist(), strict=True):
        with mpmath.workdps(400):
            step = mpmath.mpf(10) ** -60
            low, high = (posterior_of(loss, mpmath.mpf(each) + by) for by in (-step, step))
            exact = (high - low) / (2 * step)
        np.testing.assert_allclose(value, float(low), rtol=relative, atol=absolute)
        np.testing.assert_allclose(by_z, float(exact), rtol=relative, atol=absolute)


@pytest.mark.parametrize("gamma", [0, 0.5, 2.0, (4.0, 0.0), (0.3, 3.0), (30.0, 1.0), (0.0, 9.0)])
def test_a_larger_logit_never_means_less(gamma):
    """So the expected loss has one minimum, and the way back is to it."""
    logits = torch.linspace(-60, 60, 20_001, dtype=torch.float64).unsqueeze(1).repeat(1, 4)
    p = build({"gamma": gamma}).natural_log_proba(logits)
    assert (p.diff(dim=0) >= -1e-12).all()


@pytest.mark.parametrize("beta", [0, 0.9, 1])
def test_weights_and_prior_together_correct_once(beta):
    """With tau = 1, whatever the weights, decisions are as if both sides were equally frequent."""
    loss = build({"tau": 1.0}, beta=beta)
    prior = np.array(POSITIVE) / N
    logits = torch.zeros(1, 4, dtype=torch.float64)
    for label, share in enumerate(prior):
        logits[0, label] = minimiser(loss, label, float(share))
    np.testing.assert_allclose(loss.predict_proba(logits)[0], 0.5, rtol=1e-9)
    assert loss.decision_function(logits) is logits


@each_form
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_probabilities(parameters, dtype):
    logits = torch.cat([batch()[0], torch.tensor([[1e4, -1e4, 0, 5], [-9, 30, -30, 100]])])
    logits = logits.to(dtype)
    loss = build(parameters)
    torch.testing.assert_close(
        loss.predict_proba(logits), logits.to(torch.promote_types(dtype, torch.float32)).sigmoid()
    )
    torch.testing.assert_close(loss.predict_log_proba(logits).exp(), loss.predict_proba(logits))
    exact = loss.natural_log_proba(logits.double())
    close = {"rtol": 2e-4, "atol": 1e-5, "check_dtype": False}
    if not loss.label_smoothing:  # whose logarithms end at what is no longer a number
        torch.testing.assert_close(loss.natural_log_proba(logits), exact, **close)
    torch.testing.assert_close(loss.natural_proba(logits), exact.exp(), **close)
    assert exact.isfinite().all()
    images = logits.T[None, :, :, None]
    torch.testing.assert_close(
        loss.natural_proba(images)[0, :, :, 0].T, loss.natural_proba(logits)
    )
    p = loss.weighted_log_posterior(logits).exp()
    odds = p / (1 - p) * (loss.weight[:, 0] / loss.weight[:, 1])
    inside = (p > 0.01) & (p < 0.99)
    torch.testing.assert_close(
        (odds / (1 + odds))[inside], exact.exp()[inside], rtol=1e-3, atol=1e-5, check_dtype=False
    )


# ---------------------------------------------------------------------- how it is built


@pytest.mark.parametrize("normalize", ["classes", "samples", None])
def test_built_from_counts_labels_and_weights_alike(normalize):
    _, target = batch(n=N, kind="unknown")
    known = ~target.isnan()
    positive, n = torch.where(known, target, 0).sum(dim=0), known.sum(dim=0)
    weight = class_balanced_label_weight(positive, n, beta=0.9, normalize=normalize)
    given = {"beta": 0.9, "normalize": normalize}
    by_count = ClassBalancedMultiLabelLoss.from_label_count(positive, n, **given)
    np.testing.assert_array_equal(by_count.weight, weight)
    share = weight[:, 1] * positive.numpy()
    other = weight[:, 0] * (n - positive).numpy()
    np.testing.assert_allclose(by_count.label_prior, share / (share + other))
    named = ClassBalancedMultiLabelLoss.from_label_count(dict(enumerate(positive)), n, **given)
    torch.testing.assert_close(named.state_dict(), by_count.state_dict())
    three = target.reshape(20, 25, 4).movedim(-1, 1)
    lists = [three.tolist(), list(three), list(three.numpy())]
    for y in (target, target.numpy(), pd.DataFrame(target.numpy()), three, three.numpy(), *lists):
        loss = ClassBalancedMultiLabelLoss.from_labels(y, **given)
        torch.testing.assert_close(loss.state_dict(), by_count.state_dict())
    dense = torch.where(known, target, 0)
    three = torch.where(three.isnan(), 0, three).bfloat16()
    for y in (
        scipy.sparse.csr_array(dense.numpy()),
        dense.to_sparse(),
        dense.bool(),
        dense.long().tolist(),
        three,
        three.to_sparse(),
        list(three),
    ):
        loss = ClassBalancedMultiLabelLoss.from_labels(y, gamma=2, **given)
        expected = ClassBalancedMultiLabelLoss.from_label_count(positive, N, **given)
        torch.testing.assert_close(loss.state_dict(), expected.state_dict())
    assert ClassBalancedMultiLabelLoss.from_labels(dense).weight.equal(
        ClassBalancedMultiLabelLoss.from_labels(dense, beta=0.999).weight
    )


@each_form
def test_a_module_like_any_other(parameters):
    logits, target = batch(dtype=torch.float32)
    loss = build(parameters).float()
    value = loss(logits, target)
    assert loss.weight.dtype == loss.label_prior.dtype == torch.float32
    assert not list(loss.parameters())
    assert copy.deepcopy(loss)(logits, target) == value
    assert pickle.loads(pickle.dumps(loss))(logits, target) == value
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    other = build(parameters, positive=[1, 1, 1, 1]).float()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other(logits, target) == value


def test_what_it_shows():
    assert repr(ClassBalancedMultiLabelLoss()) == (
        "ClassBalancedMultiLabelLoss(gamma=0, reduction='mean')"
    )
    shown = repr(build({"gamma": (4, 0.5), "tau": 1, "label_smoothing": 0.1}, reduction="sum"))
    assert shown == (
        "ClassBalancedMultiLabelLoss(gamma=(4, 0.5), tau=1, label_smoothing=0.1, reduction='sum')"
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build({"gamma": -1}), "gamma must be a finite number >= 0, got -1"),
        (lambda: build({"gamma": (1, -1)}), "each of gamma must be a finite number >= 0, got -1"),
        (lambda: build({"gamma": (1, 2, 3)}), r"gamma must be a number, or two, .* got \(1, 2, 3"),
        (lambda: build({"tau": 1e7}), r"tau must be a number in \[0, 1e6\], got 1"),
        (lambda: build({"label_smoothing": 2}), r"label_smoothing must be .* \[0, 1\], got 2"),
        (lambda: build({}, reduction="avg"), "reduction must be 'mean', 'sum' or 'none', got"),
        (lambda: build({}, beta=2), r"beta must be a number in \[0, 1\], got 2"),
        (lambda: build({}, n=100), "n_samples must not be below .* got 100 of which 200"),
        (
            lambda: ClassBalancedMultiLabelLoss(tau=1.0),
            r"label_prior must be given beside a tau above 0, .* from_label_count\(n_positive",
        ),
        (
            lambda: ClassBalancedMultiLabelLoss([0.5, 1.0]),
            r"weight must have two numbers for each label, .* got shape \(2,\)",
        ),
        (
            lambda: ClassBalancedMultiLabelLoss([[0.5, -1.0]]),
            "weight must hold finite numbers >= 0, got -1.0",
        ),
        (
            lambda: ClassBalancedMultiLabelLoss(label_prior=[0.5, 1.5]),
            r"label_prior must hold numbers in \[0, 1\], got 1.5",
        ),
        (
            lambda: ClassBalancedMultiLabelLoss([[1, 1]], label_prior=[0.5, 0.5]),
            "label_prior and weight must have the same length, got 2 and 1",
        ),
        (
            lambda: ClassBalancedMultiLabelLoss.from_class_count([5, 3]),
            r"ClassBalancedMultiLabelLoss must be built by from_label_count\(n_pos.*=\[5, 3\]",
        ),
        (
            lambda: ClassBalancedMultiLabelLoss.from_labels([[0, 2], [1, 0]]),
            "y must hold 0 and 1, a column for each label, got 2",
        ),
        *(
            (
                lambda sets=sets: ClassBalancedMultiLabelLoss.from_labels(sets),
                "y must hold 0 and 1, .* go through sklearn.preprocessing.MultiLabelBinarizer",
            )
            for sets in ([[0], [1, 2]], [[0, 1], [1, 2]], [{0}, {1, 2}], [{0}], [("a",), ("b",)])
        ),
        (
            lambda: ClassBalancedMultiLabelLoss.from_labels([[0, 1], [[1], [0]]]),
            "y must hold 0 and 1, a column for each label, got ",
        ),
        (
            lambda: build({}).loss_per_class(torch.zeros(1, 4)),
            r"ClassBalancedMultiLabelLoss must be asked for loss_per_label",
        ),
    ],
)
def test_bad_values(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("bad", [2.0, -1.0, 1.5, torch.inf])
@pytest.mark.parametrize("kind", ["hard", "soft", "unknown"])
def test_targets_that_are_no_labels(reduction, bad, kind):
    logits, target = batch(kind=kind)
    target[7, 2] = bad
    rule = r"^target must hold numbers in \[0, 1\], or NaN where a label is not known"
    loss = build({}, reduction=reduction)
    for given in ((), (torch.ones(200),)):
        with pytest.raises(ValueError, match=rf"{rule}, got {bad:g}\.$"):
            loss(logits, target, *given)
    with pytest.raises(ValueError, match=rf"{rule}, got {bad:g}"):
        torch.func.vmap(loss)(logits[None], target[None])
    with pytest.raises(ValueError, match=rule):
        loss.loss_per_sample(logits, target)
    if reduction == "sum" or bad != 2:
        return
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    with pytest.raises(RuntimeError, match=rf"{rule}\.$"):
        compiled(logits, target)


def test_labels_that_are_all_two_times_themselves_are_seen():
    """What is above 1 may make up for what is between, where only sums are looked at."""
    target = torch.tensor([[1.5, 0.5, 0.5, 0.5]])
    with pytest.raises(ValueError, match=r"^target must hold numbers in \[0, 1\], .* got 1\.5"):
        ClassBalancedMultiLabelLoss()(torch.zeros(1, 4), target)


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(3, 4), torch.zeros(3), r"target must have a number in \[0, 1\] for each log"),
        (torch.zeros(3, 4), torch.zeros(3, 5), "target must have .* got torch.float32 of shape"),
        (torch.zeros(3, 4), torch.zeros(3, 4, dtype=torch.cfloat), "target must have .*complex64"),
        (torch.zeros(3, 5), torch.zeros(3, 5), "logits must have a column for each of the 4"),
        (torch.zeros(3, 4).long(), torch.zeros(3, 4), "logits must be floating-point"),
        (
            torch.zeros(3, 4),
            torch.zeros(3, 4).to_sparse(),
            r"target must be a dense tensor, .*pass",
        ),
    ],
)
def test_bad_input(logits, target, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        build({})(logits, target)


def test_bad_sample_weights_and_what_is_no_tensor():
    with pytest.raises(
        ValueError, match=r"^sample_weight must have one weight a sample, shape \(3"
    ):
        build({})(torch.zeros(3, 4), torch.zeros(3, 4), torch.ones(3, 4))
    for way in (build({}), build({}).loss_per_sample, build({}).loss_per_label):
        with pytest.raises(TypeError, match="^target must be a tensor, got list"):
            way(torch.zeros(1, 4), [[0, 1, 0, 0]])
    for way in (build({}).predict_proba, build({}).natural_proba, build({}).decision_function):
        with pytest.raises(ValueError, match="^logits must have a column for each of the 4"):
            way(torch.zeros(3, 1))


# ---------------------------------------------------------------------- doors


@each_form
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_a_float32_loss(parameters, dtype):
    logits, target = batch(dtype=dtype)
    logits.requires_grad_()
    loss = build(parameters)
    value = loss(logits, target)
    assert value.dtype == torch.float32
    assert value == loss(logits.float(), target.float())
    value.backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.isfinite().all()


@each_form
def test_autocast(parameters):
    torch.manual_seed(0)
    features, target = torch.randn(50, 6), batch(n=50)[1].float()
    net, loss = nn.Linear(6, 4), build(parameters)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = net(features)
        value = loss(logits, target)
    assert logits.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.float(), target))
    value.backward()
    assert net.weight.grad.isfinite().all()


@each_form
def test_compiled_in_one_graph(parameters):
    logits, target = batch(kind="unknown")
    loss = build(parameters)
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss(ours, target).backward()
    compiled(theirs, target).backward()
    torch.testing.assert_close(compiled(logits, target), loss(logits, target))
    torch.testing.assert_close(theirs.grad, ours.grad)


@each_form
def test_exported_for_any_batch(parameters):
    logits, target = batch()
    loss, n = build(parameters), torch.export.Dim("n")
    shapes = {"logits": {0: n}, "target": {0: n}}
    program = torch.export.export(loss, (logits, target), dynamic_shapes=shapes).module()
    for logits, target in (batch(), batch(n=5000, kind="unknown")):
        torch.testing.assert_close(program(logits, target), loss(logits, target))


@pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning"
)
@each_form
def test_what_records_operations_records_them_all(parameters):
    """Though every target of the first call is known, and 0 or 1."""
    loss = build(parameters)
    first, then = batch(n=50), batch(n=50, kind="unknown")
    for recorded in (
        make_fx(lambda *given: loss(*given))(*first),
        torch.jit.trace(loss, first, check_trace=False),
    ):
        torch.testing.assert_close(recorded(*then), loss(*then))


@each_form
def test_tensors_without_numbers(parameters):
    logits, target = batch(n=50)
    loss = build(parameters)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        assert loss(mode.from_tensor(logits), mode.from_tensor(target)).shape == ()
    assert loss.to("meta")(logits.to("meta"), target.to("meta")).shape == ()


@each_form
@pytest.mark.parametrize("kind", ["hard", "unknown"])
def test_vmap(parameters, kind):
    logits = torch.stack([batch(seed=seed)[0] for seed in range(3)])
    targets = torch.stack([batch(seed=seed, kind=kind)[1] for seed in range(3)])
    loss = build(parameters)
    one_by_one = torch.stack([loss(z, y) for z, y in zip(logits, targets, strict=True)])
    torch.testing.assert_close(torch.func.vmap(loss)(logits, targets), one_by_one)
    over_targets = torch.func.vmap(loss, in_dims=(None, 0))(logits[0], targets)
    torch.testing.assert_close(over_targets[0], one_by_one[0])
    gradients = torch.func.vmap(torch.func.grad(loss))(logits, targets)
    ours = logits[1].clone().requires_grad_()
    loss(ours, targets[1]).backward()
    torch.testing.assert_close(gradients[1], ours.grad)
    others = [build(parameters, positive=positive) for positive in (POSITIVE, [9, 9, 2, 1])]
    _, buffers = torch.func.stack_module_state(others)
    given = logits[0], targets[0]
    over_losses = torch.func.vmap(lambda b: torch.func.functional_call(loss, b, given))
    expected = torch.stack([other(*given) for other in others])
    torch.testing.assert_close(over_losses(buffers), expected)


@pytest.mark.parametrize("name", ClassBalancedMultiLabelLoss.stacked_numbers)
def test_numbers_that_may_be_tensors_in_a_stack(name):
    logits, target = batch()
    numbers = torch.tensor([0.0, 0.5, 2.0])
    loss = build({})

    def with_number(number):
        setattr(loss, name, number)
        return loss(logits, target)

    expected = [with_number(float(number)) for number in numbers]
    torch.testing.assert_close(
        torch.func.vmap(with_number)(numbers.double()), torch.stack(expected)
    )


@each_form
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
def test_derivatives_of_all_kinds(parameters):
    logits, target = batch(n=6, spread=1)
    loss = build(parameters, reduction="sum")
    direction = torch.ones_like(logits).cumsum(dim=1)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(loss(forward_ad.make_dual(logits, direction), target))[1]
    z = logits.clone().requires_grad_()
    value = loss(z, target)
    (first,) = torch.autograd.grad(value, z, create_graph=True)
    torch.testing.assert_close(tangent, (first * direction).sum().detach())
    (second,) = torch.autograd.grad((first * direction).sum(), z)
    of_loss = functools.partial(loss, target=target)
    forwards = torch.func.jvp(torch.func.grad(of_loss), (logits,), (direction,))[1]
    torch.testing.assert_close(second, forwards)
    again = loss(z, target)
    once = torch.autograd.grad(3 * again, z, retain_graph=True)[0].clone()
    torch.testing.assert_close(torch.autograd.grad(3 * again, z)[0], once)
    torch.testing.assert_close(once, 3 * first.detach())
    of_both = torch.autograd.grad(
        loss(z, target), z, grad_outputs=torch.tensor([1.0, 2]).double(), is_grads_batched=True
    )[0]
    torch.testing.assert_close(of_both, torch.stack([first, 2 * first]).detach())
    unreduced = build(parameters, reduction="none")

    def jacobian(**how):
        return torch.autograd.functional.jacobian(lambda z: unreduced(z, target), logits, **how)

    torch.testing.assert_close(jacobian(vectorize=True), jacobian())
    with torch.no_grad():
        assert not loss(z, target).requires_grad
        torch.testing.assert_close(loss(z, target), value.detach())
