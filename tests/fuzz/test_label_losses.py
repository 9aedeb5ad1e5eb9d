"""The loss of several labels a sample, under all parameters, on any logits and targets."""

import math

import numpy as np
import torch
from _reference import class_weight
from fuzz._call import Refused, answer, attempt, codes, law
from fuzz._strategies import ANY_LOGITS, ANY_OWN, ODD_NUMBERS
from hypothesis import assume
from hypothesis import strategies as st

from sk_cbloss import ClassBalancedMultiLabelLoss

GAMMA = st.sampled_from([0, 0.5, 1, 2, 5]) | st.floats(0, 4)
PARAMETERS = {
    "gamma": GAMMA | st.tuples(GAMMA, GAMMA),
    "tau": st.sampled_from([0, 1]) | st.floats(0, 3),
    "label_smoothing": st.sampled_from([0, 1]) | st.floats(0, 1),
}
LOGIT = st.floats(-30, 30) | st.sampled_from([0.0, 1e4, -1e4, 88.0, -104.0, 1e-30])
TARGET = st.sampled_from([0.0, 1.0, math.nan]) | st.floats(0, 1)


class Case:
    """A loss and a batch for it, and what its formula must know."""

    def __init__(self, draw, target=TARGET):
        n_labels = draw(st.integers(1, 4))
        sides = st.tuples(*[st.just(0) | st.integers(0, 500) | st.floats(0.01, 500)] * 2)
        self.count = draw(st.lists(sides.filter(any), min_size=n_labels, max_size=n_labels))
        self.beta = draw(st.sampled_from([0, 0.9, 0.999, 1]))
        self.normalize = draw(st.sampled_from(["classes", "samples", None]))
        self.given = draw(st.fixed_dictionaries({}, optional=PARAMETERS))
        further = draw(st.sampled_from([(), (), (2,), (2, 1)]))
        shape = draw(st.integers(0, 4)), n_labels, *further
        self.logits, self.target = (
            torch.tensor(draw(st.lists(cell, min_size=size, max_size=size)), dtype=torch.float64)
            for size in [math.prod(shape)]
            for cell in (LOGIT, target)
        )
        self.logits, self.target = self.logits.reshape(shape), self.target.reshape(shape)
        own = draw(st.none() | st.lists(st.floats(0, 3), min_size=1, max_size=5))
        own_shape = shape[:1] + shape[2:]
        self.own = None if own is None else torch.tensor(np.resize(own, own_shape))

    def loss(self, order=slice(None), **more):
        """Return the loss, its labels in another order if one is given."""
        count = np.array(self.count, dtype=float)[order]
        given = {"beta": self.beta, "normalize": self.normalize} | self.given
        return ClassBalancedMultiLabelLoss.from_label_count(
            count[:, 1], count.sum(axis=1), **given | more
        )

    def __repr__(self):
        return ", ".join(f"{name}={value!r}" for name, value in vars(self).items())


cases = st.composite(Case)


def by_formula(case):
    """Return the loss of each label of each sample, with its weights, as the papers write it."""
    sides = np.array(case.count, dtype=float)
    weight = np.array(
        [[float(w) for w in class_weight(both, case.beta, case.normalize)] for both in sides]
    )
    gamma = case.given.get("gamma", 0)
    gamma = gamma if isinstance(gamma, tuple) else (gamma, gamma)
    smoothing = case.given.get("label_smoothing", 0)
    without, with_it = (weight * sides).T
    both_seen = (without > 0) & (with_it > 0)
    shift = np.log(np.where(both_seen, with_it, 1)) - np.log(np.where(both_seen, without, 1))
    z = np.moveaxis(case.logits.numpy(), 1, -1)
    z = z + case.given.get("tau", 0) * shift
    t = np.moveaxis(case.target.numpy(), 1, -1)
    log_p, log_miss = -np.logaddexp(0, -z), -np.logaddexp(0, z)
    of_with = -log_p * np.exp(gamma[1] * log_miss)
    of_without = -log_miss * np.exp(gamma[0] * log_p)
    half = smoothing / 2
    expected = t * weight[:, 1] * ((1 - half) * of_with + half * of_without)
    expected += (1 - t) * weight[:, 0] * ((1 - half) * of_without + half * of_with)
    own = 1 if case.own is None else case.own.numpy()[..., None]
    return np.moveaxis(np.where(np.isnan(t), 0, expected * own), -1, 1)


@law(100, case=cases())
def test_the_loss_is_the_papers_formula(case):
    expected = by_formula(case)
    # Where logits are large, a double holds as many digits less of the loss.
    scale = 1 + (case.logits.abs().max().item() if case.logits.numel() else 0)
    near = {"rtol": 1e-9, "atol": 1e-11 * scale}
    n_known = max(1, case.target.isnan().logical_not().sum().item())
    for reduction, reduced in (
        ("none", expected),
        ("sum", expected.sum()),
        ("mean", expected.sum() / n_known),
    ):
        loss = answer(case.loss(reduction=reduction), case.logits, case.target, case.own)
        np.testing.assert_allclose(loss, reduced, **near)


@law(60, case=cases(), data=st.data())
def test_batches_and_known_labels_add_up_and_gradients_are_finite(case, data):
    """What is not known may be cut out, in a batch of each label's own."""

    def value_and_gradient(rows=slice(None), columns=slice(None)):
        logits = case.logits[rows, columns].clone().requires_grad_()
        own = None if case.own is None else case.own[rows]
        loss = case.loss(columns, reduction="sum")
        value = answer(loss, logits, case.target[rows, columns], own)
        value.backward()
        return value.detach(), logits.grad

    whole, gradient = value_and_gradient()
    assert whole.isfinite()
    assert gradient.isfinite().all()
    assert (gradient[case.target.isnan()] == 0).all()
    cut = data.draw(st.integers(0, len(case.logits)), label="cut")
    label = data.draw(st.integers(0, len(case.count)), label="label")
    for dim, cuts in enumerate(
        ([slice(cut), slice(cut, None)], [slice(label), slice(label, None)])
    ):
        cuts = [c for c in cuts if dim == 0 or len(case.count[c])]
        parts = [value_and_gradient(*[slice(None)] * dim, c) for c in cuts]
        near = {"rtol": 1e-11, "atol": 1e-9}
        torch.testing.assert_close(sum(value for value, _ in parts), whole, **near)
        torch.testing.assert_close(torch.cat([g for _, g in parts], dim), gradient, **near)


@law(25, case=cases(), data=st.data())
def test_order_and_shape_change_nothing(case, data):
    """That of labels and of samples, and where the pixels lie."""
    loss = answer(case.loss(reduction="none"), case.logits, case.target)
    near = {"rtol": 1e-11, "atol": 1e-12}
    order = data.draw(st.permutations(range(len(case.count))), label="order")
    permuted = case.loss(order, reduction="none")(case.logits[:, order], case.target[:, order])
    torch.testing.assert_close(permuted, loss[:, order], **near)
    flipped = case.loss(reduction="none")(case.logits.flip(0), case.target.flip(0))
    torch.testing.assert_close(flipped.flip(0), loss, **near)
    flat, of_each = (
        each.movedim(1, -1).reshape(-1, len(case.count)) for each in (case.logits, case.target)
    )
    as_rows = case.loss(reduction="none")(flat, of_each)
    torch.testing.assert_close(as_rows, loss.movedim(1, -1).reshape(flat.shape), **near)


@law(25, case=cases())
def test_the_natural_probability_is_where_the_expected_loss_is_least(case):
    """Its slope is 0 there, for a label of which both sides have samples; others are sure."""
    loss = case.loss(reduction="sum")
    p = answer(loss.natural_proba, case.logits)
    assert ((p >= 0) & (p <= 1)).all()
    for label, (without, with_it) in enumerate(case.count):
        if not (without and with_it):
            assert (p[:, label] == (with_it > 0)).all()
    logits = case.logits.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(logits, p), logits)
    sides = [torch.autograd.grad(loss(logits, torch.full_like(p, t)), logits)[0] for t in (0, 1)]
    size = (1 - p) * sides[0].abs() + p * sides[1].abs()
    both = torch.tensor([without > 0 < with_it for without, with_it in case.count])
    inside = (p > 1e-9) & (p < 1 - 1e-9)  # beyond, a double tells no slope from 0
    inside &= both.reshape(1, -1, *[1] * (p.ndim - 2))
    assert (slope.abs() <= 1e-6 * size)[inside].all()


@law(25, case=cases(), dtype=st.sampled_from(["float16", "bfloat16", "float32"]))
def test_half_precision_is_taken_as_single(case, dtype):
    loss, logits = case.loss(), case.logits.to(getattr(torch, dtype))
    value = answer(loss, logits, case.target, case.own)
    torch.testing.assert_close(value, loss(logits.float(), case.target, case.own), rtol=0, atol=0)
    assert value.dtype == torch.float32
    assert value.isfinite()


TYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32"]


@law(25, case=cases(target=st.sampled_from([0.0, 1.0])), dtype=st.sampled_from(TYPES))
def test_targets_of_any_type(case, dtype):
    expected = case.loss()(case.logits, case.target)
    target = case.target.to(getattr(torch, dtype))
    assert answer(case.loss(), case.logits, target) == expected
    assume(len(target))
    given = {"beta": case.beta, "normalize": case.normalize} | case.given
    n_positive = case.target.movedim(1, -1).reshape(-1, len(case.count)).sum(dim=0)
    n_samples = case.target[:, 0].numel()
    by_count = ClassBalancedMultiLabelLoss.from_label_count(n_positive, n_samples, **given)
    by_labels = answer(ClassBalancedMultiLabelLoss.from_labels, target, **given)
    torch.testing.assert_close(by_labels.state_dict(), by_count.state_dict(), rtol=0, atol=0)


ANY_TARGET = codes(
    "torch.zeros(2, 3)",
    "torch.tensor([[0, 1, 1], [0, 0, 0]])",
    "torch.tensor([[0, 1, 1], [0, 0, 0]], dtype=torch.bool)",
    "torch.tensor([[0, 1, 2], [0, 0, 0]])",
    "torch.tensor([[0, 1, -1], [0, 0, 0]])",
    "torch.tensor([[0, 1, 255], [0, 0, 0]], dtype=torch.uint8)",
    "torch.tensor([[0, 1, 1], [0, 0, 0]], dtype=torch.uint16)",
    "torch.tensor([[0, 1, 1], [0, 0, 0]], dtype=torch.uint64)",
    "torch.tensor([[0, 1, 2**62], [0, 0, 0]])",
    "torch.tensor([[0.5, 1.5, 0.5], [0.5, 0.5, 0.5]])",
    "torch.tensor([[0, -1e-9, 0], [0, 0, 0]])",
    "torch.tensor([[0, 1 + 1e-7, 0], [0, 0, 0]], dtype=torch.float64)",
    "torch.tensor([[nan, nan, nan], [0, 0, 1]])",
    "torch.full((2, 3), nan)",
    "torch.tensor([[inf, 0, 0], [0, 0, 0]])",
    "torch.tensor([[-inf, 0, 0], [0, 0, nan]])",
    "torch.full((2, 3), 0.3, dtype=torch.float16)",
    "torch.zeros(2, 3, dtype=torch.complex64)",
    "torch.tensor([0, 2])",
    "torch.zeros(0, 3)",
    "torch.zeros(2, 3, 4)",
    "torch.zeros(2, 3, 0)",
    "torch.zeros(2, 1)",
    "torch.zeros(3)",
    "torch.tensor(0.0)",
    "torch.zeros(2, 3).to_sparse()",
    "np.zeros((2, 3))",
    "[[0, 1, 0], [0, 0, 0]]",
    "None",
)


@law(100, logits=ANY_LOGITS, target=ANY_TARGET, own=ANY_OWN, data=st.data())
def test_anything_in_the_place_of_a_batch(logits, target, own, data):
    given = data.draw(st.fixed_dictionaries({}, optional=PARAMETERS), label="parameters")
    reduction = data.draw(st.sampled_from(["mean", "sum", "none"]), label="reduction")
    given["reduction"] = reduction
    loss = ClassBalancedMultiLabelLoss.from_label_count([5, 3, 0], 8, **given)
    attempt(loss, logits, target, own)
    for way in (loss.loss_per_label, loss.loss_per_sample):
        attempt(way, logits, target)
    for way in (loss.predict_proba, loss.natural_proba, loss.decision_function):
        attempt(way, logits)


ANY_PARAMETER = dict.fromkeys(["beta", "tau", "label_smoothing"], ODD_NUMBERS) | {
    "gamma": ODD_NUMBERS
    | codes("(1, 2)", "(1, -1)", "(1,)", "(1, 2, 3)", "[1, 2]", "(None, 1)", "('1', 2)", "()")
    | codes("(True, 1)", "np.array([1, 2])", "(inf, 0)", "torch.tensor(1.0)", "{1, 2}"),
    "reduction": codes("'mean'", "'none'", "'avg'", "None", "1", "['mean']", "np.array(['mean'])"),
    "normalize": codes("'classes'", "'samples'", "None", "'mean'", "['classes']", "1"),
    "weight": codes("None", "[[1, 2]]", "[[1, -1]]", "[[nan, 1]]", "[[0, 0]]", "[1, 2]", "'ab'")
    | codes("[[1, 2], [3, 4]]", "[[[1, 2]]]", "[['1', '2']]", "torch.ones(1, 2)", "[[inf, 1]]"),
    "label_prior": codes("None", "[0.5]", "[0]", "[1]", "[1.5]", "[-1]", "[nan]", "[1j]", "'a'")
    | codes("[[0.5]]", "0.5", "[0.5, 0.5]", "[]", "torch.tensor([0.2])", "['0.5']", "{0: 0.5}"),
    "n_positive": codes("[1]", "[0]", "[10]", "[11]", "[-1]", "[nan]", "[inf]", "['1']", "1")
    | codes("[[1]]", "[]", "None", "{'a': 1}", "[0.5]", "[1, 2]", "torch.tensor([1])", "[1j]"),
    "n_samples": codes("1", "0", "-1", "nan", "inf", "'10'", "[10]", "[10, 10]", "[[10]]")
    | codes("None", "[]", "{'a': 10}", "10**400", "2.5", "torch.tensor(10)", "True", "1j"),
}
OF_THE_CONSTRUCTOR = {"weight", "label_prior"}


@law(100, key=st.sampled_from(sorted(ANY_PARAMETER)), data=st.data())
def test_any_parameter(key, data):
    given = {key: data.draw(ANY_PARAMETER[key], label=key)}
    if key in OF_THE_CONSTRUCTOR:
        loss = attempt(ClassBalancedMultiLabelLoss, **given)
    else:
        given = {"n_positive": [1], "n_samples": 10} | given
        loss = attempt(ClassBalancedMultiLabelLoss.from_label_count, **given)
    if not isinstance(loss, Refused):
        for n_labels in (1, 2):
            value = attempt(loss, torch.zeros(1, n_labels), torch.zeros(1, n_labels))
            assert isinstance(value, Refused) or value.isfinite().all()
