"""A trained net whose last layer is balanced without training."""

import copy

import torch
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._validation import check_non_negative
from sk_cbloss.neural_net._classifier import CBNeuralNetClassifier
from sk_cbloss.neural_net.modules import find_head
from sk_cbloss.neural_net.state import uncompiled


def tau_normalized(net, tau=1.0, *, head=None):
    r"""Return a copy of a fitted net whose classes have weights of more even norms.

    A net that was trained without class weights gives frequent classes
    longer weight vectors in its last layer, the *head*, and so larger logits.
    Here each is divided by a power of its norm,

    .. math:: \tilde w_c = w_c / \lVert w_c \rVert^\tau

    and the bias is left out, as published.

    Parameters
    ----------
    net : CBNeuralNetClassifier
        A fitted net; it stays as it is.
    tau : float, default=1.0
        How even: 0 leaves the norms as they are, 1 makes them 1. To be chosen
        on validation data.
    head : str, default=None
        Name of the part that the head is or lies in. By default it is the
        module's last layer with a weight of a row for each class.

    Returns
    -------
    CBNeuralNetClassifier
        The copy. Its decisions are meant for balanced accuracy; its
        probabilities no longer mean what the loss says.

    See Also
    --------
    RefitHead : Trains the head anew.
    sk_cbloss.DecisionClassifierCV : Balances the decisions of any classifier.

    References
    ----------
    Kang, Xie, Rohrbach, Yan, Gordo, Feng and Kalantidis, "Decoupling
    Representation and Classifier for Long-Tailed Recognition", ICLR 2020,
    section 4.

    Examples
    --------
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> from sk_cbloss.neural_net import tau_normalized
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> net = CBNeuralNetClassifier(beta=0, random_state=0).fit(X / 16, y)
    >>> even = tau_normalized(net, tau=1)
    >>> even.module_.head.weight.norm(dim=1).round(decimals=3)
    tensor([1., 1., 1., 1., 1., 1., 1., 1., 1., 1.], grad_fn=<RoundBackward1>)
    """
    if not isinstance(net, CBNeuralNetClassifier):
        raise TypeError(f"net must be a CBNeuralNetClassifier, got {type(net).__name__}.")
    check_is_fitted(net, "module_")
    tau = check_non_negative(tau, "tau")
    net = copy.deepcopy(net)
    layer = find_head(uncompiled(net.module_), len(net.classes_), head)
    with torch.no_grad():
        norms = layer.weight.norm(dim=1, keepdim=True)
        layer.weight /= norms.clamp(min=torch.finfo(norms.dtype).tiny) ** tau
        if getattr(layer, "bias", None) is not None:
            layer.bias.zero_()
    return net
