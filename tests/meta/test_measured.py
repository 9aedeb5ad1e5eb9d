"""What weighs in a way that the table does not know is measured."""

import warnings

import numpy as np
import pytest
import sklearn
from sklearn.base import clone
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.fixes import parse_version

from sk_cbloss import (
    ClassBalancedClassifier,
    ConformalClassifierCV,
    DecisionClassifierCV,
    LogitAdjustedClassifier,
    MiscalibratedPriorWarning,
    PriorCorrectedClassifier,
    make_long_tailed_classification,
)
from sk_cbloss.meta import _out_of_fold
from sk_cbloss.meta._measured import N_ROWS, some_rows

WRAPPERS = [
    PriorCorrectedClassifier,
    LogitAdjustedClassifier,
    ConformalClassifierCV,
    DecisionClassifierCV,
]


class Secret(DecisionTreeClassifier):
    """Weigh the classes by a parameter that nobody has heard of."""

    def __init__(self, evenness=1):
        super().__init__(max_depth=3, random_state=0)
        self.evenness = evenness

    def fit(self, X, y, sample_weight=None):
        weight = np.ones(len(y)) if sample_weight is None else sample_weight
        count = np.unique(y, return_counts=True)[1]
        scale = (len(y) / count) ** self.evenness
        return super().fit(X, y, weight * scale[np.searchsorted(np.unique(y), y)])


@pytest.fixture(scope="module")
def data():
    return make_long_tailed_classification(4000, n_classes=3, random_state=0)


MESSAGE = (
    r"^The natural probabilities of \w+ average to 0\.\d+ for class \d, whose share is 0\.\d+: "
    "more than sampling explains"
)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_an_unknown_way_of_weighing_is_measured(data, wrapper):
    X, y = data
    with pytest.warns(MiscalibratedPriorWarning, match=MESSAGE) as seen:
        wrapper(Secret()).fit(X, y)
    assert seen[0].filename == __file__
    own = np.full(len(y), 0.02)
    with pytest.warns(MiscalibratedPriorWarning, match=MESSAGE):
        wrapper(Secret()).fit(X, y, own)


def test_the_weighing_wrapper_warns_where_natural_probabilities_are_asked_for(data):
    X, y = data
    twice = ClassBalancedClassifier(Secret(), beta=1).fit(X, y)
    twice.predict(X)
    twice.predict_proba(X)
    with pytest.warns(MiscalibratedPriorWarning, match=MESSAGE) as seen:
        twice.predict_natural_proba(X)
    assert seen[0].filename == __file__
    for beta in (0, 1):
        known = ClassBalancedClassifier(Secret(evenness=0), beta=beta).fit(X, y)
        known.predict_natural_proba(X)


def test_both_numbers_are_those_of_the_training_data(data):
    X, y = data
    X, y = X[:900], y[:900]
    with pytest.warns(MiscalibratedPriorWarning) as seen:
        model = PriorCorrectedClassifier(Secret()).fit(X, y)
    mean = model.predict_proba(X).mean(axis=0)
    share = np.bincount(y) / len(y)
    worst = np.argmax(abs(mean - share) / np.sqrt(share * (1 - share)))  # in standard errors
    numbers = f"to {mean[worst]:.3g} for class {worst}, whose share is {share[worst]:.3g}:"
    assert numbers in str(seen[0].message)


def test_a_frozen_classifier_that_learned_in_another_world_is_measured(data):
    X, y = data
    even = np.concatenate([np.flatnonzero(y == c)[:30] for c in range(3)])
    frozen = FrozenEstimator(LogisticRegression().fit(X[even], y[even]))
    for wrapper in WRAPPERS:
        with pytest.warns(MiscalibratedPriorWarning):
            wrapper(frozen).fit(X, y)


FORESTS_AND_BOOSTING = [
    RandomForestClassifier(30, random_state=0),
    RandomForestClassifier(30, min_samples_leaf=5, random_state=0),
    ExtraTreesClassifier(30, random_state=0),
    DecisionTreeClassifier(random_state=0),
    HistGradientBoostingClassifier(max_iter=100, random_state=0),
    HistGradientBoostingClassifier(max_iter=10, learning_rate=0.3, random_state=0),
    GradientBoostingClassifier(n_estimators=20, random_state=0),
    LogisticRegression(max_iter=1000),
]


@pytest.mark.slow
@pytest.mark.parametrize("n_classes", [2, 6])
@pytest.mark.parametrize("estimator", FORESTS_AND_BOOSTING, ids=lambda e: type(e).__name__)
def test_overfitting_alone_is_no_way_of_weighing(estimator, n_classes):
    """Neither on the rows it was fitted to, where it is sure of itself, nor out of fold."""
    X, y = make_long_tailed_classification(1500, n_classes=n_classes, random_state=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", MiscalibratedPriorWarning)
        PriorCorrectedClassifier(clone(estimator)).fit(X, y)
        DecisionClassifierCV(clone(estimator), cv=2).fit(X, y)


FULL_FOREST = ClassBalancedClassifier(RandomForestClassifier(30, random_state=0), beta=1)


def test_weights_that_a_full_forest_hardly_feels_are_undone_too_far(data):
    with pytest.warns(MiscalibratedPriorWarning, match=MESSAGE):
        DecisionClassifierCV(FULL_FOREST, cv=3).fit(*data)


@pytest.mark.skipif(
    parse_version(sklearn.__version__) < parse_version("1.9"),
    reason="before 1.9, forests drew samples without their weights, and it shows here, too",
)
def test_on_rows_that_a_full_forest_knows_this_does_not_show(data):
    PriorCorrectedClassifier(FULL_FOREST).fit(*data)


def test_a_row_that_is_left_out_often_counts_once(data, monkeypatch):
    X, y = data
    splits, measured = list(StratifiedKFold(3).split(X, y)), []
    monkeypatch.setattr(
        _out_of_fold, "miss_of", lambda estimator, p, y, *rest: measured.append((p, y))
    )
    for cv in (splits, 4 * splits):
        DecisionClassifierCV(Secret(0), cv=cv).fit(X, y)
    (once, labels), (often, again) = measured
    np.testing.assert_allclose(often, once)
    np.testing.assert_array_equal(labels, y)
    np.testing.assert_array_equal(again, y)


def test_rows_without_weight_say_nothing():
    X, y = make_long_tailed_classification(20 * N_ROWS, n_classes=2, random_state=0)
    weight = np.zeros(len(y))
    weight[[np.flatnonzero(y == 0)[0], np.flatnonzero(y == 1)[0]]] = 1
    assert not some_rows(X, y, weight)[2].any()
    PriorCorrectedClassifier(Secret()).fit(X, y, weight)


def test_rows_that_cannot_be_picked_out_are_not_measured():
    y = np.zeros(N_ROWS + 1)
    assert some_rows({"x": y}, y, None) is None
    X, labels, weight = some_rows(np.arange(len(y))[:, None], y, np.arange(len(y)))
    assert len(X) == len(labels) == len(weight) == N_ROWS
    np.testing.assert_array_equal(X[:, 0], weight)
    assert some_rows(y, y[:3], None)[0] is y
