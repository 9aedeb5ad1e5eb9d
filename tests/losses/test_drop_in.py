"""In place of torch.nn.CrossEntropyLoss: the same inputs, under the same transforms."""

import functools

import numpy as np
import pytest
import torch
from _loss_cases import SOFTMAX, batch, build, cases, each_loss, each_softmax_loss, unweighted
from torch import nn
from torch.autograd import forward_ad

from sk_cbloss.losses import ClassBalancedCrossEntropyLoss

# ---------------------------------------------------------------------- shapes and targets


@each_loss
@pytest.mark.parametrize("shape", [(6,), (3, 2), (2, 1, 5)])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_further_dimensions_are_more_samples(name, parameters, shape, reduction):
    logits, target = batch(n=5 * int(np.prod(shape)))
    own = torch.rand(len(target), generator=torch.Generator().manual_seed(1)).double()
    loss = build(name, parameters, reduction=reduction)
    flat = loss(logits, target, own)
    shaped = loss(
        logits.reshape(5, *shape, 4).movedim(-1, 1),
        target.reshape(5, *shape),
        own.reshape(5, *shape),
    )
    if reduction == "none":
        assert shaped.shape == (5, *shape)
    torch.testing.assert_close(shaped.flatten(), flat.flatten(), rtol=1e-13, atol=1e-14)


@each_loss
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_without_an_ignored_label_all_count(name, parameters, reduction):
    logits, target = batch(n=50)
    usual = build(name, parameters, reduction=reduction)
    all_count = build(name, parameters, reduction=reduction, ignore_index=None)
    own = torch.rand(50, generator=torch.Generator().manual_seed(1)).double()
    for given in ((logits, target), (logits, target, own)):
        torch.testing.assert_close(all_count(*given), usual(*given), rtol=1e-15, atol=0)
    with pytest.raises(ValueError, match=r"class positions from 0 to 3, got -100\.$"):
        all_count(logits, torch.full((50,), -100))


@each_loss
@pytest.mark.parametrize("ignore_index", [-100, 255, 2])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_ignored_samples_are_left_out(name, parameters, ignore_index, reduction):
    logits, target = batch(n=50)
    left = target != 2
    target[~left] = ignore_index
    logits[~left] = torch.nan  # the loss is finite all the same; the gradient is as torch's own
    own = torch.rand(50, generator=torch.Generator().manual_seed(1)).double()
    loss = build(name, parameters, reduction=reduction, ignore_index=ignore_index)
    expected = loss(logits[left], target[left], own[left])
    actual = loss(logits, target, own)
    if reduction == "none":
        assert (actual[~left] == 0).all()
        actual = actual[left]
    torch.testing.assert_close(actual, expected, rtol=1e-13, atol=1e-14)


@each_loss
def test_nothing_left_gives_0(name, parameters):
    logits, target = batch(n=5)
    logits.requires_grad_()
    loss = build(name, parameters)
    value = loss(logits, torch.full_like(target, -100))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()
    assert loss(logits[:0], target[:0]) == 0


def drawn(n=30, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 4, generator=generator, dtype=torch.float64).softmax(dim=1)


WITH_PROBABILITIES = cases(SOFTMAX | {"sigmoid", "focal"})


@pytest.mark.parametrize(("name", "parameters"), WITH_PROBABILITIES)
def test_probabilities_give_the_loss_expected_of_a_label_so_drawn(name, parameters):
    logits, _ = batch(n=30)
    p = drawn()
    own = torch.rand(30, generator=torch.Generator().manual_seed(2)).double()
    loss = build(name, parameters, reduction="none")
    expected = sum(p[:, label] * loss(logits, torch.full((30,), label), own) for label in range(4))
    torch.testing.assert_close(loss(logits, p, own), expected, rtol=1e-12, atol=1e-13)
    mean = build(name, parameters)
    torch.testing.assert_close(mean(logits, p, own), expected.mean())
    images = logits.reshape(5, 6, 4).movedim(2, 1), p.reshape(5, 6, 4).movedim(2, 1)
    torch.testing.assert_close(mean(*images), mean(logits, p))


@pytest.mark.parametrize(("name", "parameters"), WITH_PROBABILITIES)
def test_certain_probabilities_are_labels(name, parameters):
    logits, target = batch()
    loss = build(name, parameters)
    certain = nn.functional.one_hot(target, 4).double()
    torch.testing.assert_close(loss(logits, certain), loss(logits, target))


def test_ldam_takes_no_probabilities():
    with pytest.raises(ValueError, match=r"^target must hold class positions .* for LDAMLoss"):
        build("ldam", {})(batch(n=30)[0], drawn())


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_without_weights_it_is_torchs_cross_entropy(reduction, smoothing):
    logits, target = batch()
    given = {"reduction": reduction, "label_smoothing": smoothing}
    ours, theirs = ClassBalancedCrossEntropyLoss(**given), nn.CrossEntropyLoss(**given)
    torch.testing.assert_close(ours(logits[:30], drawn()), theirs(logits[:30], drawn()))
    given["ignore_index"] = 1
    ours, theirs = ClassBalancedCrossEntropyLoss(**given), nn.CrossEntropyLoss(**given)
    torch.testing.assert_close(ours(logits, target), theirs(logits, target))


@each_softmax_loss
def test_a_smoothed_label_keeps_the_weight_of_its_class(name, parameters):
    logits, target = batch()
    plain = build(name, parameters, reduction="none").loss_per_class(logits)
    loss = build(name, parameters, reduction="none", label_smoothing=0.2)
    mixed = 0.8 * plain.gather(1, target.unsqueeze(1)).squeeze(1) + 0.2 * plain.mean(dim=1)
    torch.testing.assert_close(loss(logits, target), loss.weight[target] * mixed)
    torch.testing.assert_close(loss.loss_per_sample(logits, target), mixed)


@pytest.mark.parametrize("name", ["logit_adjusted", "cdt", "vs"])
def test_smoothing_spreads_over_the_classes_that_take_part(name):
    logits, _ = batch(n=20)
    target = torch.arange(20) % 3
    three = build(name, {}, counts=[50, 10, 5], label_smoothing=0.2)
    four = build(name, {}, counts=[50, 10, 5, 0], label_smoothing=0.2)
    torch.testing.assert_close(four(logits, target), three(logits[:, :3], target))
    p = torch.cat([drawn(20)[:, :3], torch.zeros(20, 1)], dim=1)
    torch.testing.assert_close(four(logits, p), three(logits[:, :3], p[:, :3]))


# ---------------------------------------------------------------------- precision


@each_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_a_float32_loss(name, parameters, dtype):
    logits, target = batch(dtype=dtype)
    logits.requires_grad_()
    loss = build(name, parameters)
    value = loss(logits, target)
    assert value.dtype == torch.float32
    assert value == loss(logits.float(), target)
    value.backward()
    assert logits.grad.dtype == dtype
    assert logits.grad.isfinite().all()


@each_loss
def test_probabilities_of_half_precision_logits(name, parameters):
    logits = torch.tensor([[6e4, -6e4, 0, 1], [3, 1, -2, 0.5]], dtype=torch.float16)
    loss = build(name, parameters)
    ways = [loss.predict_proba] if name == "ldam" else [loss.predict_proba, loss.natural_proba]
    for way in ways:
        p = way(logits)
        torch.testing.assert_close(
            p, way(logits.double()), rtol=1e-4, atol=1e-7, check_dtype=False
        )
        torch.testing.assert_close(p.sum(dim=1), torch.ones(2))
    assert loss.predict_log_proba(logits).isfinite().all()


@each_loss
def test_autocast_and_gradient_scaling(name, parameters):
    torch.manual_seed(0)
    features, target = torch.randn(50, 6), batch(n=50)[1]
    net = nn.Linear(6, 4)
    loss = build(name, parameters)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = net(features)
        value = loss(logits, target)
    assert logits.dtype == torch.bfloat16
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.float(), target))
    scaler.scale(value).backward()
    scaler.unscale_(optimizer)
    expected = torch.autograd.grad(loss(net(features), target), net.weight)[0]
    torch.testing.assert_close(net.weight.grad, expected, rtol=0.1, atol=0.05)
    before = net.weight.detach().clone()
    scaler.step(optimizer)
    assert not torch.equal(net.weight, before)


# ---------------------------------------------------------------------- compilers and transforms


@each_loss
def test_compiled_in_one_graph(name, parameters):
    logits, target = batch()
    target[0] = -100
    loss = build(name, parameters)
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss(ours, target).backward()
    compiled(theirs, target).backward()
    torch.testing.assert_close(compiled(logits, target), loss(logits, target))
    torch.testing.assert_close(theirs.grad, ours.grad)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # the compiler's own
@pytest.mark.parametrize("name", ["softmax", "sigmoid", "focal", "softmax_focal", "ldam", "vs"])
def test_compiled_by_the_default_compiler(name):
    logits, target = batch(n=300)
    loss = build(name, {})
    torch.compiler.reset()
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    loss(ours, target).backward()
    torch.compile(loss, fullgraph=True)(theirs, target).backward()
    torch.testing.assert_close(theirs.grad, ours.grad)


@each_loss
def test_exported(name, parameters):
    logits, target = batch()
    loss = build(name, parameters)
    program = torch.export.export(loss, (logits, target))
    torch.testing.assert_close(program.module()(logits, target), loss(logits, target))


@each_loss
def test_exported_for_any_batch(name, parameters):
    logits, target = batch()
    loss, n = build(name, parameters), torch.export.Dim("n")
    shapes = {"logits": {0: n}, "target": {0: n}}
    program = torch.export.export(loss, (logits, target), dynamic_shapes=shapes)
    logits, target = batch(n=5000)
    torch.testing.assert_close(program.module()(logits, target), loss(logits, target))


@pytest.mark.parametrize("name", ["sigmoid", "focal"])
def test_compiled_code_refuses_labels_outside_the_classes(name):
    """Where nothing else would: it takes -1 for the last class."""
    logits, target = batch()
    target[3] = -1
    torch.compiler.reset()
    with pytest.raises(RuntimeError, match="target must hold class positions"):
        torch.compile(build(name, {}), fullgraph=True, backend="aot_eager")(logits, target)


@each_loss
def test_vmap_over_targets_and_priors(name, parameters):
    logits, target = batch()
    targets = torch.stack([target, target.roll(1), target.flip(0)])
    loss = build(name, parameters)
    one_by_one = torch.stack([loss(logits, y) for y in targets])
    over_targets = torch.func.vmap(loss, in_dims=(None, 0))
    torch.testing.assert_close(over_targets(logits, targets), one_by_one)
    others = [build(name, parameters, counts=counts) for counts in ([9, 9, 2, 1], [1, 2, 3, 4])]
    _, buffers = torch.func.stack_module_state(others)
    over_losses = torch.func.vmap(lambda b: torch.func.functional_call(loss, b, (logits, target)))
    expected = torch.stack([other(logits, target) for other in others])
    torch.testing.assert_close(over_losses(buffers), expected)


@each_loss
def test_jacobians_in_one_go(name, parameters):
    logits, target = batch(n=6)
    loss = build(name, parameters, reduction="none")

    def jacobian(**how):
        return torch.autograd.functional.jacobian(lambda z: loss(z, target), logits, **how)

    torch.testing.assert_close(jacobian(vectorize=True), jacobian())


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@each_loss
def test_forward_mode(name, parameters):
    logits, target = batch(n=6)
    loss = build(name, parameters)
    direction = torch.ones_like(logits).cumsum(dim=1)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(loss(forward_ad.make_dual(logits, direction), target))[1]
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(loss(logits, target), logits)
    torch.testing.assert_close(tangent, (gradient * direction).sum())


@each_loss
def test_vmap_over_nets(name, parameters):
    logits = torch.stack([batch(seed=seed)[0] for seed in range(3)])
    targets = torch.stack([batch(seed=seed)[1] for seed in range(3)])
    loss = build(name, parameters)
    one_by_one = torch.stack([loss(z, y) for z, y in zip(logits, targets, strict=True)])
    torch.testing.assert_close(torch.func.vmap(loss)(logits, targets), one_by_one)
    shared = torch.func.vmap(loss, in_dims=(0, None))(logits, targets[0])
    torch.testing.assert_close(shared[0], one_by_one[0])
    gradients = torch.func.vmap(torch.func.grad(loss))(logits, targets)
    ours = logits[1].clone().requires_grad_()
    loss(ours, targets[1]).backward()
    torch.testing.assert_close(gradients[1], ours.grad)


# Torch's own forward mode still does.
@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@each_loss
def test_second_derivatives_are_right(name, parameters):
    """Along one direction, against differences of the gradient."""
    logits, target = batch(spread=1)
    loss = build(name, parameters, reduction="sum")
    direction = torch.randn(logits.shape, generator=torch.Generator().manual_seed(5)).double()

    def gradient(z):
        z = z.detach().requires_grad_()
        return torch.autograd.grad(loss(z, target), z)[0]

    step = 1e-5
    expected = (gradient(logits + step * direction) - gradient(logits - step * direction)) / (
        2 * step
    )
    z = logits.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(z, target), z, create_graph=True)
    (second,) = torch.autograd.grad((first * direction).sum(), z)
    scale = float(expected.abs().max())
    torch.testing.assert_close(second, expected, rtol=1e-5, atol=1e-7 * scale)
    torch.testing.assert_close(first.detach(), gradient(logits))
    value = functools.partial(loss, target=target)
    forwards = torch.func.jvp(torch.func.grad(value), (logits,), (direction,))[1]
    torch.testing.assert_close(forwards, expected, rtol=1e-5, atol=1e-7 * scale)


@each_loss
def test_gradients_can_be_asked_for_twice(name, parameters):
    logits, target = batch()
    logits.requires_grad_()
    value = build(name, parameters)(logits, target)
    # Three times the loss: a gradient that is scaled in place must not be scaled again.
    first = torch.autograd.grad(3 * value, logits, retain_graph=True)[0].clone()
    second = torch.autograd.grad(3 * value, logits)[0]
    torch.testing.assert_close(second, first)


@each_loss
def test_without_gradients(name, parameters):
    logits, target = batch()
    loss = build(name, parameters)
    with torch.no_grad():
        value = loss(logits.clone().requires_grad_(), target)
    assert not value.requires_grad
    torch.testing.assert_close(value, loss(logits, target))


def test_sizes_are_checked_by_name():
    """A prior of another length than the logits is seen with a weight and without."""
    logits, target = batch(n=3)
    with pytest.raises(ValueError, match=r"^logits must have a column for each of the 3"):
        unweighted("logit_adjusted", {}, counts=[3, 2, 1])(logits, target)
