"""Many nets at once: each goes through its own fit, and their steps are taken as one.

Stands above the classifier, which knows nothing of it.
"""

from sk_cbloss.neural_net.stack._fit_together import Fit, fit_together, seed_for, train
from sk_cbloss.neural_net.stack._plan import plan

__all__ = [
    "Fit",
    "fit_together",
    "plan",
    "seed_for",
    "train",
]
