"""What callbacks have learned so far, as plain values, and what they were made with."""

import inspect
from collections import Counter

from skorch import callbacks

# skorch's callbacks, each with the attributes that a training changes. Others have none: what
# they do depends on parameters, history and epoch alone.
LEARNED = {
    callbacks.BatchScoring: ("best_score_",),
    callbacks.Checkpoint: (),
    callbacks.EarlyStopping: (
        "misses_",
        "dynamic_threshold_",
        "best_epoch_",
        "best_model_weights_",
    ),
    callbacks.EpochScoring: ("best_score_",),
    callbacks.EpochTimer: (),
    callbacks.Freezer: (),
    callbacks.GradientNormClipping: (),
    callbacks.Initializer: (),
    callbacks.InputShapeSetter: (),
    callbacks.LoadInitState: (),
    callbacks.LRScheduler: ("batch_idx_",),
    callbacks.ParamMapper: (),
    callbacks.PassthroughScoring: ("best_score_",),
    callbacks.PrintLog: ("first_iteration_",),
    callbacks.ProgressBar: (),
    callbacks.TensorBoard: ("first_batch_",),
    callbacks.TrainEndCheckpoint: (),
    callbacks.Unfreezer: (),
}


# Those that only tell, and what of the others is for telling only.
TELLING = (callbacks.EpochTimer, callbacks.PrintLog, callbacks.ProgressBar, callbacks.TensorBoard)
TOLD = {"sink"}
# Those whose best score belongs to the history.
SCORING = (callbacks.BatchScoring, callbacks.EpochScoring, callbacks.PassthroughScoring)


def has_own_state(callback):
    """Whether the callback can say by itself what it has learned."""
    return hasattr(callback, "state_dict") and hasattr(callback, "load_state_dict")


def check_has_state(name, callback):
    """Raise a TypeError unless it is known what the callback learns."""
    if not has_own_state(callback) and type(callback) not in LEARNED:
        raise TypeError(
            "Every callback must have state_dict() and load_state_dict() beside a "
            f"TrainingCheckpoint, got {name!r} of type {type(callback).__name__}. One that has "
            "nothing to remember returns {}."
        )


def params_of(callback):
    """Return what the callback was made with, as far as it matters for what is learned."""
    if type(callback) in LEARNED:
        params = callback.get_params()
    else:  # there, skorch's rule takes in what was learned
        names = inspect.signature(type(callback)).parameters
        params = {name: getattr(callback, name, None) for name in names}
    return {name: value for name, value in params.items() if name not in TOLD}


def state_of(callback):
    """Return what the callback has learned."""
    if has_own_state(callback):
        return callback.state_dict()
    state = {name: getattr(callback, name) for name in LEARNED[type(callback)]}
    if isinstance(callback, callbacks.LRScheduler):
        state["lr_scheduler_"] = {
            name: dict(value) if isinstance(value, Counter) else value
            for name, value in callback.lr_scheduler_.state_dict().items()
        }
    return state


def put_state(callback, state):
    """Give the callback back what it had learned."""
    if has_own_state(callback):
        callback.load_state_dict(state)
        return
    if isinstance(callback, callbacks.LRScheduler):
        state = dict(state)
        scheduler = callback.lr_scheduler_
        own = scheduler.state_dict()
        scheduler.load_state_dict(
            {
                name: Counter(value) if isinstance(own.get(name), Counter) else value
                for name, value in state.pop("lr_scheduler_").items()
            }
        )
    vars(callback).update(state)
