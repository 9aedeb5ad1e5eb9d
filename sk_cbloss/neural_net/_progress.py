"""A bar that shows how far a fit is."""

import multiprocessing
import sys
import time

from tqdm import tqdm

from sk_cbloss.neural_net._epochs import n_epochs_done

DELAY = 0.5  # seconds; shorter fits show nothing
SHOWN = ("train_loss", "valid_loss", "valid_balanced_accuracy")


class EpochBar:
    """A progress bar over the epochs, on a terminal alone, below what is printed each epoch."""

    def __init__(self, net, n_epochs, *, hidden):
        # Processes that work side by side would draw over each other.
        beside_others = multiprocessing.current_process().name != "MainProcess"
        self.bar = tqdm(
            total=n_epochs,
            desc=type(net).__name__,
            unit="epoch",
            delay=DELAY,
            leave=False,
            file=sys.stderr,
            disable=hidden or beside_others or not net.verbose or not sys.stderr.isatty(),
        )

    def show(self, net):
        """Show the bar at the beginning of an epoch, with the scores of the one before."""
        if self.bar.disable or time.time() < self.bar.start_t + DELAY:
            return
        self.bar.n = n_epochs_done(net) - 1
        before = net.history[-2] if len(net.history) > 1 else {}
        scores = {name: f"{before[name]:.3f}" for name in SHOWN if name in before}
        self.bar.set_postfix(scores)

    def hide(self):
        """Make place for what is printed at the end of an epoch."""
        if not self.bar.disable:
            self.bar.clear()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()
