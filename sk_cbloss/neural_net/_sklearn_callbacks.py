"""scikit-learn's own callbacks, where there are any (1.9 and later)."""

from contextlib import contextmanager

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """No callbacks."""

        def _init_callback_context(self, **kwargs):
            return _NoContext()

    class _NoContext:
        def subcontext(self, **kwargs):
            return self

        def call_on_fit_task_begin(self, **kwargs):
            return self

        def call_on_fit_task_end(self, **kwargs):
            return False

    def with_callbacks(method):
        """Return the method as it is."""
        return method


class EpochReporter(CallbackSupportMixin):
    """Tell scikit-learn's callbacks of each epoch, so that progress bars nest in a search's."""

    @contextmanager
    def _reported(self, X, y):
        """Report what runs inside as the fit, and the epochs that skorch tells of as its parts."""
        self._fit_context = self._init_callback_context(max_subtasks=self.max_epochs)
        self._fit_data = {"estimator": self, "X": X, "y": y}
        self._epoch_context, self._stop_requested = None, False
        try:
            self._fit_context.call_on_fit_task_begin(**self._fit_data)
            yield
            self._fit_context.call_on_fit_task_end(
                **self._fit_data, reconstruction_attributes=dict
            )
        finally:
            del self._fit_context, self._fit_data, self._epoch_context, self._stop_requested

    def __getstate__(self):
        # A net that is pickled while it trains, as by a checkpoint, leaves the data behind.
        passing = {"_fit_context", "_fit_data", "_epoch_context", "_stop_requested"}
        return {k: v for k, v in super().__getstate__().items() if k not in passing}

    def on_epoch_begin(self, net, **kwargs):
        """Open the epoch's task; stop here, between epochs, if a callback has asked for it."""
        if self._stop_requested:
            raise KeyboardInterrupt  # skorch's way to end training early
        super().on_epoch_begin(net, **kwargs)
        self._epoch_context = self._fit_context.subcontext(task_name="epoch")
        self._epoch_context.call_on_fit_task_begin(**self._fit_data)

    def on_epoch_end(self, net, **kwargs):
        """Close the epoch's task."""
        super().on_epoch_end(net, **kwargs)
        # The net as it stands can predict: nothing needs reconstructing.
        self._stop_requested = self._epoch_context.call_on_fit_task_end(
            **self._fit_data, reconstruction_attributes=dict
        )
