"""Training steps, captured: recorded, compared with the plain step, and then repeated."""

import logging
from collections import Counter, OrderedDict
from contextlib import contextmanager

import torch
from torch import nn

from sk_cbloss.neural_net.data import BatchLoader, arrays_of, each_array
from sk_cbloss.neural_net.errors import first_line
from sk_cbloss.neural_net.training._form import all_but_numbers, form_of, modules_of, tensors_of
from sk_cbloss.neural_net.training._graph import captured
from sk_cbloss.neural_net.training._listening import others_act
from sk_cbloss.neural_net.training._operations import record
from sk_cbloss.neural_net.training._optimizer_step import OptimizerStep, has_own_way
from sk_cbloss.neural_net.training._proof import (
    NotCapturableError,
    Proof,
    equal,
)

LOG = logging.getLogger(__name__)

GRAPHS = {"cuda"}  # devices that repeat a step as a whole; a CPU, as a list of operations
# Steps of each shape before one is captured: about as many as that takes the time of.
PLAIN_STEPS = {"cpu": 20, "cuda": 10}
OWN_STEPS = ("train_step", "train_step_single", "infer", "get_loss")
OWN_STEPS += ("_zero_grad_optimizer", "_step_optimizer")
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
CONVOLUTIONS += (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)

# What was recorded on a CPU, by all that it depends on; nets that are alike share it.
RECORDED = OrderedDict()
N_RECORDED = 64


class CapturedSteps:
    """The steps of one call of ``fit``, captured for each shape of a batch.

    What is captured is the loss of a batch and its gradients: on a CPU as a list of operations, on
    a GPU as a graph. The optimizer takes its step from there, so that it may be any, and callbacks
    may change its settings. What cannot be captured is left to be done plainly; the reason, the
    ``obstacle``, is logged.
    """

    def __init__(self):
        self.steps, self.n_seen, self.form = {}, Counter(), None
        self.obstacle, self.has_failed = "no epoch has begun", False
        self.step_optimizer, self.is_due, self.logged = None, False, None
        self.takes_whole_steps = self.are_alike = self.may_change = False

    def __reduce__(self):  # graphs belong to the process and the GPU
        return CapturedSteps, ()

    def begin_epoch(self, net, iterator):
        """Look whether a net, ready for an epoch, may be captured, and is still the same."""
        if self.has_failed:
            return
        self.device, self.iterator = torch.device(net._device_in_use), iterator
        obstacle, form = _obstacle(net, self.device), None
        if obstacle is None:
            try:
                form = form_of(net)
            except NotCapturableError as error:
                obstacle = first_line(error)
        self._set_obstacle(obstacle)
        if form != self.form:
            if None not in (form, self.form):
                self._log(
                    "Training steps are plain until they repeat again: what they depend on beside "
                    "tensors, such as attributes or global variables, has changed."
                )
            self.steps.clear()
            self.n_seen.clear()
            self.form = form
        if obstacle is not None:
            return
        if self.step_optimizer is None or not self.step_optimizer.is_of(net.optimizer_):
            self.step_optimizer = OptimizerStep(net.optimizer_)
        self.may_change = others_act(net)
        self.are_alike = isinstance(iterator, BatchLoader) and iterator.is_in_memory
        self.takes_whole_steps = (
            net._grad_scaler is None
            and not net._is_told_of_gradients
            and not has_own_way(type(net.optimizer_))
        )

    def _set_obstacle(self, obstacle):
        if obstacle:
            self._log(f"Training steps are not captured: {obstacle}.")
        self.obstacle = obstacle

    def _log(self, message):
        if message != self.logged:
            LOG.info(message)
        self.logged = message

    def take(self, net, batch, *, whole):
        """Compute the loss of a batch and its gradients; the whole step is the optimizer's, too.

        Returns what skorch's steps do; None if the step must be taken plainly. Where others come
        in before the optimizer, only parts are taken.
        """
        if self.obstacle is not None or whole is not self.takes_whole_steps:
            return None
        if self.may_change:
            self.begin_epoch(net, self.iterator)
            if self.obstacle is not None:
                return None
        tensors = _tensors_in(batch)
        # Those cut from the same arrays differ in their number of rows alone.
        shapes = len(tensors[-1]) if self.are_alike else _shapes_of(tensors)
        step = self.steps.get(shapes) or self._new_step(net, batch, tensors, shapes)
        if step is None:
            return None
        done = step(tensors, adds=not whole)
        if whole:
            self.step_optimizer(step.learning)
        return done

    @contextmanager
    def watched(self, net):
        """Watch a plain step, if it is the one before a step is captured."""
        is_due, self.is_due = self.is_due, False
        before = all_but_numbers(net) if is_due else None
        yield
        if is_due and (before is None or all_but_numbers(net) != before):
            self._give_up(
                "its module or batch_transform changes attributes of its own, or draws random "
                "numbers that are not the device's"
            )

    def _give_up(self, reason):
        self.steps.clear()
        self.has_failed = True
        self._set_obstacle(reason)

    def _new_step(self, net, batch, tensors, shapes):
        """Capture a step, if it is time to and nothing is in the way."""
        self.n_seen[shapes] += 1
        key = self.form[0], _shapes_of(tensors)
        n_plain = PLAIN_STEPS[self.device.type]
        self.is_due = self.n_seen[shapes] == n_plain
        is_time = key in RECORDED or self.n_seen[shapes] > n_plain
        if not is_time or key[1] is None:
            return None
        tensors = [tensor.to(self.device, copy=True) for tensor in tensors]  # may be written to
        try:
            self.steps[shapes] = _Step(net, batch, tensors, key)
        except Exception as error:  # torch's own, of whatever cannot be repeated
            self._give_up(first_line(error))
        return self.steps.get(shapes)


class _Step:
    """The loss of a batch of one shape, and its gradients."""

    def __init__(self, net, batch, tensors, key):
        self.device = tensors[0].device
        modules = modules_of(net)
        kept = [tensor for module in modules for tensor in tensors_of(module)]
        given = [p for _, p in net.get_all_learnable_params() if p.requires_grad]
        scale = (lambda loss: loss) if net._grad_scaler is None else net._grad_scaler.scale
        one = torch.ones((), dtype=getattr(torch, net._dtype_in_use), device=self.device)

        def compute(*tensors):
            with torch.enable_grad():
                loss, y_pred = net._loss_and_output(_like(batch, tensors))
                scaled = scale(loss)
                start = one if scaled.dtype == one.dtype else None
                gradients = torch.autograd.grad(scaled, given, start, allow_unused=True)
            self.is_tuple = isinstance(y_pred, tuple)
            told = [loss, *y_pred] if self.is_tuple else [loss, y_pred]
            self.n_told = len(told)
            if any(g is not None and g.is_sparse for g in gradients):
                raise NotCapturableError("it has sparse gradients")
            pairs = [pair for pair in zip(given, gradients, strict=True) if pair[1] is not None]
            self.learning = [parameter for parameter, _ in pairs]
            told += [_laid_out_as(*pair) for pair in pairs]
            return [tensor.detach() for tensor in told]

        if self.device.type in GRAPHS:
            self.function = captured(compute, tensors, kept)
            return
        proof = Proof(compute, tensors, kept)
        if (recorded := RECORDED.get(key)) is not None:
            try:
                self._use(recorded, kept, proof)
                return
            except NotCapturableError:  # code has been changed behind its name
                RECORDED.pop(key, None)
        recorded = record(compute, kept, tensors, kept, [one])
        self._use(recorded, kept, proof)
        RECORDED[key] = recorded
        if len(RECORDED) > N_RECORDED:
            RECORDED.popitem(last=False)

    def _use(self, operations, kept, proof):
        self.function = operations.bind(kept)
        with torch.no_grad():
            proof.check(self.function, equal)

    def __call__(self, tensors, *, adds):
        with torch.no_grad():
            # An optimizer may gather them; a graph writes over those that it returned.
            gathered = [(p, p.grad.clone()) for p in self.learning if adds and p.grad is not None]
            made = self.function(*tensors)
            for parameter, gradient in zip(self.learning, made[self.n_told :], strict=True):
                parameter.grad = gradient
            for parameter, before in gathered:
                parameter.grad = before.add_(parameter.grad)
            told = made[: self.n_told]
            if self.device.type in GRAPHS:  # the next step writes over them
                told = [tensor.clone() for tensor in told]
        loss, *y_pred = told
        return {"loss": loss, "y_pred": tuple(y_pred) if self.is_tuple else y_pred[0]}


def _laid_out_as(parameter, gradient):
    """Return a gradient whose numbers lie as the parameter's do; fused optimizers rely on it."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _tensors_in(batch):
    if len(batch) == 2 and isinstance(batch[0], torch.Tensor):  # most often
        return batch
    return arrays_of(batch)


def _like(batch, tensors):
    """Return a batch with other tensors."""
    tensors = iter(tensors)
    return each_array(lambda _: next(tensors), batch)


def _shapes_of(tensors):
    """Return what tells batches apart; None if they are not made of tensors."""
    if not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
        return None
    return tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in tensors)


def _obstacle(net, device):
    """Return why a net's steps cannot be captured, as far as it can be told beforehand."""
    if device.type not in PLAIN_STEPS:
        return f"{device.type} cannot repeat them"
    if net._call.ranks.n_ranks > 1:
        return "gradients are averaged over ranks"
    if net.compile:
        return "compile=True"
    if len(net._optimizers) > 1:
        return "there are several optimizers"
    if net._call.fit_params.keys() - {"epochs"}:
        return "fit was given parameters for the module"
    if device.type not in GRAPHS and net._grad_scaler is not None:
        return "gradients are scaled on a CPU"
    for hook in ("on_batch_begin", "on_batch_end"):
        if net._listeners(hook) is None:
            return "a callback looks at each batch"
    for name in OWN_STEPS:
        room = getattr(type(net), name).__module__
        is_ours = room.partition(".")[0] in {"sk_cbloss", "skorch"} and room != "skorch.hf"
        if not is_ours or name in vars(net):
            return f"{type(net).__name__} has its own {name}"
    if device.type not in GRAPHS and any(
        isinstance(part, CONVOLUTIONS) for module in modules_of(net) for part in module.modules()
    ):
        return "beside convolutions on a CPU, nothing else takes time that counts"
    return None
