"""What is recorded does what the function does, bit by bit; what depends on numbers is refused."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net.training._operations import Operations, record
from sk_cbloss.neural_net.training._proof import (
    NotCapturableError,
    Proof,
    equal,
    kept_random_numbers,
)

CPU = torch.device("cpu")


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.there = nn.Linear(6, 6, bias=False)
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        return self.head(F.linear(self.there(x).tanh(), self.there.weight.t()))


class InPlace(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(6, 4)

    def forward(self, x):
        x *= 0.5
        return self.head(x.add(1).relu_())


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.GRU(2, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, x):
        return self.head(self.body(x.reshape(len(x), 3, 2))[1][-1])


class Table(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Embedding(10, 3), nn.Linear(18, 4)

    def forward(self, x):
        return self.head(self.body((x.abs() * 3).long().clamp(max=9)).flatten(1))


class Weighed(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.utils.parametrizations.weight_norm(nn.Linear(6, 4))

    def forward(self, x):
        return self.head(x)


MODULES = {
    "MLP": lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4)),
    "no bias": lambda: nn.Linear(6, 4, bias=False),
    "dropout": lambda: nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), nn.GELU(), nn.Linear(8, 4)),
    "batch norm": lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 4)),
    "layer norm": lambda: nn.Sequential(nn.LayerNorm(6), nn.SiLU(), nn.Linear(6, 4)),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 6)), nn.Conv1d(1, 2, 3), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(4, 4)
    ),
    "attention": lambda: nn.Sequential(
        nn.Unflatten(1, (3, 2)),
        nn.TransformerEncoderLayer(2, 1, 4, batch_first=True),
        nn.Flatten(),
        nn.Linear(6, 4),
    ),
    "tied": Tied,
    "in place": InPlace,
    "sequence": Sequence,
    "table": Table,
    "parametrized": Weighed,
}


class Step:
    """Loss, output and gradients of a batch; what else it changes is the module's buffers."""

    def __init__(self, module, loss=None):
        torch.manual_seed(0)
        self.module = module().train()
        self.loss = LOSSES["softmax"].from_class_count([9, 5, 2, 1]) if loss is None else loss
        self.loss.float()
        self.learning = list(self.module.parameters())
        self.state = list(self.module.buffers())
        self.kept = [*self.learning, *self.state, *self.loss.buffers()]

    def __call__(self, x, y, *weight):
        with torch.enable_grad():
            output = self.module(x)
            loss = self.loss(output, y, *weight)
            gradients = torch.autograd.grad(loss, self.learning, allow_unused=True)
        made = [loss, output, *(g for g in gradients if g is not None)]
        return [tensor.detach() for tensor in made]


def make_batch(seed=0, n=12):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n, 6, generator=generator), torch.randint(4, (n,), generator=generator)]


def outcome(function, batch, state):
    """Return what a function makes, what becomes of the state, and where random numbers are."""
    with kept_random_numbers(CPU) as reached, torch.no_grad():
        made = [tensor.clone() for tensor in function(*(part.clone() for part in batch))]
    return [*made, *(tensor.clone() for tensor in state)], reached


def assert_equal(ours, theirs):
    for one, other in zip(ours[0], theirs[0], strict=True):
        assert torch.equal(one, other)
    assert ours[1] == theirs[1]


@pytest.mark.parametrize("name", MODULES)
def test_it_is_the_function_on_batch_after_batch(name):
    ours, theirs = Step(MODULES[name]), Step(MODULES[name])
    function = record(ours, ours.kept, make_batch(), ours.state).bind(ours.kept)
    for seed in range(4):
        batch = make_batch(seed)
        assert_equal(outcome(function, batch, ours.state), outcome(theirs, batch, theirs.state))
        with torch.no_grad():  # as an optimizer does, in place
            for one, other in zip(ours.learning, theirs.learning, strict=True):
                step = torch.randn(one.shape, generator=torch.Generator().manual_seed(seed))
                one.add_(step, alpha=0.1)
                other.add_(step, alpha=0.1)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("name", LOSSES)
def test_every_loss(name, weighted):
    loss = LOSSES[name].from_class_count([9, 5, 2, 1], beta=0.9)
    step = Step(MODULES["MLP"], loss)
    batch = make_batch()
    batch += [torch.rand(len(batch[1]))] if weighted else []
    function = record(step, step.kept, batch, step.state).bind(step.kept)
    for seed in range(3):
        batch[:2] = make_batch(seed)
        assert_equal(outcome(function, batch, ()), outcome(step, batch, ()))


def test_recording_leaves_all_as_it_was():
    step, batch = Step(MODULES["batch norm"]), make_batch()
    before = [tensor.clone() for tensor in [*step.kept, *batch, torch.get_rng_state()]]
    record(step, step.kept, batch, step.state)
    after = [*step.kept, *batch, torch.get_rng_state()]
    assert all(map(torch.equal, before, after))


@pytest.mark.parametrize("name", ["MLP", "batch norm", "tied"])
def test_it_holds_for_other_tensors_in_the_same_places(name):
    one = Step(MODULES[name])
    recorded = record(one, one.kept, make_batch(), one.state)
    torch.manual_seed(1)
    other = Step(MODULES[name])
    with torch.no_grad():
        for parameter in other.learning:
            parameter.uniform_(-1, 1)
    plain = copy.deepcopy(other)
    plain.learning, plain.state = list(plain.module.parameters()), list(plain.module.buffers())
    ours = outcome(recorded.bind(other.kept), make_batch(3), other.state)
    assert_equal(ours, outcome(plain, make_batch(3), plain.state))


def test_no_detours():
    step = Step(MODULES["MLP"])
    one = torch.ones(())

    def compute(x, y):
        with torch.enable_grad():
            loss = step.loss(step.module(x), y)
            return list(torch.autograd.grad(loss, step.learning, one))

    recorded = Operations(compute, step.kept, make_batch(), [one])
    code = recorded.forward.__self__.code
    assert "detach" not in code
    assert "ones_like" not in code
    assert code.count(".t(") + code.count("t.default(") == 2  # of what differs from batch to batch
    assert len(recorded.beforehand) >= 2


REFUSED = {
    "a number": lambda x: x * x.sum().item(),
    "a branch": lambda x: x if x.sum() > 0 else -x,
    "a comparison": lambda x: x * (2 if torch.equal(x, x + 1) else 1),
    "numpy": lambda x: x * float(np.asarray(x).sum()),
    "a list": lambda x: x * x.tolist()[0][0],
    "an address": lambda x: x * (x.data_ptr() % 7),
    "a mask": lambda x: x[x > 0].sum() * x,
    "what is not zero": lambda x: x * len(x.nonzero()),
    "different values": lambda x: x * len(x.unique()),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_depends_on_numbers_is_refused(name):
    with pytest.raises(NotCapturableError, match="depend"):
        Operations(lambda x: [REFUSED[name](x)], [], [torch.randn(5, 3)])


def test_generators_of_ones_own_are_refused():
    generator = torch.Generator()
    with pytest.raises(NotCapturableError, match="generator of its own"):
        Operations(lambda x: [x * torch.rand(3, generator=generator)], [], [torch.randn(5, 3)])


def test_tensors_that_nobody_told_of_are_refused():
    hidden = torch.randn(3)
    with pytest.raises(NotCapturableError, match="no parameter or buffer"):
        Operations(lambda x: [x * hidden], [], [torch.randn(5, 3)])


def test_shapes_and_rows_by_number_are_fine():
    def function(x):
        return [x[torch.arange(len(x) - 1, -1, -1)] * len(x) + torch.zeros(x.shape[1])]

    x = torch.randn(5, 3)
    recorded = Operations(function, [], [x]).bind([])
    other = torch.randn(5, 3)
    assert torch.equal(recorded(other)[0], function(other)[0])


def test_what_writes_to_a_constant_is_found_at_the_second_time():
    one = torch.ones(())

    def function(x):
        return [x * (one / 2).mul_(3)]

    inputs = [torch.randn(5, 3)]
    recorded = Operations(function, [], inputs, [one]).bind([])
    proof = Proof(function, inputs, [])
    proof.check(function, equal)
    with pytest.raises(NotCapturableError, match="something else when it is repeated"):
        proof.check(recorded, equal)


def test_equal_is_bit_by_bit():
    nan, inf, largest = torch.nan, torch.inf, torch.finfo(torch.float32).max
    assert equal(torch.tensor([nan, inf, 1.0]), torch.tensor([nan, inf, 1.0]))
    assert equal(torch.tensor([True]), torch.tensor([True]))
    for one, other in (([inf], [largest]), ([nan], [0.0]), ([1.0], [1.0 + 2**-23])):
        assert not equal(torch.tensor(one), torch.tensor(other))
    assert not equal(torch.ones(2), torch.ones(1))
    assert not equal(torch.ones(2), torch.ones(2).double())
