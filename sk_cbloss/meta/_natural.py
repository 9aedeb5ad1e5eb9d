"""The way back from a weighted classifier's probabilities to those of its training data.

A classifier that is fitted with class weights w sees the classes as frequent as n w, where n are
their counts. Its probabilities, divided by w, are those for classes as frequent as n.
"""

from dataclasses import replace

import numpy as np
from sklearn.base import MetaEstimatorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline

from sk_cbloss.meta._aligned import proba_of
from sk_cbloss.meta._fit_weighted import SEARCH, check_is_instance, final_estimator
from sk_cbloss.meta._ways_of_weighing import (
    Given,
    weighing_parameters,
    weight_of,
    weights_reach_proba,
)

THRESHOLDS = (FixedThresholdClassifier, TunedThresholdClassifierCV)


def proba_with_weights(estimator, X, classes):
    """Return a fitted classifier's probabilities, with the `weights_within` in them, by class.

    Nets with a loss of ours, and what is corrected already, give natural ones.
    """
    estimator = _unwrapped(estimator)
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps[:-1]:
            if hasattr(step, "transform"):  # no sampler, which has done its work, or passthrough
                X = step.transform(X)
        return proba_with_weights(estimator.steps[-1][1], X, classes)
    if _weighs_another(estimator):
        return proba_with_weights(estimator.estimator_, X, classes)
    is_natural = hasattr(estimator, "predict_natural_proba")
    method = "predict_natural_proba" if is_natural else "predict_proba"
    return proba_of(estimator, X, classes, method=method)


def weights_within(estimator, classes, y, sample_weight=None):
    """Return the class weights in a fitted classifier's probabilities, but for a common factor.

    Parameters
    ----------
    estimator : classifier
        The fitted classifier.
    classes : ndarray of shape (n_classes,)
        The sorted classes of the labels.
    y : ndarray of shape (n_samples,)
        The labels it was fitted to.
    sample_weight : ndarray of shape (n_samples,), default=None
        The weights it was fitted with, beside its own.

    Returns
    -------
    ndarray of shape (n_classes,)
        Weights, in the order of classes.
    """
    return _weights_within(estimator, Given(classes, y, sample_weight))


def _weights_within(estimator, given):
    estimator = _unwrapped(estimator)
    if _weighs_another(estimator):
        weight = _weights_within(estimator.estimator_, given)
        return weight * handed_on(estimator.estimator_, estimator.class_weight_)
    if not isinstance(estimator, Pipeline):
        return _own_weight(estimator, given)
    drawn = given.y
    for _, step in estimator.steps[:-1]:
        if hasattr(step, "fit_resample"):
            drawn = _drawn(step, drawn)
    last, after = estimator.steps[-1][1], replace(given, y=drawn)
    weight = _weights_within(last, after)
    weight = weight * handed_on(last, getattr(estimator, "class_weight_", np.ones(len(weight))))
    return weight * after.count() / np.maximum(given.count(), 1)


def handed_on(estimator, class_weight):
    """Return what a fitted classifier's probabilities show of the weights it was fitted with."""
    while True:
        estimator = _unwrapped(estimator)
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif _weighs_another(estimator):
            estimator = estimator.estimator_
        else:
            return class_weight if weights_reach_proba(estimator) else np.ones(len(class_weight))


def check_can_be_undone(estimator, classes, sample_weight):
    """Raise a ValueError if parameters tell, before the fit, that weights cannot be undone."""
    while True:
        if isinstance(estimator, Pipeline):
            estimator = final_estimator(estimator)
        elif _weighs_another(estimator) or isinstance(estimator, THRESHOLDS):
            estimator = estimator.estimator
        else:
            break
    check_is_instance(estimator)
    # What a search will choose, and what is in a fitted classifier, is not for parameters to tell.
    parameters = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    is_search = {"estimator", "scoring"} <= parameters.keys()
    if not is_search and not isinstance(estimator, FrozenEstimator):
        weighted = None if sample_weight is None else np.ones(len(classes))
        _own_weight(estimator, Given(classes, classes, weighted))


def has_proba(estimator):
    """Whether a classifier has `predict_proba`, be it after its fit alone."""
    while not hasattr(estimator, "predict_proba"):
        if isinstance(estimator, Pipeline):
            estimator = final_estimator(estimator)
        elif isinstance(estimator, (SEARCH, *THRESHOLDS)) or _weighs_another(estimator):
            estimator = estimator.estimator
        else:
            # Its default is a logistic regression, which is there when it is fitted.
            return isinstance(estimator, StackingClassifier) and estimator.final_estimator is None
    return True


def _weighs_another(estimator):
    """Whether it is a ClassBalancedClassifier."""
    return isinstance(estimator, MetaEstimatorMixin) and hasattr(estimator, "_beta_in_use")


def _unwrapped(estimator):
    """Return the fitted classifier whose probabilities a search or the like hands on."""
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, THRESHOLDS):
            estimator = estimator.estimator_
        else:
            return estimator


def _drawn(sampler, y):
    """Return the labels that came out of a fitted sampler."""
    if not hasattr(sampler, "sample_indices_"):
        raise ValueError(
            "estimator must hold only samplers that tell which samples they drew "
            f"(sample_indices_), got {sampler!r}."
        )
    if sampler.sample_indices_.max() >= len(y):
        raise ValueError(
            "y must hold the labels that the fitted estimator was fitted to, got "
            f"{len(y)} labels for {sampler!r}."
        )
    return y[sampler.sample_indices_]


def _own_weight(estimator, given):
    """Return the weights that a classifier gives to classes by itself, and does not undo."""
    n_classes = len(given.classes)
    weight = np.ones(n_classes)
    if hasattr(estimator, "predict_natural_proba"):
        criterion = getattr(estimator, "criterion", None)
        is_torch = isinstance(criterion, type) or hasattr(criterion, "forward")
        if is_torch and not hasattr(criterion, "natural_proba"):
            _refuse(f"criterion={getattr(criterion, '__name__', criterion)}", estimator)
        return weight
    if isinstance(estimator, CalibratedClassifierCV) or not hasattr(estimator, "get_params"):
        return weight  # of calibrators: what it learned from samples without weights
    for name, value in weighing_parameters(estimator, n_classes).items():
        one = weight_of(estimator, name, value, given)
        if one is None:
            _refuse(f"{name}={value!r}", estimator)
        weight = weight * one
    if (weight == 0).any():
        _refuse("a weight of 0", estimator)
    for inside in estimator.get_params().values():
        if hasattr(inside, "fit_resample"):
            _refuse("a sampler inside", estimator)
        is_estimator = hasattr(inside, "get_params") and not isinstance(inside, type)
        if is_estimator and weighing_parameters(inside, n_classes):
            _refuse(f"the weights of {type(inside).__name__} inside", estimator)
    return weight


def normalized(p, possible):
    """Return rows that sum to 1; where nothing is left of one, all that is possible alike."""
    total = p.sum(axis=1, keepdims=True)
    p = p / np.where(total > 0, total, 1)
    p[~(total[:, 0] > 0)] = possible / possible.sum()
    return p


def _refuse(what, estimator):
    raise ValueError(
        f"estimator must weight classes in a way that can be undone, got {what} of "
        f"{type(estimator).__name__}: use ClassBalancedClassifier in its place, or calibrate "
        "it with CalibratedClassifierCV."
    )
