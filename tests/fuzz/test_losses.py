"""Losses under all parameters, on logits and targets of any kind, or what is given for them."""

import math

import numpy as np
import torch
from _loss_cases import PRIOR, SOFTMAX
from _reference import class_weight, effective_number, loss_per_sample
from fuzz._call import Code, Refused, answer, attempt, codes, law
from fuzz._strategies import ANY_LOGITS, ANY_OWN, COUNT, ODD_NUMBERS
from hypothesis import assume
from hypothesis import strategies as st

from sk_cbloss.losses import LOSSES

PARAMETERS = {
    "softmax": {},
    "sigmoid": {},
    "focal": {"gamma": st.sampled_from([0, 0.5, 1, 2, 5]) | st.floats(0, 4)},
    "softmax_focal": {"gamma": st.sampled_from([0, 0.5, 1, 2, 5]) | st.floats(0, 4)},
    "poly_tailed": {"alpha": st.floats(0.1, 4)},
    "logit_adjusted": {"tau": st.floats(0, 3)},
    "ldam": {"max_margin": st.floats(0, 1), "scale": st.floats(0, 40)},
    "cdt": {"gamma": st.floats(0, 0.5)},
    "vs": {"tau": st.floats(0, 3), "gamma": st.floats(0, 0.5)},
}
LOGIT = st.floats(-30, 30) | st.sampled_from([0.0, 1e4, -1e4, 88.0, -104.0, 1e-30])
BETAS = st.sampled_from([0, 0.9, 0.999, 1, None])
SIZES = {"max_size": 4, "count": COUNT.filter(lambda n: n < 1e13)}


class Case:
    """A loss and a batch for it, and what its formula must know."""

    def __init__(self, draw, *, empty=True, dense=True):
        self.name = draw(st.sampled_from(sorted(LOSSES)))
        count = st.integers(1, 1000) | st.floats(0.01, 1000)
        self.count = draw(st.lists(count | st.just(0) if empty else count, min_size=1, max_size=4))
        assume(any(self.count))
        self.beta = draw(BETAS)
        self.given = {k: draw(v) for k, v in PARAMETERS[self.name].items()}
        shape = draw(st.sampled_from([(), (2,), (2, 1)])) if dense else ()
        n = draw(st.integers(0, 5))
        size = n * len(self.count) * math.prod(shape)
        cells = draw(st.lists(LOGIT, min_size=size, max_size=size))
        self.shape, self.classes = (n, *shape), range(len(self.count))
        self.logits = torch.tensor(cells, dtype=torch.float64)
        self.logits = self.logits.reshape(n, len(self.count), *shape)
        seen = [c for c in self.classes if self.count[c] > 0]
        label = st.sampled_from(seen)
        target = draw(st.lists(label, min_size=size // len(self.count), max_size=size))
        self.target = torch.tensor(target[: size // len(self.count)], dtype=torch.int64)
        self.target = self.target.reshape(self.shape)

    def loss(self, order=None, **more):
        """Return the loss, its classes in another order if one is given."""
        count = self.count if order is None else [self.count[c] for c in order]
        return LOSSES[self.name].from_class_count(count, beta=self.beta, **self.given | more)

    def __repr__(self):
        given = "".join(f", {name}={value!r}" for name, value in self.given.items())
        return (
            f"LOSSES[{self.name!r}].from_class_count({self.count}, beta={self.beta}{given}), "
            f"logits {self.logits.tolist()}, target {self.target.tolist()}"
        )


@st.composite
def cases(draw, **more):
    """Return a loss, and a batch of samples of classes that have some."""
    return Case(draw, **more)


def by_formula(case):
    """Return the weighted loss of each sample as the papers write it, in many digits."""
    beta = LOSSES[case.name].default_beta if case.beta is None else case.beta
    weight = np.array([float(w) for w in class_weight(case.count, beta, "classes")])
    parameters = dict(case.given)
    seen = [c for c in case.classes if case.count[c] > 0]
    flat = case.logits.movedim(1, -1).reshape(-1, len(case.count)).numpy()
    target = case.target.reshape(-1).numpy()
    if case.name in PRIOR:
        of_class = [float(effective_number(n, 1)) for n in case.count]
        prior = np.array(of_class) * (1 if case.name == "ldam" else weight)
        parameters["prior"] = (prior / prior.sum())[seen]
        # A class without samples takes no part.
        flat, target = flat[:, seen], np.searchsorted(seen, target)
    plain = loss_per_sample(flat, target, case.name, **parameters)
    return weight[case.target.numpy()] * plain.reshape(case.shape)


@law(80, case=cases())
def test_the_loss_is_the_papers_formula(case):
    loss = answer(case.loss(reduction="none"), case.logits, case.target)
    assert loss.shape == case.shape
    # Where logits are large, a double holds as many digits less of the loss.
    scale = 1 + case.given.get("scale", 1) * (case.logits.abs().max().item() if len(loss) else 0)
    np.testing.assert_allclose(loss, by_formula(case), rtol=1e-9, atol=1e-13 * scale)


@law(60, case=cases(), reduction=st.sampled_from(["mean", "sum"]), data=st.data())
def test_gradients_are_finite_and_batches_add_up(case, reduction, data):
    assume(case.target.numel())
    own = data.draw(st.none() | st.lists(st.floats(0, 3), min_size=1, max_size=5))
    own = None if own is None else torch.tensor(np.resize(own, case.shape))

    def value_and_gradient(rows):
        logits = case.logits[rows].clone().requires_grad_()
        weight = [] if own is None else [own[rows]]
        value = answer(case.loss(reduction=reduction), logits, case.target[rows], *weight)
        value.backward()
        share = case.target[rows].numel() / case.target.numel() if reduction == "mean" else 1
        return value.detach() * share, logits.grad * share

    whole, gradient = value_and_gradient(slice(None))
    assert whole.isfinite()
    assert gradient.isfinite().all()
    cut = data.draw(st.integers(0, len(case.logits)), label="cut")
    parts = [value_and_gradient(rows) for rows in (slice(cut), slice(cut, None))]
    near = {"rtol": 1e-11, "atol": 1e-12}
    torch.testing.assert_close(sum(value for value, _ in parts), whole, **near)
    torch.testing.assert_close(torch.cat([g for _, g in parts]), gradient, **near)


@law(60, case=cases(), data=st.data())
def test_order_changes_nothing(case, data):
    """That of classes and of samples, and where the pixels lie."""
    loss = answer(case.loss(reduction="none"), case.logits, case.target)
    near = {"rtol": 1e-11, "atol": 1e-12}
    order = data.draw(st.permutations(case.classes), label="order")
    position = torch.argsort(torch.tensor(order))
    permuted = case.loss(order, reduction="none")(case.logits[:, order], position[case.target])
    torch.testing.assert_close(permuted, loss, **near)
    flipped = case.loss(reduction="none")(case.logits.flip(0), case.target.flip(0))
    torch.testing.assert_close(flipped.flip(0), loss, **near)
    flat = case.logits.movedim(1, -1).reshape(-1, len(case.count))
    as_rows = case.loss(reduction="none")(flat, case.target.reshape(-1))
    torch.testing.assert_close(as_rows.reshape(loss.shape), loss, **near)


@law(50, case=cases(empty=False), logit=st.sampled_from([0.0, 1e2, 1e6, 1e8, -1e8, 1e30]))
def test_a_class_without_samples_takes_no_part(case, logit):
    """Whatever logit it has, in losses that know how frequent classes are."""
    assume(case.name in PRIOR and case.target.numel())
    empty = torch.full_like(case.logits[:, :1], logit)
    logits = torch.cat([case.logits, empty], dim=1)
    more = Case.__new__(Case)
    vars(more).update(vars(case), count=[*case.count, 0])
    near = {"rtol": 1e-9, "atol": 1e-12}
    for dtype in (torch.float64, torch.float32):
        if dtype == torch.float32:
            near = {"rtol": 1e-4, "atol": 1e-4}
        args = [(case, case.logits.to(dtype)), (more, logits.to(dtype))]
        without, with_it = (
            answer(each.loss(reduction="none"), z, case.target) for each, z in args
        )
        torch.testing.assert_close(with_it, without, **near)
        for way in ["predict_proba", "natural_proba"][: 1 if case.name == "ldam" else 2]:
            without, with_it = (answer(getattr(each.loss(), way), z) for each, z in args)
            torch.testing.assert_close(with_it[:, :-1], without, **near)
            assert (with_it[:, -1] == 0).all()


@law(50, case=cases())
def test_probabilities_are_some(case):
    loss = case.loss()
    p = answer(loss.predict_proba, case.logits)
    assert ((p >= 0) & p.isfinite()).all()
    torch.testing.assert_close(p.sum(dim=1), torch.ones_like(p[:, 0]))
    natural = attempt(loss.natural_proba, case.logits)
    assert isinstance(natural, Refused) == (case.name == "ldam")
    if case.name != "ldam":
        assert ((natural >= 0) & natural.isfinite()).all()
        torch.testing.assert_close(natural.sum(dim=1), torch.ones_like(p[:, 0]))
        empty = [c for c in case.classes if not case.count[c]]
        assert (natural[:, empty] == 0).all()


@law(50, case=cases(), dtype=st.sampled_from(["int8", "int16", "int32", "uint8", "int64"]))
def test_targets_of_any_type_ignored_ones_and_probabilities(case, dtype):
    loss = answer(case.loss(reduction="none"), case.logits, case.target)
    other = answer(case.loss(reduction="none"), case.logits, case.target.to(getattr(torch, dtype)))
    torch.testing.assert_close(other, loss, rtol=0, atol=0)
    ignored = case.target.clone()
    ignored[::2] = -7
    some = answer(case.loss(reduction="none", ignore_index=-7), case.logits, ignored)
    expected = loss.clone()
    expected[::2] = 0
    torch.testing.assert_close(some, expected)
    if case.name != "ldam" and len(case.count) > 1:
        one_hot = torch.nn.functional.one_hot(case.target, len(case.count)).double()
        as_proba = answer(case.loss(reduction="none"), case.logits, one_hot.movedim(-1, 1))
        torch.testing.assert_close(as_proba, loss, rtol=1e-9, atol=1e-11)


@law(60, case=cases(), smoothing=st.floats(0, 1))
def test_smoothed_labels_are_labels_that_are_drawn(case, smoothing):
    assume(case.name in SOFTMAX - {"softmax_focal"})
    smoothed = answer(
        case.loss(reduction="none", label_smoothing=smoothing), case.logits, case.target
    )
    weight = case.loss().weight
    part = torch.tensor(case.count) > 0 if case.name in PRIOR else torch.ones(len(case.count)) > 0
    plain = LOSSES[case.name]
    prior = {"class_prior": case.loss().class_prior} if case.name in PRIOR else {}
    unweighted = plain(**prior, reduction="none", **case.given)
    of_class = torch.stack(
        [unweighted(case.logits, torch.full_like(case.target, c)) for c in case.classes], dim=1
    )
    shape = (-1, *[1] * (case.logits.ndim - 2))
    even = (of_class * part.reshape(shape)).sum(dim=1) / part.sum()
    own = of_class.gather(1, case.target.unsqueeze(1)).squeeze(1)
    expected = weight[case.target] * ((1 - smoothing) * own + smoothing * even)
    torch.testing.assert_close(smoothed, expected, rtol=1e-9, atol=1e-10)


@law(60, case=cases(), dtype=st.sampled_from([torch.float16, torch.bfloat16, torch.float32]))
def test_half_precision_is_taken_as_single(case, dtype):
    logits = case.logits.to(dtype)
    loss = answer(case.loss(), logits, case.target)
    torch.testing.assert_close(loss, case.loss()(logits.float(), case.target), rtol=0, atol=0)
    assert loss.dtype == torch.float32
    assert loss.isfinite()


NOT_PROBABILITIES = codes(
    "[[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]",
    "[[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]]",
    "[[2.0, -1.0, 0.0], [0.0, 0.0, 1.0]]",
    "[[0.5, 0.0, 0.0], [0.0, 0.0, 1.0]]",
    "[[nan, 0.0, 1.0], [0.0, 0.0, 1.0]]",
    "[[inf, 0.0, 1.0], [0.0, 0.0, 1.0]]",
    "[[3.0, 0.0, 0.0], [1.0, 0.0, 0.0]]",
)
ONE_COLUMN = codes("[[0.0], [1.0]]", "[[0.0], [0.0]]", "[[0.5], [0.5]]")


@law(60, name=st.sampled_from(sorted(LOSSES)), p=NOT_PROBABILITIES | ONE_COLUMN)
def test_targets_in_floating_point_that_are_no_probabilities(name, p):
    target = torch.tensor(p())
    loss = LOSSES[name].from_class_count([5, 3, 2][: target.shape[1]])
    result = attempt(loss, torch.zeros(2, target.shape[1]), target)
    assert isinstance(result, Refused), f"{name} gave {result}"


ANY_TARGET = codes(
    "torch.tensor([0, 2])",
    "torch.tensor([0, 3])",
    "torch.tensor([0, -1])",
    "torch.tensor([0, -100])",
    "torch.tensor([-100, -100])",
    "torch.tensor([0, 2**63 - 1])",
    "torch.tensor([0, -2**63])",
    "torch.tensor([0, 200], dtype=torch.uint8)",
    "torch.tensor([0, 1], dtype=torch.uint16)",
    "torch.tensor([0, 1], dtype=torch.uint64)",
    "torch.tensor([0, 1], dtype=torch.int8)",
    "torch.tensor([0.0, 1.0])",
    "torch.tensor([True, False])",
    "torch.tensor([0, 1], dtype=torch.complex64)",
    "torch.zeros(0, dtype=torch.int64)",
    "torch.zeros(2, 4, dtype=torch.int64)",
    "torch.zeros(2, 0, dtype=torch.int64)",
    "torch.zeros(2, 3, dtype=torch.int64)",
    "torch.zeros(2, 1, dtype=torch.int64)",
    "torch.full((2, 3), 1 / 3)",
    "torch.full((2, 3), 1 / 3, dtype=torch.float16)",
    "torch.full((2, 3), 1 / 3, dtype=torch.float64)",
    "torch.zeros(2, 3)",
    "torch.tensor(0)",
    "np.array([0, 1])",
    "[0, 1]",
    "None",
)


@law(
    250,
    name=st.sampled_from(sorted(LOSSES)),
    logits=ANY_LOGITS,
    target=ANY_TARGET,
    own=ANY_OWN,
    reduction=st.sampled_from(["mean", "sum", "none"]),
)
def test_anything_in_the_place_of_a_batch(name, logits, target, own, reduction):
    loss = LOSSES[name].from_class_count([5, 3, 2], reduction=reduction)
    attempt(loss, logits, target, own)
    attempt(loss.predict_proba, logits)
    attempt(loss.natural_proba, logits)


NUMBERS = ["beta", "gamma", "tau", "max_margin", "scale", "label_smoothing", "prior_beta"]
ANY_PARAMETER = dict.fromkeys(NUMBERS, ODD_NUMBERS) | {
    "reduction": codes("'mean'", "'none'", "'avg'", "None", "1", "['mean']", "np.array(['mean'])"),
    "normalize": codes("'classes'", "'samples'", "None", "'mean'", "['classes']", "1"),
    "ignore_index": codes("None", "-1", "255", "1.5", "True", "'1'", "2**70", "np.int64(3)"),
    "weight": codes("None", "[1.0, 2.0]", "[1.0, -1.0]", "[nan, 1.0]", "[1.0]", "'ab'", "[[1.0]]"),
    "class_prior": codes("None", "[1.0, 2.0]", "[0.0, 0.0]", "[nan, 1.0]", "'ab'", "[1j, 2]"),
}


@law(
    150,
    name=st.sampled_from(sorted(LOSSES)),
    key=st.sampled_from(sorted(ANY_PARAMETER)),
    data=st.data(),
)
def test_any_parameter(name, key, data):
    value = data.draw(ANY_PARAMETER[key], label=key)
    if key in ("weight", "class_prior"):
        prior = {"class_prior": Code("[1.0, 2.0]")} if name in PRIOR else {}
        loss = attempt(LOSSES[name], **prior | {key: value}) if key in {"weight", *prior} else None
    else:
        known = LOSSES[name].__init__.__code__.co_varnames
        from_count = LOSSES[name].from_class_count
        assume(key in known or key in from_count.__func__.__code__.co_varnames)
        loss = attempt(from_count, [5, 3], **{key: value})
    if loss is not None and not isinstance(loss, Refused):
        value = attempt(loss, torch.tensor([[1.0, 2.0]]), torch.tensor([0]))
        assert isinstance(value, Refused) or value.isfinite().all()
