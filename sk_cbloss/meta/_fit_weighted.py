"""Which classifiers sample weights reach, whether these weigh already, and the handing over."""

from collections.abc import Mapping
from numbers import Number

from sklearn import config_context
from sklearn.base import ClassifierMixin, is_classifier
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import has_fit_parameter

# Their fit takes sample_weight among **fit_params and hands it on to what is inside. (The first
# is the base of all searches.)
HAND_ON = (GridSearchCV.__base__, StackingClassifier, VotingClassifier)

# The parameters by which classifiers weigh classes themselves, with the values that switch it off.
WEIGHING_PARAMETERS = {
    "class_weight": (None,),
    "class_weights": (None,),
    "auto_class_weights": (None, "None"),
    "is_unbalance": (None, False),
    "scale_pos_weight": (None, 1),
}


def check_takes_sample_weight(estimator, name="estimator"):
    """Raise a TypeError if it is no classifier, or sample weights would not reach its loss."""
    if isinstance(estimator, type):
        raise TypeError(f"{name} must be an instance, got the class {estimator.__name__}.")
    if not hasattr(final_estimator(estimator), "fit") or not is_classifier(estimator):
        raise TypeError(
            f"{name} must be a classifier, or a Pipeline that ends in one, got {estimator!r}."
        )
    refuses = not_reached(estimator)
    if refuses is not None:
        place = "" if refuses is estimator else f" inside {type(estimator).__name__}"
        raise TypeError(
            f"{type(refuses).__name__}{place} takes no sample_weight in fit, so its classes "
            f"cannot be weighed: {_remedy(estimator)}."
        )


def _remedy(estimator):
    """Say how to weigh the classes of a classifier that sample weights do not reach."""
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
    return None if has_fit_parameter(estimator, "sample_weight") else estimator


def check_weighs_not_yet(estimator):
    """Raise a ValueError if a classifier that the weights reach weighs classes by itself."""
    if not hasattr(estimator, "get_params"):
        return
    for name, value in weighing_parameters(estimator).items():
        off = 0 if name == "beta" else WEIGHING_PARAMETERS[name][0]
        raise ValueError(
            f"{type(estimator).__name__} must not weigh classes itself, or they are weighed "
            f"twice: set {name}={off!r}, got {value!r}."
        )
    if isinstance(estimator, Pipeline):
        return check_weighs_not_yet(estimator.steps[-1][1])
    inner = _inner(estimator)
    for one in inner:
        check_weighs_not_yet(one)
    parameters = estimator.get_params(deep=False)
    ours = any(hasattr(final_estimator(one), "_beta_in_use") for one in inner)
    for name, values in _searched(parameters):
        last = name.rpartition("__")[2]
        off = (0,) if ours and last == "beta" else WEIGHING_PARAMETERS.get(last)
        if off is not None and not all(_is_one_of(value, off) for value in values):
            raise ValueError(
                f"{type(estimator).__name__} must not search {name!r}, or classes are weighed "
                f"twice: search beta of ClassBalancedClassifier, got {values!r}."
            )


def weighing_parameters(estimator):
    """Return the parameters by which an estimator itself weighs classes, and their values."""
    if beta := getattr(estimator, "_beta_in_use", 0):  # one of ours
        return {"beta": beta}
    given = estimator.get_params(deep=False)
    return {
        name: given[name]
        for name, off in WEIGHING_PARAMETERS.items()
        if name in given and not _is_one_of(given[name], off)
    }


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


def _is_one_of(value, values):
    return isinstance(value, Number | str | None) and value in values


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


def fit_weighted(estimator, X, y, sample_weight):
    """Fit the estimator, a Pipeline's last step included, with sample weights."""
    # These weights are ours to hand over: nobody has to request them.
    with config_context(enable_metadata_routing=False):
        return estimator.fit(X, y, **{sample_weight_name(estimator): sample_weight})
