"""Callbacks that change the loss in the course of a training."""

import warnings

from skorch.callbacks import EarlyStopping

from sk_cbloss.neural_net.callbacks._plain_callback import PlainCallback
from sk_cbloss.neural_net.training import as_n_epochs, check_epoch, n_epochs_done

SAME = "same"


class LossChange(PlainCallback):
    """Train with another loss, or other weights, from an epoch on.

    What is not named stays as it was. The history's ``event_loss`` marks the
    first epoch with the other loss. The net predicts with the loss of the
    epoch whose parameters it keeps: the last one, or the best one of an
    ``EarlyStopping``.

    Parameters
    ----------
    start : int or float, default=0.8
        Number of epochs before the change, or, as a float, their share of
        ``max_epochs``.
    loss : str, default="same"
        The loss.
    beta : float in [0, 1], default="same"
        See :func:`sk_cbloss.effective_number`.
    gamma : float, default="same"
        See :class:`CBNeuralNetClassifier`.
    normalize : {"classes", "samples"} or None, default="same"
        See :func:`sk_cbloss.class_balanced_weight`.

    See Also
    --------
    DeferredReweighting : The change that the literature knows.

    Examples
    --------
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> from sk_cbloss.neural_net import LossChange
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> focus = LossChange(start=10, loss="focal", gamma=2)
    >>> net = CBNeuralNetClassifier(callbacks=[focus], random_state=0).fit(X, y)
    >>> net.criterion_
    ClassBalancedFocalLoss(gamma=2, reduction='mean', ignore_index=None)
    """

    def __init__(self, start=0.8, *, loss=SAME, beta=SAME, gamma=SAME, normalize=SAME):
        self.start = start
        self.loss = loss
        self.beta = beta
        self.gamma = gamma
        self.normalize = normalize

    def before(self):
        """Return the parameters of the loss until the start, where they are not the net's.

        Returns
        -------
        dict
            Parameters by name.
        """
        return {}

    def after(self):
        """Return the parameters of the loss from the start on.

        Returns
        -------
        dict
            Parameters by name.
        """
        named = {name: getattr(self, name) for name in ("loss", "beta", "gamma", "normalize")}
        return {name: value for name, value in named.items() if value != SAME}

    def n_before(self, net):
        """Return the number of epochs before the start.

        Parameters
        ----------
        net : CBNeuralNetClassifier
            The net, for its ``max_epochs``.

        Returns
        -------
        int
            Number of epochs.
        """
        return as_n_epochs(self.start, net.max_epochs)

    def on_train_begin(self, net, **kwargs):
        super().on_train_begin(net, **kwargs)
        check_epoch(self.start, "start")
        start = self.n_before(net)
        for epoch in (1, start + 1):
            net._check_loss(**_changes(net, epoch))
        if start >= net.max_epochs:
            meant = "" if start == self.start else f", which is epoch {start}"
            warnings.warn(
                f"start should come before max_epochs={net.max_epochs} for the loss to change, "
                f"got {self.start!r}{meant}.",
                stacklevel=2,
            )

    def on_epoch_begin(self, net, **kwargs):
        epoch = n_epochs_done(net)
        self._change(net, epoch)
        changed = epoch > 1 and _changes(net, epoch) != _changes(net, epoch - 1)
        net.history.record("event_loss", changed)

    def on_train_end(self, net, **kwargs):
        kept = n_epochs_done(net)
        for _, callback in net.callbacks_:
            loads_best = isinstance(callback, EarlyStopping) and callback.load_best
            if loads_best and callback.best_epoch_:
                kept = callback.best_epoch_ - net._call.n_epochs_before
        self._change(net, kept)

    def _change(self, net, epoch):
        """Give the net the loss that holds in an epoch."""
        changes = _changes(net, epoch)
        if changes != net._call.loss_changes:
            net._use_loss(**changes)
            net._check_head(changes)


def _changes(net, epoch):
    """Return what the callbacks have changed of the loss, all together, in an epoch."""
    callbacks = [cb for _, cb in net.callbacks_ if isinstance(cb, LossChange)]
    changes = {}
    for callback in sorted(callbacks, key=lambda callback: callback.n_before(net)):
        if epoch <= callback.n_before(net):
            changes |= callback.before()
            continue
        after = callback.after()
        if "loss" in after:  # the gamma of another loss
            changes.pop("gamma", None)
        changes |= after
    return changes
