"""What the net scores at the end of each epoch."""

import numpy as np
import torch
from sklearn.metrics import get_scorer, recall_score
from skorch.callbacks import EpochScoring
from skorch.utils import to_numpy

from sk_cbloss.neural_net.data import IGNORED, ignored_tag


def balanced_accuracy(net, X, y):
    """Score the mean recall over the classes that y holds, without a warning about others.

    Of tags, of which none may count, it is 0 then.
    """
    predicted = net.predict(X)
    if y.ndim > 1:  # tags, of which some do not count
        counts = y != ignored_tag(net)
        y, predicted = y[counts], predicted[counts]
        if not len(y):
            return 0.0
    return recall_score(y, predicted, labels=np.unique(y), average="macro")


def f1_macro(net, X, y):
    """Score the mean F1 over the labels that some sample of y has, of what is known."""
    y = np.asarray(y)  # not known is NaN, or below 0 among integers
    y, predicted = y == 1, (net.predict(X) == 1) & (y >= 0)
    n_with, n_right = y.sum(axis=0), (y & predicted).sum(axis=0)
    f1 = 2 * n_right / np.maximum(n_with + predicted.sum(axis=0), 1)
    return float(f1[n_with > 0].mean()) if n_with.any() else 0.0


class DecodeLabels:
    """Turn the positions that a batch holds back into class labels."""

    def __init__(self, classes, ignored=None):
        self.classes, self.ignored = classes, ignored

    def __call__(self, y):
        """Return labels."""
        y = to_numpy(y)
        if self.ignored is None:
            return self.classes[y]
        return np.where(y == IGNORED, self.ignored, self.classes[np.maximum(y, 0)])


class Decisions(list):
    """What is made of batches as soon as they are appended, such as positions of classes."""

    def __init__(self, decide):
        super().__init__()
        self.decide = decide

    def append(self, batch):
        super().append(self.decide(batch))

    def __reduce__(self):
        return list, (list(self),)


def keep_decisions_alone(net):
    """Have callbacks that score labels keep no logits of the epoch that begins."""
    if not net._decides_by_logits:
        return
    for _, callback in net.callbacks_:
        if type(callback) is EpochScoring and _reads_labels_alone(callback.scoring_, net):
            callback.y_preds_ = Decisions(net._decided)
            if callback.scoring_ is f1_macro:  # of many labels, of which few are there
                callback.y_preds_ = Decisions(lambda y_pred: _small(net._decided(y_pred)))
                callback.y_trues_ = Decisions(_small)


def _small(labels):
    """Return 0 and 1, and NaN as -1, in a byte each."""
    labels = torch.as_tensor(labels)
    return (labels.nan_to_num(-1) if labels.is_floating_point() else labels).to(torch.int8)


def _reads_labels_alone(scoring, net):
    """Whether a score is one of predicted labels."""
    if scoring is None:
        return type(net).score.__module__.startswith(("sklearn.", "sk_cbloss."))
    scorer = get_scorer(scoring) if isinstance(scoring, str) else scoring
    return (
        scorer in (balanced_accuracy, f1_macro)
        or getattr(scorer, "_response_method", None) == "predict"
    )
