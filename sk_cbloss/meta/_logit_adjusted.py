"""LogitAdjustedClassifier: decisions by probabilities over frequencies."""

import numpy as np

from sk_cbloss._validation import check_fraction, check_non_negative
from sk_cbloss.meta._scaled_proba import ScaledProbaClassifier
from sk_cbloss.weights import effective_number


class LogitAdjustedClassifier(ScaledProbaClassifier):
    """Decide by a classifier's probabilities over the classes' frequencies.

    Post-hoc logit adjustment: each class's probability is divided by its
    frequency to the power of tau. With ``tau=1`` rare classes are decided for
    as if all were equally frequent, which is best for balanced accuracy, at
    no cost in training.

    Parameters
    ----------
    estimator : classifier
        A classifier with ``predict_proba``, weighted or not. One that is
        fitted already goes into a :class:`sklearn.frozen.FrozenEstimator`.
    tau : float, default=1.0
        How far to go: 0 leaves the probabilities as they are. Those of a net
        with a loss of this package are the natural ones.
    prior_beta : float in [0, 1], default=1.0
        Classes count as frequent as their effective numbers; 1 takes the
        counts. Of a weighted classifier, it is those times the weights.

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
    n_features_in_ : int
        Number of features seen in fit, if the classifier has it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in fit, if the classifier has them.

    See Also
    --------
    DecisionClassifierCV : Finds tau out of fold, for any score.
    LogitAdjustedLoss : Does it in training.
    PriorCorrectedClassifier : Gives probabilities for given frequencies.

    References
    ----------
    Menon, Jayasumana, Rawat, Jain, Veit and Kumar, "Long-Tail Learning via
    Logit Adjustment", ICLR 2021, section 4.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.metrics import balanced_accuracy_score
    >>> from sk_cbloss import LogitAdjustedClassifier, load_digits_lt
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> X_test, y_test = load_digits_lt("test", return_X_y=True)
    >>> for tau in (0, 1):
    ...     model = LogitAdjustedClassifier(LogisticRegression(), tau=tau).fit(X / 16, y)
    ...     print(tau, round(balanced_accuracy_score(y_test, model.predict(X_test / 16)), 2))
    0 0.89
    1 0.93
    """

    def __init__(self, estimator, *, tau=1.0, prior_beta=1.0):
        super().__init__(estimator)
        self.tau = tau
        self.prior_beta = prior_beta

    def _check_parameters(self):
        check_non_negative(self.tau, "tau")
        check_fraction(self.prior_beta, "prior_beta")

    def _factor(self, seen):
        self._check_parameters()  # they may have been set since the fit
        number = effective_number(self.class_count_, beta=self.prior_beta)
        log_prior = np.log((number * self.class_weight_)[seen])
        return np.exp(-self.tau * (log_prior - log_prior.min()))  # at most 1: no power overflows
