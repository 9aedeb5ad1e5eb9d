"""Weights by the effective number of samples: the paper's ground floor.

A class with ``n`` samples has the effective number ``(1 - beta**n) / (1 - beta)``;
its weight is one over that, normalised. ``beta=0`` weights all classes alike and
``beta=1`` is inverse frequency, with ``normalize="samples"`` exactly
scikit-learn's ``class_weight="balanced"``.

>>> from sk_cbloss.weights import class_balanced_weight
>>> for beta in (0, 0.9, 0.99, 1):
...     print(beta, class_balanced_weight([100, 10, 1], beta=beta).round(2))
0 [1. 1. 1.]
0.9 [0.24 0.37 2.39]
0.99 [0.04 0.28 2.68]
1 [0.03 0.27 2.7 ]
"""

from sk_cbloss.weights._beta_grid import beta_grid
from sk_cbloss.weights._class_weight import class_balanced_weight
from sk_cbloss.weights._effective_number import effective_number
from sk_cbloss.weights._label_weight import check_label_count as check_label_count
from sk_cbloss.weights._label_weight import class_balanced_label_weight
from sk_cbloss.weights._lazy import is_lazy as is_lazy
from sk_cbloss.weights._sample_weight import class_balanced_sample_weight
from sk_cbloss.weights._weigher import ClassBalancedWeigher, UnusedWeightsWarning
from sk_cbloss.weights._weigher import weights_used as weights_used

__all__ = [
    "ClassBalancedWeigher",
    "UnusedWeightsWarning",
    "beta_grid",
    "class_balanced_label_weight",
    "class_balanced_sample_weight",
    "class_balanced_weight",
    "effective_number",
]
