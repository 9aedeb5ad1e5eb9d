"""The second stage of a training: the head again, on features that stay as they are."""

import copy
from typing import NamedTuple

import torch
from torch import nn

from sk_cbloss._validation import check_fraction, check_non_negative
from sk_cbloss.neural_net.callbacks._loss_change import SAME, LossChange
from sk_cbloss.neural_net.modules import find_head
from sk_cbloss.neural_net.state import uncompiled
from sk_cbloss.neural_net.training import n_epochs_done


class Held(NamedTuple):
    """What is changed of a net for the time of an epoch."""

    head: nn.Module
    frozen: list  # parameters
    decays: list  # groups of an optimizer, and their weight decay before


class RefitHead(LossChange):
    """Train all without class weights first, then the last layer alone, and with them.

    Until ``start``, all classes count alike (``beta=0``). From then on, only
    the last layer, the *head*, learns, with the net's own ``beta`` or another
    loss. The rest stays as it is, and gives what it gives in prediction: no
    dropout, and running means at rest. The head may start anew, has a weight
    decay of its own, and no class's weights may be longer than ``max_norm``
    allows.

    Parameters
    ----------
    start : int or float, default=0.8
        Number of epochs before the second stage, or, as a float, their share
        of ``max_epochs``. 0 trains the head of a module that has learned
        before.
    loss : str, default="same"
        The loss of the second stage.
    beta : float in [0, 1], default="same"
        See :func:`sk_cbloss.effective_number`.
    gamma : float, default="same"
        See :class:`CBNeuralNetClassifier`.
    normalize : {"classes", "samples"} or None, default="samples"
        See :func:`sk_cbloss.class_balanced_weight`. "samples" lets the loss
        keep its scale.
    restart : bool, default=False
        Whether the head starts anew, or goes on from what it has learned.
    weight_decay : float, default=0.1
        Of the head; None leaves it as it is.
    max_norm : float in [0, 1], default=0.1
        Where the largest norm that a class's weights may have lies between
        the smallest (0) and the largest (1) that they have at ``start``; None
        sets none.
    head : str, default=None
        Name of the part that the head is or lies in, such as "classifier". By
        default it is the module's last layer with a weight of a row for each
        class.

    See Also
    --------
    DeferredReweighting : Weights that come late, for all layers.
    tau_normalized : Balances a trained head without training.

    Notes
    -----
    This is *weight balancing* [2]_. Its authors set the limit as here, and
    draw weights that are beyond it back after each epoch; here it is after
    each step. ``restart=True, weight_decay=None, max_norm=None`` is
    *classifier re-training* [1]_, whose authors draw classes evenly, which
    weights of ``beta=1`` do on average.

    The learning rate goes on as scheduled; a LearningRateSchedule with
    ``restarts=(0.8,)`` begins anew with the second stage. At the end of the fit all parameters
    may learn again, and the weight decay is as before. A StackedGridSearchCV
    fits such nets one by one: in a stack, parameters do not lie where a
    callback finds them.

    References
    ----------
    .. [1] Kang, Xie, Rohrbach, Yan, Gordo, Feng and Kalantidis, "Decoupling
       Representation and Classifier for Long-Tailed Recognition", ICLR 2020.
    .. [2] Alshammari, Wang, Ramanan and Kong, "Long-Tailed Recognition via
       Weight Balancing", CVPR 2022.

    Examples
    --------
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> from sk_cbloss.neural_net import RefitHead
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> refit = RefitHead(start=20)
    >>> net = CBNeuralNetClassifier(beta=0.999, callbacks=[refit], random_state=0).fit(X, y)
    >>> norms = net.module_.head.weight.norm(dim=1)
    >>> bool((norms <= 1.001 * refit.largest_norm_).all())
    True
    """

    reads_batches = False  # lets the net collect losses without asking for each
    held_ = None

    def __init__(
        self,
        start=0.8,
        *,
        loss=SAME,
        beta=SAME,
        gamma=SAME,
        normalize="samples",
        restart=False,
        weight_decay=0.1,
        max_norm=0.1,
        head=None,
    ):
        super().__init__(start, loss=loss, beta=beta, gamma=gamma, normalize=normalize)
        self.restart = restart
        self.weight_decay = weight_decay
        self.max_norm = max_norm
        self.head = head

    def before(self):
        return {"beta": 0}

    def state_dict(self):
        return {"largest_norm": self.largest_norm_}

    def load_state_dict(self, state):
        self.largest_norm_ = state["largest_norm"]

    def on_train_begin(self, net, **kwargs):
        super().on_train_begin(net, **kwargs)
        self._let_go(net)  # what a training that broke off has left behind
        self.largest_norm_ = None  # of a class's weights; the second stage is yet to come
        if not isinstance(self.restart, bool):
            raise ValueError(f"restart must be True or False, got {self.restart!r}.")
        if self.max_norm is not None:
            check_fraction(self.max_norm, "max_norm")
        head = self._find(net)
        if self.restart and not hasattr(head, "reset_parameters"):
            raise ValueError(
                "The head must have reset_parameters() to start anew with restart=True, got "
                f"{type(head).__name__}."
            )
        if self.weight_decay is not None:
            check_non_negative(self.weight_decay, "weight_decay")
            if any("weight_decay" not in group for group in net.optimizer_.param_groups):
                raise ValueError(
                    "optimizer must have a weight_decay for RefitHead, or weight_decay=None, got "
                    f"{type(net.optimizer_).__name__}."
                )

    def on_epoch_begin(self, net, **kwargs):
        super().on_epoch_begin(net, **kwargs)
        if n_epochs_done(net) > self.n_before(net):
            head = self._find(net)
            if self.largest_norm_ is None:
                self._begin(net, head)
            self._hold(net, head)

    def on_batch_end(self, net, training=False, **kwargs):
        if training and self.held_ is not None and self.max_norm is not None:
            with torch.no_grad():
                self.held_.head.weight.renorm_(2, 0, self.largest_norm_)

    def on_epoch_end(self, net, **kwargs):
        self._let_go(net)  # before a checkpoint is written

    def on_train_end(self, net, **kwargs):
        super().on_train_end(net, **kwargs)
        self._let_go(net)

    def _find(self, net):
        return find_head(uncompiled(net.module_), len(net.classes_), self.head)

    def _begin(self, net, head):
        """Begin the second stage: the head's optimizer forgets, and perhaps the head."""
        norms = head.weight.detach().norm(dim=1)
        least, most = norms.min().item(), norms.max().item()
        self.largest_norm_ = least + (self.max_norm or 0) * (most - least)
        for parameter in head.parameters():
            net.optimizer_.state.pop(parameter, None)
        if self.restart:
            # On the CPU: by the same random numbers on any device, and on all ranks.
            new = copy.deepcopy(head).cpu()
            new.reset_parameters()
            loss = uncompiled(net.criterion_)
            if isinstance(new, nn.Linear) and loss.head_type is None:
                loss.prepare_head(new)
            head.load_state_dict(new.state_dict())

    def _hold(self, net, head):
        """Let the head alone learn, for an epoch."""
        own = set(map(id, head.parameters()))
        frozen = [p for p in net.module_.parameters() if p.requires_grad and id(p) not in own]
        groups = [
            group
            for group in net.optimizer_.param_groups
            if self.weight_decay is not None and any(p is head.weight for p in group["params"])
        ]
        self.held_ = Held(head, frozen, [(group, group["weight_decay"]) for group in groups])
        for parameter in frozen:
            parameter.requires_grad_(False)
        for group in groups:  # which what is frozen may share: it has no gradient, and no decay
            group["weight_decay"] = self.weight_decay
        net._call.resting = set(net.module_.modules()) - set(head.modules())

    def _let_go(self, net):
        if self.held_ is None:
            return
        for parameter in self.held_.frozen:
            parameter.requires_grad_(True)
        for group, decay in self.held_.decays:
            group["weight_decay"] = decay
        net._call.resting = set()
        self.held_ = None
