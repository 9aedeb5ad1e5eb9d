"""Random crops and flips of a whole batch of images at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor
from torch.nn.functional import pad

from sk_cbloss._validation import check_integer


@dataclass(frozen=True)
class PadCropFlip:
    """Pad images, then crop each to its old size, and flip it, at random.

    Each image draws its own crop, one of ``(2 * padding + 1) ** 2``, and its
    own flip, left to right with probability 1/2. Draws come from torch's
    generator of the batch's device.

    Parameters
    ----------
    padding : int, default=4
        Number of pixels to put on each side.
    fill : float or sequence of float, default=0.0
        What to put there, in the units of the images: one value, or one for
        each channel.
    flip : bool, default=True
        Whether to flip.

    See Also
    --------
    CifarResNet : The net that it goes with.
    RandAugment : Changes colors and shape.
    Cutout : Cuts squares out.

    References
    ----------
    He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition",
    CVPR 2016, section 4.2.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss.neural_net import PadCropFlip
    >>> augment = PadCropFlip(padding=1, fill=-1.0, flip=False)
    >>> _ = torch.manual_seed(0)
    >>> augment(torch.arange(9.0).reshape(1, 1, 3, 3))
    tensor([[[[-1.,  3.,  4.],
              [-1.,  6.,  7.],
              [-1., -1., -1.]]]])
    """

    padding: int = 4
    fill: float | Sequence[float] = 0.0
    flip: bool = True

    def __post_init__(self):
        check_integer(self.padding, "padding", minimum=0)
        values = self._values()
        if not values or not all(isinstance(value, Real) for value in values):
            raise ValueError(f"fill must be a number, or one for each channel, got {self.fill!r}.")

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images, each cropped and flipped by its own draw.

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
        n_samples, n_channels, height, width = images.shape
        device = images.device
        top, left = torch.randint(2 * self.padding + 1, (2, n_samples, 1), device=device)
        rows = top + torch.arange(height, device=device)
        columns = left + torch.arange(width, device=device)
        if self.flip:
            flipped = torch.randint(2, (n_samples, 1), device=device).bool()
            columns = torch.where(flipped, columns.flip(1), columns)
        # One gather of flat positions is several times faster than an index for each dimension.
        padded = self._pad(images)
        pixels = (rows[:, :, None] * padded.shape[3] + columns[:, None, :]).flatten(1)
        crops = padded.flatten(2).gather(2, pixels[:, None].expand(-1, n_channels, -1))
        channels_last = images.is_contiguous(memory_format=torch.channels_last)
        return crops.view(images.shape).contiguous(
            memory_format=torch.channels_last if channels_last else torch.contiguous_format
        )

    def _values(self):
        return self.fill if isinstance(self.fill, list | tuple) else [self.fill]

    def _pad(self, images):
        values = self._values()
        if len(values) != images.shape[1] and values is self.fill:
            raise ValueError(
                f"fill must have one value for each of {images.shape[1]} channels, "
                f"got {self.fill!r}."
            )
        # torch would cut the decimals off.
        if not images.is_floating_point() and any(value % 1 for value in values):
            raise ValueError(
                f"fill must be whole for images of dtype {images.dtype}, got {self.fill!r}."
            )
        padded = pad(images, [self.padding] * 4, value=values[0])
        if len(values) > 1:
            # Number by number: a tensor of them would have to wait for the device.
            for channel, value in enumerate(values):
                padded[:, channel] = value
            height, width = images.shape[2:]
            padded[:, :, self.padding :, self.padding :][:, :, :height, :width] = images
        return padded


def check_images(images):
    """Raise a ValueError unless it is a batch of images."""
    if not isinstance(images, torch.Tensor) or images.ndim != 4:
        is_tensor = isinstance(images, torch.Tensor)
        raise ValueError(
            "images must be a tensor of shape (n_samples, n_channels, height, width), got "
            f"{f'shape {tuple(images.shape)}' if is_tensor else type(images).__name__}."
        )
