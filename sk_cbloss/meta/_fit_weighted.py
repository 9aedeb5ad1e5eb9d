"""What a classifier makes of sample weights, and how they reach it."""

from sklearn import config_context
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

# The parameters by which classifiers weigh classes themselves, with the values that switch it off.
WEIGHING_PARAMETERS = {
    "class_weight": (None,),
    "class_weights": (None,),
    "auto_class_weights": (None, "None"),
    "is_unbalance": (None, False),
    "scale_pos_weight": (None, 1),
}


def final_estimator(estimator):
    """Return the last step of a Pipeline, at any depth, or the estimator itself."""
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return estimator


def check_takes_sample_weight(estimator):
    """Raise a TypeError if sample weights would not reach the estimator's loss."""
    refuses = _refuses_sample_weight(estimator)
    if refuses is not None:
        raise TypeError(
            f"{type(refuses).__name__} takes no sample_weight in fit, so its classes cannot be "
            "weighed. Put ClassBalancedClassifier inside, directly around an estimator whose "
            f"fit takes sample_weight; got {estimator!r}."
        )


def _refuses_sample_weight(estimator):
    """Return the estimator, here or inside, that takes no sample weights, or None."""
    if isinstance(estimator, Pipeline):
        resampler = next((s for _, s in estimator.steps if hasattr(s, "fit_resample")), None)
        return resampler or _refuses_sample_weight(final_estimator(estimator))
    if has_fit_parameter(estimator, "sample_weight"):
        return None
    # Searches, voting and stacking hand sample_weight on, through **fit_params.
    if hasattr(estimator, "estimator"):
        return _refuses_sample_weight(estimator.estimator)
    if hasattr(estimator, "estimators"):
        inner = [e for _, e in estimator.estimators if e not in ("drop", "passthrough", None)]
        return next(filter(None, map(_refuses_sample_weight, inner)), None)
    return estimator


def check_weighs_not_yet(estimator):
    """Raise a ValueError if the estimator weighs classes by itself."""
    final = final_estimator(estimator)
    for name, value in final.get_params(deep=True).items():
        off = WEIGHING_PARAMETERS.get(name.rpartition("__")[2])
        if off is not None and not any(value is o or value == o for o in off):
            raise ValueError(
                f"{type(final).__name__} must not weigh classes itself, or they are weighed "
                f"twice: set {name}={off[0]!r}, got {value!r}."
            )
    if getattr(final, "_weighs_classes", False):
        raise ValueError(
            f"{type(final).__name__} must not weigh classes itself, or they are weighed "
            f"twice: set beta=0, got beta={final.beta!r}."
        )


def fit_weighted(estimator, X, y, sample_weight):
    """Fit the estimator, a Pipeline's last step included, with sample weights."""
    path, step = [], estimator
    while isinstance(step, Pipeline):
        path.append(step.steps[-1][0])
        step = step.steps[-1][1]
    # These weights are ours to hand over: nobody has to request them.
    with config_context(enable_metadata_routing=False):
        return estimator.fit(X, y, **{"__".join([*path, "sample_weight"]): sample_weight})
