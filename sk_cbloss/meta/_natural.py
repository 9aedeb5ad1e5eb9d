"""The way back from a weighted classifier's probabilities to those of its training data.

A classifier that is fitted with class weights w sees the classes as frequent as n w, where n are
their counts. Its probabilities, divided by w, are those for classes as frequent as n.
"""

import numpy as np
from sklearn.base import MetaEstimatorMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_class_weight

from sk_cbloss.meta._fit_weighted import final_estimator, weighing_parameters

THRESHOLDS = (FixedThresholdClassifier, TunedThresholdClassifierCV)


def proba_with_weights(estimator, X):
    """Return a fitted classifier's probabilities, with the `weights_within` in them.

    Nets with a loss of ours, and what is corrected already, give natural ones.
    """
    estimator = _unwrapped(estimator)
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps[:-1]:
            if hasattr(step, "transform"):  # no sampler, which has done its work, or passthrough
                X = step.transform(X)
        return proba_with_weights(estimator.steps[-1][1], X)
    if _weighs_another(estimator):
        return proba_with_weights(estimator.estimator_, X)
    natural = getattr(estimator, "predict_natural_proba", estimator.predict_proba)
    return natural(X)


def weights_within(estimator, y, sample_weight=None):
    """Return the class weights in a fitted classifier's probabilities, but for a common factor.

    Parameters
    ----------
    estimator : classifier
        The fitted classifier.
    y : ndarray of shape (n_samples,)
        The labels it was fitted to.
    sample_weight : ndarray of shape (n_samples,), default=None
        The weights it was fitted with, beside its own.

    Returns
    -------
    ndarray of shape (n_classes,)
        Weights, in the order of ``estimator.classes_``.
    """
    estimator = _unwrapped(estimator)
    classes = estimator.classes_
    if _weighs_another(estimator):
        return estimator.class_weight_ * weights_within(estimator.estimator_, y, sample_weight)
    if not isinstance(estimator, Pipeline):
        return _own_weight(estimator, classes, y, sample_weight)
    drawn = y
    for _, step in estimator.steps[:-1]:
        if hasattr(step, "fit_resample"):
            drawn = _drawn(step, drawn)
    before, after = (
        np.bincount(np.searchsorted(classes, labels), minlength=len(classes))
        for labels in (y, drawn)
    )
    weight = weights_within(estimator.steps[-1][1], drawn, sample_weight)
    return weight * getattr(estimator, "class_weight_", 1) * after / np.maximum(before, 1)


def check_can_be_undone(estimator, classes, sample_weight):
    """Raise a ValueError if parameters tell, before the fit, that weights cannot be undone."""
    while True:
        if isinstance(estimator, Pipeline):
            estimator = final_estimator(estimator)
        elif _weighs_another(estimator) or isinstance(estimator, THRESHOLDS):
            estimator = estimator.estimator
        else:
            break
    # What a search will choose, and what is in a fitted classifier, is not for parameters to tell.
    parameters = estimator.get_params(deep=False) if hasattr(estimator, "get_params") else {}
    is_search = {"estimator", "scoring"} <= parameters.keys()
    if not is_search and not isinstance(estimator, FrozenEstimator):
        _own_weight(estimator, classes, classes, sample_weight)


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


def _own_weight(estimator, classes, y, sample_weight):
    """Return the weights that a classifier gives to classes by itself, and does not undo."""
    weight = np.ones(len(classes))
    if hasattr(estimator, "predict_natural_proba"):
        criterion = getattr(estimator, "criterion", None)
        is_torch = isinstance(criterion, type) or hasattr(criterion, "forward")
        if is_torch and not hasattr(criterion, "natural_proba"):
            _refuse(f"criterion={getattr(criterion, '__name__', criterion)}", estimator)
        return weight
    if isinstance(estimator, CalibratedClassifierCV) or not hasattr(estimator, "get_params"):
        return weight  # of calibrators: what it learned from samples without weights
    if hasattr(estimator, "sampling_strategy"):  # imbalanced-learn's ensembles
        _refuse("the resampling", estimator)
    if getattr(estimator, "priors", None) is not None:
        _refuse("the priors", estimator)
    for name, value in weighing_parameters(estimator).items():
        if name == "scale_pos_weight":
            weight = weight * [1, value]
        elif name == "class_weight" and isinstance(value, dict):
            weight = weight * compute_class_weight(value, classes=classes, y=y)
        elif name == "class_weight" and isinstance(value, str) and sample_weight is None:
            weight = weight * compute_class_weight("balanced", classes=classes, y=y)
        else:
            _refuse(f"{name}={value!r}", estimator)
    if (weight == 0).any():
        _refuse("a weight of 0", estimator)
    for inside in estimator.get_params().values():
        if hasattr(inside, "fit_resample"):
            _refuse("a sampler inside", estimator)
        is_estimator = hasattr(inside, "get_params") and not isinstance(inside, type)
        if is_estimator and weighing_parameters(inside):
            _refuse(f"the weights of {type(inside).__name__} inside", estimator)
    return weight


def normalized(p, possible):
    """Return rows that sum to 1; where nothing is left of one, all that is possible alike."""
    total = p.sum(axis=1, keepdims=True)
    return np.where(total > 0, p / np.where(total > 0, total, 1), possible / possible.sum())


def _refuse(what, estimator):
    raise ValueError(
        f"estimator must weigh classes in a way that can be undone, got {what} of "
        f"{type(estimator).__name__}: weigh by ClassBalancedClassifier in its place, or calibrate "
        "it with CalibratedClassifierCV."
    )
