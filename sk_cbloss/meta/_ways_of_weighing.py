"""How classifiers weight classes by themselves: the one table that all wrappers ask.

Weights that a classifier gives to classes are not to be given again, and are to be divided out of
its probabilities where natural ones are wanted. `WAYS` says by which parameters each library
weights; no such list is complete, so that what is said to be natural is measured, too.
"""

import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from numbers import Number
from typing import Any

import numpy as np
from sklearn.linear_model import (
    LogisticRegression,
    PassiveAggressiveClassifier,
    Perceptron,
    SGDClassifier,
)
from sklearn.naive_bayes import ComplementNB
from sklearn.neighbors import NearestCentroid
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.utils.validation import has_fit_parameter

from sk_cbloss.meta._aligned import in_order


@dataclass(frozen=True)
class Way:
    """What a parameter does to the classes.

    Attributes
    ----------
    off : tuple
        The values with which it does nothing; the first is the one to set.
    undo : callable, default=None
        Returns the weights of the classes in the probabilities, or None if they cannot be told,
        from the estimator, the value and the `Given`.
    two_classes : bool, default=False
        Whether it weights one class against the other, and so has no effect with more than two.
    is_prior : bool, default=False
        Whether it sets the frequencies of the classes, which weights then do not reach.
    """

    off: tuple
    undo: Callable | None = None
    two_classes: bool = False
    is_prior: bool = False


@dataclass(frozen=True)
class Given:
    """What a classifier is fitted to.

    Attributes
    ----------
    classes : ndarray of shape (n_classes,)
        The classes, sorted.
    y : ndarray of shape (n_samples,)
        The labels.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples.
    """

    classes: np.ndarray
    y: np.ndarray
    sample_weight: np.ndarray | None = None

    def count(self, sample_weight=None):
        """Return the number of samples of each class, or the sum of their weights."""
        position = np.searchsorted(self.classes, self.y)
        return np.bincount(position, sample_weight, minlength=len(self.classes))


def _numbers(values, n_classes):
    """Return a number for each class as an array, or None for anything else."""
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):  # the library that takes them knows what is wrong
        return None
    return numbers if numbers.shape == (n_classes,) else None


def _by_label(estimator, value, given):
    if isinstance(value, dict):
        weights = [value.get(label, 1) for label in given.classes]
        return _numbers(weights, len(weights))
    # Whether weights of one's own are counted depends on the classifier and its version.
    if isinstance(value, str) and given.sample_weight is None:
        return _by_count(estimator, value, given)
    return None


def _in_order(estimator, value, given):
    if isinstance(value, dict):
        return _by_label(estimator, value, given)
    inner = getattr(estimator, "classes_", None)  # None of CatBoost before its fit
    inner = given.classes if inner is None else inner
    weight = _numbers(value, len(inner))
    return None if weight is None else in_order(weight[None], inner, given.classes)[0]


def _of_the_positive(estimator, value, given):
    return _in_order(estimator, [1, value], given)


def _balanced(count):
    return count.sum() / (len(count) * np.where(count > 0, count, 1))


def _by_count(estimator, value, given):
    # Whatever the samples' weights.
    return _balanced(given.count())


def _by_sum_of_weights(estimator, value, given):
    power = {"Balanced": 1, "SqrtBalanced": 0.5}.get(value)
    return None if power is None else _balanced(given.count(given.sample_weight)) ** power


def _of_a_given_prior(estimator, value, given):
    # The prior stands in the place of the shares, whatever the weights.
    if isinstance(estimator, NearestCentroid):  # its probabilities have the prior squared
        return None
    is_uniform = isinstance(value, str) and value == "uniform"
    prior = _numbers(np.ones(len(given.classes)) if is_uniform else value, len(given.classes))
    if prior is None:
        raise ValueError(
            f"{type(estimator).__name__} must be given a prior for each of the "
            f"{len(given.classes)} classes, got {reprlib.repr(value)}."
        )
    count = given.count(given.sample_weight)
    return np.where(count > 0, prior / np.where(count > 0, count, 1), 1)


def _of_no_prior(estimator, value, given):
    if getattr(estimator, "class_prior", None) is not None:  # which comes first
        return np.ones(len(given.classes))
    return _of_a_given_prior(estimator, "uniform", given)


_UNBALANCE = Way((None, False, "false", "-"), _by_count, two_classes=True)
_POSITIVE = Way((None, 1), _of_the_positive, two_classes=True)
_DRAWN = Way((None, 1), two_classes=True)
_NOTHING = None  # it has no effect there

WAYS = {
    "sklearn": {
        "class_weight": Way((None,), _by_label),
        "priors": Way((None, "empirical"), _of_a_given_prior, is_prior=True),
        "class_prior": Way((None,), _of_a_given_prior, is_prior=True),
        "fit_prior": Way((True,), _of_no_prior, is_prior=True),
    },
    "imblearn": {"sampling_strategy": Way(())},
    "lightgbm": {
        "scale_pos_weight": _POSITIVE,
        **dict.fromkeys(("is_unbalance", "unbalance", "unbalanced_sets"), _UNBALANCE),
        **{
            f"{sign}_{name}": _DRAWN
            for sign in ("pos", "neg")
            for name in ("bagging_fraction", "bagging", "sub_row", "subsample")
        },
    },
    "xgboost": {"scale_pos_weight": _POSITIVE, "class_weight": _NOTHING},
    "catboost": {
        "class_weights": Way((None,), _in_order),
        "auto_class_weights": Way((None, "None"), _by_sum_of_weights),
        "scale_pos_weight": _POSITIVE,
    },
}

# What an estimator of no known library has may mean what it means in any.
_ANYWHERE = {name: way for row in WAYS.values() for name, way in row.items() if way}

# Trained one class against the rest, they weight the one alone.
_ONE_VS_REST = (SGDClassifier, Perceptron, PassiveAggressiveClassifier, LinearSVC)
_ONE_VS_REST_OBJECTIVES = {"multiclassova", "multiclass_ova", "ova", "ovr"}
# Of LightGBM's and XGBoost's objectives, these know no positive class, with two classes either.
_WITHOUT_POSITIVE = {"cross_entropy", "xentropy", "cross_entropy_lambda", "xentlambda"}
_WITHOUT_POSITIVE |= {"multiclass", "softmax", "multi:softprob", "multi:softmax"}
_NAMES_OF_OBJECTIVE = ("objective", "objective_type", "app", "application", "loss")


def library(estimator):
    """Return the name of the library, among those in the table, that a classifier is of."""
    modules = (each.__module__.partition(".")[0] for each in type(estimator).__mro__)
    return next((name for name in modules if name in WAYS), None)


def weighing_parameters(estimator, n_classes=2):
    """Return the parameters by which an estimator itself weights classes, and their values."""
    if beta := getattr(estimator, "_beta_in_use", 0):  # one of ours
        return {"beta": beta}
    if isinstance(estimator, ComplementNB):  # has a prior, but does not ask it
        return {}
    ways = _ANYWHERE | WAYS.get(library(estimator), {})
    return {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if (way := ways.get(name)) is not None
        and not is_one_of(value, way.off)
        and (not way.two_classes or _has_positive(estimator, n_classes))
    }


def off_values(name, n_classes=2):
    """Return the values with which a parameter weights nothing, or None if it never does."""
    way = _ANYWHERE.get(name)
    return None if way is None or (way.two_classes and n_classes > 2) else way.off


def refusal(estimator, name, value, *, answers=True):
    """Say why a classifier that a parameter weights must not be weighted again, or None."""
    way = _ANYWHERE.get(name, Way((0,)))  # beta of one of ours
    kind = type(estimator).__name__
    if way.is_prior and not answers:
        return None
    if way.is_prior:
        return (
            f"{kind} must learn how frequent classes are, or their weights cannot reach its "
            f"probabilities: set {name}={way.off[0]!r}, got {value!r}."
        )
    remedy = f"set {name}={way.off[0]!r}" if way.off else "take one that does not resample"
    return (
        f"{kind} must not weight classes itself, or they are weighted twice: {remedy}, "
        f"got {'' if way.off else f'{name}='}{value!r}."
    )


def weight_of(estimator, name, value, given):
    """Return the weights that a parameter puts into the probabilities, or None if unknown."""
    way = _ANYWHERE.get(name)
    if way is None or way.undo is None:
        return None
    if not way.is_prior:
        if not weights_reach_proba(estimator):
            return np.ones(len(given.classes))
        if _is_one_vs_rest(estimator, len(given.classes)):
            return None
    return way.undo(estimator, value, given)


def weights_reach_proba(estimator):
    """Whether weights that a classifier is fitted with change its probabilities.

    Platt's scaling of support vector machines is learned without them.
    """
    return not isinstance(estimator, SVC | NuSVC)


def has_unweighted_objective(estimator):
    """Whether the objective is a function of one's own, which takes no weights."""
    taken = [signature(one).parameters for one in _objectives(estimator) if callable(one)]
    if library(estimator) == "lightgbm":  # which goes by their number, and says nothing
        return any(len(each) < 3 for each in taken)
    return library(estimator) == "xgboost" and any("sample_weight" not in each for each in taken)


def validation_arguments(estimator, X, y, sample_weight):
    """Return weighted validation data as the arguments by which a library's fit takes them."""
    if library(estimator) == "catboost":
        from catboost import Pool  # as it is there, if a classifier of its is

        names = ("cat_features", "text_features", "embedding_features")
        parameters = estimator.get_params()
        features = {name: parameters[name] for name in names if parameters.get(name) is not None}
        return {"eval_set": Pool(X, y, weight=sample_weight, **features)}
    if library(estimator) == "xgboost":  # which would print every score
        weights = {"sample_weight_eval_set": [sample_weight], "verbose": False}
        return {"eval_set": [(X, y)], **weights}
    if has_fit_parameter(estimator, "eval_X"):
        return {"eval_X": X, "eval_y": y, "eval_sample_weight": [sample_weight]}
    if has_fit_parameter(estimator, "eval_set"):
        return {"eval_set": [(X, y)], "eval_sample_weight": [sample_weight]}
    weighted = has_fit_parameter(estimator, "sample_weight_val")
    return {"X_val": X, "y_val": y} | ({"sample_weight_val": sample_weight} if weighted else {})


def _is_one_vs_rest(estimator, n_classes):
    """Whether a classifier is trained one class against the rest."""
    if n_classes <= 2:
        return False
    if library(estimator) == "lightgbm":
        return _has_objective(estimator, _ONE_VS_REST_OBJECTIVES)
    return isinstance(estimator, _ONE_VS_REST) or (
        isinstance(estimator, LogisticRegression)
        and (getattr(estimator, "multi_class", None) == "ovr" or estimator.solver == "liblinear")
    )


def _has_positive(estimator, n_classes):
    """Whether a classifier is trained on one class against the other, or against the rest."""
    if _has_objective(estimator, _WITHOUT_POSITIVE):
        return False
    return n_classes <= 2 or _is_one_vs_rest(estimator, n_classes)


def _has_objective(estimator, names):
    return any(isinstance(one, str) and one in names for one in _objectives(estimator))


def _objectives(estimator):
    """Return what is given as objective, by any of the names that libraries have for it."""
    parameters = estimator.get_params(deep=False)
    return [parameters[name] for name in _NAMES_OF_OBJECTIVE if name in parameters]


def is_one_of(value: Any, values: tuple) -> bool:
    """Whether a value, which may be an array, is one of these."""
    value = value.item() if isinstance(value, np.generic) else value  # as of a grid
    return isinstance(value, Number | str | None) and value in values
