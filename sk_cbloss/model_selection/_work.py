"""Tasks done by the workers of whatever backend joblib is told to use."""

from concurrent.futures import BrokenExecutor, CancelledError
from contextlib import contextmanager

from joblib import effective_n_jobs
from joblib.parallel import get_active_backend
from sklearn.utils.parallel import Parallel, delayed


class Work:
    """The workers that a search has when it begins.

    Parameters
    ----------
    X, y : array-like
        The data, as they were given: what the user has sent to a cluster is
        known there by what it is.
    n_jobs : int or None
        How many are asked for.
    pre_dispatch : int or str
        How many tasks to hand to them ahead of time.

    Attributes
    ----------
    n_jobs : int
        How many there are.
    """

    def __init__(self, X, y, n_jobs, pre_dispatch):
        self.data = X, y
        backend, _ = get_active_backend()
        # Ray's cannot hand on what is done while it works.
        return_as = "generator" if backend.supports_return_generator else "list"
        with _losses_told():
            self.n_jobs = effective_n_jobs(n_jobs)
        self._parallel = Parallel(n_jobs, pre_dispatch=pre_dispatch, return_as=return_as)

    def run(self, method, tasks):
        """Call a method of each task with the data, and yield what it returns, in order.

        The data are arguments of their own, so that a cluster is sent them once.
        """
        with _losses_told():
            yield from self._parallel(delayed(method)(task, *self.data) for task in tasks)


@contextmanager
def _losses_told():
    """Say what it means when the workers or what they share cannot be reached."""
    try:
        yield
    except (BrokenExecutor, CancelledError, OSError) as error:
        raise ConnectionError(
            "The workers must be there until the search is done, got "
            f"{type(error).__name__}: {str(error).rstrip('.')}. Workers that are killed may have "
            "run out of memory, of which a smaller max_stack takes less. Start the search again; "
            "with checkpoint_dir it goes on where it was. On dask, data outlive any one worker "
            "with parallel_config(backend='dask', scatter=[X, y])."
        ) from error
