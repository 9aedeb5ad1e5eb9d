"""Random changes of color and shape, for a whole batch of images at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from sk_cbloss._validation import check_integer
from sk_cbloss.neural_net.modules._augmentation import check_images

MOVES = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
BLENDS = ("brightness", "color", "contrast", "sharpness")
MAPS = ("posterize", "solarize", "autocontrast", "equalize")
OPERATIONS = ("identity", *MOVES, *BLENDS, *MAPS)


@dataclass(frozen=True)
class RandAugment:
    """Change each image by operations that it draws, all equally strong.

    They are those of the paper: none, shears, shifts and rotations;
    brightness, color, contrast and sharpness; fewer levels, inverted bright
    levels, levels spread to the limits or evenly. All images go through
    together, on their device. Draws come from torch's generator of it.

    Parameters
    ----------
    n_operations : int, default=2
        Number of operations that each image goes through.
    magnitude : float, default=9.0
        Their strength, from 0 to 30: at 30, shears of 0.3, shifts of 45 % of
        the image, rotations of 30 degrees, blends of 90 %, 16 levels, and all
        inverted.
    limits : sequence of two floats, default=(-1.0, 1.0)
        What black and white are, in the units of the images: (0, 255) for
        those of dtype uint8.
    fill : float, default=0.0
        What to put where an image was moved away, in the units of the images.

    See Also
    --------
    PadCropFlip : Comes first.
    Cutout : Comes last.

    Notes
    -----
    Operations are Pillow's, with 256 levels between the limits, and ranges as
    in the paper; but blends are not rounded to whole levels. Images of one
    channel, or of others than three, have their mean for grey.

    References
    ----------
    Cubuk, Zoph, Shlens and Le, "RandAugment: Practical Automated Data
    Augmentation with a Reduced Search Space", NeurIPS 2020, section 3.

    Examples
    --------
    >>> import torch
    >>> from sk_cbloss.neural_net import Cutout, PadCropFlip, RandAugment
    >>> images = torch.rand(8, 3, 32, 32) * 2 - 1
    >>> RandAugment(n_operations=1, magnitude=5)(images).shape
    torch.Size([8, 3, 32, 32])

    A net takes several, one after the other:

    >>> from sk_cbloss import CBNeuralNetClassifier
    >>> net = CBNeuralNetClassifier(batch_transform=[PadCropFlip(), RandAugment(), Cutout()])
    """

    n_operations: int = 2
    magnitude: float = 9.0
    limits: Sequence[float] = (-1.0, 1.0)
    fill: float = 0.0

    def __post_init__(self) -> None:
        check_integer(self.n_operations, "n_operations", minimum=0)
        if not isinstance(self.magnitude, Real) or not 0 <= self.magnitude <= 30:
            raise ValueError(f"magnitude must be a number in [0, 30], got {self.magnitude!r}.")
        if not isinstance(self.fill, Real):
            raise ValueError(f"fill must be a number, got {self.fill!r}.")
        are_two = isinstance(self.limits, list | tuple) and len(self.limits) == 2
        if not are_two or not all(isinstance(limit, Real) for limit in self.limits):
            raise ValueError(f"limits must be two numbers, got {self.limits!r}.")
        if not self.limits[0] < self.limits[1]:
            raise ValueError(f"limits must be in order, black first, got {self.limits!r}.")

    def __call__(self, images: Tensor) -> Tensor:
        """Return the images, each changed by its own draws.

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
        low, high = self.limits
        unit = (high - low) / 255
        wide = images.to(torch.promote_types(images.dtype, torch.float32))
        levels, fill = (wide - low) / unit, (self.fill - low) / unit
        n_samples, device = len(images), images.device
        for _ in range(self.n_operations):
            which = torch.randint(len(OPERATIONS), (n_samples,), device=device)
            sign = torch.randint(2, (n_samples,), device=device) * 2 - 1
            levels = changed(levels, which, sign * (self.magnitude / 30), fill)
        new = levels * unit + low
        new = (new if images.is_floating_point() else new.round()).to(images.dtype)
        channels_last = images.is_contiguous(memory_format=torch.channels_last)
        return new.contiguous(
            memory_format=torch.channels_last if channels_last else torch.contiguous_format
        )


def changed(levels, which, amount, fill):
    """Return images of levels from 0 to 255, each changed by the operation of its number.

    Amounts are from -1 to 1, one for each image. All images go through all operations, so that
    nothing depends on what was drawn but the numbers.
    """
    is_drawn = {
        name: which == number for number, name in enumerate(OPERATIONS) if name != "identity"
    }
    result = moved(levels, is_drawn, amount, fill)
    made = blended(levels, amount) | mapped(levels, amount)
    for name, images in made.items():
        result = torch.where(is_drawn[name][:, None, None, None], images, result)
    return result


def moved(levels, is_drawn, amount, fill):
    """Return images that are sheared, shifted or rotated, each pixel as the nearest one was."""
    _, n_channels, height, width = levels.shape
    of_move = {
        name: torch.where(is_drawn[name], amount, 0)[:, None, None].to(levels.dtype)
        for name in MOVES
    }
    y = torch.arange(height, dtype=levels.dtype, device=levels.device)[:, None] + 0.5
    x = torch.arange(width, dtype=levels.dtype, device=levels.device) + 0.5
    angle = of_move["rotate"] * (math.pi / 6)
    u, v = x - width / 2, y - height / 2
    from_x = angle.cos() * u - angle.sin() * v + width / 2
    from_x = from_x + 0.3 * of_move["shear_x"] * y + of_move["translate_x"] * (150 / 331 * width)
    from_y = angle.sin() * u + angle.cos() * v + height / 2
    from_y = from_y + 0.3 * of_move["shear_y"] * x + of_move["translate_y"] * (150 / 331 * height)
    column, row = from_x.floor().long(), from_y.floor().long()
    is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    pixel = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    pixel = pixel.flatten(1)[:, None].expand(-1, n_channels, -1)
    return levels.flatten(2).gather(2, pixel).view(levels.shape).where(is_inside[:, None], fill)


def blended(levels, amount):
    """Return images mixed with plainer ones, or driven away from these."""
    grey = levels.mean(dim=1, keepdim=True)
    if levels.shape[1] == 3:
        red, green, blue = levels.split(1, dim=1)
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
    plain = {
        "brightness": torch.zeros_like(grey),
        "color": grey,
        "contrast": grey.mean(dim=(2, 3), keepdim=True),
        "sharpness": smoothed(levels),
    }
    factor = 1 + 0.9 * amount[:, None, None, None]
    return {
        name: (images + factor * (levels - images)).clamp(0, 255) for name, images in plain.items()
    }


def smoothed(levels):
    """Return images in which each pixel within counts 5 among its 8 neighbours."""
    if min(levels.shape[2:]) < 3:
        return levels
    within = levels[:, :, 1:-1, 1:-1]
    result = levels.clone()
    result[:, :, 1:-1, 1:-1] = (9 * avg_pool2d(levels, 3, 1) + 4 * within) / 13
    return result


def mapped(levels, amount):
    """Return images each of whose levels has become another."""
    amount = amount.abs()[:, None, None, None]
    step = 2 ** (4 * amount).round()
    least, most = levels.amin(dim=(2, 3), keepdim=True), levels.amax(dim=(2, 3), keepdim=True)
    spread = (levels - least) * (255 / (most - least).clamp(min=1e-3))
    return {
        "posterize": (levels.round() / step).floor() * step,
        "solarize": torch.where(levels < 256 * (1 - amount), levels, 255 - levels),
        "autocontrast": torch.where(most > least, spread, levels),
        "equalize": equalized(levels),
    }


def equalized(levels):
    """Return images whose levels are spread evenly, channel by channel."""
    level = levels.round().clamp(0, 255).long().flatten(2)
    counts = torch.zeros(*level.shape[:2], 256, dtype=levels.dtype, device=levels.device)
    counts = counts.scatter_add(2, level, torch.ones_like(level, dtype=levels.dtype))
    of_highest = counts.gather(2, level.amax(dim=2, keepdim=True))
    step = ((level.shape[2] - of_highest) / 255).floor()
    below = counts.cumsum(dim=2) - counts
    new = ((below + (step / 2).floor()) / step.clamp(min=1)).floor().clamp(0, 255)
    return torch.where(step > 0, new.gather(2, level), levels.flatten(2)).view(levels.shape)
