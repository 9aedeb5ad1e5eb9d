"""Checkpoints from which a training goes on as if nothing had happened."""

import os
import warnings
from pathlib import Path

import torch
from skorch.history import History
from torch import nn

from sk_cbloss._validation import check_integer
from sk_cbloss.neural_net.callbacks._plain_callback import PlainCallback
from sk_cbloss.neural_net.state import (
    SCORING,
    TELLING,
    DamagedStateError,
    check_has_state,
    fingerprint,
    methods,
    params_of,
    put_state,
    read_state,
    remove_leftovers,
    state_of,
    structure,
    write_state,
)
from sk_cbloss.neural_net.training import n_epochs_done

KIND = "sk_cbloss training checkpoint, version 1"

# Parameters that change nothing of what is learned.
NOT_IN_NAME = {"accelerator", "device", "timeout", "torch_load_kwargs", "use_caching", "verbose"}
NOT_IN_NAME |= {"warm_start"}


class TrainingCheckpoint(PlainCallback):
    """Write down all of a training after each epoch, and go on from there when it was cut off.

    Start the same call again, after a crash, a full disk or a killed process,
    and ``fit`` goes on from the last whole epoch. On the CPU it ends with the
    very parameters, bit by bit, that an undisturbed training ends with. A
    training that had finished is not repeated (one that stopped early, but
    for its last epochs): a search that was cut off in its middle goes on
    there.

    Parameters
    ----------
    dirname : str or path
        The folder. Each training has a folder of its own in it, named after
        parameters, data and module, so that folds and candidates of a search
        never meet.
    every : int, default=1
        Number of epochs between two checkpoints.
    keep : int or None, default=2
        Number of checkpoints to keep, at least 2; None keeps all.
    start_from : str or path, default=None
        A checkpoint of another training, to branch off from: the module, what
        the optimizer has learned, random numbers and history begin as they
        are there; settings, loss, data and callbacks are this net's own.
    sink : callable, default=print
        Takes the line that says, if the net is verbose, where training goes
        on or starts.

    Attributes
    ----------
    folder_ : pathlib.Path
        Where this training's checkpoints lie, ``epoch-00001.safetensors`` and
        so on.

    See Also
    --------
    skorch.callbacks.Checkpoint : Saves the best parameters.

    Notes
    -----
    A checkpoint holds parameters, buffers, optimizer, gradient scaler, learning
    rate schedule, the state of every callback, class counts, history, torch's
    random generators and the number of epochs; random numbers from elsewhere,
    such as numpy's in a data set of your own, it cannot hold. It is written
    beside the old one, then put in place in one step, and has a checksum. One
    that is damaged, or belongs to another training, is named in a warning, and
    the one before it is taken; if none is left, that is an error. Nothing in
    it is ever unpickled.

    Without a ``random_state``, two calls that are alike are one training.
    Compiled modules go on, too, but were seen to differ in the last digits.

    Examples
    --------
    >>> import tempfile
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> from sk_cbloss.neural_net import TrainingCheckpoint
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoint = TrainingCheckpoint(folder)
    ...     net = CBNeuralNetClassifier(max_epochs=5, callbacks=[checkpoint], random_state=0)
    ...     _ = net.fit(X, y)  # writes
    ...     _ = net.fit(X, y)  # reads, and has nothing left to do
    ...     [path.name for path in sorted(net.callbacks_[-1][1].folder_.iterdir())]
    ['epoch-00004.safetensors', 'epoch-00005.safetensors']
    """

    def __init__(self, dirname, *, every=1, keep=2, start_from=None, sink=print):
        self.dirname = dirname
        self.every = every
        self.keep = keep
        self.start_from = start_from
        self.sink = sink

    # ------------------------------------------------------------------ when

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        super().on_train_begin(net, **kwargs)
        if not isinstance(self.dirname, str | os.PathLike):
            raise ValueError(f"dirname must be a path, got {self.dirname!r}.")
        if not isinstance(self.start_from, str | os.PathLike | None):
            raise ValueError(f"start_from must be a path or None, got {self.start_from!r}.")
        if not callable(self.sink):
            raise ValueError(f"sink must be callable, got {self.sink!r}.")
        check_integer(self.every, "every", minimum=1)
        if self.keep is not None:
            check_integer(self.keep, "keep", minimum=2)
        for name, callback in self._others(net):
            check_has_state(name, callback)
        for name, value in net.get_params_for("iterator_train").items():
            if isinstance(value, torch.Generator) or getattr(value, "generator", None) is not None:
                raise ValueError(
                    f"iterator_train__{name} must have no generator of its own beside a "
                    "TrainingCheckpoint, which cannot put it back where it was; random_state "
                    "takes its place."
                )
        on_first = net._call.ranks.from_first  # it alone reads and writes
        self.fingerprint_ = on_first(lambda: self._name_of(net, X, y))
        self.folder_ = Path(self.dirname).expanduser() / self.fingerprint_
        on_first(self._prepare_folder)
        path, state = on_first(self._newest)
        if state is not None:
            self._put(net, state)
            self._tell(net, f"Going on after epoch {len(net.history)}, from {path}")
            return
        if self.start_from is not None and net._call.is_new:
            self._branch(net, on_first(lambda: read_state(self.start_from, KIND)))
        self._tell(net, f"Starting in {self.folder_}")

    def _prepare_folder(self):
        try:
            self.folder_.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                error.errno, f"Could not make the folder {self.folder_}: {error.strerror}."
            ) from error
        remove_leftovers(self.folder_)

    def _name_of(self, net, X, y):
        """Return a name for all that the training depends on."""
        params = {
            name: value
            for name, value in sorted(net.get_params(deep=False).items())
            if name not in NOT_IN_NAME and name.partition("__")[0] != "callbacks"
        }
        callbacks = {
            name: (methods(type(callback)), params_of(callback))
            for name, callback in self._others(net)
            if not isinstance(callback, TELLING)
        }
        parts, learned = net._learning_parts(), None
        # Without a seed, a module that was made just now is another one each time.
        if (
            net.random_state is not None
            or not net._call.is_new
            or isinstance(net.module, nn.Module)
        ):
            learned = {name: dict(part.state_dict()) for name, part in parts.items()}
        branch = None
        if self.start_from is not None:
            try:
                branch = Path(self.start_from).read_bytes()
            except OSError as error:
                raise type(error)(
                    error.errno,
                    f"start_from must be a checkpoint, got {self.start_from}: {error.strerror}.",
                ) from error
        data = X, y, net.class_count_, net.classes_, net._call.validation_data
        if net._call.ranks.n_ranks > 1:
            params["number of ranks"] = net._call.ranks.n_ranks
        form = type(net), {name: structure(part) for name, part in parts.items()}
        return fingerprint(params, net._call.fit_params, callbacks, form, learned, branch, data)

    def _others(self, net):
        for name, callback in net.callbacks_:
            if not isinstance(callback, TrainingCheckpoint):
                yield name, callback

    def _newest(self):
        """Return the last whole checkpoint and its path, None if there are none yet.

        A ValueError if none is of use.
        """
        paths, problems = self._paths(), []
        for path in reversed(paths):
            try:
                state = self._read(path)
            except (ValueError, OSError) as error:
                problems.append(str(error))
                continue
            for problem in problems:
                warnings.warn(f"{problem} Going on from {path.name} instead.", stacklevel=2)
            return path, state
        if problems:
            raise ValueError(
                f"{problems[0]} No other checkpoint is left in {self.folder_}; remove the folder "
                "to start anew."
            )
        return None, None

    def _paths(self):
        """Return the checkpoints in the order of their epochs."""
        return sorted(self.folder_.glob("epoch-*.safetensors"), key=_in_order)

    def _read(self, path):
        state = read_state(path, KIND)
        if state["fingerprint"] != self.fingerprint_:
            raise DamagedStateError(
                f"{path} must belong to the training {self.fingerprint_}, got a checkpoint of "
                f"{state['fingerprint']}: other parameters, data or module."
            )
        return state

    def _tell(self, net, text):
        if net.verbose:
            self.sink(text)

    def on_epoch_end(self, net, **kwargs):
        done = n_epochs_done(net)
        if done % self.every and done != net.max_epochs:
            return
        net._call.ranks.from_first(lambda: self._write(net))

    def _write(self, net):
        last = self.folder_ / f"epoch-{len(net.history):05}.safetensors"
        write_state(last, self._take(net), KIND)
        if self.keep is not None:
            # Another process may train the same, and be further.
            paths = [path for path in self._paths() if _in_order(path) <= _in_order(last)]
            for path in paths[: -self.keep]:
                path.unlink(missing_ok=True)

    # ------------------------------------------------------------------ what

    def _take(self, net):
        """Return all that the rest of the training depends on."""
        parts = net._learning_parts()
        return {
            "fingerprint": self.fingerprint_,
            "n_epochs": n_epochs_done(net),
            "modules": {name: dict(part.state_dict()) for name, part in parts.items()},
            "frozen": {name: _frozen(part) for name, part in parts.items()},
            "optimizers": {
                name: getattr(net, f"{name}_").state_dict() for name in net._optimizers
            },
            "grad_scaler": net._grad_scaler and net._grad_scaler.state_dict(),
            "callbacks": {name: state_of(callback) for name, callback in self._others(net)},
            "split": net._call.split,
            "class_count": net.class_count_,
            "history": list(net.history),
            "random": _random_states(net._device_in_use),
        }

    def _put(self, net, state):
        """Put the net into the state."""
        for name, optimizer in state["optimizers"].items():
            getattr(net, f"{name}_").load_state_dict(optimizer)
        if net._grad_scaler is not None:
            net._grad_scaler.load_state_dict(state["grad_scaler"])
        for name, callback in self._others(net):
            if name in state["callbacks"]:
                put_state(callback, state["callbacks"][name])
        net.class_count_, net._call.split = state["class_count"], state["split"]
        self._put_modules(net, state)

    def _put_modules(self, net, state):
        for name, part in net._learning_parts().items():
            part.load_state_dict(state["modules"][name])
            for path, parameter in part.named_parameters():
                parameter.requires_grad_(path not in state["frozen"][name])
        net.history = History(state["history"])
        net._call.n_epochs_resumed = state["n_epochs"]
        _set_random_states(state["random"], net._device_in_use)

    def _branch(self, net, state):
        """Take module, optimizer, random numbers and history from another training."""
        if state["n_epochs"] >= net.max_epochs:
            raise ValueError(
                f"max_epochs must be above the {state['n_epochs']} epochs that start_from brings, "
                f"got {net.max_epochs}."
            )
        try:
            for name, saved in state["optimizers"].items():
                optimizer = getattr(net, f"{name}_")
                optimizer.load_state_dict(_with_own_settings(optimizer, saved))
            self._put_modules(net, state)
            for name, callback in self._others(net):
                if isinstance(callback, SCORING) and name in state["callbacks"]:
                    put_state(callback, state["callbacks"][name])
        except (AttributeError, KeyError, RuntimeError, ValueError) as error:
            problem = str(error).split("\n\t")[:2][-1].strip()  # torch lists all of a module's
            raise ValueError(
                "start_from must be a checkpoint of the same module and optimizer, got "
                f"{self.start_from}, which does not fit: {problem.rstrip('.')}."
            ) from error


def _in_order(path):
    return len(path.name), path.name


def _frozen(module):
    return [name for name, parameter in module.named_parameters() if not parameter.requires_grad]


def _with_own_settings(optimizer, saved):
    """Return what a saved optimizer has learned, with the settings of another."""
    own = optimizer.state_dict()
    for ours, theirs in zip(own["param_groups"], saved["param_groups"], strict=True):
        passing = {"initial_lr"}  # a schedule's
        if ours.keys() ^ theirs.keys() <= passing and ours["params"] == theirs["params"]:
            continue
        raise ValueError(f"{type(optimizer).__name__} has other parameters")
    return own | {"state": saved["state"]}


def _random_states(device):
    states = {"cpu": torch.get_rng_state()}
    if torch.device(device).type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return states


def _set_random_states(states, device):
    torch.set_rng_state(states["cpu"])
    if "cuda" in states and torch.device(device).type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], device)
