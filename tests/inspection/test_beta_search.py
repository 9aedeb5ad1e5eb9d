import sys

import matplotlib.pyplot as plt
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.feature_selection import RFECV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    HalvingRandomSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    LogitAdjustedClassifier,
    StackedGridSearchCV,
    load_digits_lt,
)
from sk_cbloss.inspection import BetaSearchDisplay


def results_of(rows, n_folds=4, metric="score"):
    """Return the results of a search from (beta, loss, decay, mean, std)."""
    betas, losses, decays, mean, std = map(list, zip(*rows, strict=True))
    columns = {"param_net__beta": betas, "param_net__loss": losses, "param_net__decay": decays}
    columns = {key: np.ma.array(values, dtype=object) for key, values in columns.items()}
    rank = np.argsort(np.argsort([-m for m in mean])) + 1
    folds = {f"split{i}_test_{metric}": np.array(mean) for i in range(n_folds)}
    return (
        columns
        | folds
        | {
            f"mean_test_{metric}": np.array(mean),
            f"std_test_{metric}": np.array(std),
            f"rank_test_{metric}": rank,
        }
    )


ROWS = [
    (0, "softmax", 0.0, 0.50, 0.1),
    (0, "focal", 0.0, 0.55, 0.1),
    (0.9, "softmax", 0.0, 0.60, 0.1),
    (0.9, "softmax", 0.1, 0.65, 0.2),
    (0.99, "softmax", 0.0, 0.80, 0.1),
    (0.99, "focal", 0.0, 0.70, 0.1),
    (1, "softmax", 0.0, 0.75, 0.1),
]


def legend(display):
    return [text.get_text() for text in display.ax_.get_legend().get_texts()]


def test_a_line_a_loss_at_the_best_of_the_other_parameters():
    display = BetaSearchDisplay(results_of(ROWS)).plot()
    assert list(display.lines_) == ["softmax", "focal"]
    volume, score = display.lines_["softmax"].get_data()
    assert_allclose(volume, [10, 100])
    assert_allclose(score, [0.65, 0.8])
    assert_allclose(display.lines_["focal"].get_ydata(), [0.7])
    # Of the band: a standard error, over four folds.
    band = display.ax_.collections[0].get_paths()[0].vertices[:, 1]
    assert_allclose([band.min(), band.max()], [0.65 - 0.1, 0.8 + 0.05])


def test_limits_are_levels_and_the_choice_has_a_ring():
    display = BetaSearchDisplay(results_of(ROWS)).plot()
    assert {beta: line.get_ydata()[0] for beta, line in display.levels_.items()} == {
        0.0: 0.55,
        1.0: 0.75,
    }
    assert_allclose(display.chosen_.get_xydata(), [[100, 0.8]])
    assert legend(display) == [
        "softmax",
        "focal",
        "beta 0, no weights (best loss)",
        "beta 1, inverse frequency",
        "best: beta 0.99",
    ]
    assert display.ax_.get_xlabel() == "N = 1 / (1 - beta)"
    assert display.ax_.get_ylabel() == "Score, mean of 4 folds"


def test_a_limit_that_is_chosen_has_the_ring():
    display = BetaSearchDisplay(results_of([*ROWS, (1, "focal", 0.0, 0.9, 0.1)])).plot()
    assert_allclose(display.chosen_.get_xydata(), [[1, 0.9]])
    display = BetaSearchDisplay(results_of(ROWS), chosen=0).plot()
    assert_allclose(display.chosen_.get_xydata(), [[0, 0.5]])


def test_limits_alone_have_no_scale_of_n():
    ends = BetaSearchDisplay(results_of([ROWS[0], ROWS[-1]])).plot()
    assert (ends.lines_, list(ends.levels_)) == ({}, [0.0, 1.0])
    assert (len(ends.ax_.get_xticks()), ends.ax_.get_xlabel()) == (0, "")
    assert BetaSearchDisplay(results_of(ROWS)).plot().ax_.get_xlabel() == "N = 1 / (1 - beta)"


def test_betas_that_are_left_to_the_loss_and_failed_fits_are_left_out():
    rows = [*ROWS, (None, "ldam", 0.0, 0.95, 0.1), (0.999, "softmax", 0.0, np.nan, np.nan)]
    display = BetaSearchDisplay(results_of(rows), chosen=len(ROWS)).plot()
    assert list(display.lines_) == ["softmax", "focal"]
    assert_allclose(display.lines_["softmax"].get_xdata(), [10, 100])
    assert_allclose(display.chosen_.get_ydata(), [0.95, 0.95])
    assert legend(display)[-1] == "chosen: ldam, beta as set"


@pytest.mark.parametrize("dtype", [float, object])
def test_a_list_of_grids_of_which_one_names_no_beta_and_one_no_loss(dtype):
    betas = np.ma.masked_array([0.9, 0.99, 0, 0], mask=[0, 0, 1, 1], fill_value=7).astype(dtype)
    losses = np.ma.masked_array(["", "", "focal", "ldam"], mask=[1, 1, 0, 0]).astype(object)
    results = results_of([(0.5, "a", 0, score, 0.1) for score in (0.5, 0.6, 0.7, 0.4)])
    display = BetaSearchDisplay(results | {"param_net__beta": betas, "param_net__loss": losses})
    display.plot()
    assert_allclose(display.lines_["loss as set"].get_xydata(), [[10, 0.5], [100, 0.6]])
    assert display.levels_ == {}
    assert legend(display) == ["loss as set", "best: focal, beta as set"]


def test_a_line_for_another_parameter():
    display = BetaSearchDisplay(results_of(ROWS), line="net__decay").plot()
    assert list(display.lines_) == ["0.0", "0.1"]
    assert [line.get_label() for line in display.lines_.values()] == ["decay 0", "decay 0.1"]


@pytest.fixture(scope="module")
def data():
    X, y = load_digits_lt(return_X_y=True)
    return X / 16, y


@pytest.fixture(scope="module")
def model():
    weighted = ClassBalancedClassifier(LogisticRegression(max_iter=300))
    return make_pipeline(StandardScaler(), weighted)


@pytest.mark.parametrize("search", [GridSearchCV, RandomizedSearchCV])
def test_from_a_search_with_one_score(search, data, model):
    grid = {"classbalancedclassifier__beta": [0, 0.9, 0.99, 1]}
    extra = {"n_iter": 4} if search is RandomizedSearchCV else {}
    fitted = search(model, grid, cv=3, scoring="balanced_accuracy", **extra).fit(*data)
    display = BetaSearchDisplay.from_search(fitted)
    assert display.ax_.get_ylabel() == "Balanced accuracy, mean of 3 folds"
    assert display.chosen_.get_ydata()[0] == fitted.best_score_
    assert list(display.levels_) == [0.0, 1.0]
    assert legend(display)[0] == "0 < beta < 1"


def test_from_a_search_with_several_scores(data, model):
    grid = {"classbalancedclassifier__beta": [0, 0.99]}
    scoring = ["accuracy", "balanced_accuracy"]
    fitted = GridSearchCV(model, grid, cv=2, scoring=scoring, refit="accuracy").fit(*data)
    results = fitted.cv_results_
    for metric, shown in ((None, "accuracy"), ("balanced_accuracy", "balanced_accuracy")):
        display = BetaSearchDisplay.from_search(fitted, metric=metric)
        assert_array_equal(display.levels_[0.0].get_ydata()[0], results[f"mean_test_{shown}"][0])
        best = results[f"mean_test_{shown}"].max()
        assert display.chosen_.get_ydata()[0] == best
    unfitted = GridSearchCV(model, grid, cv=2, scoring=scoring, refit=False).fit(*data)
    assert BetaSearchDisplay.from_search(unfitted).ax_.get_ylabel().startswith("Accuracy")


def test_folds_are_those_of_the_test_scores(data, model):
    grid = {"classbalancedclassifier__beta": [0.9, 0.99]}
    scoring = ["accuracy", "balanced_accuracy"]
    settings = {"cv": 3, "scoring": scoring, "refit": "accuracy", "return_train_score": True}
    search = GridSearchCV(model, grid, **settings).fit(*data)
    display = BetaSearchDisplay.from_search(search)
    assert display.ax_.get_ylabel() == "Accuracy, mean of 3 folds"
    band = display.ax_.collections[0].get_paths()[0].vertices[:, 1]
    results = search.cv_results_
    error = results["std_test_accuracy"] / np.sqrt(3)
    assert_allclose(band.max(), (results["mean_test_accuracy"] + error).max())


def test_of_successive_halving_the_last_round_is_drawn():
    results = results_of(ROWS) | {"n_resources": np.array([100, 100, 100, 400, 400, 100, 400])}
    display = BetaSearchDisplay(results).plot()
    assert_allclose(display.lines_["softmax"].get_ydata(), [0.65, 0.8])
    assert list(display.lines_) == ["softmax"]
    assert list(display.levels_) == [1.0]


def test_bad_searches(data, model):
    with pytest.raises(NotFittedError):
        BetaSearchDisplay.from_search(GridSearchCV(model, {}))
    with pytest.raises(ValueError, match="search must be a search .* got LogisticRegression"):
        BetaSearchDisplay.from_search(LogisticRegression())
    with pytest.raises(TypeError, match="search must be an instance, got the class GridSearchCV"):
        BetaSearchDisplay.from_search(GridSearchCV)
    with pytest.raises(ValueError, match="search must be a search .* got dict; .*, use Beta"):
        BetaSearchDisplay.from_search({})
    with pytest.raises(ValueError, match="cv_results must be .* got GridSearchCV; .* from_search"):
        BetaSearchDisplay(GridSearchCV(model, {})).plot()
    rows = [*ROWS, (1.5, "softmax", 0.0, 0.5, 0.1)]
    with pytest.raises(ValueError, match=r"beta must be a number in \[0, 1\], got 1.5"):
        BetaSearchDisplay(results_of(rows)).plot()
    for chosen in (99, -1, 1.5):
        with pytest.raises(ValueError, match="chosen must be a candidate's position, 0 to 6, got"):
            BetaSearchDisplay(results_of(ROWS), chosen=chosen).plot()
    with pytest.raises(ValueError, match="ax must be a matplotlib Axes or None, got list"):
        BetaSearchDisplay(results_of(ROWS)).plot([1])
    for arguments, message in (
        ({"beta": "gamma"}, r"beta must be one of .*, \['net__beta', .*\], got 'gamma'"),
        ({"line": "gamma"}, r"line must be one of .*, \['net__beta', .*\], got 'gamma'"),
        ({"metric": "f1"}, "metric must be a score of the search, got 'f1'"),
    ):
        with pytest.raises(ValueError, match=message):
            BetaSearchDisplay(results_of(ROWS), **arguments).plot()
    results = results_of(ROWS)
    results["param_other__beta"] = results["param_net__beta"]
    with pytest.raises(
        ValueError, match="beta must name one of .* several .* 'beta', got None and the param"
    ):
        BetaSearchDisplay(results).plot()
    nothing = [(None, "softmax", 0.0, 0.5, 0.1)]
    with pytest.raises(ValueError, match="the search must have tried some beta with a score"):
        BetaSearchDisplay(results_of(nothing)).plot()
    assert not plt.get_fignums()


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match="BetaSearchDisplay.plot requires matplotlib"):
        BetaSearchDisplay(results_of(ROWS)).plot()


def test_numbers_are_short_and_distinct():
    values = [0.004216965034285822, 0.1, 0.10001, 20]
    results = results_of([(0.9, "softmax", value, 0.5 + value / 100, 0.1) for value in values])
    display = BetaSearchDisplay(results, line="net__decay").plot()
    assert legend(display)[:4] == ["decay 0.004217", "decay 0.1", "decay 0.10001", "decay 20"]


def test_a_search_of_tau():
    X, y = load_digits_lt(return_X_y=True)
    grid = {"tau": [0.123456789, 1], "prior_beta": [0.9, 0.99, 1]}
    model = GridSearchCV(
        LogitAdjustedClassifier(LogisticRegression()), grid, scoring="balanced_accuracy", cv=2
    ).fit(X / 16, y)
    display = BetaSearchDisplay.from_search(model, beta="prior_beta", line="tau")
    assert legend(display)[:2] == ["tau 0.123", "tau 1"]
    assert display.ax_.get_ylabel() == "Balanced accuracy, mean of 2 folds"
    with pytest.raises(ValueError, match=r"^the search must have tried beta, got \['prior_b"):
        BetaSearchDisplay.from_search(model)


def test_searches_of_no_parameter():
    X, y = load_digits_lt(return_X_y=True)
    searches = [
        RFECV(LogisticRegression(), step=40, cv=2),
        TunedThresholdClassifierCV(LogisticRegression(), cv=2),
    ]
    for search in searches:
        search.fit(X / 16, y > 0)
        with pytest.raises(
            ValueError, match="^search must have tried parameters, which its cv_re"
        ):
            BetaSearchDisplay.from_search(search)


def test_points_of_random_values_of_other_parameters_are_not_joined():
    betas = [0.9, 0.99, 0.999]
    alone = [(beta, "softmax", 0.1, 0.5, 0.2) for beta in betas]
    random = [(beta, "softmax", decay, 0.5, 0.2) for decay, beta in enumerate(betas)]
    for rows, is_joined in ((alone, True), (random, False), ([*random, *alone], True)):
        display = BetaSearchDisplay(results_of(rows)).plot()
        assert (display.lines_["softmax"].get_linestyle() != "None") == is_joined
        assert display.lines_["softmax"].get_marker() == "o"
    # Strokes are a standard error, over four folds.
    strokes = BetaSearchDisplay(results_of(random)).plot().ax_.collections[0].get_segments()
    assert_allclose([stroke[:, 1] for stroke in strokes], [[0.4, 0.6]] * 3)


class Volume:
    """Draws beta by its volume."""

    def rvs(self, size=None, random_state=None):
        return 1 - 10 ** -random_state.uniform(1, 3, size)


@pytest.mark.parametrize(
    "search", [RandomizedSearchCV, HalvingRandomSearchCV, HalvingGridSearchCV]
)
def test_searches_of_several_parameters_of_a_pipeline(search, data, model):
    space = {"classbalancedclassifier__beta": [0, 0.9, 0.99]}
    space["classbalancedclassifier__estimator__C"] = [0.1, 1]
    settings = {"cv": 2, "scoring": "accuracy", "random_state": 0}
    if search is not HalvingGridSearchCV:
        space["classbalancedclassifier__beta"] = Volume()
        settings |= {"n_iter": 5} if search is RandomizedSearchCV else {"n_candidates": 6}
    if search is not RandomizedSearchCV:
        settings |= {"min_resources": 200, "factor": 2}
    found = search(model, space, **settings).fit(*data)
    display = BetaSearchDisplay.from_search(found)
    scores = found.cv_results_["mean_test_score"]
    last = found.cv_results_.get("n_resources", np.zeros(len(scores)))
    assert set(display.lines_[None].get_ydata()) <= set(scores[last == max(last)])
    assert display.chosen_.get_ydata()[0] == found.best_score_


def test_from_a_stacked_search(data):
    net = CBNeuralNetClassifier(max_epochs=2, random_state=0)
    grid = {"beta": [0, 0.9, 0.99], "loss": ["softmax", "focal"]}
    search = StackedGridSearchCV(net, grid, cv=2, scoring="balanced_accuracy").fit(*data)
    display = BetaSearchDisplay.from_search(search)
    assert list(display.lines_) == ["softmax", "focal"]
    assert list(display.levels_) == [0]
    assert display.chosen_.get_ydata()[0] == search.best_score_


def test_a_search_without_beta_is_told_which_parameters_it_tried(data):
    model = ClassBalancedClassifier(LogisticRegression(max_iter=300))
    for grid, shown in (
        ({"estimator__C": [0.1, 1]}, r"\['estimator__C'\]"),
        ({"estimator": [LogisticRegression()]}, r"\['estimator'\]"),
    ):
        search = GridSearchCV(model, grid, cv=2).fit(*data)
        rule = f"^the search must have tried beta, got {shown}, none of which .* name it by beta="
        with pytest.raises(ValueError, match=rule):
            BetaSearchDisplay.from_search(search)
    assert not plt.get_fignums()
