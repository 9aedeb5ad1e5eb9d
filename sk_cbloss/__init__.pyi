# The public names, written once: for lazy_loader at run time, and for type checkers.
from .datasets import load_digits_lt as load_digits_lt
from .datasets import long_tailed_counts as long_tailed_counts
from .datasets import make_long_tailed as make_long_tailed
from .losses import ClassBalancedCrossEntropyLoss as ClassBalancedCrossEntropyLoss
from .losses import ClassBalancedFocalLoss as ClassBalancedFocalLoss
from .losses import ClassBalancedSigmoidLoss as ClassBalancedSigmoidLoss
from .meta import ClassBalancedClassifier as ClassBalancedClassifier
from .metrics import shot_recall_score as shot_recall_score
from .neural_net import CBNeuralNetClassifier as CBNeuralNetClassifier
from .weights import ClassBalancedWeigher as ClassBalancedWeigher
from .weights import UnusedWeightsWarning as UnusedWeightsWarning
from .weights import beta_grid as beta_grid
from .weights import class_balanced_sample_weight as class_balanced_sample_weight
from .weights import class_balanced_weight as class_balanced_weight
from .weights import effective_number as effective_number
