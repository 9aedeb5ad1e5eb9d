"""What every class-balanced loss obeys, and its paper's formula."""

import copy
import io
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from _loss_cases import COUNTS, PRIOR, batch, build, each_loss, for_reference, unweighted
from _reference import loss_per_sample

from sk_cbloss import (
    ClassBalancedFocalLoss,
    ClassBalancedSigmoidLoss,
    LDAMLoss,
    LogitAdjustedLoss,
    class_balanced_weight,
)
from sk_cbloss.losses import LOSSES, ClassBalancedLoss, PriorSoftmaxLoss, SoftmaxLoss


@each_loss
@pytest.mark.parametrize("beta", [0, 0.99, 1])
def test_float64_is_the_papers_formula(name, parameters, beta):
    logits, target = batch(n=60)
    weight, for_formula = for_reference(name, parameters, beta=beta)
    expected = weight[target] * loss_per_sample(logits, target, name, **for_formula)
    for reduction, reduce in {"none": np.array, "mean": np.mean, "sum": np.sum}.items():
        loss = build(name, parameters, beta=beta, reduction=reduction)
        np.testing.assert_allclose(loss(logits, target), reduce(expected), rtol=1e-11, atol=1e-13)


@each_loss
def test_float32_agrees_to_1e6(name, parameters):
    logits, target = batch(dtype=torch.float32)
    loss = build(name, parameters, reduction="none")
    value = loss(logits, target)
    assert value.dtype == torch.float32
    exact = loss(logits.double(), target)
    # Logits are rounded when they are scaled, by up to 1e-7 of the largest.
    scale = 30 if name == "ldam" else 1
    np.testing.assert_allclose(value, exact, rtol=1e-6, atol=1e-6 * scale)
    mean = build(name, parameters)
    np.testing.assert_allclose(mean(logits, target), exact.mean(), rtol=1e-6)


@each_loss
def test_gradcheck(name, parameters):
    logits, target = batch(n=6, spread=1)
    loss = build(name, parameters)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, target), logits)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, target), logits)


@each_loss
def test_beta_0_is_the_unweighted_loss(name, parameters):
    logits, target = batch()
    weighted = build(name, parameters, beta=0)
    assert weighted(logits, target) == unweighted(name, parameters)(logits, target)


@each_loss
def test_permuting_classes_changes_nothing(name, parameters):
    logits, target = batch()
    order = torch.tensor([2, 0, 3, 1])
    position = torch.argsort(order)
    loss = build(name, parameters)
    permuted = build(name, parameters, counts=np.array(COUNTS)[order])
    torch.testing.assert_close(
        permuted(logits[:, order], position[target]), loss(logits, target), rtol=1e-13, atol=0
    )


@each_loss
@pytest.mark.parametrize("with_sample_weight", [False, True])
def test_batches_of_7_add_up_to_the_full_formula(name, parameters, with_sample_weight):
    """An epoch's gradients at frozen parameters, averaged by batch size, are the full batch's."""
    _, target = batch(n=200)
    features = torch.randn(200, 5, generator=torch.Generator().manual_seed(1)).double()
    own = torch.rand(200, generator=torch.Generator().manual_seed(2)).double() + 0.1
    own = own / own.mean() if with_sample_weight else None
    linear = torch.randn(5, 4, generator=torch.Generator().manual_seed(3)).double()
    linear.requires_grad_()
    loss = build(name, parameters)

    def gradient(rows):
        weight = None if own is None else own[rows]
        value = loss(features[rows] @ linear, target[rows], weight)
        return torch.autograd.grad(value, linear)[0]

    parts = torch.arange(200).split(7)
    epoch = sum(len(rows) * gradient(rows) for rows in parts) / 200
    full = gradient(torch.arange(200))
    torch.testing.assert_close(epoch, full, rtol=1e-12, atol=1e-13)
    weight = torch.from_numpy(class_balanced_weight(COUNTS, beta=0.99))[target]
    weight = weight if own is None else weight * own
    plain = loss.loss_per_sample(features @ linear, target)
    by_formula = torch.autograd.grad((weight * plain).sum() / 200, linear)[0]
    torch.testing.assert_close(full, by_formula, rtol=1e-12, atol=1e-13)


@each_loss
def test_weight_2_means_two_copies(name, parameters):
    logits, target = batch(n=10)
    own = torch.arange(10) % 3
    loss = build(name, parameters, reduction="sum")
    torch.testing.assert_close(
        loss(logits, target, own),
        loss(logits.repeat_interleave(own, dim=0), target.repeat_interleave(own)),
    )


@each_loss
def test_gradients_reach_sample_weights(name, parameters):
    """As methods that learn to weigh samples need."""
    logits, target = batch(n=10)
    own = torch.ones(10, dtype=torch.float64, requires_grad=True)
    build(name, parameters, reduction="sum")(logits, target, own).backward()
    torch.testing.assert_close(own.grad, build(name, parameters, reduction="none")(logits, target))


@each_loss
def test_the_mean_divides_by_samples_not_by_weights(name, parameters):
    """A batch of one class is weighted too, as it is not by torch's own weighted mean."""
    logits, _ = batch(n=5)
    target = torch.full((5,), 3)
    loss = build(name, parameters)
    plain = loss.loss_per_sample(logits, target).mean()
    torch.testing.assert_close(loss(logits, target), loss.weight[3] * plain)


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities(name, parameters, dtype):
    logits, _ = batch(dtype=dtype)
    extreme = torch.tensor([[-1e4, -1e4 + 1, -1e4, -2e4], [1e4, 0, -1e4, 5]], dtype=dtype)
    logits = torch.cat([logits, extreme])
    loss = unweighted(name, parameters)
    p = loss.predict_proba(logits)
    assert ((p >= 0) & p.isfinite()).all()
    torch.testing.assert_close(p.sum(dim=1), torch.ones(len(p), dtype=dtype))
    torch.testing.assert_close(p.argmax(dim=1), logits.argmax(dim=1))
    assert (loss.decision_function(logits) == logits).all()
    torch.testing.assert_close(loss.predict_log_proba(logits).exp(), p)


@each_loss
def test_built_from_counts_as_from_weights(name, parameters):
    logits, target = batch()
    weight = class_balanced_weight(COUNTS, beta=0.99, normalize="samples")
    prior = np.array(COUNTS) * (1 if name == "ldam" else weight)
    prior = {"class_prior": torch.from_numpy(prior)} if name in PRIOR else {}
    by_weight = LOSSES[name](torch.from_numpy(weight), **prior, **parameters)
    by_count = build(name, parameters, normalize="samples")
    torch.testing.assert_close(by_count(logits, target), by_weight(logits, target))


@each_loss
def test_a_module_like_any_other(name, parameters):
    logits, target = batch(dtype=torch.float32)
    loss = build(name, parameters).float()
    value = loss(logits, target)
    assert loss.weight.dtype == torch.float32
    assert not list(loss.parameters())
    assert copy.deepcopy(loss)(logits, target) == value
    assert pickle.loads(pickle.dumps(loss))(logits, target) == value
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    other = build(name, parameters, counts=[1, 1, 1, 1]).float()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other(logits, target) == value


@each_loss
def test_an_empty_class_costs_nothing_and_makes_no_nan(name, parameters):
    logits, target = batch()
    logits.requires_grad_()
    seen = target < 3
    loss = build(name, parameters, counts=[500, 100, 20, 0], reduction="none")
    assert loss.weight[3] == 0
    value = loss(logits, target)
    assert value.isfinite().all()
    assert (value[~seen] == 0).all()
    value.sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[~seen] == 0).all()


@each_loss
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_an_empty_class_changes_nothing(name, parameters, dtype, reduction):
    """Wherever it stands, and whatever its logit is, where a loss knows by its prior."""
    logits, target = batch(dtype=dtype)
    own = torch.linspace(0.5, 2, len(target)).double()
    order = torch.tensor([0, 1, 4, 2, 3])
    position = order.argsort()
    more = {"reduction": reduction}
    without = build(name, parameters, **more)
    loss = build(name, parameters, counts=np.array([*COUNTS, 0])[order], **more)
    known_by = [loss.natural_proba] if name != "ldam" else []
    if name in PRIOR:
        known_by += [loss.decision_function, loss.predict_proba]
    ours = logits.clone().requires_grad_()
    expected = without(ours, target, own)
    expected.sum().backward()
    for logit in (0.0, -1e4, 3e4, 1e8, 1e28, 1e35, torch.inf, -torch.inf, torch.nan):
        empty = torch.full((len(logits), 1), logit, dtype=torch.float64).to(dtype)
        wide = torch.cat([logits, empty], dim=1)[:, order].requires_grad_()
        for way in known_by:
            there = getattr(without, way.__name__)(logits)
            torch.testing.assert_close(way(wide)[:, position[:4]], there, rtol=1e-4, atol=1e-30)
            assert (way(wide)[:, 2] <= 0).all()
        # Elsewhere it competes: whoever weighs a class by 0 need not mean that it is empty.
        if name not in PRIOR or not (empty.abs() < 1e37).all():
            continue
        value = loss(wide, position[target], own)
        torch.testing.assert_close(value, expected, rtol=1e-6, atol=0)
        value.sum().backward()
        torch.testing.assert_close(wide.grad[:, position[:4]], ours.grad, rtol=1e-6, atol=1e-12)
        assert (wide.grad[:, 2] == 0).all()


@pytest.mark.parametrize("name", sorted(PRIOR))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("factor", [0, 1, 1e6])
def test_an_empty_class_changes_nothing_whatever_the_factors(name, dtype, factor):
    with_it = LOSSES[name].from_class_count([5, 0, 3], reduction="none")
    without = LOSSES[name].from_class_count([5, 3], reduction="none")
    for loss in (with_it, without):
        vars(loss).update(dict.fromkeys(loss.stacked_numbers, factor))
    logits = torch.tensor([[1.0, 1e30, 2.0]] * 3, dtype=dtype, requires_grad=True)
    value = with_it(logits, torch.tensor([0, 1, 2]))
    expected = without(logits[::2, [0, 2]], torch.tensor([0, 1]))
    torch.testing.assert_close(value[[0, 2]], expected)
    assert value[1] == 0
    value.sum().backward()
    assert logits.grad.isfinite().all()
    assert (logits.grad[:, 1] == 0).all()


@each_loss
def test_the_largest_factors_leave_all_finite(name, parameters):
    loss = LOSSES[name].from_class_count(COUNTS, reduction="none")
    vars(loss).update(dict.fromkeys(loss.stacked_numbers, 1e6))
    logits, target = batch(dtype=torch.float32)
    for size in (1.0, 1e4, 1e29):
        large = (size * logits.detach()).requires_grad_()
        value = loss(large, target)
        value.sum().backward()
        ways = [loss.predict_proba] + ([loss.natural_proba] if name != "ldam" else [])
        for made in (value, large.grad, *(way(large) for way in ways)):
            assert made.isfinite().all()


@pytest.mark.parametrize("logit", [0, 1e6, 1e8, 1e30])
def test_an_empty_class_by_hand(logit):
    logits = torch.tensor([[1.0, 2.0, logit]])
    loss = LogitAdjustedLoss.from_class_count([50, 10, 0])
    by_hand = -np.log(50 * np.e / (50 * np.e + 10 * np.e**2))  # .43415
    assert loss(logits, torch.tensor([0])).item() == pytest.approx(by_hand)
    natural = [50 * np.e, 10 * np.e**2, 0]
    expected = torch.tensor([natural]) / sum(natural)
    torch.testing.assert_close(loss.natural_proba(logits), expected)


@each_loss
def test_of_one_class_all_is_certain(name, parameters):
    loss = build(name, parameters, counts=[5])
    for logit in (0.0, 1e4, -1e4):
        logits = torch.full((2, 1), logit)
        assert (loss.predict_proba(logits) == 1).all()
        if name != "ldam":
            assert (loss.natural_proba(logits) == 1).all()
        assert loss(logits, torch.zeros(2, dtype=int)).isfinite()


@each_loss
def test_the_first_argument_is_the_class_weight(name, parameters):
    prior = {"class_prior": torch.ones(2)} if name in PRIOR else {}
    assert LOSSES[name]([0.5, 1.5], **prior, **parameters).weight.tolist() == [0.5, 1.5]
    if name in PRIOR:
        for given in ((), (torch.ones(2),), (torch.ones(2), torch.ones(2))):
            message = (
                rf"^class_prior must be given to {LOSSES[name].__name__}, by its name.*"
                rf"{LOSSES[name].__name__}\.from_class_count\(class_count\) makes it\.$"
            )
            with pytest.raises(TypeError, match=message):
                LOSSES[name](*given, **parameters)


@each_loss
def test_the_repr_shows_the_parameters(name, parameters):
    shown = repr(build(name, parameters, reduction="sum", ignore_index=3))
    for parameter, value in parameters.items():
        assert f"{parameter}={value:g}" in shown
    assert "reduction='sum', ignore_index=3)" in shown


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"reduction": "avg"}, "reduction must be 'mean', 'sum' or 'none', got 'avg'"),
        ({"reduction": np.zeros(2)}, "reduction must be 'mean', 'sum' or 'none', got array"),
        ({"ignore_index": 1.5}, "ignore_index must be an integer in int64 or None, got 1.5"),
        ({"ignore_index": True}, "ignore_index must be an integer in int64 or None, got True"),
        ({"ignore_index": 2**70}, "ignore_index must be an integer in int64 or None, got 118059"),
        ({"beta": 2}, "beta must .*, got 2"),
        ({"counts": [-1, 2]}, "class_count must .*, got -1"),
        ({"normalize": "mean"}, "normalize must .*, got 'mean'"),
    ],
)
@each_loss
def test_bad_parameters(name, parameters, given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        build(name, parameters, **given)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ClassBalancedSigmoidLoss(torch.ones(2, 2)), r"weight must be a vector.*\(2, 2\)"),
        (lambda: ClassBalancedSigmoidLoss([1.0, -1.0]), "weight must hold .*, got -1.0"),
        (lambda: ClassBalancedSigmoidLoss([1.0, float("nan")]), "weight must hold .*, got nan"),
        (lambda: ClassBalancedFocalLoss(gamma=-1), "gamma must be a finite number >= 0, got -1"),
        (lambda: ClassBalancedFocalLoss(gamma=10**400), "gamma must be a finite number >= 0, got"),
        (lambda: LDAMLoss.from_class_count([5, 3], scale=1e308), r"scale must .* \[0, 1e6\], got"),
        (lambda: ClassBalancedSigmoidLoss(torch.ones(2).to_sparse()), "weight must be a dense"),
        (lambda: LogitAdjustedLoss(class_prior=[1j, 2]), "class_prior must .* numbers, got"),
        (lambda: LogitAdjustedLoss(class_prior=[1.0, -1.0]), "class_prior must hold .*, got -1.0"),
        (lambda: LogitAdjustedLoss(class_prior=[0]), "class_prior must be above 0 .* only zeros"),
        (
            lambda: LogitAdjustedLoss([1.0], class_prior=[1.0, 2.0]),
            "class_prior and weight .* got 2 and 1",
        ),
        (lambda: LogitAdjustedLoss(class_prior=[1.0, 2.0], tau=-1), "tau must .* >= 0, got -1"),
        (
            lambda: LogitAdjustedLoss.from_class_count([1, 2], prior_beta=2),
            r"prior_beta must be a number in \[0, 1\], got 2",
        ),
        (
            lambda: LogitAdjustedLoss(class_prior=[1.0, 2.0], label_smoothing=1.5),
            r"label_smoothing must be a number in \[0, 1\], got 1.5",
        ),
    ],
)
def test_bad_values(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=int), "logits must be floating-point, of shape"),
        (torch.zeros(3, 2).int(), torch.zeros(3, dtype=int), "logits must be .*int32"),
        (torch.zeros(3, 2), torch.zeros(2, dtype=int), "logits must have shape"),
        (torch.zeros(3, 2, 5), torch.zeros(3, dtype=int), "logits must have shape"),
        (torch.zeros(3, 2), torch.zeros(3), "target must hold class positions"),
        (torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool), "target must hold .*bool"),
        (torch.zeros(3, 2), torch.zeros(3, 2, dtype=int), r"target must .*argmax\(dim=1\) or"),
        (torch.zeros(3, 5), torch.zeros(3, dtype=int), "logits must have a column for each of"),
    ],
)
@pytest.mark.parametrize("name", LOSSES)
def test_bad_input(name, logits, target, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        LOSSES[name].from_class_count([9, 1])(logits, target)


@each_loss
def test_sample_weights_of_another_shape_do_not_broadcast(name, parameters):
    logits, target = batch(n=3)
    message = r"sample_weight must have one weight a sample, shape \(3,\), got \(3, 1\)"
    with pytest.raises(ValueError, match=message):
        build(name, parameters)(logits, target, torch.ones(3, 1))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (([[1.0, 2.0]], torch.tensor([0])), "logits"),
        ((np.zeros((1, 2)), torch.tensor([0])), "logits"),
        ((torch.zeros(1, 2), [0]), "target"),
        ((torch.zeros(1, 2), None), "target"),
        ((torch.zeros(1, 2), torch.tensor([0]), [1.0]), "sample_weight"),
    ],
)
def test_what_is_no_tensor(arguments, name):
    with pytest.raises(TypeError, match=f"^{name} must be a tensor, got "):
        ClassBalancedFocalLoss()(*arguments)


@each_loss
@pytest.mark.parametrize("name_of_it", ["logits", "target", "sample_weight"])
def test_what_is_no_dense_tensor(name, parameters, name_of_it):
    logits, target = batch()
    given = {"logits": logits, "target": target, "sample_weight": torch.ones(len(target))}
    given[name_of_it] = given[name_of_it].detach().to_sparse()
    message = rf"{name_of_it} must be a dense tensor, .*: pass {name_of_it}\.to_dense\(\)"
    loss = build(name, parameters)
    with pytest.raises(ValueError, match=f"^{message}"):
        loss(**given)
    for way in (loss.predict_proba, loss.decision_function):
        with pytest.raises(ValueError, match="^logits must be a dense tensor"):
            way(logits.detach().to_sparse())


def test_sample_weights_that_are_complex():
    logits, target = batch(n=2)
    with pytest.raises(ValueError, match=r"^sample_weight must hold real numbers, got torch\.c"):
        ClassBalancedFocalLoss()(logits, target, torch.tensor([1j, 2]))


@each_loss
@pytest.mark.parametrize("dtype", [torch.int32, torch.int8, torch.uint8])
def test_targets_of_any_integers_are_int64_ones(name, parameters, dtype):
    logits, target = batch()
    loss = build(name, parameters)
    assert loss(logits, target.to(dtype)) == loss(logits, target)


def test_weights_are_taken_in_the_type_of_the_logits():
    logits, target = batch(dtype=torch.float32)
    own = torch.ones(len(target), dtype=torch.float64)
    for name in LOSSES:
        assert build(name, {})(logits, target, own).dtype == torch.float32


@each_loss
@pytest.mark.parametrize("outside", [-1, 4])
def test_targets_outside_the_classes_are_an_error(name, parameters, outside):
    logits, target = batch()
    target[7] = outside
    for loss in (unweighted(name, parameters), build(name, parameters)):
        for reduction in ("mean", "none"):
            loss.reduction = reduction
            message = rf"^target must hold class positions from 0 to 3, .*=-100, got {outside}\."
            with pytest.raises(ValueError, match=message):
                loss(logits, target)


@each_loss
def test_logits_of_other_classes_make_no_decision(name, parameters):
    with pytest.raises(ValueError, match="^logits must have a column for each of the 4 classes"):
        build(name, parameters).decision_function(torch.zeros(5, 3))


def test_a_loss_without_a_formula():
    with pytest.raises(NotImplementedError, match="^Unwritten must define loss_per_sample"):
        type("Unwritten", (ClassBalancedLoss,), {})()(*batch())


def test_other_errors_of_torch_are_left_alone():
    class Broken(ClassBalancedFocalLoss):
        def _parts_of_labels(self, *args):
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="^out of memory"):
        Broken()(*batch())


def test_a_target_of_100_below_0_is_no_way_out():
    """Where another number is to be ignored, torch's own -100 is a mistake."""
    logits, target = batch()
    target[0] = -100
    for name in LOSSES:
        with pytest.raises(ValueError, match=r"ignore_index=255, got -100"):
            build(name, {}, ignore_index=255)(logits, target)
        with pytest.raises((IndexError, RuntimeError), match="out of (bounds|range)"):
            build(name, {}).loss_per_sample(logits, target)


@pytest.mark.parametrize("base", [SoftmaxLoss, PriorSoftmaxLoss])
def test_a_leaf_that_changes_the_cross_entropy(base):
    """Labels, probabilities and smoothed labels go through the same hook."""

    class Squared(base):
        def from_cross_entropy(self, cross_entropy):
            return cross_entropy**2

    logits, target = batch()
    prior = torch.tensor([0.5, 0.3, 0.2, 0.0]).double()
    prior = {"class_prior": prior} if base is PriorSoftmaxLoss else {}
    target[target == 3] = 0
    one_hot = torch.nn.functional.one_hot(target, 4).double()
    loss = Squared(**prior)
    expected = loss(logits, target)
    torch.testing.assert_close(loss(logits, one_hot), expected)
    almost = Squared(**prior, label_smoothing=1e-12)
    torch.testing.assert_close(almost(logits, target), expected)
    assert expected != SoftmaxLoss()(logits, target)


@pytest.mark.parametrize("name", ["logit_adjusted", "cdt", "vs"])
def test_a_class_with_a_prior_of_0_takes_no_part(name):
    """Whoever builds the loss from a prior, without weights that would hide it."""
    generator = torch.Generator().manual_seed(0)
    logits = 10 * torch.randn(50, 4, generator=generator).double()
    logits[::2] -= 2e3
    logits[:, 3] = 0
    target = torch.arange(50) % 4
    prior = torch.tensor([0.5, 0.3, 0.2, 0.0]).double()
    for smoothing in (0, 0.2):
        more = {"reduction": "none", "label_smoothing": smoothing}
        four = LOSSES[name](class_prior=prior, **more)
        three = LOSSES[name](class_prior=prior[:3], **more)
        loss = four(logits, target)
        assert (loss[target == 3] == 0).all()
        seen = target < 3
        torch.testing.assert_close(loss[seen], three(logits[seen, :3], target[seen]))
        p = torch.nn.functional.one_hot(target, 4).double()
        torch.testing.assert_close(four(logits, p), loss)
        assert (four.predict_proba(logits)[:, 3] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_a_prior_of_large_counts(dtype):
    """Their sum is beyond the type."""
    largest = torch.finfo(dtype).max
    loss = LogitAdjustedLoss(class_prior=torch.tensor([largest, largest, 1.0], dtype=dtype))
    assert loss.class_prior.dtype == dtype
    torch.testing.assert_close(loss.class_prior[:2], torch.full((2,), 0.5, dtype=dtype))


def test_vectors_keep_their_type():
    kinds = [
        ([0.5, 2.0], torch.float32),
        ([1, 2], torch.float32),
        (np.array([0.5, 2.0]), torch.float64),
        (np.array([0.5, 2.0], dtype=np.float32), torch.float32),
        (torch.tensor([0.5, 2.0]).double(), torch.float64),
    ]
    for given, dtype in kinds:
        assert ClassBalancedFocalLoss(given).weight.dtype == dtype


def test_vectors_of_any_kind():
    series = pd.Series([1.0, 2.0])
    for given in ([1, 2], (1.0, 2.0), np.array([1, 2]), series, torch.tensor([1, 2])):
        torch.testing.assert_close(
            ClassBalancedFocalLoss(given).weight, torch.tensor([1.0, 2.0]), check_dtype=False
        )


@pytest.mark.parametrize("name", LOSSES)
def test_from_labels_counts_what_counts(name):
    tags = np.array([[0, 0, 1, 0], [2, 1, -100, -100]])
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 4)))
    counted = LOSSES[name].from_class_count([3, 2, 1], beta=0.9)
    for y in (tags, torch.from_numpy(tags), tags.astype(np.int8), tags.tolist()):
        loss = LOSSES[name].from_labels(y, beta=0.9)
        assert loss(logits, torch.from_numpy(tags)) == counted(logits, torch.from_numpy(tags))
    other = LOSSES[name].from_labels(np.where(tags < 0, 7, tags), ignore_index=7, n_classes=4)
    assert other.ignore_index == 7
    assert len(other.weight) == 4


@pytest.mark.parametrize(
    ("y", "parameters", "message"),
    [
        ([0, 1, 2], {"n_classes": 2}, "from 0 to 1, or ignore_index=-100, got 2"),
        ([0, -1], {}, "from 0 to 0, or ignore_index=-100, got -1"),
        ([-100], {}, "or ignore_index=-100, got none that counts"),
        ([0.0, 1.0], {}, "y must hold class positions, as integers, got float64"),
        (["a"], {}, "y must hold class positions, as integers, got <U1"),
        ([0, 1], {"n_classes": 0}, "n_classes must be an integer >= 1, got 0"),
        ([0, 1], {"ignore_index": 0.5}, "ignore_index must be an integer"),
    ],
)
def test_labels_that_cannot_be_counted(y, parameters, message):
    with pytest.raises(ValueError, match=message):
        LOSSES["softmax"].from_labels(y, **parameters)
