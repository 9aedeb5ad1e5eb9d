"""Decisions for several labels a sample: a threshold for each, learned out of fold.

A label is a decision between two sides, and a score over labels is a mean of numbers that each
label has by itself. As for classes, one parameter, tau, moves all thresholds by the labels' prior
odds, and every place where a decision changes is tried; from there each label's threshold goes on
to where that label is best, by less the fewer samples have it.
"""

import reprlib
from dataclasses import dataclass

import numpy as np
from scipy.special import logit
from sklearn.utils import _safe_indexing, indexable
from sklearn.utils.parallel import Parallel, delayed

from sk_cbloss._indicator import read_indicator
from sk_cbloss._validation import check_sample_weight
from sk_cbloss.meta._decision_rows import TAU_MAX
from sk_cbloss.meta._decision_rules import SHRINKAGES, part_of_the_way
from sk_cbloss.meta._decision_sweep import best_place
from sk_cbloss.meta._fit_weighted import cloned
from sk_cbloss.meta._natural import has_proba


def _f1(hit, decided, true, total):
    return 2 * hit / (decided + true)


def _balanced(hit, decided, true, total):
    """Return the mean recall of the two sides."""
    return (hit / true + (total - true - decided + hit) / (total - true)) / 2


TINY = np.finfo(float).tiny
LABEL_METRICS = {"f1_macro": _f1, "balanced_accuracy": _balanced}


@dataclass(frozen=True)
class Thresholds:
    """What is learned of labels.

    Attributes
    ----------
    threshold : ndarray of shape (n_labels,)
        Log-odds above which a sample has a label.
    tau : float
        By what power of the labels' prior odds they are, but for each one's own part.
    shrinkage : float
        How many samples with it a label needs for half of its own part.
    score, expected : float
        The score out of fold, of these thresholds and of those learned without each fold.
    """

    threshold: np.ndarray
    tau: float
    shrinkage: float
    score: float
    expected: float


def check_for_labels(whole):
    """Return the name of a decision's metric, if it can be made for several labels."""
    for name, default in (
        ("cost_matrix", None),
        ("min_recall", None),
        ("target_prior", "natural"),
    ):
        given = getattr(whole, name)
        if given is not default and not (isinstance(given, str) and given == default):
            raise ValueError(
                f"{name} must be left at {default!r} where a sample has several labels, got "
                f"{reprlib.repr(given)}."
            )
    metric = "f1_macro" if whole.metric is None else whole.metric
    if not isinstance(metric, str) or metric not in LABEL_METRICS:
        names = " or ".join(map(repr, LABEL_METRICS))
        raise ValueError(
            f"metric must be {names} where a sample has several labels, got "
            f"{reprlib.repr(whole.metric)}."
        )
    return metric


def check_has_no_tags(estimator):
    """Raise a ValueError for a net, wherever it is inside, whose y are rows of tags."""
    for name, value in estimator.get_params().items():
        if name.endswith("criterion__ignore_index") and value is not None:
            raise ValueError(
                "estimator must learn one label a sample, or several of 0 and 1, got a net of "
                f"tags ({name}={value!r}), whose own decisions stand."
            )


def learned_of_labels(whole, X, y, sample_weight, groups):
    """Return what a decision learns of several labels a sample, by name."""
    if not has_proba(whole.estimator):
        raise TypeError(f"estimator must have predict_proba, got {whole.estimator!r}.")
    check_has_no_tags(whole.estimator)
    metric, indicator = check_for_labels(whole), read_indicator(y)
    weight = None
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, indicator.values.shape[0])
    # A number of folds is one without strata, whatever is not known of y.
    splits = whole._splits(whole._splitter(), X, y, weight, groups)
    X, y = indexable(X, y)
    one = delayed(_left_out)
    parts = Parallel(n_jobs=whole.n_jobs)(
        one(whole.estimator, X, y, weight, len(indicator.names), *split) for split in splits
    )
    rows, odds = (np.concatenate(each) for each in zip(*parts, strict=True))
    fold = np.repeat(np.arange(len(parts)), [len(of_fold) for of_fold, _ in parts])
    learned = learn_thresholds(rows, odds, fold, indicator, weight, LABEL_METRICS[metric])
    estimator = _fitted(whole.estimator, X, y, weight)
    names = ("n_features_in_", "feature_names_in_")
    return {
        "estimator_": estimator,
        "classes_": indicator.names,
        "class_count_": indicator.count(weight),
        "threshold_": learned.threshold,
        "tau_": learned.tau,
        "shrinkage_": learned.shrinkage,
        "best_score_": learned.score,
        "expected_score_": learned.expected,
        **{name: getattr(estimator, name) for name in names if hasattr(estimator, name)},
    }


def _fitted(estimator, X, y, weight):
    given = {} if weight is None else {"sample_weight": weight}
    return cloned(estimator).fit(X, y, **given)


def _left_out(estimator, X, y, weight, n_labels, train, rows):
    """Return the rows of a fold, and their log-odds by a classifier fitted to the others."""
    of_train = (_safe_indexing(each, train) for each in (X, y))
    fitted = _fitted(estimator, *of_train, None if weight is None else weight[train])
    odds = log_odds(fitted, _safe_indexing(X, rows))
    if odds.shape != (expected := (len(rows), n_labels)):
        raise ValueError(
            f"estimator must give a probability of each label, of shape {expected}, got "
            f"{odds.shape} of {estimator!r}."
        )
    return rows, odds


def log_odds(estimator, X):
    """Return log-odds of labels, by a matrix of probabilities or by a list of pairs of them."""
    proba = estimator.predict_proba(X)
    if isinstance(proba, list):  # one column for a label of which one side was seen
        classes = estimator.classes_
        proba = [
            p[:, 1] if p.shape[1] > 1 else p[:, 0] * c for p, c in zip(proba, classes, strict=True)
        ]
        proba = np.stack(proba, axis=1)
    return logit(np.asarray(proba, dtype=np.float64))


def learn_thresholds(row, odds, fold, indicator, weight, metric):
    """Return the Thresholds that are best for a metric, some nearer to tau than others.

    Parameters
    ----------
    row : ndarray of shape (n_left_out,)
        Which sample each is; one may be left out several times, and then counts once.
    odds : ndarray of shape (n_left_out, n_labels)
        Log-odds.
    fold : ndarray of shape (n_left_out,)
        By which fold.
    indicator : Indicator
        Which samples have which labels.
    weight : ndarray of shape (n_samples,) or None
        Weights of the samples.
    metric : callable
        The score of a label.

    Returns
    -------
    Thresholds
        What is learned.
    """
    values = indicator.some(row).dense()
    known = ~np.isnan(values)
    size = 1 / np.bincount(row)[row]
    size = size if weight is None else size * weight[row]
    columns = zip(odds.T, (values == 1).T, known.T, strict=True)
    labels = [Label(*column, size, metric) for column in columns]

    def ways(rows):
        """Return thresholds for each shrinkage, learned from some rows, and tau."""
        some = [label.some(rows) for label in labels]
        tau = best_tau(some)
        line = tau * np.array([label.prior for label in some])
        own = np.array([label.best() for label in some])
        n = np.array([label.n_with for label in some])
        return part_of_the_way(line, own - line, n), tau

    def score(decided):
        """Return the mean over labels that have both sides."""
        scores = [label.score(made) for label, made in zip(labels, decided.T, strict=True)]
        return float(np.mean([s for s in scores if s is not None] or [np.nan]))

    of_all, tau = ways(np.ones(len(row), dtype=bool))
    honest = np.zeros((len(of_all), *odds.shape), dtype=bool)
    for number in np.unique(fold):
        here = fold == number
        of_others, _ = ways(~np.isin(row, row[here]))
        for decided, threshold in zip(honest, of_others, strict=True):
            decided[here] = odds[here] > threshold
    expected = np.array([score(decided) for decided in honest])
    way = int(expected.argmax())
    found = of_all[way]
    return Thresholds(
        found, tau, float(SHRINKAGES[way]), score(odds > found), float(expected[way])
    )


class Label:
    """A label's log-odds, which samples have it, and their weights.

    Attributes
    ----------
    prior : float
        Log-odds of its frequency; 0 if it has one side alone.
    n_with : float
        Weight of the samples that have it.
    """

    def __init__(self, odds, has, known, weight, metric):
        self.odds, self.has, self.known = odds, has, known
        self.weight, self.metric = weight, metric
        rows = known.nonzero()[0]
        order = rows[(-odds[rows]).argsort(kind="stable")]
        self.sorted, gain = odds[order], weight[order]
        true = (gain * has[order]).sum()
        self.has_both, self.n_with = 0 < true < gain.sum(), true
        self.prior = float(logit(true / gain.sum())) if self.has_both else 0.0
        if self.has_both:  # the score of a decision for none, the first, the first two, ...
            hit = np.r_[0, (gain * has[order]).cumsum()]
            self.values = metric(hit, np.r_[0, gain.cumsum()], hit[-1], gain.sum())

    def some(self, rows):
        """Return the label of some rows."""
        parts = self.odds[rows], self.has[rows], self.known[rows], self.weight[rows]
        return Label(*parts, self.metric)

    def score(self, decided):
        """Return the score of decisions, None if there is one side alone."""
        if not self.has_both:
            return None
        has, decided, weight = (each[self.known] for each in (self.has, decided, self.weight))
        sums = [weight[of].sum() for of in (has & decided, decided, has)]
        return self.metric(*sums, weight.sum())

    def best(self):
        """Return the log-odds above which it is best decided for; 0 where that is as good."""
        if not self.has_both:
            return 0.0
        finite = self.sorted[np.isfinite(self.sorted)]
        reach = 1 + abs(finite).max(initial=0)
        at = self.sorted[::-1].clip(-reach, reach)  # as a threshold rises, fewer are above
        at = np.where(at == 0, -TINY, at)  # at 0, what is 0 is not above
        return float(best_place(-reach, reach, at, self.values[::-1], usual=0.0)[0])

    def along(self):
        """Return where decisions change along tau, and the score before, and what each adds."""
        if not self.prior:  # of a label that half of them have, the threshold stays
            return np.empty(0), self.values[(self.sorted > 0).sum()], np.empty(0)
        at, values, gains = self.sorted / self.prior, self.values, np.diff(self.values)
        at = np.where(at == 0, -np.sign(self.prior) * TINY, at)  # at 0, what is 0 is not above
        if self.prior > 0:  # thresholds rise along tau
            values, gains = values[::-1], -gains
        inside = (at > -TAU_MAX) & (at < TAU_MAX)
        before = (at <= -TAU_MAX).sum()
        return at[inside], values[before], gains[inside]


def best_tau(labels):
    """Return by what power of the labels' prior odds thresholds are best, from -2 to 2."""
    labels = [label for label in labels if label.has_both]
    if not labels:
        return 0.0
    at, first, gains = zip(*[label.along() for label in labels], strict=True)
    at, gains = np.concatenate(at), np.concatenate(gains)
    order = at.argsort(kind="stable")
    values = (sum(first) + np.r_[0, gains[order].cumsum()]) / len(labels)
    place, value = best_place(-TAU_MAX, TAU_MAX, at[order], values, usual=0.0)
    # At 0 itself, no log-odds of 0 are above a threshold, whichever way that goes along tau.
    at_zero = np.mean([label.values[(label.sorted > 0).sum()] for label in labels])
    return 0.0 if at_zero >= value - 1e-12 else float(place)
