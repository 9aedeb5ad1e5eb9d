"""What belongs to one call of ``fit``, not to the net."""

from dataclasses import dataclass, field

from sk_cbloss.neural_net.training._captured_step import CapturedSteps


@dataclass
class FitCall:
    """A call of ``fit`` or ``partial_fit``, as far as it is.

    Attributes
    ----------
    is_new : bool
        Whether the net was built for it.
    fit_params : dict
        What was handed on.
    validation_data : Dataset or None
        What was given to validate on.
    split : pair of ndarray or None
        The rows to train and to validate on.
    n_batches : int or None
        Number of batches of the epoch of training, if it is known.
    n_epochs_before : int
        Length of the history when it began.
    n_epochs_resumed : int
        Number of epochs that a checkpoint has brought.
    has_begun : bool
        Whether there was a batch to train on.
    n_epochs_learned : int
        Number of epochs that have ended with finite parameters.
    has_diverged : bool
        Whether it ends because losses are not finite.
    finite : dict
        The last finite state of each module.
    finite_epoch : int
        The epoch that it was the end of.
    loss_changes : dict
        What callbacks have changed of the loss.
    reporting : object or None
        Who is told of the epochs beside skorch's callbacks.
    saved : dict
        What was written to files for the best of it to be loaded again.
    captured : CapturedSteps
        The steps that are repeated as they were recorded.
    """

    is_new: bool = True
    fit_params: dict = field(default_factory=dict)
    validation_data: object = None
    split: tuple | None = None
    n_batches: int | None = None
    n_epochs_before: int = 0
    n_epochs_resumed: int = 0
    has_begun: bool = False
    n_epochs_learned: int = 0
    has_diverged: bool = False
    finite: dict = field(default_factory=dict)
    finite_epoch: int = 0
    loss_changes: dict = field(default_factory=dict)
    reporting: object = None
    saved: dict = field(default_factory=dict)
    captured: CapturedSteps = field(default_factory=CapturedSteps)

    def may_end_early(self):
        """Whether an interrupt ends the training, rather than the call."""
        return self.has_begun or self.n_epochs_resumed > 0

    def keeps(self, error):
        """Whether the net keeps what it has learned although the call ends with the error."""
        ends_early = self.has_diverged or not isinstance(error, Exception)
        return ends_early and self.n_epochs_learned + self.n_epochs_resumed > 0


class NothingLearned(BaseException):
    """An interrupt before the first batch, which skorch does not take for an early end."""
