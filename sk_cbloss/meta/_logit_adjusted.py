"""LogitAdjustedClassifier: decisions by probabilities over frequencies."""

import warnings

import numpy as np
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import check_scoring

from sk_cbloss._validation import check_each, check_fraction, check_non_negative
from sk_cbloss.meta._natural import normalized
from sk_cbloss.meta._out_of_fold import OutOfFoldMixin
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
    LogitAdjustedClassifierCV : Finds tau by cross-validation, at no more fits.
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
        return _adjustment(self, seen, self.tau, self.prior_beta)


def _adjustment(fitted, seen, tau, prior_beta):
    number = effective_number(fitted.class_count_, beta=prior_beta)
    log_prior = np.log((number * fitted.class_weight_)[seen])
    return np.exp(-tau * (log_prior - log_prior.min()))  # at most 1: no power overflows


class LogitAdjustedClassifierCV(OutOfFoldMixin, ScaledProbaClassifier):
    """LogitAdjustedClassifier, with tau and prior_beta found by cross-validation.

    Neither is part of training. So the classifier is fitted once for each
    fold and once to all data, and all values are tried on its probabilities of
    what a fold left out.

    Parameters
    ----------
    estimator : classifier
        A classifier with ``predict_proba``, weighted or not. One that is
        fitted already goes into a :class:`sklearn.frozen.FrozenEstimator`; then
        fit to data that it was not fitted to, or nothing is out of fold.
    taus : array-like of float, default=(0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2)
        Values of tau to try.
    prior_betas : array-like of float, default=(1,)
        Values of prior_beta to try.
    scoring : str or callable, default="balanced_accuracy"
        What to find the best value of, as for GridSearchCV.
    cv : int, cross-validation generator or iterable, default=5
        The folds, as for GridSearchCV.
    n_jobs : int, default=None
        Number of folds that are fitted at the same time, as for GridSearchCV.

    Attributes
    ----------
    tau_ : float
        The best tau; of several, the first.
    prior_beta_ : float
        The best prior_beta.
    best_score_ : float
        The mean score of both, out of fold. Folds without a score (NaN, or an
        error in scoring, as where a class is missing) are left out.
    cv_results_ : dict of ndarray
        ``param_tau``, ``param_prior_beta``, ``mean_test_score``,
        ``std_test_score``, ``rank_test_score`` and ``split0_test_score`` and so
        on, an entry for each pair of values.
    estimator_ : classifier
        The classifier, fitted to all data.
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
    LogitAdjustedClassifier : With given values.

    References
    ----------
    Menon, Jayasumana, Rawat, Jain, Veit and Kumar, "Long-Tail Learning via
    Logit Adjustment", ICLR 2021, section 4.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sk_cbloss import LogitAdjustedClassifierCV, load_digits_lt
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> model = LogitAdjustedClassifierCV(LogisticRegression(max_iter=1000), cv=3)
    >>> model.fit(X / 16, y).tau_
    0.5
    """

    def __init__(
        self,
        estimator,
        *,
        taus=(0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2),
        prior_betas=(1,),
        scoring="balanced_accuracy",
        cv=5,
        n_jobs=None,
    ):
        super().__init__(estimator)
        self.taus = taus
        self.prior_betas = prior_betas
        self.scoring = scoring
        self.cv = cv
        self.n_jobs = n_jobs

    def _check_parameters(self):
        check_each(self.taus, "taus", check_non_negative)
        check_each(self.prior_betas, "prior_betas", check_fraction)
        scoring = self.scoring
        if not (scoring is None or isinstance(scoring, str) or callable(scoring)):
            raise ValueError(f"scoring must name one score or be callable, got {scoring!r}.")
        check_scoring(_GivenProba(None), scoring=scoring)

    def _of_fold(self):
        return LogitAdjustedClassifier(self.estimator, tau=0)

    def _natural_of(self, fold):
        return fold.proba / fold.class_weight_

    def _decide(self, folds, y):
        pairs = [(tau, beta) for beta in self.prior_betas for tau in self.taus]
        scores = np.full((len(folds), len(pairs)), np.nan)
        for row, fold in zip(scores, folds, strict=True):
            row[:] = self._scores(fold, y[fold.rows], pairs)
        scored = ~np.isnan(scores).any(axis=1)  # not a fold without a class that is asked for
        if not scored.any():
            raise ValueError(
                f"scoring must give a number in some fold, got NaN of {self.scoring!r}."
            )
        mean = scores[scored].mean(axis=0)
        self.tau_, self.prior_beta_ = pairs[mean.argmax()]
        self.best_score_ = mean.max()
        self.cv_results_ = {
            "param_tau": np.array([tau for tau, _ in pairs]),
            "param_prior_beta": np.array([beta for _, beta in pairs]),
            **{f"split{i}_test_score": row for i, row in enumerate(scores)},
            "mean_test_score": mean,
            "std_test_score": scores[scored].std(axis=0),
            "rank_test_score": rankdata(-mean, method="min").astype(int),
        }

    def _scores(self, fold, y, pairs):
        """Return the scores of all pairs of tau and prior_beta; NaN where scoring fails."""
        given = _GivenProba(fold.classes_)
        scorer = check_scoring(given, scoring=self.scoring)
        seen = fold.class_count_ > 0
        scores = np.full(len(pairs), np.nan)
        for i, pair in enumerate(pairs):
            adjusted = fold.proba.copy()
            adjusted[:, seen] *= _adjustment(fold, seen, *pair)
            try:
                scores[i] = scorer(given, normalized(adjusted, seen), y)
            except Exception as error:  # as scikit-learn's searches do
                warnings.warn(
                    f"Scoring failed, and this fold is left out: {error}",
                    UserWarning,
                    stacklevel=5,  # past what puts back on errors
                )
                break
        return scores

    def _factor(self, seen):
        return _adjustment(self, seen, self.tau_, self.prior_beta_)


class _GivenProba(ClassifierMixin, BaseEstimator):
    """A classifier that is given its own probabilities, for scorers."""

    def __init__(self, classes):
        self.classes_ = classes

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return X

    def predict(self, X):
        return self.classes_[X.argmax(axis=1)]
