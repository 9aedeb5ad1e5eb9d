"""The base of classifiers that change another one's probabilities, by a factor for each class."""

import reprlib

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._doc_link import DocLink
from sk_cbloss._state import all_or_nothing
from sk_cbloss.meta._aligned import same_classes
from sk_cbloss.meta._counted import counted
from sk_cbloss.meta._fit_weighted import (
    cloned,
    fit_weighted,
    labels_for,
    not_reached,
    with_tags_of,
)
from sk_cbloss.meta._measured import miss_of, some_rows, warn_of
from sk_cbloss.meta._natural import (
    check_can_be_undone,
    has_proba,
    normalized,
    proba_with_weights,
    weights_within,
)
from sk_cbloss.weights import ClassBalancedWeigher


class ProbaWrapper(DocLink, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Base of classifiers that decide in their own way by another one's probabilities.

    Parameters
    ----------
    estimator : classifier
        A classifier with ``predict_proba``.
    """

    def __init__(self, estimator):
        self.estimator = estimator

    @all_or_nothing
    def fit(self, X, y, sample_weight=None):
        """Fit the classifier, and count the classes.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Whatever the classifier takes.
        y : array-like of shape (n_samples,)
            Class labels. For a classifier in a FrozenEstimator, which is not
            fitted again: if its weights come from the labels, as by
            ``class_weight="balanced"`` or a sampler, those it was fitted to.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights that the samples have already.

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
            If natural probabilities of the training data do not average to the
            classes' shares.
        """
        y, sample_weight, _ = self._fit(X, y, sample_weight)
        warn_of(self._measured(X, y, sample_weight), stacklevel=4)  # past what puts back on errors
        return self

    def _measured(self, X, y, sample_weight):
        """Say if natural probabilities of some training rows miss the classes' shares, or None."""
        some = some_rows(X, y, sample_weight)
        if some is None:
            return None
        X, y, sample_weight = some
        p, count = self.predict_natural_proba(X), self.class_count_
        return miss_of(self.estimator, p, y, self.classes_, count, sample_weight)

    def _fit(self, X, y, sample_weight, groups=None):
        """Check everything, then fit; return labels, weights and folds."""
        self._check_parameters()
        if not has_proba(self.estimator):
            raise TypeError(f"estimator must have predict_proba, got {self.estimator!r}.")
        counter = ClassBalancedWeigher(0)
        y, sample_weight = counted(self, counter, y, sample_weight)
        splits = self._look_ahead(X, y, counter.classes_, sample_weight, groups)
        check_can_be_undone(self._to_fit(), counter.classes_, sample_weight)
        estimator = cloned(self._to_fit())
        counter = self._with_known(estimator, counter)
        inner_y = labels_for(estimator, y, counter.classes_)
        if isinstance(estimator, FrozenEstimator) or sample_weight is None:
            estimator.fit(X, inner_y)
        elif (refuses := not_reached(estimator)) is not None:
            raise TypeError(
                "sample_weight must be None for an estimator whose fit takes none, got one for "
                f"{type(refuses).__name__}."
            )
        else:
            fit_weighted(estimator, X, inner_y, sample_weight)
        inner_classes = labels_for(estimator, counter.classes_, counter.classes_)
        self._learn(
            estimator,
            counter,
            weights_within(estimator, inner_classes, inner_y, sample_weight),
        )
        return y, sample_weight, splits

    def _learn(self, estimator, counter, class_weight):
        """Take a fitted estimator, and the weights that are in its probabilities."""
        inner_classes = labels_for(estimator, counter.classes_, counter.classes_)
        if not same_classes(np.asarray(estimator.classes_), inner_classes):
            fitted, given = (one.classes_.tolist() for one in (estimator, counter))
            missing, more = (
                [c for c in a if c not in b] for a, b in ((fitted, given), (given, fitted))
            )
            which = f"also {more[0]!r}" if more else f"none of {missing[0]!r}"
            raise ValueError(
                f"y must hold the classes of the fitted estimator, {reprlib.repr(fitted)}, got "
                f"{reprlib.repr(given)}: {which}."
            )
        self.estimator_, self.classes_ = estimator, counter.classes_
        self.class_count_, self.class_weight_ = counter.class_count_, class_weight
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(estimator, name):
                setattr(self, name, getattr(estimator, name))

    def _to_fit(self):
        """Return what is cloned and fitted."""
        return self.estimator

    def _with_known(self, estimator, counter):
        """Return the classes that there are, and how many samples each has."""
        return counter

    def _seen(self):
        """Return which classes the classifier has seen: those with samples of some weight."""
        return self.class_count_ > 0

    def _check_parameters(self):
        """Raise a ValueError if a parameter is invalid."""

    def _look_ahead(self, X, y, classes, sample_weight, groups):
        """Check what parameters ask of the data, and return the folds if there are any."""

    def _factor(self, seen):
        """Return by what the probability of each class that is possible is multiplied."""
        raise NotImplementedError

    def predict_natural_proba(self, X):
        """Predict probabilities for classes as frequent as in the training data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, for risks and expected counts.
        """
        check_is_fitted(self)
        return self._scaled(X, 1 / self.class_weight_[self._seen()])

    def _scaled(self, X, factor):
        """Return probabilities times a factor for each class that was seen."""
        of_all = np.zeros(len(self.classes_))
        of_all[self._seen()] = factor
        return normalized(
            proba_with_weights(self.estimator_, X, self.classes_) * of_all, of_all > 0
        )

    def __sklearn_is_fitted__(self):
        return hasattr(self, "class_count_")

    def __sklearn_tags__(self):
        return with_tags_of(self.estimator, super().__sklearn_tags__())


class ScaledProbaClassifier(ProbaWrapper):
    """Base of classifiers that multiply another one's probabilities, by class.

    Parameters
    ----------
    estimator : classifier
        A classifier with ``predict_proba``.
    """

    def predict_proba(self, X):
        """Predict the probabilities, with the classes' factors.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities.
        """
        check_is_fitted(self)
        return self._scaled(X, self._factor(self._seen()))

    def predict_log_proba(self, X):
        """Predict the logarithms of the probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of what ``predict_proba`` gives.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X):
        """Predict the class of the largest probability.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predicted labels.
        """
        p = self.predict_proba(X)
        return self.classes_[p.argmax(axis=1)]
