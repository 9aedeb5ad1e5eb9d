"""A bar that shows how far a fit is."""

import multiprocessing
import sys
import time

from tqdm.auto import tqdm
from tqdm.notebook import tqdm_notebook

from sk_cbloss.neural_net.training import n_epochs_done

DELAY = 0.5  # seconds; shorter fits show nothing
SHOWN = {"train_loss": "loss", "valid_loss": "valid", "valid_balanced_accuracy": "accuracy"}
# With the scores, on 100 columns. A bar that fills what is left would be gone.
FORMAT = "{desc} {n_fmt}/{total_fmt} |{bar:12}| {elapsed}<{remaining}{postfix}"


def progress_bar(name, n_epochs, *, hidden, **options):
    """Return a bar over epochs, for a terminal or a notebook alone."""
    in_notebook = issubclass(tqdm, tqdm_notebook)  # which has a bar of its own
    return tqdm(
        total=n_epochs,
        desc=name,
        unit="epoch",
        file=sys.stderr,
        bar_format=None if in_notebook else FORMAT,
        disable=hidden or not (in_notebook or sys.stderr.isatty()),
        **options,
    )


def say(line):
    """Print a line above whatever bars there are."""
    tqdm.write(line)


class EpochBar:
    """A progress bar over the epochs of a net, below what is printed each epoch."""

    def __init__(self, net, n_epochs, *, hidden):
        # Processes that work side by side would draw over each other.
        beside_others = multiprocessing.current_process().name != "MainProcess"
        hidden = hidden or beside_others or not net.verbose
        self.bar = progress_bar(
            type(net).__name__, n_epochs, hidden=hidden, delay=DELAY, leave=False
        )
        self.began = None

    def show(self, net):
        """Show the bar at the beginning of an epoch, with the scores of the one before."""
        if self.bar.disable:
            return
        self.bar.n = n_epochs_done(net) - 1
        if self.began is None:  # a training that goes on took no time for the epochs before
            self.began = self.bar.initial = self.bar.n
        if time.time() < self.bar.start_t + DELAY:
            return
        before = net.history[-2] if len(net.history) > 1 else {}
        scores = {word: f"{before[name]:.3f}" for name, word in SHOWN.items() if name in before}
        self.bar.set_postfix(scores)

    def hide(self):
        """Make place for what is printed at the end of an epoch."""
        if not self.bar.disable:
            self.bar.clear()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()
