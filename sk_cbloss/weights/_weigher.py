"""ClassBalancedWeigher, a transformer that learns class weights."""

import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sk_cbloss._doc_link import DocLink
from sk_cbloss._labels import joined, read_labels, sorted_with_ranks
from sk_cbloss._state import all_or_nothing
from sk_cbloss._validation import (
    check_beta,
    check_normalize,
    check_same_length,
    check_sample_weight,
)
from sk_cbloss.weights._class_weight import class_balanced_weight
from sk_cbloss.weights._effective_number import effective_number

# A variable of the context, since attributes are lost when a Pipeline clones its steps.
_WEIGHTS_ARE_USED = ContextVar("whether somebody fetches the weights", default=False)


@contextmanager
def weights_used():
    """Let no weigher warn: whoever fits it hands its weights on."""
    token = _WEIGHTS_ARE_USED.set(True)
    try:
        yield
    finally:
        _WEIGHTS_ARE_USED.reset(token)


class UnusedWeightsWarning(UserWarning):
    """The weights that a ClassBalancedWeigher learned reach no estimator."""


class ClassBalancedWeigher(DocLink, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Learn class-balanced weights, and give them to any labels of the same classes.

    Features pass through unchanged; what it learns are the classes' counts,
    effective numbers and weights, and ``sample_weight(y)`` hands them out.

    Parameters
    ----------
    beta : float in [0, 1], default=0.999
        See :func:`effective_number`. 0 weighs all classes alike, 1 gives
        inverse frequency.
    normalize : {"classes", "samples"} or None, default="samples"
        See :func:`class_balanced_weight`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Sorted class labels.
    class_count_ : ndarray of shape (n_classes,), dtype float64
        Number of samples of each class, or the sum of their weights.
    effective_number_ : ndarray of shape (n_classes,), dtype float64
        Effective number of samples of each class.
    class_weight_ : ndarray of shape (n_classes,), dtype float64
        Weight of each class; 0 for a class whose samples all have weight 0.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in fit, if X has names that are all strings.

    See Also
    --------
    ClassBalancedClassifier : Weighs any classifier, fold by fold.
    class_balanced_sample_weight : The same as a function, in one step.

    Notes
    -----
    In :class:`sk_cbloss.pipeline.Pipeline` it weighs the last step.
    scikit-learn's Pipeline cannot hand weights from one step to the next, so a
    weigher there would have no effect; ``fit_transform`` says so with an
    :class:`UnusedWeightsWarning`.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 4.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sk_cbloss import ClassBalancedWeigher
    >>> X, y = [[0], [1], [2], [3]], ["rare", "common", "common", "common"]
    >>> weigher = ClassBalancedWeigher(beta=0.9).fit(X, y)
    >>> weigher.class_count_
    array([3., 1.])
    >>> weigher.sample_weight(y).round(3)
    array([1.898, 0.701, 0.701, 0.701])
    >>> model = LogisticRegression().fit(X, y, sample_weight=weigher.sample_weight(y))
    """

    def __init__(self, beta=0.999, *, normalize="samples"):
        self.beta = beta
        self.normalize = normalize

    def fit(self, X, y, sample_weight=None):
        """Learn the classes' weights.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Features; only their shape and names are looked at.
        y : array-like of shape (n_samples,)
            Class labels of any kind; see :func:`class_balanced_sample_weight`.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights that the samples have already; a class counts their sum.

        Returns
        -------
        self : ClassBalancedWeigher
            The fitted weigher.

        Raises
        ------
        ValueError
            If a parameter or the data is invalid.
        """
        return self._learn(X, y, sample_weight, anew=True)

    def partial_fit(self, X, y, sample_weight=None):
        """Add the samples of one more chunk to the counts.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Features; only their shape and names are looked at.
        y : array-like of shape (n_samples,)
            Class labels; new classes may come with any chunk. A chunk without
            samples changes nothing.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights that the samples have already; a class counts their sum.

        Returns
        -------
        self : ClassBalancedWeigher
            The weigher, fitted to all chunks so far.

        Raises
        ------
        ValueError
            If a parameter or the data is invalid.
        """
        anew = not hasattr(self, "classes_")
        return self._learn(X, y, sample_weight, anew=anew, may_be_empty=True)

    @all_or_nothing
    def _learn(self, X, y, sample_weight, *, anew, may_be_empty=False):
        beta, normalize = check_beta(self.beta), check_normalize(self.normalize)
        if y is None:
            raise ValueError(
                "ClassBalancedWeigher requires y to be passed, but the target y is None."
            )
        labels = read_labels(y)
        n_samples = len(labels.values)
        if may_be_empty and not n_samples and not _n_rows(X):
            return self
        X = self._check_features(X, reset=anew)
        if (n_rows := _n_rows(X)) is not None:
            check_same_length(n_rows, n_samples)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, n_samples)
        new_count = labels.count()
        seen = np.flatnonzero(new_count)  # with weights of 0, too
        if sample_weight is not None:
            new_count = labels.count(sample_weight)
        new_classes, new_count = labels.classes[seen], new_count[seen]
        if not anew:
            new_classes = joined(self.classes_, new_classes)
            new_count = np.concatenate([self.class_count_, new_count])
        self.classes_, position = sorted_with_ranks(new_classes)
        self.class_count_ = np.bincount(position, weights=new_count)
        self.effective_number_ = effective_number(self.class_count_, beta=beta)
        self.class_weight_ = class_balanced_weight(
            self.class_count_, beta=beta, normalize=normalize
        )
        return self

    def sample_weight(self, y):
        """Return the weight of each label's class.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Class labels, all seen in fit.

        Returns
        -------
        ndarray of shape (n_samples,), dtype float64
            Sample weights.

        Raises
        ------
        NotFittedError
            If the weigher is not fitted.
        ValueError
            If y holds a label that fit has not seen.
        """
        check_is_fitted(self)
        labels = read_labels(y)
        if not len(labels.values):
            return np.empty(0)
        places, unseen = labels.places_among(self.classes_)
        if unseen:
            raise ValueError(
                f"y must hold only the {len(self.classes_)} labels seen in fit, got {unseen[0]!r}."
            )
        return labels.gather(self.class_weight_[places])

    def fit_transform(self, X, y=None, **fit_params):
        """Fit, warn that the weights go nowhere from here, and return X.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,), default=None
            Class labels; they are required.
        **fit_params : dict
            Further arguments of ``fit``.

        Returns
        -------
        X : array, sparse matrix or DataFrame
            X as ``transform`` gives it.

        Warns
        -----
        UnusedWeightsWarning
            Outside :class:`sk_cbloss.pipeline.Pipeline`: features alone cannot
            carry weights to a later step.
        """
        self.fit(X, y, **fit_params)
        if not _WEIGHTS_ARE_USED.get():
            warnings.warn(
                "fit_transform hands the weights of ClassBalancedWeigher to no other step. Use "
                "sk_cbloss.pipeline.Pipeline, wrap the last step in "
                "ClassBalancedClassifier(estimator, beta=...), or pass "
                "weigher.fit(X, y).sample_weight(y) to the estimator's fit.",
                UnusedWeightsWarning,
                stacklevel=3,  # past scikit-learn's wrapper
            )
        return self.transform(X)

    def transform(self, X):
        """Return X as it is.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Features, with the number and names seen in fit.

        Returns
        -------
        X : array, sparse matrix or DataFrame
            The same object; lists and the like as an array.

        Raises
        ------
        NotFittedError
            If the weigher is not fitted.
        ValueError
            If the number or the names of the features differ from those in fit.
        """
        check_is_fitted(self)
        checked = self._check_features(X, reset=False)
        return X if hasattr(X, "shape") else checked

    def _check_features(self, X, *, reset):
        in_memory = isinstance(X, np.ndarray) or issparse(X) or not hasattr(X, "shape")
        if not in_memory and (len(X.shape) < 2 or _n_rows(X) == 0 or X.shape[1] == 0):
            raise ValueError(
                "X must have a row for each sample and a column for each feature, got "
                f"{type(X).__name__} of shape {X.shape}."
            )
        return validate_data(
            self,
            X,
            reset=reset,
            skip_check_array=not in_memory,  # it would load or convert them all
            dtype=None,
            accept_sparse=True,
            ensure_all_finite=False,
            allow_nd=True,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.requires_fit = True
        return tags


def _n_rows(X):
    """Return the number of samples; None where a lazy frame does not know it."""
    n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
    return n_rows if isinstance(n_rows, Integral) else None
