"""Meta-estimators: class-balanced weights for any scikit-learn classifier.

>>> from sklearn.ensemble import RandomForestClassifier
>>> from sk_cbloss.meta import ClassBalancedClassifier
>>> ClassBalancedClassifier(RandomForestClassifier(), beta=0.99)
ClassBalancedClassifier(beta=0.99, estimator=RandomForestClassifier())
"""

from sk_cbloss.meta._class_balanced import ClassBalancedClassifier
from sk_cbloss.meta._conformal import ConformalClassifierCV
from sk_cbloss.meta._decision import DecisionClassifierCV
from sk_cbloss.meta._fit_weighted import check_takes_sample_weight as check_takes_sample_weight
from sk_cbloss.meta._fit_weighted import check_weighs_not_yet as check_weighs_not_yet
from sk_cbloss.meta._fit_weighted import sample_weight_name as sample_weight_name
from sk_cbloss.meta._logit_adjusted import LogitAdjustedClassifier
from sk_cbloss.meta._measured import MiscalibratedPriorWarning
from sk_cbloss.meta._prior_corrected import PriorCorrectedClassifier

__all__ = [
    "ClassBalancedClassifier",
    "ConformalClassifierCV",
    "DecisionClassifierCV",
    "LogitAdjustedClassifier",
    "MiscalibratedPriorWarning",
    "PriorCorrectedClassifier",
]
