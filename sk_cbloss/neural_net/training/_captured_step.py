"""Training steps, captured: recorded, compared with the plain step, and then repeated."""

import logging
from collections import Counter, OrderedDict

import torch
from torch import nn

from sk_cbloss.neural_net.data import BatchLoader, arrays_of, each_array
from sk_cbloss.neural_net.errors import first_line
from sk_cbloss.neural_net.training._form import check_repeatable, form_of, modules_of, tensors_of
from sk_cbloss.neural_net.training._graph import captured
from sk_cbloss.neural_net.training._operations import record
from sk_cbloss.neural_net.training._optimizer_step import OptimizerStep, has_own_way
from sk_cbloss.neural_net.training._proof import (
    NotCapturableError,
    Proof,
    copied,
    equal,
)

LOG = logging.getLogger(__name__)

GRAPHS = {"cuda"}  # devices that repeat a step as a whole; a CPU, as a list of operations
# Steps of each shape before one is captured: about as many as that takes the time of.
PLAIN_STEPS = {"cpu": 20, "cuda": 10}
OWN_STEPS = ("train_step", "train_step_single", "infer", "get_loss")
OWN_STEPS += ("_zero_grad_optimizer", "_step_optimizer")
HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")
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
        self.takes_whole_steps = self.are_alike = False

    def __reduce__(self):  # graphs belong to the process and the GPU
        return CapturedSteps, ()

    def begin_epoch(self, net, iterator):
        """Look whether a net, ready for an epoch, may be captured, and is still the same."""
        if self.has_failed:
            return
        self.device, obstacle = torch.device(net.device), None
        try:
            form = form_of(net)
        except (NotCapturableError, TypeError) as error:
            form, obstacle = None, first_line(error)
        is_same = form is not None and form == self.form
        if not is_same:
            self.steps.clear()
            self._set_obstacle(obstacle or _obstacle(net, self.device))
            net.optimizer_.zero_grad()  # what does not learn any more has no gradient
        if not is_same or not self.step_optimizer.is_of(net.optimizer_):
            self.step_optimizer = OptimizerStep(net.optimizer_)
        self.form = form
        self.are_alike = isinstance(iterator, BatchLoader) and iterator.is_in_memory
        self.takes_whole_steps = (
            net._grad_scaler is None
            and not net._is_told_of_gradients
            and not has_own_way(type(net.optimizer_))
        )

    def _set_obstacle(self, obstacle):
        if obstacle and obstacle != self.obstacle:
            LOG.info("Training steps are not captured: %s.", obstacle)
        self.obstacle = obstacle

    def take(self, net, batch, *, whole):
        """Compute the loss of a batch and its gradients; the whole step is the optimizer's, too.

        Returns what skorch's steps do; None if the step must be taken plainly. Where others come
        in before the optimizer, only parts are taken.
        """
        if self.obstacle is not None or whole is not self.takes_whole_steps:
            return None
        tensors = _tensors_in(batch)
        # Those cut from the same arrays differ in their number of rows alone.
        shapes = len(tensors[-1]) if self.are_alike else _shapes_of(tensors)
        step = self.steps.get(shapes) or self._new_step(net, batch, tensors, shapes)
        if step is None:
            return None
        done = step(tensors)
        if whole:
            self.step_optimizer()
        return done

    def _new_step(self, net, batch, tensors, shapes):
        """Capture a step, if it is time to and nothing is in the way."""
        self.n_seen[shapes] += 1
        key = self.form[0], _shapes_of(tensors)
        is_time = key in RECORDED or self.n_seen[shapes] > PLAIN_STEPS[self.device.type]
        if not is_time or key[1] is None:
            return None
        tensors = [tensor.to(self.device, copy=True) for tensor in tensors]  # may be written to
        try:
            if key not in RECORDED:
                check_repeatable(net, _like(batch, copied(tensors)))
            self.steps[shapes] = _Step(net, batch, tensors, key)
        except Exception as error:  # torch's own, of whatever cannot be repeated
            self.steps.clear()
            self.has_failed = True
            self._set_obstacle(first_line(error))
        return self.steps.get(shapes)


class _Step:
    """The loss of a batch of one shape, and its gradients."""

    def __init__(self, net, batch, tensors, key):
        self.device = tensors[0].device
        modules = modules_of(net)
        buffers = [buffer for module in modules for buffer in module.buffers()]
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
            pairs = [pair for pair in zip(given, gradients, strict=True) if pair[1] is not None]
            self.learning = [parameter for parameter, _ in pairs]
            told += [_laid_out_as(*pair) for pair in pairs]
            return [tensor.detach() for tensor in told]

        if self.device.type in GRAPHS:
            self.function = captured(compute, tensors, buffers)
            return
        kept = [tensor for module in modules for tensor in tensors_of(module)]
        proof = Proof(compute, tensors, buffers)
        if key in RECORDED:
            try:
                self._use(RECORDED[key], kept, proof)
                return
            except NotCapturableError:  # code has been changed behind its name
                del RECORDED[key]
        recorded = record(compute, kept, tensors, buffers, [one])
        self._use(recorded, kept, proof)
        RECORDED[key] = recorded
        if len(RECORDED) > N_RECORDED:
            RECORDED.popitem(last=False)

    def _use(self, operations, kept, proof):
        self.function = operations.bind(kept)
        with torch.no_grad():
            proof.check(self.function, equal)

    def __call__(self, tensors):
        with torch.no_grad():
            made = self.function(*tensors)
            for parameter, gradient in zip(self.learning, made[self.n_told :], strict=True):
                parameter.grad = gradient
            told = made[: self.n_told]
            if self.device.type in GRAPHS:  # the next step writes over them
                told = [tensor.clone() for tensor in told]
        loss, *y_pred = told
        return {"loss": loss, "y_pred": tuple(y_pred) if self.is_tuple else y_pred[0]}


def _laid_out_as(parameter, gradient):
    """Return a gradient whose numbers lie as the parameter's do; fused optimizers rely on it."""
    if gradient.stride() == parameter.stride() or gradient.is_sparse:
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
        if getattr(type(net), name).__module__.partition(".")[0] not in {"sk_cbloss", "skorch"}:
            return f"{type(net).__name__} has its own {name}"
    for module in modules_of(net):
        if any(getattr(p, name) for p in module.parameters() for name in HOOKS):
            return "its module has hooks"
        if device.type not in GRAPHS and any(
            isinstance(part, CONVOLUTIONS) for part in module.modules()
        ):
            return "beside convolutions on a CPU, nothing else takes time that counts"
    return None
