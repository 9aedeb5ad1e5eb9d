"""PriorCorrectedClassifier: probabilities for the frequencies that classes have."""

import reprlib

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._labels import numbers_of
from sk_cbloss._validation import as_floats, as_named, check_integer, check_non_negative
from sk_cbloss.meta._natural import proba_with_weights
from sk_cbloss.meta._scaled_proba import ScaledProbaClassifier


class PriorCorrectedClassifier(ScaledProbaClassifier):
    """Give a classifier's probabilities for the frequencies that its classes have.

    A classifier with class weights predicts probabilities for a world in which
    rare classes are as frequent as their weights make them. This one divides
    the weights out, and says how likely each class is where classes have the
    target's frequencies.

    Parameters
    ----------
    estimator : classifier
        A classifier with ``predict_proba``, weighted or not: a
        ClassBalancedClassifier, a Pipeline with a ClassBalancedWeigher, a
        CBNeuralNetClassifier, an imbalanced-learn Pipeline whose samplers tell
        which samples they drew, or one with ``class_weight``. One that is
        fitted already goes into a :class:`sklearn.frozen.FrozenEstimator`.
    target_prior : {"natural", "uniform", "estimate"}, array-like or mapping, \
            default="natural"
        Frequencies of the classes where probabilities are wanted:

        - "natural": those of the training data;
        - "uniform": all alike, as where the test data are balanced;
        - an array of shape (n_classes,) in the order of ``classes_``, or a
          mapping or pandas Series from label to frequency;
        - "estimate": those of unlabelled data, given to ``estimate_prior``.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    class_count_ : ndarray of shape (n_classes,), dtype float64
        Number of training samples of each class, or the sum of their weights.
    class_weight_ : ndarray of shape (n_classes,), dtype float64
        Weight of each class in the classifier's probabilities.
    target_prior_ : ndarray of shape (n_classes,)
        Frequencies of the classes where probabilities are wanted.
    n_features_in_ : int
        Number of features seen in fit, if the classifier has it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in fit, if the classifier has them.

    See Also
    --------
    LogitAdjustedClassifier : Changes the decision rather than the world.
    sklearn.calibration.CalibratedClassifierCV : Learns a correction from data.

    Notes
    -----
    For a weighted classifier, probabilities are divided by the weights, which
    is exact where the weighted loss is least; nets know the way back from
    their own loss. Regularised classifiers come near. Those that fit their
    training data to the end, such as large boosted trees, hardly feel weights:
    there it overdoes, and CalibratedClassifierCV is the way. ``sample_weight``
    given to ``fit`` is taken for part of the data, and not undone.

    References
    ----------
    Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a Classifier to
    New a Priori Probabilities: A Simple Procedure", Neural Computation 2002.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sk_cbloss import ClassBalancedClassifier, PriorCorrectedClassifier
    >>> from sk_cbloss import make_long_tailed_classification
    >>> X, y = make_long_tailed_classification(2000, n_classes=3, random_state=0)
    >>> weighted = ClassBalancedClassifier(LogisticRegression(), beta=1).fit(X, y)
    >>> weighted.predict_proba(X).mean(axis=0).round(2)
    array([0.69, 0.21, 0.1 ])
    >>> natural = PriorCorrectedClassifier(weighted).fit(X, y)
    >>> natural.predict_proba(X).mean(axis=0).round(2)
    array([0.89, 0.1 , 0.01])
    >>> natural.class_count_ / len(y)
    array([0.901, 0.09 , 0.009])
    """

    def __init__(self, estimator, *, target_prior="natural"):
        super().__init__(estimator)
        self.target_prior = target_prior

    def _check_parameters(self):
        check_target(self.target_prior, ("natural", "uniform", "estimate"))

    def _look_ahead(self, X, y, classes, sample_weight, groups):
        if not isinstance(self.target_prior, str):
            check_prior(self.target_prior, classes)

    def _learn(self, *args):
        super()._learn(*args)
        if not is_named(self.target_prior, "estimate"):
            self.target_prior_ = prior_of(self.target_prior, self.classes_, self.class_count_)
        elif hasattr(self, "target_prior_"):  # of another fit
            del self.target_prior_

    def _factor(self, seen):
        if not hasattr(self, "target_prior_"):
            raise NotFittedError(
                "target_prior='estimate' needs unlabelled data of the target: call "
                "estimate_prior(X) before predictions."
            )
        return self.target_prior_[seen] / (self.class_count_ * self.class_weight_)[seen]

    def estimate_prior(self, X, *, tol=1e-08, max_iter=10_000):
        """Learn the target's frequencies from unlabelled data.

        By the EM algorithm: probabilities under the frequencies so far, then
        their mean as the new frequencies. It holds where classes look as they
        did in training and only their frequencies have changed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features of the target's samples, of which the labels need not be
            known.
        tol : float, default=1e-08
            No frequency changes by more in the last step.
        max_iter : int, default=10000
            Number of steps at most.

        Returns
        -------
        self : PriorCorrectedClassifier
            The classifier, with another ``target_prior_``.

        Raises
        ------
        ValueError
            If ``target_prior`` is not "estimate", or a parameter is invalid.
        """
        check_is_fitted(self)
        if not is_named(self.target_prior, "estimate"):
            raise ValueError(
                "target_prior must be 'estimate' for estimate_prior to change it, "
                f"got {self.target_prior!r}."
            )
        check_non_negative(tol, "tol")
        check_integer(max_iter, "max_iter", minimum=1)
        prior = self.class_count_ / self.class_count_.sum()
        seen = prior > 0
        # How likely in the training data, over how frequent there.
        likelihood = proba_with_weights(self.estimator_, X, self.classes_)[:, seen]
        likelihood = likelihood / (self.class_weight_ * prior)[seen]
        for _ in range(max_iter):
            p = likelihood * prior[seen]
            last = prior[seen]
            prior[seen] = (p / p.sum(axis=1, keepdims=True)).mean(axis=0)
            if np.abs(prior[seen] - last).max() <= tol:
                break
        self.target_prior_ = prior
        return self


def is_named(prior, name):
    """Whether a target prior is the one of that name."""
    return isinstance(prior, str) and prior == name


def check_target(prior, names):
    """Raise a ValueError for a target prior of no known name, before labels are known."""
    if prior is None or (isinstance(prior, str) and prior not in names):
        known = ", ".join(map(repr, names))
        raise ValueError(f"target_prior must be {known}, an array or a mapping, got {prior!r}.")


def prior_of(prior, classes, class_count):
    """Return the frequencies that a target prior means, but for one that is to be estimated."""
    if is_named(prior, "natural"):
        return class_count / class_count.sum()
    if is_named(prior, "uniform"):
        return np.full(len(classes), 1 / len(classes))
    return check_prior(prior, classes)


def check_prior(prior, classes):
    """Return frequencies of the classes, as an array that sums to 1."""
    named = as_named(prior, "target_prior")
    if named is not None:
        prior = numbers_of(classes, named, "target_prior")
    prior = as_floats(prior, "target_prior")
    if prior.shape != classes.shape:
        raise ValueError(
            f"target_prior must have a frequency for each of the {len(classes)} classes, "
            f"got shape {prior.shape}."
        )
    if not (prior >= 0).all() or abs(prior.sum() - 1) > 1e-6:
        shown = reprlib.repr(prior.tolist())
        raise ValueError(f"target_prior must hold numbers >= 0 that sum to 1, got {shown}.")
    return prior / prior.sum()
