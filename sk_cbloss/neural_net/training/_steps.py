"""Training and validation steps: skorch's, without what costs time when a net is small."""

import torch
from skorch import NeuralNet
from skorch.callbacks import EpochScoring
from skorch.dataset import get_len, unpack_data
from skorch.utils import TeeGenerator, to_tensor

from sk_cbloss.losses import LinearLogits
from sk_cbloss.neural_net.data import floats_in, logits_of, split_sample_weight
from sk_cbloss.neural_net.errors import meaning_of
from sk_cbloss.neural_net.training._divergence import DivergenceGuard
from sk_cbloss.neural_net.training._form import transforms_of
from sk_cbloss.neural_net.training._listening import (
    acts_at_batches,
    has_own,
    is_silent,
    looks_at_outputs,
    reads_batches,
)

HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
CHECK_EVERY = 100  # batches; to ask whether a loss is finite, a GPU must be waited for


class FastSteps(NeuralNet):
    """Take skorch's steps, faster, in half precision if asked, and stop when they diverge.

    Losses are collected on the device and asked for at the end of the epoch. Where a callback or
    a subclass may look at the loss of each batch, it is there at each batch, as in skorch.
    """

    # ------------------------------------------------------------------ epochs

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        if iterator is None:
            return
        self._set_training(training)
        guard = self._guard_of_epoch(iterator) if training else None
        begin, end = (self._listeners(f"on_batch_{when}", training) for when in ("begin", "end"))
        at_once, losses, sizes, known = begin is None or end is None, [], [], []

        def take_step(batch, **fit_params):
            step = step_fn(batch, **fit_params)
            loss = step["loss"].detach().reshape(())
            # A loss that was captured in a graph lies where the graph will write the next one.
            losses.append(loss.clone() if self.compile else loss)
            are_known = self._known(unpack_data(batch)[1])
            if are_known is not None:
                known.append(are_known.sum())
                if at_once:
                    self.history.record_batch(f"{prefix}_n_known", known[-1].item())
            self._call.has_begun = True
            if guard and (at_once or len(losses) % CHECK_EVERY == 0):
                guard.check(losses)
            return step | {"loss": losses[-1]} if guard and at_once else step

        if at_once:
            super().run_single_epoch(iterator, training, prefix, take_step, **fit_params)
            if guard:
                guard.finish(losses)
            return
        rows, n_before = self.history[-1]["batches"], len(self.history[-1]["batches"])
        try:
            for batch in iterator:
                rows.append({})
                for callback in begin:
                    callback.on_batch_begin(self, batch=batch, training=training)
                step = take_step(batch, **fit_params)
                sizes.append(_size(batch))
                for callback in end:
                    callback.on_batch_end(self, batch=batch, training=training, **step)
            if guard:
                guard.finish(losses)
        finally:  # an epoch that breaks off has losses, too
            losses = torch.stack(losses).tolist() if losses else []
            known = torch.stack(known).tolist() if known else None
            record_batches(rows[n_before:], prefix, losses, sizes, known)
        self.history.record(f"{prefix}_batch_count", len(sizes))

    def _guard_of_epoch(self, iterator):
        """Prepare an epoch of training, and return what watches its losses."""
        call = self._call
        call.n_batches = len(iterator) if hasattr(iterator, "__len__") else None
        if call.n_batches == 0:
            raise ValueError(
                "Training must have at least one batch an epoch, got none of size "
                f"{self.batch_size}: too few samples for drop_last."
            )
        call.captured.begin_epoch(self, iterator)
        return DivergenceGuard(self, iterator)

    def _listeners(self, hook, training=True):
        """Return the callbacks that are told of each batch; None if any may look at its loss."""
        if getattr(type(self), hook) is not getattr(NeuralNet, hook):
            return None
        blind, listeners = getattr(EpochScoring, hook), []
        for _, callback in self.callbacks_:
            if not has_own(callback, hook):
                continue
            if getattr(type(callback), hook, None) is blind:
                if callback.on_train == training:  # else it does nothing
                    listeners.append(callback)
            elif reads_batches(callback):
                return None
            elif acts_at_batches(callback):
                listeners.append(callback)
        return listeners

    # ------------------------------------------------------------------ steps

    def train_step(self, batch, **fit_params):
        if not fit_params and (done := self._call.captured.take(self, batch, whole=True)):
            return done
        scaler = self._grad_scaler
        if scaler is None:
            return super().train_step(batch, **fit_params)
        self._zero_grad_optimizer()
        step = self.train_step_single(batch, **fit_params)
        optimizer = getattr(self, f"{self._optimizers[0]}_")
        scaler.unscale_(optimizer)  # so that callbacks clip gradients of the true size
        parameters = TeeGenerator(self.get_all_learnable_params())
        self.notify("on_grad_computed", named_parameters=parameters, batch=batch, training=True)
        scaler.step(optimizer)
        scaler.update()
        return step

    def notify(self, method_name, **kwargs):
        if method_name == "on_grad_computed" and not self._is_told_of_gradients:
            return
        getattr(self, method_name)(self, **kwargs)
        for _, callback in self.callbacks_:
            if is_silent(callback, self.verbose):
                continue
            if (tell := getattr(callback, method_name, None)) is not None:
                tell(self, **kwargs)

    @property
    def _is_told_of_gradients(self):
        return type(self).on_grad_computed is not NeuralNet.on_grad_computed or any(
            has_own(callback, "on_grad_computed") for _, callback in self.callbacks_
        )

    def train_step_single(self, batch, **fit_params):
        self._set_training(True)
        if not fit_params and (done := self._call.captured.take(self, batch, whole=False)):
            return done
        with self._call.captured.watched(self):
            loss, y_pred = self._loss_and_output(batch, **fit_params)
            (loss if self._grad_scaler is None else self._grad_scaler.scale(loss)).backward()
        return {"loss": loss, "y_pred": y_pred}

    def _loss_and_output(self, batch, **fit_params):
        """Return the loss of a training batch, and what the module returns for it."""
        X, y = unpack_data(batch)
        features, _ = split_sample_weight(X)
        features = floats_in(self._dtype_in_use, features)
        if transforms := transforms_of(self):
            with torch.no_grad():
                features = given = to_tensor(features, device=self._device_in_use)
                for transform in transforms:
                    features = transform(features)
            if isinstance(given, torch.Tensor):
                n_rows = _n_rows(features)
                if n_rows != len(given):
                    raise ValueError(
                        f"batch_transform must return the batch's {len(given)} rows, got {n_rows}."
                    )
        self._call.spares_logits = self._loss_is_ours and not looks_at_outputs(self)
        try:
            y_pred = self.infer(features, **fit_params)
        finally:
            self._call.spares_logits = False
        if self._call.is_new and not self._call.has_begun:
            self._check_outputs(y_pred)
        return self.get_loss(y_pred, y, X=X, training=True), y_pred

    def _set_training(self, training=True):
        # To set each part of a module anew at each step takes longer than some of the parts.
        modules = [getattr(self, f"{name}_") for name in [*self._modules, *self._criteria]]
        modules = [module for module in modules if isinstance(module, torch.nn.Module)]
        resting = self._call.resting if training else ()
        parts = [part for module in modules for part in module.modules()]
        if any(part.training != (training and part not in resting) for part in parts):
            super()._set_training(training)
            for part in resting:
                part.training = False

    def infer(self, x, **fit_params):
        x, _ = split_sample_weight(x)
        x = floats_in(self._dtype_in_use, x)
        if isinstance(x, torch.Tensor):
            x = x.to(self._device_in_use)
            if self.channels_last and x.ndim == 4:
                x = x.contiguous(memory_format=torch.channels_last)
            apply = self.module_
        else:
            apply = super().infer
        try:
            if self.autocast is None:
                y_pred = apply(x, **fit_params)
            else:
                with torch.autocast(torch.device(self._device_in_use).type, HALF[self.autocast]):
                    y_pred = _in_single(apply(x, **fit_params))
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            meaning = meaning_of(error, self, x, fit_params)
            if meaning is None:
                raise
            raise ValueError(meaning) from error
        if not isinstance(y_pred, tuple):
            y_pred = logits_of(y_pred)
        may_lack_logits = "_fit_call" in vars(self) and self._call.spares_logits
        return y_pred if may_lack_logits else _with_logits(y_pred)


def record_batches(rows, prefix, losses, sizes, known=None):
    """Write losses and sizes of batches into rows of a history, and how many targets count."""
    for row, loss, size in zip(rows, losses, sizes, strict=False):
        row[f"{prefix}_loss"], row[f"{prefix}_batch_size"] = loss, size
    for row, n_known in zip(rows, known or (), strict=False):
        row[f"{prefix}_n_known"] = n_known


def _n_rows(features):
    try:
        return get_len(features)
    except TypeError:
        return type(features).__name__


def _size(batch):
    if isinstance(batch, tuple | list):
        features, *target = batch
        if target and isinstance(target[0], torch.Tensor):
            return len(target[0])
        return get_len(features)
    return get_len(batch)


def _in_single(y_pred):
    if isinstance(y_pred, tuple):
        return tuple(map(_in_single, y_pred))
    is_half = isinstance(y_pred, torch.Tensor) and y_pred.dtype in HALF.values()
    return y_pred.float() if is_half else y_pred


def _with_logits(y_pred):
    if isinstance(y_pred, tuple):
        return tuple(map(_with_logits, y_pred))
    return y_pred.logits if isinstance(y_pred, LinearLogits) else y_pred
