"""An optimizer step as one operation: the very numbers of its own, and only where it is safe."""

import copy

import numpy as np
import pytest
import torch
from torch import nn, optim

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net.training._optimizer_step import (
    OPERATIONS,
    OptimizerStep,
    can_be_fused,
    has_own_way,
)

CASES = [
    (optim.Adam, {}),
    (optim.Adam, {"amsgrad": True, "weight_decay": 0.1, "betas": (0.5, 0.9), "eps": 1e-3}),
    (optim.Adam, {"maximize": True}),
    (optim.AdamW, {"weight_decay": 0.3}),
    (optim.AdamW, {"amsgrad": True, "maximize": True}),
    (optim.SGD, {}),
    (optim.SGD, {"momentum": 0.9}),
    (optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (optim.SGD, {"momentum": 0.5, "dampening": 0.3, "maximize": True}),
]


def make(kind, settings, dtype=torch.float32):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2), nn.Linear(2, 2)).to(dtype)
    groups = [{"params": module[0].parameters(), "lr": 0.3}, {"params": module[1].parameters()}]
    return module, kind([*groups, {"params": module[2].parameters()}], lr=0.1, **settings)


def give_gradients(module, seed):
    torch.manual_seed(seed)
    for number, parameter in enumerate(module.parameters()):
        if number != 4:  # one that does not learn
            parameter.grad = torch.randn_like(parameter)
    return [parameter for parameter in module.parameters() if parameter.grad is not None]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("kind", "settings"), CASES)
def test_it_is_the_optimizers_own_step(kind, settings, dtype):
    ours, our_optimizer = make(kind, settings | {"fused": True}, dtype)
    theirs, their_optimizer = make(kind, settings | {"fused": True}, dtype)
    slow, slow_optimizer = make(kind, settings, dtype)
    step = OptimizerStep(our_optimizer)
    for seed in range(6):
        for optimizer in (our_optimizer, their_optimizer, slow_optimizer):
            optimizer.param_groups[1]["lr"] = 0.1 / (seed + 1)  # as a schedule does
        learning, *_ = [give_gradients(module, seed) for module in (ours, theirs, slow)]
        step(learning)
        their_optimizer.step()
        slow_optimizer.step()
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float32 else {"rtol": 1e-12}
    tolerance = {"atol": 1e-12} | tolerance
    for one, other, third in zip(*(m.parameters() for m in (ours, theirs, slow)), strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, third, **tolerance)
    states = our_optimizer.state_dict(), their_optimizer.state_dict()
    torch.testing.assert_close(*states, rtol=0, atol=0)


def test_it_knows_when_the_optimizer_has_learned_elsewhere():
    module, optimizer = make(optim.Adam, {"fused": True})
    step = OptimizerStep(optimizer)
    step(give_gradients(module, 0))
    assert step.is_of(optimizer)
    assert not step.is_of(copy.deepcopy(optimizer))
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert not step.is_of(optimizer)
    step = OptimizerStep(optimizer)
    step(give_gradients(module, 1))
    optimizer.state.clear()
    assert not step.is_of(optimizer)


def test_hooks_are_called():
    module, optimizer = make(optim.SGD, {"fused": True})
    calls = []
    optimizer.register_step_post_hook(lambda *args: calls.append(1))
    step = OptimizerStep(optimizer)
    for seed in range(3):
        step(give_gradients(module, seed))
    assert len(calls) == 3


def test_a_step_of_ones_own_is_called_and_a_schedules_only_counts():
    module, optimizer = make(optim.SGD, {"fused": True})
    optim.lr_scheduler.StepLR(optimizer, 5)
    assert OptimizerStep(optimizer).is_one_operation
    step, calls = OptimizerStep(optimizer), []
    own = optimizer.step
    optimizer.step = lambda *args: calls.append(own(*args))
    assert not step.is_of(optimizer)
    step = OptimizerStep(optimizer)
    for seed in range(3):
        step(give_gradients(module, seed))
    assert len(calls) == 3


def test_other_parameters_may_learn_at_each_step():
    ours, our_optimizer = make(optim.Adam, {"fused": True})
    theirs, their_optimizer = make(optim.Adam, {"fused": True})
    step = OptimizerStep(our_optimizer)
    for seed in range(6):
        give_gradients(ours, seed)
        give_gradients(theirs, seed)
        for parameter in [*theirs.parameters()][seed % 2 :: 2]:
            parameter.grad = None
        pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
        learning = [one for one, other in pairs if other.grad is not None]
        step(learning)
        their_optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_where_it_may_be_one_operation():
    module = nn.Linear(3, 2)
    assert all(can_be_fused(kind, {"lr": 0.1}, [module], "cpu") for kind in OPERATIONS)
    assert not can_be_fused(optim.RMSprop, {}, [module], "cpu")
    assert not can_be_fused(optim.Adam, {}, [module], "cuda")
    for chosen in ({"fused": False}, {"foreach": True}, {"capturable": False}):
        assert not can_be_fused(optim.Adam, chosen, [module], "cpu")
    assert not can_be_fused(optim.Adam, {"lr": torch.tensor(0.1)}, [module], "cpu")
    transposed = nn.Linear(3, 2)
    transposed.weight = nn.Parameter(torch.randn(3, 2).t())
    for odd in (nn.Embedding(3, 2, sparse=True), nn.LazyLinear(2), transposed):
        assert not can_be_fused(optim.SGD, {}, [module, odd], "cpu")


def test_optimizers_with_a_way_of_their_own():
    class Own(optim.SGD):
        pass

    assert has_own_way(Own)
    assert has_own_way(optim.LBFGS)
    assert not any(map(has_own_way, [*OPERATIONS, optim.RMSprop, optim.Adagrad]))


RNG = np.random.default_rng(0)
Y = np.repeat([0, 1, 2], [60, 30, 10])
X = RNG.normal(size=(100, 4)) + np.eye(3, 4)[Y]


def fitted(**parameters):
    given = {"batch_size": 16, "max_epochs": 6, "random_state": 0, "device": "cpu"}
    return CBNeuralNetClassifier(**given | parameters).fit(X, Y)


def test_a_net_on_a_cpu_takes_it_unless_told_otherwise():
    net, other = fitted(), fitted(optimizer__fused=False)
    assert net.optimizer_.param_groups[0]["fused"]
    assert not other.optimizer_.param_groups[0]["fused"]
    assert "optimizer__fused" not in net.get_params()
    np.testing.assert_allclose(
        net.decision_function(X), other.decision_function(X), rtol=1e-3, atol=1e-4
    )
    exact, slow = (fitted(dtype="float64", **more) for more in ({}, {"optimizer__fused": False}))
    np.testing.assert_allclose(
        exact.decision_function(X), slow.decision_function(X), rtol=1e-9, atol=1e-11
    )


class Sparse(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.body, self.head = nn.Embedding(50, 4, sparse=True), nn.Linear(4, n_classes)

    def forward(self, ids):
        return self.head(self.body(ids).mean(dim=1))


def test_sparse_gradients_are_as_ever():
    ids = {"ids": RNG.integers(50, size=(100, 5))}
    net = CBNeuralNetClassifier(
        Sparse, optimizer=optim.SGD, max_epochs=3, random_state=0, device="cpu"
    )
    net.fit(ids, Y)
    assert not net.optimizer_.param_groups[0]["fused"]
