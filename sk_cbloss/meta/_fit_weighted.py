"""Which classifiers sample weights reach, which weight classes already, and the handing over."""

from collections.abc import Mapping

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from sk_cbloss.meta._counted import check_same_columns
from sk_cbloss.meta._ways_of_weighing import (
    has_unweighted_objective,
    is_one_of,
    library,
    off_values,
    refusal,
    validation_arguments,
    weighing_parameters,
)

SEARCH = GridSearchCV.__base__  # of all searches

# Their fit takes sample_weight among **fit_params and hands it on to what is inside.
HAND_ON = (SEARCH, StackingClassifier, VotingClassifier)

# They number the labels themselves, for what is inside.
NUMBER_LABELS = (BaggingClassifier, FrozenEstimator, StackingClassifier, VotingClassifier)

# What they answer is learned, with the weights, from what is inside.
LEARN_ANEW = (CalibratedClassifierCV, StackingClassifier)


def check_is_instance(estimator, name="estimator"):
    """Raise a TypeError if it is a class."""
    if isinstance(estimator, type):
        raise TypeError(f"{name} must be an instance, got the class {estimator.__name__}.")


def cloned(estimator):
    """Return a clone; of a classifier that changes lists that it is given, say what helps."""
    try:
        return clone(estimator)
    except RuntimeError as error:
        last = final_estimator(estimator)
        lists = {name: v for name, v in last.get_params().items() if isinstance(v, list)}
        if library(last) != "catboost" or not lists:
            raise
        name, value = next(iter(lists.items()))
        raise ValueError(
            f"{type(last).__name__} must have tuples for lists, which it copies so that "
            f"scikit-learn cannot clone it: set {name}={tuple(value)!r}, got {value!r}."
        ) from error


def with_tags_of(estimator, tags):
    """Return a wrapper's tags, of which those of what it takes are those of what is inside."""
    is_one = hasattr(estimator, "__sklearn_tags__") and not isinstance(estimator, type)
    inner = get_tags(estimator if is_one else _AnyClassifier())
    tags.input_tags = inner.input_tags
    tags.classifier_tags = inner.classifier_tags
    if tags.classifier_tags is not None:  # as of what is no classifier
        tags.classifier_tags.multi_label = False
    tags.array_api_support = False
    tags.non_deterministic = inner.non_deterministic
    return tags


class _AnyClassifier(ClassifierMixin, BaseEstimator):
    pass


def check_takes_sample_weight(estimator, name="estimator"):
    """Raise a TypeError if it is no classifier, or sample weights would not reach its loss."""
    check_is_instance(estimator, name)
    if not hasattr(final_estimator(estimator), "fit") or not is_classifier(estimator):
        raise TypeError(
            f"{name} must be a classifier, or a Pipeline that ends in one, got {estimator!r}."
        )
    refuses = not_reached(estimator)
    if refuses is not None:
        place = "" if refuses is estimator else f" inside {type(estimator).__name__}"
        raise TypeError(
            f"{type(refuses).__name__}{place} takes no sample_weight in fit, so its classes "
            f"cannot be weighted: {_remedy(estimator)}."
        )


def _remedy(estimator):
    """Say how to weight the classes of a classifier that sample weights do not reach."""
    inside = estimator.get_params().values() if hasattr(estimator, "get_params") else ()
    classifiers = [each for each in inside if isinstance(each, ClassifierMixin)]
    if any(not_reached(each) is None for each in classifiers):
        return "put ClassBalancedClassifier around those inside that take it"
    return "use ClassBalancedSampler in imbalanced-learn's Pipeline"


def not_reached(estimator, *, inside=False):
    """Return the estimator, here or inside, that sample weights do not reach, or None."""
    if isinstance(estimator, Pipeline):
        # Behind a sampler, weights would stand beside other samples than their own.
        sampler = next((s for _, s in estimator.steps if hasattr(s, "fit_resample")), None)
        if sampler is not None:
            return sampler
        refuses = not_reached(estimator.steps[-1][1], inside=inside)
        # Only we know the name by which a Pipeline takes its last step's weights.
        return estimator if refuses is None and inside else refuses
    if isinstance(estimator, HAND_ON):
        refusing = (not_reached(inner, inside=True) for inner in _inner(estimator))
        return next((one for one in refusing if one is not None), None)
    if isinstance(estimator, CalibratedClassifierCV):
        # Where weights do not reach what is inside, it would give them to the calibration alone.
        refusing = (
            None
            if isinstance(inner, FrozenEstimator) or has_fit_parameter(inner, "sample_weight")
            else not_reached(inner, inside=True) or inner
            for inner in _inner(estimator)
        )
        return next((one for one in refusing if one is not None), None)
    takes = has_fit_parameter(estimator, "sample_weight")
    return None if takes and not has_unweighted_objective(estimator) else estimator


def check_weighs_not_yet(estimator, n_classes=2, *, answers=True):
    """Raise a ValueError if a classifier that the weights reach weights classes by itself.

    Parameters
    ----------
    estimator : classifier
        The classifier.
    n_classes : int, default=2
        Some parameters have no effect on more than two classes.
    answers : bool, default=True
        Whether the answers are its own, rather than learned from them by another.
    """
    check_is_instance(estimator)
    if not hasattr(estimator, "get_params"):
        return
    for name, value in weighing_parameters(estimator, n_classes).items():
        if sentence := refusal(estimator, name, value, answers=answers):
            raise ValueError(sentence)
    if isinstance(estimator, Pipeline):
        return check_weighs_not_yet(estimator.steps[-1][1], n_classes, answers=answers)
    inner = _inner(estimator)
    for one in inner:
        heard = answers and not isinstance(estimator, LEARN_ANEW)
        check_weighs_not_yet(one, n_classes, answers=heard)
    ours = any(hasattr(final_estimator(one), "_beta_in_use") for one in inner)
    for name, values in _searched(estimator.get_params(deep=False)):
        last = name.rpartition("__")[2]
        off = (0,) if ours and last == "beta" else off_values(last, n_classes)
        if off is not None and not all(is_one_of(value, off) for value in values):
            raise ValueError(
                f"{type(estimator).__name__} must not search {name!r}, or classes are weighted "
                f"twice: search beta of ClassBalancedClassifier, got {values!r}."
            )


def _searched(parameters):
    """Yield the parameters that a search tries, each with its values."""
    grids = parameters.get("param_grid") or parameters.get("param_distributions") or ()
    for grid in [grids] if isinstance(grids, Mapping) else grids:
        for name, values in grid.items():
            # Of a distribution, one value tells enough.
            yield name, values if hasattr(values, "__iter__") else [values.rvs(random_state=0)]


def final_estimator(estimator):
    """Return the last step of a Pipeline, at any depth, if any, or the estimator itself."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1] if estimator.steps else None
    return estimator


def _inner(estimator):
    """Return the classifiers inside a meta-estimator."""
    parameters = estimator.get_params(deep=False)
    inner = [parameters.get("estimator"), parameters.get("final_estimator")]
    inner += [e for _, e in parameters.get("estimators") or ()]
    return [e for e in inner if hasattr(e, "fit")]


def sample_weight_name(estimator):
    """Return the name by which fit takes sample weights, a Pipeline for its last step."""
    path = []
    while isinstance(estimator, Pipeline):
        name, estimator = estimator.steps[-1]
        path.append(name)
    return "__".join([*path, "sample_weight"])


def fit_weighted(estimator, X, y, sample_weight, validation=None):
    """Fit the estimator, a Pipeline's last step included, with sample weights.

    Parameters
    ----------
    estimator : classifier
        The classifier.
    X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,)
        Labels.
    sample_weight : ndarray of shape (n_samples,)
        Weights.
    validation : tuple of (X, y, sample_weight), default=None
        Data for early stopping, to be transformed by the Pipeline's other steps.

    Returns
    -------
    estimator : classifier
        The same, fitted.
    """
    # These weights are ours to hand over: nobody has to request them.
    with config_context(enable_metadata_routing=False):
        if validation is None:
            return estimator.fit(X, y, **{sample_weight_name(estimator): sample_weight})
        if not isinstance(estimator, Pipeline):
            check_same_columns(X, validation[0])
            more = validation_arguments(estimator, *validation)
            return estimator.fit(X, y, sample_weight=sample_weight, **more)
        X_val, *others = validation
        if len(estimator) > 1:
            before = estimator[:-1]
            X, X_val = before.fit_transform(X, y), before.transform(X_val)
            estimator.steps[:-1] = before.steps
        fit_weighted(estimator.steps[-1][1], X, y, sample_weight, (X_val, *others))
        return estimator


def check_takes_validation(estimator):
    """Raise a TypeError if a classifier's fit takes no validation data."""
    last = final_estimator(estimator)
    if not any(has_fit_parameter(last, name) for name in ("X_val", "eval_set")):
        raise TypeError(
            f"X_val must be None for {type(last).__name__}, whose fit takes no validation data."
        )


def labels_for(estimator, y, classes, *, validated=False):
    """Return the labels, or their positions among the classes, if it takes nothing else."""
    is_numbered = classes.dtype.kind in "iu" and np.array_equal(classes, np.arange(len(classes)))
    if is_numbered or not _takes_positions_alone(estimator, validated):
        return y
    return np.searchsorted(classes, y)


def _takes_positions_alone(estimator, validated):
    while True:
        # LightGBM numbers the labels to fit to, but not (4.7) those to validate by.
        if library(estimator) == "xgboost" or (validated and library(estimator) == "lightgbm"):
            return True
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, NUMBER_LABELS) or hasattr(estimator, "predict_natural_proba"):
            return False  # or one of ours, which asks for itself
        elif hasattr(getattr(estimator, "estimator", None), "fit"):
            estimator = estimator.estimator
        else:
            return False
