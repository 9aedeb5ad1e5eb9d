"""The learning rate over a training: warm-up, then steps or a cosine."""

import math

from sk_cbloss._validation import check_choice, check_non_negative
from sk_cbloss.neural_net.callbacks._plain_callback import PlainCallback
from sk_cbloss.neural_net.training import as_n_epochs, check_epoch, n_epochs_done

POLICIES = ("step", "cosine")


class LearningRateSchedule(PlainCallback):
    """Warm the learning rate up, then let it drop in steps or along a cosine.

    The net's own learning rate is the top. During the warm-up it rises with
    each batch, in a straight line from zero. At the end of the fit it is
    there again. For any other schedule, skorch's ``LRScheduler`` takes those
    of torch.

    Parameters
    ----------
    policy : {"step", "cosine"}, default="step"
        What follows the warm-up: a factor at each of ``milestones``, or half a
        cosine down to zero, batch by batch.
    warmup : int or float, default=0
        Number of epochs of the warm-up, or, as a float, their share of
        ``max_epochs``.
    milestones : sequence of int or float, default=(0.8, 0.9)
        Numbers of epochs before each drop, or their shares; for "step".
    factor : float, default=0.01
        What each drop multiplies the rate with; for "step".
    restarts : sequence of int or float, default=()
        Numbers of epochs, or their shares, after which the schedule begins
        anew: warm-up and milestones are then of each stage, up to the next.

    See Also
    --------
    DeferredReweighting : Class weights from the first drop on.
    RefitHead : A second stage, with which the schedule may begin anew.
    cifar_recipe : The paper's schedule, with all that belongs to it.

    Notes
    -----
    The history's column ``event_lr`` has each epoch's last learning rate of
    the first group of parameters.

    References
    ----------
    For ``restarts``: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent
    with Warm Restarts", ICLR 2017.

    Examples
    --------
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> from sk_cbloss.neural_net import LearningRateSchedule
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> schedule = LearningRateSchedule(warmup=2, milestones=(6,), factor=0.1)
    >>> net = CBNeuralNetClassifier(max_epochs=8, callbacks=[schedule], random_state=0).fit(X, y)
    >>> [round(rate, 4) for rate in net.history_[:, "event_lr"]]
    [0.005, 0.01, 0.01, 0.01, 0.01, 0.01, 0.001, 0.001]
    """

    reads_batches = False  # lets the net collect losses without asking for each

    def __init__(
        self, policy="step", *, warmup=0, milestones=(0.8, 0.9), factor=0.01, restarts=()
    ):
        self.policy = policy
        self.warmup = warmup
        self.milestones = milestones
        self.factor = factor
        self.restarts = restarts

    def on_train_begin(self, net, **kwargs):
        super().on_train_begin(net, **kwargs)
        check_choice(self.policy, "policy", POLICIES)
        check_epoch(self.warmup, "warmup")
        for name in ("milestones", "restarts"):
            epochs = getattr(self, name)
            if not isinstance(epochs, list | tuple):
                raise ValueError(f"{name} must be a list or tuple, got {epochs!r}.")
            for epoch in epochs:
                check_epoch(epoch, name)
        check_non_negative(self.factor, "factor")
        rates = [group["lr"] for group in net.optimizer_.param_groups]
        if rates != getattr(self, "rates_", None):  # not those that a broken training left behind
            self.top_ = rates

    def on_epoch_begin(self, net, **kwargs):
        self.batch_ = 0

    def on_batch_begin(self, net, training=False, **kwargs):
        if training:
            if net._call.n_batches is None:
                raise ValueError(
                    "iterator_train must have a length for a LearningRateSchedule, got "
                    f"{net.iterator_train!r}."
                )
            epoch = n_epochs_done(net) - 1 + self.batch_ / net._call.n_batches
            self._set(net, self.scale(net, epoch, 1 / net._call.n_batches))
            self.batch_ += 1

    def scale(self, net, epoch, step):
        """Return the share of the learning rate that holds for a batch.

        Parameters
        ----------
        net : CBNeuralNetClassifier
            The net, for its ``max_epochs``.
        epoch : float
            Number of epochs done before the batch.
        step : float
            What the batch is of an epoch.

        Returns
        -------
        float
            What to multiply the net's learning rate with.
        """
        starts = [0, *(as_n_epochs(restart, net.max_epochs) for restart in self.restarts)]
        first = max(start for start in starts if start <= epoch)
        n_epochs = min((s for s in starts if s > epoch), default=net.max_epochs) - first
        epoch, warmup = epoch - first, as_n_epochs(self.warmup, n_epochs)
        if epoch < warmup:
            return (epoch + step) / warmup
        if self.policy == "step":
            drops = [as_n_epochs(milestone, n_epochs) for milestone in self.milestones]
            return self.factor ** sum(int(epoch) >= drop for drop in drops)
        return (1 + math.cos(math.pi * (epoch - warmup) / (n_epochs - warmup))) / 2

    def _set(self, net, scale):
        self.rates_ = [top * scale for top in self.top_]
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = rate

    def on_epoch_end(self, net, **kwargs):
        net.history.record("event_lr", net.optimizer_.param_groups[0]["lr"])

    def on_train_end(self, net, **kwargs):
        self._set(net, 1.0)
