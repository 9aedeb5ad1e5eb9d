"""Features in collections of dask's are loaded, and are then what they are in memory."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from torch import nn

from sk_cbloss import CBNeuralNetClassifier

pytestmark = pytest.mark.engines

Y = np.repeat([0, 1, 2], [30, 20, 10])
X = (np.random.default_rng(0).normal(size=(60, 4)) + np.eye(3, 4)[Y]).astype(np.float32)
FRAME = pd.DataFrame(X, columns=list("abcd"))


class Sum(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(4, n_classes)

    def forward(self, one, two):
        return self.head(one + two)


class Stacked(Sum):
    def forward(self, both):
        return super().forward(*both)


KINDS = {
    "array": (lambda: da.from_array(X, chunks=(20, 2)), X),
    "frame": (lambda: dd.from_pandas(FRAME, npartitions=3), FRAME),
    "unknown chunks": (lambda: dd.from_pandas(FRAME, npartitions=3).to_dask_array(), X),
    "delayed": (lambda: dask.delayed(FRAME), FRAME),
    "dict": (
        lambda: {"one": dd.from_pandas(FRAME, npartitions=2), "two": X},
        {"one": X, "two": X},
    ),
    "list": (lambda: [X, da.from_array(X, chunks=(20, 4))], [X, X]),
}
MODULES = {"dict": Sum, "list": Stacked}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [Y, dd.from_pandas(pd.Series(Y), npartitions=4)])
def test_a_net_loads_what_is_lazy(kind, labels):
    lazy, given = KINDS[kind]
    nets = [
        CBNeuralNetClassifier(MODULES.get(kind), max_epochs=2, random_state=0, device="cpu")
        for _ in range(2)
    ]
    one = nets[0].fit(lazy(), labels, X_val=lazy(), y_val=labels)
    other = nets[1].fit(given, Y, X_val=given, y_val=Y)
    for name in ("train_loss", "valid_loss"):
        assert one.history_[:, name] == other.history_[:, name]
    names = [getattr(net, "feature_names_in_", np.array([])).tolist() for net in nets]
    assert names[0] == names[1]
    for ask in (
        "predict",
        "predict_proba",
        "decision_function",
        "predict_natural_proba",
        "forward",
    ):
        np.testing.assert_array_equal(getattr(one, ask)(lazy()), getattr(other, ask)(given))
    assert one.score(lazy(), labels) == other.score(given, Y)
    one.partial_fit(lazy(), labels)
