"""Searches that train many nets at once.

>>> from sk_cbloss.model_selection import StackedGridSearchCV
>>> from sk_cbloss.neural_net import CBNeuralNetClassifier
>>> net = CBNeuralNetClassifier(random_state=0)
>>> search = StackedGridSearchCV(net, {"beta": [0, 0.9, 0.99]}, scoring="balanced_accuracy")
"""

from sk_cbloss.model_selection._stacked_grid_search import StackedGridSearchCV

__all__ = ["StackedGridSearchCV"]
