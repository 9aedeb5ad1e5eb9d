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
from sk_cbloss.neural_net.stack._alone import NotStackableError
from sk_cbloss.neural_net.stack._obstacles import obstacle_once_built
from sk_cbloss.neural_net.stack._stacked_loss import kind_of_loss
from sk_cbloss.neural_net.state import RandomStream, fingerprint, structure
from sk_cbloss.neural_net.training import DivergenceGuard, FitCall, record_batches


class Walk:
    """A fit, walked through epoch by epoch with its own random numbers."""

    def __init__(self, fit, shared, seed, tell=None):
        self.fit, self.shared, self.seed, self.tell = fit, shared, seed, tell
        self.is_done, self.n_told = False, 0

    def give_up(self, obstacle):
        """Leave the fit to be done alone, if there is an obstacle."""
        if obstacle is not None:
            self.fit.obstacle, self.fit.n_nets, self.is_done = obstacle, 0, True
            self.fit.fitted = self.fit.error = None
            self._let_go()
            self._tell_of(0)

    # ------------------------------------------------------------------ to the first epoch

    def begin(self):
        """Build the net, up to its first epoch; return whether there is one to train."""
        self.net = clone(self.fit.net)
        try:
            X = self._open()
        except NotStackableError as error:  # the rows of this fit may be valid all the same
            self.give_up(str(error))
            return False
        self.generator = _walk_through(self.net, X, self.fit.y, self.fit.sample_weight)
        self._go_on()
        if not self.is_done:
            self.give_up(obstacle_once_built(self.net, self.batches))
        return not self.is_done

    def sketch(self):
        """Build the net as `begin` does, but silently, to see what it is."""
        self.net = net = clone(self.fit.net).set_params(verbose=0)
        X = self._open()
        with self.stream:
            data = net._learn_of(X, self.fit.y, self.fit.sample_weight)
            net._get_ready(FitCall(), data)
            train, _ = net.get_split_datasets(data.X, data.targets)
            self.batches = net.get_iterator(train, training=True)
        if obstacle := obstacle_once_built(net, self.batches):
            raise NotStackableError(obstacle)

    def _open(self):
        """Begin the net's random numbers, and return its features, checked once for all nets."""
        try:
            seed = self.net._next_seed(build=True)
            self.stream = RandomStream(self.seed if seed is None else seed, self.net.device)
            return self._shared_features()
        except Exception as error:
            reason = f"X cannot be checked as a whole ({first_line(error)})"
            raise NotStackableError(reason) from error

    def _shared_features(self):
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
            self.shared[key] = array, learned, X  # kept, lest its id be given anew
        array, learned, _ = self.shared[key]
        return Rows(array, self.fit.rows, learned)

    def some_features(self):
        """Return the features of a batch, without drawing one."""
        features, _ = split_sample_weight(self.batches._data[0])
        start, stop = self.batches._bounds()[0]
        return cut(features, torch.arange(start, stop)).to(self.net.device)

    def shape(self, is_random):
        """Return a name for what the nets of a stack must share that building them tells."""
        net, loader = self.net, self.batches
        tensors = [*net.module_.named_parameters(), *net.module_.named_buffers()]
        names = {id(tensor): name for name, tensor in tensors}
        groups = [[names[id(p)] for p in group["params"]] for group in net.optimizer_.param_groups]
        features, weight = split_sample_weight(loader._data[0])
        return fingerprint(
            structure(net.module_),
            [(name, tuple(t.shape), t.dtype, t.requires_grad) for name, t in tensors],
            [tuple(buffer.shape) for buffer in net.criterion_.buffers()],
            groups,
            (len(loader.sampler.sampler), loader.sampler.batch_size, loader.sampler.drop_last),
            features.shape[1:],
            weight is None,
            self.stream.state if is_random else None,
        )

    def place(self, number):
        """Return where it stands in a stack, whose nets are given by number.

        Beside those with the same loss, the same settings and the same features.
        """
        settings = [
            {name: value for name, value in group.items() if name != "params"}
            for group in self.net.optimizer_.param_groups
        ]
        array = list(self.shared).index(self._key)
        return fingerprint(kind_of_loss(self.net.criterion_)), repr(settings), array, number

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

    def end_epoch(self, losses, is_finite, known=None):
        """Record the losses of the batches, and go on to where the next epoch begins."""
        sizes = [stop - start for start, stop in self.batches._bounds()]
        rows = self.net.history[-1]["batches"]
        rows.extend({} for _ in sizes[len(rows) :])  # there are some if a callback was told
        known = None if known is None else known.tolist()
        record_batches(rows, "train", losses.tolist(), sizes, known)
        self.net.history.record("train_batch_count", len(sizes))
        self._tell_of(self.n_told + 1)
        self._go_on(None if is_finite else self._divergence(losses.unbind()))

    def _let_go(self):
        """Keep nothing of what it was trained with."""
        self.net = self.generator = self.batches = None

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
        if self.is_done:
            if isinstance(self.net.max_epochs, Integral):
                self._tell_of(self.net.max_epochs)
            self._let_go()


def _walk_through(net, X, y, sample_weight):
    """Fit a net as its ``fit`` does, but yield the batches of each epoch to train on."""
    data = net._learn_of(X, y, sample_weight)
    net._get_ready(FitCall(), data)
    try:
        net.notify("on_train_begin", X=data.X, y=data.targets)
        with suppress(KeyboardInterrupt):  # skorch's way to end training early
            yield from net._epochs(data.X, data.targets)
        net.notify("on_train_end", X=data.X, y=data.targets)
    finally:
        del net._fit_call
