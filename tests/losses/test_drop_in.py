"""In place of torch.nn.CrossEntropyLoss: the same inputs, under the same transforms."""

import functools

import numpy as np
import pytest
import torch
from _loss_cases import SOFTMAX, batch, build, cases, each_loss, each_softmax_loss, unweighted
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.fx.experimental.proxy_tensor import make_fx

from sk_cbloss.losses import ClassBalancedCrossEntropyLoss, _functional

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
@pytest.mark.parametrize("ignore_index", [-100, 255, 2, None])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_to_look_at_targets_first_changes_nothing(name, parameters, ignore_index, reduction):
    """The loss leaves out masks where it finds nothing to ignore, and the result is the same."""
    logits, target = batch(n=50)
    some_ignored = target.clone()
    some_ignored[::3] = 3 if ignore_index is None else ignore_index
    loss = build(name, parameters, reduction=reduction, ignore_index=ignore_index)
    for given in (target, some_ignored, torch.full_like(target, some_ignored[0]), target[:0]):
        made = []
        for can_be_read in (_functional.can_be_read, lambda tensor: False):
            z = logits[: len(given)].clone().requires_grad_()
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(_functional, "can_be_read", can_be_read)
                value = loss(z, given)
            value.sum().backward()
            made.append((value.detach(), z.grad))
        torch.testing.assert_close(*made, rtol=1e-13, atol=1e-15)


@pytest.mark.filterwarnings(
    "ignore:`torch.jit:DeprecationWarning", "ignore::torch.jit.TracerWarning"
)
@each_loss
def test_what_records_operations_records_them_all(name, parameters):
    """Though no target of the first call is ignored, one of the next may be."""
    logits, target = batch(n=50)
    some_ignored = target.clone()
    some_ignored[::3] = -100
    loss = build(name, parameters)
    for recorded in (
        make_fx(lambda *given: loss(*given))(logits, target),
        torch.jit.trace(loss, (logits, target), check_trace=False),
    ):
        torch.testing.assert_close(recorded(logits, some_ignored), loss(logits, some_ignored))


@each_loss
def test_tensors_without_numbers(name, parameters):
    """As those that tell shapes and memory beforehand: there is nothing to look at."""
    logits, target = batch(n=50)
    loss = build(name, parameters)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fake = mode.from_tensor(logits), mode.from_tensor(target)
        assert loss(*fake).shape == ()
    assert loss(*fake).shape == ()
    assert loss.to("meta")(logits.to("meta"), target.to("meta")).shape == ()


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


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("n_classes", [2, 10, 1000])
def test_what_is_mixed_or_smoothed_is_a_probability(dtype, n_classes):
    """Although it is rounded at every step."""
    target = batch(n=50, n_classes=n_classes)[1]
    label = nn.functional.one_hot(target, n_classes).to(dtype)
    for share in (0.0, 0.1, 0.37, 0.5, 1.0):
        smoothed = label * (1 - share) + share / n_classes
        mixed = share * smoothed + (1 - share) * smoothed.flip(0)
        for p in (label, smoothed, mixed, mixed.softmax(dim=1), mixed.sigmoid().softmax(dim=1)):
            value = ClassBalancedCrossEntropyLoss()(torch.zeros(50, n_classes, dtype=dtype), p)
            assert value.item() == pytest.approx(np.log(n_classes), rel=0.02)
    rounded = torch.tensor([[0.33, 0.33, 0.33]]), torch.tensor([[0.67, 0.17, 0.17]])
    for p in rounded:
        assert ClassBalancedCrossEntropyLoss()(torch.zeros(1, 3), p).isfinite()


NO_PROBABILITIES = [
    ([0.0, 0.0, 0.0, 0.0], "numbers that sum to 0"),
    ([1.0, 1.0, 0.0, 0.0], "numbers that sum to 2"),
    ([0.5, 0.45, 0.0, 0.0], "numbers that sum to 0.95"),
    ([1.5, -0.5, 0.0, 0.0], "-0.5"),
    ([-0.01, 0.01, 1.0, 0.0], "-0.01"),
    ([torch.nan, 0.0, 1.0, 0.0], "nan"),
    ([torch.inf, 0.0, 0.0, 0.0], "numbers that sum to inf"),
]
RULE = r"target in floating point must hold probabilities: numbers >= 0 that sum to 1 .*"


@each_loss
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_targets_that_are_no_probabilities_are_refused(name, parameters, reduction):
    logits, p = batch(n=30)[0], drawn()
    loss = build(name, parameters, reduction=reduction)
    for bad, got in NO_PROBABILITIES:
        p[7] = torch.tensor(bad)
        for dtype in (torch.float64, torch.float32, torch.float16):
            if got == "-0.01" and dtype != torch.float64:
                continue  # another number, by then
            message = rf"^{RULE} got {got}\.$" if len(got) < 24 else rf"^{RULE} got numbers .* 0.9"
            for given in ((), (torch.ones(30),)):
                with pytest.raises(ValueError, match=message):
                    loss(logits.to(dtype), p.to(dtype), *given)
            images = (t.reshape(5, 6, 4).movedim(2, 1).to(dtype) for t in (logits, p))
            with pytest.raises(ValueError, match=message):
                loss(*images)


@each_loss
def test_a_mask_beside_one_column_is_refused(name, parameters):
    """A softmax of one column is 1 whatever it holds; a class is one out of two at least."""
    z, mask = torch.tensor([[4.0], [4.0], [4.0], [-4.0]]), torch.tensor([[0.0], [0], [0], [1]])
    images = z.reshape(2, 1, 2, 1), mask.reshape(2, 1, 2, 1)
    message = r"^logits must have a column for each class, two .* one .*BCEWithLogitsLoss\.$"
    for loss in (unweighted(name, parameters, counts=[5]), build(name, parameters, counts=[5])):
        for logits, target in ((z, mask), images):
            for made in (
                target,
                target.double(),
                torch.ones_like(target),
                target.long(),
                target > 0,
            ):
                with pytest.raises(ValueError, match=message):
                    loss(logits, made)
        assert loss(z, torch.zeros(4, dtype=int)).isfinite()
    # The remedy, and what it is equal to where the loss is a softmax.
    if name == "softmax":
        two = torch.cat([torch.zeros_like(z), z], dim=1)
        value = unweighted(name, parameters)(two, mask.squeeze(1).long())
        torch.testing.assert_close(value, nn.BCEWithLogitsLoss()(z, mask))


@pytest.mark.parametrize(("name", "parameters"), WITH_PROBABILITIES)
def test_transforms_and_compilers_look_at_probabilities_too(name, parameters):
    logits = torch.stack([batch(n=30, seed=seed)[0] for seed in range(3)])
    p = torch.stack([drawn(seed=seed) for seed in range(3)])
    loss = build(name, parameters)
    one_by_one = torch.stack([loss(z, q) for z, q in zip(logits, p, strict=True)])
    bad = p.clone()
    bad[1, 7] *= 3
    for dim in range(3):
        mapped = torch.func.vmap(loss, in_dims=(dim, dim))
        torch.testing.assert_close(mapped(logits.movedim(0, dim), p.movedim(0, dim)), one_by_one)
        with pytest.raises(ValueError, match=f"^{RULE} got numbers that sum to 3"):
            mapped(logits.movedim(0, dim), bad.movedim(0, dim))
    with pytest.raises(ValueError, match=f"^{RULE} got numbers that sum to 3"):
        torch.func.grad(loss)(logits[1], bad[1])
    torch.compiler.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits[0], p[0]), one_by_one[0])
    with pytest.raises(RuntimeError, match=f"^{RULE}"):
        compiled(logits[1], bad[1])
    program = torch.export.export(loss, (logits[0], p[0])).module()
    torch.testing.assert_close(program(logits[0], p[0]), one_by_one[0])
    torch.compiler.reset()
    both = torch.compile(torch.func.vmap(loss), backend="aot_eager")
    torch.testing.assert_close(both(logits, p), one_by_one)


def test_gradients_reach_probabilities():
    """As a teacher that learns along needs."""
    logits, p = batch(n=30)[0], drawn().requires_grad_()
    build("softmax", {}, reduction="sum")(logits, p).backward()
    loss = build("softmax", {})
    torch.testing.assert_close(p.grad, loss.weight * loss.loss_per_class(logits))


def test_a_device_without_an_assertion_waits(monkeypatch):
    def refuse(*args):
        raise NotImplementedError

    monkeypatch.setattr(torch, "_assert_async", refuse)
    logits, p = batch(n=30)[0], drawn()
    assert build("softmax", {})(logits, p).isfinite()
    with pytest.raises(ValueError, match=f"^{RULE} got numbers that sum to 2"):
        build("softmax", {})(logits, 2 * p)


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
    p = torch.cat([drawn(20)[:, :3].softmax(dim=1), torch.zeros(20, 1)], dim=1)
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
