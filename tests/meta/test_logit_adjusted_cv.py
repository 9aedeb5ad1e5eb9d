import itertools
import warnings

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, GroupKFold, StratifiedKFold, cross_validate
from sklearn.svm import LinearSVC
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_cbloss import (
    ClassBalancedClassifier,
    LogitAdjustedClassifier,
    LogitAdjustedClassifierCV,
    MacroF1Classifier,
    PriorCorrectedClassifier,
    load_digits_lt,
    make_long_tailed_classification,
    make_shot_scorer,
)

X, Y = load_digits_lt(return_X_y=True)
X = X / 16
TAUS = [0, 0.5, 1, 1.5]
FOLDS = list(StratifiedKFold(2).split(X, Y))


class Counting(LogisticRegression):
    """Count the fits of all copies."""

    n_fits = 0

    def fit(self, X, y, sample_weight=None):
        Counting.n_fits += 1
        return super().fit(X, y, sample_weight)


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "f1_macro", "neg_log_loss"])
@pytest.mark.parametrize("beta", [0, 0.99])
def test_it_is_the_grid_search_without_its_fits(scoring, beta):
    estimator = ClassBalancedClassifier(Counting(max_iter=1000), beta=beta)
    folds = StratifiedKFold(3)
    Counting.n_fits = 0
    model = LogitAdjustedClassifierCV(
        estimator, taus=TAUS, prior_betas=[0.9, 1], scoring=scoring, cv=folds
    ).fit(X, Y)
    assert Counting.n_fits == 4
    search = GridSearchCV(
        LogitAdjustedClassifier(estimator),
        {"prior_beta": [0.9, 1], "tau": TAUS},
        scoring=scoring,
        cv=folds,
    ).fit(X, Y)
    for key in ("mean_test_score", "std_test_score", "split2_test_score"):
        np.testing.assert_allclose(model.cv_results_[key], search.cv_results_[key], rtol=1e-9)
    assert {"tau": model.tau_, "prior_beta": model.prior_beta_} == search.best_params_
    assert model.best_score_ == pytest.approx(search.best_score_)
    assert model.cv_results_["rank_test_score"][model.cv_results_["param_tau"] == 0].shape == (2,)
    np.testing.assert_array_equal(model.predict(X), search.predict(X))
    np.testing.assert_allclose(model.predict_proba(X), search.predict_proba(X), rtol=1e-9)


def test_it_gains_where_the_test_part_is_balanced():
    X_test, y_test = load_digits_lt("test", return_X_y=True)
    plain = LogisticRegression(max_iter=1000).fit(X, Y)
    adjusted = LogitAdjustedClassifierCV(plain).fit(X, Y)
    scores = [balanced_accuracy_score(y_test, m.predict(X_test / 16)) for m in (adjusted, plain)]
    assert adjusted.tau_ > 0
    assert scores[0] > scores[1] + 0.02


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_a_fold_without_the_rarest_class():
    y = np.where(np.arange(len(Y)) == 5, "rarest", Y.astype(str))
    model = LogitAdjustedClassifierCV(LogisticRegression(max_iter=1000), cv=2, taus=[0, 1])
    with pytest.warns(UserWarning, match="The least populated class"):
        model.fit(X, y)
    assert model.predict_proba(X).shape == (len(X), 11)


def test_own_weights_and_scorers():
    own = np.random.default_rng(0).uniform(0.5, 2, len(Y))
    scorer = make_scorer(balanced_accuracy_score, adjusted=True)
    model = LogitAdjustedClassifierCV(LogisticRegression(max_iter=1000), scoring=scorer, cv=2)
    model.fit(X, Y, sample_weight=own.tolist())
    np.testing.assert_allclose(model.class_count_.sum(), own.sum())


def test_own_weights_reach_the_folds():
    own = np.where(Y == 0, 0.01, 1.0)
    folds = StratifiedKFold(3)
    plain = LogisticRegression(max_iter=1000)
    weighted = LogitAdjustedClassifierCV(plain, cv=folds).fit(X, Y, own)
    by_hand = [
        balanced_accuracy_score(
            Y[test], plain.fit(X[train], Y[train], own[train]).predict(X[test])
        )
        for train, test in folds.split(X, Y)
    ]
    assert weighted.cv_results_["mean_test_score"][0] == pytest.approx(np.mean(by_hand))
    one_for_all = LogitAdjustedClassifierCV(plain, cv=folds).fit(X, Y, sample_weight=2.0)
    assert one_for_all.class_count_.sum() == 2 * len(Y)


def test_folds_without_a_score_are_left_out():
    """As where a fold has no class with few samples."""
    scorer = make_shot_scorer(np.where(Y == 9, 9, 0), shot="few")
    folds = [(np.arange(len(Y)), np.flatnonzero(Y < 9)), (np.arange(len(Y)), np.arange(len(Y)))]
    labels = np.where(Y == 9, 9, 0)
    model = LogitAdjustedClassifierCV(
        LogisticRegression(max_iter=1000), scoring=scorer, cv=folds
    ).fit(X, labels)
    assert np.isfinite(model.best_score_)
    assert model.tau_ in model.taus
    with pytest.raises(ValueError, match="^scoring must give a number in some fold"):
        LogitAdjustedClassifierCV(
            LogisticRegression(max_iter=1000), scoring=scorer, cv=folds[:1]
        ).fit(X, labels)


def test_a_score_that_is_nan_for_some_values_is_left_out():
    """A mean that is NaN would be taken for the largest."""

    calls = itertools.count()

    def score(estimator, X, y):
        accuracy = (estimator.predict(X) == y).mean()
        return np.nan if len(X) == 50 and next(calls) % 2 else accuracy

    folds = [(np.arange(len(Y)), np.arange(50)), (np.arange(len(Y)), np.arange(len(Y)))]
    plain = LogisticRegression(max_iter=1000)
    model = LogitAdjustedClassifierCV(plain, scoring=score, cv=folds).fit(X, Y)
    only = LogitAdjustedClassifierCV(plain, scoring=score, cv=folds[1:]).fit(X, Y)
    assert model.best_score_ == only.best_score_
    assert model.tau_ == only.tau_


def test_a_frozen_classifier_is_not_fitted_again():
    Counting.n_fits = 0
    frozen = FrozenEstimator(Counting(max_iter=1000).fit(X, Y))
    LogitAdjustedClassifierCV(frozen, cv=2).fit(X, Y)
    assert Counting.n_fits == 1


@pytest.mark.parametrize("wrapper", [LogitAdjustedClassifierCV, MacroF1Classifier])
def test_what_a_frozen_classifier_does_not_learn_from_does_not_matter(wrapper):
    """A class may be missing there."""
    frozen = FrozenEstimator(LogisticRegression(max_iter=1000).fit(X, Y))
    every = np.arange(len(Y))
    whole, lacking = (
        wrapper(frozen, cv=[(rows, every)]).fit(X, Y) for rows in (every, every[Y < 9])
    )
    assert lacking.best_score_ == whole.best_score_
    np.testing.assert_array_equal(lacking.predict(X), whole.predict(X))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"taus": []}, r"taus must list at least one number, got \[\]"),
        ({"taus": 1}, "taus must list at least one number, got 1"),
        ({"taus": np.array(1.0)}, "taus must list at least one number, got array"),
        ({"taus": (tau for tau in TAUS)}, "taus must list at least one number, got <generator"),
        ({"taus": [-1]}, "each of taus must be a finite number >= 0, got -1"),
        ({"taus": [0, "a"]}, "each of taus must be a finite number >= 0, got 'a'"),
        ({"prior_betas": [2]}, r"each of prior_betas must be a number in \[0, 1\], got 2"),
        ({"scoring": "foo"}, "The 'scoring' parameter of check_scoring must be"),
        ({"scoring": ["f1_macro"]}, r"scoring must name one .* callable, got \['f1_macro'\]"),
        ({"scoring": 5}, "scoring must name one score or be callable, got 5"),
        ({"cv": "a"}, "Expected `?cv`? as an integer"),
        ({"cv": 1}, "k-fold cross-validation requires at least one train/test split"),
        ({"cv": 129}, "n_splits=129 cannot be greater than the number of"),
        ({"cv": []}, "cv must yield at least one split, got none"),
    ],
)
def test_bad_values_are_named_before_any_fit(parameters, message):
    Counting.n_fits = 0
    with pytest.raises(ValueError, match=f"^{message}"):
        LogitAdjustedClassifierCV(Counting(), **parameters).fit(X, Y)
    assert Counting.n_fits == 0


@pytest.mark.parametrize("parameters", [{"scoring": None}, {"taus": {0, 1}}, {"cv": iter(FOLDS)}])
def test_unusual_values(parameters):
    model = LogitAdjustedClassifierCV(LogisticRegression(), **{"cv": 2} | parameters).fit(X, Y)
    assert model.tau_ in model.taus


def test_a_classifier_without_probabilities():
    with pytest.raises(TypeError, match="^estimator must have predict_proba, got LinearSVC"):
        LogitAdjustedClassifierCV(LinearSVC()).fit(X, Y)


def test_clone():
    model = LogitAdjustedClassifierCV(LogisticRegression(), taus=(1,), cv=2)
    assert clone(model).get_params()["taus"] == (1,)


@parametrize_with_checks(
    [LogitAdjustedClassifierCV(LogisticRegression(), cv=2)],
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# ------------------------------------------------------------------ groups, jobs, failed scores

CROSS_FITTED = [LogitAdjustedClassifierCV, MacroF1Classifier]


@pytest.fixture(scope="module")
def sites():
    """Return two classes at eight sites, of which each has both."""
    X, y = make_long_tailed_classification(800, n_classes=2, imbalance_factor=3, random_state=0)
    return X, y, np.arange(len(y)) % 8


@pytest.mark.parametrize("wrapper", CROSS_FITTED)
def test_groups_are_kept_together(sites, wrapper):
    X, y, groups = sites
    splits = list(GroupKFold(4).split(X, y, groups))
    expected = wrapper(LogisticRegression(), cv=splits).fit(X, y)
    model = wrapper(LogisticRegression(), cv=GroupKFold(4)).fit(X, y, groups=groups)
    assert model.best_score_ == expected.best_score_
    with pytest.raises(ValueError, match="groups"):
        wrapper(LogisticRegression(), cv=GroupKFold(4)).fit(X, y)


@pytest.mark.parametrize("wrapper", CROSS_FITTED)
def test_groups_are_routed_to_the_splitter(sites, wrapper):
    X, y, groups = sites
    model = wrapper(LogisticRegression(), cv=GroupKFold(3))
    with config_context(enable_metadata_routing=True):
        fitted = cross_validate(
            model,
            X,
            y,
            cv=GroupKFold(2),
            params={"groups": groups},
            return_estimator=True,
            error_score="raise",
        )["estimator"]
        direct = clone(model).fit(X, y, groups=groups)
    for one, (train, _) in zip(fitted, GroupKFold(2).split(X, y, groups), strict=True):
        expected = clone(model).fit(X[train], y[train], groups=groups[train])
        assert one.best_score_ == expected.best_score_
    assert direct.best_score_ == clone(model).fit(X, y, groups=groups).best_score_


@pytest.mark.parametrize("wrapper", CROSS_FITTED)
def test_jobs_change_nothing(sites, wrapper):
    X, y, _ = sites
    serial, parallel = (
        wrapper(LogisticRegression(), cv=3, n_jobs=n_jobs).fit(X, y, np.linspace(1, 2, len(y)))
        for n_jobs in (None, 2)
    )
    assert serial.best_score_ == parallel.best_score_
    np.testing.assert_array_equal(serial.predict(X), parallel.predict(X))


@pytest.mark.parametrize("scoring", ["neg_log_loss", "neg_brier_score", "roc_auc_ovr"])
def test_a_score_that_fails_where_a_fold_lacks_a_class_is_nan(scoring):
    y = np.minimum(Y, 2)
    lacking = np.flatnonzero(y < 2)[:60], np.flatnonzero(y == 2)[:5]
    cv = [lacking, *StratifiedKFold(2).split(X, y)]
    model = LogitAdjustedClassifierCV(LogisticRegression(), taus=TAUS, scoring=scoring, cv=cv)
    grid = {"tau": TAUS}
    search = GridSearchCV(
        LogitAdjustedClassifier(LogisticRegression()), grid, scoring=scoring, cv=cv
    )
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model.fit(X, y)
        told = any("Scoring failed" in str(w.message) for w in seen)
        search.fit(X, y)
    for split in ("split0_test_score", "split1_test_score"):
        np.testing.assert_allclose(model.cv_results_[split], search.cv_results_[split], rtol=1e-9)
    if scoring == "neg_log_loss":
        assert told
        assert np.isnan(model.cv_results_["split0_test_score"]).all()
    assert np.isfinite(model.best_score_)


@pytest.mark.parametrize("wrapper", CROSS_FITTED)
def test_a_fold_without_weight_is_named_before_any_fit(wrapper):
    Counting.n_fits = 0
    message = "^sample_weight must not be 0 for every sample that a fold trains on, got only zeros"
    with pytest.raises(ValueError, match=message):
        wrapper(Counting(), cv=2).fit(X, Y, (np.arange(len(Y)) == 3).astype(float))
    assert Counting.n_fits == 0


@pytest.mark.parametrize(
    "wrapper", [*CROSS_FITTED, PriorCorrectedClassifier, LogitAdjustedClassifier]
)
def test_a_fit_that_fails_loses_nothing(wrapper):

    class Failing(LogisticRegression):
        fails = False

        def predict_proba(self, X):
            if Failing.fails:
                raise RuntimeError("no answer")
            return super().predict_proba(X)

    model = wrapper(Failing(max_iter=1000))
    Failing.fails = True
    with pytest.raises(RuntimeError, match="no answer"):
        model.fit(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)
    Failing.fails = False
    before = model.fit(X, Y).predict(X)
    Failing.fails = True
    with pytest.raises(RuntimeError, match="no answer"):
        model.fit(X[:, :9], Y == 0)
    Failing.fails = False
    np.testing.assert_array_equal(model.predict(X), before)
