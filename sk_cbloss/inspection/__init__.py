"""Pictures, by scikit-learn's protocol of displays, and a summary in words.

>>> from sk_cbloss.inspection import LongTailDisplay
>>> display = LongTailDisplay({"cat": 900, "dog": 90, "yak": 9}).plot()
"""

from sk_cbloss.inspection._beta_search import BetaSearchDisplay
from sk_cbloss.inspection._class_weight import ClassWeightDisplay
from sk_cbloss.inspection._describe import LongTail, describe_long_tail
from sk_cbloss.inspection._effective_number import EffectiveNumberDisplay
from sk_cbloss.inspection._long_tail import LongTailDisplay
from sk_cbloss.inspection._recall_trade_off import RecallTradeOffDisplay
from sk_cbloss.inspection._set_coverage import SetCoverageDisplay
from sk_cbloss.inspection._shot_recall import ShotRecallDisplay
from sk_cbloss.inspection._training_history import TrainingHistoryDisplay

__all__ = [
    "BetaSearchDisplay",
    "ClassWeightDisplay",
    "EffectiveNumberDisplay",
    "LongTail",
    "LongTailDisplay",
    "SetCoverageDisplay",
    "RecallTradeOffDisplay",
    "ShotRecallDisplay",
    "TrainingHistoryDisplay",
    "describe_long_tail",
]
