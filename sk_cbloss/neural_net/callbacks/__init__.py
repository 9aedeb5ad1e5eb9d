"""What is told of epochs: schedules, changes of the loss, checkpoints, scores and bars.

Callbacks may change a net's settings and its loss, and read everything.
"""

from sk_cbloss.neural_net.callbacks._deferred_reweighting import DeferredReweighting
from sk_cbloss.neural_net.callbacks._learning_rate import LearningRateSchedule
from sk_cbloss.neural_net.callbacks._loss_change import LossChange
from sk_cbloss.neural_net.callbacks._mean_loss import MeanLoss
from sk_cbloss.neural_net.callbacks._progress import progress_bar, say
from sk_cbloss.neural_net.callbacks._refit_head import RefitHead
from sk_cbloss.neural_net.callbacks._scoring import (
    DecodeLabels,
    balanced_accuracy,
    f1_macro,
    keep_decisions_alone,
)
from sk_cbloss.neural_net.callbacks._sklearn_callbacks import EpochReporter, with_callbacks
from sk_cbloss.neural_net.callbacks._training_checkpoint import TrainingCheckpoint
from sk_cbloss.neural_net.callbacks._watched import check_watched

__all__ = [
    "DecodeLabels",
    "DeferredReweighting",
    "EpochReporter",
    "LearningRateSchedule",
    "LossChange",
    "MeanLoss",
    "RefitHead",
    "TrainingCheckpoint",
    "balanced_accuracy",
    "check_watched",
    "f1_macro",
    "keep_decisions_alone",
    "progress_bar",
    "say",
    "with_callbacks",
]
