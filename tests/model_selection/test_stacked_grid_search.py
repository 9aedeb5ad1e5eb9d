"""The stacked search gives what scikit-learn's gives, whatever is searched."""

import gc
import logging
import os
import pickle
import warnings
import weakref

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import torch
from imblearn.pipeline import make_pipeline as make_sampling_pipeline
from imblearn.under_sampling import RandomUnderSampler
from joblib import parallel_config
from joblib.parallel import get_active_backend
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.exceptions import FitFailedWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from skorch.callbacks import Checkpoint, EpochScoring, GradientNormClipping, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedWeigher,
    StackedGridSearchCV,
    load_digits_lt,
    make_long_tailed_classification,
)
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import MLP, DeferredReweighting, LearningRateSchedule, LossChange
from sk_cbloss.neural_net.stack import _plan
from sk_cbloss.neural_net.stack._obstacles import ELEMENTWISE
from sk_cbloss.neural_net.stack._stack import Stack
from sk_cbloss.pipeline import make_pipeline as make_weighing_pipeline

LETTERS = np.array(list("abcdefghij"))


def digits():
    X, y = load_digits_lt(return_X_y=True)
    return X / 16, LETTERS[y]


def long_tail():
    """Return classes of 2 to 170 samples: folds differ in size and in classes."""
    return make_long_tailed_classification(500, n_classes=10, imbalance_factor=85, random_state=0)


class ConvNet(nn.Module):
    def __init__(self, n_classes, dropout=0.2):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1, bias=False),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(dropout),
        )
        self.head = nn.Linear(64, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


class BatchNormNet(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_features, 16), nn.BatchNorm1d(16), nn.Tanh())
        self.head = nn.Linear(16, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture(autouse=True)
def _as_few_as_one(monkeypatch):
    """Stack even those that would be faster alone: the searches here are small."""
    monkeypatch.setattr(_plan, "FEW", 1)


def make_net(**params):
    given = {"module__hidden_units": (16,), "max_epochs": 4, "batch_size": 64}
    given |= {"random_state": 0, "dtype": "float64"}
    if "module" in params:
        del given["module__hidden_units"]
    return CBNeuralNetClassifier(**given | params)


def both(estimator, grid, X, y, params=None, tol=1e-9, **search_params):
    """Fit both searches, compare all that they found, and return the stacked one."""
    given = {"cv": 3, "scoring": "balanced_accuracy"} | search_params
    params = {} if params is None else params
    of_theirs = {k: v for k, v in given.items() if k not in ("max_stack", "checkpoint_dir")}
    ours = StackedGridSearchCV(estimator, grid, **given).fit(X, y, **params)
    theirs = GridSearchCV(estimator, grid, **of_theirs).fit(X, y, **params)
    assert ours.cv_results_.keys() == theirs.cv_results_.keys()
    for name, values in theirs.cv_results_.items():
        if "time" in name:
            assert (ours.cv_results_[name] >= 0).all()
        elif "score" in name:
            np.testing.assert_allclose(ours.cv_results_[name], values, atol=tol, err_msg=name)
        elif name == "params":
            assert str(ours.cv_results_[name]) == str(values)
    for name in ("best_index_", "best_params_", "best_score_", "n_splits_", "multimetric_"):
        if hasattr(theirs, name):
            assert str(getattr(ours, name)) == str(getattr(theirs, name))
    if given.get("refit", True):
        assert type(ours.best_estimator_) is type(theirs.best_estimator_)
        np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    return ours


def sum_of_squares(estimator, X, y):
    """Tell nets apart by all of their probabilities, not by who is the largest."""
    return float((estimator.predict_proba(X) ** 2).sum())


EXACT = {"scoring": {"recall": "balanced_accuracy", "exact": sum_of_squares}, "refit": "recall"}


class TestSameAsAlone:
    @pytest.mark.parametrize("loss", sorted(LOSSES))
    @pytest.mark.parametrize("data", [digits, long_tail])
    @pytest.mark.filterwarnings("ignore:The least populated class", "ignore:y_pred contains")
    def test_every_loss(self, loss, data):
        grid = {"beta": [0, 0.9, 1]}
        if "gamma" in LOSSES[loss].stacked_numbers:
            grid = {"beta": [0, 0.99], "gamma": [0, 0.5, 2]}
        net = make_net(loss=loss, module__dropout=0.2)
        assert both(net, grid, *data(), **EXACT).n_fallback_fits_ == 0

    @pytest.mark.parametrize("loss", sorted(LOSSES))
    def test_every_loss_with_batch_norm_and_convolutions(self, loss):
        X, y = digits()
        net = make_net(loss=loss, module=ConvNet)
        grid = {"beta": [0, 0.99], "lr": [0.01, 0.001]}
        search = both(net, grid, X.reshape(-1, 1, 8, 8), y, max_stack=16, **EXACT)
        assert search.n_fallback_fits_ == 0

    @pytest.mark.filterwarnings("ignore:The least populated class", "ignore:y_pred contains")
    def test_batch_norm_where_folds_differ(self):
        search = both(make_net(module=BatchNormNet), {"beta": [0, 1]}, *long_tail(), **EXACT)
        assert search.n_stacks_ > 1

    def test_all_losses_in_one_search(self):
        grid = [
            {"loss": ["softmax", "sigmoid", "logit_adjusted"], "beta": [0, 0.9]},
            {"loss": ["focal", "softmax_focal"], "gamma": [0, 2]},
            {"loss": ["poly_tailed"], "criterion__alpha": [1, 2]},
            {"loss": ["logit_adjusted", "vs"], "criterion__tau": [0.5, 2]},
            {"loss": ["ldam"], "criterion__max_margin": [0.2, 0.5], "criterion__scale": [10, 30]},
            {"loss": ["softmax"], "criterion__label_smoothing": [0, 0.1]},
        ]
        search = both(make_net(), grid, *digits(), **EXACT)
        assert search.n_fallback_fits_ == 0
        assert search.n_stacks_ < 10

    @pytest.mark.parametrize(
        "optimizer",
        sorted(ELEMENTWISE, key=lambda optimizer: optimizer.__name__),
    )
    def test_every_optimizer(self, optimizer):
        net = make_net(optimizer=optimizer)
        grid = {"lr": [0.01, 0.001], "optimizer__weight_decay": [0, 0.1]}
        if optimizer is torch.optim.Rprop:
            grid = {"lr": [0.01, 0.001], "optimizer__etas": [(0.5, 1.2), (0.4, 1.3)]}
        assert both(net, grid, *digits()).n_fallback_fits_ == 0

    def test_optimizers_settings(self):
        net = make_net(optimizer=torch.optim.SGD, loss="focal", lr=0.1)
        grid = {
            "optimizer__momentum": [0, 0.9],
            "optimizer__weight_decay": [0, 0.01],
            "optimizer__nesterov": [False],
            "random_state": [0, 1],
            "normalize": ["classes", "samples", None],
        }
        assert both(net, grid, *digits(), cv=2).n_fallback_fits_ == 0

    def test_seeds_and_dropout(self):
        """Masks differ from seed to seed: a stack each, and a fold size each."""
        grid = {"random_state": [0, 1], "beta": [0, 0.9]}
        search = both(make_net(module__dropout=0.3), grid, *digits(), **EXACT)
        assert search.n_fallback_fits_ == 0
        assert search.n_stacks_ == 4

    def test_both_precisions(self):
        search = both(make_net(), {"dtype": ["float32", "float64"]}, *digits(), tol=1e-3)
        assert search.n_fallback_fits_ == 0

    def test_inside_of_others(self):
        X, y = digits()
        search = StackedGridSearchCV(make_net(max_epochs=2), {"beta": [0, 0.9]}, cv=2)
        alone = cross_val_score(search, X, y, cv=2)
        with parallel_config(backend="threading", n_jobs=2):
            np.testing.assert_array_equal(cross_val_score(search, X, y, cv=2), alone)
            search.fit(X, y)

    def test_groups_of_parameters(self):
        groups = [("head.*", {"lr": 0.1}), ("*.bias", {"weight_decay": 0})]
        net = make_net(optimizer__param_groups=groups, optimizer__weight_decay=0.1)
        assert both(net, {"beta": [0, 1], "lr": [0.01, 0.02]}, *digits()).n_fallback_fits_ == 0

    def test_frozen_parameters(self):
        module = BatchNormNet(64, 10)
        for parameter in module.body.parameters():
            parameter.requires_grad_(False)
        net = make_net(module=module, optimizer__weight_decay=0.1)
        search = both(net, {"beta": [0, 1]}, *digits())
        assert search.n_fallback_fits_ == 0
        frozen = search.best_estimator_.module_.body[0].weight
        torch.testing.assert_close(frozen, module.body[0].weight.double())

    def test_other_sizes_go_to_other_stacks(self):
        grid = {"module__hidden_units": [(8,), (8, 8)], "batch_size": [32, 64], "beta": [0, 1]}
        search = both(make_net(), grid, *digits(), cv=StratifiedKFold(2))
        assert search.n_fallback_fits_ == 0
        assert search.n_stacks_ in (4, 8)

    def test_numbers_of_epochs(self):
        assert both(make_net(), {"max_epochs": [0, 1, 3, 6]}, *digits()).n_fallback_fits_ == 0

    def test_early_stopping(self):
        net = make_net(early_stopping=True, n_iter_no_change=2, max_epochs=30, module__dropout=0.1)
        search = both(net, {"lr": [1e-4, 0.01, 0.1], "beta": [0, 1]}, *digits())
        assert search.n_fallback_fits_ == 0

    @pytest.mark.parametrize(
        "callbacks",
        [
            [DeferredReweighting(0.5)],
            [LossChange(start=2, loss="focal", gamma=2)],
            [LearningRateSchedule(warmup=1, milestones=(2,), factor=0.1)],
            [LearningRateSchedule("cosine"), DeferredReweighting(2)],
            [LRScheduler(torch.optim.lr_scheduler.StepLR, step_size=2, gamma=0.1)],
            [
                LRScheduler(
                    torch.optim.lr_scheduler.OneCycleLR,
                    step_every="batch",
                    max_lr=0.1,
                    total_steps=100,
                )
            ],
        ],
        ids=["deferred", "loss", "warmup", "cosine", "steps", "cycle"],
    )
    def test_schedules(self, callbacks):
        net = make_net(callbacks=callbacks, module__dropout=0.1)
        grid = {"beta": [0.9, 1], "lr": [0.01, 0.001]}
        assert both(net, grid, *digits()).n_fallback_fits_ == 0

    def test_a_schedule_that_follows_each_net(self):
        plateau = LRScheduler(
            torch.optim.lr_scheduler.ReduceLROnPlateau, monitor="valid_loss", patience=0
        )
        net = make_net(callbacks=[plateau], train_split=ValidSplit(3, stratified=True))
        net.set_params(max_epochs=12)
        search = both(net, {"lr": [1e-4, 0.05, 0.3]}, *digits())
        assert search.n_fallback_fits_ == 0

    def test_scores_on_validation_data(self):
        scoring = [
            EpochScoring("accuracy", name="one", lower_is_better=False),
            EpochScoring("accuracy", name="two", lower_is_better=False, use_caching=False),
        ]
        net = make_net(callbacks=scoring, train_split=ValidSplit(3, stratified=True))

        def scorer(estimator, X, y):
            assert estimator.history_[:, "one"] == estimator.history_[:, "two"]
            return round(estimator.history_[-1, "one"] - estimator.history_[-1, "valid_loss"], 6)

        assert both(net, {"beta": [0, 0.9]}, *digits(), scoring=scorer).n_fallback_fits_ == 0

    def test_sample_weights(self):
        X, y = digits()
        weight = np.random.default_rng(0).uniform(0.1, 3, len(y))
        params = {"sample_weight": weight}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("warnings.warn", lambda *args, **kwargs: None)
            assert both(make_net(), {"beta": [0, 0.9]}, X, y, params).n_fallback_fits_ == 0

    def test_single_precision(self):
        X, y = digits()
        net = make_net(dtype="float32", max_epochs=10)
        search = both(net, {"beta": [0, 0.9, 1], "lr": [0.01, 0.001]}, X, y, tol=1e-3)
        assert search.n_fallback_fits_ == 0

    @pytest.mark.parametrize("max_stack", [1, 3, 1000])
    def test_any_size_of_stack(self, max_stack):
        net = make_net(module__dropout=0.2)
        search = both(net, {"beta": [0, 0.9]}, *digits(), max_stack=max_stack)
        assert search.n_stacks_ >= 6 / max_stack


class TestData:
    @pytest.mark.parametrize(
        "convert",
        [
            lambda X: X.tolist(),
            lambda X: pd.DataFrame(X).add_prefix("pixel"),
            scipy.sparse.csr_array,
            lambda X: X.astype("float32"),
        ],
        ids=["list", "DataFrame", "sparse", "float32"],
    )
    def test_kinds(self, convert):
        X, y = digits()
        search = both(make_net(), {"beta": [0, 0.9]}, convert(X), y)
        assert search.n_fallback_fits_ == 0

    def test_names_of_features(self):
        X, y = digits()
        X = pd.DataFrame(X).add_prefix("pixel")
        search = StackedGridSearchCV(make_net(), {"beta": [0, 0.9]}, cv=2).fit(X, y)
        assert list(search.feature_names_in_) == list(X)
        assert search.n_features_in_ == 64

    @pytest.mark.filterwarnings("ignore:One or more of the test scores")
    def test_a_row_that_only_some_folds_can_take(self):
        X, y = digits()
        X[0, 0] = np.nan
        cv = [(np.arange(1, 300), np.arange(300, len(y))), (np.arange(300), np.arange(300, 400))]
        search = StackedGridSearchCV(make_net(), {"beta": [0, 0.9]}, cv=cv, refit=False)
        with pytest.warns(FitFailedWarning, match="Input X contains NaN"):
            search.fit(X, y)
        score = search.cv_results_
        assert np.isfinite(score["split0_test_score"]).all()
        assert np.isnan(score["split1_test_score"]).all()
        assert search.n_fallback_fits_ == 4

    def test_groups(self):
        X, y = digits()
        groups = np.arange(len(y)) % 7
        search = both(make_net(), {"beta": [0, 0.9]}, X, y, {"groups": groups}, cv=GroupKFold(3))
        assert search.n_fallback_fits_ == 0

    def test_metadata_routing(self):
        X, y = digits()
        params = {"sample_weight": np.linspace(0.5, 2, len(y)), "groups": np.arange(len(y)) % 7}
        cv = GroupKFold(3)
        with sklearn.config_context(enable_metadata_routing=True):
            net = make_net().set_fit_request(sample_weight=True)
            model = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), net)
            grid = {"cbneuralnetclassifier__beta": [0, 0.9]}
            scorer = get_scorer("balanced_accuracy").set_score_request(sample_weight=True)
            search = both(model, grid, X, y, params, cv=cv, scoring=scorer)
        assert search.n_fallback_fits_ == 0


class Counting(TransformerMixin, BaseEstimator):
    """Scales, and counts how often it is fitted."""

    n_fits = 0

    def __init__(self, factor=1):
        self.factor = factor

    def fit(self, X, y=None):
        type(self).n_fits += 1
        self.mean_ = X.mean(axis=0)
        return self

    def transform(self, X):
        return self.factor * (X - self.mean_)


class TestPipeline:
    def test_steps_before_the_net_are_fitted_once_a_fold(self):
        X, y = digits()
        model = Pipeline([("scale", Counting()), ("net", make_net())])
        grid = {"net__beta": [0, 0.9, 1], "net__loss": ["softmax", "focal"]}
        Counting.n_fits = 0
        search = StackedGridSearchCV(model, grid, cv=3, refit=False).fit(X, y)
        assert Counting.n_fits == 3
        assert search.n_fallback_fits_ == 0

    def test_parameters_of_the_steps(self):
        model = Pipeline([("scale", Counting()), ("net", make_net())])
        grid = {
            "scale__factor": [1, 5],
            "net__beta": [0, 0.9],
            "scale": [Counting(), StandardScaler()],
        }
        del grid["scale__factor"]
        both(model, grid, *digits())
        grid = {"scale__factor": [1, 5], "net__beta": [0, 0.9]}
        Counting.n_fits = 0
        search = StackedGridSearchCV(model, grid, cv=3, refit=False).fit(*digits())
        assert Counting.n_fits == 6
        assert search.n_fallback_fits_ == 0

    def test_samplers(self):
        model = make_sampling_pipeline(RandomUnderSampler(random_state=0), make_net())
        search = both(model, {"cbneuralnetclassifier__beta": [0, 0.9]}, *digits())
        assert search.n_fallback_fits_ == 0

    def test_a_weigher_before_the_net(self):
        model = make_weighing_pipeline(ClassBalancedWeigher(), make_net(beta=0))
        search = both(model, {"classbalancedweigher__beta": [0, 0.9]}, *digits())
        assert search.n_fallback_fits_ == 6

    def test_a_fitted_pipeline_is_whole(self):
        X, y = digits()
        model = Pipeline([("scale", StandardScaler()), ("net", make_net())])
        seen = []

        def scorer(estimator, X, y):
            seen.append(estimator)
            assert estimator["net"].history_[-1, "train_loss"] > 0
            return float(pickle.loads(pickle.dumps(estimator)).predict(X)[0] == y[0])

        StackedGridSearchCV(model, {"net__beta": [0, 1]}, cv=2, scoring=scorer).fit(X, y)
        assert {type(estimator) for estimator in seen} == {Pipeline}
        sizes = {len(pickle.dumps(estimator["net"].module_)) for estimator in seen}
        assert max(sizes) < 20_000  # not the whole stack

    def test_another_last_step(self):
        model = Pipeline([("scale", StandardScaler()), ("last", make_net())])
        grid = {"last": [make_net(beta=0), LogisticRegression()]}
        search = both(model, grid, *digits())
        assert search.n_fallback_fits_ == 3


class TestInterface:
    def test_several_scores_and_a_refit_that_chooses(self):
        def first(cv_results):
            assert "mean_test_f1_macro" in cv_results
            return 0

        scoring = ["balanced_accuracy", "f1_macro"]
        grid = {"beta": [0, 0.9]}
        search = both(
            make_net(), grid, *digits(), scoring=scoring, refit=first, return_train_score=True
        )
        assert set(search.scorer_) == set(scoring)
        both(make_net(), grid, *digits(), scoring=scoring, refit="f1_macro")
        both(make_net(), grid, *digits(), scoring=scoring, refit=False)

    def test_no_scoring(self):
        X, y = digits()
        search = both(make_net(), {"beta": [0, 0.9]}, X, y, scoring=None)
        assert pickle.loads(pickle.dumps(search)).score(X, y) == search.score(X, y)

    def test_probabilities(self):
        X, y = digits()
        search = StackedGridSearchCV(make_net(), {"beta": [0, 1]}, scoring="neg_log_loss", cv=2)
        search.fit(X, y)
        assert search.predict_proba(X).shape == (len(y), 10)
        assert list(search.classes_) == list(LETTERS)

    @pytest.mark.filterwarnings("ignore:One or more of the test scores")
    @pytest.mark.parametrize("error_score", [np.nan, -1])
    def test_an_error_of_one_candidate_is_its_own(self, error_score):
        X, y = digits()
        grid = [{"beta": [0, 2, 0.9]}, {"lr": [1e308]}, {"loss": ["softmax"], "gamma": [1]}]
        search = StackedGridSearchCV(make_net(), grid, cv=3, error_score=error_score)
        with pytest.warns(FitFailedWarning) as caught:
            search.fit(X, y)
        text = "".join(str(warning.message) for warning in caught)
        assert "beta must be a number in [0, 1], got 2" in text
        assert "FloatingPointError: Losses and parameters must be finite" in text
        assert "gamma must be None for loss='softmax'" in text
        score = search.cv_results_["mean_test_score"]
        np.testing.assert_array_equal(score[[1, 3, 4]], error_score)
        alone = GridSearchCV(make_net(), {"beta": [0, 0.9]}, cv=3).fit(X, y)
        np.testing.assert_allclose(score[[0, 2]], alone.cv_results_["mean_test_score"])

    def test_errors_are_those_of_nets_alone(self):
        X, y = digits()
        for grid in (
            {"beta": [2]},
            {"loss": [3, "softmax"]},
            {"max_epochs": ["many"]},
            {"lr": [1e308]},
            {"module__hidden_units": [3]},
            {"dtype": ["float16"]},
        ):
            errors = []
            for search in (StackedGridSearchCV, GridSearchCV):
                with pytest.raises((ValueError, FloatingPointError)) as caught:
                    search(make_net(), grid, cv=3, error_score="raise").fit(X, y)
                errors.append((type(caught.value), str(caught.value)))
            assert errors[0] == errors[1]

    @pytest.mark.filterwarnings("ignore:One or more of the test scores")
    def test_an_error_of_a_step_is_its_candidates(self):
        X, y = digits()
        model = Pipeline([("scale", StandardScaler()), ("net", make_net())])
        grid = [{"net__beta": [0, 0.9]}, {"scale__with_mean": ["maybe"]}]
        search = StackedGridSearchCV(model, grid, cv=2)
        with pytest.warns(FitFailedWarning, match="with_mean"):
            search.fit(X, y)
        assert np.isnan(search.cv_results_["mean_test_score"][2])

    def test_an_unknown_parameter(self):
        with pytest.raises(ValueError, match="betta"):
            StackedGridSearchCV(make_net(), {"betta": [0]}).fit(*digits())

    def test_wrong_parameters(self):
        with pytest.raises(ValueError, match="must be a CBNeuralNetClassifier or a Pipeline"):
            StackedGridSearchCV(LogisticRegression(), {"C": [1]}).fit(*digits())
        with pytest.raises(ValueError, match="max_stack must be an integer >= 1, got 0"):
            StackedGridSearchCV(make_net(), {"beta": [0]}, max_stack=0).fit(*digits())

    def test_wrong_checkpoint_dir(self):
        for wrong in (3, "", b"x"):
            with pytest.raises(ValueError, match="checkpoint_dir must be a path or None, got"):
                StackedGridSearchCV(make_net(), {"beta": [0]}, checkpoint_dir=wrong).fit(*digits())
        net = make_net(callbacks="disable")
        with pytest.raises(ValueError, match="callbacks must be a list or None with checkpoint"):
            StackedGridSearchCV(net, {"beta": [0]}, checkpoint_dir="x").fit(*digits())

    def test_nothing_is_trained_before_the_parameters_are_checked(self):
        net = make_net(max_epochs=10**9)
        for wrong in (
            {"scoring": "precison"},
            {"refit": "f1"},
            {"error_score": "no"},
            {"n_jobs": "a"},
            {"verbose": "a"},
            {"cv": 1},
        ):
            given = {"scoring": ["accuracy", "f1_macro"]} | wrong
            messages = []
            for search in (StackedGridSearchCV, GridSearchCV):
                with pytest.raises(ValueError, match="|".join(map(str, wrong.values()))) as caught:
                    search(net, {"beta": [0]}, **given).fit(*digits())
                messages.append(str(caught.value).replace("Stacked", ""))
            assert messages[0] == messages[1]

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([None], "y must not have missing labels, got None at position 0"),
            ([1], "y must hold labels of one kind, got int and str"),
            (None, "StackedGridSearchCV requires y to be passed, but the target y is None"),
        ],
    )
    def test_nothing_is_trained_before_the_labels_are_read(self, labels, message):
        X, y = digits()
        y = None if labels is None else labels + y[len(labels) :].tolist()
        with pytest.raises(ValueError, match=f"^{message}"):
            StackedGridSearchCV(make_net(max_epochs=10**9), {"beta": [0]}).fit(X, y)

    def test_what_cannot_be_stacked_is_said(self, caplog, capsys):
        X, y = digits()
        net = make_net(callbacks=[("clip", GradientNormClipping(1))], max_epochs=1)
        grid = [{"beta": [0, 0.9]}, {"callbacks": [None], "optimizer": [torch.optim.LBFGS]}]
        with caplog.at_level(logging.INFO, logger="sk_cbloss"):
            search = both(net, grid, X, y, verbose=1)
        assert search.n_fallback_fits_ == 9
        assert search.n_stacks_ == 0
        out = capsys.readouterr().out
        for text in (caplog.text, out):
            assert "6 nets fitted one by one: callback 'clip' of type GradientNormClipping" in text
            assert "3 nets fitted one by one: optimizer=" in text

    @pytest.mark.parametrize(
        "params",
        [
            {"criterion": nn.CrossEntropyLoss},
            {"autocast": "bfloat16", "dtype": "float32"},
            {"batch_transform": torch.neg},
            {"iterator_train__num_workers": 0},
            {"callbacks": [EpochScoring("accuracy", on_train=True)]},
            {"callbacks": [Checkpoint(monitor="train_loss_best", f_history=None)]},
        ],
        ids=lambda params: next(iter(params)),
    )
    def test_obstacles(self, params, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)  # where skorch's Checkpoint writes
        search = both(make_net(**params), {"lr": [0.01, 0.02]}, *digits(), tol=1e-3)
        assert search.n_fallback_fits_ == 6

    @pytest.mark.slow
    def test_convolutions_are_left_alone_unless_asked(self):
        X, y = digits()
        X = X.reshape(-1, 1, 8, 8)
        net = make_net(module=ConvNet, max_epochs=1)
        search = StackedGridSearchCV(net, {"beta": [0, 1]}, cv=2, n_jobs=2).fit(X, y)
        assert search.n_fallback_fits_ == 4
        search.set_params(max_stack=8).fit(X, y)
        assert search.n_fallback_fits_ == 0

    @pytest.mark.slow
    def test_searches_leave_no_tensors_behind(self):
        X, y = digits()
        net = make_net(module=BatchNormNet, max_epochs=1)
        n_tensors = []
        for _ in range(4):
            StackedGridSearchCV(net, {"beta": [0, 0.9]}, cv=2).fit(X, y)
            gc.collect()
            n_tensors.append(sum(issubclass(type(one), torch.Tensor) for one in gc.get_objects()))
        assert n_tensors[1] == n_tensors[3]

    def test_without_a_seed(self):
        torch.manual_seed(0)
        net = make_net(random_state=None, module__dropout=0.1)
        first = StackedGridSearchCV(net, {"beta": [0, 1]}, cv=2).fit(*digits())
        assert first.n_stacks_ <= 2
        torch.manual_seed(0)
        second = StackedGridSearchCV(net, {"beta": [0, 1]}, cv=2).fit(*digits())
        third = StackedGridSearchCV(net, {"beta": [0, 1]}, cv=2).fit(*digits())
        score = [s.cv_results_["mean_test_score"] for s in (first, second, third)]
        np.testing.assert_array_equal(score[0], score[1])
        assert (score[1] != score[2]).any()

    def test_global_generators_stay_as_they_are(self):
        of_numpy = np.random.mtrand._rand.get_state()[1].copy()
        of_torch = torch.get_rng_state()
        StackedGridSearchCV(make_net(module__dropout=0.1), {"beta": [0]}, cv=2).fit(*digits())
        np.testing.assert_array_equal(np.random.mtrand._rand.get_state()[1], of_numpy)
        assert torch.equal(torch.get_rng_state(), of_torch)


ALIVE = weakref.WeakSet()


class CountedNet(MLP):
    """Counts how many of its kind there are, and the most that there were."""

    n_most = 0

    def __init__(self, n_features, n_classes):
        super().__init__(n_features, n_classes, hidden_units=(8,))
        ALIVE.add(self)
        CountedNet.n_most = max(CountedNet.n_most, len(ALIVE))


def count_alive(estimator, X, y):
    CountedNet.n_most = max(CountedNet.n_most, len(ALIVE))
    return 0.0


class TestMemory:
    @pytest.mark.parametrize("n_betas", [3, 12])
    @pytest.mark.parametrize("is_stacked", [True, False])
    @pytest.mark.slow
    def test_no_more_nets_are_alive_than_are_trained(self, n_betas, is_stacked):
        """However many candidates and folds there are: scores are kept, not nets."""
        CountedNet.n_most = 0
        alone = {} if is_stacked else {"iterator_train__num_workers": 0}
        net = make_net(module=CountedNet, max_epochs=2, **alone)
        grid = {"beta": np.linspace(0, 0.9, n_betas).tolist()}
        gc.collect()
        gc.disable()
        try:
            search = StackedGridSearchCV(net, grid, cv=4, max_stack=4, scoring=count_alive)
            search.fit(*digits())
        finally:
            gc.enable()
        if is_stacked:
            assert search.n_stacks_ >= n_betas
            assert CountedNet.n_most <= 4
        else:
            assert search.n_fallback_fits_ == 4 * n_betas
            assert CountedNet.n_most == 1
        search.best_estimator_ = None
        gc.collect()
        assert not ALIVE

    def test_a_net_that_fails_is_let_go(self):
        net = make_net(module=CountedNet, max_epochs=2)
        search = StackedGridSearchCV(net, {"lr": [1e308]}, cv=2, error_score="raise")
        with pytest.raises(FloatingPointError) as caught:
            search.fit(*digits())
        gc.collect()
        assert caught.value
        assert not ALIVE


class TestWorkers:
    @pytest.mark.slow
    def test_stacks_are_dealt_out_to_the_workers_there_are(self):
        """And nets are scored where they were trained, in a process that is not this one."""

        def where(estimator, X, y):
            return {"process": os.getpid(), "score": estimator.score(X, y)}

        given = {"cv": 2, "scoring": where, "refit": False}
        searches = [
            StackedGridSearchCV(make_net(), {"beta": [0, 0.9, 1]}, n_jobs=n_jobs, **given)
            for n_jobs in (None, 2)
        ]
        one, two = (search.fit(*digits()) for search in searches)
        assert one.n_stacks_ < two.n_stacks_
        processes = {
            search: {int(p) for n in (0, 1) for p in search.cv_results_[f"split{n}_test_process"]}
            for search in (one, two)
        }
        assert processes[one] == {os.getpid()}
        assert os.getpid() not in processes[two]
        for name in ("mean_test_score", "std_test_score"):
            np.testing.assert_allclose(one.cv_results_[name], two.cv_results_[name], rtol=1e-12)

    def test_nets_without_a_seed_share_one_wherever_they_are_trained(self):
        net = make_net(random_state=None, optimizer=torch.optim.LBFGS, max_epochs=1)
        scores = []
        for n_jobs in (None, 2):
            torch.manual_seed(0)
            search = StackedGridSearchCV(net, {"beta": [0, 0.9]}, cv=2, n_jobs=n_jobs, refit=False)
            scores.append(search.fit(*digits()).cv_results_["mean_test_score"])
        np.testing.assert_array_equal(*scores)

    def test_the_refit_may_use_the_workers(self):
        """Only what is handed out in turn is kept in this process."""
        backends = []

        class Asking(Counting):
            def fit(self, X, y=None):
                backends.append(type(get_active_backend()[0]).__name__)
                return super().fit(X, y)

        model = Pipeline([("scale", Asking()), ("net", make_net(max_epochs=1))])
        with parallel_config(backend="threading", n_jobs=1):
            StackedGridSearchCV(model, {"net__beta": [0, 0.9]}, cv=2).fit(*digits())
        assert backends[-1] == "ThreadingBackend"

    def test_an_error_tells_where_it_was_raised(self):
        grid = {"beta": [0.9], "lr": [1e308]}
        search = StackedGridSearchCV(make_net(), grid, cv=3, n_jobs=2, error_score="raise")
        with pytest.raises(FloatingPointError, match="^Losses and parameters must") as caught:
            search.fit(*digits())
        (note,) = caught.value.__notes__
        assert note.startswith("Raised in another process:")


class Killed(BaseException):
    pass


class TestCheckpoints:
    @pytest.mark.parametrize(
        "params",
        [
            {},
            pytest.param({"early_stopping": True, "n_iter_no_change": 30}, marks=pytest.mark.slow),
        ],
    )
    def test_a_search_goes_on_where_it_was_cut_off(self, params, tmp_path, monkeypatch):
        net = make_net(max_epochs=20, module__dropout=0.2, **params)
        grid = {"beta": [0, 0.9], "lr": [0.01, 0.003]}
        run_epoch, n_epochs = Stack.run_epoch, [0]

        def counted(stack, *args):
            n_epochs[0] += 1
            if n_epochs[0] == 13:
                raise Killed
            return run_epoch(stack, *args)

        def searched(**params):
            n_epochs[0] = n_epochs[0] if params else 100
            return StackedGridSearchCV(net, grid, cv=3, refit=False, **params).fit(*digits())

        monkeypatch.setattr(Stack, "run_epoch", counted)
        undisturbed = searched()
        n_undisturbed, n_epochs[0] = n_epochs[0] - 100, 0
        with pytest.raises(Killed):
            searched(checkpoint_dir=tmp_path)
        assert n_epochs[0] == 13
        resumed = searched(checkpoint_dir=tmp_path)
        assert n_undisturbed <= n_epochs[0] < n_undisturbed + 5
        for name, values in undisturbed.cv_results_.items():
            if "score" in name and "time" not in name:
                np.testing.assert_array_equal(resumed.cv_results_[name], values)
        n_epochs[0] = 100
        searched(checkpoint_dir=tmp_path)
        assert n_epochs[0] == 100

    def test_nets_fitted_alone_go_on_too(self, tmp_path):
        X, y = digits()
        net = make_net(optimizer=torch.optim.LBFGS, max_epochs=2)
        model = Pipeline([("scale", StandardScaler()), ("net", net)])
        params = {"cv": 2, "refit": False, "checkpoint_dir": tmp_path}
        StackedGridSearchCV(model, {"net__beta": [0, 1]}, **params).fit(X, y)
        assert len(list(tmp_path.glob("*/*.safetensors"))) == 8


class TestProgress:
    def test_a_bar_over_all_epochs(self, monkeypatch, capsys):
        monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
        grid = [{"beta": [0, 1]}, {"optimizer": [torch.optim.LBFGS]}]
        search = StackedGridSearchCV(make_net(), grid, cv=2, verbose=1, refit=False)
        search.fit(*digits())
        out, err = capsys.readouterr()
        assert "StackedGridSearchCV 24/24 |" in err
        assert "nets trained as" in out
        assert err.count("\r" + " " * 40) >= 2  # wiped out while lines are printed

    def test_silence(self, capsys):
        StackedGridSearchCV(make_net(), {"beta": [0, 1]}, cv=2).fit(*digits())
        assert capsys.readouterr() == ("", "")


class Switching(nn.Module):
    """What it computes depends on the data, on its own past, or on Python's random numbers."""

    def __init__(self, n_features, n_classes, how):
        super().__init__()
        self.head, self.how, self.n_calls = nn.Linear(n_features, n_classes), how, 0

    def forward(self, x):
        if self.how == "data" and x.sum() > 0:
            return self.head(x) * 2
        if self.how == "past" and self.training:
            self.n_calls += 1
            return self.head(x) * self.n_calls
        if self.how == "numpy" and self.training:
            return self.head(x) * (1 + np.random.rand())  # noqa: NPY002
        return self.head(x)


class TestModulesThatCannotBeStacked:
    @pytest.mark.parametrize(
        ("how", "why"), [("data", "cannot run for many"), ("past", "attributes of its own")]
    )
    def test_they_are_fitted_alone(self, how, why, caplog):
        net = make_net(module=Switching, module__how=how)
        with caplog.at_level(logging.INFO, logger="sk_cbloss"):
            search = both(net, {"beta": [0, 1]}, *digits())
        assert search.n_fallback_fits_ == 6
        assert why in caplog.text

    def test_random_numbers_of_numpy(self):
        net = make_net(module=Switching, module__how="numpy")
        search = StackedGridSearchCV(net, {"beta": [0, 1]}, cv=2).fit(*digits())
        assert search.n_fallback_fits_ == 4


def test_a_dict_is_searched_over_in_a_slice_dict():
    X, y = digits()
    search = StackedGridSearchCV(make_net(), {"beta": [0]}, cv=2)
    match = r"^X must be something that folds can be cut out of, .*SliceDict\(\*\*X\), got a dict"
    with pytest.raises(ValueError, match=match):
        search.fit({"x": X}, y)


@parametrize_with_checks(
    [
        StackedGridSearchCV(
            CBNeuralNetClassifier(max_epochs=15, lr=0.05, random_state=0),
            {"beta": [0, 0.9]},
            cv=2,
            error_score="raise",
        )
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def no_number_for_one(estimator, X, y):
    return "none" if estimator.beta == 0.9 else estimator.score(X, y)


def fails_for_one(estimator, X, y):
    if estimator.beta == 0.9:
        raise KeyError("of one")
    return {"a": 1.0, "b": estimator.score(X, y)}


def keys_of_its_own(estimator, X, y):
    return {"a": 1.0} if estimator.beta == 0.9 else {"a": 1.0, "b": 0.5}


@pytest.mark.parametrize("max_stack", [1, 3, 100])
@pytest.mark.parametrize(
    ("scoring", "refit"),
    [(no_number_for_one, True), (fails_for_one, "a"), (keys_of_its_own, "a")],
)
def test_a_score_that_is_none_ends_the_search_as_in_scikit_learn(scoring, refit, max_stack):
    net = CBNeuralNetClassifier(max_epochs=1, random_state=0)
    grid = {"beta": [0, 0.9, 0.99, 1]}
    given = {"scoring": scoring, "refit": refit, "cv": 2}
    X, y = load_digits_lt(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        errors = KeyError, TypeError, ValueError
        with pytest.raises(errors) as alone:
            GridSearchCV(net, grid, **given).fit(X, y)
        with pytest.raises(errors) as stacked:
            StackedGridSearchCV(net, grid, max_stack=max_stack, **given).fit(X, y)
    assert type(stacked.value) is type(alone.value)
    assert str(stacked.value).split("(<")[0] == str(alone.value).split("(<")[0]


def score_by_index(estimator, X, y):
    return float(estimator.score(X, y.loc[X.index]))


@pytest.mark.parametrize("named", [False, True])
def test_a_series_of_labels_stays_one(named):
    """To scorers, to steps before the net, and to whoever splits."""
    X, y = load_digits_lt(return_X_y=True)
    y = np.array([f"digit {digit}" for digit in range(10)])[y] if named else y
    index = np.random.default_rng(0).permutation(len(y))
    X, y = pd.DataFrame(X / 16, index=index), pd.Series(y, index=index)
    net = CBNeuralNetClassifier(max_epochs=3, dtype="float64", random_state=0)
    given = {"scoring": score_by_index, "cv": 2, "error_score": "raise"}
    searches = [
        search(net, {"beta": [0, 0.9, 0.99]}, **given).fit(X, y)
        for search in (GridSearchCV, StackedGridSearchCV)
    ]
    scores = [search.cv_results_["mean_test_score"] for search in searches]
    np.testing.assert_array_equal(*scores)
