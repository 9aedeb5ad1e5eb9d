"""DecisionClassifierCV: the decision for costs, for a score or for recalls."""

import reprlib

import numpy as np
from scipy.special import expit
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._indicator import share_of_right_rows
from sk_cbloss._validation import as_named
from sk_cbloss.meta._decision_costs import cost_matrix_of, gain_of
from sk_cbloss.meta._decision_labels import learned_of_labels, log_odds
from sk_cbloss.meta._decision_metric import METRICS, recalls
from sk_cbloss.meta._decision_recall import RecallRule, check_within_reach, recalls_of
from sk_cbloss.meta._decision_rows import left_out
from sk_cbloss.meta._decision_rules import (
    SHRINKAGES,
    MetricRule,
    ScorerRule,
    learned,
)
from sk_cbloss.meta._out_of_fold import OutOfFoldMixin
from sk_cbloss.meta._prior_corrected import check_target, prior_of
from sk_cbloss.meta._scaled_proba import ScaledProbaClassifier

# What one kind of decision has, and another has not.
OF_KINDS = ("cost_matrix_", "class_multiplier_", "tau_", "shrinkage_", "threshold_")
OUT_OF_FOLD = ("best_score_", "expected_score_", "recall_", "expected_recall_")


def _decides_by_proba(self):
    """Whether the decision is for the largest of some probabilities."""
    if hasattr(self, "class_count_"):
        return hasattr(self, "class_multiplier_") or hasattr(self, "threshold_")
    return self.cost_matrix is None or as_named(self.cost_matrix, "cost_matrix") is not None


class DecisionClassifierCV(OutOfFoldMixin, ScaledProbaClassifier):
    """Decide by a classifier's probabilities for costs, a score, or recalls.

    The classifier is left as it is. What is decided is the class whose
    probability, times a multiplier of the class, is largest; or, for costs of
    any kind, the class of the least expected cost. Multipliers are learned
    from probabilities out of fold: the classifier is fitted once for each fold
    and once to all data, whatever is asked for. Ask for one of three things;
    if for none, for ``metric="balanced_accuracy"``, or of several labels a
    sample for "f1_macro".

    Parameters
    ----------
    estimator : classifier
        A classifier with ``predict_proba``, weighted or not. One that is
        fitted already goes into a :class:`sklearn.frozen.FrozenEstimator`; then
        fit to data that it was not fitted to, or nothing is out of fold.
    cost_matrix : array-like of shape (n_classes, n_classes), DataFrame or mapping, \
            default=None
        What decisions cost: a row for each true class, a column for each that
        is decided for, in the order of ``classes_``, or of a DataFrame by
        label; or a mapping from label to the cost of missing that class.
        Nothing is learned, so that one fit will do.
    metric : str or callable, default=None
        The score to make large: "balanced_accuracy", "f1_macro",
        "geometric_mean" or "worst_class_recall", over all thresholds and
        multipliers; or any other that scikit-learn takes as ``scoring`` and
        that asks for predictions alone, at a hundred values of tau, and at a
        hundred more around the best of these.
    min_recall : float or mapping from label to float, default=None
        Recalls that are to be reached, of all classes or of some. Of these
        the multipliers are raised, as little as that takes, or up to where
        accuracy is higher: the least loss of it, if probabilities are right.
    target_prior : {"natural", "uniform"}, array-like or mapping, default="natural"
        How frequent classes are where decisions are made; see
        :class:`PriorCorrectedClassifier`. Rows out of fold count accordingly.
    cv : int, cross-validation generator or iterable, default=None
        The folds, as for GridSearchCV. None makes five where something is to
        be learned, and none for a cost_matrix; with folds, its cost is
        measured on them.
    n_jobs : int, default=None
        Number of folds that are fitted at the same time, as for GridSearchCV.

    Attributes
    ----------
    class_multiplier_ : ndarray of shape (n_classes,)
        By what the probability of each class is multiplied before they are
        compared, the least being 1. Not of a cost_matrix that needs more.
    cost_matrix_ : ndarray of shape (n_classes, n_classes)
        The costs, if a cost_matrix is given.
    tau_ : float
        Of a metric: multipliers begin as the classes' frequencies to the power
        of minus tau, from 0 to 2. Of two classes, the power that stands for
        the threshold, whatever it is; NaN if they are equally frequent.
    shrinkage_ : float
        Of a metric: how many rows a class needs for half of its own departure
        from tau, or a label for half of its own threshold. Infinity if tau, or
        0.5, alone is best.
    threshold_ : ndarray of shape (n_labels,)
        Of several labels a sample: the log-odds above which each is there.
    best_score_ : float
        The score out of fold of the decisions learned: the metric, with
        min_recall the accuracy, with a cost_matrix the mean cost, negative.
    expected_score_ : float
        The same of decisions that are learned without the fold they are made
        for. What to expect on new data.
    recall_, expected_recall_ : ndarray of shape (n_classes,)
        Recall of each class of the same decisions; NaN of a class that no fold
        leaves out.
    target_prior_ : ndarray of shape (n_classes,)
        Frequencies of the classes where decisions are made.
    estimator_ : classifier
        The classifier, fitted to all data.
    classes_ : ndarray of shape (n_classes,)
        Class labels, or names of labels.
    class_count_ : ndarray of shape (n_classes,) or (n_labels, 2), dtype float64
        Number of training samples of each class, or of those without and with
        each label; or the sum of their weights.
    class_weight_ : ndarray of shape (n_classes,), dtype float64
        Weight of each class in the classifier's probabilities.
    n_features_in_ : int
        Number of features seen in fit, if the classifier has it.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in fit, if the classifier has them.

    See Also
    --------
    LogitAdjustedClassifier : With a given tau, which takes no folds.
    sk_cbloss.inspection.RecallTradeOffDisplay : Every class's recall along tau.
    sklearn.model_selection.TunedThresholdClassifierCV : Of two classes, the threshold.

    Notes
    -----
    Along tau, each row's winner is the upper envelope of as many lines as there
    are classes. All places where a decision changes are found, and the score
    follows from each to the next, so that the best tau is exact, not one of a
    grid; of several, the middle of the longest stretch. From there each class's
    multiplier in turn goes to where the score is largest, and then
    n / (n + shrinkage) of the way back from there, n being the class's rows.
    The shrinkage, of infinity, 300, 100, 30 and 10, is the one whose decisions
    are best for folds that they are not learned from.

    Scores are of all rows that folds leave out together, weighted by
    sample_weight, over the classes that they hold. A row that is left out
    several times counts once. Of a single split, rows are dealt into five
    parts to see what is learned without them.

    Of several labels a sample, a label's decision is that its log-odds are
    above its threshold; a ``metric`` is "f1_macro", the mean F1 of the labels,
    which None then takes, or "balanced_accuracy", the mean over labels of the
    mean recall of the two sides. All thresholds are tried. No weights are
    undone, which would move thresholds alone.

    A recall that is reached out of fold is reached on new data half of the
    time: see ``expected_recall_``, and ask for more than is needed.

    References
    ----------
    Menon, Jayasumana, Rawat, Jain, Veit and Kumar, "Long-Tail Learning via
    Logit Adjustment", ICLR 2021, section 4 (tau).

    Narasimhan, Ramaswamy, Saket and Agarwal, "Consistent Multiclass Algorithms
    for Complex Performance Measures", ICML 2015 (why multipliers).

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sk_cbloss import DecisionClassifierCV, load_digits_lt
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> model = DecisionClassifierCV(LogisticRegression(max_iter=1000), cv=3)
    >>> model = model.fit(X / 16, y)
    >>> round(model.best_score_, 2), round(model.expected_score_, 2)
    (0.94, 0.9)

    A model that must find seven tenths of the rarest digit:

    >>> model = DecisionClassifierCV(
    ...     LogisticRegression(max_iter=1000), min_recall={9: 0.7}, cv=3
    ... )
    >>> bool(model.fit(X / 16, y).recall_[9] >= 0.7)
    True
    """

    def __init__(
        self,
        estimator,
        *,
        cost_matrix=None,
        metric=None,
        min_recall=None,
        target_prior="natural",
        cv=None,
        n_jobs=None,
    ):
        super().__init__(estimator)
        self.cost_matrix = cost_matrix
        self.metric = metric
        self.min_recall = min_recall
        self.target_prior = target_prior
        self.cv = cv
        self.n_jobs = n_jobs

    def _check_parameters(self):
        names = [
            n for n in ("cost_matrix", "metric", "min_recall") if getattr(self, n) is not None
        ]
        if len(names) > 1:
            raise ValueError(
                "Only one of cost_matrix, metric and min_recall must be given, got "
                f"{' and '.join(names)}."
            )
        check_target(self.target_prior, ("natural", "uniform"))
        if isinstance(self.cv, str):
            raise ValueError(
                f"cv must be an integer or folds, got {reprlib.repr(self.cv)}: a classifier that "
                "is fitted already goes into a FrozenEstimator."
            )
        metric = self._metric()
        if not (isinstance(metric, str) or callable(metric)):
            raise ValueError(
                f"metric must name one score or be callable, got {reprlib.repr(metric)}."
            )
        if not self._is_known():
            if isinstance(metric, str) and metric not in get_scorer_names():
                raise ValueError(
                    f"metric must be one of {', '.join(map(repr, METRICS))}, or a score that "
                    f"sklearn.metrics.get_scorer_names() has, got {metric!r}."
                )
            check_scoring(self, scoring=metric)

    def _metric(self):
        return "balanced_accuracy" if self.metric is None else self.metric

    def _is_known(self):
        return isinstance(self._metric(), str) and self._metric() in METRICS

    def _rule(self, classes, is_weighted):
        if self.min_recall is not None:
            return RecallRule(recalls_of(self.min_recall, classes))
        if self._is_known():
            return MetricRule(METRICS[self._metric()])
        return ScorerRule(self._metric(), classes, is_weighted)

    def _look_ahead(self, X, y, classes, sample_weight, groups):
        prior_of(self.target_prior, classes, np.ones(len(classes)))
        if self.cost_matrix is not None:
            cost_matrix_of(self.cost_matrix, classes)
            if self.cv is None:
                return []
        rule = self._rule(classes, self._is_weighted(sample_weight))
        if isinstance(rule, ScorerRule):
            rule.check(y, sample_weight)
        return super()._look_ahead(X, y, classes, sample_weight, groups)

    def _is_weighted(self, sample_weight):
        natural = isinstance(self.target_prior, str) and self.target_prior == "natural"
        return sample_weight is not None or not natural

    def _forget(self):
        for name in (*OF_KINDS, *OUT_OF_FOLD):  # of another fit
            vars(self).pop(name, None)

    def _fit_labels(self, X, y, sample_weight, groups):
        learned = learned_of_labels(self, X, y, sample_weight, groups)
        self._forget()
        vars(self).update(learned)
        return self

    def _above(self, X):
        """Return by how much the log-odds of each label are above its threshold."""
        return log_odds(self.estimator_, X) - self.threshold_

    def _decide(self, folds, y):
        self._forget()
        self.target_prior_ = prior_of(self.target_prior, self.classes_, self.class_count_)
        data, parts = left_out(folds, y, self, self._change()) if folds else (None, None)
        if self.cost_matrix is not None:
            self._decide_by_costs(data)
        else:
            self._learn_multipliers(data, parts, folds)

    def _decide_by_costs(self, data):
        self.cost_matrix_ = cost_matrix_of(self.cost_matrix, self.classes_)
        gain = gain_of(self.cost_matrix_)
        if gain is not None:
            self.class_multiplier_ = gain / gain[gain > 0].min()
        if data is not None:
            decision = (-np.exp(data.z) @ self.cost_matrix_).argmax(axis=1)
            cost = np.average(self.cost_matrix_[data.y, decision], weights=data.weight)
            self.best_score_ = self.expected_score_ = -float(cost)
            self.recall_ = self.expected_recall_ = self._recall(data, decision)

    def _learn_multipliers(self, data, parts, folds):
        is_weighted = self._is_weighted(folds[0].sample_weight)
        rule = self._rule(self.classes_, is_weighted)
        if self.min_recall is not None:
            name = type(self.estimator).__name__
            check_within_reach(data, rule.recall, self.classes_, self.min_recall, name)
        found = learned(rule, data, parts)
        self.best_score_ = rule.score(data, found.decision)
        if np.isnan(self.best_score_):
            raise ValueError(
                "metric must give a number for decisions out of fold, got NaN of "
                f"{reprlib.repr(self.metric)}."
            )
        possible = self._possible()
        above = found.log_multiplier - found.log_multiplier[possible].min()
        # No more than what a probability can be multiplied by.
        self.class_multiplier_ = np.where(possible, np.exp(np.minimum(above, 600)), 0.0)
        if self.min_recall is None:
            self.tau_ = self._tau(found, data.log_prior)
            self.shrinkage_ = float(SHRINKAGES[found.way])
        self.expected_score_ = rule.score(data, found.honest)
        self.recall_ = self._recall(data, found.decision)
        self.expected_recall_ = self._recall(data, found.honest)

    def _tau(self, found, log_prior):
        if len(log_prior) != 2:
            return float(found.place)
        if not found.place:
            return 0.0
        first, second = log_prior
        # Of classes as frequent as each other, no power of the frequencies is a threshold.
        return float(found.place / (first - second)) if first != second else np.nan

    def _recall(self, data, decision):
        return recalls(data.y, decision, data.weight, len(self.classes_))

    def _possible(self):
        return (self.class_count_ > 0) & (self.target_prior_ > 0)

    def _change(self):
        """Return how much more frequent each class is than in the training data."""
        natural = self.class_count_ / self.class_count_.sum()
        return np.where(natural > 0, self.target_prior_ / np.where(natural > 0, natural, 1), 0)

    def _factor(self, seen):
        return (self._change() / self.class_weight_ * self.class_multiplier_)[seen]

    @available_if(_decides_by_proba)
    def predict_proba(self, X):
        """Predict the probabilities times the classes' multipliers, so that they sum to 1.

        The largest is the decision; of a label, whether it is above 0.5. Not
        there for a cost_matrix that needs more than multipliers; see
        ``predict_natural_proba``.

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
        return expit(self._above(X)) if hasattr(self, "threshold_") else super().predict_proba(X)

    @available_if(_decides_by_proba)
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
        return super().predict_log_proba(X)

    def decision_function(self, X):
        """Return what speaks for each class: its probability, or its expected cost, negative.

        Of a label, it is by how much its log-odds are above the threshold.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Scores; with two classes, the second class's minus the first's.
        """
        check_is_fitted(self)
        if hasattr(self, "threshold_"):
            return self._above(X)
        scores = self._scores(X)
        return scores[:, 1] - scores[:, 0] if scores.shape[1] == 2 else scores

    def predict(self, X):
        """Predict the class that is decided for, or 0 and 1 for each label.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            Predicted labels.
        """
        check_is_fitted(self)
        if hasattr(self, "threshold_"):
            return (self._above(X) > 0).astype(np.int64)
        scores = self._scores(X)
        return self.classes_[scores.argmax(axis=1)]

    def score(self, X, y, sample_weight=None):
        """Score the accuracy; of several labels, that of a sample's all.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels, as in ``fit``. Those of several that are not known are left out,
            and rows of which none is.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        float
            The share, in [0, 1], of what is right.
        """
        check_is_fitted(self)
        if not hasattr(self, "threshold_"):
            return super().score(X, y, sample_weight)
        return share_of_right_rows(y, self.predict(X), self.classes_, sample_weight)

    def _scores(self, X):
        check_is_fitted(self)
        if hasattr(self, "class_multiplier_"):
            return self.predict_proba(X)
        factor = (self._change() / self.class_weight_)[self._seen()]
        return -self._scaled(X, factor) @ self.cost_matrix_

    def predict_natural_proba(self, X):
        """Predict probabilities for classes as frequent as in the training data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, for risks and expected counts. Of several labels, those
            of the classifier.

        Raises
        ------
        ValueError
            If a sample has several labels, and the classifier has no
            ``predict_natural_proba``, as a net has.
        """
        if hasattr(self, "threshold_"):
            if not hasattr(self.estimator_, "predict_natural_proba"):
                raise ValueError(
                    "estimator must have predict_natural_proba where a sample has several labels, "
                    f"got a {type(self.estimator_).__name__}."
                )
            return self.estimator_.predict_natural_proba(X)
        return super().predict_natural_proba(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if hasattr(self.estimator, "__sklearn_tags__") and not isinstance(self.estimator, type):
            inner = get_tags(self.estimator).classifier_tags
            if inner is not None:  # as of what is no classifier
                tags.classifier_tags.multi_label = inner.multi_label
        return tags
