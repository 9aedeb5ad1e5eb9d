"""Several labels a sample: y with a column for each."""

import copy
import pickle
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.datasets import make_multilabel_classification
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback, EpochScoring
from skorch.dataset import Dataset as SkorchDataset
from skorch.dataset import ValidSplit
from skorch.helper import SliceDataset, predefined_split
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedMultiLabelLoss,
    StackedGridSearchCV,
    make_shot_scorer,
)
from sk_cbloss.neural_net import (
    DeferredReweighting,
    LossChange,
    TrainingCheckpoint,
    features_and_labels,
)
from sk_cbloss.neural_net.data import Uncast
from sk_cbloss.neural_net.data._label_sets import rarest_label
from sk_cbloss.neural_net.training import _captured_step

X, Y = make_multilabel_classification(300, 8, n_classes=4, n_labels=2, random_state=0)
X = ((X - X.mean(axis=0)) / X.std(axis=0)).astype(np.float32)
NAMES = ["war", "drama", "noir", "epic"]  # in no order
PARAMETERS = {"beta": 0.99, "batch_size": 64, "max_epochs": 4, "random_state": 0, "device": "cpu"}
UNKNOWN = np.where(np.random.default_rng(0).random(Y.shape) < 0.2, np.nan, Y)


def net(**parameters):
    return CBNeuralNetClassifier(**PARAMETERS | parameters)


@pytest.fixture(scope="module")
def fitted():
    return net().fit(X, Y)


def assert_same(one, other, features=X):
    np.testing.assert_array_equal(
        one.decision_function(features), other.decision_function(features)
    )


# ------------------------------------------------------------------ what scikit-learn asks for


def test_it_keeps_to_scikit_learns_contract(fitted):
    n_positive = Y.sum(axis=0)
    assert fitted.classes_.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(fitted.class_count_, np.stack([300 - n_positive, n_positive], 1))
    predicted, scores = fitted.predict(X), fitted.decision_function(X)
    assert predicted.shape == scores.shape == fitted.predict_proba(X).shape == Y.shape
    assert predicted.dtype == Y.dtype
    np.testing.assert_array_equal(predicted, scores > 0)
    np.testing.assert_array_equal(predicted, fitted.predict_proba(X) > 0.5)
    np.testing.assert_allclose(fitted.predict_proba(X), 1 / (1 + np.exp(-scores)), rtol=1e-5)
    np.testing.assert_allclose(
        fitted.predict_log_proba(X), np.log(fitted.predict_proba(X)), rtol=1e-4, atol=1e-6
    )
    assert fitted.score(X, Y) == (predicted == Y).all(axis=1).mean()
    assert f1_score(Y, predicted, average="macro") > 0.6


def test_two_labels_are_no_two_classes():
    two = net().fit(X, Y[:, :2])
    scores = two.decision_function(X)
    assert scores.shape == (300, 2)
    np.testing.assert_array_equal(two.predict(X), scores > 0)


def test_natural_probabilities_are_those_of_the_loss(fitted):
    logits = torch.from_numpy(fitted.decision_function(X))
    loss = ClassBalancedMultiLabelLoss.from_labels(torch.from_numpy(Y), beta=0.99).float()
    torch.testing.assert_close(fitted.criterion_.weight, loss.weight)
    expected = loss.natural_proba(logits).numpy()
    np.testing.assert_allclose(fitted.predict_natural_proba(X), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "form",
    [
        Y.tolist(),
        list(Y),
        Y.astype(bool),
        Y.astype(np.uint8),
        Y.astype(float),
        Y.astype(object),
        sp.csr_array(Y),
        sp.csc_matrix(Y),
        sp.coo_array(Y.astype(bool)),
        torch.from_numpy(Y),
        torch.from_numpy(Y).bfloat16().to_sparse(),
        list(torch.from_numpy(Y)),
        pd.DataFrame(Y, columns=NAMES),
        pd.DataFrame(Y, columns=NAMES).astype("Int8"),
        np.asfortranarray(Y),
    ],
    ids=lambda form: type(form).__name__,
)
def test_whatever_holds_them_the_net_is_the_same(form, fitted):
    other = net().fit(X, form)
    assert_same(other, fitted)
    np.testing.assert_array_equal(other.class_count_, fitted.class_count_)
    assert other.classes_.tolist() == (NAMES if isinstance(form, pd.DataFrame) else [0, 1, 2, 3])


@pytest.mark.parametrize("kind", ["sparse", "bytes"])
def test_they_stay_as_small_as_they_are_until_a_batch_takes_them(kind, monkeypatch):
    given = sp.csr_array(Y) if kind == "sparse" else Y.astype(np.uint8)
    seen = []
    plain = CBNeuralNetClassifier.get_dataset

    def get_dataset(self, X, y=None):
        seen.append(y)
        return plain(self, X, y)

    monkeypatch.setattr(CBNeuralNetClassifier, "get_dataset", get_dataset)
    net().fit(X, given)
    (y,) = [each for each in seen if each is not None]
    if kind == "sparse":
        assert sp.issparse(y)
    else:
        assert isinstance(y, Uncast)
        assert y.array is given


# ------------------------------------------------------------------ what is learned


def test_without_weights_it_is_torchs_loss():
    ours = net(beta=0).fit(X, Y)
    theirs = net(beta=None, criterion=nn.BCEWithLogitsLoss).fit(X, Y)
    np.testing.assert_allclose(
        ours.decision_function(X), theirs.decision_function(X), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(theirs.predict(X), theirs.decision_function(X) > 0)
    np.testing.assert_allclose(
        theirs.predict_proba(X), 1 / (1 + np.exp(-theirs.decision_function(X))), rtol=1e-5
    )


@pytest.mark.parametrize("criterion", [nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss])
def test_labels_that_are_not_known_are_not_for_losses_of_torchs(criterion):
    rows = TensorDataset(torch.from_numpy(X), torch.from_numpy(UNKNOWN).float())
    for data in ((X, UNKNOWN), (rows, UNKNOWN)):
        with pytest.raises(FloatingPointError, match="Likely cause: labels that are not known"):
            net(beta=None, criterion=criterion, module__n_features=8).fit(*data)


def test_outputs_that_are_probabilities_decide_above_one_half():
    class Sigmoid(nn.Module):
        def __init__(self, n_features, n_classes):
            super().__init__()
            self.linear = nn.Linear(n_features, n_classes)

        def forward(self, X):
            return self.linear(X).sigmoid()

    one = net(beta=None, criterion=nn.BCELoss, module=Sigmoid).fit(X, Y)
    np.testing.assert_array_equal(one.predict(X), one.predict_proba(X) > 0.5)
    assert 0 < one.predict(X).mean() < 1


def test_of_a_loss_of_ones_own_it_must_be_said_what_outputs_are():
    class Own(nn.Module):
        def forward(self, logits, target):
            return nn.functional.binary_cross_entropy_with_logits(logits, target)

    own = {"beta": None, "criterion": Own}
    for criterion in (Own, Own()):
        with pytest.raises(ValueError, match="^predict_nonlinearity must say what the module's"):
            net(**own | {"criterion": criterion}).fit(X, Y)
    ours = net(**own, predict_nonlinearity=torch.sigmoid).fit(X, Y)
    theirs = net(beta=None, criterion=nn.BCEWithLogitsLoss).fit(X, Y)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    np.testing.assert_array_equal(ours.predict_proba(X), theirs.predict_proba(X))


def test_it_scores_rows_of_which_all_known_labels_are_right(fitted):
    right = (fitted.predict(X) == Y) | np.isnan(UNKNOWN)
    assert fitted.score(X, UNKNOWN) == right.all(axis=1).mean()
    named = net(classes=NAMES).fit(X, Y)
    with pytest.raises(ValueError, match="in their order, got 'epic' in the place of 'war'"):
        named.score(X, pd.DataFrame(Y, columns=NAMES[::-1]))
    weight = np.arange(300)
    expected = accuracy_score(Y, fitted.predict(X), sample_weight=weight)
    forms = Y, sp.csr_array(Y), Y.astype(object), pd.DataFrame(Y).astype("Int64"), Y.tolist()
    for form in forms:
        assert fitted.score(X, form, weight) == pytest.approx(expected)


def test_rows_of_which_nothing_is_known_are_not_scored(fitted):
    some = np.arange(300) % 3 > 0
    y = np.where(some[:, None], UNKNOWN, np.nan)
    weight = np.random.default_rng(2).random(300)
    assert fitted.score(X, y) == fitted.score(X[some], y[some])
    assert fitted.score(X, y, weight) == fitted.score(X[some], y[some], weight[some])
    with pytest.raises(ValueError, match="^y must hold a label that is known, to be scored"):
        fitted.score(X, np.full(Y.shape, np.nan))


@pytest.mark.parametrize("n", [1, 5])
def test_as_many_rows_are_scored_as_are_predicted(fitted, n):
    with pytest.raises(ValueError, match=f"same number of samples, got 300 and {n}.$"):
        fitted.score(X, Y[:n])
    with pytest.raises(ValueError, match=r"^sample_weight must have shape \(300,\)"):
        fitted.score(X, Y, np.ones(n))


@pytest.mark.parametrize("y", [Y, UNKNOWN, sp.csr_array(Y)], ids=["", "unknown", "sparse"])
def test_sample_weights_are_those_of_repeated_rows(y):
    weight = np.random.default_rng(1).integers(0, 4, 300)
    rows = np.repeat(np.arange(300), weight)
    how = {"batch_size": -1, "optimizer": torch.optim.SGD, "lr": 1.0, "dtype": "float64"}
    weighted = net(**how).fit(X, y, sample_weight=weight)
    repeated = net(**how).fit(X[rows], y[rows])
    np.testing.assert_array_equal(weighted.class_count_, repeated.class_count_)
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-9
    )


def test_with_a_criterion_of_torchs_too():
    weight = np.random.default_rng(1).integers(0, 4, 300)
    rows = np.repeat(np.arange(300), weight)
    how = {"batch_size": -1, "optimizer": torch.optim.SGD, "lr": 1.0, "dtype": "float64"}
    reduced = {"criterion": nn.BCEWithLogitsLoss, "criterion__reduction": "none", "beta": None}
    weighted = net(**how, **reduced).fit(X, Y, sample_weight=weight)
    repeated = net(**how, **reduced).fit(X[rows], Y[rows])
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-9
    )


def test_what_is_not_known_costs_nothing():
    one = net(batch_size=-1, beta=0.9, dtype="float64", max_epochs=1).fit(X, UNKNOWN)
    known = ~np.isnan(UNKNOWN)
    np.testing.assert_array_equal(one.class_count_.sum(axis=1), known.sum(axis=0))
    start = net(batch_size=-1, beta=0.9, dtype="float64", max_epochs=0).fit(X, UNKNOWN)
    logits = torch.from_numpy(start.decision_function(X))
    loss = ClassBalancedMultiLabelLoss.from_labels(torch.from_numpy(UNKNOWN), beta=0.9)
    each = ClassBalancedMultiLabelLoss(loss.weight, reduction="none")(
        logits, torch.from_numpy(np.nan_to_num(UNKNOWN))
    )
    assert one.history_[0, "train_loss"] == pytest.approx(each[torch.from_numpy(known)].mean())


@pytest.mark.parametrize(
    "parameters",
    [
        {"gamma": 2},
        {"gamma": (4, 0)},
        {"criterion__gamma": (4, 0)},
        {"criterion__tau": 1.0, "beta": 0},
        {"criterion__label_smoothing": 0.1},
        {"normalize": "samples"},
        {"loss": "multi_label"},
    ],
)
def test_parameters_reach_the_loss(parameters):
    one = net(**parameters).fit(X, Y)
    named = {k.removeprefix("criterion__"): v for k, v in parameters.items() if k != "loss"}
    expected = ClassBalancedMultiLabelLoss.from_labels(
        torch.from_numpy(Y), **{"beta": 0.99} | named
    ).float()
    logits, target = torch.randn(5, 4), torch.from_numpy(Y[:5])
    torch.testing.assert_close(one.criterion_(logits, target), expected(logits, target))


@pytest.mark.parametrize("own", [None, np.random.default_rng(0).uniform(0.5, 2, 300)])
@pytest.mark.parametrize("form", [Y, sp.csr_array(Y), UNKNOWN], ids=["", "sparse", "unknown"])
@pytest.mark.parametrize("gamma", [0, 1.5, (4, 0), (3, 1)])
def test_captured_steps_are_plain_steps(form, own, gamma, monkeypatch):
    class Counted(_captured_step._Step):
        n_calls = 0

        def __call__(self, *args, **kwargs):
            type(self).n_calls += 1
            return super().__call__(*args, **kwargs)

    class Plain(CBNeuralNetClassifier):
        def get_loss(self, *args, **kwargs):
            return super().get_loss(*args, **kwargs)

    monkeypatch.setattr(_captured_step, "PLAIN_STEPS", {"cpu": 2})
    monkeypatch.setattr(_captured_step, "RECORDED", OrderedDict())
    monkeypatch.setattr(_captured_step, "_Step", Counted)
    captured = net(batch_size=50, gamma=gamma).fit(X, form, sample_weight=own)
    plain = Plain(**PARAMETERS | {"batch_size": 50, "gamma": gamma}).fit(
        X, form, sample_weight=own
    )
    assert_same(captured, plain)
    assert Counted.n_calls > 10


def test_a_label_that_nobody_has_or_all_have_is_learned_and_no_nan():
    y = Y.copy()
    y[:, 0], y[:, 1] = 0, 1
    one = net(max_epochs=20).fit(X, y)
    assert np.isfinite(one.decision_function(X)).all()
    assert one.criterion_.weight[0, 1] == one.criterion_.weight[1, 0] == 0
    predicted = one.predict(X)
    assert not predicted[:, 0].any()
    assert predicted[:, 1].all()
    natural = one.predict_natural_proba(X)
    assert not natural[:, 0].any()
    assert (natural[:, 1] == 1).all()


def test_rows_without_labels_count():
    y = Y.copy()
    y[:100] = 0
    np.testing.assert_array_equal(net().fit(X, y).class_count_[:, 0], (y == 0).sum(axis=0))


# ------------------------------------------------------------------ validation, early stopping


def test_early_stopping_holds_out_what_is_asked_of_many_rare_labels():
    rows = np.random.default_rng(0).permuted(np.tile(np.arange(1_000), (4, 1)), axis=1).ravel()
    columns = np.repeat(np.arange(400), 10)  # 400 labels of 10 of 1,000 rows
    y = sp.csr_array((np.ones(4_000), (rows, columns)), shape=(1_000, 400))
    y.data[:] = 1
    features = np.zeros((1_000, 2), np.float32)
    one = net(early_stopping=True, validation_fraction=0.05, max_epochs=1).fit(features, y)
    sizes = one.history_[0, "batches", :, "valid_batch_size"]
    assert sum(sizes) in (49, 50, 51)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_what_is_scored_is_kept_in_bytes(kind):
    class Watch(Callback):
        def on_epoch_end(self, net, **kwargs):
            scoring = dict(net.callbacks_)["valid_f1_macro"]
            self.kept = {part.dtype for part in (*scoring.y_trues_, *scoring.y_preds_)}

    one = net(callbacks=[Watch()], max_epochs=1).fit(X, kind(Y), X_val=X, y_val=kind(Y))
    assert dict(one.callbacks_)["Watch"].kept == {torch.int8}
    expected = f1_score(Y, one.predict(X), average="macro")
    assert one.history_[-1, "valid_f1_macro"] == pytest.approx(expected)


def test_early_stopping_watches_macro_f1():
    one = net(early_stopping=True, validation_fraction=0.3, max_epochs=30).fit(X, Y)
    scores = one.history_[:, "valid_f1_macro"]
    assert len(set(scores)) > 2
    assert max(scores) == scores[dict(one.callbacks_)["early_stopping"].best_epoch_ - 1]
    assert "valid_balanced_accuracy" not in one.history_[0]


def test_the_score_of_an_epoch_is_macro_f1_over_labels_that_are_there():
    y_val = Y[200:].copy()
    y_val[:, 2] = 0
    one = net(max_epochs=1).fit(X[:200], Y[:200], X_val=X[200:], y_val=y_val)
    there = [0, 1, 3]
    expected = f1_score(y_val[:, there], one.predict(X[200:])[:, there], average="macro")
    assert one.history_[-1, "valid_f1_macro"] == pytest.approx(expected)


def test_what_is_not_known_is_not_scored():
    y_val = UNKNOWN[200:].copy()
    y_val[:10] = np.nan
    one = net(max_epochs=1).fit(X[:200], Y[:200], X_val=X[200:], y_val=y_val)
    known, predicted = ~np.isnan(y_val), one.predict(X[200:])
    scores = [
        f1_score(y_val[rows, label], predicted[rows, label]) for label, rows in enumerate(known.T)
    ]
    assert one.history_[-1, "valid_f1_macro"] == pytest.approx(np.mean(scores))


def test_each_label_of_two_samples_is_held_out_once():
    y = np.zeros((200, 5), dtype=int)
    y[:, 0] = 1
    y[:50, 1] = y[:10, 2] = y[:2, 3] = 1
    for form in (y, sp.csr_array(y), Uncast(y.astype(np.uint8), "float32")):
        rarest = rarest_label(form)
        assert np.bincount(rarest, minlength=6).tolist() == [150, 40, 8, 2, 0, 0]
    assert rarest_label(np.zeros((3, 5))).tolist() == [5, 5, 5]
    one = net(early_stopping=True, max_epochs=1)
    held = []

    class Kept(CBNeuralNetClassifier):
        def get_split_datasets(self, *args, **kwargs):
            train, valid = super().get_split_datasets(*args, **kwargs)
            held.extend(valid.indices)
            return train, valid

    Kept(**one.get_params(deep=False)).fit(X[:200], y)
    assert (y[held].sum(axis=0) > 0).tolist() == [True, True, True, True, False]


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, pd.DataFrame])
def test_all_ways_to_validate_agree(form):
    rows, held = np.arange(200), np.arange(200, 300)
    given = net().fit(X[rows], form(Y[rows]), X_val=X[held], y_val=form(Y[held]))
    scores = given.history_[:, ("valid_loss", "valid_f1_macro")]
    split = predefined_split(SkorchDataset(X[held], form(Y[held])))
    if form is not sp.csr_array:
        other = net(train_split=split).fit(X[rows], form(Y[rows]))
        assert other.history_[:, ("valid_loss", "valid_f1_macro")] == scores
    shuffled = net(train_split=ValidSplit(3)).fit(X, form(Y))
    assert 0 < shuffled.history_[-1, "valid_f1_macro"] < 1


def test_scores_of_the_users_own():
    scoring = EpochScoring("f1_micro", lower_is_better=False, name="micro")
    one = net(callbacks=[scoring]).fit(X[:200], Y[:200], X_val=X[200:], y_val=Y[200:])
    expected = f1_score(Y[200:], one.predict(X[200:]), average="micro")
    assert one.history_[-1, "micro"] == pytest.approx(expected)


def test_deferred_weights():
    one = net(callbacks=[DeferredReweighting(start=2)]).fit(X, Y)
    expected = ClassBalancedMultiLabelLoss.from_labels(
        torch.from_numpy(Y), beta=0.99, normalize="samples"
    ).float()
    torch.testing.assert_close(one.criterion_.weight, expected.weight)


# ------------------------------------------------------------------ searches, chunks, files


@pytest.mark.parametrize(
    "form", [np.asarray, sp.csr_array, lambda y: pd.DataFrame(y, columns=NAMES)]
)
@pytest.mark.parametrize("scoring", [None, "f1_macro"])
def test_a_stacked_search_is_grid_search(form, scoring):
    model = make_pipeline(StandardScaler(), net(early_stopping=True, max_epochs=3))
    grid = {
        "cbneuralnetclassifier__beta": [0, 0.9, 0.999],
        "cbneuralnetclassifier__gamma": [0, 2],
    }
    ours = StackedGridSearchCV(model, grid, cv=3, scoring=scoring).fit(X, form(Y))
    theirs = GridSearchCV(model, grid, cv=3, scoring=scoring).fit(X, form(Y))
    assert ours.n_fallback_fits_ == 0
    np.testing.assert_array_equal(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"]
    )
    assert ours.best_params_ == theirs.best_params_
    assert_same(ours.best_estimator_, theirs.best_estimator_)


def test_a_stacked_search_where_some_is_not_known():
    cv, grid = KFold(3), {"beta": [0, 0.9, 0.999], "lr": [0.01, 0.1]}

    def f1(estimator, X, y):
        return f1_score(y == 1, estimator.predict(X), average="macro")

    ours = StackedGridSearchCV(net(), grid, cv=cv, scoring=f1).fit(X, UNKNOWN)
    theirs = GridSearchCV(net(), grid, cv=cv, scoring=f1).fit(X, UNKNOWN)
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], atol=0.01
    )


@pytest.mark.parametrize("kind", ["Int64", "boolean", "Float32", "int8[pyarrow]", object])
def test_pandas_types_are_searched_as_numpys(kind):
    plain, frame = pd.DataFrame(Y, columns=NAMES), pd.DataFrame(Y, columns=NAMES).astype(kind)
    grid = {"beta": [0, 0.99]}
    expected = {}
    for scoring in (None, "f1_macro"):
        ours = StackedGridSearchCV(net(), grid, cv=3, scoring=scoring).fit(X, frame)
        theirs = StackedGridSearchCV(net(), grid, cv=3, scoring=scoring).fit(X, plain)
        expected[scoring] = theirs.cv_results_["mean_test_score"]
        np.testing.assert_array_equal(ours.cv_results_["mean_test_score"], expected[scoring])
        assert ours.best_estimator_.classes_.tolist() == NAMES
        assert ours.score(X, frame) == theirs.score(X, plain)
    # Scorers of scikit-learn's own take numpy's alone.
    for scoring, y in ((None, frame), ("f1_macro", frame.astype(int))):
        theirs = GridSearchCV(net(), grid, cv=3, scoring=scoring).fit(X, y)
        np.testing.assert_allclose(theirs.cv_results_["mean_test_score"], expected[scoring])


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, pd.DataFrame, np.ndarray.tolist])
def test_the_only_label_is_searched_by_its_column(form):
    y, grid = Y[:, :1], {"beta": [0, 0.9, 0.99]}
    ours = StackedGridSearchCV(net(loss="multi_label"), grid, cv=KFold(3)).fit(X, form(y))
    theirs = GridSearchCV(net(loss="multi_label"), grid, cv=KFold(3)).fit(X, y)
    assert ours.n_fallback_fits_ == 0
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], atol=0.01
    )
    assert ours.score(X, form(y)) == pytest.approx(theirs.score(X, y), abs=0.01)


def test_what_is_split_off_has_no_strata():
    split = ValidSplit(5, stratified=True)
    for y in (Y, sp.csr_array(Y), UNKNOWN):
        with pytest.raises(ValueError, match=r"^train_split must not be stratified .* several"):
            net(train_split=split).fit(X, y)
    assert net(train_split=split).fit(X, Y[:, 0]).history[-1]["valid_loss"] > 0


@pytest.mark.parametrize("name", [np.nan, None, (1, 2), "noir", 7, pd.Timestamp("2020")])
def test_columns_have_any_name(name):
    frame = pd.DataFrame(Y, columns=["war", "epic", name, 2.5])
    one = net(max_epochs=1).fit(X, frame)
    assert one.score(X, frame) == one.score(X, Y)
    with pytest.raises(ValueError, match="^y must have the columns of the known labels, in "):
        one.score(X, frame.iloc[:, [0, 2, 1, 3]])


def test_a_number_of_folds_needs_no_known_labels():
    grid = {"beta": [0, 0.99]}
    scoring = make_shot_scorer(UNKNOWN, shot="many", score="f1")
    for score in (None, scoring):
        searches = (
            StackedGridSearchCV(net(), grid, cv=3, scoring=score),
            StackedGridSearchCV(net(), grid, cv=KFold(3), scoring=score),
            GridSearchCV(net(), grid, cv=KFold(3), scoring=score),
        )
        scores = [one.fit(X, UNKNOWN).cv_results_["mean_test_score"] for one in searches]
        np.testing.assert_array_equal(scores[0], scores[1])
        np.testing.assert_allclose(scores[0], scores[2])
        assert scores[0].min() > 0


def test_what_pandas_misses_is_not_known_to_a_search():
    frame = pd.DataFrame(UNKNOWN).astype("Int64")
    grid, cv = {"beta": [0, 0.99]}, KFold(3)
    ours = StackedGridSearchCV(net(), grid, cv=cv).fit(X, frame)
    theirs = StackedGridSearchCV(net(), grid, cv=cv).fit(X, UNKNOWN)
    np.testing.assert_array_equal(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"]
    )


def test_pairs_of_gamma_are_stacked():
    grid = {"beta": [0, 0.9], "gamma": [0, 1.5, (4, 0), (2, 1)]}
    ours = StackedGridSearchCV(net(), grid, cv=3, max_stack=24).fit(X, Y)
    theirs = GridSearchCV(net(), grid, cv=3).fit(X, Y)
    assert ours.n_fallback_fits_ == 0
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], atol=0.01
    )


def test_probabilities_out_of_folds():
    proba = cross_val_predict(net(), X, Y, method="predict_proba", cv=3)
    assert proba.shape == Y.shape


def test_chunks_add_up():
    names = pd.DataFrame(Y, columns=NAMES)
    one = net(max_epochs=1)
    one.partial_fit(X[:0], names[:0], classes=NAMES)
    one.partial_fit(X[:3], 0 * names[:3])  # of labels that were told, none need be there yet
    one = net(max_epochs=1).partial_fit(X[:0], names[:0], classes=NAMES)
    for start in (0, 100, 200):
        one.partial_fit(X[start : start + 100], names[start : start + 100])
    np.testing.assert_array_equal(one.class_count_, net().fit(X, Y).class_count_)
    assert one.classes_.tolist() == NAMES
    torch.testing.assert_close(
        one.criterion_.weight,
        ClassBalancedMultiLabelLoss.from_labels(torch.from_numpy(Y), beta=0.99).float().weight,
    )


def test_labels_may_be_named_beside_the_data():
    one = net(classes=NAMES).fit(X, Y)
    assert one.classes_.tolist() == NAMES
    with pytest.raises(ValueError, match="in their order, got 'war' in the place of 'drama'"):
        net(classes=sorted(NAMES)).fit(X, pd.DataFrame(Y, columns=NAMES))
    with pytest.raises(ValueError, match="classes must name each label once, got 'war' twice"):
        net(classes=["war", *NAMES[:3]]).fit(X, Y)
    with pytest.raises(ValueError, match="for each of the 3 known labels, got 4"):
        net(classes=NAMES[:3]).fit(X, Y)
    for unnamed in (4, "abcd", set(NAMES), dict.fromkeys(NAMES, 5), [[name] for name in NAMES]):
        with pytest.raises(ValueError, match="^classes must list a name for each label, got "):
            net(classes=unnamed).fit(X, Y)
    for mixed in ([None, "war", 1, 2.5], [("war", 1), ("war", 2), ("epic", 1), ("epic", 2)]):
        assert net(classes=mixed).fit(X, Y).classes_.tolist() == mixed


def test_copies_and_files(fitted, tmp_path):
    assert_same(pickle.loads(pickle.dumps(fitted)), fitted)
    assert_same(copy.deepcopy(fitted), fitted)
    assert not hasattr(clone(fitted), "class_count_")
    path = tmp_path / "parameters.safetensors"
    fitted.save_params(f_params=path, use_safetensors=True)
    other = net(
        loss="multi_label", classes=[0, 1, 2, 3], module__n_features=8, module__n_classes=4
    )
    other.initialize().load_params(f_params=path, use_safetensors=True)
    np.testing.assert_array_equal(other.predict(X), fitted.predict(X))


def test_a_training_that_was_cut_off_goes_on(tmp_path, monkeypatch):
    class Stop(Exception):
        pass

    write = TrainingCheckpoint.on_epoch_end

    def write_and_stop(callback, net, **kwargs):
        write(callback, net, **kwargs)
        if len(net.history) == 3:
            raise Stop

    how = {"max_epochs": 6, "early_stopping": True}
    with monkeypatch.context() as patch:
        patch.setattr(TrainingCheckpoint, "on_epoch_end", write_and_stop)
        with pytest.raises(Stop):
            net(callbacks=[TrainingCheckpoint(tmp_path)], **how).fit(X, Y)
    resumed = net(callbacks=[TrainingCheckpoint(tmp_path)], **how).fit(X, Y)
    assert_same(resumed, net(**how).fit(X, Y))


def test_verbose_tells_of_labels(capsys):
    net(verbose=1, max_epochs=1).fit(X, np.pad(Y, ((0, 0), (0, 1))))
    said = capsys.readouterr().out
    assert "300 samples of 4 labels of" in said
    assert "loss multi_label, beta 0.99, gamma 0; no samples of 4.\n" in said


# ------------------------------------------------------------------ Datasets


class Bare(Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, row):
        return torch.from_numpy(X[row]), torch.from_numpy(Y[row])


class Listing(Bare):
    targets = Y


class Transformed(Bare):
    targets = 1 - Y

    @staticmethod
    def target_transform(row):
        return 1 - row


TENSORS = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y).float())


DATASETS = {
    "tensors": TENSORS,
    "bare": Bare(),
    "listing": Listing(),
    "transformed": Transformed(),
    "subset": Subset(ConcatDataset([TENSORS, Listing()]), range(300)),
    "concat": ConcatDataset([Subset(TENSORS, range(100)), Subset(Bare(), range(100, 300))]),
}
each_dataset = pytest.mark.parametrize("dataset", DATASETS.values(), ids=DATASETS)


@each_dataset
def test_a_dataset_holds_them(dataset, fitted):
    sizes = {"module__n_features": 8, "module__n_classes": 4}
    one = net(loss="multi_label", **sizes).fit(dataset)
    np.testing.assert_array_equal(one.class_count_, fitted.class_count_)
    np.testing.assert_allclose(
        one.decision_function(X), fitted.decision_function(X), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", [np.int64, np.uint8, bool, np.float32])
def test_a_dataset_validates_in_any_type(kind):
    target = torch.from_numpy(Y.astype(kind))
    dataset = TensorDataset(torch.from_numpy(X), target)
    sizes = {"module__n_features": 8, "module__n_classes": 4, "loss": "multi_label"}
    one = net(**sizes).fit(dataset, X_val=dataset)
    two = net(**sizes, early_stopping=True, validation_fraction=0.3).fit(dataset)
    known = net(**sizes).fit(TENSORS, X_val=TENSORS)
    assert one.history_[:, "valid_loss"] == pytest.approx(known.history_[:, "valid_loss"])
    assert 0 < two.history_[-1, "valid_f1_macro"] < 1


def test_labels_beside_a_dataset_are_those_it_yields(fitted):
    sizes = {"module__n_features": 8, "module__n_classes": 4}
    for dataset in (TENSORS, Bare()):
        for y in (Y, sp.csr_array(Y)):
            one = net(**sizes).fit(dataset, y)
            np.testing.assert_array_equal(one.class_count_, fitted.class_count_)
            with pytest.raises(ValueError, match="must yield the targets that are passed beside"):
                net(**sizes).fit(dataset, 1 - Y)
    other = Y.copy()
    other[200, 0] ^= 1
    with pytest.raises(ValueError, match="must yield the targets that are passed beside it"):
        net(**sizes).fit(TENSORS, other)


@each_dataset
def test_searches_take_a_dataset_that_holds_them(dataset):
    features, y = features_and_labels(dataset)
    np.testing.assert_array_equal(y, Y)
    how, grid = {"cv": 3, "scoring": "f1_macro"}, {"beta": [0, 0.99]}
    expected = GridSearchCV(net(), grid, **how).fit(X, Y).cv_results_["mean_test_score"]
    ours = StackedGridSearchCV(net(loss="multi_label"), grid, **how)
    theirs = GridSearchCV(net(), grid, **how)
    for search in (ours.fit(dataset), ours.fit(dataset, Y), theirs.fit(features, y)):
        np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected, rtol=1e-6)
        assert search.best_estimator_.predict(features).shape == Y.shape


def test_a_search_over_losses_takes_a_dataset_that_holds_them():
    model = make_pipeline(net())
    grid = [{"cbneuralnetclassifier__loss": ["multi_label"]}]
    search = StackedGridSearchCV(model, grid, cv=3).fit(TENSORS)
    assert search.best_estimator_.predict(SliceDataset(TENSORS)).shape == Y.shape


def test_a_search_over_a_dataset_is_told_of_others():
    message = "^A Dataset's rows must yield the targets that"
    search = StackedGridSearchCV(net(loss="multi_label"), {"beta": [0]}, cv=3)
    with pytest.raises(ValueError, match=message):
        search.fit(TENSORS, 1 - Y)
    one_label = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y[:, 0]))
    search = StackedGridSearchCV(net(), {"beta": [0]}, cv=3)
    with pytest.raises(ValueError, match=message):
        search.fit(one_label, 1 - Y[:, 0])
    assert search.fit(one_label, Y[:, 0]).best_estimator_.predict(X).shape == (300,)
    theirs = GridSearchCV(net(loss="multi_label"), {"beta": [0]}, cv=3, error_score="raise")
    for y in (None, Y):
        with pytest.raises(ValueError, match=r"search with X, y = .*features_and_labels"):
            theirs.fit(TENSORS, y)


class Lists(Bare):
    """Yields what no batch can be made of."""

    def __init__(self, rows=None):
        self.rows = Y.tolist() if rows is None else rows

    def __getitem__(self, row):
        return X[row], self.rows[row]


def test_rows_must_be_such_that_make_a_batch():
    sizes = {"module__n_features": 8, "module__n_classes": 4}
    message = "^A Dataset must yield targets as numbers, arrays or tensors, .* got lists"
    own = {"criterion": nn.BCEWithLogitsLoss, "beta": None}
    for one, data in (
        (net(loss="multi_label", **sizes), (Lists(),)),
        (net(**sizes, **own), (Lists(), Y)),
    ):
        with pytest.raises(ValueError, match=message):
            one.fit(*data)
    with pytest.raises(ValueError, match=message):
        net().fit(X, Y, X_val=Lists())
    features, y = features_and_labels(Lists())  # where they are put together otherwise
    one = net().fit(features, y)
    np.testing.assert_array_equal(one.class_count_, net().fit(X, Y).class_count_)
    sets = Lists([[0, 1], [2]] * 150)
    for call in (net(loss="multi_label", **sizes).fit, features_and_labels):
        with pytest.raises(ValueError, match=r"^A Dataset's targets .*MultiLabelBinarizer"):
            call(sets)


def test_rows_that_are_read_one_by_one(fitted):
    for y in (Y, sp.csr_array(Y), pd.DataFrame(Y)):
        assert_same(net().fit(SliceDataset(TENSORS), y), fitted)


def test_a_dataset_must_yield_rows_of_labels():
    positions = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y[:, 0]))
    with pytest.raises(ValueError, match=r"^A Dataset's targets must be rows of 0 and 1 .*\(300"):
        net(loss="multi_label").fit(positions)
    wrong = Listing()
    wrong.targets = 1 - Y
    with pytest.raises(ValueError, match="must yield the targets that it lists, got another"):
        net(loss="multi_label").fit(wrong)


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y + 1, "y must hold 0 and 1, a column for each label, got 2"),
        (Y * 0.5, "y must hold 0 and 1, a column for each label, got 0.5"),
        (sp.csr_array(Y * 3), "y must hold 0 and 1, a column for each label, got 3"),
        (Y.astype(str), "y must hold 0 and 1, a column for each label, got '?[01]|got values"),
        (Y[:200], "X and y must have the same number of samples, got 300 and 200"),
        (pd.DataFrame(Y, columns=["a", "b", "a", "c"]), "y must name each label once, got 'a'"),
        (np.zeros_like(Y), "needs a label that some samples have and others have not, got 4"),
        ([[0, 1], [1]] * 150, "MultiLabelBinarizer"),
        (
            Y[:, :, None],
            r"^y must hold one label a sample, or a column .* shape \(300, 4, 1\)",
        ),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        net().fit(X, y)


@pytest.mark.parametrize(
    ("parameters", "y", "message"),
    [
        ({"loss": "softmax"}, Y, "^loss must be 'multi_label', or None, which takes it"),
        ({"loss": "multi_label"}, Y[:, 0], "^y must have a column for each label"),
        ({"gamma": (1, 2, 3)}, Y, "^gamma must be a number, or two"),
        ({"gamma": (1, 2)}, Y[:, 0], "^gamma must be a finite number"),
        ({"criterion__label_prior": 1}, Y, r"^criterion__\* must be one of .*multi_label"),
        ({"criterion__class_prior": 1}, Y, r"^criterion__\* must be one of .*multi_label"),
    ],
)
def test_bad_parameters(parameters, y, message):
    with pytest.raises(ValueError, match=message):
        net(**parameters).fit(X, y)


def test_a_loss_of_labels_is_none_of_classes():
    change = LossChange(2, loss="multi_label")
    with pytest.raises(ValueError, match="^loss must be one for y with one label a sample"):
        net(callbacks=[change]).fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="^loss must be 'multi_label', or None"):
        net(callbacks=[LossChange(2, loss="focal")]).fit(X, Y)
    with pytest.raises(ValueError, match="MultiLabelBinarizer"):
        ClassBalancedMultiLabelLoss.from_labels([[0], [1, 2]])
    multi_hot = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    with pytest.raises(ValueError, match="several labels a sample need loss='multi_label'"):
        net().fit(multi_hot)


def test_kinds_of_labels_do_not_change(fitted):
    one = copy.deepcopy(fitted)
    with pytest.raises(ValueError, match="^y must hold a column for each label, as when"):
        one.partial_fit(X, Y[:, 0])
    with pytest.raises(ValueError, match="for each of the 4 known labels, got 3"):
        one.partial_fit(X, Y[:, :3])
    with pytest.raises(ValueError, match=r"^y must say of some sample .*, got only NaN\.$"):
        net().partial_fit(X, Y * np.nan, classes=NAMES)
    assert_same(one, fitted)
    with pytest.raises(ValueError, match="^y must hold one label a sample, as when"):
        net().fit(X, Y[:, 0]).partial_fit(X, Y[:, :2])
    with pytest.raises(ValueError, match="^In the validation data: y must have a column for"):
        net().fit(X, Y, X_val=X, y_val=Y[:, 0])
    again = copy.deepcopy(fitted).fit(X, Y[:, 0])  # a fit begins anew
    assert again.predict(X).shape == (300,)
    assert_same(again.fit(X, Y), fitted)
