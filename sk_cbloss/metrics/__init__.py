"""Metrics for long tails that scikit-learn and imbalanced-learn do not have.

>>> from sk_cbloss.metrics import make_shot_scorer
>>> few_shot = make_shot_scorer(["cat"] * 900 + ["yak"] * 9, shot="few")
"""

from sk_cbloss.metrics._at_the_end import at_the_end as at_the_end
from sk_cbloss.metrics._classwise import classwise_brier_score_loss, classwise_calibration_error
from sk_cbloss.metrics._paired_difference import PairedDifference, paired_difference_interval
from sk_cbloss.metrics._set_coverage import (
    SetCoverage,
    mean_set_size,
    set_coverage_interval,
    set_coverage_score,
    shot_coverage_score,
)
from sk_cbloss.metrics._set_coverage import check_sets as check_sets
from sk_cbloss.metrics._set_coverage import counts_by_column as counts_by_column
from sk_cbloss.metrics._set_coverage import covered_by as covered_by
from sk_cbloss.metrics._set_coverage import sizes_of as sizes_of
from sk_cbloss.metrics._set_scorer import make_set_scorer
from sk_cbloss.metrics._shot_recall import SHOTS as SHOTS
from sk_cbloss.metrics._shot_recall import make_shot_scorer, shot_f1_score, shot_recall_score
from sk_cbloss.metrics._shot_recall import shots_of as shots_of
from sk_cbloss.metrics._worst_class import worst_class_recall_score

__all__ = [
    "PairedDifference",
    "SetCoverage",
    "classwise_brier_score_loss",
    "classwise_calibration_error",
    "make_set_scorer",
    "make_shot_scorer",
    "mean_set_size",
    "paired_difference_interval",
    "set_coverage_interval",
    "set_coverage_score",
    "shot_coverage_score",
    "shot_f1_score",
    "shot_recall_score",
    "worst_class_recall_score",
]
