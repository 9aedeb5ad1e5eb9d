"""The number of samples of each class, from head to tail."""

import numpy as np

from sk_cbloss.inspection._counts import counts_of, name_classes, read_counts
from sk_cbloss.inspection._figure import COLORS, GREY, axes_for, log_scale, styles_given
from sk_cbloss.inspection._text import LONGEST, check_name_length, number, several
from sk_cbloss.metrics import shots_of


class LongTailDisplay:
    """Number of samples of each class, from head to tail, on a log scale.

    Shades mark the classes with many, a medium number of, and few samples.

    Parameters
    ----------
    class_count : mapping from label to number, or array-like of shape (n_classes,)
        Number of samples of each class; those without samples are counted on the axis alone.
    thresholds : (float, float), default=(20, 100)
        Few-shot classes have fewer samples than the first number, many-shot
        classes more than the second.
    n_samples : number, default=None
        Number of samples, where each may have several labels, or none, and class_count is of these
        labels; None where each has one.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure that holds it.
    outline_ : matplotlib StepPatch
        The counts.

    See Also
    --------
    shot_recall_score : Recall of the three groups.
    ShotRecallDisplay : Draws that.

    Examples
    --------
    >>> from sk_cbloss import load_digits_lt
    >>> from sk_cbloss.inspection import LongTailDisplay
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> display = LongTailDisplay.from_labels(y)
    >>> display.ax_.get_title()
    '431 samples of 10 classes, imbalance factor 21.3'
    """

    def __init__(self, class_count, *, thresholds=(20, 100), n_samples=None):
        self.class_count = class_count
        self.thresholds = thresholds
        self.n_samples = n_samples

    @classmethod
    def from_labels(cls, y, *, thresholds=(20, 100), ax=None, bar_kw=None, name_length=LONGEST):
        """Draw the classes of some labels.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; of several a sample, a matrix of 0 and 1, with a column for each.
        thresholds : (float, float), default=(20, 100)
            Few-shot classes have fewer samples than the first number,
            many-shot classes more than the second.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        bar_kw : dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        LongTailDisplay
            The display, drawn.
        """
        class_count, _, n_samples = read_counts(y)
        display = cls(class_count, thresholds=thresholds, n_samples=n_samples)
        return display.plot(ax, bar_kw=bar_kw, name_length=name_length)

    def plot(self, ax=None, *, bar_kw=None, name_length=LONGEST):
        """Draw the classes.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        bar_kw : dict, default=None
            Passed to matplotlib's ``stairs``.
        name_length : int or None, default=40
            Names of more characters are cut, and the axis says so; None cuts none.

        Returns
        -------
        LongTailDisplay
            The display itself.

        Raises
        ------
        ValueError
            If a count, thresholds or n_samples is invalid, or no class has samples.
        """
        labels, count, _, n_empty = counts_of(self.class_count, self.n_samples)
        shots = shots_of(count, self.thresholds)
        check_name_length(name_length)
        (style,) = styles_given(self, bar_kw, "bar_kw", 1, "StepPatch")
        ax = axes_for(self, ax)
        n_classes = len(count)
        edges = np.arange(n_classes + 1) + 0.5
        floor = min(0.8, count.min() / 2)
        style = {"baseline": floor, "fill": True, "color": COLORS[0], "linewidth": 0} | style
        self.outline_ = ax.stairs(count, edges, **style)
        unnamed = []
        for shot, alpha in {"many": 0.18, "medium": 0.06, "few": 0.18}.items():
            among = np.flatnonzero(shots == shot)
            if not among.size:
                continue
            left, right = edges[among[0]], edges[among[-1] + 1]
            ax.axvspan(left, right, color=GREY, alpha=alpha, linewidth=0, zorder=0)
            if among[0]:
                ax.axvline(left, color=GREY, linewidth=0.5, zorder=0)
            if right - left < 0.08 * n_classes:
                unnamed.append(f"{shot} {len(among):,}")
                continue
            ax.text(
                (left + right) / 2,
                0.98,
                f"{shot}\n{len(among):,}",
                transform=ax.get_xaxis_transform(),
                ha="center",
                va="top",
                fontsize="small",
            )
        of_labels = self.n_samples is not None
        name_classes(ax, labels, name_length, "Label" if of_labels else "Class", n_empty)
        ax.set(ylabel="Number of samples", ylim=(floor, count.max() * 6))
        log_scale(ax, "y")
        title = (
            f"{several(self.n_samples if of_labels else count.sum(), 'sample')} of "
            f"{several(n_classes, 'label' if of_labels else 'class')}, "
            f"imbalance factor {number(count[0] / count[-1])}"
        )
        if unnamed:
            title += f"\ntoo narrow to name: {', '.join(unnamed)}"
        ax.set_title(title, fontsize="medium")
        return self
