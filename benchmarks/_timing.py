"""What the scripts that time whole runs share."""

import statistics
import time

import torch
from threadpoolctl import threadpool_limits

from sk_cbloss import CBNeuralNetClassifier


class Uncaptured(CBNeuralNetClassifier):
    """Our net, of which nothing is captured, since its steps may do anything."""

    def infer(self, *args, **kwargs):
        return super().infer(*args, **kwargs)


def use_threads(n_threads):
    """Let torch use so many threads, and so what numpy and scikit-learn multiply with."""
    threadpool_limits(n_threads)
    torch.set_num_threads(n_threads)


def repeated(run, n_calls):
    """Return what calls a function so many times, for what is too short to be timed once."""

    def runs():
        for _ in range(n_calls):
            run()

    return runs


def medians_of(sides, n_rounds, clock=time.perf_counter):
    """Return the median seconds of each side, run in turn, in another order each round."""
    for run in sides.values():  # warm
        run()
    seconds = {name: [] for name in sides}
    for n in range(n_rounds):
        names = list(sides)
        for name in names[n % len(names) :] + names[: n % len(names)]:
            start = clock()
            sides[name]()
            seconds[name].append(clock() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}
