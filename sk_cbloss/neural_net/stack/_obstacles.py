"""Why a net cannot be trained as one with others."""

from skorch import callbacks
from torch import optim
from torch.nn.parameter import is_lazy

from sk_cbloss.neural_net._classifier import CBNeuralNetClassifier
from sk_cbloss.neural_net.callbacks import (
    DeferredReweighting,
    LearningRateSchedule,
    LossChange,
    MeanLoss,
    TrainingCheckpoint,
)
from sk_cbloss.neural_net.data import ArrayDataset, BatchLoader, ClassAwareSampler

# Parameters that a net must leave as they are to be stacked.
FIXED = {
    "autocast": None,
    "batch_transform": None,
    "channels_last": False,
    "compile": False,
    "criterion": None,
    "dataset": ArrayDataset,
    "iterator_train": BatchLoader,
}

# Callbacks that do all they do to what is the net's own in a stack, too. (skorch's Checkpoint is
# none of them: the nets of a search write to the same file, and may only do it one by one.)
AT_EASE = {
    DeferredReweighting,
    LearningRateSchedule,
    LossChange,
    MeanLoss,
    TrainingCheckpoint,
    callbacks.EarlyStopping,
    callbacks.EpochScoring,
    callbacks.EpochTimer,
    callbacks.LRScheduler,
    callbacks.PassthroughScoring,
    callbacks.PrintLog,
}

# These treat each number by itself, so that the numbers of many nets can stand side by side.
ELEMENTWISE = {optim.ASGD, optim.Adadelta, optim.Adagrad, optim.Adam, optim.AdamW, optim.Adamax}
ELEMENTWISE |= {optim.NAdam, optim.RAdam, optim.RMSprop, optim.Rprop, optim.SGD}


def obstacle(net):
    """Return why a net cannot be stacked, as far as its parameters tell."""
    if type(net) is not CBNeuralNetClassifier:
        return f"{type(net).__name__} may train in a way of its own"
    if hasattr(net, "_skl_callbacks"):
        return "it has callbacks of scikit-learn's"
    for name, value in FIXED.items():
        if getattr(net, name) is not value:
            return f"{name}={getattr(net, name)!r}"
    if net.optimizer not in ELEMENTWISE:
        return f"optimizer={net.optimizer!r} may mix the parameters of several nets"
    if getattr(net, "optimizer__differentiable", False):
        return "optimizer__differentiable is set"
    loader = net.get_params_for("iterator_train").keys() - {"shuffle", "drop_last", "batch_size"}
    if isinstance(net.get_params_for("iterator_train").get("sampler"), ClassAwareSampler):
        loader.discard("sampler")  # its rows are drawn as those of a loader without one are
    if loader:
        return f"iterator_train__{min(loader)} is set"
    return None


def obstacle_once_built(net, batches):
    """Return why a net cannot be stacked, as far as what it is built of tells."""
    for name, callback in net.callbacks_:
        on_train = isinstance(callback, callbacks.EpochScoring) and callback.on_train
        if type(callback) not in AT_EASE or on_train:
            return f"callback {name!r} of type {type(callback).__name__} may act at each batch"
    if net._listeners("on_batch_begin") is None or net._listeners("on_batch_end") is None:
        return "a callback looks at each batch"
    if batches._data is None:
        return "its batches are put together row by row"
    if any(map(is_lazy, net.module_.parameters())):
        return "its module has parameters without a size"
    learning = {id(p) for p in net.module_.parameters() if p.requires_grad}
    groups = [p for group in net.optimizer_.param_groups for p in group["params"]]
    if not learning or learning != {id(p) for p in groups if p.requires_grad}:
        return "its optimizer has other parameters than its module"
    return None
