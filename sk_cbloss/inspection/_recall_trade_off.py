"""Recall along tau: what rare classes gain, and what frequent ones lose."""

import reprlib

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._labels import as_labels, names_of, read_labels, sorted_with_ranks
from sk_cbloss._validation import as_floats, as_named, check_choice, check_class_count
from sk_cbloss.inspection._figure import GREY, axes_for, name_lines, style_of, styles_given
from sk_cbloss.inspection._text import LONGEST, are_cut, check_name_length, plain_names
from sk_cbloss.metrics import SHOTS, at_the_end, shots_of

# With more classes than this, they are drawn by groups unless each is asked for.
MAX_CLASSES = 6
N_TAUS = 81


def _recall(hit, decided, true):
    return hit[true > 0] / true[true > 0]


def _geometric_mean(hit, decided, true):
    recall = _recall(hit, decided, true)
    return np.exp(np.log(recall).mean()) if recall.all() else 0.0


SCORES = {
    "accuracy": lambda hit, decided, true: hit.sum() / true.sum(),
    "balanced_accuracy": lambda *counts: _recall(*counts).mean(),
    "f1_macro": lambda hit, decided, true: (2 * hit / (decided + true))[decided + true > 0].mean(),
    "geometric_mean": _geometric_mean,
    "worst_class_recall": lambda *counts: _recall(*counts).min(),
}


class RecallTradeOffDisplay:
    """Recall of classes, or of groups of them, along tau, and a score beside.

    Decisions are for the class of the largest probability over its frequency to
    the power of tau: at 0 for the most likely one, at 1 as if all classes were
    equally frequent, beyond in favour of rare ones.

    Parameters
    ----------
    tau : array-like of shape (n_taus,)
        Values of tau.
    recalls : mapping from name to array-like of shape (n_taus,)
        Of each class, or group of classes, the recall at each tau.
    score : array-like of shape (n_taus,), default=None
        A score at each tau.
    score_name : str, default="score"
        Its name.
    chosen : tuple of float, mapping and float, default=None
        A decision that is marked: its tau, NaN if it has none; its recalls, by
        name; and its score.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure that holds it.
    lines_ : dict of matplotlib Line2D
        The lines, by name.
    marks_ : dict of matplotlib Line2D
        The marks of the decision, by name.

    See Also
    --------
    DecisionClassifierCV : Chooses a decision.
    ShotRecallDisplay : Recall of the same groups, models side by side.

    Examples
    --------
    >>> from sk_cbloss.inspection import RecallTradeOffDisplay
    >>> recalls = {"common": [0.9, 0.8, 0.7], "rare": [0.1, 0.5, 0.6]}
    >>> display = RecallTradeOffDisplay([0, 1, 2], recalls).plot()
    >>> list(display.lines_)
    ['common', 'rare']
    """

    def __init__(self, tau, recalls, *, score=None, score_name="score", chosen=None):
        self.tau = tau
        self.recalls = recalls
        self.score = score
        self.score_name = score_name
        self.chosen = chosen

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_proba,
        *,
        class_count,
        labels=None,
        y_pred=None,
        tau=np.nan,
        metric="balanced_accuracy",
        group=None,
        thresholds=(20, 100),
        ax=None,
        line_kw=None,
        name_length=LONGEST,
    ):
        """Draw the recalls of decisions by probabilities.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels, of rows that the probabilities were not learned from.
        y_proba : array-like of shape (n_samples, n_classes)
            Probabilities for classes as frequent as in the training data.
        class_count : mapping from label to number, or array-like of shape (n_classes,)
            Number of training samples of each class.
        labels : array-like of shape (n_classes,), default=None
            The labels of the columns; None takes those of class_count, or else
            those of y_true, sorted as ``classes_`` are.
        y_pred : array-like of shape (n_samples,), default=None
            Decisions to be marked.
        tau : float, default=nan
            Where to mark them; NaN is beside the lines.
        metric : {"balanced_accuracy", "f1_macro", "geometric_mean", \
                "worst_class_recall", "accuracy"} or None, default="balanced_accuracy"
            The score to draw.
        group : {"classes", "shots"} or None, default=None
            Whether to draw each class or the means of many-, medium- and
            few-shot classes; None draws up to six classes.
        thresholds : (float, float), default=(20, 100)
            The groups; see :func:`shot_recall_score`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        RecallTradeOffDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a parameter is invalid, or labels and shapes do not fit together.
        """
        check_choice(metric, "metric", (*SCORES, None))
        check_choice(group, "group", ("classes", "shots", None))
        true = read_labels(y_true)
        named = as_named(class_count)
        if labels is None:
            known = true.encode()[0] if named is None else as_labels(list(named))
            labels, _ = sorted_with_ranks(known)  # a Counter has them as they came
        else:
            labels = as_labels(labels)
        count = _counts(named, class_count, labels)
        p = as_floats(y_proba, "y_proba")
        if p.shape != (len(true.values), len(labels)):
            raise ValueError(
                f"y_proba must have shape ({len(true.values)}, {len(labels)}), a row for each "
                f"label of y_true and a column for each class, got {p.shape}."
            )
        position = _positions(true, labels, "y_true")
        if group is None:
            group = "classes" if len(labels) <= MAX_CLASSES else "shots"
        groups = _groups(labels, count, position, group, thresholds)
        low, high = (min(0.0, tau), max(2.0, tau)) if abs(tau) <= 10 else (0.0, 2.0)
        taus = np.linspace(low, high, N_TAUS)
        with np.errstate(divide="ignore"):
            z, log_prior = np.log(p), np.log(count / count.sum())
        log_prior[count == 0] = 0
        runs = [_look(position, (z - t * log_prior).argmax(axis=1), groups, metric) for t in taus]
        recalls = {name: [recall[name] for recall, _ in runs] for name in groups}
        chosen = None
        if y_pred is not None:
            decision = _positions(read_labels(y_pred), labels, "y_pred")
            chosen = (tau, *_look(position, decision, groups, metric))
        score = None if metric is None else [value for _, value in runs]
        name = "" if metric is None else metric.replace("_", " ").replace("f1 macro", "macro-F1")
        return cls(taus, recalls, score=score, score_name=name, chosen=chosen).plot(
            ax, line_kw=line_kw, name_length=name_length
        )

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        metric="balanced_accuracy",
        group=None,
        thresholds=(20, 100),
        ax=None,
        line_kw=None,
        name_length=LONGEST,
    ):
        """Draw the recalls of a fitted classifier, and mark what it decides.

        Parameters
        ----------
        estimator : DecisionClassifierCV or other classifier with natural probabilities
            Fitted, or a Pipeline or a search that ends in one. One with ``tau_``
            has its mark there, others beside the lines.
        X : array-like of shape (n_samples, n_features)
            Features of the test part.
        y : array-like of shape (n_samples,)
            Its labels.
        metric : {"balanced_accuracy", "f1_macro", "geometric_mean", \
                "worst_class_recall", "accuracy"} or None, default="balanced_accuracy"
            The score to draw.
        group : {"classes", "shots"} or None, default=None
            Whether to draw each class or the means of many-, medium- and
            few-shot classes; None draws up to six classes.
        thresholds : (float, float), default=(20, 100)
            The groups; see :func:`shot_recall_score`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        RecallTradeOffDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If estimator has no natural probabilities.
        """
        found, X = at_the_end(estimator, X, "predict_natural_proba")
        if found is None:
            raise TypeError(
                "estimator must be a fitted classifier with predict_natural_proba, such as "
                f"DecisionClassifierCV, got {estimator!r}."
            )
        check_is_fitted(found)
        return cls.from_predictions(
            y,
            found.predict_natural_proba(X),
            class_count=found.class_count_,
            labels=found.classes_,
            y_pred=found.predict(X),
            tau=getattr(found, "tau_", np.nan),
            metric=metric,
            group=group,
            thresholds=thresholds,
            ax=ax,
            line_kw=line_kw,
            name_length=name_length,
        )

    def plot(self, ax=None, *, line_kw=None, name_length=LONGEST):
        """Draw the recalls.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            Passed to matplotlib's ``plot``; a list has one for each of the recalls, and the
            score's last.
        name_length : int or None, default=40
            Names of more characters are cut, and the legend says so; None cuts none.

        Returns
        -------
        RecallTradeOffDisplay
            The display itself.

        Raises
        ------
        ValueError
            If recalls or the score have not a number for each tau.
        """
        tau = as_floats(self.tau, "tau")
        lines = {name: self._line(recall, tau, name) for name, recall in self.recalls.items()}
        score = None if self.score is None else self._line(self.score, tau, self.score_name)
        check_name_length(name_length)
        n_lines = len(lines) + (score is not None)
        given = styles_given(self, line_kw, "line_kw", n_lines, "Line2D")
        styles = _styles(list(lines), name_length)
        ax = axes_for(self, ax)
        self.lines_, self.marks_ = {}, {}
        at, of_chosen, score_of_chosen = self.chosen or (None, {}, None)
        if at is not None:
            beside = not tau.min() <= at <= tau.max()
            at = tau.max() + 0.06 * np.ptp(tau) if beside else at
            ax.axvline(at, color=GREY, linewidth=0.8, linestyle=":")
            ax.annotate(
                "decided",
                (at, 1.01),
                xycoords=("data", "axes fraction"),
                ha="center",
                va="bottom",
                fontsize="small",
                color=GREY,
            )
        if score is not None:
            name = self.score_name
            lines, of_chosen = lines | {name: score}, of_chosen | {name: score_of_chosen}
            wide = {"color": GREY, "linewidth": 3, "alpha": 0.7, "zorder": 2.5, "label": name}
            styles.append(wide)
        for (name, values), style, own in zip(lines.items(), styles, given, strict=True):
            (self.lines_[name],) = ax.plot(tau, values, **style | own)
            if of_chosen.get(name) is not None:
                self._mark(name, at, of_chosen[name], is_small=len(lines) > 2 * MAX_CLASSES)
        ax.set(xlabel="tau", ylabel="Recall", ylim=(0, 1.02))
        name_lines(ax, with_cut=are_cut(lines, name_length))
        return self

    def _mark(self, name, at, value, *, is_small):
        size = (3, 0) if is_small else (6, 1)
        (self.marks_[name],) = self.ax_.plot(
            [at],
            [value],
            "o",
            color=self.lines_[name].get_color(),
            markersize=size[0],
            markeredgecolor=self.ax_.get_facecolor(),
            markeredgewidth=size[1],
            clip_on=False,
        )

    def _line(self, values, tau, name):
        line = as_floats(values, f"{name} of recalls")
        if line.shape != tau.shape:
            raise ValueError(
                f"recalls and score must have a number for each of {len(tau)} values of tau, got "
                f"shape {line.shape} of {name!r}."
            )
        return line


def _styles(names, name_length):
    """Return how the lines look: of many, from the most frequent class to the rarest."""
    shown = plain_names(names, name_length)
    if len(names) <= 2 * MAX_CLASSES:
        return [style_of(i, marker=False) | {"label": name} for i, name in enumerate(shown)]
    from matplotlib import colormaps

    shades = colormaps["viridis"](np.linspace(0, 0.9, len(names)))
    styles = [{"color": shade, "linewidth": 0.6} for shade in shades]
    styles[0]["label"], styles[-1]["label"] = f"{shown[0]}, most frequent", f"{shown[-1]}, rarest"
    return styles


def _counts(named, class_count, labels):
    """Return the counts of the classes in the order of labels."""
    if named is not None:
        missing = [label for label in names_of(labels) if label not in named]
        if missing:
            raise ValueError(f"class_count must hold every label, got no {missing[0]!r}.")
        return check_class_count([named[label] for label in names_of(labels)])
    count = check_class_count(class_count)
    if count.shape != labels.shape:
        raise ValueError(
            f"class_count must have a number for each of the {len(labels)} labels, got shape "
            f"{count.shape}."
        )
    return count


def _positions(read, labels, name):
    """Return the positions of labels in a list that need not be sorted."""
    order = np.argsort(labels, kind="stable")
    places, unknown = read.places_among(labels[order])
    if unknown:
        raise ValueError(
            f"{name} must hold labels that have probabilities, got {reprlib.repr(unknown[0])}."
        )
    return read.gather(order[places])


def _groups(labels, count, position, group, thresholds):
    """Return which classes each line is of, by name, the most frequent first."""
    there = np.bincount(position, minlength=len(labels)) > 0
    if group == "classes":
        order = [c for c in np.argsort(-count, kind="stable") if there[c]]
        return {str(names_of(labels)[c]): np.array([c]) for c in order}
    shots = shots_of(count, thresholds)
    members = {shot: np.flatnonzero((shots == shot) & there) for shot in SHOTS}
    return {
        f"{shot}-shot, {len(some)} class{'es' if len(some) != 1 else ''}": some
        for shot, some in members.items()
        if len(some)
    }


def _look(position, decision, groups, metric):
    """Return the recall of each group of classes, and the score, of decisions."""
    n_classes = 1 + max(position.max(), decision.max())
    n_classes = max(n_classes, 1 + max(some.max() for some in groups.values()))
    hit = np.bincount(position[position == decision], minlength=n_classes)
    true, decided = (np.bincount(some, minlength=n_classes) for some in (position, decision))
    recalls = {name: (hit[some] / true[some]).mean() for name, some in groups.items()}
    return recalls, None if metric is None else SCORES[metric](hit, decided, true)
