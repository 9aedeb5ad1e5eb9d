"""Neural nets with class-balanced losses, as scikit-learn classifiers.

>>> from sk_cbloss.neural_net import CBNeuralNetClassifier
>>> CBNeuralNetClassifier(loss="focal", beta=0.9999, gamma=0.5, module__hidden_units=(64,))
CBNeuralNetClassifier(beta=0.9999, gamma=0.5, loss='focal', module__hidden_units=(64,))
"""

from sk_cbloss.neural_net._batches import ArrayDataset, BatchLoader
from sk_cbloss.neural_net._classifier import CBNeuralNetClassifier
from sk_cbloss.neural_net._modules import MLP

__all__ = ["MLP", "ArrayDataset", "BatchLoader", "CBNeuralNetClassifier"]
