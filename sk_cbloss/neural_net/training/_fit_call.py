"""What belongs to one call of ``fit``, not to the net."""

from dataclasses import dataclass, field

from sk_cbloss.neural_net.ranks import Alone
from sk_cbloss.neural_net.training._captured_step import CapturedSteps


@dataclass
class FitCall:
    """A call of ``fit`` or ``partial_fit``, as far as it is."""

    is_new: bool = True  # whether the net was built for it
    fit_params: dict = field(default_factory=dict)
    validation_data: object = None  # a Dataset, if some was given
    split: tuple | None = None  # the rows to train and to validate on
    data: tuple = (None, None)  # what is trained on before it is split, and its targets
    n_batches: int | None = None  # of the epoch of training, if it is known
    n_epochs_before: int = 0  # length of the history when it began
    n_epochs_resumed: int = 0  # that a checkpoint has brought
    has_begun: bool = False  # whether there was a batch to train on
    n_epochs_learned: int = 0  # that have ended with finite parameters
    has_diverged: bool = False
    finite: dict = field(default_factory=dict)  # the last finite state of each module
    finite_epoch: int = 0  # that it was the end of
    loss_changes: dict = field(default_factory=dict)  # what callbacks have changed of the loss
    reporting: object = None  # who is told of the epochs beside skorch's callbacks
    saved: dict = field(default_factory=dict)  # what went to files, if the best of it is loaded
    ranks: Alone = field(default_factory=Alone)  # that train the net together
    batches: object = None  # of the epoch of training, if ranks share them
    averaging: object = None  # the module that averages gradients, and what it was made for
    steps_together: bool = False  # whether a step is under way that all ranks take
    stream: object = None  # random numbers of this rank alone
    is_in_epoch: bool = False  # whether ranks train or validate now, and need each other
    has_ended: bool = False  # whether the ranks have agreed to end
    spares_logits: bool = False  # whether a step is under way in which nobody looks at them
    resting: set = field(default_factory=set)  # parts, as in prediction while others learn
    captured: CapturedSteps = field(default_factory=CapturedSteps)

    def may_end_early(self):
        """Whether an interrupt ends the training, rather than the call."""
        return self.has_begun or self.n_epochs_resumed > 0

    def keeps(self, error):
        """Whether the net keeps what it has learned although the call ends with the error."""
        ends_early = self.has_diverged or not isinstance(error, Exception)
        return ends_early and self.n_epochs_learned + self.n_epochs_resumed > 0


class NothingLearned(BaseException):
    """An interrupt that skorch is not to take for an early end, which its cause then is not."""
