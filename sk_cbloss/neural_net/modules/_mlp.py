"""The module that the net has if it is given none."""

from collections.abc import Sequence

from torch import Tensor, nn

from sk_cbloss._validation import check_fraction, check_integer


class MLP(nn.Module):
    """Multi-layer perceptron: Linear, ReLU and Dropout a hidden layer, and a linear head.

    Parameters
    ----------
    n_features : int
        Number of features. The net fills it in.
    n_classes : int
        Number of classes. The net fills it in.
    hidden_units : sequence of int, default=(100,)
        Width of each hidden layer.
    dropout : float in [0, 1), default=0.0
        Share of the hidden units that each training step leaves out.

    Attributes
    ----------
    head : torch.nn.Linear
        The last layer.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss.neural_net import MLP
    >>> MLP(n_features=64, n_classes=10)(torch.zeros(5, 64)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        hidden_units: Sequence[int] = (100,),
        dropout: float = 0.0,
    ):
        super().__init__()
        if check_fraction(dropout, "dropout") == 1:
            raise ValueError(f"dropout must be below 1, got {dropout!r}.")
        layers = []
        width = check_integer(n_features, "n_features", minimum=1)
        n_classes = check_integer(n_classes, "n_classes", minimum=1)
        if not isinstance(hidden_units, list | tuple):
            raise ValueError(f"hidden_units must be a sequence of integers, got {hidden_units!r}.")
        for units in hidden_units:
            units = check_integer(units, "hidden_units", minimum=1)
            layers += [nn.Linear(width, units), nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
            width = units
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        x : tensor of shape (n_samples, n_features)
            Features.

        Returns
        -------
        tensor of shape (n_samples, n_classes)
            Logits.
        """
        if x.ndim > 2:
            raise ValueError(
                "X must have shape (n_samples, n_features) for an MLP, got rows of shape "
                f"{tuple(x.shape[1:])}: flatten them, or give the net a module of your own."
            )
        return self.head(self.body(x))
