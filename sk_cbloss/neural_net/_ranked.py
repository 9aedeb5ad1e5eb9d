"""A net that trains beside others, each a process with its rows of every batch."""

from contextlib import contextmanager
from hashlib import blake2b
from itertools import compress

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping, EpochScoring
from skorch.dataset import unpack_data
from skorch.utils import to_device
from torch.utils.data import Subset

from sk_cbloss.neural_net._agreement import told_of
from sk_cbloss.neural_net.data import SharedBatches, each_array
from sk_cbloss.neural_net.ranks import Alone, Ranks
from sk_cbloss.neural_net.state import RandomStream, uncompiled
from sk_cbloss.neural_net.training import NothingLearned, n_epochs_done

TIMEOUT = 1800.0  # seconds; gloo's own
MIXIN = "skorch.hf"  # where AccelerateMixin has its methods


class Ranked(NeuralNetClassifier):
    """Take the rank's part of each batch, and end with what one process with all of it ends with.

    Where there is one rank, nothing here does anything.
    """

    @property
    def verbose(self):
        """How much is said, by the first rank; the others are silent as long as they train."""
        return 0 if vars(self).get("_is_silent") else vars(self)["verbose"]

    @verbose.setter
    def verbose(self, verbose):
        vars(self)["verbose"] = verbose

    def _find_ranks(self):
        """Return the ranks that are to train the net; with skorch's mixin, its accelerator's."""
        accelerator = getattr(self, "accelerator", None)
        if accelerator is None or accelerator.num_processes == 1:
            return Alone()
        return Ranks(TIMEOUT)

    @contextmanager
    def _beside_others(self, call):
        """Let all ranks run what is inside, and end with the same net."""
        ranks = call.ranks = self._find_ranks()
        if ranks.n_ranks == 1:
            yield
            return
        self._is_silent = not ranks.is_first
        try:
            with ranks.watched():
                yield
                for part in self._learning_parts().values():
                    ranks.take_from_first(part.state_dict().values())
        finally:
            vars(self).pop("_is_silent", None)
            ranks.close()

    def _alike(self, call, learn):
        """Return the data that a function learns of, if all ranks have the same."""
        return call.ranks.alike(learn, lambda data: told_of(self, call, data))

    # ------------------------------------------------------------------ data

    def get_iterator(self, dataset, training=False):
        call = vars(self).get("_fit_call")
        ranks = call.ranks if call else Alone()
        is_prepared = type(self).get_iterator.__module__ == MIXIN
        if ranks.n_ranks == 1 and not is_prepared:
            return super().get_iterator(dataset, training=training)
        with self._batches_of(ranks.n_ranks, "iterator_train" if training else "iterator_valid"):
            loader = super().get_iterator(dataset, training=training)
        if not training or call is None:
            # The mixin has an accelerator cut the batches of a DataLoader; here, it is not to.
            alone = ranks.n_ranks == 1 and self.accelerator.num_processes > 1
            return SharedBatches(loader) if is_prepared and not alone else loader
        call.batches = SharedBatches(loader, ranks.rank, ranks.n_ranks)
        return call.batches

    @contextmanager
    def _batches_of(self, n_ranks, prefix):
        """Have batches hold as many rows as all ranks take."""
        name, given = f"{prefix}__batch_size", self.get_params_for(prefix)
        size = given.get("batch_size", self.batch_size)
        if n_ranks == 1 or size in (None, -1) or given.get("batch_sampler") is not None:
            yield
            return
        was = vars(self).get(name)
        vars(self)[name] = size * n_ranks
        try:
            yield
        finally:
            if was is None:
                del vars(self)[name]
            else:
                vars(self)[name] = was

    def get_split_datasets(self, X, y=None, **fit_params):
        train, valid = super().get_split_datasets(X, y, **fit_params)
        call = self._call
        if call.ranks.n_ranks > 1 and call.split is not None:
            call.split = call.ranks.from_first(lambda: call.split)  # it may have been drawn
            parts = zip((train, valid), call.split, strict=True)
            train, valid = (Subset(part.dataset, rows) for part, rows in parts)
        return train, valid

    # ------------------------------------------------------------------ epochs

    def fit_loop(self, *args, **kwargs):
        try:
            super().fit_loop(*args, **kwargs)
        except KeyboardInterrupt as interrupt:
            call, rows = self._call, self.history[-1]["batches"] if self.history else ()
            if call.is_in_epoch and not call.ranks.are_all_at((len(self.history), len(rows))):
                raise NothingLearned from interrupt  # others go on to wait for this one
            self._meet(goes_on=False)
            raise
        self._meet(goes_on=False)
        return self

    def on_epoch_begin(self, net, **kwargs):
        self._meet(goes_on=True)
        self._call.is_in_epoch = True
        super().on_epoch_begin(net, **kwargs)

    def _meet(self, *, goes_on):
        """Meet the other ranks before an epoch: go on together, or end together.

        All take over what rank 0 has recorded of the epoch before, and its random numbers.
        """
        call, history = self._call, self.history
        if call.ranks.n_ranks == 1 or call.has_ended:
            return
        call.has_ended = not goes_on
        news = None
        if call.ranks.is_first:
            row = history[-1] if n_epochs_done(self) else {}
            news = {k: v for k, v in row.items() if k != "batches"}, torch.get_rng_state()
        told = call.ranks.gather((goes_on, news))
        row, random = told[0][1]
        if row:
            history[-1].update(row)
        torch.set_rng_state(random)
        if goes_on and not all(goes for goes, _ in told):
            call.has_ended = True
            raise KeyboardInterrupt  # skorch's way to end training early
        seed = blake2b(random.numpy().tobytes(), digest_size=7, salt=str(call.ranks.rank).encode())
        call.stream = RandomStream(int.from_bytes(seed.digest(), "big"), self._device_in_use)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        ranks = self._call.ranks
        if ranks.n_ranks == 1 or not training:
            return
        rows = self.history[-1]["batches"]
        for row, n_rows in zip(rows, iterator.n_rows, strict=True):
            row["train_batch_size"] = n_rows
        known = [row["train_n_known"] for row in rows if "train_n_known" in row]
        known = [n * has_rows for n, has_rows in zip(known, iterator.have_rows, strict=False)]
        for row, of_ranks in zip(rows, zip(*ranks.gather(known), strict=True), strict=False):
            row["train_n_known"] = sum(of_ranks)
        for part in self._learning_parts().values():  # running means are each rank's own
            ranks.take_from_first(part.buffers())

    def on_epoch_end(self, net, **kwargs):
        ranks = self._call.ranks
        self._call.is_in_epoch = False
        for _, callback in self.callbacks_:
            # It has kept this rank's part of what it is to score.
            if ranks.n_ranks > 1 and isinstance(callback, EpochScoring) and callback.on_train:
                kept = to_device([*zip(callback.y_trues_, callback.y_preds_, strict=False)], "cpu")
                kept = [*compress(kept, self._call.batches.have_rows)]
                kept = [pair for part in ranks.gather(kept) for pair in part]
                callback.y_trues_ = [y_true for y_true, _ in kept]
                callback.y_preds_ = [y_pred for _, y_pred in kept]
        super().on_epoch_end(net, **kwargs)

    # ------------------------------------------------------------------ steps

    def _loss_and_output(self, batch, **fit_params):
        if self._call.stream is None:
            return super()._loss_and_output(batch, **fit_params)
        with self._call.stream.aside():
            return super()._loss_and_output(batch, **fit_params)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        loss = super().get_loss(y_pred, y_true, X=X, training=training)
        batches = self._call.batches if training else None
        if batches is None:
            return loss
        reduction = getattr(uncompiled(self.criterion_), "reduction", "mean")
        known = self._known(y_true)
        if known is None or reduction != "mean":
            scale = batches.scale(reduction)
            return loss if scale == 1 else loss * scale
        n_known = known.sum().to(loss) * batches.have_rows[-1]
        return loss * (n_known / self._call.ranks.means([n_known])[0].clamp(min=1e-9))

    def validation_step(self, batch, **fit_params):
        ranks = self._call.ranks
        if ranks.n_ranks == 1:
            return super().validation_step(batch, **fit_params)
        y = unpack_data(batch)[1]
        share = self._call.batches.share
        sizes, (start, stop) = share.sizes_of(len(y)), share.bounds(len(y))
        own = slice(start, max(stop, start + 1))
        part = each_array(lambda array: array[own] if stop > start else array[:1], batch)
        step = super().validation_step(part, **fit_params)
        known = self._known(y)
        counted = torch.ones(len(y)) if known is None else known.flatten(start_dim=1).sum(dim=1)
        share_of_own = counted[start:stop].sum() * ranks.n_ranks / counted.sum().clamp(min=1)
        loss = step["loss"].detach() * share_of_own.to(step["loss"])
        y_pred = step["y_pred"]
        if not isinstance(y_pred, tuple):
            y_pred = ranks.joined(y_pred, sizes)
        else:  # beside the logits there may be what has no rows, and stays each rank's own
            n_own = max(sizes[ranks.rank], 1)
            have_rows = [output.ndim > 0 and len(output) == n_own for output in y_pred]
            have_rows = map(all, zip(*ranks.gather(have_rows), strict=True))
            y_pred = tuple(
                ranks.joined(output, sizes) if has_rows else output
                for output, has_rows in zip(y_pred, have_rows, strict=True)
            )
        return {"loss": ranks.means([loss])[0], "y_pred": y_pred}

    # ------------------------------------------------------------------ skorch's mixin

    def _check_accelerated(self, call):
        """Raise a ValueError for what skorch's AccelerateMixin, before this class, leaves out."""
        if type(self).train_step_single.__module__ != MIXIN:
            return
        found = None
        if self.batch_transform is not None:
            found = f"batch_transform={self.batch_transform!r}"
        elif call.ranks.n_ranks > 1:
            stops = [cb for _, cb in self.callbacks_ if isinstance(cb, EarlyStopping)]
            found = "EarlyStopping(load_best=True)" if any(cb.load_best for cb in stops) else None
            found = "a net that is fitted already" if not call.is_new else found
        if found is not None:
            raise ValueError(
                "skorch's AccelerateMixin must have a net without what its steps leave out, got "
                f"{found}: DistributedCBNeuralNetClassifier takes it."
            )
