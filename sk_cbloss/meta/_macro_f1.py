"""MacroF1Classifier: the decision that macro-F1 asks for."""

import numpy as np

from sk_cbloss._labels import names_of
from sk_cbloss.meta._out_of_fold import OutOfFoldMixin
from sk_cbloss.meta._prior_corrected import PriorCorrectedClassifier
from sk_cbloss.meta._scaled_proba import ProbaWrapper

N_STEPS, STEP = 100, 0.1


class MacroF1Classifier(OutOfFoldMixin, ProbaWrapper):
    r"""Decide by a classifier's probabilities so that macro-F1 is large.

    Macro-F1, the mean of the classes' F1, asks that a rare class be found, and
    also that it be not called in vain. What to decide then depends on the F1
    that each class has, and on how often it is decided for:

    .. math:: \arg\max_c \frac{2 p_c - F_c}{\mathrm{predicted}_c + \mathrm{true}_c}

    where :math:`F_c` is the class's F1, and the others are the shares of samples
    for which it is decided, and that are of it. These are found
    from probabilities out of fold, step by step.

    Parameters
    ----------
    estimator : classifier
        A classifier with ``predict_proba``, weighted or not. One that is
        fitted already goes into a :class:`sklearn.frozen.FrozenEstimator`; then
        fit to data that it was not fitted to.
    cv : int, cross-validation generator or iterable, default=5
        The folds.
    n_jobs : int, default=None
        Number of folds that are fitted at the same time, as for GridSearchCV.

    Attributes
    ----------
    f1_ : ndarray of shape (n_classes,)
        F1 of each class out of fold, as in the decision.
    share_ : ndarray of shape (n_classes,)
        Sum of the shares that each class has and is decided for.
    best_score_ : float
        Macro-F1 out of fold.
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
    LogitAdjustedClassifier : The decision that balanced accuracy asks for.
    sklearn.model_selection.TunedThresholdClassifierCV : Of two classes, for any score.

    Notes
    -----
    The rule follows from the derivative of F1 by one more decision for a
    class. There is no ``predict_proba``, whose largest would have to be the
    decision; ``predict_natural_proba`` gives the probabilities.

    References
    ----------
    Narasimhan, Ramaswamy, Saket and Agarwal, "Consistent Multiclass Algorithms
    for Complex Performance Measures", ICML 2015 (plug-in rules of this kind).

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sk_cbloss import MacroF1Classifier, make_long_tailed_classification
    >>> X, y = make_long_tailed_classification(2000, n_classes=5, random_state=0)
    >>> model = MacroF1Classifier(LogisticRegression(max_iter=1000)).fit(X, y)
    >>> model.f1_.shape
    (5,)
    """

    def __init__(self, estimator, *, cv=5, n_jobs=None):
        super().__init__(estimator)
        self.cv = cv
        self.n_jobs = n_jobs

    def _of_fold(self):
        return PriorCorrectedClassifier(self.estimator)

    def _natural_of(self, fold):
        return fold.proba

    def _decide(self, folds, y):
        left_out = []
        for fold in folds:
            p = np.zeros((len(fold.rows), len(self.classes_)))  # a fold may lack a class
            p[:, np.searchsorted(self.classes_, fold.classes_)] = fold.proba
            left_out.append((p, np.searchsorted(self.classes_, y[fold.rows])))
        p, position = map(np.concatenate, zip(*left_out, strict=True))
        self.best_score_, self.f1_, self.share_ = _plug_in(p, position)

    def _look_ahead(self, X, y, classes, sample_weight, groups):
        splits = super()._look_ahead(X, y, classes, sample_weight, groups)
        never = np.setdiff1d(classes, np.concatenate([y[rows] for _, rows in splits]))
        if never.size:
            raise ValueError(
                f"cv must leave out samples of every class, got none of {names_of(never)[0]!r}."
            )
        return splits

    def decision_function(self, X):
        """Return what one more decision for each class would add to its F1.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Scores; with two classes, the second class's minus the first's.
        """
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X):
        """Predict the class that macro-F1 asks for.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predicted labels.
        """
        scores = self._scores(X)
        return self.classes_[scores.argmax(axis=1)]

    def _scores(self, X):
        return (2 * self.predict_natural_proba(X) - self.f1_) / self.share_


def _plug_in(p, position):
    """Return the best macro-F1 on the way, and the F1 and shares by which it is decided."""
    n_samples, n_classes = p.shape
    true = np.bincount(position, minlength=n_classes) / n_samples

    def decide(f1, share):
        decision = ((2 * p - f1) / share).argmax(axis=1)
        hits = np.bincount(position[decision == position], minlength=n_classes) / n_samples
        reached = np.bincount(decision, minlength=n_classes) / n_samples
        return 2 * hits / (reached + true), reached

    # From the largest probability, and from balanced accuracy's decision.
    starts = [(np.zeros(n_classes), np.ones(n_classes)), (np.zeros(n_classes), 2 * true)]
    best = -1, None, None
    for f1, share in starts:
        for _ in range(N_STEPS):
            reached_f1, reached = decide(f1, share)
            if reached_f1.mean() > best[0]:
                best = reached_f1.mean(), f1, share
            # In small steps: a class that is decided for too often would next be left alone.
            f1 = f1 + STEP * (reached_f1 - f1)
            share = share + STEP * (reached + true - share)
    return best
