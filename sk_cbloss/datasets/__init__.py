"""Long-tailed data sets: class counts as in the paper, and makers for any data.

>>> from sk_cbloss.datasets import long_tailed_counts
>>> long_tailed_counts(4, 1000, imbalance_factor=10, profile="step")
array([1000, 1000,  100,  100])
"""

from sk_cbloss.datasets._cifar import fetch_cifar10_lt, fetch_cifar100_lt
from sk_cbloss.datasets._classification import make_long_tailed_classification
from sk_cbloss.datasets._digits import load_digits_lt
from sk_cbloss.datasets._long_tail import (
    long_tailed_counts,
    long_tailed_strategy,
    long_tailed_train_test_split,
    make_long_tailed,
)
from sk_cbloss.datasets._long_tail import take_rows as take_rows
from sk_cbloss.datasets._multilabel import make_long_tailed_multilabel

__all__ = [
    "LongTailedImages",
    "fetch_cifar10_lt",
    "fetch_cifar100_lt",
    "load_digits_lt",
    "long_tailed_counts",
    "long_tailed_strategy",
    "long_tailed_train_test_split",
    "make_long_tailed",
    "make_long_tailed_classification",
    "make_long_tailed_multilabel",
]


def __getattr__(name):
    """Return what needs torch, for which nobody else here should wait."""
    if name == "LongTailedImages":
        from sk_cbloss.datasets._images import LongTailedImages

        return LongTailedImages
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
