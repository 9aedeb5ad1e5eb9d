"""Meta-estimators: class-balanced weights for any scikit-learn classifier.

>>> from sklearn.ensemble import RandomForestClassifier
>>> from sk_cbloss.meta import ClassBalancedClassifier
>>> ClassBalancedClassifier(RandomForestClassifier(), beta=0.99)
ClassBalancedClassifier(beta=0.99, estimator=RandomForestClassifier())
"""

from sk_cbloss.meta._class_balanced import ClassBalancedClassifier

__all__ = ["ClassBalancedClassifier"]
