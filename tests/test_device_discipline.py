"""Everything is made where the data lie, and no step waits for a GPU; seen without one.

Tensors on the meta device have shapes but no values: what is made elsewhere, or asks for a value,
is seen there. What is made of Python's numbers is seen on the CPU.
"""

import pytest
import torch
from _loss_cases import SOFTMAX, batch, build, unweighted
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sk_cbloss import CBNeuralNetClassifier, ClassBalancedMultiLabelLoss
from sk_cbloss.losses import LOSSES, NormalizedLinear
from sk_cbloss.neural_net import MLP, CifarResNet, Cutout, PadCropFlip, RandAugment
from sk_cbloss.neural_net.data._features import with_sample_weight
from sk_cbloss.neural_net.stack._stacked_loss import StackedLoss
from sk_cbloss.neural_net.stack._stacked_step import StackedStep
from sk_cbloss.neural_net.training import record

# For a value that Python wants, a shape that values decide, or numbers that come from Python.
WAITING = {
    "_local_scalar_dense",
    "_unique2",
    "allclose",
    "bincount",
    "equal",
    "histc",
    "is_nonzero",
    "isin",
    "lift_fresh",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
    "unique_dim",
}
MOVING = {"_to_copy", "copy_"}


class UndisciplinedError(Exception):
    """What a GPU would wait for, or fail at."""


class Discipline(TorchDispatchMode):
    """Refuse operations that are elsewhere, on several devices, or wait for values.

    Parameters
    ----------
    device : str, default=None
        Where all must happen. None lets tensors be moved, but not mixed.
    """

    def __init__(self, device=None):
        super().__init__()
        self.device, self.names = device, []

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = operation.__name__.partition(".")[0]
        self.names.append(name)
        if name in WAITING or _has_mask(operation, args):
            raise UndisciplinedError(f"{operation} waits")
        self._check(operation, name, [args, kwargs])
        result = operation(*args, **kwargs)
        self._check(operation, name, [args, kwargs, result])
        return result

    def _check(self, operation, name, given):
        devices = {leaf.device.type for leaf in tree_leaves(given) if _is_tensor(leaf)}
        asked = {leaf.type for leaf in tree_leaves(given) if isinstance(leaf, torch.device)}
        if self.device is not None and (devices | asked) - {self.device}:
            raise UndisciplinedError(f"{operation} is elsewhere: {devices | asked}")
        if len(devices) > 1 and name not in MOVING:
            raise UndisciplinedError(f"{operation} mixes {devices}")


def _is_tensor(value):
    return isinstance(value, torch.Tensor)


def _has_mask(operation, args):
    """Whether rows are picked by truth values, of which the true ones must be counted first."""
    if operation.overloadpacket not in (torch.ops.aten.index, torch.ops.aten.index_put_):
        return False
    return any(index is not None and index.dtype == torch.bool for index in args[1])


# ---------------------------------------------------------------------- what is refused


def asks(x):
    return x if x.sum() > 0 else -x


def marks(x):
    x[x > 0] = 1.0


WAITS = [
    lambda x: x / x.sum().item(),
    asks,
    marks,
    lambda x: bool(x.isfinite().all()),
    lambda x: x[x > 0],
    lambda x: x.nonzero(),
    lambda x: x.masked_select(x > 0),
    lambda x: torch.equal(x, x),
    lambda x: x.unique(),
    lambda x: x.repeat_interleave(x[:, 0].long(), dim=0),
    lambda x: x + torch.tensor([1.0, 2.0, 3.0]),
]
ELSEWHERE = [
    lambda x: x.tolist(),
    lambda x: x.cpu(),
    lambda x: x + torch.ones(3),
    lambda x: x + torch.zeros(()),
    lambda x: x * torch.arange(3),
    lambda x: x + torch.eye(4, 3).to(x.device),
    lambda x: x + torch.rand(3).to(x.device),
    lambda x: x + torch.full((3,), 2.0).to(x.device),
]


@pytest.mark.parametrize("function", WAITS + ELSEWHERE)
def test_on_the_meta_device_all_of_it_is_refused(function):
    with pytest.raises(UndisciplinedError), Discipline("meta"):
        function(torch.zeros(4, 3, device="meta"))


@pytest.mark.parametrize("function", [*WAITS, lambda x: x.new_tensor([1.0, 2.0])])
def test_on_the_cpu_waiting_is_refused(function):
    with pytest.raises(UndisciplinedError), Discipline("cpu"):
        function(torch.zeros(4, 3))


def test_tensors_may_be_moved_but_not_mixed():
    on_cpu, elsewhere = torch.ones(()), torch.ones(3, device="meta")
    with Discipline():
        elsewhere + on_cpu.to("meta")
        with pytest.raises(UndisciplinedError, match="mixes"):
            elsewhere + on_cpu


def test_gradients_are_watched_too():
    class Careless(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad * torch.ones(())

    x = torch.zeros(3, device="meta", requires_grad=True)
    with Discipline("meta"):
        loss = Careless.apply(x).sum()
        with pytest.raises(UndisciplinedError, match="elsewhere"):
            loss.backward()


# ---------------------------------------------------------------------- losses

each_loss = pytest.mark.parametrize("name", LOSSES)


def make(name, **more):
    """Build a loss whose parameters all matter."""
    return build(name, {"gamma": 1.5} if "focal" in name else {}, **more)


def calls(name, n):
    """Yield losses with what to call them with, in every way that they can be called."""
    logits, target = batch(n=n, dtype=torch.float32)
    target[0] = -100
    own = torch.linspace(0.5, 2, n)
    for reduction in ("none", "mean", "sum"):
        losses = [make(name, reduction=reduction), unweighted(name, {}, reduction=reduction)]
        if name in SOFTMAX:
            losses.append(make(name, reduction=reduction, label_smoothing=0.1))
        for loss in losses:
            yield loss, (logits, target)
            yield loss, (logits, target, own)
            yield loss, (logits.half(), target)
            yield loss, (logits.reshape(4, -1, 4).movedim(2, 1), target.reshape(4, -1))
            if name != "ldam":
                yield loss, (logits, logits.softmax(dim=1), own)
    yield make(name, ignore_index=None), (logits[1:], target[1:])


@each_loss
def test_losses_stay_where_the_logits_are(name):
    for loss, (logits, *others) in calls(name, n=64):
        loss, logits, *others = (given.to("meta") for given in (loss, logits, *others))
        logits.requires_grad_()
        with Discipline("meta"):
            value = loss(logits, *others)
            value.sum().backward()
        assert (value.device.type, value.dtype) == ("meta", torch.float32)
        assert value.shape == (logits[:, 0].shape if loss.reduction == "none" else ())
        slope = logits.grad
        assert (slope.device, slope.dtype, slope.shape) == (
            logits.device,
            logits.dtype,
            logits.shape,
        )


@each_loss
@pytest.mark.parametrize("n", [64, 40_000], ids=["", "several blocks"])
def test_losses_of_valid_targets_wait_for_nothing(name, n):
    for loss, (logits, *others) in calls(name, n):
        logits = logits.clone().requires_grad_()
        with Discipline("cpu") as seen:
            value = loss(logits, *others).sum()
            n_forwards = len(seen.names)
            value.backward()
        assert len(seen.names) > n_forwards > 0
        assert logits.grad is not None


def of_several_labels(n):
    """Yield the loss of several labels a sample, in every way that it can be called."""
    logits, target = batch(n=n, dtype=torch.float32)
    target = torch.nn.functional.one_hot(target, 4).float()
    own = torch.linspace(0.5, 2, n)
    forms = {}, {"gamma": (4.0, 1.0)}, {"tau": 1.0}, {"label_smoothing": 0.1}
    for reduction in ("none", "mean", "sum"):
        for form in forms:
            loss = ClassBalancedMultiLabelLoss.from_label_count(
                [50, 20, 5, 1], 100, beta=0.99, reduction=reduction, **form
            )
            yield loss, (logits, target)
            yield loss, (logits.half(), target.bool(), own)
            yield loss, (logits, torch.where(target > 0, torch.nan, target))


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_several_labels_stay_there_and_wait_for_nothing(device):
    for loss, (logits, *others) in of_several_labels(n=64):
        loss, logits, *others = (given.to(device) for given in (loss, logits, *others))
        logits = logits.clone().requires_grad_()
        with Discipline(device):
            value = loss(logits, *others)
            value.sum().backward()
        assert (value.device.type, value.dtype) == (device, torch.float32)
        assert value.shape == (logits.shape if loss.reduction == "none" else ())
        assert (logits.grad.device.type, logits.grad.dtype) == (device, logits.dtype)
        with Discipline(device):
            ways = loss.predict_proba, loss.natural_proba, loss.decision_function
            assert all(way(logits.detach()).device.type == device for way in ways)


@each_loss
def test_second_derivatives_stay_there_too(name):
    logits, target = (tensor.to("meta") for tensor in batch())
    loss = make(name).to("meta")
    logits.requires_grad_()
    with Discipline("meta"):
        (slope,) = torch.autograd.grad(loss(logits, target), logits, create_graph=True)
        slope.square().sum().backward()
    assert logits.grad.is_meta


@each_loss
def test_transformed_losses_stay_there_too(name):
    logits, target = (tensor.to("meta") for tensor in batch())
    gradient = torch.func.vmap(torch.func.grad(make(name).to("meta")), in_dims=(0, None))
    logits = torch.stack([logits, logits])
    with Discipline("meta"):
        gradients = gradient(logits, target)
    assert (gradients.device, gradients.shape) == (logits.device, logits.shape)


@each_loss
@pytest.mark.parametrize("place", ["meta", "cpu"])
def test_probabilities_are_where_the_logits_are(name, place):
    """Wherever the loss is: a net on a GPU has its logits on the CPU when it asks for them."""
    losses = [make(name), unweighted(name, {})]
    losses += [make(name, label_smoothing=0.1)] if name in SOFTMAX else []
    for loss in losses:
        loss.to(place)
        ways = [loss.decision_function, loss.predict_log_proba, loss.predict_proba]
        if name != "ldam":
            ways += [loss.natural_log_proba, loss.natural_proba]
        logits = batch(dtype=torch.float32)[0].to("meta")
        for way in ways:
            with Discipline("meta" if place == "meta" else None):
                p = way(logits)
            assert (p.device, p.shape, p.dtype) == (logits.device, logits.shape, logits.dtype)


# ---------------------------------------------------------------------- modules


@pytest.mark.parametrize(
    ("make_module", "shape"),
    [
        (lambda: MLP(5, 3, hidden_units=(7, 6), dropout=0.5), (8, 5)),
        (lambda: CifarResNet(3, 4, depth=8), (8, 3, 9, 9)),
        (lambda: nn.Sequential(nn.Linear(5, 4), NormalizedLinear(4, 3)), (8, 5)),
    ],
    ids=["MLP", "CifarResNet", "NormalizedLinear"],
)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_modules_stay_where_they_are(make_module, shape, training, device):
    module = make_module().to(device).train(training)
    x = torch.randn(shape, device=device)
    with Discipline(device):
        logits = module(x)
        logits.sum().backward()
    assert logits.device.type == device
    assert all(parameter.grad.device.type == device for parameter in module.parameters())


@pytest.mark.parametrize(
    "augment",
    [PadCropFlip(2, 0.5), PadCropFlip(2, (0.5, 1, 2)), RandAugment(), Cutout(2)],
    ids=repr,
)
def test_augmentation_stays_where_the_images_are(augment):
    images = torch.empty(6, 3, 4, 5, device="meta")
    with Discipline("meta"):
        made = augment(images)
    assert (made.device, made.shape, made.dtype) == (images.device, images.shape, images.dtype)


# ---------------------------------------------------------------------- steps


@each_loss
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_step_of_two_nets_stays_where_they_are(name, device):
    nets = [MLP(5, 4, hidden_units=(6,), dropout=0.2).to(device) for _ in range(2)]
    losses = [make(name, beta=beta).float().to(device) for beta in (0, 0.99)]
    step = StackedStep(nets[0], [StackedLoss(losses, 0)])
    parameters = {
        path: torch.stack([net.get_parameter(path).detach() for net in nets])
        for path, _ in nets[0].named_parameters()
    }
    given = torch.randn(2, 20, 5), torch.stack([batch(n=20)[1]] * 2), torch.ones(2, 20)
    given = [part.to(device) for part in given]
    with Discipline(device):
        computed = step._compute(parameters, {}, given)
    kept = [*parameters.values(), *step.losses[0].tensors]
    recorded = record(
        lambda *batch: step._compute(parameters, {}, batch), kept, given, [], [step.ones]
    )
    with Discipline(device):
        repeated = recorded.bind(kept)(*given)
    for made in (computed, repeated):
        assert all(tensor.device.type == device for tensor in made)
        assert [t.shape for t in made] == [(2,), *(p.shape for p in parameters.values())]


@each_loss
@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_a_step_of_a_net_stays_where_it_is(name, device):
    logits, target = batch(dtype=torch.float32)
    net = CBNeuralNetClassifier(loss=name, module__dropout=0.2, device="cpu", max_epochs=1)
    net.fit(logits.numpy(), target.numpy())
    net.device = device
    net.module_.to(device)
    net.criterion_.to(device)
    features = with_sample_weight(logits.to(device), torch.ones(len(target), device=device))
    features_and_target = features, target.to(device)
    net.module_.zero_grad()
    with Discipline(device):
        trained = net.train_step_single(features_and_target)
        validated = net.validation_step(features_and_target)
    for made in (*trained.values(), *validated.values(), net.module_.head.weight.grad):
        assert made.device.type == device
