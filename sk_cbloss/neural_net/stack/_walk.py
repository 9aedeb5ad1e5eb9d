"""The fit of a net, walked through epoch by epoch, so that many can take turns."""

from contextlib import suppress
from functools import partial
from numbers import Integral

import torch
from sklearn.base import clone
from skorch.utils import is_dataset

from sk_cbloss.neural_net.data import (
    Rows,
    Uncast,
    as_tensor,
    check_features,
    cut,
    is_multi_input,
    is_streamed,
    split_sample_weight,
)
from sk_cbloss.neural_net.errors import first_line
from sk_cbloss.neural_net.stack._obstacles import obstacle, obstacle_once_built
from sk_cbloss.neural_net.stack._stacked_loss import kind_of_loss
from sk_cbloss.neural_net.state import RandomStream, fingerprint, structure
from sk_cbloss.neural_net.training import DivergenceGuard, FitCall, record_batches

# Parameters that nets of a stack need not share: each has its own loss, optimizer's settings,
# callbacks and random numbers.
FREE = {
    "beta",
    "callbacks",
    "early_stopping",
    "gamma",
    "loss",
    "lr",
    "max_epochs",
    "n_iter_no_change",
    "normalize",
    "random_state",
    "train_split",
    "validation_fraction",
    "verbose",
}
FREE_PREFIXES = ("callbacks__", "criterion__", "optimizer__")


class Walk:
    """A fit, walked through epoch by epoch with its own random numbers."""

    def __init__(self, fit, shared, seed, tell):
        self.fit, self.shared, self.seed, self.tell = fit, shared, seed, tell
        self.is_done, self.n_told = False, 0
        try:
            self.give_up(obstacle(fit.net))
            params = fit.net.get_params(deep=False)
            fixed = {
                name: value
                for name, value in params.items()
                if name not in FREE and not name.startswith(FREE_PREFIXES)
            }
            self.kind = fingerprint(sorted(fixed.items()))
        except Exception as error:  # of whatever the parameters are
            self.give_up(f"a parameter cannot be compared with that of other nets ({error})")

    def give_up(self, obstacle):
        """Leave the fit to be done alone, if there is an obstacle."""
        if obstacle is not None:
            self.fit.obstacle, self.fit.n_nets, self.is_done = obstacle, 0, True
            self.fit.fitted = self.fit.error = self.net = self.generator = None
            self._tell_of(0)

    # ------------------------------------------------------------------ to the first epoch

    def begin(self):
        """Build the net, up to its first epoch; return whether there is one to train."""
        self.net = clone(self.fit.net)
        try:
            seed = self.net._next_seed(build=True)
            self.stream = RandomStream(self.seed if seed is None else seed, self.net.device)
            X = self._shared_features()
        except Exception as error:  # the rows of this fit may be valid all the same
            self.give_up(f"X cannot be checked as a whole ({first_line(error)})")
            return False
        self.generator = _walk_through(self.net, X, self.fit.y, self.fit.sample_weight)
        self._go_on()
        if not self.is_done:
            self.give_up(obstacle_once_built(self.net, self.batches))
        return not self.is_done

    def _shared_features(self):
        """Return the rows of features that are checked once for all nets."""
        net, X = self.net, self.fit.X
        self._key = key = id(X), net.dtype, str(net.device)
        if key not in self.shared:
            if is_multi_input(X):
                raise ValueError("X must be one array")
            if is_streamed(X) or is_dataset(X):
                raise ValueError("its rows are read when a batch needs them")
            array = as_tensor(check_features(net, X, dtype=net.dtype, reset=True))
            if isinstance(array, torch.Tensor | Uncast):
                array = array.to(net.device)
            names = ("n_features_in_", "feature_names_in_")
            learned = {name: vars(net)[name] for name in names if name in vars(net)}
            self.shared[key] = array, learned
        array, learned = self.shared[key]
        return Rows(array, self.fit.rows, learned)

    def some_features(self):
        """Return the features of a batch, without drawing one."""
        features, _ = split_sample_weight(self.batches._data[0])
        start, stop = self.batches._bounds()[0]
        return cut(features, torch.arange(start, stop)).to(self.net.device)

    def learn_shape(self, is_random, number):
        """Learn what the nets of a stack must share that only building them tells."""
        net, loader = self.net, self.batches
        tensors = [*net.module_.named_parameters(), *net.module_.named_buffers()]
        names = {id(tensor): name for name, tensor in tensors}
        groups = [[names[id(p)] for p in group["params"]] for group in net.optimizer_.param_groups]
        features, weight = split_sample_weight(loader._data[0])
        self.is_random = is_random
        self.shape = fingerprint(
            structure(net.module_),
            [(name, tuple(t.shape), t.dtype, t.requires_grad) for name, t in tensors],
            [tuple(buffer.shape) for buffer in net.criterion_.buffers()],
            groups,
            loader._bounds(),
            features.shape[1:],
            weight is None,
            self.stream.state if is_random else None,
        )
        # Beside those with the same loss, the same settings and the same features, else as given.
        settings = [
            {name: value for name, value in group.items() if name != "params"}
            for group in net.optimizer_.param_groups
        ]
        array = list(self.shared).index(self._key)
        self.place = fingerprint(kind_of_loss(net.criterion_)), repr(settings), array, number

    # ------------------------------------------------------------------ epochs

    def begin_epoch(self):
        """Draw the order of the rows."""
        net = self.net
        net._set_training(True)
        net._call.n_batches = len(self.batches)
        with self.stream:
            return self.batches._draw_order()

    def listeners(self, hook):
        """Return what to call at each batch."""
        return [
            partial(getattr(callback, hook), self.net, batch=None, training=True)
            for callback in self.net._listeners(hook)
        ]

    def end_epoch(self, losses, is_finite):
        """Record the losses of the batches, and go on to where the next epoch begins."""
        sizes = [stop - start for start, stop in self.batches._bounds()]
        rows = self.net.history[-1]["batches"]
        rows.extend({} for _ in sizes[len(rows) :])  # there are some if a callback was told
        record_batches(rows, "train", losses.tolist(), sizes)
        self.net.history.record("train_batch_count", len(sizes))
        self._tell_of(self.n_told + 1)
        self._go_on(None if is_finite else self._divergence(losses.unbind()))

    def _tell_of(self, n_epochs):
        """Tell how many epochs are done, of which some have been told of."""
        if self.tell:
            self.tell(n_epochs - self.n_told)
        self.n_told = n_epochs

    def _divergence(self, losses):
        """Return the error that tells of losses, or of parameters, that are not finite."""
        guard = DivergenceGuard(self.net, self.batches)
        try:
            guard.check(losses)
            guard.stop(losses)
        except FloatingPointError as error:
            return error

    def _go_on(self, error=None):
        """Let the net do what it does up to its next epoch, or as it ends."""
        with self.stream:
            try:
                if error is None:
                    self.batches = next(self.generator)
                else:
                    self.generator.throw(error)
            except StopIteration:
                self.fit.fitted, self.is_done = self.net, True
            except Exception as error:
                self.fit.error, self.is_done = error, True
        if self.is_done and isinstance(self.net.max_epochs, Integral):
            self._tell_of(self.net.max_epochs)


def _walk_through(net, X, y, sample_weight):
    """Fit a net as its ``fit`` does, but yield the batches of each epoch to train on."""
    data = net._learn_of(X, y, sample_weight)
    net._get_ready(FitCall(), data)
    try:
        net.notify("on_train_begin", X=data.X, y=data.positions)
        with suppress(KeyboardInterrupt):  # skorch's way to end training early
            yield from net._epochs(data.X, data.positions)
        net.notify("on_train_end", X=data.X, y=data.positions)
    finally:
        del net._fit_call
