"""Candidates and folds as fits of nets: what comes before a net is fitted once a fold."""

from dataclasses import dataclass

import numpy as np
from joblib import hash as digest
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.model_selection import check_cv
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from sk_cbloss._indicator import is_indicator, with_plain_numbers
from sk_cbloss._labels import as_labels, read_labels
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


def as_split(y, *, has_columns):
    """Return labels as scikit-learn splits and scores them: in pandas, or else as arrays.

    A matrix with a column for each label, or for the only one, is checked by the nets.
    """
    if is_indicator(y) or has_columns:
        return with_plain_numbers(y)
    labels = as_labels(y)  # which says what is wrong with them
    return y if hasattr(y, "iloc") and len(y.shape) == 1 else labels


def splitter(cv, y):
    """Return what splits y: without strata where it has columns, whatever is not known of them."""
    return check_cv(cv, y, classifier=not is_indicator(y))


class Kept(dict):
    """What a process keeps from one stack to the next; another process makes its own."""

    def __reduce__(self):
        return Kept, ()

    def of(self, key, make):
        """Return what is kept by a key, made now if it is not there."""
        if key not in self:
            self[key] = make()
        return self[key]


@dataclass(eq=False)
class Job:
    """A candidate to be fitted to a fold.

    Attributes
    ----------
    estimator : estimator
        The candidate.
    others : dict
        Those of its parameters that are not the net's.
    fold : int
        Number of the fold.
    place : int
        Where it stands in the search's order.
    """

    estimator: BaseEstimator
    others: dict
    fold: int
    place: int

    @property
    def net(self):
        return net_of(self.estimator)


def job(estimator, candidate, fold, place):
    """Return the job of fitting an estimator, which a candidate's parameters made, to a fold."""
    name = estimator.steps[-1][0] if isinstance(estimator, Pipeline) else None
    others = {k: v for k, v in candidate.items() if k.partition("__")[0] != name}
    return Job(estimator, others if name else {}, fold, place)


class Folds:
    """The data of a search, and the steps before the net, fitted for each fold.

    Parameters
    ----------
    X : array-like of shape (n_samples, ...)
        Features.
    y : array-like of shape (n_samples,)
        Labels.
    splits : dict
        Rows to train and to test on, by the fold's number.
    fit_params : dict
        Handed to the estimator's ``fit``.
    kept : Kept
        What is kept of each fold.
    """

    def __init__(self, X, y, splits, fit_params, kept):
        self.X, self.y, self.splits, self.fit_params = X, y, splits, fit_params
        self.n_samples, self.kept = y.shape[0], kept

    @property
    def has_columns(self):
        """Whether labels are a matrix with a column for each."""
        return len(self.y.shape) > 1

    def labels(self, fold):
        """Return the labels of the rows to train on."""
        rows, _ = self.splits[fold]
        return self.kept.of(("labels", fold), lambda: _safe_indexing(self.y, rows))

    def params(self, fold):
        """Return the parameters of ``fit``, of the rows to train on."""

        def cut():
            rows, _ = self.splits[fold]
            given = self.fit_params.items()
            return {name: rows_of(value, rows, self.n_samples) for name, value in given}

        return self.kept.of(("params", fold), cut)

    def data(self, fold):
        """Return features, labels and parameters of ``fit`` of the rows to train on."""
        rows, _ = self.splits[fold]
        return _safe_indexing(self.X, rows), self.labels(fold), self.params(fold)

    def obstacle(self, job):
        """Return why a job must be fitted alone, as far as its steps tell."""
        if job.net is None:
            return "it does not end in a CBNeuralNetClassifier"
        if isinstance(job.estimator, Pipeline):
            if any(isinstance(step, ClassBalancedWeigher) for _, step in job.estimator.steps):
                return "a ClassBalancedWeigher must see the net that it weights"
        elif others := self.fit_params.keys() - {"sample_weight"}:
            return f"fit is given {min(others)}"
        return None

    def form(self, job):
        """Return what tells the form of the data that a job's net is trained on."""
        return self.kept.of(("form", job.fold), lambda: self._form(job.fold)), _key(job)

    def _form(self, fold):
        rows, _ = self.splits[fold]
        if self.has_columns:  # a label that no row has is one all the same
            return len(rows), self.y.shape[1]
        codes = self.kept.of("codes", lambda: read_labels(self.y).encode()[1])
        return len(rows), digest(np.unique(codes[rows]))

    def fit_of(self, job):
        """Return the fit of a job's net, and the Pipeline whose steps before it are fitted."""
        rows, _ = self.splits[job.fold]
        if isinstance(job.estimator, Pipeline):
            prepared, X, y, params = self._prepared(job)
            rows = np.arange(X.shape[0] if hasattr(X, "shape") else len(X))
        else:
            prepared, X, y, params = None, self.X, self.labels(job.fold), self.params(job.fold)
        fit = Fit(job.net, X, y, rows, sample_weight=params.get("sample_weight"))
        if others := params.keys() - {"sample_weight"}:
            fit.obstacle = f"fit is given {min(others)}"
        return fit, prepared

    def _prepared(self, job):
        """Return the Pipeline whose steps before the net are fitted, and what they hand on."""

        def prepare():
            try:
                whole, catcher = clone(job.estimator), _Catcher(job.net)
                whole.steps[-1] = whole.steps[-1][0], catcher
                X, y, params = self.data(job.fold)
                whole.fit(X, y, **params)
                return whole, *catcher.caught
            except Exception as error:
                return error

        prepared = self.kept.of(("prepared", job.fold, _key(job)), prepare)
        if isinstance(prepared, Exception):
            raise prepared
        return prepared


def _key(job):
    """Return a name for the parameters that are not the net's."""
    try:
        return digest(job.others)
    except Exception:  # of what cannot be pickled
        return id(job.estimator)


class _Catcher(ClassifierMixin, BaseEstimator):
    """Keep what a Pipeline hands to its last step."""

    def __init__(self, net):
        self.net = net

    def fit(self, X, y=None, **params):
        self.caught = X, y, params
        return self

    def get_metadata_routing(self):
        return self.net.get_metadata_routing()
