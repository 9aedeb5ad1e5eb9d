"""Modules and augmentations: plain torch, of use without the net.

They know nothing of the rest of the hall.
"""

from sk_cbloss.neural_net.modules._augmentation import PadCropFlip
from sk_cbloss.neural_net.modules._cifar_resnet import CifarResNet
from sk_cbloss.neural_net.modules._cutout import Cutout
from sk_cbloss.neural_net.modules._head import find_head
from sk_cbloss.neural_net.modules._mlp import MLP
from sk_cbloss.neural_net.modules._rand_augment import RandAugment

__all__ = [
    "CifarResNet",
    "Cutout",
    "MLP",
    "PadCropFlip",
    "RandAugment",
    "find_head",
]
