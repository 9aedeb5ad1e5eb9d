"""The classifier at the end of a Pipeline or a search, for methods that these do not hand on."""

from sklearn.pipeline import Pipeline


def at_the_end(estimator, X, method):
    """Return the classifier that has a method, and features as they reach it.

    Parameters
    ----------
    estimator : object
        One that has the method, or a fitted Pipeline or search that ends in one.
    X : array-like of shape (n_samples, n_features)
        What the estimator takes.
    method : str
        The name of the method.

    Returns
    -------
    estimator : object or None
        The classifier; None if there is none.
    X : array-like of shape (n_samples, n_features)
        What it takes.
    """
    if isinstance(estimator, type):
        return None, X
    while not hasattr(estimator, method):
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            for _, step in estimator.steps[:-1]:
                if hasattr(step, "transform"):  # no sampler, which has done its work
                    X = step.transform(X)
            estimator = estimator.steps[-1][1]
        else:
            return None, X
    return estimator, X
