"""ClassBalancedClassifier, which weights any classifier."""

from copy import deepcopy
from functools import partial

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._doc_link import DocLink
from sk_cbloss._indicator import check_one_label
from sk_cbloss._labels import read_labels
from sk_cbloss._state import all_or_nothing
from sk_cbloss._validation import check_beta, check_normalize, check_sample_weight
from sk_cbloss.meta._aligned import in_order, predicted, proba_of
from sk_cbloss.meta._counted import counted, validation_labels
from sk_cbloss.meta._fit_weighted import (
    check_takes_sample_weight,
    check_takes_validation,
    check_weighs_not_yet,
    cloned,
    fit_weighted,
    labels_for,
    with_tags_of,
)
from sk_cbloss.meta._in_chunks import (
    check_are_counted,
    check_takes_weights_in_chunks,
    is_empty,
    known_classes,
)
from sk_cbloss.meta._measured import miss_of, some_rows, warn_of
from sk_cbloss.meta._natural import handed_on, normalized, proba_with_weights
from sk_cbloss.weights import ClassBalancedWeigher, class_balanced_weight


def _estimator_has(name):
    """Whether the estimator, fitted if there is one, has the method."""

    def check(self):
        getattr(getattr(self, "estimator_", self.estimator), name)
        return True

    return check


class ClassBalancedClassifier(DocLink, MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Fit any classifier with class-balanced sample weights.

    The weights come from the labels that ``fit`` receives, so that every fold
    of a search has its own, and ``beta`` can be searched like any parameter.
    Where rows come in chunks, ``partial_fit`` counts on.

    Parameters
    ----------
    estimator : classifier
        A classifier whose ``fit`` takes ``sample_weight``, or a Pipeline that
        ends in one. It must not weight classes itself.
    beta : float in [0, 1], default=0.999
        See :func:`effective_number`. 0 weights all classes alike, 1 gives
        inverse frequency.
    normalize : {"classes", "samples"} or None, default="samples"
        See :func:`class_balanced_weight`. With "samples" the mean weight is 1,
        so that regularisation and tree parameters keep their meaning.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier. Its own fitted attributes (``coef_``,
        ``feature_importances_`` and the like) can be read from here too.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features seen in fit, if the classifier has it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in fit, if the classifier has them.
    class_count_ : ndarray of shape (n_classes,), dtype float64
        Number of samples of each class, or the sum of their weights.
    class_weight_ : ndarray of shape (n_classes,), dtype float64
        Weight of each class.

    See Also
    --------
    ClassBalancedWeigher : The weights alone.
    PriorCorrectedClassifier : Probabilities for any frequencies of the classes.
    imblearn.ensemble.BalancedBaggingClassifier : Resamples in place of weighting.

    Notes
    -----
    A user's own ``sample_weight`` multiplies the class-balanced weights, and a
    class counts the sum of its weights. Weights that sum to 1, as AdaBoost
    makes for its base estimators, leave beta no scale: wrap the AdaBoost, not
    its base estimator.

    Other arguments of the classifier's ``fit`` are not handed on; metadata
    routing is off while it is fitted.

    Where samples have several labels, it goes into scikit-learn's
    MultiOutputClassifier, OneVsRestClassifier or ClassifierChain.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 4.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sk_cbloss import ClassBalancedClassifier, load_digits_lt
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(), ClassBalancedClassifier(LogisticRegression(max_iter=1000))
    ... )
    >>> grid = {"classbalancedclassifier__beta": [0, 0.9, 1]}
    >>> search = GridSearchCV(model, grid, scoring="balanced_accuracy", cv=3).fit(X, y)
    >>> search.best_estimator_[-1].coef_.shape
    (10, 64)
    """

    # Whether the counts were given to partial_fit, which then adds none.
    _count_is_given = False

    def __init__(self, estimator, *, beta=0.999, normalize="samples"):
        self.estimator = estimator
        self.beta = beta
        self.normalize = normalize

    @all_or_nothing
    def fit(self, X, y, sample_weight=None, *, X_val=None, y_val=None):
        """Weight the samples and fit the classifier.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Whatever the classifier takes.
        y : array-like of shape (n_samples,)
            Class labels of any kind.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights that the samples have already.
        X_val : like X, default=None
            Validation data for the early stopping of scikit-learn's
            HistGradientBoostingClassifier, LightGBM, XGBoost or CatBoost, also as
            the last step of a Pipeline, whose other steps transform them.
        y_val : like y, default=None
            Their labels. They have the training data's class weights.

        Returns
        -------
        self : ClassBalancedClassifier
            The fitted classifier.

        Raises
        ------
        TypeError
            If the classifier takes no ``sample_weight``, or no validation data.
        ValueError
            If a parameter is invalid, or the classifier weights classes itself.
        """
        check_beta(self.beta)
        check_normalize(self.normalize)
        check_takes_sample_weight(self.estimator)
        if (X_val is None) != (y_val is None):
            name, other = ("X_val", "y_val") if y_val is None else ("y_val", "X_val")
            raise ValueError(f"{name} must come with {other}, got {name} alone.")
        if X_val is not None:
            check_takes_validation(self.estimator)
        weigher = ClassBalancedWeigher(self.beta, normalize=self.normalize)
        y, sample_weight = counted(self, weigher, y, sample_weight)
        check_weighs_not_yet(self.estimator, len(weigher.classes_))
        weight = weigher.sample_weight(y)
        if sample_weight is not None:
            weight *= sample_weight
        validation, validated = None, X_val is not None
        number = partial(labels_for, classes=weigher.classes_, validated=validated)
        if validated:
            y_val, weight_val = validation_labels(weigher, X_val, y_val)
            validation = X_val, number(self.estimator, y_val), weight_val
        inner_y = number(self.estimator, y)
        self.estimator_ = fit_weighted(cloned(self.estimator), X, inner_y, weight, validation)
        self.classes_ = weigher.classes_
        self.class_count_, self.class_weight_ = weigher.class_count_, weigher.class_weight_
        self._count_is_given = False
        self._miss = self._measured(X, y, sample_weight)
        return self

    @available_if(_estimator_has("partial_fit"))
    @all_or_nothing
    def partial_fit(self, X, y, classes=None, sample_weight=None, *, class_count=None):
        """Weight the samples of one more chunk, and have the classifier learn from them.

        Their weights come from the classes' counts so far, this chunk included,
        or from those that are given. Counts of all chunks give early chunks the
        weights that late ones have: count first, by
        ``ClassBalancedWeigher.partial_fit(None, y)``, which takes labels alone.
        Parameters of the classifier that are set between chunks count from the
        next ``fit`` on, as ``estimator_`` goes on with those it was begun with.
        A copy of it learns from the chunk, so that one that fails changes nothing.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Whatever the classifier takes. Of a chunk without rows, only classes
            and class_count are kept.
        y : array-like of shape (n_samples,)
            Class labels of any kind, all known.
        classes : array-like of shape (n_classes,), default=None
            All classes. The first call needs them, or class_count.
        sample_weight : array-like of shape (n_samples,) or number, default=None
            Weights that the samples have already.
        class_count : mapping from label to number, Series or array-like of shape \
                (n_classes,), default=None
            Numbers of samples of the classes, in place of those so far; an
            array's are in the order of classes. They are kept for later calls.

        Returns
        -------
        self : ClassBalancedClassifier
            The classifier, fitted to all chunks so far.

        Raises
        ------
        TypeError
            If the classifier takes no ``sample_weight``.
        ValueError
            If a parameter is invalid, a label is not known, or the classifier
            weights classes itself.

        Examples
        --------
        >>> from sklearn.naive_bayes import GaussianNB
        >>> from sk_cbloss import ClassBalancedClassifier
        >>> model = ClassBalancedClassifier(GaussianNB(), beta=0.9)
        >>> for X, y in (([[0], [1], [2]], ["a", "a", "b"]), ([[0], [3]], ["a", "c"])):
        ...     model = model.partial_fit(X, y, classes=["a", "b", "c"])
        >>> model.class_count_
        array([3., 1., 1.])
        """
        check_beta(self.beta)
        check_normalize(self.normalize)
        check_takes_sample_weight(self.estimator)
        check_takes_weights_in_chunks(self.estimator)
        nothing = is_empty(X, y)
        if nothing and classes is None and class_count is None:
            return self
        known, count, is_given = known_classes(self, classes, class_count)
        check_weighs_not_yet(self.estimator, len(known))
        if nothing:  # to learn from, but classes that were told are kept
            self.classes_, self.class_count_, self._count_is_given = known, count, is_given
            return self
        check_one_label(type(self).__name__, y)
        labels = read_labels(y)
        positions = labels.gather(labels.known_places(known))
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(positions))
        if is_given:
            check_are_counted(positions, known, count)
        else:
            count = count + np.bincount(positions, sample_weight, minlength=len(known))
        class_weight = class_balanced_weight(count, beta=self.beta, normalize=self.normalize)
        weight = class_weight[positions]
        if sample_weight is not None:
            weight *= sample_weight
        if self.__sklearn_is_fitted__():
            estimator = deepcopy(
                self.estimator_
            )  # since it learns in place, and may fail half-way
        else:
            estimator = cloned(self.estimator)
        inner_y, inner_classes = (
            labels_for(estimator, labels, known) for labels in (known[positions], known)
        )
        # These weights are ours to hand over: nobody has to request them.
        with config_context(enable_metadata_routing=False):
            estimator.partial_fit(X, inner_y, classes=inner_classes, sample_weight=weight)
        self.estimator_, self.classes_ = estimator, known
        self.class_count_, self.class_weight_ = count, class_weight
        self._count_is_given = is_given
        self._miss = None  # of no chunk are shares those of all
        return self

    def _measured(self, X, y, sample_weight):
        """Say how natural probabilities of training data miss the classes' shares, if they do."""
        some = some_rows(X, y, sample_weight)
        if some is None or not hasattr(self, "predict_natural_proba"):
            return None
        X, y, sample_weight = some
        try:
            p = self._natural_proba(X)
        except ValueError:  # there are none, which predict_natural_proba will say
            return None
        count = self.class_count_
        return miss_of(self.estimator, p, y, self.classes_, count, sample_weight)

    @available_if(_estimator_has("predict"))
    def predict(self, X):
        """Predict class labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predicted labels.
        """
        check_is_fitted(self)
        return predicted(self.estimator_, X, self.classes_)

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X):
        """Predict the classes' probabilities, as the weighted classifier sees them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities for classes as frequent as their weighted counts,
            not as in the training data.
        """
        check_is_fitted(self)
        return proba_of(self.estimator_, X, self.classes_)

    @available_if(_estimator_has("predict_proba"))
    def predict_natural_proba(self, X):
        """Predict probabilities for classes as frequent as in the training data.

        They are those of ``predict_proba``, divided by the class weights.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, for risks and expected counts; see
            :class:`PriorCorrectedClassifier`.

        Warns
        -----
        MiscalibratedPriorWarning
            If those of the training data did not average to the classes' shares.
        """
        check_is_fitted(self)
        warn_of(self._miss)
        return self._natural_proba(X)

    def _natural_proba(self, X):
        # A class whose samples all had weight 0 has none, and was not learned.
        seen = self.class_weight_ > 0
        weight = handed_on(self.estimator_, np.where(seen, self.class_weight_, 1))
        p = proba_with_weights(self.estimator_, X, self.classes_) * seen
        return normalized(p / weight, seen)

    @available_if(_estimator_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Predict the logarithm of the classes' probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of what ``predict_proba`` gives.
        """
        check_is_fitted(self)
        log_proba = self.estimator_.predict_log_proba(X)
        return in_order(log_proba, self.estimator_.classes_, self.classes_)

    @available_if(_estimator_has("decision_function"))
    def decision_function(self, X):
        """Return the classifier's confidence scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Confidence scores.
        """
        check_is_fitted(self)
        scores = self.estimator_.decision_function(X)
        return in_order(scores, self.estimator_.classes_, self.classes_)

    @property
    def _beta_in_use(self):
        """The beta that classes are weighted with here; if not 0, not again from outside."""
        return self.beta

    def __getattr__(self, name):
        # What the classifier learned (classes_, coef_, ...) reads as if learned here.
        if name.endswith("_") and not name.startswith("_") and "estimator_" in vars(self):
            return getattr(self.estimator_, name)
        if hasattr(type(self), name):  # a method that is available if the classifier has one
            raise AttributeError(
                f"This {type(self).__name__} has no {name!r}, since its estimator "
                f"{type(self.estimator).__name__} has no {name.replace('natural_', '')}."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}.")

    def __sklearn_is_fitted__(self):
        return "estimator_" in vars(self)

    def __sklearn_tags__(self):
        return with_tags_of(self.estimator, super().__sklearn_tags__())
