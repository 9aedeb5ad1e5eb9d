"""Which callbacks are told of batches and gradients, and make something of it."""

from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler, PrintLog
from torch.optim.lr_scheduler import ReduceLROnPlateau


def has_own(callback, hook):
    """Whether a callback does anything at all when it is told; one may have some methods alone."""
    method = getattr(callback, hook, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(
        Callback, hook
    )


def is_silent(callback, verbose):
    """Whether a callback would lay out a table, which takes time, that nobody sees."""
    return not verbose and type(callback) is PrintLog and callback.sink is print


def reads_batches(callback):
    """Whether a callback may look at the loss of each batch."""
    if isinstance(callback, LRScheduler):
        return callback.step_every == "batch" and callback.policy_ is ReduceLROnPlateau
    return getattr(callback, "reads_batches", True)


def acts_at_batches(callback):
    return not isinstance(callback, LRScheduler) or callback.step_every == "batch"


def others_act(net):
    """Whether anybody else, who may change the net, is called between two steps."""
    if type(net).on_grad_computed is not NeuralNet.on_grad_computed:
        return True
    hooks = ("on_batch_begin", "on_batch_end", "on_grad_computed")
    return any(
        has_own(callback, hook) and not _is_known(callback)
        for _, callback in net.callbacks_
        for hook in hooks
    )


def looks_at_outputs(net):
    """Whether anybody but the loss looks at what the module gives for a training batch."""
    own = any(
        not _is_ours(getattr(type(net), name)) for name in ("get_loss", "infer", "on_batch_end")
    )
    return own or any(
        has_own(callback, "on_batch_end")
        and getattr(callback, "on_train", True)  # of skorch's scores
        and type(callback).__module__.partition(".")[0] != "sk_cbloss"
        and not isinstance(callback, LRScheduler)
        for _, callback in net.callbacks_
    )


def _is_known(callback):
    return _is_ours(type(callback))


def _is_ours(thing):
    return thing.__module__.partition(".")[0] in {"sk_cbloss", "skorch"}
