"""Metrics for long tails that scikit-learn and imbalanced-learn do not have.

>>> from sk_cbloss.metrics import make_shot_scorer
>>> few_shot = make_shot_scorer(["cat"] * 900 + ["yak"] * 9, shot="few")
"""

from sk_cbloss.metrics._classwise import classwise_brier_score_loss, classwise_calibration_error
from sk_cbloss.metrics._paired_difference import PairedDifference, paired_difference_interval
from sk_cbloss.metrics._shot_recall import SHOTS as SHOTS
from sk_cbloss.metrics._shot_recall import make_shot_scorer, shot_recall_score
from sk_cbloss.metrics._shot_recall import shots_of as shots_of
from sk_cbloss.metrics._worst_class import worst_class_recall_score

__all__ = [
    "PairedDifference",
    "classwise_brier_score_loss",
    "classwise_calibration_error",
    "make_shot_scorer",
    "paired_difference_interval",
    "shot_recall_score",
    "worst_class_recall_score",
]
