"""ClassBalancedWeigher, a transformer that learns class weights."""

import warnings
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from sk_cbloss._doc_link import DocLink
from sk_cbloss._indicator import is_indicator
from sk_cbloss._state import all_or_nothing
from sk_cbloss._validation import check_beta, check_counts, check_normalize, check_same_length
from sk_cbloss.weights._class_weight import balanced, class_balanced_weight
from sk_cbloss.weights._effective_number import effective_number
from sk_cbloss.weights._lazy import is_lazy, tally_of, weights_of
from sk_cbloss.weights._sample_weight import check_dtype
from sk_cbloss.weights._tally import (
    Tally,
    tally_of_counts,
    tally_of_indicator,
    weights_of_indicator,
)

_OF_FEATURES = ("n_features_in_", "feature_names_in_")

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


@contextmanager
def _missing_if_wrong():
    """Have a notebook's display, say, find no such attribute if a parameter is wrong."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, AttributeError):  # it is not fitted
            raise
        raise AttributeError(str(error)) from error


class UnusedWeightsWarning(UserWarning):
    """The weights that a ClassBalancedWeigher learned reach no estimator."""


class ClassBalancedWeigher(DocLink, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Learn class-balanced weights, and give them to any labels of the same classes.

    Features pass through unchanged; what it learns are the classes' counts.
    Effective numbers and weights follow from them and from the parameters, also
    when these are changed later; ``sample_weight(y)`` hands the weights out.
    Counts of chunks, wherever they were counted, add up: see ``partial_fit`` and
    ``merge``.

    Where samples have several labels, as a matrix of 0 and 1 with a column for each label tells,
    each label is a question of its own. Then all that is known of a class, and learned, is known
    of two sides of each label, the samples without it and those with it.

    Parameters
    ----------
    beta : float in [0, 1], default=0.999
        See :func:`effective_number`. 0 weights all classes alike, 1 gives
        inverse frequency.
    normalize : {"classes", "samples"} or None, default="samples"
        See :func:`class_balanced_weight`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,) or (n_labels,)
        Sorted class labels. Of several labels a sample, their names: those of a frame's columns,
        or 0, 1, ...
    class_count_ : ndarray of shape (n_classes,) or (n_labels, 2), dtype float64
        Number of samples of each class, or without and with each label, or the sum of their
        weights.
    effective_number_ : ndarray of shape (n_classes,) or (n_labels, 2), dtype float64
        Their effective numbers.
    class_weight_ : ndarray of shape (n_classes,) or (n_labels, 2), dtype float64
        Their weights; 0 for a class whose samples all have weight 0, and for a label's side
        without samples.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in fit, if X has names that are all strings.

    See Also
    --------
    ClassBalancedClassifier : Weights any classifier, fold by fold.
    class_balanced_sample_weight : The same as a function, in one step.
    class_balanced_label_weight : The weights of several labels a sample, from counts.

    Notes
    -----
    In :class:`sk_cbloss.pipeline.Pipeline` it weights the last step.
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

    Of two labels a sample, each has a column of weights:

    >>> Y = [[1, 0], [1, 1], [0, 0], [1, 0]]
    >>> weigher.fit(X, Y).class_count_
    array([[1., 3.],
           [3., 1.]])
    >>> weigher.sample_weight(Y)[:2].round(3)
    array([[0.701, 0.701],
           [0.701, 1.898]])
    """

    def __init__(self, beta=0.999, *, normalize="samples"):
        self.beta = beta
        self.normalize = normalize

    @classmethod
    def from_class_count(cls, class_count, *, classes=None, beta=0.999, normalize="samples"):
        """Make a weigher that is fitted to counts, without any labels.

        Parameters
        ----------
        class_count : mapping from label to number, Series or array-like of shape (n_classes,)
            Number of samples of each class, or the sum of their weights.
        classes : array-like of shape (n_classes,), default=None
            The labels of counts that are not labelled, in any order; None takes 0, 1, ...
        beta : float in [0, 1], default=0.999
            See :func:`effective_number`.
        normalize : {"classes", "samples"} or None, default="samples"
            See :func:`class_balanced_weight`.

        Returns
        -------
        ClassBalancedWeigher
            The weigher, as if fitted to so many samples.

        Raises
        ------
        ValueError
            If a parameter or a count is invalid, or the labels are not distinct.

        Examples
        --------
        >>> from sk_cbloss import ClassBalancedWeigher
        >>> weigher = ClassBalancedWeigher.from_class_count({"dog": 900, "ant": 100}, beta=1)
        >>> weigher.sample_weight(["ant", "dog"]).round(2)
        array([5.  , 0.56])
        """
        weigher = cls(beta, normalize=normalize)
        return weigher._know(tally_of_counts(class_count, classes))

    def fit(self, X, y, sample_weight=None):
        """Learn the classes' weights.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features), or None
            Features; only their shape and names are looked at, if there are any.
        y : array-like of shape (n_samples,) or a collection of dask, or (n_samples, n_labels)
            Class labels of any kind; see :func:`class_balanced_sample_weight`. Or, of several
            labels a sample, a matrix of 0 and 1 with a column for each, dense (NaN where it is
            not known), sparse or a frame.
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
        return self._learn(X, y, sample_weight)

    def partial_fit(self, X, y, sample_weight=None):
        """Add the samples of one more chunk to the counts.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features), or None
            Features; only their shape and names are looked at, if there are any.
        y : array-like of shape (n_samples,) or a collection of dask, or (n_samples, n_labels)
            Class labels; new classes may come with any chunk. Or a matrix with the same columns
            in each chunk. A chunk without samples changes nothing.
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
        return self._learn(X, y, sample_weight, in_chunks=True)

    @all_or_nothing
    def _learn(self, X, y, sample_weight, *, in_chunks=False):
        check_beta(self.beta)
        check_normalize(self.normalize)
        if y is None:
            raise ValueError(
                "ClassBalancedWeigher requires y to be passed, but the target y is None."
            )
        if not in_chunks:
            for name in ("classes_", "class_count_", *_OF_FEATURES):
                vars(self).pop(name, None)
        if X is not None and not (in_chunks and _n_rows(X) == 0):
            X = self._check_features(X, reset=not hasattr(self, "n_features_in_"))
        n_rows = _n_rows(X)
        if is_lazy(y):  # whose pass may take long
            _check_rows(n_rows, _n_rows(y))
        has_columns = is_indicator(y) and not is_lazy(y)
        tally = (tally_of_indicator if has_columns else tally_of)(y, sample_weight)
        _check_rows(n_rows, tally.n_samples)
        if in_chunks and not tally.n_samples:
            return self
        whole = self._tally() + tally
        if has_columns and not whole.count.any():
            raise ValueError("y must hold a label that is known of some sample, got none.")
        return self._know(whole)

    def merge(self, other):
        """Return a weigher that has counted the samples of both.

        In whatever order and grouping weighers are merged, they have counted
        what one would that has seen all chunks.

        Parameters
        ----------
        other : ClassBalancedWeigher
            Another weigher. Of two, either may have seen nothing yet.

        Returns
        -------
        ClassBalancedWeigher
            A new weigher, with the parameters of this one.

        Raises
        ------
        TypeError
            If other is no weigher.
        ValueError
            If the labels of both are not of one kind, or their features differ.

        Examples
        --------
        >>> from functools import reduce
        >>> from sk_cbloss import ClassBalancedWeigher
        >>> chunks = ["a", "b"], ["a", "c", "a"]
        >>> parts = [ClassBalancedWeigher().fit(None, chunk) for chunk in chunks]
        >>> reduce(ClassBalancedWeigher.merge, parts).class_count_
        array([3., 1., 1.])
        """
        if not isinstance(other, ClassBalancedWeigher):
            raise TypeError(f"other must be a ClassBalancedWeigher, got {type(other).__name__}.")
        merged = clone(self)
        for name in _OF_FEATURES:
            both = [vars(each)[name] for each in (self, other) if name in vars(each)]
            if both and not np.array_equal(both[0], both[-1]):
                raise ValueError(
                    f"other must have seen the same features, got {name}={both[1]!r} beside "
                    f"{both[0]!r}."
                )
            if both:
                setattr(merged, name, both[0])
        tally = self._tally() + other._tally()
        return merged._know(tally) if len(tally.classes) else merged

    def _tally(self):
        classes = vars(self).get("classes_", np.empty(0))
        return Tally(classes, vars(self).get("class_count_", np.empty(0)), 0)

    def _know(self, tally):
        """Take these counts, if they have weights."""
        if not len(tally.classes):
            raise ValueError("y must hold at least one label, got none.")
        count = check_counts(tally.count)
        rarest = count.min(initial=count.max(), where=count > 0)
        class_balanced_weight([rarest, count.max()], beta=self.beta, normalize=self.normalize)
        self.classes_, self.class_count_ = tally.classes, count
        return self

    @property
    def effective_number_(self):
        """Effective number of samples of each class."""
        with _missing_if_wrong():
            check_is_fitted(self)
            return effective_number(self.class_count_, beta=self.beta)

    @property
    def class_weight_(self):
        """Weight of each class."""
        with _missing_if_wrong():
            return self._class_weight()

    def _class_weight(self):
        check_is_fitted(self)
        given = self.class_count_, self.beta, self.normalize
        *before, weight = vars(self).get("_weight", [None] * 4)
        if weight is None or any(a is not b for a, b in zip(given, before, strict=True)):
            count, beta, normalize = given
            weight = balanced(count, check_beta(beta), check_normalize(normalize))
            weight.flags.writeable = False  # it is kept
            self._weight = *given, weight
        return weight

    def sample_weight(self, y, *, dtype=np.float64):
        """Return the weight of each label's class.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or a collection of dask, or (n_samples, n_labels)
            Class labels, all seen in fit. Or a matrix with the columns seen in fit.
        dtype : {numpy.float64, numpy.float32}, default=numpy.float64
            Type of the weights.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels), or dask Array or Series
            Sample weights, a column for each of several labels; 0 where it is not known whether a
            sample has the label. Those of a collection of dask are computed when they are asked
            for, chunk by chunk, cut as y is.

        Raises
        ------
        NotFittedError
            If the weigher is not fitted.
        ValueError
            If y holds a label, or has other columns, than fit has seen.
        """
        class_weight = self._class_weight().astype(check_dtype(dtype), copy=False)
        of_side = class_weight.ndim == 2
        return (weights_of_indicator if of_side else weights_of)(y, self.classes_, class_weight)

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

    def __sklearn_is_fitted__(self):
        return "classes_" in vars(self)

    def __getstate__(self):
        return {name: value for name, value in super().__getstate__().items() if name != "_weight"}

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


def _check_rows(n_rows, n_samples):
    if n_rows is not None and n_samples is not None:
        check_same_length(n_rows, n_samples)


def _n_rows(X):
    """Return the number of samples; None where a lazy frame does not know it, or X is None."""
    shape = getattr(X, "shape", None)
    if isinstance(shape, tuple):
        n_rows = shape[0] if shape else None
    else:
        n_rows = len(X) if shape is None and hasattr(X, "__len__") else None
    return n_rows if isinstance(n_rows, Integral) else None
