"""scikit-learn's own callbacks, on the net and on a search over it."""

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV

from sk_cbloss import CBNeuralNetClassifier

callback = pytest.importorskip("sklearn.callback", reason="scikit-learn has callbacks from 1.9 on")

RNG = np.random.default_rng(0)
Y = np.repeat(["ant", "bee"], [40, 20])
X = RNG.normal(size=(60, 3))


class Recorder:
    """A callback that notes what it is told, and can ask to stop."""

    def __init__(self, stop_after=None):
        self.stop_after = stop_after
        self.told = []

    def setup(self, estimator, context):
        self.told.append("setup")

    def on_fit_task_begin(self, estimator, context):
        self.told.append(f"begin {context.task_name}")

    def on_fit_task_end(self, estimator, context):
        self.told.append(f"end {context.task_name}")
        return context.task_name == "epoch" and context.task_id + 1 == self.stop_after

    def teardown(self, estimator, context):
        self.told.append("teardown")


def test_each_epoch_is_a_task_of_the_fit():
    recorder = Recorder()
    CBNeuralNetClassifier(max_epochs=2).set_callbacks(recorder).fit(X, Y)
    epoch = ["begin epoch", "end epoch"]
    assert recorder.told == ["setup", "begin fit", *epoch, *epoch, "end fit", "teardown"]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_call_with_a_number_of_epochs_of_its_own(method):
    recorder = Recorder()
    net = CBNeuralNetClassifier(max_epochs=2).set_callbacks(recorder)
    getattr(net, method)(X, Y, epochs=3)
    assert recorder.told.count("end epoch") == len(net.history_) == 3


def test_a_callback_can_stop_training_between_epochs():
    net = CBNeuralNetClassifier(max_epochs=9).set_callbacks(Recorder(stop_after=3)).fit(X, Y)
    assert len(net.history) == 3
    assert net.predict(X).shape == (60,)


def test_an_error_in_fit_tears_the_callbacks_down():
    recorder = Recorder()
    net = CBNeuralNetClassifier(max_epochs=2, optimizer__no_such=1).set_callbacks(recorder)
    with pytest.raises(ValueError, match="no_such"):
        net.fit(X, Y)
    assert recorder.told[-1] == "teardown"
    assert not [name for name in vars(net) if name.endswith("_context")]


def test_a_monitor_scores_the_net_after_each_epoch():
    monitor = callback.ScoringMonitor(scoring="accuracy")
    net = CBNeuralNetClassifier(max_epochs=3, random_state=0).set_callbacks(monitor).fit(X, Y)
    epochs = [row["accuracy"] for row in monitor.get_logs().data if row["task_name"] == "epoch"]
    assert len(epochs) == 3
    assert epochs[-1] == net.score(X, Y)


def test_progress_bars_nest_in_a_search(capsys):
    pytest.importorskip("rich")
    search = GridSearchCV(CBNeuralNetClassifier(max_epochs=2), {"beta": [0, 1]}, cv=2)
    search.set_callbacks(callback.ProgressBar()).fit(X, Y)
    shown = capsys.readouterr().out
    assert "GridSearchCV" in shown
    assert "CBNeuralNetClassifier" in shown
