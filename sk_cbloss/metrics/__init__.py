"""Metrics for long tails that scikit-learn and imbalanced-learn do not have.

>>> from sklearn.metrics import make_scorer
>>> from sk_cbloss.metrics import shot_recall_score
>>> few_shot = make_scorer(shot_recall_score, class_count={0: 900, 1: 9}, shot="few")
"""

from sk_cbloss.metrics._shot_recall import shot_recall_score

__all__ = ["shot_recall_score"]
