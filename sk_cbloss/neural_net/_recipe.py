"""The paper's way to train on CIFAR, as parameters of the net."""

import torch

from sk_cbloss.neural_net.callbacks import DeferredReweighting, LearningRateSchedule
from sk_cbloss.neural_net.modules import CifarResNet, PadCropFlip


def cifar_recipe(*, depth=32, max_epochs=200, deferred=False, fill=-1.0):
    """Return the paper's way to train on CIFAR, as parameters of the net.

    A residual net on crops and flips, trained by stochastic gradient descent
    with momentum 0.9 and weight decay 0.0002, in batches of 128, at a
    learning rate of 0.1 that warms up for 5 of 200 epochs and drops to a
    hundredth after 160 and again after 180. The loss is left to you.

    Parameters
    ----------
    depth : int, default=32
        Of the :class:`CifarResNet`.
    max_epochs : int, default=200
        Number of epochs; warm-up and drops keep their shares of it.
    deferred : bool, default=False
        Whether to weight classes from the first drop on only; see
        :class:`DeferredReweighting`. The paper does from the start.
    fill : float, default=-1.0
        What the crops are padded with: -1 is black for images scaled as in
        the paper, ``x / 128 - 1``.

    Returns
    -------
    dict
        Parameters of :class:`sk_cbloss.CBNeuralNetClassifier`.

    See Also
    --------
    CifarResNet : The module.
    PadCropFlip : The augmentation.
    LearningRateSchedule : The learning rate.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 5.2.

    Examples
    --------
    >>> from sk_cbloss import CBNeuralNetClassifier
    >>> from sk_cbloss.neural_net import cifar_recipe
    >>> net = CBNeuralNetClassifier(loss="focal", beta=0.9999, gamma=1, **cifar_recipe())
    >>> net.lr, net.batch_size, net.max_epochs
    (0.1, 128, 200)
    """
    schedule = LearningRateSchedule(warmup=0.025, milestones=(0.8, 0.9), factor=0.01)
    callbacks = [("schedule", schedule)]
    if deferred:
        callbacks.append(("deferred", DeferredReweighting(start=0.8)))
    return {
        "module": CifarResNet,
        "module__depth": depth,
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "optimizer__weight_decay": 2e-4,
        "lr": 0.1,
        "batch_size": 128,
        "max_epochs": max_epochs,
        "batch_transform": PadCropFlip(padding=4, fill=fill),
        "callbacks": callbacks,
    }
