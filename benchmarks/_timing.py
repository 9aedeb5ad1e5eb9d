"""What the scripts that time whole runs share."""

import statistics
import time

from sk_cbloss import CBNeuralNetClassifier


class WithoutGraphs(CBNeuralNetClassifier):
    """Our net, of which nothing is captured, since its steps may do anything."""

    def infer(self, *args, **kwargs):
        return super().infer(*args, **kwargs)


def medians_of(sides, n_rounds):
    """Return the median seconds of each side, run in turn, in another order each round."""
    for run in sides.values():  # warm
        run()
    seconds = {name: [] for name in sides}
    for n in range(n_rounds):
        names = list(sides)
        for name in names[n % len(names) :] + names[: n % len(names)]:
            start = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in seconds.items()}
