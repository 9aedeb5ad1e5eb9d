"""The way back from a weighted classifier's probabilities to those of its training data.

A classifier that is fitted with class weights w sees the classes as frequent as n w, where n are
their counts. Its probabilities, divided by w, are those for classes as frequent as n.
"""

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_class_weight

from sk_cbloss.meta._fit_weighted import WEIGHING_PARAMETERS, inner_classifiers, is_one_of


def proba_with_weights(estimator, X):
    """Return a fitted classifier's probabilities, with the `weights_within` in them.

    Nets with a loss of ours undo their own weights.
    """
    estimator = _unwrapped(estimator)
    if isinstance(estimator, Pipeline):
        for _, step in estimator.steps[:-1]:
            if hasattr(step, "transform"):  # no sampler, which has done its work, or passthrough
                X = step.transform(X)
        return proba_with_weights(estimator.steps[-1][1], X)
    natural = getattr(estimator, "predict_natural_proba", estimator.predict_proba)
    return natural(X)


def weights_within(estimator, y):
    """Return the class weights in a fitted classifier's probabilities, but for a common factor.

    Parameters
    ----------
    estimator : classifier
        The fitted classifier.
    y : ndarray of shape (n_samples,)
        The labels it was fitted to.

    Returns
    -------
    ndarray of shape (n_classes,)
        Weights, in the order of ``estimator.classes_``.
    """
    estimator = _unwrapped(estimator)
    if isinstance(estimator, Pipeline):
        weight = weights_within(estimator.steps[-1][1], y)
        for _, step in estimator.steps[:-1]:
            if hasattr(step, "fit_resample"):
                weight = weight * _sampled_share(step, y, estimator.classes_)
        return weight * getattr(estimator, "class_weight_", 1)
    if hasattr(estimator, "predict_natural_proba"):
        return np.ones(len(estimator.classes_))
    return _own_weight(estimator, y)


def _unwrapped(estimator):
    """Return the fitted classifier inside a search or a FrozenEstimator."""
    while True:
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        elif hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        else:
            return estimator


def _sampled_share(sampler, y, classes):
    """Return how many times as many samples of each class came out of a sampler as went in."""
    if not hasattr(sampler, "sample_indices_"):
        raise ValueError(
            "estimator must hold only samplers that tell which samples they drew "
            f"(sample_indices_), got {sampler!r}."
        )
    before, after = (
        np.bincount(np.searchsorted(classes, labels), minlength=len(classes))
        for labels in (y, y[sampler.sample_indices_])
    )
    return after / np.maximum(before, 1)


def _own_weight(estimator, y):
    """Return the weights that a classifier of others gives to classes by itself."""
    classes = estimator.classes_
    weight = np.ones(len(classes))
    for inside in (estimator, *inner_classifiers(estimator)):
        for name, off in WEIGHING_PARAMETERS.items():
            value = getattr(inside, name, None)
            if is_one_of(value, off):
                continue
            if inside is not estimator or name not in ("class_weight", "scale_pos_weight"):
                raise ValueError(
                    f"estimator must weigh classes in a way that can be undone, got {name}="
                    f"{value!r} of {type(inside).__name__}: weigh by ClassBalancedClassifier."
                )
            if name == "scale_pos_weight":
                weight = weight * [1, value]
            else:
                weight = weight * compute_class_weight(value, classes=classes, y=y)
    return weight
