"""Laws that every class-balanced loss obeys, then its formula."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from _reference import class_weight as exact_class_weight
from _reference import exact_gradient, exact_loss, loss_per_sample

from sk_cbloss import (
    ClassBalancedCrossEntropyLoss,
    ClassBalancedFocalLoss,
    ClassBalancedSigmoidLoss,
    class_balanced_weight,
)
from sk_cbloss.losses import LOSSES

COUNTS = [500, 100, 20, 4]
EACH_LOSS = [
    pytest.param(ClassBalancedCrossEntropyLoss, "softmax", {}, id="softmax"),
    pytest.param(ClassBalancedSigmoidLoss, "sigmoid", {}, id="sigmoid"),
    *(
        pytest.param(ClassBalancedFocalLoss, "focal", {"gamma": gamma}, id=f"focal {gamma}")
        for gamma in (0, 0.5, 1, 2, 3.7)
    ),
]
each_loss = pytest.mark.parametrize(("cls", "name", "parameters"), EACH_LOSS)


def batch(n=200, n_classes=4, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(n, n_classes, generator=generator, dtype=torch.float64)
    return logits.to(dtype), torch.randint(n_classes, (n,), generator=generator)


@each_loss
def test_float64_is_the_papers_formula(cls, name, parameters):
    logits, target = batch()
    weight = np.array([float(w) for w in exact_class_weight(COUNTS, 0.99, "classes")])
    expected = weight[target] * loss_per_sample(logits, target, name, **parameters)
    build = {"beta": 0.99, **parameters}
    for reduction, reduce in {"none": np.array, "mean": np.mean, "sum": np.sum}.items():
        loss = cls.from_class_count(COUNTS, reduction=reduction, **build)
        np.testing.assert_allclose(loss(logits, target), reduce(expected), rtol=1e-12)


@each_loss
def test_float32_agrees_to_1e6(cls, name, parameters):
    logits, target = batch(dtype=torch.float32)
    loss = cls.from_class_count(COUNTS, beta=0.99, reduction="none", **parameters)
    value = loss(logits, target)
    assert value.dtype == torch.float32
    exact = loss(logits.double(), target)
    np.testing.assert_allclose(value, exact, rtol=1e-6, atol=1e-6)
    mean = cls.from_class_count(COUNTS, beta=0.99, **parameters)
    np.testing.assert_allclose(mean(logits, target), exact.mean(), rtol=1e-6)


@each_loss
def test_gradcheck(cls, name, parameters):
    logits, target = batch(n=6)
    loss = cls.from_class_count(COUNTS, beta=0.99, **parameters)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: loss(z, target), logits)
    assert torch.autograd.gradgradcheck(lambda z: loss(z, target), logits)


EXTREME = [0.0, 15.0, -15.0, 100.0, -100.0, 1e4, -1e4]


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("right", EXTREME)
@pytest.mark.parametrize("wrong", EXTREME)
def test_extreme_logits_are_finite_and_right(cls, name, parameters, dtype, right, wrong):
    logits = torch.tensor([[wrong, right, 0.5]], dtype=dtype, requires_grad=True)
    value = cls(**parameters)(logits, torch.tensor([1]))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()
    exact = float(exact_loss([wrong, right, 0.5], 1, name, **parameters))
    # Logits of 1e4 differ from their neighbours by 1e-3 in float32: 1e-6 is relative to them.
    largest = max(1, abs(right), abs(wrong)) if name == "softmax" else 1
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    assert value.item() == pytest.approx(exact, rel=tolerance, abs=tolerance * largest)


@each_loss
@pytest.mark.parametrize("z", [-1e4, -200.0, -90.0, 90.0, 1e4])
def test_gradients_at_extreme_logits(cls, name, parameters, z):
    logits = torch.tensor([[z, 0.0]], dtype=torch.float32, requires_grad=True)
    cls(**parameters)(logits, torch.tensor([0])).backward()
    expected = [float(slope) for slope in exact_gradient([z, 0.0], 0, name, **parameters)]
    np.testing.assert_allclose(logits.grad[0], expected, rtol=1e-5, atol=1e-30)


def test_gamma_0_is_exactly_the_sigmoid_loss():
    logits, target = batch()
    focal, sigmoid = ClassBalancedFocalLoss(gamma=0), ClassBalancedSigmoidLoss()
    assert focal(logits, target) == sigmoid(logits, target)


def test_softmax_without_weights_is_torchs_cross_entropy():
    logits, target = batch()
    torch.testing.assert_close(
        ClassBalancedCrossEntropyLoss()(logits, target),
        torch.nn.CrossEntropyLoss()(logits, target),
    )


@each_loss
def test_beta_0_is_the_unweighted_loss(cls, name, parameters):
    logits, target = batch()
    weighted = cls.from_class_count(COUNTS, beta=0, **parameters)
    assert weighted(logits, target) == cls(**parameters)(logits, target)


@each_loss
def test_permuting_classes_changes_nothing(cls, name, parameters):
    logits, target = batch()
    order = torch.tensor([2, 0, 3, 1])
    position = torch.argsort(order)
    loss = cls.from_class_count(COUNTS, **parameters)
    permuted = cls.from_class_count(np.array(COUNTS)[order], **parameters)
    torch.testing.assert_close(
        permuted(logits[:, order], position[target]), loss(logits, target), rtol=1e-13, atol=0
    )


@each_loss
@pytest.mark.parametrize("with_sample_weight", [False, True])
def test_batches_of_7_add_up_to_the_full_formula(cls, name, parameters, with_sample_weight):
    """An epoch's gradients at frozen parameters, averaged by batch size, are the full batch's."""
    _, target = batch(n=200)
    features = torch.randn(200, 5, generator=torch.Generator().manual_seed(1)).double()
    own = torch.rand(200, generator=torch.Generator().manual_seed(2)).double() + 0.1
    own = own / own.mean() if with_sample_weight else None
    linear = torch.randn(5, 4, generator=torch.Generator().manual_seed(3)).double()
    linear.requires_grad_()
    loss = cls.from_class_count(COUNTS, beta=0.99, **parameters)

    def gradient(rows):
        weight = None if own is None else own[rows]
        value = loss(features[rows] @ linear, target[rows], weight)
        return torch.autograd.grad(value, linear)[0]

    parts = torch.arange(200).split(7)
    epoch = sum(len(rows) * gradient(rows) for rows in parts) / 200
    full = gradient(torch.arange(200))
    torch.testing.assert_close(epoch, full, rtol=1e-12, atol=1e-14)
    weight = torch.from_numpy(class_balanced_weight(COUNTS, beta=0.99))[target]
    weight = weight if own is None else weight * own
    plain = cls(reduction="none", **parameters)(features @ linear, target)
    by_formula = torch.autograd.grad((weight * plain).sum() / 200, linear)[0]
    torch.testing.assert_close(full, by_formula, rtol=1e-12, atol=1e-14)


@each_loss
def test_weight_2_means_two_copies(cls, name, parameters):
    logits, target = batch(n=10)
    own = torch.arange(10) % 3
    loss = cls.from_class_count(COUNTS, reduction="sum", **parameters)
    torch.testing.assert_close(
        loss(logits, target, own),
        loss(logits.repeat_interleave(own, dim=0), target.repeat_interleave(own)),
    )


@each_loss
def test_the_mean_divides_by_samples_not_by_weights(cls, name, parameters):
    """A batch of one class is weighted too, as it is not by torch's own weighted mean."""
    logits, _ = batch(n=5)
    target = torch.full((5,), 3)
    loss = cls.from_class_count(COUNTS, beta=0.99, **parameters)
    plain = cls(**parameters)(logits, target)
    torch.testing.assert_close(loss(logits, target), loss.weight[3] * plain)


@each_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities(cls, name, parameters, dtype):
    logits, _ = batch(dtype=dtype)
    extreme = torch.tensor([[-1e4, -1e4 + 1, -1e4, -2e4], [1e4, 0, -1e4, 5]], dtype=dtype)
    logits = torch.cat([logits, extreme])
    loss = cls(**parameters)
    p = loss.predict_proba(logits)
    assert ((p >= 0) & p.isfinite()).all()
    torch.testing.assert_close(p.sum(dim=1), torch.ones(len(p), dtype=dtype))
    torch.testing.assert_close(p.argmax(dim=1), logits.argmax(dim=1))
    torch.testing.assert_close(loss.predict_log_proba(logits[:200]), p[:200].log())


def test_one_vs_rest_probabilities_are_normalised_sigmoids():
    logits, _ = batch()
    p = logits.sigmoid()
    for loss in (ClassBalancedSigmoidLoss(), ClassBalancedFocalLoss()):
        torch.testing.assert_close(loss.predict_proba(logits), p / p.sum(dim=1, keepdim=True))


def test_the_bias_starts_where_each_class_has_its_share():
    for cls in (ClassBalancedSigmoidLoss, ClassBalancedFocalLoss):
        start = cls.initial_bias(100)
        assert 1 / (1 + np.exp(-start)) == pytest.approx(0.01)
    assert ClassBalancedCrossEntropyLoss.initial_bias(100) is None


@each_loss
def test_built_from_counts_as_from_weights(cls, name, parameters):
    logits, target = batch()
    weight = torch.from_numpy(class_balanced_weight(COUNTS, beta=0.999, normalize="samples"))
    by_weight = cls(weight, **parameters)
    by_count = cls.from_class_count(COUNTS, normalize="samples", **parameters)
    assert by_count(logits, target) == by_weight(logits, target)


@each_loss
def test_a_module_like_any_other(cls, name, parameters):
    logits, target = batch(dtype=torch.float32)
    loss = cls.from_class_count(COUNTS, **parameters).float()
    value = loss(logits, target)
    assert loss.weight.dtype == torch.float32
    assert not list(loss.parameters())
    assert copy.deepcopy(loss)(logits, target) == value
    assert pickle.loads(pickle.dumps(loss))(logits, target) == value
    file = io.BytesIO()
    torch.save(loss.state_dict(), file)
    file.seek(0)
    other = cls.from_class_count([1, 1, 1, 1], **parameters).float()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other(logits, target) == value


@each_loss
def test_an_empty_class_gets_weight_0_and_no_nan(cls, name, parameters):
    logits, target = batch()
    target = target.clamp(max=2)
    loss = cls.from_class_count([500, 100, 20, 0], **parameters)
    assert loss.weight[3] == 0
    assert loss(logits, target).isfinite()


def test_every_name_builds_its_loss():
    assert {name: cls.__name__ for name, cls in LOSSES.items()} == {
        "softmax": "ClassBalancedCrossEntropyLoss",
        "sigmoid": "ClassBalancedSigmoidLoss",
        "focal": "ClassBalancedFocalLoss",
    }


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ClassBalancedSigmoidLoss(reduction="avg"), "reduction must be .*, got 'avg'"),
        (lambda: ClassBalancedSigmoidLoss(torch.ones(2, 2)), r"weight must be 1-dim.*\(2, 2\)"),
        (lambda: ClassBalancedSigmoidLoss([1.0, -1.0]), "weight must hold .*, got -1.0"),
        (lambda: ClassBalancedSigmoidLoss([1.0, float("nan")]), "weight must hold .*, got nan"),
        (lambda: ClassBalancedFocalLoss(gamma=-1), "gamma must be a finite number >= 0, got -1"),
        (
            lambda: ClassBalancedFocalLoss.from_class_count([1, 2], beta=2),
            "beta must .*, got 2",
        ),
        (lambda: ClassBalancedFocalLoss.from_class_count([-1, 2]), "class_count must .*, got -1"),
    ],
)
def test_bad_parameters(build, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        build()


@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(3), torch.zeros(3, dtype=int), "logits must have shape"),
        (torch.zeros(3, 2), torch.zeros(2, dtype=int), "logits must have shape"),
        (torch.zeros(3, 2), torch.zeros(3), "target must hold class positions"),
        (torch.zeros(3, 2), torch.zeros(3, dtype=torch.uint8), "target must hold .*uint8"),
        (torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool), "target must hold .*bool"),
        (torch.zeros(3, 5), torch.zeros(3, dtype=int), "logits must have a column for each of"),
    ],
)
def test_bad_input(logits, target, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        ClassBalancedSigmoidLoss.from_class_count([9, 1])(logits, target)


@each_loss
def test_sample_weights_of_another_shape_do_not_broadcast(cls, name, parameters):
    logits, target = batch(n=3)
    with pytest.raises(ValueError, match=r"sample_weight must have the target's shape \(3,\)"):
        cls(**parameters)(logits, target, torch.ones(3, 1))


@each_loss
def test_int32_targets_are_int64_ones(cls, name, parameters):
    logits, target = batch()
    loss = cls.from_class_count(COUNTS, **parameters)
    assert loss(logits, target.int()) == loss(logits, target)


@each_loss
@pytest.mark.parametrize("outside", [-100, -1, 4])
def test_targets_outside_the_classes_are_an_error(cls, name, parameters, outside):
    logits, target = batch()
    target[7] = outside
    for loss in (cls(**parameters), cls.from_class_count(COUNTS, **parameters)):
        with pytest.raises((IndexError, RuntimeError), match="out of (bounds|range)"):
            loss(logits, target)
