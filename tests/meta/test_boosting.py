"""LightGBM, XGBoost and CatBoost themselves, inside the wrappers."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sk_cbloss import (
    ClassBalancedClassifier,
    ConformalClassifierCV,
    DecisionClassifierCV,
    LogitAdjustedClassifier,
    PriorCorrectedClassifier,
)

pytestmark = [
    pytest.mark.boosting,
    # LightGBM before 4.7 makes up names for what has none, and scikit-learn misses them.
    pytest.mark.filterwarnings("ignore:X does not have valid feature names, but LGBM:UserWarning"),
]

ASKING = [
    PriorCorrectedClassifier,
    LogitAdjustedClassifier,
    ConformalClassifierCV,
    DecisionClassifierCV,
]


def lightgbm(**kwargs):
    kind = pytest.importorskip("lightgbm").LGBMClassifier
    settings = {"n_estimators": 40, "num_leaves": 5, "verbose": -1, "n_jobs": 1}
    return kind(**settings | kwargs)


def xgboost(**kwargs):
    kind = pytest.importorskip("xgboost").XGBClassifier
    return kind(**{"n_estimators": 40, "max_depth": 2, "n_jobs": 1} | kwargs)


def catboost(**kwargs):
    kind = pytest.importorskip("catboost").CatBoostClassifier
    settings = {"iterations": 60, "depth": 3, "verbose": 0, "thread_count": 1}
    return kind(allow_writing_files=False, **settings | kwargs)


ALL = pytest.mark.parametrize("make", [lightgbm, xgboost, catboost])


def draw(n=2000, share=(0.865, 0.096, 0.039), seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.choice(len(share), size=n, p=share)
    return rng.normal(size=(n, 4)) + 0.7 * codes[:, None], codes


def two(n=2000, share=0.056, seed=0):
    return draw(n, (1 - share, share), seed)


DRAWING = [
    (lightgbm, {"pos_bagging_fraction": 0.9, "neg_bagging_fraction": 0.1, "bagging_freq": 1}),
    (lightgbm, {"neg_sub_row": 0.1, "bagging_freq": 1}),
]
# With the weights that the classes have by it, of their numbers of samples, or sums of weights.
WEIGHING = [
    *[
        (lightgbm, {name: True}, lambda n, w: 1 / n)
        for name in ("is_unbalance", "unbalance", "unbalanced_sets")
    ],
    (catboost, {"class_weights": (1, 9)}, lambda n, w: [1, 9]),  # (it copies lists: no clone)
    (catboost, {"auto_class_weights": "Balanced"}, lambda n, w: 1 / w),
    (catboost, {"auto_class_weights": "SqrtBalanced"}, lambda n, w: w**-0.5),
]


@pytest.mark.parametrize(("make", "weighing"), [*DRAWING, *[each[:2] for each in WEIGHING]])
def test_what_weighs_is_not_weighed_again(make, weighing):
    with pytest.raises(
        ValueError, match="must not weight classes itself, or they are weighted twice"
    ):
        ClassBalancedClassifier(make(**weighing)).fit(*two(200))


@pytest.mark.parametrize("wrapper", ASKING)
@pytest.mark.parametrize(("make", "weighing"), DRAWING)
def test_what_draws_cannot_be_undone(make, weighing, wrapper):
    with pytest.raises(ValueError, match="must weight classes in a way that can be undone"):
        wrapper(make(**weighing)).fit(*two(200))


@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize(("make", "weighing", "weight_of"), WEIGHING)
def test_weights_of_ones_own_are_undone(make, weighing, weight_of, own):
    """They are those by which samples would be weighed, beside any that these have."""
    X, y = two()
    sample_weight = np.random.default_rng(1).uniform(0.5, 2, len(y)) * np.where(y, 3, 1)
    sample_weight = sample_weight if own else np.ones(len(y))
    total = np.bincount(y, sample_weight)
    weight = np.asarray(weight_of(np.bincount(y), total))
    # LightGBM would start from the mean of weighed samples, but not by is_unbalance.
    start = {"boost_from_average": False} if make is lightgbm else {}
    by_samples = make(**start).fit(X, y, sample_weight=sample_weight * (weight / weight[0])[y])
    p = by_samples.predict_proba(X) / weight
    natural = PriorCorrectedClassifier(make(**start, **weighing))
    natural.fit(X, y, *[sample_weight] * own)
    ratio = natural.class_weight_ / weight
    np.testing.assert_allclose(ratio, ratio[0])
    # CatBoost sums weights in float32.
    np.testing.assert_allclose(natural.predict_proba(X), p / p.sum(1, keepdims=True), rtol=0.01)
    mean = np.average(natural.predict_proba(X), axis=0, weights=sample_weight)
    np.testing.assert_allclose(mean, total / total.sum(), atol=0.04)


TEXTS_BY_SIZE = np.array(["9", "10", "11"])  # which numpy sorts as 10, 11, 9
BY_NAME = {"9": 1, "10": 9, "11": 20}


@pytest.mark.parametrize("wrapper", ASKING)
@pytest.mark.parametrize(
    "weighing",
    [
        {"class_weights": [1, 9, 20]},
        {"class_weights": BY_NAME},
        {"class_weights": [20, 1, 9], "class_names": ["11", "9", "10"]},
        {"auto_class_weights": "Balanced"},
    ],
    ids=str,
)
def test_weights_are_undone_in_catboosts_order(weighing, wrapper):
    X, codes = draw(1000)
    y = TEXTS_BY_SIZE[codes]
    frozen = FrozenEstimator(catboost(**weighing).fit(X, y))
    model = wrapper(frozen).fit(X, y)
    assert model.classes_.tolist() == ["10", "11", "9"]
    weight = [BY_NAME[name] for name in model.classes_]
    if "auto_class_weights" in weighing:
        weight = 1 / model.class_count_
    ratio = model.class_weight_ / weight
    np.testing.assert_allclose(ratio, ratio[0])
    share = model.class_count_ / len(y)
    np.testing.assert_allclose(model.predict_natural_proba(X).mean(axis=0), share, atol=0.03)


@pytest.mark.parametrize("off", [False, np.False_, "false", "-"])
def test_is_unbalance_is_off_in_all_of_lightgbms_words(off):
    X, y = two(500)
    natural = PriorCorrectedClassifier(lightgbm(is_unbalance=off)).fit(X, y)
    assert natural.class_weight_.tolist() == [1, 1]
    plain = lightgbm().fit(X, y).predict_proba(X)
    np.testing.assert_allclose(natural.predict_proba(X), plain, rtol=1e-12)


@pytest.mark.parametrize("weights", [(1, 2, 3), "abc"])
def test_weights_that_are_none_of_these_classes_are_refused(weights):
    with pytest.raises(
        ValueError, match="^estimator must weight classes in a way .* class_weight"
    ):
        PriorCorrectedClassifier(catboost(class_weights=weights)).fit(*two(200))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("weighing", [{"scale_pos_weight": 9}, {"is_unbalance": True}])
@pytest.mark.parametrize(
    ("make", "objective"),
    [
        (lightgbm, {"objective": "cross_entropy"}),
        (lightgbm, {"app": "xentropy"}),
        (lightgbm, {"objective": "multiclass", "num_class": 2}),
        (xgboost, {"objective": "multi:softprob", "num_class": 2}),
    ],
)
def test_objectives_that_know_no_positive_class_are_left_alone(make, objective, weighing):
    if make is xgboost and "is_unbalance" in weighing:
        pytest.skip("XGBoost has no such parameter")
    X, y = two(1000)
    plain = make(**objective).fit(X, y).predict_proba(X)
    natural = PriorCorrectedClassifier(make(**objective, **weighing)).fit(X, y)
    assert natural.class_weight_.tolist() == [1, 1]
    np.testing.assert_allclose(natural.predict_proba(X), plain, rtol=1e-6)


def test_all_of_lightgbms_names_are_in_the_table():
    from sk_cbloss.meta._ways_of_weighing import WAYS

    pytest.importorskip("lightgbm")
    from lightgbm.basic import _ConfigAliases

    for name in (
        "is_unbalance",
        "scale_pos_weight",
        "pos_bagging_fraction",
        "neg_bagging_fraction",
    ):
        assert _ConfigAliases.get(name) <= WAYS["lightgbm"].keys()


@ALL
def test_scale_pos_weight_is_undone_with_two_classes(make):
    X, y = two()
    with pytest.raises(ValueError, match="weighted twice: set scale_pos_weight=None, got 9"):
        ClassBalancedClassifier(make(scale_pos_weight=9)).fit(X, y)
    natural = PriorCorrectedClassifier(make(scale_pos_weight=9)).fit(X, y)
    assert natural.class_weight_.tolist() == [1, 9]
    assert natural.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), abs=0.02)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("make", [lightgbm, xgboost])
@pytest.mark.parametrize("wrapper", [*ASKING, ClassBalancedClassifier])
def test_scale_pos_weight_has_no_effect_on_three_classes(make, wrapper):
    X, y = draw(800)
    left, plain = (wrapper(make(**kw)).fit(X, y) for kw in ({"scale_pos_weight": 5}, {}))
    np.testing.assert_array_equal(left.class_weight_, plain.class_weight_)
    np.testing.assert_array_equal(left.predict_natural_proba(X), plain.predict_natural_proba(X))


@pytest.mark.parametrize("wrapper", ASKING)
def test_a_scale_pos_weight_as_text_is_read_as_the_library_reads_it(wrapper):
    X, y = two(300)
    models = [wrapper(xgboost(scale_pos_weight=given)).fit(X, y) for given in ("5", 5)]
    expected, got = (model.predict_natural_proba(X) for model in models)
    np.testing.assert_array_equal(got, expected)
    with pytest.raises(ValueError, match="can be undone, got scale_pos_weight='five' of XGB"):
        wrapper(xgboost(scale_pos_weight="five")).fit(X, y)


@pytest.mark.parametrize("wrapper", [*ASKING, ClassBalancedClassifier])
@pytest.mark.parametrize(
    "weighing",
    [
        {"scale_pos_weight": 5},
        {"is_unbalance": True},
        {"pos_bagging_fraction": 0.2, "bagging_freq": 1},
    ],
    ids=str,
)
def test_what_weighs_the_positive_class_has_no_effect_on_cross_entropy(wrapper, weighing):
    X, y = two(800)
    models = [lightgbm(objective="cross_entropy", **kw) for kw in (weighing, {})]
    left, plain = (wrapper(model).fit(X, y) for model in models)
    np.testing.assert_array_equal(left.class_weight_, plain.class_weight_)
    np.testing.assert_allclose(left.predict_natural_proba(X), plain.predict_natural_proba(X))
    with pytest.raises(ValueError, match="weighted twice"):
        ClassBalancedClassifier(lightgbm(objective="binary", **weighing)).fit(X, y)


def test_scale_pos_weight_has_one_where_one_class_stands_against_the_rest():
    X, y = draw(300)
    model = lightgbm(objective="multiclassova", scale_pos_weight=5)
    with pytest.raises(ValueError, match="can be undone, got scale_pos_weight=5"):
        PriorCorrectedClassifier(model).fit(X, y)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_class_weight_that_xgboost_does_not_know_has_no_effect():
    X, y = two(500)
    natural = PriorCorrectedClassifier(xgboost(class_weight="balanced")).fit(X, y)
    assert natural.class_weight_.tolist() == [1, 1]


@ALL
@pytest.mark.parametrize("beta", [0, 0.999, 1])
def test_natural_probabilities_of_weighted_boosting(make, beta):
    X, y = draw()
    model = ClassBalancedClassifier(make(), beta=beta).fit(X, y)
    share = np.bincount(y) / len(y)
    np.testing.assert_allclose(model.predict_natural_proba(X).mean(axis=0), share, atol=0.03)


TEXTS = np.array(["10", "2", "1"])


@ALL
@pytest.mark.parametrize("names", [TEXTS, np.array([7, 3, 5]), np.array(["c", "a", "b"], object)])
@pytest.mark.parametrize("wrapper", [*ASKING, ClassBalancedClassifier])
def test_labels_of_any_kind_and_order(make, names, wrapper):
    X, codes = draw(1000)
    y = names[codes]
    model = wrapper(make()).fit(X, y)
    assert model.classes_.tolist() == sorted(names.tolist())
    assert model.class_count_.tolist() == [(y == name).sum() for name in sorted(names.tolist())]
    share = model.class_count_ / len(y)
    np.testing.assert_allclose(model.predict_natural_proba(X).mean(axis=0), share, atol=0.03)
    predicted = model.predict(X)
    assert predicted.shape == y.shape
    assert (predicted == y).mean() > 0.7
    assert set(predicted.tolist()) <= set(names.tolist())
    assert 0.7 < model.score(X, y) <= 1


@ALL
def test_in_pipelines_searches_and_frozen(make):
    X, codes = draw(800)
    y = TEXTS[codes]
    pipe = make_pipeline(StandardScaler(), ClassBalancedClassifier(make()))
    grid = {"classbalancedclassifier__beta": [0, 1]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, y)
    natural = PriorCorrectedClassifier(search.best_estimator_).fit(X, y)
    share = np.array([(y == c).mean() for c in natural.classes_])
    np.testing.assert_allclose(natural.predict_proba(X).mean(axis=0), share, atol=0.03)
    frozen = FrozenEstimator(search.best_estimator_)
    p = PriorCorrectedClassifier(frozen).fit(X, y).predict_proba(X)
    np.testing.assert_allclose(
        p,
        PriorCorrectedClassifier(pipe.set_params(**search.best_params_))
        .fit(X, y)
        .predict_proba(X),
        rtol=1e-5,
    )


@ALL
def test_a_fold_may_lack_a_class(make):
    X, y = draw(300)
    rare = y == 2
    lacking = np.flatnonzero(~rare)[50:], np.r_[np.flatnonzero(rare), np.flatnonzero(~rare)[:50]]
    for wrapper in (ClassBalancedClassifier, LogitAdjustedClassifier):
        scores = cross_val_score(wrapper(make()), X, y, cv=[lacking], error_score="raise")
        assert np.isfinite(scores).all()
    only_two = np.where(y == 0, 0, 2)
    assert set(ClassBalancedClassifier(make()).fit(X, only_two).predict(X)) <= {0, 2}


def raw(y, score):
    return 1 / (1 + np.exp(-score)) - y, np.ones_like(score)


@pytest.mark.filterwarnings("ignore:Cannot compute class prob")
def test_an_objective_of_ones_own_gives_no_probabilities():
    X, y = two(300)

    def weighted(y, score, weight):
        gradient, hessian = raw(y, score)
        return gradient * weight, hessian * weight

    with pytest.raises(ValueError, match="must give numbers >= 0 that sum to 1"):
        PriorCorrectedClassifier(lightgbm(objective=raw)).fit(X, y)
    fitted = ClassBalancedClassifier(lightgbm(objective=weighted)).fit(X, y)
    for method in ("predict_proba", "predict_natural_proba"):
        with pytest.raises(ValueError, match="must give numbers >= 0 that sum to 1"):
            getattr(fitted, method)(X)
    with pytest.raises(ValueError, match="predict of LGBMClassifier must give classes"):
        fitted.predict(X)


@pytest.mark.parametrize(
    ("make", "objective"),
    [
        (lightgbm, {"objective": "multiclassova"}),
        (catboost, {"loss_function": "MultiClassOneVsAll"}),
    ],
)
def test_each_class_against_the_rest_can_be_calibrated(make, objective):
    X, y = draw()
    model = make(**objective)
    for wrapper in (PriorCorrectedClassifier, ClassBalancedClassifier):
        with pytest.raises(ValueError, match="against the rest need not sum to 1; put Calib"):
            wrapper(model).fit(X, y).predict_proba(X)
        natural = wrapper(CalibratedClassifierCV(model, cv=2)).fit(X, y).predict_natural_proba(X)
        np.testing.assert_allclose(natural.mean(axis=0), np.bincount(y) / len(y), atol=0.03)


def by_another_name(y, score, weight):
    return raw(y, score)


def by_its_name(y, sample_weight):  # a score, to LightGBM
    return raw(y, sample_weight)


@pytest.mark.parametrize(
    ("make", "objective"),
    [(lightgbm, raw), (lightgbm, by_its_name), (xgboost, raw), (xgboost, by_another_name)],
)
def test_weights_do_not_reach_an_objective_that_takes_none(make, objective):
    with pytest.raises(TypeError, match="takes no sample_weight in fit"):
        ClassBalancedClassifier(make(objective=objective)).fit(*two(300))


@ALL
@pytest.mark.parametrize("kind", ["float64", "int32", "uint8"])
def test_numbers_come_back_as_they_are(make, kind):
    X, codes = draw(500)
    y = codes.astype(kind)
    model = ClassBalancedClassifier(make()).fit(X, y)
    assert model.predict(X).dtype == model.classes_.dtype == y.dtype
    assert (model.predict(X) == y).mean() > 0.7


@ALL
def test_labels_of_yes_and_no_come_back(make):
    X, y = two(500)
    predicted = ClassBalancedClassifier(make()).fit(X, y > 0).predict(X)
    assert predicted.dtype == bool
    assert (predicted == (y > 0)).mean() > 0.7


@pytest.mark.parametrize("make", [lightgbm, xgboost])
def test_a_single_class_has_a_single_column(make):
    X, y = np.zeros((30, 1)), np.array(["a"] * 30)
    model = ClassBalancedClassifier(make()).fit(X, y)
    assert model.predict_proba(X).tolist() == [[1]] * 30
    assert model.predict(X).tolist() == ["a"] * 30


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("wrapper", [*ASKING, ClassBalancedClassifier])
def test_lists_that_keep_catboost_from_being_cloned(wrapper, inside):
    X, y = draw(400)
    X = pd.DataFrame(X).add_prefix("x").assign(kind=np.array(["u", "v"])[y % 2])
    model = catboost(cat_features=["kind"])
    model = make_pipeline(FunctionTransformer(), model) if inside else model
    try:
        clone(model)  # as older versions could
    except RuntimeError:
        match = r"^CatBoost.* set cat_features=\('kind',\), got \['ki"
        with pytest.raises(ValueError, match=match):
            wrapper(model).fit(X, y)
    else:
        wrapper(model).fit(X, y)
    wrapper(catboost(cat_features=("kind",))).fit(X, y)


# ------------------------------------------------------------------------- validation data


BAD_TO_VALIDATE_BY = {
    "none": (lambda X, y: (X[:0], y[:0]), "y must hold at least one label, got none"),
    "length": (lambda X, y: (X, y[1:]), "X and y must have the same number of samples"),
    "columns": (lambda X, y: (X[:, 1:], y), "X must have rows of shape"),
    "label": (lambda X, y: (X, y + 9), "y must hold only the known classes"),
}


@ALL
@pytest.mark.parametrize("bad", BAD_TO_VALIDATE_BY)
def test_bad_validation_data_get_a_sentence(make, bad):
    X, y = draw(300)
    change, message = BAD_TO_VALIDATE_BY[bad]
    X_val, y_val = change(X, y)
    with pytest.raises(ValueError, match=f"^In the validation data: {message}"):
        ClassBalancedClassifier(stopping(make)).fit(X, y, X_val=X_val, y_val=y_val)


def stopping(make):
    return {
        lightgbm: lambda: lightgbm(n_estimators=400, learning_rate=0.3, early_stopping_round=5),
        xgboost: lambda: xgboost(n_estimators=400, learning_rate=0.5, early_stopping_rounds=5),
        catboost: lambda: catboost(iterations=400, learning_rate=0.5, early_stopping_rounds=5),
    }[make]()


def n_rounds(model):
    for name in ("best_iteration_", "best_iteration"):
        if getattr(model, name, None) is not None:
            return getattr(model, name)
    return None


@ALL
@pytest.mark.parametrize("inside", [False, True])
def test_early_stopping_sees_weighted_validation_data(make, inside):
    X, codes = draw(1500)
    X_val, codes_val = draw(700, seed=1)
    y, y_val = np.array(["c", "b", "a"])[codes], np.array(["c", "b", "a"])[codes_val]
    X, X_val = 5 * X + 3, 5 * X_val + 3
    estimator = stopping(make)
    model = make_pipeline(StandardScaler(), estimator) if inside else estimator
    model = ClassBalancedClassifier(model, beta=1).fit(X, y, X_val=X_val, y_val=y_val)
    fitted = model.estimator_[-1] if inside else model.estimator_
    assert 0 < n_rounds(fitted) < 390
    # By hand.
    by_hand = clone(estimator)
    if inside:
        scaler = StandardScaler().fit(X)
        X, X_val = scaler.transform(X), scaler.transform(X_val)
    w, w_val = (model.class_weight_[np.searchsorted(model.classes_, t)] for t in (y, y_val))
    numbers, numbers_val = (np.searchsorted(model.classes_, t) for t in (y, y_val))
    if make is catboost:
        from catboost import Pool

        by_hand.fit(X, y, sample_weight=w, eval_set=Pool(X_val, y_val, weight=w_val))
    elif make is xgboost:
        by_hand.fit(
            X,
            numbers,
            sample_weight=w,
            eval_set=[(X_val, numbers_val)],
            sample_weight_eval_set=[w_val],
            verbose=False,
        )
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            by_hand.fit(
                X, y, sample_weight=w, eval_set=[(X_val, y_val)], eval_sample_weight=[w_val]
            )
    assert n_rounds(by_hand) == n_rounds(fitted)
    np.testing.assert_allclose(
        fitted.predict_proba(X_val), by_hand.predict_proba(X_val), rtol=1e-6
    )
