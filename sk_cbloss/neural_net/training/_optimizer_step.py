"""Optimizers whose step is one operation for all parameters, and that step by itself."""

import inspect
import operator
from functools import cache

import torch
from torch import optim
from torch.nn.parameter import is_lazy

from sk_cbloss.neural_net.training._proof import has_hooks

OPERATIONS = {
    optim.Adam: torch._fused_adam_,
    optim.AdamW: torch._fused_adamw_,
    optim.SGD: torch._fused_sgd_,
}
SETTINGS = {
    optim.Adam: ("amsgrad", "lr", "weight_decay", "eps", "maximize"),
    optim.AdamW: ("amsgrad", "lr", "weight_decay", "eps", "maximize"),
    optim.SGD: ("lr", "momentum", "dampening", "weight_decay", "nesterov", "maximize"),
}
OTHER_WAYS = {"foreach", "fused", "capturable", "differentiable"}


def can_be_fused(kind, kwargs, modules, device):
    """Whether an optimizer, to be built of a class by kwargs, may do its step as one operation."""
    if kind not in OPERATIONS or torch.device(device).type != "cpu" or OTHER_WAYS & kwargs.keys():
        return False
    if isinstance(kwargs.get("lr"), torch.Tensor):
        return False
    if any(getattr(part, "sparse", False) for module in modules for part in module.modules()):
        return False
    # The operation takes numbers as they lie, in parameters, gradients and what is learned.
    return all(
        not is_lazy(p) and p.is_floating_point() and p.is_contiguous()
        for module in modules
        for p in module.parameters()
    )


class OptimizerStep:
    """Does what an optimizer's ``step`` does, for as long as the same tensors learn.

    Settings may change from step to step. If the step is one operation, that is called, else the
    optimizer's own method.
    """

    def __init__(self, optimizer):
        self.optimizer, self.runs, self.learning = optimizer, None, ()
        kind, groups = type(optimizer), optimizer.param_groups
        self.is_one_operation = (
            kind in OPERATIONS
            and _has_own_step(optimizer)
            and not has_hooks(optimizer)
            and all(g["fused"] for g in groups)
        )
        self.made_of = _made_of(optimizer)

    def is_of(self, optimizer):
        """Whether it is still the optimizer's, with what that has learned."""
        return optimizer is self.optimizer and self.made_of == _made_of(optimizer)

    def __call__(self, learning):
        """Take a step along the gradients that parameters have.

        Parameters
        ----------
        learning : list of Parameter
            Those that have one from the step before it; others have none.
        """
        if learning is not self.learning and not _are_same(learning, self.learning):
            self.runs = None
        self.learning = learning
        if any(_has_other_needs(group, learned) for group, learned, _ in self.runs or ()):
            self.runs = None
        if self.runs is None:  # it may learn for the first time
            self._leave_to(learning)
            self.optimizer.step()
            if self.is_one_operation:
                groups = self.optimizer.param_groups
                self.runs = [run for run in map(self._run, groups) if run[2]]
                self.made_of = _made_of(self.optimizer)
            return
        kind = type(self.optimizer)
        operation, names = OPERATIONS[kind], SETTINGS[kind]
        with torch.no_grad():
            for group, learned, parameters in self.runs:
                settings = {name: group[name] for name in names}
                if kind is optim.SGD:
                    settings["is_first_step"] = False
                else:
                    settings["beta1"], settings["beta2"] = group["betas"]
                    for n_steps in learned[-1]:
                        n_steps.add_(1)
                operation(parameters, [p.grad for p in parameters], *learned, **settings)

    def _leave_to(self, learning):
        """Drop gradients that other parameters have from an earlier step."""
        ids = set(map(id, learning))
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                if id(parameter) not in ids:
                    parameter.grad = None

    def _run(self, group):
        parameters = [p for p in group["params"] if p.grad is not None]
        states = [self.optimizer.state.get(p, {}) for p in parameters]
        names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step")
        if type(self.optimizer) is optim.SGD:
            names = ("momentum_buffer",)
        learned = [
            [state[name] for state in states if state.get(name) is not None] for name in names
        ]
        return group, learned, parameters


def _are_same(some, others):
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _has_other_needs(group, learned):
    """Whether a momentum has come or gone, and with it what the step needs."""
    return "momentum" in group and bool(group["momentum"]) != bool(learned[0])


def _made_of(optimizer):
    """Return where an optimizer's groups lie, what it has learned, and who else has a say."""
    groups = [
        [*map(id, [group, *group["params"]]), *(group.get(way) for way in sorted(OTHER_WAYS))]
        for group in optimizer.param_groups
    ]
    learned = [
        (id(parameter), name, id(value))
        for parameter, state in optimizer.state.items()
        for name, value in state.items()
    ]
    return groups, learned, has_hooks(optimizer), vars(optimizer).get("step")


def _has_own_step(optimizer):
    """Whether an optimizer has its class's step, whose calls a schedule may count."""
    step = vars(optimizer).get("step")
    return step is None or (
        getattr(step, "__globals__", {}).get("__name__") == "torch.optim.lr_scheduler"
        and step.__wrapped__ is type(optimizer).step
    )


def has_own_way(kind):
    """Whether optimizers of a class may do more than step along the gradients."""
    return not kind.__module__.startswith("torch.optim.") or evaluates_again(kind)


@cache
def evaluates_again(kind):
    """Whether optimizers of a class compute losses by themselves, as LBFGS does."""
    closure = inspect.signature(kind.step).parameters["closure"]
    return closure.default is inspect.Parameter.empty
