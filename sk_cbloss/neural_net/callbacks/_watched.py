"""Callbacks that watch a score: somebody must record it."""

import inspect

from skorch.callbacks import Checkpoint, EarlyStopping

# What the net scores on validation data.
VALID_SCORES = ("valid_loss", "valid_balanced_accuracy", "valid_f1_macro")
VALID_SCORES += tuple(f"{name}_best" for name in VALID_SCORES)
KNOWN_ROOMS = {"builtins", "skorch", "sk_cbloss", "sklearn"}


def check_watched(net, dataset_valid):
    """Raise a ValueError if a callback waits for a score in vain."""
    if dataset_valid is None:
        _check_not_awaited(net.callbacks_)
    _check_recorded(net)


def _check_not_awaited(callbacks):
    """Raise a ValueError if a callback watches a score of data that there are none of."""
    rooms = {type(callback).__module__.partition(".")[0] for _, callback in callbacks}
    if not rooms <= {"skorch", "sk_cbloss"}:
        return  # callbacks from elsewhere may record it
    for _, callback in callbacks:
        if isinstance(callback, EarlyStopping | Checkpoint) and callback.monitor in VALID_SCORES:
            raise ValueError(
                f"{type(callback).__name__} must have validation data for {callback.monitor!r}, "
                "got none: set train_split=ValidSplit(5, stratified=True), pass X_val and y_val, "
                "or use early_stopping=True."
            )


def _check_recorded(net):
    """Raise a ValueError if a callback watches what nobody records, as far as it can be told."""
    watching = [cb for _, cb in net.callbacks_ if isinstance(cb, EarlyStopping | Checkpoint)]
    watching = [callback for callback in watching if isinstance(callback.monitor, str)]
    kinds = [*type(net).__mro__, *(type(callback) for _, callback in net.callbacks_)]
    if not watching or any(map(_may_record, kinds)):
        return
    names = {"epoch", "dur"}
    for _, callback in net.callbacks_:
        named = [getattr(callback, key, None) for key in ("name", "name_", "event_name")]
        names |= {name for name in named if isinstance(name, str)}
    for callback in watching:
        if callback.monitor.removesuffix("_best") not in names:
            raise ValueError(
                f"{type(callback).__name__} must watch what is recorded, one of "
                f"{', '.join(map(repr, sorted(names)))}, got {callback.monitor!r}."
            )


def _may_record(kind):
    is_known = kind.__module__.partition(".")[0] in KNOWN_ROOMS
    own = [value for name, value in vars(kind).items() if name != "__init__"]
    return not is_known and any(map(inspect.isfunction, own))
