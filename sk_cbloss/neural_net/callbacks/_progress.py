"""A bar that shows how far a fit is."""

import multiprocessing
import sys
import threading
from contextlib import ExitStack, contextmanager

from tqdm.auto import tqdm
from tqdm.notebook import tqdm_notebook

from sk_cbloss.neural_net.callbacks._streams import Lines, all_above, ground_of
from sk_cbloss.neural_net.training import n_epochs_done

DELAY = 0.5  # seconds; shorter fits show nothing
OFTEN, SELDOM = 0.1, 30  # seconds between two states on a terminal, and between two lines of a log
SHOWN = {"train_loss": "loss", "valid_loss": "valid", "valid_balanced_accuracy": "balanced"}
# With the scores, on 100 columns. A bar that fills what is left would be gone.
FORMAT = "{desc} {n_fmt}/{total_fmt} |{bar:12}| {elapsed}<{remaining}{postfix}"
LINE = "{desc}: {n_fmt} of {total_fmt} epochs, {elapsed} gone, {remaining} left"


@contextmanager
def progress_bar(name, n_epochs, *, hidden, in_logs=False, **options):
    """Show a bar over epochs, on a terminal or in a notebook, or lines where there is neither.

    What is printed, warned of or logged meanwhile goes above the bar.

    Parameters
    ----------
    name : str
        Who trains.
    n_epochs : int
        How many epochs there are.
    hidden : bool
        Whether to show nothing.
    in_logs : bool, default=False
        Whether to write a line now and then where a bar would be of no use.
    **options
        Of tqdm.

    Yields
    ------
    tqdm
        The bar, to be told of epochs.
    """
    in_notebook = issubclass(tqdm, tqdm_notebook)  # which has a bar of its own
    file = ground_of(sys.stderr)
    on_terminal = file.isatty()
    if type(ground_of(sys.stdout)).__module__.startswith("ipykernel."):
        # A notebook without widgets goes back to the beginning of a line, too, within a stream.
        file, on_terminal = ground_of(sys.stdout), True
    looks = {"bar_format": FORMAT, "mininterval": OFTEN, "file": file}
    if in_notebook:
        looks["bar_format"] = None
    elif not on_terminal:
        looks = {"bar_format": LINE, "mininterval": SELDOM, "maxinterval": SELDOM}
        looks |= {"file": Lines(file), "delay": SELDOM}
        hidden = hidden or not in_logs
    settings = {"total": n_epochs, "desc": name, "unit": "epoch", "smoothing": 0.1}
    with tqdm(disable=hidden, **settings | looks | options) as bar, ExitStack() as stack:
        is_main = threading.current_thread() is threading.main_thread()
        if not bar.disable and on_terminal and not in_notebook and is_main:
            stack.enter_context(all_above(bar))
        yield bar


def say(line):
    """Print a line."""
    sys.stdout.write(f"{line}\n")


class EpochBar:
    """A progress bar over the epochs of a net, below what is printed each epoch."""

    def __init__(self, net, n_epochs, *, hidden):
        # Processes that work side by side would draw over each other.
        beside_others = multiprocessing.current_process().name != "MainProcess"
        hidden = hidden or beside_others or not net.verbose
        self.shown = progress_bar(
            type(net).__name__, n_epochs, hidden=hidden, delay=DELAY, leave=False
        )
        self.bar, self.began = None, None

    def show(self, net):
        """Show the bar at the beginning of an epoch, with the scores of the one before."""
        if self.bar.disable:
            return
        n_done = n_epochs_done(net) - 1
        if self.began is None:  # a training that goes on took no time for the epochs before
            self.began = self.bar.initial = self.bar.n = self.bar.last_print_n = n_done
        before = net.history[-2] if len(net.history) > 1 else {}
        scores = {word: f"{before[name]:.3f}" for name, word in SHOWN.items() if name in before}
        self.bar.set_postfix(scores, refresh=False)
        self.bar.update(n_done - self.bar.n)

    def __enter__(self):
        self.bar = self.shown.__enter__()
        return self

    def __exit__(self, *exception):
        return self.shown.__exit__(*exception)
