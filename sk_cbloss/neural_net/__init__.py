"""Neural nets with class-balanced losses, as scikit-learn classifiers.

>>> from sk_cbloss.neural_net import CBNeuralNetClassifier
>>> CBNeuralNetClassifier(loss="focal", beta=0.9999, gamma=0.5, module__hidden_units=(64,))
CBNeuralNetClassifier(beta=0.9999, gamma=0.5, loss='focal', module__hidden_units=(64,))
"""

from skorch.utils import is_dataset as is_dataset  # for the searches

from sk_cbloss.neural_net._classifier import CBNeuralNetClassifier
from sk_cbloss.neural_net._distributed import DistributedCBNeuralNetClassifier
from sk_cbloss.neural_net._recipe import cifar_recipe
from sk_cbloss.neural_net._tau_normalized import tau_normalized
from sk_cbloss.neural_net.callbacks import (
    DeferredReweighting,
    LearningRateSchedule,
    LossChange,
    RefitHead,
    TrainingCheckpoint,
)
from sk_cbloss.neural_net.callbacks import progress_bar as progress_bar
from sk_cbloss.neural_net.callbacks import say as say
from sk_cbloss.neural_net.data import (
    ArrayDataset,
    BatchLoader,
    ClassAwareSampler,
    features_and_labels,
)
from sk_cbloss.neural_net.data import features_beside as features_beside
from sk_cbloss.neural_net.data import has_several_labels as has_several_labels
from sk_cbloss.neural_net.data import is_for_labels as is_for_labels
from sk_cbloss.neural_net.data import loaded as loaded
from sk_cbloss.neural_net.modules import MLP, CifarResNet, Cutout, PadCropFlip, RandAugment
from sk_cbloss.neural_net.stack import Fit, fit_together
from sk_cbloss.neural_net.stack import plan as plan
from sk_cbloss.neural_net.stack import seed_for as seed_for
from sk_cbloss.neural_net.stack import train as train
from sk_cbloss.neural_net.state import seeded as seeded

__all__ = [
    "MLP",
    "ArrayDataset",
    "BatchLoader",
    "CBNeuralNetClassifier",
    "CifarResNet",
    "ClassAwareSampler",
    "Cutout",
    "DistributedCBNeuralNetClassifier",
    "DeferredReweighting",
    "Fit",
    "LearningRateSchedule",
    "LossChange",
    "PadCropFlip",
    "RandAugment",
    "RefitHead",
    "TrainingCheckpoint",
    "cifar_recipe",
    "features_and_labels",
    "fit_together",
    "tau_normalized",
]
