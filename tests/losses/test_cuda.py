"""The losses on a GPU, against float64 on the CPU. Skipped, with this reason, where there is none.

What the GPU is given is rounded first: the two start from the same numbers.
"""

import itertools

import numpy as np
import pytest
import torch
from _loss_cases import SOFTMAX, batch, build, unweighted

from sk_cbloss.losses import LOSSES, ClassBalancedMultiLabelLoss

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

GPU = "cuda"
SIZES = [(64, 10), (300, 1000)]  # the second is several blocks on a CPU
EXTREME = [0.0, 40.0, 15.0, -15.0, 100.0, -100.0, 1e4, -1e4]

each_loss = pytest.mark.parametrize(
    ("name", "parameters"),
    [
        pytest.param(name, {"gamma": gamma} if gamma else {}, id=f"{name} {gamma or ''}".strip())
        for name in LOSSES
        for gamma in ([0.5, 2] if "focal" in name else [None])
    ],
)


def both(name, parameters, n_classes, **more):
    """Return the loss on the CPU and on the GPU."""
    counts = np.geomspace(5000, 5, n_classes).round()
    return tuple(
        build(name, parameters, counts=counts, **more).to(device) for device in ("cpu", GPU)
    )


def value_and_gradient(loss, logits, target, own=None):
    logits = logits.detach().clone().requires_grad_()
    value = loss(logits, target, own)
    upstream = torch.linspace(-1, 2, value.numel()).reshape(value.shape)
    value.backward(upstream.to(value.device, value.dtype))
    return value.detach(), logits.grad


def assert_near(ours, exact, *, relative, of_largest, least=0.0):
    """Compare with a result in float64: relative to it, and to the largest number in it."""
    assert ours.device.type == GPU
    largest = float(exact.abs().max()) if exact.numel() else 0.0
    torch.testing.assert_close(
        ours.cpu().double(), exact, rtol=relative, atol=max(of_largest * largest, least)
    )


def ways_to_call(name, n, n_classes):
    """Yield parameters of the loss, targets and sample weights."""
    _, target = batch(n=n, n_classes=n_classes, seed=1)
    own = torch.linspace(0.5, 2, n)
    some = target.where(torch.arange(n) % 5 > 0, 255)
    drawn = batch(n=n, n_classes=n_classes, seed=2)[0].softmax(dim=1)
    yield {"reduction": "none"}, target, None
    yield {"reduction": "sum"}, target, own
    yield {"reduction": "mean"}, target, own
    yield {"reduction": "mean", "ignore_index": None}, target.int(), None
    yield {"reduction": "none", "ignore_index": 255}, some, own
    yield {"reduction": "mean", "ignore_index": 255}, some, None
    if name != "ldam":
        yield {"reduction": "none"}, drawn, own
        yield {"reduction": "mean"}, drawn, None
    if name in SOFTMAX:
        yield {"reduction": "none", "label_smoothing": 0.1}, target, own
        yield {"reduction": "mean", "label_smoothing": 0.1}, drawn, None


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("n", "n_classes"), SIZES)
def test_values_and_gradients(name, parameters, dtype, n, n_classes):
    logits = batch(n=n, n_classes=n_classes)[0].to(dtype)
    # A gradient in half precision is rounded to it; the numbers below normal ones are evenly far
    # from each other.
    info = torch.finfo(dtype)
    rounding = {"relative": 1e-4, "of_largest": 1e-5}
    if dtype != torch.float32:
        rounding["relative"] += info.eps
        rounding["least"] = info.smallest_normal * info.eps
    for more, target, own in ways_to_call(name, n, n_classes):
        on_cpu, on_gpu = both(name, parameters, n_classes, **more)
        exact, slope = value_and_gradient(on_cpu, logits.double(), target, own)
        there = [None if given is None else given.to(GPU) for given in (logits, target, own)]
        value, gradient = value_and_gradient(on_gpu, *there)
        assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
        assert_near(value, exact, relative=1e-5, of_largest=1e-6)
        assert_near(gradient, slope, **rounding)


@each_loss
def test_double_precision_is_the_cpus(name, parameters):
    logits, target = batch(n=300, n_classes=10)
    on_cpu, on_gpu = both(name, parameters, 10)
    exact, slope = value_and_gradient(on_cpu, logits, target)
    value, gradient = value_and_gradient(on_gpu, logits.to(GPU), target.to(GPU))
    assert_near(value, exact, relative=1e-12, of_largest=1e-14)
    assert_near(gradient, slope, relative=1e-10, of_largest=1e-13)


@each_loss
def test_extreme_logits(name, parameters):
    logits = torch.tensor([[w, r, 0.5] for w, r in itertools.product(EXTREME, EXTREME)])
    target = torch.ones(len(logits), dtype=torch.int64)
    loss = unweighted(name, parameters, counts=[500, 100, 20], reduction="none")
    exact, slope = value_and_gradient(loss, logits.double(), target)
    value, gradient = value_and_gradient(loss.to(GPU), logits.to(GPU), target.to(GPU))
    # A softmax's loss is the rounding of 1 - p, as torch's own is.
    least = 1e-30 if name in ("sigmoid", "focal") else torch.finfo(torch.float32).eps
    for ours, theirs in ((value, exact), (gradient, slope)):
        assert_near(ours, theirs, relative=1e-5, of_largest=0, least=3 * least)


@each_loss
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_extreme_logits_in_half_precision(name, parameters, dtype):
    largest = [0.0, 15.0, -15.0, 6e4, -6e4]
    logits = torch.tensor([[w, r, 0.5] for w, r in itertools.product(largest, largest)]).to(dtype)
    target = torch.ones(len(logits), dtype=torch.int64)
    loss = unweighted(name, parameters, counts=[500, 100, 20], reduction="none")
    exact, _ = value_and_gradient(loss, logits.double(), target)
    value, gradient = value_and_gradient(loss.to(GPU), logits.to(GPU), target.to(GPU))
    assert_near(value, exact, relative=1e-5, of_largest=0, least=1e-6)
    assert gradient.isfinite().all()


@each_loss
def test_second_derivatives(name, parameters):
    logits, target = batch(n=40, n_classes=10, spread=1)
    direction = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).reshape(logits.shape)
    seconds = []
    for loss in both(name, parameters, 10):
        device = loss.weight.device
        z = logits.to(device).requires_grad_()
        first = torch.autograd.grad(loss(z, target.to(device)), z, create_graph=True)[0]
        seconds += torch.autograd.grad((first * direction.to(device)).sum(), z)
    assert_near(seconds[1], seconds[0], relative=1e-9, of_largest=1e-12)


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_probabilities(name, parameters, dtype):
    logits = 5 * batch(n=50, n_classes=10)[0]
    logits = torch.cat([logits, 6e4 * logits.sign()[:5]]).to(dtype)
    smoothings = [{}, {"label_smoothing": 0.1}] if name in SOFTMAX else [{}]
    for more in smoothings:
        on_cpu, on_gpu = both(name, parameters, 10, **more)
        for way in ["predict_proba"] + ["natural_proba"] * (name != "ldam"):
            exact = getattr(on_cpu, way)(logits.double())
            p = getattr(on_gpu, way)(logits.to(GPU))
            assert p.dtype == torch.float32
            assert_near(p, exact, relative=1e-3, of_largest=1e-5)
            assert_near(p.sum(dim=1), torch.ones(len(p)).double(), relative=1e-5, of_largest=0)
            # As a net asks, whose logits come back to the CPU.
            at_home = getattr(on_gpu, way)(logits)
            assert at_home.device.type == "cpu"
            torch.testing.assert_close(at_home, p.cpu(), rtol=2e-3, atol=2e-5)
        assert on_gpu.predict_log_proba(logits.to(GPU)).isfinite().all()
        decision = on_gpu.decision_function(logits.to(GPU))
        torch.testing.assert_close(decision.cpu(), logits)


@each_loss
def test_classes_without_samples(name, parameters):
    logits, target = batch(n=60, n_classes=4, dtype=torch.float32)
    loss = build(name, parameters, counts=[500, 100, 20, 0], reduction="none").to(GPU)
    value, gradient = value_and_gradient(loss, logits.to(GPU), target.to(GPU))
    assert value.isfinite().all()
    assert gradient.isfinite().all()
    assert (value.cpu()[target == 3] == 0).all()


@each_loss
def test_nothing_left_gives_0(name, parameters):
    logits = torch.zeros(5, 4, device=GPU, requires_grad=True)
    value = build(name, parameters).to(GPU)(logits, torch.full((5,), -100, device=GPU))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


@each_loss
@pytest.mark.filterwarnings("ignore:Synchronization debug mode is a prototype")
def test_nothing_waits_for_the_gpu(name, parameters):
    for more, target, own in ways_to_call(name, 64, 10):
        loss = both(name, parameters, 10, **more)[1]
        logits = torch.randn(64, 10, device=GPU, requires_grad=True)
        target, own = target.to(GPU), None if own is None else own.to(GPU)
        loss(logits, target, own).sum().backward()  # the first time, kernels are loaded
        torch.cuda.set_sync_debug_mode("error")
        try:
            loss(logits, target, own).sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the compiler's own
@pytest.mark.parametrize("name", ["softmax", "focal", "sigmoid"])
def test_compiled(name):
    pytest.importorskip("triton")
    logits, target = batch(n=300, n_classes=10)
    on_cpu, on_gpu = both(name, {}, 10)
    exact, slope = value_and_gradient(on_cpu, logits.float().double(), target)
    torch.compiler.reset()
    compiled = torch.compile(on_gpu, fullgraph=True)
    value, gradient = value_and_gradient(compiled, logits.float().to(GPU), target.to(GPU))
    assert_near(value, exact, relative=1e-5, of_largest=1e-6)
    assert_near(gradient, slope, relative=1e-4, of_largest=1e-5)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    "parameters", [{}, {"gamma": 2.0}, {"gamma": (4, 0), "tau": 1.0}, {"label_smoothing": 0.1}]
)
@pytest.mark.parametrize("kind", ["labels", "shares", "unknown"])
@pytest.mark.parametrize(("n", "n_labels"), SIZES)
def test_several_labels(n, n_labels, kind, parameters, reduction):
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(n, n_labels, generator=rng, dtype=torch.float64).mul(5)
    target = torch.rand(n, n_labels, generator=rng, dtype=torch.float64)
    if kind != "shares":
        target = (target < 0.2).double()
    if kind == "unknown":
        target[torch.rand(n, n_labels, generator=rng) < 0.1] = torch.nan
    n_positive = np.geomspace(5000, 5, n_labels).round()
    given = {"beta": 0.999, "reduction": reduction} | parameters
    loss = ClassBalancedMultiLabelLoss.from_label_count(n_positive, 10_000, **given)
    own = torch.linspace(0.5, 2, n, dtype=torch.float64)
    exact = value_and_gradient(loss, logits, target, own)
    ours = value_and_gradient(loss.to(GPU), logits.to(GPU), target.to(GPU), own.to(GPU))
    for one, other in zip(ours, exact, strict=True):
        assert_near(one, other, relative=1e-9, of_largest=1e-12)
    natural = loss.natural_proba(logits.to(GPU))
    assert_near(natural, loss.to("cpu").natural_proba(logits), relative=1e-9, of_largest=1e-12)
