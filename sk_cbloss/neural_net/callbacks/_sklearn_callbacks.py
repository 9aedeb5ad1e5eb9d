"""scikit-learn's own callbacks, where there are any (1.9 and later)."""

from contextlib import contextmanager
from types import SimpleNamespace

from sk_cbloss.neural_net.callbacks._progress import EpochBar

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
    def _reported(self, call, X, y, epochs):
        """Report what runs inside as the fit, and the epochs that skorch tells of as its parts."""
        epochs = self.max_epochs if epochs is None else epochs
        context = self._init_callback_context(max_subtasks=epochs)
        told = {"estimator": self, "X": X, "y": y}
        # scikit-learn's progress bars have the say, if there are any.
        others = hasattr(self, "_skl_callbacks") or hasattr(self, "_parent_callback_ctx")
        with EpochBar(self, epochs, hidden=others) as bar:
            call.reporting = SimpleNamespace(
                context=context, told=told, bar=bar, epoch=None, stop=False
            )
            context.call_on_fit_task_begin(**told)
            yield
            context.call_on_fit_task_end(**told, reconstruction_attributes=dict)

    def on_epoch_begin(self, net, **kwargs):
        now = self._call.reporting
        if now is not None and now.stop:  # between epochs, if a callback has asked for it
            raise KeyboardInterrupt  # skorch's way to end training early
        super().on_epoch_begin(net, **kwargs)
        if now is not None:
            now.bar.show(self)
            now.epoch = now.context.subcontext(task_name="epoch")
            now.epoch.call_on_fit_task_begin(**now.told)

    def on_epoch_end(self, net, **kwargs):
        super().on_epoch_end(net, **kwargs)
        if (now := self._call.reporting) is not None:
            # The net as it stands can predict: nothing needs reconstructing.
            now.stop = now.epoch.call_on_fit_task_end(**now.told, reconstruction_attributes=dict)
