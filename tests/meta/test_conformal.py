import itertools
import math
import pickle
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    ShuffleSplit,
    cross_validate,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from sk_cbloss import (
    ClassBalancedClassifier,
    ConformalClassifierCV,
    PriorCorrectedClassifier,
    load_digits_lt,
    set_coverage_score,
)
from sk_cbloss.meta import _conformal
from sk_cbloss.meta._conformal_scores import TIE, Calibration, thresholds

METHODS = ["prevalence_adjusted", "plain", "classwise", "interpolated"]
every_method = pytest.mark.parametrize("method", METHODS)


class Given(ClassifierMixin, BaseEstimator):
    """A classifier that is fitted from the start: X holds its probabilities."""

    def __init__(self, classes=(0, 1, 2)):
        self.classes = classes

    @property
    def classes_(self):
        return np.array(self.classes)

    def fit(self, X, y):
        pytest.fail("What is given was fitted.")

    def __sklearn_is_fitted__(self):
        return True

    def predict_proba(self, X):
        return np.asarray(X)

    def predict(self, X):
        return self.classes_[np.asarray(X).argmax(axis=1)]


def draw(seed, n, share=(0.7, 0.2, 0.1), sharp=2.0):
    """Return probabilities that are not quite right, and labels, of exchangeable rows."""
    rng = np.random.default_rng(seed)
    y = rng.choice(len(share), size=n, p=share)
    logits = rng.normal(size=(n, len(share))) + sharp * np.eye(len(share))[y] + np.log(share)
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True), y


def prefit(**parameters):
    return ConformalClassifierCV(Given(), **{"cv": "prefit"} | parameters)


@pytest.fixture(scope="module")
def digits():
    (X, y), (X_test, y_test) = (
        load_digits_lt(part, return_X_y=True) for part in ("train", "test")
    )
    return X / 16, y, X_test / 16, y_test


# ------------------------------------------------------------------------------ what is promised


def covered_in_draws(method, confidence, *, n=60, n_draws=1000, n_test=20):
    """Return whether rows of each draw are covered, and their classes, by what holds the sets."""
    covered, classes = [], []
    for seed in range(n_draws):
        p, y = draw([seed, 1], n)
        own = p[np.arange(n), y]
        calibration = Calibration(own, own, y, np.ones(n), None, None)
        least = thresholds(calibration, 3, confidence, method=method, interpolation=0.5)
        p, y = draw([seed, 2], n_test)
        covered.append(p[np.arange(n_test), y] >= least[y])
        classes.append(y)
    return np.array(covered), np.array(classes)


@pytest.mark.parametrize("confidence", [0.7, 0.9])
@every_method
def test_exchangeable_draws_are_covered_as_often_as_is_asked(method, confidence):
    covered, classes = covered_in_draws(method, confidence)
    of_draw = covered.mean(axis=1)
    error = of_draw.std() / np.sqrt(len(of_draw))
    promised = 1 - 2 * (1 - confidence) if method == "interpolated" else confidence
    assert of_draw.mean() > promised - 4 * error
    if method in ("plain", "prevalence_adjusted"):  # and hardly more often
        assert of_draw.mean() < confidence + 1 / 61 + 4 * error
    if method == "classwise":
        for c in range(3):
            rows = classes == c
            in_draw = np.array(
                [h[r].mean() for h, r in zip(covered, rows, strict=True) if r.any()]
            )
            assert in_draw.mean() > confidence - 4 * in_draw.std() / np.sqrt(len(in_draw))


@every_method
def test_draws_that_lack_a_class_are_covered_as_often(method):
    """Half of the draws of 35 rows lack the class of one row in fifty: they are draws, too."""
    share, new = (0.75, 0.23, 0.02), draw(0, 200, (0.75, 0.23, 0.02))
    model, of_draw, n_lacking = prefit(method=method, confidence=0.8), [], 0
    for seed in range(300):
        p, y = draw([seed, 1], 35, share)
        n_lacking += 2 not in y
        sets = model.fit(p, y).predict_set(new[0])
        assert model.classes_.tolist() == [0, 1, 2]
        assert model.class_count_.sum() == 35
        of_draw.append(set_coverage_score(new[1], sets, classes=[0, 1, 2]))
        if method == "classwise":
            assert 2 in y or sets[:, 2].all()  # nothing is known of it
    assert 100 < n_lacking < 200
    promised = 0.6 if method == "interpolated" else 0.8
    # Of draws of the calibration alone: the test rows are the same, and their error remains.
    assert np.mean(of_draw) > promised - 3 * np.sqrt(0.16 / 200)


def test_no_rows_of_a_class_are_rows_without_weight():
    p, y = draw(0, 60)
    labels = np.array(["ant", "bee", "cat"])
    known = FrozenEstimator(Given(("ant", "bee", "cat")))
    for method in METHODS:
        without, weightless = (
            ConformalClassifierCV(known, cv="prefit", method=method) for _ in range(2)
        )
        without.fit(p[y < 2], labels[y[y < 2]])
        weightless.fit(p, labels[y], sample_weight=(y < 2) * 1.0)
        assert without.classes_.tolist() == ["ant", "bee", "cat"]
        np.testing.assert_array_equal(without.class_count_, weightless.class_count_)
        np.testing.assert_array_equal(without.predict_set(p), weightless.predict_set(p))
        assert np.isfinite(without.set_threshold_).all()


def test_plain_sets_fail_the_rare_class_and_adjusted_ones_do_not():
    rare = {}
    for method in ("plain", "prevalence_adjusted"):
        covered, classes = covered_in_draws(method, 0.9, n_draws=300)
        rare[method] = covered[classes == 2].mean()
    assert rare["plain"] < 0.75
    assert rare["prevalence_adjusted"] > 0.85


def bells(seed, n):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.repeat([0, 1, 2], [n - n // 3 - n // 6, n // 3, n // 6]))
    return rng.normal(size=(n, 2)) + np.array([[0, 0], [2, 0], [0, 2]])[y], y


@pytest.mark.parametrize("ensemble", [True, False])
@pytest.mark.parametrize("method", ["plain", "prevalence_adjusted"])
def test_folds_cover_as_often_as_is_asked_although_less_is_promised(method, ensemble):
    of_draw = []
    for seed in range(60):
        X, y = bells([seed, 1], 48)
        model = ConformalClassifierCV(
            GaussianNB(), confidence=0.8, method=method, cv=KFold(4), ensemble=ensemble
        )
        X_test, y_test = bells([seed, 2], 60)
        sets = model.fit(X, y).predict_set(X_test)
        of_draw.append(sets[np.arange(60), y_test].mean())
    assert np.mean(of_draw) > 0.8 - 3 * np.std(of_draw) / np.sqrt(60)


# ---------------------------------------------------------------------- sets written out naively


def naive_rank(scores, own, confidence):
    """Whether a row conforms: not among the share that conforms least, of all and itself."""
    n_worse = int(sum(score <= own * (1 + 1e-12) for score in scores))
    return Fraction(n_worse + 1, len(scores) + 1) > 1 - Fraction(str(confidence))


@pytest.mark.parametrize("n", [8, 9, 19, 33, 60, 99])
@pytest.mark.parametrize("confidence", [0.5, 0.7, 0.9, 0.95, 0.99])
def test_the_threshold_is_the_quantile_of_split_conformal_prediction(n, confidence):
    p, y = draw(0, n)
    own = p[np.arange(n), y]
    place = math.ceil((n + 1) * Fraction(str(confidence)))
    expected = 1 - np.sort(1 - own)[place - 1] if place <= n else 0
    calibration = Calibration(own, own, y, np.ones(n), None, None)
    found = thresholds(calibration, 3, confidence, method="plain", interpolation=0)
    np.testing.assert_allclose(found, expected * (1 - TIE), rtol=1e-9)


@pytest.mark.parametrize("confidence", [0.6, 0.9])
def test_a_row_is_counted_among_the_class_it_is_compared_with(confidence):
    """As by writing each out: among all rows and itself, each class has a share."""
    p, y = draw(1, 40)
    new, _ = draw(2, 60)
    sets = prefit().fit(p, y).predict_set(new, confidence)
    best = (new / np.bincount(y)).argmax(axis=1)
    for row, c in itertools.product(range(60), range(3)):
        share = np.bincount([*y, c])
        scores = p[np.arange(40), y] / share[y]
        expected = naive_rank(scores, new[row, c] / share[c], confidence) or best[row] == c
        assert sets[row, c] == expected


@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.9])
@pytest.mark.parametrize("n_folds", [2, 3])
@pytest.mark.parametrize("method", ["prevalence_adjusted", "plain", "classwise"])
def test_half_of_the_folds_decide_each_by_the_rows_that_it_left_out(method, n_folds, confidence):
    X, y = bells(0, 90)
    new, _ = bells(1, 40)
    folds = list(KFold(n_folds).split(X))
    model = ConformalClassifierCV(GaussianNB(), method=method, cv=folds).fit(X, y)
    votes, total = np.zeros((40, 3)), 0
    for train, rows in folds:
        fitted = GaussianNB().fit(X[train], y[train])
        prior = np.bincount(y[train]) / len(train) if method == METHODS[0] else np.ones(3)
        scores = (fitted.predict_proba(X[rows]) / prior)[np.arange(len(rows)), y[rows]]
        of_new = fitted.predict_proba(new) / prior
        total = total + of_new
        for row, c in itertools.product(range(40), range(3)):
            other = y[rows] == c if method == "classwise" else np.ones(len(rows), dtype=bool)
            votes[row, c] += naive_rank(scores[other], of_new[row, c], confidence)
    expected = 2 * votes >= n_folds
    expected[np.arange(40), total.argmax(axis=1)] = True
    np.testing.assert_array_equal(model.predict_set(new, confidence), expected)


# ------------------------------------------------------------------------------------------ laws


def every_way(**parameters):
    """Yield models by several classifiers, by one, and by one that is fitted already."""
    split, folds = ShuffleSplit(1, test_size=0.4, random_state=0), KFold(3)  # by no labels
    for way in ({"cv": folds}, {"cv": folds, "ensemble": False}, {"cv": split}):
        yield ConformalClassifierCV(GaussianNB(), **way, **parameters)
    fitted = GaussianNB().fit(*bells(9, 60))
    yield ConformalClassifierCV(fitted, cv="prefit", **parameters)


@every_method
def test_sets_nest(method):
    X, y = bells(0, 90)
    new, _ = bells(1, 200)
    for model in every_way(method=method):
        sets = model.fit(X, y).predict_set(new, [0.3, 0.5, 0.7, 0.8, 0.85])
        assert sets.shape == (5, 200, 3)
        assert (np.diff(sets.astype(int), axis=0) >= 0).all()
        assert sets.any(axis=2).all()
        assert sets[0].sum() < sets[-1].sum()
        for each, confidence in zip(sets, [0.3, 0.5, 0.7, 0.8, 0.85], strict=True):
            np.testing.assert_array_equal(model.predict_set(new, confidence), each)


@every_method
def test_permuting_classes_permutes_sets(method):
    X, y = bells(0, 90)
    new, _ = bells(1, 200)
    names, order = np.array(["b", "c", "a"]), [2, 0, 1]
    for model in every_way(method=method, confidence=0.8):
        sets = model.fit(X, y).predict_set(new)
        if model.cv == "prefit":
            X_other, y_other = bells(9, 60)
            model.set_params(estimator=GaussianNB().fit(X_other, names[y_other]))
        model.fit(X, names[y])
        assert model.classes_.tolist() == ["a", "b", "c"]
        np.testing.assert_array_equal(model.predict_set(new), sets[:, order])


def test_of_equal_shares_adjusted_sets_are_plain_ones():
    X, y = bells(0, 120)
    rows = np.concatenate([np.flatnonzero(y == c)[:20] for c in range(3)])
    new, _ = bells(1, 200)
    folds = list(KFold(4).split(np.arange(60)))
    order = np.argsort(np.tile(np.arange(20), 3), kind="stable")  # each fold has each class alike
    rows = rows[order]
    for ensemble in (True, False):
        plain, adjusted = (
            ConformalClassifierCV(GaussianNB(), method=method, cv=folds, ensemble=ensemble)
            .fit(X[rows], y[rows])
            .predict_set(new)
            for method in ("plain", "prevalence_adjusted")
        )
        np.testing.assert_array_equal(plain, adjusted)
        assert 1 < plain.sum(axis=1).mean() < 2


@every_method
def test_weights_of_classes_change_nothing(method, digits):
    X, y = bells(0, 90)
    new, _ = bells(1, 200)
    # Of which weights change the prior alone.
    natural, weighted = (
        ConformalClassifierCV(estimator, method=method, confidence=0.8).fit(X, y).predict_set(new)
        for estimator in (GaussianNB(), ClassBalancedClassifier(GaussianNB(), beta=1))
    )
    np.testing.assert_array_equal(natural, weighted)
    # And of others nearly.
    X, y, X_test, _ = digits
    plain = LogisticRegression(max_iter=1000)
    natural, weighted = (
        ConformalClassifierCV(estimator, method=method, cv=3).fit(X, y).predict_set(X_test)
        for estimator in (plain, ClassBalancedClassifier(plain, beta=0.99))
    )
    assert (natural == weighted).mean() > 0.95


def test_a_class_with_too_few_rows_for_the_level_is_in_every_set():
    """At .9, nine rows are needed."""
    p, _ = draw(0, 100)
    new, _ = draw(1, 200)
    for n_rare, everywhere in ((3, True), (8, True), (9, False)):
        y = np.repeat([0, 1, 2], [60, 40 - n_rare, n_rare])
        model = prefit(method="classwise").fit(p, y)
        assert (model.set_threshold_ == 0).tolist() == [False, False, everywhere]
        assert model.predict_set(new)[:, 2].all() == everywhere


def test_interpolated_thresholds_lie_between():
    p, y = draw(0, 100)
    model = prefit().fit(p, y)
    found = {}
    for method in ("plain", "classwise"):
        found[method] = model.set_params(method=method).set_threshold_
    model.set_params(method="interpolated")
    for share in (0, 0.3, 1):
        expected = (1 - share) * found["plain"] + share * found["classwise"]
        np.testing.assert_allclose(
            model.set_params(interpolation=share).set_threshold_, expected, rtol=1e-10
        )


@every_method
def test_a_weight_of_2_is_two_rows_and_0_none(method):
    p, y = draw(0, 50)
    new, _ = draw(1, 200)
    weight = np.arange(50) % 3
    weight[:3] = [2, 1, 0]
    rows = np.repeat(np.arange(50), weight)
    weighted = prefit(method=method).fit(p, y, sample_weight=weight)
    copied = prefit(method=method).fit(p[rows], y[rows])
    np.testing.assert_allclose(weighted.set_threshold_, copied.set_threshold_, rtol=1e-10)
    np.testing.assert_array_equal(weighted.predict_set(new), copied.predict_set(new))


@every_method
def test_a_class_without_weight_tells_nothing(method):
    """Thresholds are those of the other rows; it may be in sets, as one without rows may."""
    p, y = draw(0, 80)
    new, _ = draw(1, 100)
    model = prefit(method=method, confidence=0.7).fit(p, y, sample_weight=(y < 2) * 1.0)
    own, kept = p[np.arange(80), y][y < 2], y[y < 2]
    alone = Calibration(own, own, kept, np.ones(len(own)), None, None)
    expected = thresholds(alone, 3, 0.7, method=method, interpolation=0.9)
    np.testing.assert_allclose(model.set_threshold_, expected)
    if method == "classwise":  # nothing is known of it
        assert model.predict_set(new)[:, 2].all()
    assert model.predict_set(new, 1e-300).any(axis=1).all()


def test_rows_that_are_left_out_twice_count_once():
    X, y = bells(0, 60)
    new, _ = bells(1, 100)
    folds = list(KFold(3).split(X))
    for ensemble in (True, False):
        once, twice = (
            ConformalClassifierCV(GaussianNB(), cv=cv, ensemble=ensemble).fit(X, y)
            for cv in (folds, folds + folds)
        )
        np.testing.assert_array_equal(once.predict_set(new), twice.predict_set(new))


@every_method
def test_sparse_sets_are_the_dense_ones(method, monkeypatch):
    X, y = bells(0, 90)
    new, _ = bells(1, 200)
    monkeypatch.setattr(_conformal, "N_AT_ONCE", 100)  # which makes seven parts
    model = ConformalClassifierCV(GaussianNB(), method=method, confidence=0.8).fit(X, y)
    dense = model.predict_set(new)
    found = model.predict_set(new, sparse=True)
    assert sparse.issparse(found)
    assert found.dtype == bool
    np.testing.assert_array_equal(found.toarray(), dense)
    for container in (np.ndarray.tolist, pd.DataFrame):
        named = ConformalClassifierCV(GaussianNB(), method=method, confidence=0.8)
        found = named.fit(container(X), y).predict_set(container(new), sparse=True)
        np.testing.assert_array_equal(found.toarray(), dense)
    several = model.predict_set(new, [0.8, 0.5], sparse=True)
    np.testing.assert_array_equal(several[0].toarray(), dense)
    np.testing.assert_array_equal(several[1].toarray(), model.predict_set(new, 0.5))


def test_ties_are_for_the_class():
    """A tree's probabilities are few numbers, and rounding must not part the same ones."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, size=900, p=[0.7, 0.2, 0.1])
    X = rng.normal(size=(900, 2)) + y[:, None]
    tree = DecisionTreeClassifier(max_depth=2).fit(X[:300], y[:300])
    for method in METHODS[:3]:
        model = ConformalClassifierCV(tree, cv="prefit", method=method).fit(X[300:600], y[300:600])
        sets = model.predict_set(X[600:])
        np.testing.assert_array_equal(
            sets, model.predict_natural_proba(X[600:]) >= model.set_threshold_
        )
        one_by_one = np.concatenate([model.predict_set(row[None]) for row in X[600:]])
        np.testing.assert_array_equal(sets, one_by_one)
        assert sets[np.arange(300), y[600:]].mean() > 0.87


class Rounding(Given):
    """Answer in float32, and one row a little differently than many, as nets do."""

    def predict_proba(self, X):
        p = np.asarray(X, dtype=np.float32)
        return p * np.float32(1 - 1e-6) if len(p) == 1 else p


@every_method
def test_rows_one_by_one_are_as_rows_together(method):
    rng = np.random.default_rng(0)
    kinds = np.array([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2], [0.2, 0.2, 0.6]])  # so that there are ties
    p = kinds[rng.choice(3, size=300, p=[0.6, 0.3, 0.1])]
    y = (rng.random((300, 1)) > p.cumsum(axis=1)).sum(axis=1)
    model = ConformalClassifierCV(Rounding(), cv="prefit", method=method).fit(p, y)
    for confidence in (0.4, 0.6, 0.8, 0.9):
        together = model.predict_set(kinds, confidence)
        one_by_one = [model.predict_set(row[None], confidence)[0] for row in kinds]
        np.testing.assert_array_equal(one_by_one, together)


@every_method
@pytest.mark.parametrize("confidence", [1e-12, 1e-300])
def test_next_to_no_confidence(method, confidence):
    """Sets are no larger than those of a little, and not empty."""
    p, y = draw(0, 60)
    new, _ = draw(1, 100)
    least, little = prefit(method=method).fit(p, y).predict_set(new, [confidence, 0.01])
    assert least.any(axis=1).all()
    assert not (least & ~little).any()


# ------------------------------------------------------------------------------ the ways to use it


def test_rare_digits_are_covered(digits):
    X, y, X_test, y_test = digits
    model = ConformalClassifierCV(LogisticRegression(max_iter=1000)).fit(X, y)
    coverage, size = {}, {}
    for method in METHODS:  # one fit serves all
        sets = model.set_params(method=method).predict_set(X_test)
        rare = y_test >= 8
        coverage[method] = sets[np.arange(len(y_test)), y_test][rare].mean()
        size[method] = sets.sum(axis=1).mean()
    assert coverage["plain"] < 0.5
    assert coverage["prevalence_adjusted"] > 0.8
    assert size["plain"] < size["prevalence_adjusted"] < size["classwise"] / 2


def test_it_answers_as_the_classifier_does(digits):
    X, y, X_test, _ = digits
    weighted = ClassBalancedClassifier(LogisticRegression(max_iter=1000), beta=1)
    model = ConformalClassifierCV(weighted, cv=2).fit(X, y.astype(str))
    alone = weighted.fit(X, y.astype(str))
    np.testing.assert_array_equal(model.predict(X_test), alone.predict(X_test))
    np.testing.assert_array_equal(model.predict_proba(X_test), alone.predict_proba(X_test))
    np.testing.assert_allclose(
        model.predict_natural_proba(X_test), alone.predict_natural_proba(X_test), rtol=1e-9
    )


def test_a_fitted_classifier_is_not_fitted_again():
    p, y = draw(0, 100)
    new, _ = draw(1, 50)
    sets = prefit().fit(p, y).predict_set(new)
    for model in (
        ConformalClassifierCV(FrozenEstimator(Given()), cv="prefit"),
        ConformalClassifierCV(FrozenEstimator(Given())),
        ConformalClassifierCV(FrozenEstimator(Given()), cv=KFold(3)),
    ):
        np.testing.assert_array_equal(model.fit(p, y).predict_set(new), sets)
    held_out = np.arange(100) >= 40
    one = ConformalClassifierCV(FrozenEstimator(Given()), cv=[(~held_out, held_out)])
    expected = prefit().fit(p[held_out], y[held_out]).predict_set(new)
    np.testing.assert_array_equal(one.fit(p, y).predict_set(new), expected)


def test_thresholds_are_those_of_one_classifier():
    X, y = bells(0, 90)
    new, _ = bells(1, 50)
    for model in every_way(method="plain"):
        if model.fit(X, y).ensemble and isinstance(model.cv, KFold):
            assert not hasattr(model, "set_threshold_")
            with pytest.raises(
                AttributeError, match="^set_threshold_ is there where one .* of 3 f"
            ):
                _ = model.set_threshold_
        else:
            p = model.predict_natural_proba(new)
            if not isinstance(model.cv, ShuffleSplit):  # whose classifier knows less
                expected = p >= model.set_threshold_
                expected[np.arange(50), p.argmax(axis=1)] = True
                np.testing.assert_array_equal(model.predict_set(new), expected)
            wider = model.set_threshold_
            assert (model.set_params(confidence=0.5).set_threshold_ > wider).all()


def test_groups_are_kept_together():
    X, y = bells(0, 96)
    new, _ = bells(1, 50)
    groups = np.arange(96) % 8
    splits = list(GroupKFold(4).split(X, y, groups))
    expected = ConformalClassifierCV(GaussianNB(), cv=splits).fit(X, y).predict_set(new)
    model = ConformalClassifierCV(GaussianNB(), cv=GroupKFold(4))
    np.testing.assert_array_equal(model.fit(X, y, groups=groups).predict_set(new), expected)
    with config_context(enable_metadata_routing=True):
        cross_validate(
            model, X, y, cv=GroupKFold(2), params={"groups": groups}, error_score="raise"
        )
        ConformalClassifierCV(GaussianNB().fit(X, y), cv="prefit").fit(X, y)


def test_jobs_change_nothing_and_pickles_answer_the_same():
    X, y = bells(0, 60)
    new, _ = bells(1, 50)
    one, two = (
        ConformalClassifierCV(GaussianNB(), cv=3, n_jobs=n).fit(X, y, np.linspace(1, 2, 60))
        for n in (None, 2)
    )
    np.testing.assert_array_equal(one.predict_set(new), two.predict_set(new))
    again = pickle.loads(pickle.dumps(two))
    np.testing.assert_array_equal(again.predict_set(new), one.predict_set(new))


@every_method
@pytest.mark.parametrize("ensemble", [True, False])
def test_a_fold_without_a_class(method, ensemble):
    X, y = bells(0, 60)
    y[5] = 3  # of which there is one row
    new, _ = bells(1, 50)
    model = ConformalClassifierCV(GaussianNB(), method=method, cv=KFold(3), ensemble=ensemble)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of naive Bayes with one row
        sets = model.fit(X, y).predict_set(new)
    assert sets.shape == (50, 4)
    if method == "classwise":
        assert sets[:, 3].all()


def test_a_class_that_a_fold_does_not_know_has_none_of_its_votes():
    """But where there are too few rows to tell anything: then it has, as every class."""
    p, y = draw(0, 60)
    p, y = p[y < 2], y[y < 2]
    own = p[np.arange(len(y)), y]
    prior = np.array([0.7, 0.3, 0.0])
    calibration = Calibration(own, own / prior[y], y, np.ones(len(y)), prior, None)
    found = {
        confidence: thresholds(
            calibration, 3, confidence, method="prevalence_adjusted", interpolation=0
        )
        for confidence in (0.8, 0.999)
    }
    assert (found[0.8][:2] > 0).all()
    assert np.isinf(found[0.8][2])
    assert not found[0.999].any()


def test_pipelines_and_searches(digits):
    X, y, X_test, y_test = digits
    inner = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    outer = make_pipeline(StandardScaler(), ConformalClassifierCV(inner, cv=2)).fit(X, y)
    sets = outer[-1].predict_set(outer[0].transform(X_test))
    assert sets[np.arange(len(y_test)), y_test].mean() > 0.9
    grid = {"logisticregression__C": [0.1, 1]}
    searched = ConformalClassifierCV(GridSearchCV(inner, grid, cv=2), cv=2).fit(X, y)
    assert searched.predict_set(X_test).shape == (len(X_test), 10)
    search = GridSearchCV(
        ConformalClassifierCV(inner, cv=2), {"estimator__" + k: v for k, v in grid.items()}, cv=2
    )
    assert search.fit(X, y).best_estimator_.predict_set(X_test).shape == (len(X_test), 10)


def test_a_natural_wrapper_inside(digits):
    X, y, X_test, _ = digits
    plain = LogisticRegression(max_iter=1000)
    alone, corrected = (
        ConformalClassifierCV(each, cv=2).fit(X, y).predict_set(X_test)
        for each in (plain, PriorCorrectedClassifier(plain))
    )
    np.testing.assert_array_equal(alone, corrected)


# ------------------------------------------------------------------------------------ bad input


class NeverFitted(GaussianNB):
    def fit(self, X, y):
        pytest.fail("The inner fit was reached.")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"confidence": 1}, r"confidence must be a number in \(0, 1\), got 1\."),
        ({"confidence": 0}, r"confidence must be a number in \(0, 1\), got 0\."),
        ({"confidence": [0.9]}, r"confidence must be a number in \(0, 1\), got \[0.9\]\."),
        ({"confidence": np.nan}, r"confidence must be a number in \(0, 1\), got nan\."),
        ({"method": "lac"}, r"method must be 'prevalence_adjusted', 'plain', .*, got 'lac'\."),
        ({"interpolation": 2}, r"interpolation must be a number in \[0, 1\], got 2\."),
        ({"ensemble": "auto"}, r"ensemble must be True or False, got 'auto'\."),
        ({"cv": "refit"}, r"cv must be an integer, folds or 'prefit', got 'refit'\."),
        ({"cv": 1}, "k-fold cross-validation requires at least one train/test split"),
        ({"cv": []}, "cv must yield at least one split, got none"),
        ({"cv": "prefit"}, r"estimator must be fitted for cv='prefit', got NeverFitted\(\): a cl"),
    ],
)
def test_bad_values_are_named_before_any_fit(parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        ConformalClassifierCV(NeverFitted(), **parameters).fit(*bells(0, 60))


@pytest.mark.parametrize(
    ("confidence", "message"),
    [
        (1.5, r"confidence must be a number in \(0, 1\), got 1.5\."),
        ("high", r"confidence must be a number in \(0, 1\), got 'high'\."),
        ([0.9, 1], r"each of confidence must be a number in \(0, 1\), got 1\."),
        ([], r"confidence must list at least one number, got \[\]\."),
    ],
)
def test_bad_confidences_of_sets(confidence, message):
    p, y = draw(0, 60)
    with pytest.raises(ValueError, match=f"^{message}"):
        prefit().fit(p, y).predict_set(p, confidence)


@pytest.mark.parametrize("bad", [{"method": "lac"}, {"confidence": 2}, {"interpolation": -1}])
def test_what_is_set_after_the_fit_is_checked_in_predict(bad):
    p, y = draw(0, 60)
    with pytest.raises(ValueError, match=f"^{next(iter(bad))} must be"):
        prefit().fit(p, y).set_params(**bad).predict_set(p)


def test_before_the_fit_there_are_no_sets():
    for model in (prefit(), ConformalClassifierCV(GaussianNB())):
        with pytest.raises(NotFittedError):
            model.predict_set([[0.5, 0.3, 0.2]])
        assert not hasattr(model, "set_threshold_")


def test_calibration_data_with_a_class_that_the_classifier_does_not_know():
    p, y = draw(0, 60)
    message = r"^y must hold the classes of the fitted estimator, \[0, 1, 2\], got .*: also 3\."
    with pytest.raises(ValueError, match=message):
        prefit().fit(p, np.where(y == 2, 3, y))


def test_too_few_rows_in_some_folds():
    """Half of them decide."""
    X, y = bells(0, 90)
    new, _ = bells(1, 50)
    ends = {(0, 5, 45, 90): False, (0, 5, 10, 90): True}
    for bounds, is_too_few in ends.items():
        parts = [np.arange(*pair) for pair in itertools.pairwise(bounds)]
        folds = [(np.setdiff1d(np.arange(90), part), part) for part in parts]
        model = ConformalClassifierCV(GaussianNB(), cv=folds)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always", UserWarning)
            sets = model.fit(X, y).predict_set(new)
        assert bool(told) == sets.all() == is_too_few


@every_method
def test_too_few_rows_for_a_confidence(method):
    p, y = draw(0, 40)
    message = r"^confidence=0.99 needs 99 rows to calibrate by, got 40: every set holds every cl"
    with pytest.warns(UserWarning, match=message) as told:
        model = prefit(method=method, confidence=0.99).fit(p, y)
    assert told[0].filename == __file__
    assert model.predict_set(p).all()
    by_folds = ConformalClassifierCV(GaussianNB(), cv=KFold(5))
    with pytest.warns(UserWarning, match="needs 9 rows to calibrate by in a fold, got 8: every"):
        by_folds.fit(p, y)
    assert by_folds.predict_set(p).all()
    assert not by_folds.set_params(confidence=0.8).predict_set(p).all()
    model.set_params(confidence=0.9)
    with pytest.warns(UserWarning, match=message) as told:
        sets = model.predict_set(p, [0.9, 0.99])
    assert told[0].filename == __file__
    assert sets[1].all()
    assert not sets[0].all()


@pytest.mark.parametrize("method", ["plain", "prevalence_adjusted"])
@pytest.mark.parametrize("n_impossible", [0, 9, 10, 11, 60])
def test_what_a_classifier_holds_impossible_is_told_where_it_fills_all_sets(method, n_impossible):
    """Of 109 rows, 10 may be left out at .9; of 11 to which 0 is right, one is in each set."""
    p, y = draw(0, 109)
    p[np.arange(n_impossible), y[:n_impossible]] = 0
    p /= p.sum(axis=1, keepdims=True)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        model = prefit(method=method).fit(p, y)
    is_full = bool(model.predict_set(draw(1, 200)[0]).all())
    assert is_full == (n_impossible > 10)
    assert [str(each.message).partition(" is out")[0] for each in told] == (
        ["confidence=0.9"] if is_full else []
    )
    model.set_params(confidence=0.3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not model.predict_set(p, [0.2, 0.3]).all()
    if n_impossible == 60:
        with pytest.warns(UserWarning, match=r"^confidence=0.5 is .* of 0.55 of the rows to cal"):
            assert model.predict_set(p, [0.3, 0.5])[1].all()


def test_forests_that_hold_classes_impossible():
    """A tree to the end gives 0 and 1 alone; each fold's says so of many."""
    X, y = bells(0, 300)
    for ensemble in (True, False):
        model = ConformalClassifierCV(DecisionTreeClassifier(random_state=0), ensemble=ensemble)
        with pytest.warns(UserWarning, match="^confidence=0.9 is out of reach of a classifier by"):
            model.fit(X, y)
        assert model.predict_set(X).all()
        assert not model.set_params(method="classwise").predict_set(X, 0.3).all()
    whole = DecisionTreeClassifier(random_state=0)
    for remedy in (clone(whole).set_params(min_samples_leaf=10), CalibratedClassifierCV(whole)):
        assert ConformalClassifierCV(remedy).fit(X, y).predict_set(X).mean() < 0.9


def test_a_classifier_without_probabilities():
    with pytest.raises(TypeError, match="^estimator must have predict_proba, got LinearSVC"):
        ConformalClassifierCV(LinearSVC()).fit(*bells(0, 60))


@parametrize_with_checks([ConformalClassifierCV(LogisticRegression(), cv=2, confidence=0.5)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)
