"""Class weights that come once the features are learned."""

from sk_cbloss.neural_net.callbacks._loss_change import LossChange


class DeferredReweighting(LossChange):
    """Train without class weights first, and with them once the features are learned.

    Until ``start``, all classes count alike (``beta=0``). From then on, the
    net's own ``beta`` holds, with weights whose mean over the samples is 1
    (``normalize="samples"``), so that the loss keeps its scale. With weights
    that sum to the number of classes, the last epochs would train at a
    fraction of the learning rate. Let the learning rate drop at the same
    epoch.

    Parameters
    ----------
    start : int or float, default=0.8
        Number of epochs before the weights, or, as a float, their share of
        ``max_epochs``.

    See Also
    --------
    LossChange : Any other change.
    RefitHead : Weights that come late, for the last layer alone.
    LearningRateSchedule : Lets the learning rate drop.

    References
    ----------
    Cao, Wei, Gaidon, Arechiga and Ma, "Learning Imbalanced Datasets with
    Label-Distribution-Aware Margin Loss", NeurIPS 2019, section 3.3.

    Examples
    --------
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> from sk_cbloss.neural_net import DeferredReweighting
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> net = CBNeuralNetClassifier(
    ...     loss="ldam", beta=0.999, callbacks=[DeferredReweighting()], random_state=0
    ... ).fit(X, y)
    """

    def __init__(self, start=0.8):
        self.start = start

    def before(self):
        return {"beta": 0}

    def after(self):
        return {"normalize": "samples"}

    def on_train_begin(self, net, **kwargs):
        super().on_train_begin(net, **kwargs)
        if not net._beta_in_use:
            raise ValueError(
                f"beta must be above 0 with DeferredReweighting, got beta={net.beta!r} for "
                f"loss={net._loss_in_use!r}: there would be no weights to defer."
            )
