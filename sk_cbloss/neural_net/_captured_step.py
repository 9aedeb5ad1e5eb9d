"""Training steps on a GPU, captured in graphs."""

import copy
import inspect
import logging
import random
from collections import Counter

import numpy as np
import torch
from torch import nn
from torch.nn.parameter import is_lazy

from sk_cbloss.neural_net._batches import each_array
from sk_cbloss.neural_net._fingerprint import fingerprint, structure
from sk_cbloss.neural_net._graph import NotCapturableError, captured
from sk_cbloss.neural_net._proof import first_line, kept_random_numbers
from sk_cbloss.neural_net._stacked_step import has_hooks

LOG = logging.getLogger(__name__)

DEVICES = {"cuda"}  # that can repeat a step as a whole
PLAIN_STEPS = 10  # of each shape, before one is captured: about as many as that takes the time of
HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")


class CapturedSteps:
    """The steps of one call of ``fit``: a graph for each shape of a batch.

    A graph holds what the GPU does for the loss of a batch and its gradients. The optimizer takes
    its step from there, so that it may be any, and callbacks may change its settings. What cannot
    be captured is left to be done plainly, for a reason that is logged.

    Attributes
    ----------
    obstacle : str or None
        Why nothing is captured.
    """

    def __init__(self):
        self.graphs, self.n_seen, self.form, self.device = {}, Counter(), None, None
        self.obstacle, self.has_failed = "no epoch has begun on a GPU", False

    def __reduce__(self):  # graphs belong to the process and the GPU
        return CapturedSteps, ()

    def begin_epoch(self, net):
        """Look whether the net may be captured, and is still the one that was.

        Parameters
        ----------
        net : CBNeuralNetClassifier
            The net, ready for an epoch.
        """
        self.device = torch.device(net.device)
        if self.has_failed or self.device.type not in DEVICES:
            return
        obstacle, form = _obstacle(net), None
        if not obstacle:
            try:
                form = _form_of(net)
            except TypeError as error:  # something that cannot be told from others
                obstacle = first_line(error)
        if form != self.form:
            self.graphs.clear()
        self._set_obstacle(obstacle)
        self.form = form

    def _set_obstacle(self, obstacle):
        if obstacle and obstacle != self.obstacle:
            LOG.info("Training steps are not captured: %s.", obstacle)
        self.obstacle = obstacle

    def take(self, net, batch):
        """Compute the loss of a batch, and its gradients, by a graph.

        Parameters
        ----------
        net : CBNeuralNetClassifier
            The net.
        batch : list
            Features and targets.

        Returns
        -------
        tuple or None
            The loss and what the module returns; None if the step must be taken plainly.
        """
        if self.obstacle is not None:
            return None
        tensors = []
        each_array(tensors.append, batch)
        if not all(isinstance(tensor, torch.Tensor) for tensor in tensors):
            return None
        shapes = tuple((tensor.shape, tensor.stride(), tensor.dtype) for tensor in tensors)
        self.n_seen[shapes] += 1
        if self.n_seen[shapes] <= PLAIN_STEPS:
            return None
        tensors = [tensor.to(self.device) for tensor in tensors]
        if shapes not in self.graphs:
            try:
                self.graphs[shapes] = _Step(net, batch, tensors)
            except Exception as error:  # torch's own, of whatever a GPU cannot repeat
                self.graphs.clear()
                self.has_failed = True
                self._set_obstacle(first_line(error))
                return None
        return self.graphs[shapes](tensors)


class _Step:
    """The loss of a batch of one shape, and its gradients."""

    def __init__(self, net, batch, tensors):
        _check_repeatable(net, batch)
        learning = [p for _, p in net.get_all_learnable_params() if p.requires_grad]
        scale = (lambda loss: loss) if net._grad_scaler is None else net._grad_scaler.scale

        def compute(*tensors):
            tensors = iter(tensors)
            with torch.enable_grad():
                loss, y_pred = net._loss_and_output(each_array(lambda _: next(tensors), batch))
                gradients = torch.autograd.grad(scale(loss), learning, allow_unused=True)
            self.is_tuple = isinstance(y_pred, tuple)
            told = [loss, *y_pred] if self.is_tuple else [loss, y_pred]
            self.n_told = len(told)
            pairs = zip(learning, gradients, strict=True)
            self.learning = [p for p, gradient in pairs if gradient is not None]
            told += [gradient for gradient in gradients if gradient is not None]
            return [tensor.detach() for tensor in told]

        buffers = [buffer for module in _modules_of(net) for buffer in module.buffers()]
        self.graph = captured(compute, tensors, buffers)

    def __call__(self, tensors):
        made = self.graph(*tensors)
        for parameter, gradient in zip(self.learning, made[self.n_told :], strict=True):
            parameter.grad = gradient
        # The next step writes over them.
        loss, *y_pred = (tensor.clone() for tensor in made[: self.n_told])
        return loss, tuple(y_pred) if self.is_tuple else y_pred[0]


def _obstacle(net):
    """Return why a net's steps cannot be captured, as far as it can be told beforehand."""
    if net.compile:
        return "compile=True"
    if len(net._optimizers) > 1:
        return "there are several optimizers"
    if net._call.fit_params.keys() - {"epochs"}:
        return "fit was given parameters for the module"
    for hook in ("on_batch_begin", "on_batch_end"):
        if net._listeners(hook) is None:
            return "a callback looks at each batch"
    for name in ("train_step", "train_step_single", "infer", "get_loss"):
        if not getattr(type(net), name).__module__.startswith(__package__):
            return f"{type(net).__name__} has its own {name}"
    for module in _modules_of(net):
        if any(map(is_lazy, module.parameters())):
            return "its module has parameters without a size"
        of_parameters = [getattr(p, name) for p in module.parameters() for name in HOOKS]
        if any(of_parameters) or any(map(has_hooks, module.modules())):
            return "its module has hooks"
    return None


def _modules_of(net):
    parts = [getattr(net, f"{name}_") for name in [*net._modules, *net._criteria]]
    return [part for part in [*parts, net.batch_transform] if isinstance(part, nn.Module)]


def _form_of(net):
    """Return what a graph depends on beside the numbers in tensors that stay where they are."""
    modules = _modules_of(net)
    return fingerprint(
        [structure(module) for module in modules],
        [part.training for module in modules for part in module.modules()],
        [_place_of(tensor) for module in modules for tensor in _tensors_of(module)],
        None if isinstance(net.batch_transform, nn.Module) else _with_places(net.batch_transform),
        net.autocast,
        net.channels_last,
    )


def _tensors_of(module):
    return [*module.parameters(), *module.buffers()]


def _place_of(tensor):
    return tensor.data_ptr(), tuple(tensor.shape), tensor.requires_grad


def _with_places(value):
    """Return what tells a callable from others, where its tensors lie in place of their values."""
    if not hasattr(value, "__dict__") or inspect.isroutine(value):
        return value
    own = vars(value).items()
    return type(value), [
        (name, _place_of(part) if isinstance(part, torch.Tensor) and part.is_cuda else part)
        for name, part in own
    ]


def _check_repeatable(net, batch):
    """Raise a NotCapturableError if copies of what a net is made of do more than compute."""
    twin = object.__new__(type(net))
    vars(twin).update(vars(net), batch_transform=copy.deepcopy(net.batch_transform))
    for name in [*net._modules, *net._criteria]:
        vars(twin)[f"{name}_"] = copy.deepcopy(getattr(net, f"{name}_"))
    device = torch.device(net.device)
    before = _form_of(twin), _numbers_elsewhere(device)
    with kept_random_numbers(device):
        twin._loss_and_output(batch)
        after = _form_of(twin), _numbers_elsewhere(device)
    if after != before:
        raise NotCapturableError(
            "its module or batch_transform changes attributes of its own, or draws random numbers "
            "that are not the device's"
        )


def _numbers_elsewhere(device):
    """Return where random numbers are that the device does not draw."""
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    on_cpu = [] if device.type == "cpu" else torch.get_rng_state().tolist()
    return random.getstate(), fingerprint(numpy_state), on_cpu
