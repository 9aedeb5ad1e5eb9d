"""Squares that are cut out of a whole batch of images at once."""

from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor

from sk_cbloss._validation import check_integer
from sk_cbloss.neural_net.modules._augmentation import check_images


@dataclass(frozen=True)
class Cutout:
    """Cut a square out of each image, at random.

    Each image draws a pixel, all of them equally likely, as the centre of its
    square, which may reach beyond the border. Draws come from torch's
    generator of the batch's device.

    Parameters
    ----------
    size : int, default=16
        Height and width of the square. The paper found 16 best for CIFAR-10,
        and 8 for CIFAR-100.
    fill : float, default=0.0
        What to put there, in the units of the images.

    See Also
    --------
    PadCropFlip : Comes first.
    RandAugment : Changes colors and shape.

    References
    ----------
    DeVries and Taylor, "Improved Regularization of Convolutional Neural
    Networks with Cutout", arXiv 1708.04552, 2017, section 3.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss.neural_net import Cutout
    >>> _ = torch.manual_seed(0)
    >>> Cutout(size=2)(torch.ones(1, 1, 3, 4))
    tensor([[[[1., 1., 1., 1.],
              [1., 1., 0., 0.],
              [1., 1., 0., 0.]]]])
    """

    size: int = 16
    fill: float = 0.0

    def __post_init__(self) -> None:
        check_integer(self.size, "size", minimum=1)
        if not isinstance(self.fill, Real):
            raise ValueError(f"fill must be a number, got {self.fill!r}.")

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images, each with its own square.

        Parameters
        ----------
        images : tensor of shape (n_samples, n_channels, height, width)
            Images on any device, of any data type.

        Returns
        -------
        tensor of shape (n_samples, n_channels, height, width)
            New images of the same data type, device and memory format.
        """
        check_images(images)
        if not images.is_floating_point() and self.fill % 1:  # torch would cut the decimals off
            raise ValueError(
                f"fill must be whole for images of dtype {images.dtype}, got {self.fill!r}."
            )
        n_samples, _, *sizes = images.shape
        rows, columns = (self._is_cut(n_samples, size, images.device) for size in sizes)
        is_cut = rows[:, None, :, None] & columns[:, None, None, :]
        return images.clone().masked_fill_(is_cut, self.fill)

    def _is_cut(self, n_samples, size, device):
        """Draw where the squares lie along one side, of shape (n_samples, size)."""
        first = torch.randint(size, (n_samples, 1), device=device) - self.size // 2
        distance = torch.arange(size, device=device) - first
        return (distance >= 0) & (distance < self.size)
