"""Nets whose module, subclass and callback are defined in a script, sent to processes and back."""

import pickle

import numpy as np
import torch
from sklearn.ensemble import VotingClassifier
from sklearn.model_selection import GridSearchCV, cross_validate
from skorch.callbacks import Callback
from torch import nn

from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV


class Net(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.body = nn.Linear(n_features, 4)
        self.head = nn.Linear(4, n_classes)
        self.activation = torch.relu

    def forward(self, x):
        return self.head(self.activation(self.body(x)))


class Own(CBNeuralNetClassifier):
    pass


class Clip(Callback):
    def on_grad_computed(self, net, **kwargs):
        pass


class OwnSGD(torch.optim.SGD):
    pass


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 30, 15])
    X = (rng.normal(size=(105, 5)) + 3 * np.eye(3, 5)[y]).astype(np.float32)
    given = {"max_epochs": 2, "random_state": 0, "device": "cpu", "optimizer": OwnSGD}
    for kind in (CBNeuralNetClassifier, Own):
        net = kind(Net, callbacks=[Clip()], **given)
        proba = net.fit(X, y).predict_proba(X)
        fitted = cross_validate(net, X, y, cv=2, n_jobs=2, return_estimator=True)["estimator"]
        assert all(type(other.module_) is Net for other in fitted)
        voting = VotingClassifier([("a", net), ("b", net)], voting="soft", n_jobs=2).fit(X, y)
        np.testing.assert_array_equal(voting.predict_proba(X), proba)
        for search in (GridSearchCV, StackedGridSearchCV):
            search = search(net, {"beta": [0, 0.9]}, cv=2, n_jobs=2, error_score="raise")
            scores = search.fit(X, y).cv_results_["mean_test_score"]
            one_by_one = search.set_params(n_jobs=1).fit(X, y).cv_results_["mean_test_score"]
            np.testing.assert_array_equal(scores, one_by_one)
        again = pickle.loads(pickle.dumps(net))
        assert type(again) is kind
        assert type(again.module_) is Net
        assert type(again.optimizer_) is OwnSGD
        np.testing.assert_array_equal(again.predict_proba(X), proba)
    print("done")  # noqa: T201
