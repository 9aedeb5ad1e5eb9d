"""Labels that no list tells: all rows of a Dataset are read, and that may take long."""

import sys
import time
import warnings

from tqdm.auto import tqdm
from tqdm.notebook import tqdm_notebook

from sk_cbloss.neural_net.data._listed_labels import label_of

DELAY = 1  # seconds of reading, from which the rest is estimated
WORTH_SAYING = 5  # seconds that are left


def read_labels_of(dataset, *, verbose, read=label_of):
    """Return the label of each row of a Dataset; with a warning if that takes long, and a bar."""
    labels, start, is_told = [], time.perf_counter(), False
    is_seen = verbose and (issubclass(tqdm, tqdm_notebook) or sys.stderr.isatty())
    bar = tqdm(
        range(len(dataset)),
        desc="Reading targets",
        unit=" rows",
        delay=DELAY,
        leave=False,
        file=sys.stderr,
        disable=not is_seen,
    )
    for row in bar:
        labels.append(read(dataset[row]))
        if not is_told and (seconds := time.perf_counter() - start) > DELAY:
            is_told = True
            _tell(dataset, (len(dataset) / len(labels) - 1) * seconds)
    return labels


def _tell(dataset, seconds):
    """Warn of the time that is left, if it is long."""
    if seconds > WORTH_SAYING:
        left = f"{seconds / 60:.0f} minutes" if seconds > 100 else f"{seconds:.0f} seconds"
        warnings.warn(
            f"A {type(dataset).__name__} should list its targets, got none: all {len(dataset):,} "
            f"rows are read once to count the classes, which takes {left} more. Give it an "
            "attribute targets, or pass y beside it.",
            stacklevel=3,
        )
