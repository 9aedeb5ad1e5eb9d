"""The fast nets of the speedrun, and how they are trained.

After Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", arXiv 2404.00498, written anew
from what the paper says. What differs from it: batches are of 512; the first layer's bias learns
in all epochs; there is no Lookahead, and no view of a test image but the image itself. Nor is
there label smoothing, which gives a rare class more of each label than its share of the images:
where logits are adjusted by these shares, in training or after it, rare classes would always win.
"""

from itertools import pairwise

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import nn
from torch.nn.functional import conv2d, gelu

from sk_cbloss.neural_net import DeferredReweighting, LearningRateSchedule

# Channels of the blocks, convolutions in each; the paper's learning rate, weight decay and shift.
NETS = {
    "airbench": ((64, 256, 256), 2, 11.5, 0.0153, 2),
    "airbench96": ((128, 512, 512), 3, 9.0, 0.012, 4),
}
BATCH_SIZE = 512
MOMENTUM = 0.85
BIAS_RATE = 64  # times the learning rate, for the biases of normalisation
FEATURE_SCALE = 1 / 9  # that of the logits, which is the same where the head has no bias
WHITENING_EPS = 5e-4
IMAGES_TO_WHITEN = 2000

# LDAM multiplies its logits, and with them all gradients, by 30. Chosen on a part of the images to
# train on, as is nothing else.
RATE = {"ldam": 0.1}


# ---------------------------------------------------------------------- images


def normalized(data):
    """Return data whose channels have mean 0 and deviation 1 over the images to train on."""
    mean = data.X.mean((0, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    std = data.X.std((0, 2, 3), keepdims=True, dtype=np.float64).astype(np.float32)
    return data._replace(X=(data.X - mean) / std, X_test=(data.X_test - mean) / std)


def some_mirrored(images, seed):
    """Return the images, each mirrored by a random bit of its own."""
    bits = np.random.default_rng(seed).integers(2, size=len(images), dtype=bool)
    return np.where(bits[:, None, None, None], images[..., ::-1], images)


def whitening_filters(images, eps=WHITENING_EPS):
    """Return filters of 2 x 2 pixels whose outputs are uncorrelated, and their negatives.

    Parameters
    ----------
    images : ndarray of shape (n_samples, n_channels, height, width)
        Images to train on.
    eps : float, default=5e-4
        Added to each variance, so that noise is not blown up.

    Returns
    -------
    ndarray of shape (8 * n_channels, n_channels, 2, 2)
        The filters.
    """
    images = images[:: -(-len(images) // IMAGES_TO_WHITEN)]  # of all classes: they lie in order
    height, width = images.shape[2] - 1, images.shape[3] - 1
    corners = [images[:, :, i : i + height, j : j + width] for i in (0, 1) for j in (0, 1)]
    patches = np.stack(corners, axis=2).transpose(1, 2, 0, 3, 4)
    patches = patches.reshape(4 * images.shape[1], -1).astype(np.float64)
    variance, directions = np.linalg.eigh(np.cov(patches))
    filters = (directions / np.sqrt(variance.clip(0) + eps)).T[::-1]
    filters = filters.reshape(-1, images.shape[1], 2, 2).astype(np.float32)
    return np.concatenate([filters, -filters])


class ShiftAndCut:
    """Shift each image, and cut a square out of it, at random; mirror all if told so.

    Draws come from torch's generator of the batch's device.

    Parameters
    ----------
    shift : int, default=2
        Number of pixels, at most, in each direction; the image's own pixels, mirrored at its
        edge, come in.
    cutout : int, default=12
        Side of the square that becomes 0.

    Attributes
    ----------
    mirrors : tensor of shape (), dtype bool
        Whether to mirror; changed in place, so that a graph that was captured sees it.
    """

    def __init__(self, shift=2, cutout=12):
        self.shift = shift
        self.cutout = cutout
        self.mirrors = torch.tensor(False)

    def __call__(self, images):
        n_samples, n_channels, height, width = images.shape
        by = torch.randint(-self.shift, self.shift + 1, (2, n_samples, 1), device=images.device)
        rows = _shifted(height, by[0])
        columns = _shifted(width, by[1])
        columns = torch.where(self.mirrors, columns.flip(1), columns)
        pixels = (rows[:, :, None] * width + columns[:, None]).flatten(1)
        pixels = pixels[:, None].expand(-1, n_channels, -1)
        shifted = images.flatten(2).gather(2, pixels).view(images.shape)
        if not self.cutout:
            return shifted
        rows, columns = (_cut(size, self.cutout, by) for size in (height, width))
        return shifted.masked_fill((rows[:, :, None] & columns[:, None])[:, None], 0)


def _shifted(size, by):
    """Return for each image the positions that its pixels come from, mirrored at the edges."""
    positions = (torch.arange(size, device=by.device) + by).abs()
    return size - 1 - (size - 1 - positions).abs()


def _cut(size, length, like):
    """Return for each image which positions are within a stretch of that length."""
    start = torch.randint(size - length + 1, like[0].shape, device=like.device)
    positions = torch.arange(size, device=like.device) - start
    return (positions >= 0) & (positions < length)


class AlternatingFlip(Callback):
    """Mirror all images in every other epoch.

    Of images that were mirrored at random before, each is seen as it lies and mirrored in turn.
    """

    def on_train_begin(self, net, **kwargs):
        net.batch_transform.mirrors = torch.tensor(False, device=net.device)

    def on_epoch_begin(self, net, **kwargs):
        net.batch_transform.mirrors.fill_(len(net.history) % 2 == 0)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


# ---------------------------------------------------------------------- the net


class AirbenchNet(nn.Module):
    """A whitening layer, blocks of convolutions, the maximum over the image, and a linear head.

    Parameters
    ----------
    whitening : ndarray of shape (n_filters, n_channels, 2, 2)
        The first layer's filters, which are not trained.
    n_classes : int
        Number of classes. The net fills it in.
    widths : sequence of int, default=(64, 256, 256)
        Channels of each block.
    n_convolutions : int, default=2
        Convolutions of each block; with 3, the last two have a shortcut.
    """

    def __init__(self, whitening, n_classes, widths=(64, 256, 256), n_convolutions=2):
        super().__init__()
        widths = [len(whitening), *widths]
        self.whiten = _Whitening(whitening)
        self.blocks = nn.Sequential(*[_Block(*both, n_convolutions) for both in pairwise(widths)])
        self.head = nn.Linear(widths[-1], n_classes, bias=False)

    def forward(self, x):
        features = self.blocks(self.whiten(x)).amax((2, 3))
        return self.head(FEATURE_SCALE * features)


class _Whitening(nn.Module):
    def __init__(self, filters):
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(filters.copy()))
        self.bias = nn.Parameter(torch.zeros(len(filters)))

    def forward(self, x):
        return gelu(conv2d(x, self.weight, self.bias))


class _Block(nn.Module):
    """Convolutions at half the image's size, the first before it is halved."""

    def __init__(self, in_channels, channels, n_convolutions):
        super().__init__()
        self.first = nn.Sequential(_convolution(in_channels, channels), nn.MaxPool2d(2))
        self.first_norm = _normalization(channels)
        rest = []
        for _ in range(n_convolutions - 1):
            rest += [_convolution(channels, channels), _normalization(channels), nn.GELU()]
        self.rest = nn.Sequential(*rest[:-1])
        self.has_shortcut = n_convolutions > 2

    def forward(self, x):
        x = gelu(self.first_norm(self.first(x)))
        return gelu(self.rest(x) + x if self.has_shortcut else self.rest(x))


def _convolution(in_channels, channels):
    """Return a convolution whose first filters hand their channel on."""
    layer = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
    nn.init.dirac_(layer.weight.data[:in_channels])
    return layer


def _normalization(channels):
    layer = nn.BatchNorm2d(channels, eps=1e-12, momentum=0.4)
    layer.weight.requires_grad_(False)
    return layer


# ---------------------------------------------------------------------- training


class Triangle(LearningRateSchedule):
    """Let the learning rate rise from a share of it in a straight line, and fall in another.

    Parameters
    ----------
    start : float, default=0.2
        Share at the start.
    peak : float, default=0.23
        Share of the training that the rise takes.
    end : float, default=0.07
        Share at the end.
    """

    def __init__(self, start=0.2, peak=0.23, end=0.07):
        super().__init__()
        self.start = start
        self.peak = peak
        self.end = end

    def scale(self, net, epoch, step):
        shares = (self.start, 1, self.end)
        return float(np.interp(epoch / net.max_epochs, (0, self.peak, 1), shares))


def airbench_recipe(run, X):
    """Return parameters of the net for a run, on normalised images."""
    widths, n_convolutions, rate, decay, shift = NETS[run.net]
    is_small = run.dataset == "digits"  # too small to halve three times, or to cut much out
    batch_size = 32 if is_small else BATCH_SIZE
    lr = RATE.get(run.loss, 1) * mean_loss_rate(rate, batch_size)
    # What the paper takes off the weights in each step is its decay times the learning rate.
    decay = decay / rate
    of_biases = {"lr": BIAS_RATE * lr, "weight_decay": decay / BIAS_RATE}
    callbacks = [("schedule", Triangle())]
    if not is_small:  # another digit in the mirror
        callbacks.append(("flip", AlternatingFlip()))
    if run.is_deferred:
        callbacks.append(("deferred", DeferredReweighting(start=0.8)))
    return {
        "module": AirbenchNet,
        "module__whitening": whitening_filters(X),
        "module__widths": [round(run.width * n) for n in (widths[:2] if is_small else widths)],
        "module__n_convolutions": n_convolutions,
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": MOMENTUM,
        "optimizer__nesterov": True,
        "optimizer__weight_decay": decay,
        "optimizer__param_groups": [("blocks.*.bias", of_biases)],
        "lr": lr,
        "normalize": "samples",  # a mean weight of 1, so that the learning rate means the same
        "batch_size": batch_size,
        "iterator_train__drop_last": True,  # a small last batch would count as much as a whole one
        "max_epochs": run.epochs,
        "batch_transform": ShiftAndCut(1, 0) if is_small else ShiftAndCut(shift),
        "callbacks": callbacks,
    }


def mean_loss_rate(rate, batch_size):
    """Return the learning rate for a mean loss that is the paper's for a sum.

    The paper divides its rate by 1024 examples, and by 1 + 1 / (1 - momentum), about what
    Nesterov's momentum adds up to. The gradient of a mean is that of the sum, divided by the batch
    size: so that is what to multiply by. 11.5 becomes 1.5 for batches of 1024, and 0.75 for 512.
    """
    return rate / 1024 / (1 + 1 / (1 - MOMENTUM)) * batch_size
