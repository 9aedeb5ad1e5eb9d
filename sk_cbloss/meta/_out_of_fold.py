"""Probabilities out of fold, and the base of classifiers that learn their decision from them."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import check_cv
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping
from sklearn.utils.parallel import Parallel, delayed

from sk_cbloss._indicator import is_indicator
from sk_cbloss._state import all_or_nothing
from sk_cbloss._validation import check_can_be_cut
from sk_cbloss.meta._measured import miss_of, warn_of
from sk_cbloss.meta._natural import normalized
from sk_cbloss.meta._prior_corrected import PriorCorrectedClassifier


@dataclass(frozen=True)
class Fold:
    """What a classifier, fitted to the rest, says of the samples that were left out.

    Attributes
    ----------
    rows : ndarray
        The positions of the samples.
    proba : ndarray of shape (n_rows, n_classes)
        Their natural probabilities.
    classes_, class_count_ : ndarray of shape (n_classes,)
        Of the fitted classifier; a fold may lack a class, if it is not frozen.
    sample_weight : ndarray of shape (n_rows,) or None
        The weights of the samples.
    fitted : classifier or None
        The fitted classifier, where it is asked for by ``keeps_folds``.
    """

    rows: np.ndarray
    proba: np.ndarray
    classes_: np.ndarray
    class_count_: np.ndarray
    sample_weight: np.ndarray | None
    fitted: object


class OutOfFoldMixin:
    """What learns a decision out of fold; of a class, comes before a ProbaWrapper."""

    # Groups are for the splitter alone, which requests them.
    __metadata_request__fit: ClassVar[dict] = {"groups": UNUSED}

    keeps_folds = False

    @all_or_nothing
    def fit(self, X, y, sample_weight=None, groups=None):
        """Learn the decision out of fold, and fit the classifier to all data.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Whatever the classifier takes.
        y : array-like of shape (n_samples,), or (n_samples, n_labels)
            Class labels. For a classifier in a FrozenEstimator, which is not
            fitted again: if its weights come from the labels, as by
            ``class_weight="balanced"`` or a sampler, those it was fitted to.
            Where thresholds of several labels a sample can be learned, a column
            for each.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights that the samples have already. They reach the classifier,
            and what is learned out of fold.
        groups : array-like of shape (n_samples,), default=None
            Groups of samples, such as patients or sites, for a ``cv`` that
            keeps them together.

        Returns
        -------
        self : object
            The fitted classifier.

        Raises
        ------
        TypeError
            If the classifier has no ``predict_proba``, or takes no
            ``sample_weight`` but is given some.
        ValueError
            If a parameter is invalid, or its weights cannot be undone.

        Warns
        -----
        MiscalibratedPriorWarning
            If natural probabilities out of fold do not average to the classes'
            shares.
        """
        if is_indicator(y) and hasattr(self, "_fit_labels"):
            return self._fit_labels(X, y, sample_weight, groups)
        y, sample_weight, splits = self._fit(X, y, sample_weight, groups)
        folds = out_of_fold(self, X, y, sample_weight, splits) if splits else []
        if folds:
            natural, left_out = _natural(self, folds, len(y))
            weight = None if sample_weight is None else sample_weight[left_out]
            count = self.class_count_
            miss = miss_of(self.estimator, natural, y[left_out], self.classes_, count, weight)
        else:  # where nothing has to be out of fold
            miss = self._measured(X, y, sample_weight)
        warn_of(miss, stacklevel=4)  # past what puts back on errors
        self._decide(folds, y)
        return self

    def get_metadata_routing(self):
        """Say that the splitter takes what it requests, such as groups.

        Returns
        -------
        MetadataRouter
            See scikit-learn's guide on metadata routing.
        """
        return (
            MetadataRouter(owner=self)
            .add_self_request(self)
            .add(
                splitter=self._splitter(),
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
        )

    def _look_ahead(self, X, y, classes, sample_weight, groups):
        return self._splits(self._splitter(y), X, y, sample_weight, groups)

    def _splits(self, splitter, X, y, sample_weight, groups):
        """Return the folds, pairs of positions of rows to train on and to leave out."""
        if X is None:
            raise ValueError("X must hold a row for each sample, got None.")
        check_can_be_cut(X)
        splits = splitter.split(*indexable(X), y, groups)
        splits = [tuple(map(positions_of_rows, split)) for split in splits]
        if not splits:
            raise ValueError("cv must yield at least one split, got none.")
        for fold, (train, _) in enumerate(splits):
            if sample_weight is not None and not sample_weight[train].any():
                raise ValueError(
                    "sample_weight must not be 0 for every sample that a fold trains on, got only "
                    f"zeros for fold {fold} of {len(splits)}."
                )
        return splits

    def _splitter(self, y=None):
        return check_cv(self.cv, y, classifier=True)

    def _decide(self, folds, y):
        """Learn the decision from probabilities out of fold."""
        raise NotImplementedError


class AllRows:
    """Leave out all rows, of a classifier that was fitted to others."""

    def split(self, X, y=None, groups=None):
        rows = np.arange(len(y))
        yield rows, rows


def positions_of_rows(rows):
    """Return rows of a fold as positions, also where they are a mask."""
    rows = np.asarray(rows)
    return np.flatnonzero(rows) if rows.dtype.kind == "b" else rows


def out_of_fold(whole, X, y, sample_weight, splits):
    """Return a Fold for each split.

    Parameters
    ----------
    whole : OutOfFoldMixin
        Fitted to all data.
    X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
        Features.
    y : ndarray of shape (n_samples,)
        Labels.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights.
    splits : list of pairs of arrays
        Rows to train on, and rows to leave out.

    Returns
    -------
    list of Fold
        In the order of splits.
    """
    (X,) = indexable(X)
    one = delayed(_fold)
    return Parallel(n_jobs=whole.n_jobs)(
        one(whole, X, y, sample_weight, train, rows) for train, rows in splits
    )


def _fold(whole, X, y, sample_weight, train, rows):
    fitted = whole  # a frozen classifier learns nothing of a part
    if not isinstance(whole.estimator_, FrozenEstimator):
        weight = None if sample_weight is None else sample_weight[train]
        fitted = clone(PriorCorrectedClassifier(whole._to_fit()))
        fitted._fit(_safe_indexing(X, train), y[train], weight)
    p = fitted.predict_natural_proba(_safe_indexing(X, rows))
    weight = None if sample_weight is None else sample_weight[rows]
    kept = fitted if whole.keeps_folds else None
    return Fold(rows, p, fitted.classes_, fitted.class_count_, weight, kept)


def _natural(whole, folds, n_samples):
    """Return natural probabilities of the samples left out, and which these are."""
    total, times = np.zeros((n_samples, len(whole.classes_))), np.zeros(n_samples, dtype=int)
    for fold in folds:
        columns = np.searchsorted(whole.classes_, fold.classes_)
        total[np.ix_(fold.rows, columns)] += fold.proba
        times[fold.rows] += 1
    left_out = np.flatnonzero(times)
    return normalized(total[left_out], whole._seen()), left_out
