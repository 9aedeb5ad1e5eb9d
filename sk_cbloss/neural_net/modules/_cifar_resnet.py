"""The residual net of the paper's experiments with CIFAR."""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, relu

from sk_cbloss._validation import check_integer


class CifarResNet(nn.Module):
    """Residual net for small images: the ResNet-32 of the paper's CIFAR experiments.

    A first convolution, three stages of ``(depth - 2) / 6`` residual blocks
    with 16, 32 and 64 channels, the mean over the image, and a linear head.
    The second and the third stage halve height and width, odd ones rounded
    up; their shortcuts have no parameters. Weights start glorot-uniform, as
    in the authors' code: torch's own start is narrower.

    Parameters
    ----------
    n_features : int
        Number of channels of the images. The net fills it in.
    n_classes : int
        Number of classes. The net fills it in.
    depth : int, default=32
        Number of layers with weights: 6 n + 2, for n blocks a stage.

    Attributes
    ----------
    head : torch.nn.Linear
        The last layer.

    See Also
    --------
    PadCropFlip : The augmentation that goes with it.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
    CVPR 2016, section 4.2.

    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 5.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss.neural_net import CifarResNet
    >>> module = CifarResNet(n_features=3, n_classes=10)
    >>> module(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 10])
    >>> sum(parameter.numel() for parameter in module.parameters())
    464154
    """

    def __init__(self, n_features: int, n_classes: int, depth: int = 32):
        super().__init__()
        n_features = check_integer(n_features, "n_features", minimum=1)
        n_classes = check_integer(n_classes, "n_classes", minimum=1)
        n_blocks, rest = divmod(check_integer(depth, "depth", minimum=8) - 2, 6)
        if rest:
            raise ValueError(f"depth must be 6 n + 2 with n >= 1, got {depth!r}.")
        widths = [16] * (n_blocks + 1) + [32] * n_blocks + [64] * n_blocks
        self.body = nn.Sequential(
            *_convolution(n_features, widths[0]),
            nn.ReLU(),
            *[_ResidualBlock(*sizes) for sizes in pairwise(widths)],
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(widths[-1], n_classes)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits.

        Parameters
        ----------
        x : tensor of shape (n_samples, n_features, height, width)
            Images.

        Returns
        -------
        tensor of shape (n_samples, n_classes)
            Logits.

        Raises
        ------
        ValueError
            If the last axis looks like the channels.
        """
        if x.shape[-1] <= 4 < x.shape[1]:
            raise ValueError(
                "Images must have shape (n_samples, n_channels, height, width), got "
                f"{tuple(x.shape)}: move the channels, X.transpose(0, 3, 1, 2)."
            )
        return self.head(self.body(x))


class _ResidualBlock(nn.Module):
    """Two convolutions, added to their input; to more channels, at half the size."""

    def __init__(self, in_channels, channels):
        super().__init__()
        self.grows = channels > in_channels
        # As many zeros before as after, as in the authors' code.
        self.zeros = (channels - in_channels) // 2
        self.residual = nn.Sequential(
            *_convolution(in_channels, channels, stride=2 if self.grows else 1),
            nn.ReLU(),
            *_convolution(channels, channels),
        )

    def forward(self, x):
        return relu(self.shortcut(x) + self.residual(x))

    def shortcut(self, x):
        if not self.grows:
            return x
        # A convolution rounds odd sizes up; pooling, by default, down.
        x = avg_pool2d(x, 2, ceil_mode=True)
        return pad(x, (0, 0, 0, 0, self.zeros, self.zeros))


def _convolution(in_channels, channels, stride=1):
    # No bias: the batch normalisation has one.
    layer = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return layer, nn.BatchNorm2d(channels)
