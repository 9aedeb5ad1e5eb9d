"""Samplers: class-balanced weights for classifiers that take none.

>>> from imblearn.pipeline import make_pipeline
>>> from sklearn.neighbors import KNeighborsClassifier
>>> from sk_cbloss.sampling import ClassBalancedSampler
>>> model = make_pipeline(ClassBalancedSampler(beta=0.99), KNeighborsClassifier())
"""

from sk_cbloss.sampling._class_balanced import ClassBalancedSampler

__all__ = ["ClassBalancedSampler"]
