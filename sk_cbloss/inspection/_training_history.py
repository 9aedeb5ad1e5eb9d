"""The losses and scores of a net, epoch by epoch."""

import reprlib
from collections.abc import Mapping

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._validation import as_numpy, check_choice
from sk_cbloss.inspection._figure import GREY, new_axes, pyplot_of, styles_given
from sk_cbloss.inspection._inside import held_by

LOSSES = ("valid_loss", "train_loss")
RATE = "event_lr"
BALANCED_ACCURACY = "valid_balanced_accuracy"
PARTS = {"valid_": "validation", "train_": "training"}


class TrainingHistoryDisplay:
    """Losses and scores of a net against the epoch.

    The first panel shows the losses, the next one the scores, if there are
    any, and the last one the learning rate, if it changes. A full line is of
    the validation data, with a ring at the best epoch: that of the best balanced
    accuracy or other score, or else of the lowest loss. A pale line of the same
    colour is of the training data. An upright line marks where a
    :class:`~sk_cbloss.neural_net.LossChange` sets in, such as deferred
    re-weighting.

    Parameters
    ----------
    history : skorch.history.History or list of dict
        A row for each epoch, such as ``net.history_``. Read are the columns
        ``epoch`` (else, rows are counted from 1), ``train_loss``,
        ``valid_loss`` and the scores: other numbers whose name starts with
        ``train_`` or ``valid_``, or that have a column ``<name>_best``; and
        ``event_lr`` and ``event_loss``. A value that an epoch lacks leaves a
        gap.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_panels,)
        The panels: losses, scores, learning rate.
    figure_ : matplotlib Figure
        The figure that holds them.
    lines_ : dict of matplotlib Line2D
        The lines, by the names of their columns.
    best_ : dict of matplotlib Line2D
        The rings at the best epoch, by the names of their columns.
    changes_ : list of matplotlib Line2D
        The upright lines, in each panel, where the loss changes.

    See Also
    --------
    TrainingHistoryDisplay.from_estimator : Draw the history of a fitted net.
    sklearn.model_selection.LearningCurveDisplay : Scores against the number
        of samples.

    Notes
    -----
    A class-balanced net weights ``train_loss`` and leaves ``valid_loss`` plain:
    compare the shapes of the two lines rather than their heights.

    Examples
    --------
    >>> from skorch.dataset import ValidSplit
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> from sk_cbloss.inspection import TrainingHistoryDisplay
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> split = ValidSplit(5, stratified=True)
    >>> net = CBNeuralNetClassifier(train_split=split, random_state=0).fit(X, y)
    >>> display = TrainingHistoryDisplay.from_estimator(net)
    >>> list(display.lines_)
    ['valid_loss', 'train_loss', 'valid_balanced_accuracy']
    """

    def __init__(self, history):
        self.history = history

    @classmethod
    def from_estimator(
        cls,
        estimator,
        *,
        ax=None,
        scores=None,
        learning_rate=None,
        loss_scale="linear",
        name=None,
        line_kw=None,
    ):
        """Draw the history of a fitted net.

        Parameters
        ----------
        estimator : estimator
            A fitted CBNeuralNetClassifier or other skorch net; also a
            Pipeline that ends in one, or a search or other meta-estimator
            that has fitted one.
        ax : matplotlib Axes or array-like of Axes, default=None
            See :meth:`plot`.
        scores : str or list of str, default=None
            See :meth:`plot`.
        learning_rate : bool, default=None
            See :meth:`plot`.
        loss_scale : {"linear", "log"}, default="linear"
            See :meth:`plot`.
        name : str, default=None
            See :meth:`plot`.
        line_kw : dict or list of dict, default=None
            See :meth:`plot`.

        Returns
        -------
        TrainingHistoryDisplay
            The display, drawn.
        """
        display = cls(_history_of(estimator))
        return display.plot(
            ax,
            scores=scores,
            learning_rate=learning_rate,
            loss_scale=loss_scale,
            name=name,
            line_kw=line_kw,
        )

    def plot(
        self,
        ax=None,
        *,
        scores=None,
        learning_rate=None,
        loss_scale="linear",
        name=None,
        line_kw=None,
    ):
        """Draw the history.

        Parameters
        ----------
        ax : matplotlib Axes or array-like of Axes, default=None
            Where to draw: an Axes for each panel, or one whose place they
            share. None makes a new figure.
        scores : str or list of str, default=None
            Columns to draw as scores; None draws all, an empty list none.
        learning_rate : bool, default=None
            Whether to draw the learning rate; None draws it if it changes.
        loss_scale : {"linear", "log"}, default="linear"
            Scale of the losses; "log" where the first ones dwarf the rest.
        name : str, default=None
            Name of the net in the legend, for more than one in a picture.
        line_kw : dict or list of dict, default=None
            Passed to matplotlib's ``plot``; a list has one for each line, as in ``lines_``.

        Returns
        -------
        TrainingHistoryDisplay
            The display itself.
        """
        pyplot = pyplot_of(self)
        check_choice(loss_scale, "loss_scale", ("linear", "log"))
        if learning_rate not in (True, False, None):
            raise ValueError(f"learning_rate must be True, False or None, got {learning_rate!r}.")
        epochs, columns, best = _read(self.history)
        rate = _learning_rate(self.history, learning_rate)
        panels = _panels(columns, scores, rate is not None)
        shown = [column for panel in panels for column in panel]
        given = styles_given(self, line_kw, "line_kw", len(shown), "Line2D")
        given = dict(zip(shown, given, strict=True))

        if ax is None:
            ax = list(new_axes(pyplot, min(4.4 * len(panels), 10.5), 3.2, ncols=len(panels)))
        self.axes_ = _divide(ax, len(panels))
        self.figure_ = self.axes_[0].figure
        self.lines_, self.best_ = {}, {}
        columns[RATE] = rate
        for panel, shown in zip(self.axes_, panels, strict=True):
            self._draw(panel, epochs, {column: columns[column] for column in shown}, name, given)
            if loss_scale == "log" and shown[0] in LOSSES:
                panel.set_yscale("log")
        self._mark_best(epochs, {column: best[column] for column in self.lines_ if column in best})
        self._mark_changes(epochs)
        for panel, shown in zip(self.axes_, panels, strict=True):
            if shown != [RATE] or name:
                panel.legend()
        return self

    def _draw(self, panel, epochs, columns, name, given):
        """Draw a line for each column."""
        alike = len(set(map(_subject, columns))) == 1
        colors = {}
        for column, values in columns.items():
            subject = _subject(column)
            label = _label(column, alike)
            style = {"label": f"{name}: {label}" if name else label}
            if subject in colors and column.startswith("train_"):  # beside the validation's
                style |= {"color": colors[subject], "alpha": 0.4}
            lonely = _lonely(values)
            if lonely:  # a line through one point would not show
                style |= {"marker": "o", "markersize": 4, "markevery": lonely}
            style |= given[column]
            (self.lines_[column],) = panel.plot(epochs, values, **style)
            colors.setdefault(subject, self.lines_[column].get_color())
        title = "Learning rate" if subject == RATE else _title(subject)
        panel.set(xlabel="Epoch", ylabel=title if alike else "Score")
        panel.xaxis.get_major_locator().set_params(integer=True, min_n_ticks=1)

    def _mark_best(self, epochs, best):
        """Draw a ring at one epoch, on each line of validation data."""
        if not best:
            return
        by = min(best, key=lambda column: (column in LOSSES, column != BALANCED_ACCURACY))
        label = "lowest loss" if by in LOSSES else f"best {_words(_subject(by))}"
        for column, line in self.lines_.items():
            if column.startswith("train_") or column == RATE:
                continue
            panel = line.axes
            known = label in panel.get_legend_handles_labels()[1]
            (self.best_[column],) = panel.plot(
                epochs[best[by]],
                line.get_ydata()[best[by]],
                "o",
                color=line.get_color(),
                markerfacecolor=panel.get_facecolor(),
                label=None if known else label,
            )

    def _mark_changes(self, epochs):
        """Draw an upright line before each epoch that brings another loss."""
        self.changes_ = []
        for epoch, row in zip(epochs, self.history, strict=True):
            if row.get("event_loss") is True:
                for panel in self.axes_:
                    known = "loss changes" in panel.get_legend_handles_labels()[1]
                    style = {"color": GREY, "linestyle": ":", "zorder": 0}
                    label = None if known else "loss changes"
                    self.changes_.append(panel.axvline(epoch - 0.5, label=label, **style))


def _history_of(estimator):
    """Return the history of the net that the fitted estimator is, ends in or holds."""
    check_is_fitted(estimator)
    net = next((each for each in held_by(estimator) if hasattr(each, "history_")), None)
    if net is None:
        raise ValueError(
            "estimator must be a skorch net, end in one or hold a fitted one, "
            f"got {type(estimator).__name__}."
        )
    if len(net.history_) == 0:
        raise NotFittedError(f"This {type(net).__name__} has trained for no epoch; call fit.")
    return net.history_


def _read(history):
    """Return the epochs, the columns to draw, and the places where they are best."""
    if not np.iterable(history):
        raise ValueError(
            f"history must list a dict for each epoch, got {type(history).__name__}; for a net, "
            "use from_estimator."
        )
    rows = list(history)
    for row in rows:
        if not isinstance(row, Mapping):
            raise ValueError(f"history must hold a dict for each epoch, got {reprlib.repr(row)}.")
    epochs = np.array([row.get("epoch", place) for place, row in enumerate(rows, start=1)])
    names = dict.fromkeys(name for row in rows for name in row)
    columns, best = {}, {}
    for name in names:
        if not name.startswith(tuple(PARTS)) and f"{name}_best" not in names:
            continue
        values = [_number(row.get(name)) for row in rows]
        if name.endswith(("_best", "_batch_count")) or set(values) == {None}:
            continue
        columns[name] = np.array(values, dtype=float)
        where = [place for place, row in enumerate(rows) if row.get(f"{name}_best")]
        if where and not name.startswith("train_"):
            best[name] = where[-1]
    if not columns:
        raise ValueError(f"history must hold a loss or a score, got the columns {list(names)}.")
    return epochs, columns, best


def _learning_rate(history, wanted):
    """Return the learning rate by epoch, or None if it is not to be drawn."""
    rate = np.array([_number(row.get(RATE)) for row in history], dtype=float)
    if wanted and np.isnan(rate).all():
        raise ValueError(
            f"learning_rate=True requires a history with {RATE!r}, as a LearningRateSchedule "
            "or skorch's LRScheduler leaves it, got none."
        )
    if wanted is None:
        wanted = len(set(rate[~np.isnan(rate)])) > 1
    return rate if wanted else None


def _panels(columns, scores, has_rate):
    """Return the names of each panel's columns, the validation data's before the training's."""
    found = [name for name in columns if name not in LOSSES]
    if scores is None:
        scores = found
    elif isinstance(scores, str) or not np.iterable(scores):
        scores = [scores]
    for name in scores:
        if name not in found:
            raise ValueError(f"scores must be among the history's, {found}, got {name!r}.")
    # Sorting is stable: scores otherwise keep their order.
    scores = sorted(scores, key=lambda name: name.startswith("train_"))
    losses = [name for name in LOSSES if name in columns]
    panels = [panel for panel in (losses, scores, [RATE] if has_rate else []) if panel]
    if not panels:
        raise ValueError(f"scores must not be empty where there is no loss, got {scores!r}.")
    return panels


def _number(value):
    """Return a number, also of numpy or torch, as a float, and None for anything else."""
    value = np.asarray(as_numpy(value))
    return float(value) if value.ndim == 0 and value.dtype.kind in "iuf" else None


def _subject(column):
    """Return what a column is about, of whichever data."""
    for part in PARTS:
        column = column.removeprefix(part)
    return column


def _label(column, alike):
    """Return a line's label; where all lines are about one subject, the axis names it."""
    subject = _subject(column)
    part = PARTS.get(column.removesuffix(subject))
    if part is None:
        return _words(subject)
    return part if alike else f"{_words(subject)}, {part}"


def _words(name):
    return name.replace("_", " ")


def _title(name):
    words = _words(name)
    return words[:1].upper() + words[1:]


def _lonely(values):
    """Return the places of the values that have no neighbour."""
    there = np.isfinite(np.r_[np.nan, values, np.nan])
    return np.flatnonzero(there[1:-1] & ~there[:-2] & ~there[2:]).tolist()


def _divide(ax, n_panels):
    """Return an Axes for each panel; panels share the place of a single one."""
    axes = np.ravel(ax)
    are_axes = all(hasattr(each, "get_subplotspec") for each in axes)
    if are_axes and len(axes) == n_panels:
        return axes
    if not are_axes or len(axes) != 1 or axes[0].get_subplotspec() is None:
        raise ValueError(f"ax must be a subplot or {n_panels} Axes, got {ax!r}.")
    (whole,) = axes
    whole.set_axis_off()
    grid = whole.get_subplotspec().subgridspec(1, n_panels, wspace=0.35)
    return np.array([whole.figure.add_subplot(place) for place in grid])
