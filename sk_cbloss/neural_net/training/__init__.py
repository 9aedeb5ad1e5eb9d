"""The engine: steps of training, plain or captured, and what watches over them.

The loss of a batch is computed in ``_steps.py``, by ``FastSteps._loss_and_output``.
"""

from sk_cbloss.neural_net.training._captured_step import CONVOLUTIONS
from sk_cbloss.neural_net.training._divergence import DivergenceGuard
from sk_cbloss.neural_net.training._epochs import as_n_epochs, check_epoch, n_epochs_done
from sk_cbloss.neural_net.training._fit_call import FitCall, NothingLearned
from sk_cbloss.neural_net.training._graph import captured
from sk_cbloss.neural_net.training._operations import record
from sk_cbloss.neural_net.training._optimizer_step import can_be_fused, evaluates_again
from sk_cbloss.neural_net.training._proof import (
    NotCapturableError,
    Proof,
    copied,
    copy_into,
    generator_states,
    has_hooks,
    kept_random_numbers,
    same,
)
from sk_cbloss.neural_net.training._steps import HALF, FastSteps, record_batches
from sk_cbloss.neural_net.training._told import told_of

__all__ = [
    "CONVOLUTIONS",
    "DivergenceGuard",
    "FastSteps",
    "FitCall",
    "HALF",
    "NotCapturableError",
    "NothingLearned",
    "Proof",
    "as_n_epochs",
    "can_be_fused",
    "captured",
    "check_epoch",
    "copied",
    "copy_into",
    "evaluates_again",
    "generator_states",
    "has_hooks",
    "kept_random_numbers",
    "n_epochs_done",
    "record",
    "record_batches",
    "same",
    "told_of",
]
