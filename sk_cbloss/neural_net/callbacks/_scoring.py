"""What the net scores at the end of each epoch."""

import numpy as np
from sklearn.metrics import recall_score
from skorch.utils import to_numpy


def balanced_accuracy(net, X, y):
    """Score the mean recall over the classes that y holds, without a warning about others."""
    return recall_score(y, net.predict(X), labels=np.unique(y), average="macro")


class DecodeLabels:
    """Turn the positions that a batch holds back into class labels."""

    def __init__(self, classes):
        self.classes = classes

    def __call__(self, y):
        """Return labels."""
        return self.classes[to_numpy(y)]
