"""ConformalClassifierCV: for each row a set of classes that holds its own as often as is asked."""

import reprlib
import warnings

import numpy as np
from scipy.sparse import csr_array, vstack
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._validation import (
    as_float,
    check_choice,
    check_each,
    check_fraction,
    check_open_fraction,
)
from sk_cbloss.meta._aligned import predicted, proba_of
from sk_cbloss.meta._conformal_scores import (
    Calibration,
    over_prior,
    pool,
    thresholds,
    vote,
    why_all,
)
from sk_cbloss.meta._counted import with_classes
from sk_cbloss.meta._out_of_fold import AllRows, OutOfFoldMixin
from sk_cbloss.meta._scaled_proba import ProbaWrapper

METHODS = ("prevalence_adjusted", "plain", "classwise", "interpolated")
# Sparse sets are made by as many rows at a time as have so many probabilities.
N_AT_ONCE = 2**22


class ConformalClassifierCV(OutOfFoldMixin, ProbaWrapper):
    """Predict sets of classes that hold the true one as often as is asked.

    A class is in the set of a row if the row conforms to it no less than rows
    of known class do to theirs, all but the few that ``confidence`` leaves
    out. Those rows are ones that the classifier was not fitted to.

    What is promised is that of all rows, the share ``confidence`` has its class
    in its set. By probabilities alone ("plain"), common classes get more than
    that, and rare ones much less. Probabilities over the classes' shares
    ("prevalence_adjusted") are worth the same for rare classes as for common
    ones: were they right, their sets would have the best mean over the classes
    (macro coverage) for their size. That is aimed at, not promised.

    Parameters
    ----------
    estimator : classifier
        A classifier with ``predict_proba``, weighted or not: its weights are
        divided out, so that sets are those of natural probabilities.
    confidence : float in (0, 1), default=0.9
        How many of all rows are to have their class in their set. It may be
        changed without another fit, as may ``method`` and ``interpolation``.
    method : {"prevalence_adjusted", "plain", "classwise", "interpolated"}, \
            default="prevalence_adjusted"
        How a row conforms to a class:

        - "prevalence_adjusted": by its probability over the class's share;
        - "plain": by its probability, for the smallest sets;
        - "classwise": by its probability, each class compared with its own
          rows. It is promised for every class, and classes with fewer than
          ``confidence / (1 - confidence)`` rows, in most folds, are in every set;
        - "interpolated": with thresholds between "plain" and "classwise".
    interpolation : float in [0, 1], default=0.9
        Of "interpolated", how far thresholds are from those of "plain" (0) on
        the way to those of "classwise" (1).
    cv : int, cross-validation generator, iterable or "prefit", default=5
        The folds, as for GridSearchCV. A single split, such as
        ``ShuffleSplit(1, test_size=0.3)``, holds a part out. With "prefit" the
        classifier is fitted already, as it is in a
        :class:`sklearn.frozen.FrozenEstimator`, and ``fit`` is given other
        rows, which need not hold all of its classes.
    ensemble : bool, default=True
        Whether sets are made by the classifiers of the folds, each calibrated
        by the rows that it was not fitted to: a class is in the set if half of
        them say so, which takes as many predictions a row as folds, and is
        promised something. Without it, by the one fitted to all data, calibrated
        by the rows of all folds together.
    n_jobs : int, default=None
        Number of folds that are fitted at the same time, as for GridSearchCV.

    Attributes
    ----------
    set_threshold_ : ndarray of shape (n_classes,)
        The natural probability from which on each class is in sets, at
        ``confidence``; 0 of a class that is in all. Only where one classifier
        makes them: "prefit", a single split, or ``ensemble=False``.
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
    set_coverage_score : How many rows have their class in their set.
    make_set_scorer : Scorers of sets, for searches.
    SetCoverageDisplay : Coverage and size, class by class.

    Notes
    -----
    Promises are for rows like those given to ``fit``, in the mean over all
    draws of both. With 1 - confidence = alpha:

    - "prefit", a single split: at least 1 - alpha, exactly, of all rows; of
      "classwise", of the rows of each class; of "interpolated", 1 - 2 alpha.
      Where the shares are those of the calibration's rows ("prefit"), a row is
      counted among the class that it is compared with, which keeps this exact.
    - k folds, ``ensemble=True``: each fold is such a split, so a vote misses at
      most twice as often: at least 1 - 2 alpha, of "interpolated" 1 - 4 alpha.
      Typically 1 - alpha or a little more.
    - k folds, ``ensemble=False``: nothing, without assumptions about the
      classifier; typically 1 - alpha.

    All of that is for splits drawn without regard to the labels. With stratified
    ones, the default, coverage is much the same but not proven. Nor is it with
    groups, of which a new row may be like none.

    A classifier that is fitted already is calibrated by rows that it was not
    fitted to. Weights that it took from labels, as by
    ``class_weight="balanced"``, are divided out by the shares of the rows given,
    so these should be its own.

    The class to which a row conforms best is always in its set, so that none is
    empty; a classifier that is right more often than ``confidence`` has larger
    coverage. Weights given to ``fit`` count rows: 2 means two of them, and all
    together they are to be as large as the number of rows.

    References
    ----------
    Ding, Fermanian and Salmon, "Conformal Prediction for Long-Tailed
    Classification", ICLR 2026 ("prevalence_adjusted", "interpolated").

    Sadinle, Lei and Wasserman, "Least Ambiguous Set-Valued Classifiers with
    Bounded Error Levels", JASA 2019 ("plain", "classwise").

    Vovk, "Cross-Conformal Predictors", Annals of Mathematics and Artificial
    Intelligence 2015 (folds).

    Gasparin and Ramdas, "Merging Uncertainty Sets via Majority Vote", 2024
    (what is promised of a vote).

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sk_cbloss import ConformalClassifierCV, load_digits_lt, set_coverage_score
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> X_test, y_test = load_digits_lt("test", return_X_y=True)
    >>> model = ConformalClassifierCV(LogisticRegression(max_iter=1000)).fit(X / 16, y)
    >>> sets = model.predict_set(X_test / 16)
    >>> [model.classes_[each].tolist() for each in sets[:4]]
    [[5], [0], [4], [8]]
    >>> for method in ("plain", "prevalence_adjusted"):
    ...     sets = model.set_params(method=method).predict_set(X_test / 16)
    ...     print(method, round(set_coverage_score(y_test, sets, average="macro"), 2))
    plain 0.86
    prevalence_adjusted 0.96
    """

    def __init__(
        self,
        estimator,
        *,
        confidence=0.9,
        method="prevalence_adjusted",
        interpolation=0.9,
        cv=5,
        ensemble=True,
        n_jobs=None,
    ):
        super().__init__(estimator)
        self.confidence = confidence
        self.method = method
        self.interpolation = interpolation
        self.cv = cv
        self.ensemble = ensemble
        self.n_jobs = n_jobs

    @property
    def set_threshold_(self):
        """The natural probability from which on each class is in sets."""
        check_is_fitted(self)
        if len(self._calibrations) > 1:
            raise AttributeError(
                "set_threshold_ is there where one classifier makes the sets, not those of "
                f"{len(self._calibrations)} folds: set ensemble=False, or cv to a single split."
            )
        self._check_rule()
        return self._thresholds(*self._calibrations, [as_float(self.confidence)])[0]

    @property
    def keeps_folds(self):
        """Whether the classifiers of the folds make the sets."""
        return self.ensemble and not isinstance(self._to_fit(), FrozenEstimator)

    def predict_set(self, X, confidence=None, *, sparse=False):
        """Predict the set of classes of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Whatever the classifier takes.
        confidence : float or array-like of float, default=None
            How many rows are to have their class in their set; of several, all
            sets are returned. None is that of the model.
        sparse : bool, default=False
            Whether to return a sparse array, made by some thousand rows at a
            time: for very many classes.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), dtype bool
            Whether a class is in a row's set, in the order of ``classes_``. For
            several confidences of shape (n_confidences, n_samples, n_classes).
            If ``sparse``, a ``scipy.sparse.csr_array``, or a list of such.

        Raises
        ------
        ValueError
            If a parameter is invalid.

        Warns
        -----
        UserWarning
            If every set holds every class, since for a confidence there were
            too few rows in ``fit``, or too many of a class that the classifier
            holds to be impossible for them.
        """
        check_is_fitted(self)
        self._check_rule()  # they may have been set since the fit
        is_one = confidence is None or np.ndim(confidence) == 0
        if is_one:
            given = self.confidence if confidence is None else confidence
            asked = [check_open_fraction(given, "confidence")]
        else:
            asked = check_each(confidence, "confidence", check_open_fraction)
        if confidence is not None:
            self._warn_of_all(asked)
        least = [self._thresholds(each, asked) for each in self._calibrations]
        sets = self._sparse_sets(X, least) if sparse else self._sets(X, least)
        return sets[0] if is_one else sets

    def predict(self, X):
        """Predict the class that the classifier decides for.

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

    def predict_proba(self, X):
        """Predict the classifier's probabilities; weights, if it has some, are in them.

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
        return proba_of(self.estimator_, X, self.classes_)

    def _check_rule(self):
        check_open_fraction(self.confidence, "confidence")
        check_choice(self.method, "method", METHODS)
        check_fraction(self.interpolation, "interpolation")

    def _check_parameters(self):
        self._check_rule()
        if not isinstance(self.ensemble, bool | np.bool_):
            raise ValueError(f"ensemble must be True or False, got {self.ensemble!r}.")
        if isinstance(self.cv, str) and self.cv != "prefit":
            raise ValueError(
                f"cv must be an integer, folds or 'prefit', got {reprlib.repr(self.cv)}."
            )

    def _to_fit(self):
        is_frozen = isinstance(self.estimator, FrozenEstimator)
        is_given = isinstance(self.cv, str) and not is_frozen
        return FrozenEstimator(self.estimator) if is_given else self.estimator

    def _with_known(self, estimator, counter):
        is_frozen = isinstance(estimator, FrozenEstimator)  # which may know more than it is given
        return with_classes(counter, estimator.classes_) if is_frozen else counter

    def _seen(self):
        return super()._seen() | isinstance(self.estimator_, FrozenEstimator)

    def _splitter(self, y=None):
        return AllRows() if isinstance(self.cv, str) else super()._splitter(y)

    def _look_ahead(self, X, y, classes, sample_weight, groups):
        if isinstance(self._to_fit(), FrozenEstimator):
            try:
                check_is_fitted(self.estimator)
            except (NotFittedError, TypeError):
                raise NotFittedError(
                    f"estimator must be fitted for cv='prefit', got {self.estimator!r}: a clone "
                    "of what is fitted is not, but for one in a FrozenEstimator."
                ) from None
        return super()._look_ahead(X, y, classes, sample_weight, groups)

    def _decide(self, folds, y):
        times = np.ones(len(y))
        if not self.keeps_folds:  # then rows that are left out twice are one
            times = np.bincount(np.concatenate([fold.rows for fold in folds]), minlength=len(y))
        found = [self._calibration(fold, y[fold.rows], times[fold.rows]) for fold in folds]
        if not self.keeps_folds:
            is_frozen = isinstance(self.estimator_, FrozenEstimator)
            prior = None if is_frozen else self.class_count_ / self.class_count_.sum()
            found = [pool(found, prior)]
        self._calibrations = found
        self._warn_of_all([self.confidence], stacklevel=5)  # past what puts back on errors

    def _calibration(self, fold, y, times):
        n_classes = len(self.classes_)
        column, prior = np.full(n_classes, -1), np.zeros(n_classes)  # a fold may lack a class
        known = np.searchsorted(self.classes_, fold.classes_)
        column[known] = np.arange(len(known))
        prior[known] = fold.class_count_ / fold.class_count_.sum()
        position = np.searchsorted(self.classes_, y)
        own = np.where(column[position] < 0, 0, fold.proba[np.arange(len(y)), column[position]])
        weight = np.ones(len(y)) if fold.sample_weight is None else fold.sample_weight
        adjusted = over_prior(own, prior[position])
        return Calibration(own, adjusted, position, weight / times, prior, fold.fitted)

    def _warn_of_all(self, confidences, stacklevel=3):
        why = why_all(self._calibrations, max(confidences), self.method)
        if why is not None:
            warnings.warn(f"{why}: every set holds every class.", stacklevel=stacklevel)

    def _thresholds(self, calibration, confidences):
        rule = {"method": self.method, "interpolation": self.interpolation}
        n_classes = len(self.classes_)
        return np.stack([thresholds(calibration, n_classes, c, **rule) for c in confidences])

    def _sets(self, X, asked):
        """Return sets of shape (n_confidences, n_samples, n_classes)."""
        probas = [self._proba(each, X) for each in self._calibrations]
        sets = vote(probas, asked)
        best = sum(map(self._score, self._calibrations, probas)).argmax(axis=1)
        sets[:, np.arange(len(best)), best] = True  # none is empty
        return sets

    def _score(self, calibration, p):
        if self.method != "prevalence_adjusted":
            return p
        return over_prior(p, self.class_count_ if calibration.prior is None else calibration.prior)

    def _proba(self, calibration, X):
        if calibration.fitted is None:
            return self.predict_natural_proba(X)
        p = calibration.fitted.predict_proba(X)
        if p.shape[1] == len(self.classes_):
            return p
        whole = np.zeros((len(p), len(self.classes_)))
        whole[:, np.searchsorted(self.classes_, calibration.fitted.classes_)] = p
        return whole

    def _sparse_sets(self, X, asked):
        (X,) = indexable(X)
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        step = max(1, N_AT_ONCE // len(self.classes_))
        parts = []
        for start in range(0, max(n_rows, 1), step):
            rows = _safe_indexing(X, slice(start, start + step))
            parts.append([csr_array(each) for each in self._sets(rows, asked)])
        return [vstack(each, format="csr") for each in zip(*parts, strict=True)]
