"""How often sets hold the true class, and how large they are, class by class."""

import reprlib

import numpy as np

from sk_cbloss._labels import names_of, read_labels
from sk_cbloss._validation import as_named, check_open_fraction, check_same_length
from sk_cbloss.inspection._counts import name_classes
from sk_cbloss.inspection._figure import (
    COLORS,
    GREY,
    axes_for,
    new_axes,
    pyplot_of,
    styles_given,
)
from sk_cbloss.inspection._text import LONGEST, check_name_length
from sk_cbloss.metrics import (
    SHOTS,
    at_the_end,
    check_sets,
    counts_by_column,
    covered_by,
    set_coverage_interval,
    shots_of,
    sizes_of,
)


class SetCoverageDisplay:
    """Coverage of prediction sets by class, from head to tail, over the sizes of the sets.

    A point is a class, the larger the more test samples it has; a stroke is the
    interval in which its coverage lies, and thick lines are means over the
    classes with many, a medium number of, and few training samples. The dashed
    line is the coverage that was asked for.

    Parameters
    ----------
    coverage : mapping from label to SetCoverage
        Of each class, what :func:`set_coverage_interval` gives with
        ``by="class"``: coverage, the ends of its interval, number of samples.
    class_count : mapping from label to number
        Number of training samples of each class, by which they are ordered.
    set_size : mapping from label to float, default=None
        Mean size of the sets of each class's samples; None leaves them out.
    confidence : float in (0, 1), default=None
        The coverage that was asked for.
    thresholds : (float, float), default=(20, 100)
        See :func:`shot_recall_score`.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where coverage is drawn.
    size_ax_ : matplotlib Axes or None
        Where the sizes of sets are drawn.
    figure_ : matplotlib Figure
        The figure that holds them.
    points_ : matplotlib PathCollection
        The classes' coverage.
    means_ : dict of float
        Mean coverage of "many", "medium" and "few", where there are such classes.

    See Also
    --------
    set_coverage_interval : The numbers.
    ConformalClassifierCV : Predicts sets.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sk_cbloss import ConformalClassifierCV, SetCoverageDisplay, load_digits_lt
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> X_test, y_test = load_digits_lt("test", return_X_y=True)
    >>> model = ConformalClassifierCV(LogisticRegression(max_iter=1000)).fit(X / 16, y)
    >>> display = SetCoverageDisplay.from_estimator(model, X_test / 16, y_test)
    >>> {shot: round(mean, 2) for shot, mean in display.means_.items()}
    {'many': 0.98, 'medium': 0.97, 'few': 0.93}
    """

    def __init__(
        self, coverage, *, class_count, set_size=None, confidence=None, thresholds=(20, 100)
    ):
        self.coverage = coverage
        self.class_count = class_count
        self.set_size = set_size
        self.confidence = confidence
        self.thresholds = thresholds

    @classmethod
    def from_predictions(
        cls,
        y_true,
        sets,
        *,
        class_count,
        classes=None,
        confidence=None,
        thresholds=(20, 100),
        ax=None,
        point_kw=None,
        bar_kw=None,
        name_length=LONGEST,
    ):
        """Draw the coverage of sets.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            True labels of the test part.
        sets : array-like or sparse matrix of shape (n_samples, n_classes), dtype bool
            Whether a class is in a sample's set, as ``predict_set`` returns.
        class_count : mapping from label to number, or array-like of shape (n_classes,)
            Number of training samples of each class, such as
            ``collections.Counter(y_train)``; as an array, in the order of the
            columns.
        classes : array-like of shape (n_classes,), default=None
            The labels of the columns; see :func:`set_coverage_score`.
        confidence : float in (0, 1), default=None
            The coverage that was asked for.
        thresholds : (float, float), default=(20, 100)
            See :func:`shot_recall_score`.
        ax : matplotlib Axes or pair of them, default=None
            Where to draw coverage, and in a pair the sizes of sets; None makes a
            new figure of both.
        point_kw : dict, default=None
            See :meth:`plot`.
        bar_kw : dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        SetCoverageDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a parameter is invalid, or a label or its count is missing.
        """
        coverage = set_coverage_interval(y_true, sets, classes=classes, by="class")
        labels = read_labels(y_true)
        known, position, count = labels.encode()
        size = sizes_of(check_sets(sets))
        check_same_length(len(size), len(position), "sets")
        mean = np.bincount(position, size) / count
        _, _, names = covered_by(y_true, sets, classes)
        counts = counts_by_column(class_count, names)
        return cls(
            coverage,
            class_count=dict(zip(names, counts, strict=True)),
            set_size=dict(zip(names_of(known), mean.tolist(), strict=True)),
            confidence=confidence,
            thresholds=thresholds,
        ).plot(ax, point_kw=point_kw, bar_kw=bar_kw, name_length=name_length)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        class_count=None,
        confidence=None,
        thresholds=(20, 100),
        ax=None,
        point_kw=None,
        bar_kw=None,
        name_length=LONGEST,
    ):
        """Draw the coverage of the sets that a fitted classifier predicts.

        Parameters
        ----------
        estimator : classifier
            A fitted classifier with ``predict_set``, such as a
            :class:`ConformalClassifierCV`, or a Pipeline or a search that ends
            in one.
        X : array-like of shape (n_samples, n_features)
            Features of the test part.
        y : array-like of shape (n_samples,)
            Its labels.
        class_count : mapping from label to number, or array-like of shape (n_classes,), \
                default=None
            Number of training samples of each class; None takes the classifier's
            ``class_count_``, which for ``cv="prefit"`` are the numbers that it
            was calibrated by.
        confidence : float in (0, 1), default=None
            The coverage that is asked for; None is the classifier's own.
        thresholds : (float, float), default=(20, 100)
            See :func:`shot_recall_score`.
        ax : matplotlib Axes or pair of them, default=None
            Where to draw coverage, and in a pair the sizes of sets; None makes a
            new figure of both.
        point_kw : dict, default=None
            See :meth:`plot`.
        bar_kw : dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        SetCoverageDisplay
            The display, drawn.
        """
        found, X = at_the_end(estimator, X, "predict_set")
        if found is None:
            raise TypeError(
                f"estimator must be a fitted classifier with predict_set, got {estimator!r}."
            )
        asked = found.confidence if confidence is None else confidence
        check_open_fraction(asked, "confidence")
        return cls.from_predictions(
            y,
            found.predict_set(X, asked),
            class_count=found.class_count_ if class_count is None else class_count,
            classes=names_of(np.asarray(found.classes_)),
            confidence=asked,
            thresholds=thresholds,
            ax=ax,
            point_kw=point_kw,
            bar_kw=bar_kw,
            name_length=name_length,
        )

    def plot(self, ax=None, *, point_kw=None, bar_kw=None, name_length=LONGEST):
        """Draw coverage and sizes.

        Parameters
        ----------
        ax : matplotlib Axes or pair of them, default=None
            Where to draw coverage, and in a pair the sizes of sets; None makes a
            new figure of both.
        point_kw : dict, default=None
            Passed to matplotlib's ``scatter``, for coverage.
        bar_kw : dict, default=None
            Passed to matplotlib's ``bar``, for the sizes of sets.
        name_length : int or None, default=40
            Names of more characters are cut, and the axis says so; None cuts none.

        Returns
        -------
        SetCoverageDisplay
            The display itself.

        Raises
        ------
        ValueError
            If coverage is none, or there is no count of a class.
        """
        labels, count, found, size = self._from_head_to_tail()
        if self.confidence is not None:
            check_open_fraction(self.confidence, "confidence")
        shots = shots_of(count, self.thresholds)
        check_name_length(name_length)
        (of_points,) = styles_given(self, point_kw, "point_kw", 1, "PathCollection")
        (of_bars,) = styles_given(self, bar_kw, "bar_kw", 1, "Rectangle")
        self._make_axes(ax, size is not None)
        place = np.arange(1, len(labels) + 1)
        coverage, low, high, n = found.T
        few = min(1, 20 / len(labels))
        area = (8 + 60 * np.sqrt(n / n.max())) * few
        style = {"s": area, "color": COLORS[0], "clip_on": False, "zorder": 2.2}
        self.points_ = self.ax_.scatter(place, coverage, **style | of_points)
        color = self.points_.get_facecolor()
        line = {"color": color, "linewidth": max(0.5, 1.5 * few), "alpha": max(0.1, few / 2)}
        self.ax_.vlines(place, low, high, zorder=2.1, **line)
        self.means_ = {}
        for shot in SHOTS:
            among = np.flatnonzero(shots == shot)
            if among.size:
                self.means_[shot] = float(coverage[among].mean())
                self._draw_mean(shot, among[0] + 0.6, among[-1] + 1.4, len(labels))
        if self.confidence is not None:
            self.ax_.axhline(self.confidence, color=GREY, linestyle="--", linewidth=1, zorder=1)
            self.ax_.annotate(
                f"{self.confidence:g}",
                (1, self.confidence),
                (3, 0),
                xycoords=("axes fraction", "data"),
                textcoords="offset points",
                va="center",
                color=GREY,
                fontsize="small",
            )
        self.ax_.set(ylim=(0, 1.02), ylabel="Coverage")
        if self.size_ax_ is not None:
            style = {"width": 0.8, "color": COLORS[0], "alpha": 0.7, "linewidth": 0}
            self.size_ax_.bar(place, size, **style | of_bars)
            self.size_ax_.set(ylabel="Size of sets")
        name_classes(self.size_ax_ or self.ax_, labels, name_length)
        if self.size_ax_ is not None:
            self.ax_.set_xlim(self.size_ax_.get_xlim())
        return self

    def _draw_mean(self, shot, left, right, n_classes):
        self.ax_.hlines(
            self.means_[shot], left, right, color=COLORS[1], linewidth=2.5, alpha=0.9, zorder=2.3
        )
        for each in filter(None, (self.ax_, self.size_ax_)):
            if left > 1:
                each.axvline(left - 0.1, color=GREY, linewidth=0.5, zorder=0)
        if right - left > 0.07 * n_classes:  # else names would overlap
            self.ax_.annotate(
                shot,
                ((left + right) / 2, 1),
                (0, 4),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="center",
                fontsize="small",
            )

    def _make_axes(self, ax, with_size):
        pyplot = pyplot_of(self)
        size_ax = None
        if ax is None and with_size:
            ax, size_ax = new_axes(pyplot, 6.4, 4.8, nrows=2, height_ratios=(2, 1), sharex=True)
        elif ax is not None and np.ndim(ax) == 1:
            if len(ax) != 2 or not all(isinstance(each, pyplot.Axes) for each in ax):
                raise ValueError(
                    f"ax must be a matplotlib Axes, two of them or None, got {reprlib.repr(ax)}."
                )
            ax, size_ax = ax
        axes_for(self, ax)
        self.size_ax_ = size_ax if with_size else None

    def _from_head_to_tail(self):
        """Return labels, training counts, coverages and sizes of the classes that were tested."""
        named = as_named(self.coverage, "coverage")
        if not named:
            raise ValueError(
                "coverage must be a mapping from labels to what set_coverage_interval returns, "
                f"with at least one, got {reprlib.repr(self.coverage)}."
            )
        count = counts_by_column(self.class_count, list(named))
        order = np.argsort(-count, kind="stable")
        labels = [list(named)[place] for place in order]
        try:
            found = np.array([tuple(named[label]) for label in labels], dtype=float)
        except (TypeError, ValueError):
            found = np.empty(0)
        if found.shape != (len(labels), 4):
            raise ValueError(
                "coverage must hold (coverage, low, high, n_samples) of each class, got "
                f"{reprlib.repr(named[labels[0]])} of {labels[0]!r}."
            )
        size = None
        if self.set_size is not None:
            missing = [label for label in labels if label not in self.set_size]
            if missing:
                raise ValueError(f"set_size must hold every class, got no {missing[0]!r}.")
            size = np.array([self.set_size[label] for label in labels], dtype=float)
        return np.array([str(label) for label in labels]), count[order], found, size
