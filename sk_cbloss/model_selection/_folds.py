"""Candidates and folds as fits of nets: what comes before a net is fitted once a fold."""

import copy
from dataclasses import dataclass

import numpy as np
from joblib import hash as digest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from sk_cbloss.neural_net import CBNeuralNetClassifier, Fit
from sk_cbloss.weights import ClassBalancedWeigher


def net_of(estimator):
    """Return the net that an estimator is or ends in, or None."""
    last = estimator.steps[-1][1] if isinstance(estimator, Pipeline) else estimator
    return last if isinstance(last, CBNeuralNetClassifier) else None


def rows_of(values, rows, n_samples):
    """Return what of the values belongs to some rows; what is no value per row stays."""
    if values is None or isinstance(values, str) or not hasattr(values, "__len__"):
        return values
    n_values = values.shape[0] if hasattr(values, "shape") else len(values)
    return _safe_indexing(values, rows) if n_values == n_samples else values


@dataclass(eq=False)
class Job:
    """A candidate to be fitted to a fold.

    Attributes
    ----------
    estimator : estimator
        The candidate.
    fold : int
        Number of the fold.
    fit : Fit or None
        The fit of its net, if that is to be trained with others.
    prepared : Pipeline or None
        The Pipeline whose steps before the net are fitted.
    obstacle : str or None
        Why it must be fitted alone, if that is known beforehand.
    outcome : estimator, Exception or None
        The fitted candidate, or why it failed, as far as it is known.
    seconds : float
        How long the fit took.
    """

    estimator: BaseEstimator
    fold: int
    fit: Fit | None = None
    prepared: Pipeline | None = None
    obstacle: str | None = None
    outcome: object = None
    seconds: float = 0.0

    def take_fit(self):
        """Take what has become of the fit, which goes its way."""
        fit, self.fit = self.fit, None
        self.obstacle, self.seconds = fit.obstacle, fit.seconds
        self.outcome = fit.error or fit.fitted
        if self.prepared is not None and fit.fitted is not None:
            self.outcome = copy.copy(self.prepared)
            self.outcome.steps = [
                *self.prepared.steps[:-1],
                (self.estimator.steps[-1][0], fit.fitted),
            ]


class Folds:
    """The data of a search, and the steps before the net, fitted for each fold.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Features.
    y : array-like of shape (n_samples,)
        Labels.
    splits : list of pairs of arrays
        Rows to train and to test on.
    fit_params : dict
        Handed to the estimator's ``fit``.
    """

    def __init__(self, X, y, splits, fit_params):
        self.X, self.y, self.fit_params = X, y, fit_params
        self.n_samples = len(y)
        self.rows = [np.arange(self.n_samples)[train] for train, _ in splits]
        self.prepared = {}

    def data(self, fold):
        """Return features, labels and parameters of ``fit`` of the rows to train on."""
        rows = self.rows[fold]
        X, y = (_safe_indexing(values, rows) for values in (self.X, self.y))
        return X, y, self._params(rows)

    def job(self, estimator, candidate, fold):
        """Return the job of fitting a candidate to a fold.

        Parameters
        ----------
        estimator : estimator
            The candidate.
        candidate : dict
            The parameters that make it one.
        fold : int
            Number of the fold.

        Returns
        -------
        Job
            The job; with an outcome already if a step before the net failed.
        """
        job, net, rows = Job(estimator, fold), net_of(estimator), self.rows[fold]
        if net is None:
            job.obstacle = "it does not end in a CBNeuralNetClassifier"
            return job
        if not isinstance(estimator, Pipeline):
            X, y = self.X, _safe_indexing(self.y, rows)
            params = self._params(rows)
        elif any(isinstance(step, ClassBalancedWeigher) for _, step in estimator.steps):
            job.obstacle = "a ClassBalancedWeigher must see the net that it weighs"
            return job
        else:
            try:
                job.prepared, X, y, params = self._prepare(estimator, candidate, fold)
            except Exception as error:
                job.outcome = error
                return job
            rows = np.arange(X.shape[0] if hasattr(X, "shape") else len(X))
        others = params.keys() - {"sample_weight"}
        if others:
            job.obstacle = f"fit is given {min(others)}"
        else:
            job.fit = Fit(net, X, y, rows, sample_weight=params.get("sample_weight"))
        return job

    def _params(self, rows):
        return {
            name: rows_of(value, rows, self.n_samples) for name, value in self.fit_params.items()
        }

    def _prepare(self, estimator, candidate, fold):
        """Return the Pipeline whose steps before the net are fitted, and what they hand on."""
        name = estimator.steps[-1][0]
        others = {k: v for k, v in candidate.items() if k.partition("__")[0] != name}
        try:
            key = fold, digest(others)
        except Exception:  # of what cannot be pickled
            key = fold, id(estimator)
        if key not in self.prepared:
            try:
                whole, catcher = clone(estimator), _Catcher(net_of(estimator))
                whole.steps[-1] = name, catcher
                X, y, params = self.data(fold)
                whole.fit(X, y, **params)
                self.prepared[key] = whole, *catcher.caught
            except Exception as error:
                self.prepared[key] = error
        if isinstance(self.prepared[key], Exception):
            raise self.prepared[key]
        return self.prepared[key]


class _Catcher(ClassifierMixin, BaseEstimator):
    """Keep what a Pipeline hands to its last step."""

    def __init__(self, net):
        self.net = net

    def fit(self, X, y=None, **params):
        self.caught = X, y, params
        return self

    def get_metadata_routing(self):
        return self.net.get_metadata_routing()
