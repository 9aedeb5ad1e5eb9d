"""What has become of a candidate and fold, light enough to be sent and kept."""

import pickle
import traceback
from contextlib import suppress
from dataclasses import dataclass

try:
    import cloudpickle as pickler  # with which those send that have it
except ImportError:
    pickler = pickle


@dataclass(eq=False)
class Outcome:
    """What has become of a job: scores, an error, or why it is still to be done alone.

    Attributes
    ----------
    result : Scored, Exception or None
        The scores, or why there are none.
    obstacle : str or None
        Why the net could not be trained with others.
    n_nets : int
        Number of nets that were trained with it as one, itself included.
    seconds : float
        How long the fit took.
    ends_search : bool
        Whether the error is one of scoring, which scikit-learn lets end a
        search.
    """

    result: object = None
    obstacle: str | None = None
    n_nets: int = 0
    seconds: float = 0.0
    ends_search: bool = False

    def take_scores(self, result):
        """Take scores, or the error that there was instead."""
        self.result, self.ends_search = result, isinstance(result, Exception)

    def __post_init__(self):
        if isinstance(self.result, Exception):
            _let_go(self.result)

    def __getstate__(self):
        state = dict(vars(self))
        if isinstance(self.result, Exception):
            state["result"] = _portable(self.result)
        return state


def _let_go(error):
    """Clear what the calls that an error came through, and their callers, hold: nets and data."""
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            with suppress(RuntimeError):  # of one that has not ended
                while frame is not None:
                    frame.clear()
                    frame = frame.f_back
        error = error.__cause__ or error.__context__


def _portable(error):
    """Return an error as it can be sent to another process, where it came from as a note."""
    told = "".join(traceback.format_exception(error))
    try:
        copy = pickle.loads(pickler.dumps(error))
        is_whole = type(copy).__name__ == type(error).__name__ and str(copy) == str(error)
    except Exception:  # of one that cannot be pickled, or not be made again
        is_whole = False
    if not is_whole:
        copy = RuntimeError(f"{type(error).__name__}: {error}")
    copy.add_note(f"Raised in another process:\n{told}")
    return copy
