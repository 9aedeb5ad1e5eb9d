"""What scikit-learn's search is given to fit: estimators that have been fitted already."""

from sklearn.base import BaseEstimator, clone


class Trained(BaseEstimator):
    """Stand in for an estimator in a search; ``fit`` turns it into what has become of it.

    So scikit-learn's own search scores, ranks and refits, in every version as it sees fit.

    Parameters
    ----------
    estimator : estimator
        What it stands in for.
    outcomes : iterator
        Fitted estimators, what stands for them, or the exceptions of those
        that failed, in the order in which the search sets their parameters.
        After the last one, the estimator itself is fitted.
    X : array-like, default=None
        What to fit it to, if the search is given a stand-in for that, too.
    """

    def __init__(self, estimator, outcomes, X=None):
        self.estimator = estimator
        self.outcomes = outcomes
        self.X = X
        self.outcome = None

    def __sklearn_clone__(self):
        return Trained(clone(self.estimator), self.outcomes, self.X)

    def get_params(self, deep=True):
        return self.estimator.get_params(deep=deep)

    def set_params(self, **params):
        self.estimator.set_params(**params)
        # Not in fit, whose errors the search takes for those of one candidate.
        self.outcome = next(self.outcomes, None)
        return self

    def fit(self, X, y=None, **params):
        estimator = self.outcome
        if isinstance(estimator, Exception):
            raise estimator
        if estimator is None:
            estimator = self.estimator.fit(X if self.X is None else self.X, y, **params)
        for name in ("estimator", "outcomes", "X", "outcome"):
            del vars(self)[name]
        vars(self).update(vars(estimator))  # beside the marks that scikit-learn's callbacks leave
        self.__class__ = type(estimator)
        return self

    @property
    def score(self):
        return self.estimator.score

    def get_metadata_routing(self):
        return self.estimator.get_metadata_routing()

    def __sklearn_tags__(self):
        return self.estimator.__sklearn_tags__()
