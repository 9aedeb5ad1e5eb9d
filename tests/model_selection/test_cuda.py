"""The stacked search on a GPU. Skipped, with this reason, where there is none."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from torch import nn

from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

GPU = "cuda"
RNG = np.random.default_rng(0)
Y = np.repeat(["ant", "bee", "cat"], [140, 45, 15])
X = RNG.normal(size=(200, 5)) + np.repeat(np.eye(3, 5) * 2, [140, 45, 15], axis=0)
IMAGES = RNG.normal(size=(200, 1, 6, 6)) + (Y == "bee")[:, None, None, None]


class ConvNet(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(16, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


def sum_of_squares(estimator, X, y):
    """Tell nets apart by all of their probabilities, not by who is the largest."""
    return float((estimator.predict_proba(X) ** 2).sum())


def make_net(**parameters):
    given = {"max_epochs": 8, "batch_size": 20, "random_state": 0, "dtype": "float64"}
    return CBNeuralNetClassifier(**given | parameters)


def both(net, grid, X=X, **parameters):
    """Fit both searches, compare what they found, and return the stacked one."""
    given = {"cv": 2, "scoring": {"exact": sum_of_squares, "accuracy": "accuracy"}}
    given |= {"refit": "exact"} | parameters
    ours = StackedGridSearchCV(net, grid, **given).fit(X, Y)
    given.pop("max_stack", None)
    theirs = GridSearchCV(net, grid, **given).fit(X, Y)
    for name, values in theirs.cv_results_.items():
        if "_test_" in name and "rank" not in name:
            np.testing.assert_allclose(
                ours.cv_results_[name], values, rtol=1e-6, atol=1e-6, err_msg=name
            )
    assert next(ours.best_estimator_.module_.parameters()).device.type == GPU
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-6)
    return ours


@pytest.mark.parametrize("loss", ["softmax", "focal", "ldam"])
def test_losses_as_alone(loss):
    """Long enough for the steps of a stack to be captured."""
    search = both(make_net(loss=loss), {"beta": [0, 0.99], "lr": [0.01, 0.001]})
    assert search.n_fallback_fits_ == 0
    assert search.n_stacks_ == 1


def test_numbers_of_a_loss_and_early_stopping():
    net = make_net(loss="focal", early_stopping=True, n_iter_no_change=2)
    assert both(net, {"gamma": [0.5, 2], "beta": [0.9, 0.999]}).n_fallback_fits_ == 0


def test_dropout():
    """Whether it can be stacked there or not: a net alone may draw its masks in another way."""
    both(make_net(module__dropout=0.3, max_epochs=4), {"beta": [0, 0.99]})


def test_convolutions_and_batch_norm():
    net = make_net(module=ConvNet, max_epochs=4)
    search = both(net, {"lr": [0.01, 0.001]}, X=IMAGES, max_stack=4)
    assert search.n_fallback_fits_ == 0


def test_single_precision_is_near():
    net, grid = make_net(dtype="float32", max_epochs=3), {"beta": [0, 0.99]}
    ours = StackedGridSearchCV(net, grid, cv=2, scoring=sum_of_squares).fit(X, Y)
    theirs = GridSearchCV(net, grid, cv=2, scoring=sum_of_squares).fit(X, Y)
    scores = (search.cv_results_["mean_test_score"] for search in (ours, theirs))
    np.testing.assert_allclose(*scores, rtol=1e-3)
    assert ours.n_fallback_fits_ == 0
