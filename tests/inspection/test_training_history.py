import json
import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.dataset import ValidSplit
from skorch.history import History

from sk_cbloss import CBNeuralNetClassifier, ClassBalancedClassifier, load_digits_lt
from sk_cbloss.inspection import TrainingHistoryDisplay
from sk_cbloss.neural_net import DeferredReweighting, LearningRateSchedule

ROWS = [
    {
        "epoch": epoch,
        "batches": [{"train_loss": 9.0}],
        "train_batch_count": 4,
        "valid_batch_count": 1,
        "dur": 0.1,
        "event_cp": True,
        "train_loss": 2 / epoch,
        "train_loss_best": True,
        "valid_loss": valid_loss,
        "valid_loss_best": best,
        "valid_f1": np.float32(epoch / 8),
        "valid_note": "good",
    }
    for epoch, valid_loss, best in [(1, 3.0, True), (2, 1.5, True), (3, 1.8, False)]
]


def without(row, *columns):
    return {column: value for column, value in row.items() if column not in columns}


def labels(panel):
    return [text.get_text() for text in panel.get_legend().get_texts()]


@pytest.fixture(scope="module")
def data():
    return load_digits_lt(return_X_y=True)


@pytest.fixture(scope="module")
def net(data):
    split = ValidSplit(5, stratified=True)
    return CBNeuralNetClassifier(max_epochs=3, train_split=split, random_state=0).fit(*data)


# ------------------------------------------------------------------------------ the lines


def test_a_line_is_its_column(net):
    display = TrainingHistoryDisplay.from_estimator(net)
    assert list(display.lines_) == ["valid_loss", "train_loss", "valid_balanced_accuracy"]
    for column, line in display.lines_.items():
        assert_array_equal(line.get_xdata(), [1, 2, 3])
        assert_array_equal(line.get_ydata(), net.history_[:, column])


def test_numbers_of_training_and_validation_are_drawn_and_nothing_else():
    display = TrainingHistoryDisplay(ROWS).plot()
    assert list(display.lines_) == ["valid_loss", "train_loss", "valid_f1"]
    assert_array_equal(display.lines_["valid_f1"].get_ydata(), [1 / 8, 2 / 8, 3 / 8])


def test_a_score_without_a_prefix_is_known_by_its_best():
    rows = [{"train_loss": 1.0, "f1_macro": 0.5, "f1_macro_best": True, "lr": 0.1}]
    assert list(TrainingHistoryDisplay(rows).plot().lines_) == ["train_loss", "f1_macro"]


def test_a_number_of_torch_is_a_number():
    rows = [{"train_loss": torch.tensor(0.5, dtype=torch.bfloat16)}]
    assert_array_equal(TrainingHistoryDisplay(rows).plot().lines_["train_loss"].get_ydata(), [0.5])


@pytest.mark.parametrize("kind", [list, History, tuple])
def test_the_history_can_be_any_sequence_of_dicts(kind):
    assert len(TrainingHistoryDisplay(kind(ROWS)).plot().lines_) == 3


def test_a_history_from_a_file(net, tmp_path):
    file = tmp_path / "history.json"
    file.write_text(json.dumps(net.history_.to_list()))
    display = TrainingHistoryDisplay(json.loads(file.read_text())).plot()
    assert_array_equal(display.lines_["train_loss"].get_ydata(), net.history_[:, "train_loss"])


def test_rows_without_an_epoch_are_counted_from_1():
    display = TrainingHistoryDisplay([without(row, "epoch") for row in ROWS]).plot()
    assert_array_equal(display.lines_["train_loss"].get_xdata(), [1, 2, 3])


def test_a_missing_value_is_a_gap():
    rows = [ROWS[0], without(ROWS[1], "valid_loss", "valid_f1"), ROWS[2] | {"valid_f1": None}]
    lines = TrainingHistoryDisplay(rows).plot().lines_
    assert_array_equal(lines["train_loss"].get_ydata(), [2, 1, 2 / 3])
    assert_array_equal(lines["valid_loss"].get_ydata(), [3, np.nan, 1.8])
    assert_array_equal(lines["valid_f1"].get_ydata(), [1 / 8, np.nan, np.nan])


def test_a_value_between_gaps_shows_as_a_point():
    rows = [ROWS[0], without(ROWS[1], "valid_loss"), ROWS[2]]
    lines = TrainingHistoryDisplay(rows).plot().lines_
    assert lines["valid_loss"].get_markevery() == [0, 2]
    assert lines["train_loss"].get_marker() == "None"


def test_an_interrupted_epoch():
    display = TrainingHistoryDisplay([*ROWS, {"epoch": 4, "batches": []}]).plot()
    assert_array_equal(display.lines_["train_loss"].get_ydata(), [2, 1, 2 / 3, np.nan])
    assert display.axes_[0].get_xlim()[1] < 4


@pytest.mark.parametrize("loss_scale", ["linear", "log"])
@pytest.mark.parametrize("losses", [(np.nan, np.nan), (1.0, np.inf), (1.0, 0.0)])
def test_a_loss_that_leaves_the_scale(losses, loss_scale):
    rows = [{"train_loss": loss, "valid_loss": loss, "valid_loss_best": True} for loss in losses]
    display = TrainingHistoryDisplay(rows).plot(loss_scale=loss_scale)
    display.figure_.canvas.draw()


@pytest.mark.parametrize("n_epochs", [1, 3, 200])
def test_the_epochs_have_whole_ticks(n_epochs):
    rows = [{"epoch": epoch, "train_loss": 1 / epoch} for epoch in range(1, n_epochs + 1)]
    display = TrainingHistoryDisplay(rows).plot()
    ticks = display.axes_[0].get_xticks()
    assert_array_equal(ticks, ticks.astype(int))
    assert 1 <= len(ticks) <= 12


# ------------------------------------------------------------------------- the best epoch


def test_the_last_best_epoch_of_the_validation_data_is_marked():
    display = TrainingHistoryDisplay(ROWS).plot()
    assert list(display.best_) == ["valid_loss", "valid_f1"]
    assert display.best_["valid_loss"].get_xydata().tolist() == [[2, 1.5]]


def test_the_best_epoch_of_a_net(net):
    display = TrainingHistoryDisplay.from_estimator(net)
    score = np.array(net.history_[:, "valid_balanced_accuracy"])
    (point,) = display.best_["valid_balanced_accuracy"].get_xydata()
    assert_array_equal(point, [score.argmax() + 1, score.max()])
    (at_loss,) = display.best_["valid_loss"].get_xydata()
    assert_array_equal(at_loss, [point[0], net.history_[:, "valid_loss"][int(point[0]) - 1]])


def test_one_epoch_is_the_best_in_all_panels():
    rows = [
        {"valid_loss": 1.0, "valid_loss_best": True, "valid_f1": 0.5, "valid_f1_best": True},
        {"valid_loss": 2.0, "valid_loss_best": False, "valid_f1": 0.9, "valid_f1_best": True},
        {"valid_loss": 3.0, "valid_loss_best": False, "valid_f1": 0.7, "valid_f1_best": False},
    ]
    display = TrainingHistoryDisplay(rows).plot()
    assert [ring.get_xdata().tolist() for ring in display.best_.values()] == [[2], [2]]
    assert labels(display.axes_[0])[-1] == labels(display.axes_[1])[-1] == "best f1"
    alone = TrainingHistoryDisplay(rows).plot(scores=[])
    assert alone.best_["valid_loss"].get_xdata().tolist() == [1]
    assert labels(alone.axes_[0])[-1] == "lowest loss"


# ------------------------------------------------------------------- panels, words, looks


def test_the_words():
    losses, scores = TrainingHistoryDisplay(ROWS).plot().axes_
    assert (losses.get_xlabel(), losses.get_ylabel()) == ("Epoch", "Loss")
    assert (scores.get_xlabel(), scores.get_ylabel()) == ("Epoch", "F1")
    assert labels(losses) == ["validation", "training", "lowest loss"]
    assert labels(scores) == ["validation", "lowest loss"]


def test_the_words_of_more_than_one_score():
    rows = [
        row | {"valid_ROC_AUC": 0.5, "train_f1": 0.6, "own": 0.7, "own_best": 1} for row in ROWS
    ]
    scores = TrainingHistoryDisplay(rows).plot().axes_[1]
    assert scores.get_ylabel() == "Score"
    assert labels(scores) == [
        "f1, validation",
        "ROC AUC, validation",
        "own",
        "f1, training",
        "best own",
    ]
    only = TrainingHistoryDisplay(rows).plot(scores="valid_ROC_AUC").axes_[1]
    assert only.get_ylabel() == "ROC AUC"


def test_training_is_a_paler_line_of_the_same_color():
    lines = TrainingHistoryDisplay(ROWS).plot().lines_
    assert lines["train_loss"].get_color() == lines["valid_loss"].get_color()
    assert lines["train_loss"].get_alpha() < 1
    alone = TrainingHistoryDisplay([without(row, "valid_loss") for row in ROWS]).plot().lines_
    assert alone["train_loss"].get_alpha() is None


def test_no_panel_is_empty():
    assert len(TrainingHistoryDisplay(ROWS).plot().axes_) == 2
    assert len(TrainingHistoryDisplay(ROWS).plot(scores=[]).axes_) == 1
    assert len(TrainingHistoryDisplay([{"train_loss": 1.0}]).plot().axes_) == 1
    (panel,) = TrainingHistoryDisplay([{"valid_f1": 0.5}]).plot(loss_scale="log").axes_
    assert panel.get_yscale() == "linear"


def test_the_scale_is_of_the_losses():
    panels = TrainingHistoryDisplay(ROWS).plot(loss_scale="log").axes_
    assert [panel.get_yscale() for panel in panels] == ["log", "linear"]


def test_line_kw():
    display = TrainingHistoryDisplay(ROWS).plot(line_kw={"c": "red", "lw": 3})
    assert {line.get_color() for line in display.lines_.values()} == {"red"}
    assert {line.get_linewidth() for line in display.lines_.values()} == {3}


# ------------------------------------------------- the learning rate, and changes of the loss

RATES = [row | {"event_lr": lr} for row, lr in zip(ROWS, (0.1, 0.1, 0.01), strict=True)]


def test_a_learning_rate_that_changes_has_a_panel():
    _, _, rate = TrainingHistoryDisplay(RATES).plot(loss_scale="log").axes_
    assert (rate.get_xlabel(), rate.get_ylabel()) == ("Epoch", "Learning rate")
    assert_array_equal(rate.lines[0].get_ydata(), [0.1, 0.1, 0.01])
    assert rate.get_legend() is None
    assert rate.get_yscale() == "linear"
    assert len(TrainingHistoryDisplay(RATES).plot(learning_rate=False).axes_) == 2
    assert len(TrainingHistoryDisplay(RATES[:2]).plot().axes_) == 2
    assert len(TrainingHistoryDisplay(RATES[:2]).plot(learning_rate=True).axes_) == 3
    with pytest.raises(ValueError, match="learning_rate=True requires a history with 'event_lr'"):
        TrainingHistoryDisplay(ROWS).plot(learning_rate=True)


def test_a_change_of_the_loss_is_an_upright_line():
    rows = [row | {"event_loss": row["epoch"] == 3} for row in RATES]
    display = TrainingHistoryDisplay(rows).plot()
    assert [line.axes for line in display.changes_] == list(display.axes_)
    assert {tuple(line.get_xdata()) for line in display.changes_} == {(2.5, 2.5)}
    assert labels(display.axes_[0])[-1] == "loss changes"
    assert TrainingHistoryDisplay(ROWS).plot().changes_ == []


def test_a_net_with_deferred_weights(data):
    callbacks = [LearningRateSchedule(milestones=(2,)), DeferredReweighting(start=2)]
    net = CBNeuralNetClassifier(max_epochs=4, callbacks=callbacks, random_state=0).fit(*data)
    assert net.history_[:, "event_loss"] == [False, False, True, False]
    display = TrainingHistoryDisplay.from_estimator(net)
    assert list(display.lines_) == ["train_loss", "event_lr"]
    assert display.changes_[0].get_xdata()[0] == 2.5


# -------------------------------------------------------------------------------- the Axes


def test_a_new_figure():
    display = TrainingHistoryDisplay(ROWS).plot()
    assert display.figure_ is not TrainingHistoryDisplay(ROWS).plot().figure_
    assert display.figure_.axes == list(display.axes_)


def test_an_axes_for_each_panel():
    figure, axes = plt.subplots(2)
    display = TrainingHistoryDisplay(ROWS).plot(axes)
    assert list(display.axes_) == list(axes)
    assert display.figure_ is figure
    assert display.lines_["valid_f1"].axes is axes[1]


def test_one_axes_for_one_panel(net):
    _, ax = plt.subplots()
    display = TrainingHistoryDisplay.from_estimator(net, ax=ax, scores=[])
    assert list(display.axes_) == [ax]
    assert display.lines_["train_loss"].axes is ax


def test_one_axes_is_shared_by_the_panels():
    figure, (left, right) = plt.subplots(1, 2)
    place = right.get_position()
    panels = TrainingHistoryDisplay(ROWS).plot(right).axes_
    assert not right.axison
    assert not left.has_data()
    for panel in panels:
        assert panel.figure is figure
        assert place.x0 <= panel.get_position().x0 < panel.get_position().x1 <= place.x1


def test_two_nets_in_one_picture():
    first = TrainingHistoryDisplay(ROWS).plot(name="softmax", loss_scale="log")
    second = TrainingHistoryDisplay(ROWS[:2]).plot(first.axes_, name="focal")
    losses, scores = second.axes_
    assert labels(losses) == [
        "softmax: validation",
        "softmax: training",
        "lowest loss",
        "focal: validation",
        "focal: training",
    ]
    assert labels(scores) == ["softmax: validation", "lowest loss", "focal: validation"]
    assert losses.get_yscale() == "log"
    for column in first.lines_:
        assert first.lines_[column].get_color() != second.lines_[column].get_color()


# -------------------------------------------------------------------------- what has a net


def test_the_net_inside(data):
    net = CBNeuralNetClassifier(beta=0, max_epochs=2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), net).fit(*data)
    search = GridSearchCV(pipeline, {"cbneuralnetclassifier__lr": [0.01]}, cv=2).fit(*data)
    meta = ClassBalancedClassifier(net).fit(*data)
    for outer, inner in (
        (pipeline, pipeline[-1]),
        (search, search.best_estimator_[-1]),
        (meta, meta.estimator_),
    ):
        display = TrainingHistoryDisplay.from_estimator(outer)
        assert display.history is inner.history_


def test_a_net_of_skorch(data):
    X, y = data
    net = NeuralNetClassifier(
        torch.nn.Linear,
        module__in_features=X.shape[1],
        module__out_features=10,
        criterion=torch.nn.CrossEntropyLoss,
        max_epochs=2,
        verbose=0,
    ).fit(X.astype("float32"), y)
    lines = TrainingHistoryDisplay.from_estimator(net).lines_
    assert list(lines) == ["valid_loss", "train_loss", "valid_acc"]


# ------------------------------------------------------------------------------- the errors


@pytest.mark.parametrize(
    "estimator",
    [
        CBNeuralNetClassifier(),
        NeuralNetClassifier(torch.nn.Linear),
        make_pipeline(StandardScaler(), CBNeuralNetClassifier()),
        GridSearchCV(CBNeuralNetClassifier(), {}),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_an_estimator_must_be_fitted(estimator):
    with pytest.raises(NotFittedError, match="fit"):
        TrainingHistoryDisplay.from_estimator(estimator)


def test_a_net_must_have_trained():
    net = NeuralNetClassifier(torch.nn.Linear, module__in_features=2, module__out_features=2)
    with pytest.raises(NotFittedError, match="NeuralNetClassifier has trained for no epoch"):
        TrainingHistoryDisplay.from_estimator(net.initialize())


def test_an_estimator_must_have_a_net(data):
    logistic = LogisticRegression(max_iter=1000).fit([[0], [1]], [0, 1])
    with pytest.raises(ValueError, match="estimator must be a skorch net, .*LogisticRegression"):
        TrainingHistoryDisplay.from_estimator(logistic)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([], r"history must hold a loss or a score, got the columns \[\]"),
        ([{"epoch": 1, "batches": []}], r"got the columns \['epoch', 'batches'\]"),
        ([0.5, 0.4], "history must hold a dict for each epoch, got 0.5"),
        ({"train_loss": [0.5]}, "history must hold a dict for each epoch, got 'train_loss'"),
        (
            CBNeuralNetClassifier(),
            "history must list a dict for each epoch, got CBNeuralNetClassifier; for a net, use",
        ),
    ],
)
def test_bad_histories(history, message):
    with pytest.raises(ValueError, match=message):
        TrainingHistoryDisplay(history).plot()


def test_bad_parameters():
    display = TrainingHistoryDisplay(ROWS)
    for scale in ("cubic", None, ["log"], np.zeros(2)):
        with pytest.raises(ValueError, match="loss_scale must be 'linear' or 'log', got "):
            display.plot(loss_scale=scale)
    found = r"scores must be among the history's, \['valid_f1'\], got"
    for scores, wrong in ((["f1"], "'f1'"), (5, "5")):
        with pytest.raises(ValueError, match=f"{found} {wrong}"):
            display.plot(scores=scores)
    with pytest.raises(ValueError, match=r"among the history's, \[\], got 'acc'"):
        TrainingHistoryDisplay([{"train_loss": 0.5}]).plot(scores="acc")
    with pytest.raises(ValueError, match="learning_rate must be True, False or None, got 'yes'"):
        display.plot(learning_rate="yes")
    with pytest.raises(ValueError, match="line_kw must be a dict, a list .*, got 'red'"):
        display.plot(line_kw="red")
    for ax in (5, ["left", "right"]):
        with pytest.raises(ValueError, match="ax must be a subplot or 2 Axes, got"):
            display.plot(ax)
    with pytest.raises(ValueError, match="scores must not be empty where there is no loss"):
        TrainingHistoryDisplay([{"valid_f1": 0.5}]).plot(scores=[])
    with pytest.raises(ValueError, match="ax must be a subplot or 2 Axes, got"):
        display.plot(plt.subplots(3)[1])
    with pytest.raises(ValueError, match="ax must be a subplot or 2 Axes, got"):
        display.plot(plt.figure().add_axes((0, 0, 1, 1)))
    assert len(plt.get_fignums()) == 2  # ours alone: none was begun in vain


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="TrainingHistoryDisplay.plot requires matplotlib"):
        TrainingHistoryDisplay(ROWS).plot()
