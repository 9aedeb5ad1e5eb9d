"""The effective number of samples against the number."""

import numpy as np

from sk_cbloss.inspection._counts import check_betas, counts_of, of_empty, read_counts
from sk_cbloss.inspection._figure import (
    GREY,
    axes_for,
    log_scale,
    name_lines,
    style_of,
    styles_given,
)
from sk_cbloss.inspection._text import beta_texts, number
from sk_cbloss.weights import effective_number

BETAS = (0.9, 0.99, 0.999, 0.9999)


class EffectiveNumberDisplay:
    """Effective number of samples against the number, for several beta.

    A class grows by less and less with each sample, as the new ones resemble
    those that are there: its effective number bends towards
    ``N = 1 / (1 - beta)``. Strokes below show the data's classes; where a
    line is straight there, beta acts as inverse frequency, and where it is
    flat, as no weights. Where a sample may have several labels, each has two
    sides: strokes below show the samples with each label, those above the
    samples without it.

    Parameters
    ----------
    class_count : mapping from label to number, or array-like of shape (n_classes,)
        Number of samples of each class; those without samples do not count.
    betas : array-like of float in [0, 1], default=(0.9, 0.99, 0.999, 0.9999)
        A line each.
    n_samples : number or array-like of shape (n_labels,), default=None
        Number of samples, or of those that are known of each label, where each sample may have
        several labels, or none, and class_count is of these labels; None where each has one.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure that holds it.
    lines_ : list of matplotlib Line2D
        A line for each beta.
    classes_ : matplotlib Line2D
        The strokes of the classes, or of the samples with each label.
    without_ : matplotlib Line2D or None
        The strokes of the samples without each label; None where each sample has one label.

    See Also
    --------
    effective_number : The numbers.
    ClassWeightDisplay : What weights follow from them.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 3.

    Examples
    --------
    >>> from sk_cbloss.inspection import EffectiveNumberDisplay
    >>> display = EffectiveNumberDisplay.from_labels(["cat"] * 900 + ["yak"] * 9)
    >>> display.ax_.get_ylabel()
    'Effective number of samples'
    """

    def __init__(self, class_count, *, betas=BETAS, n_samples=None):
        self.class_count = class_count
        self.betas = betas
        self.n_samples = n_samples

    @classmethod
    def from_labels(cls, y, *, betas=BETAS, ax=None, line_kw=None):
        """Draw the effective numbers of the classes of some labels.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; of several a sample, a matrix of 0 and 1, with a column for each.
        betas : array-like of float in [0, 1], default=(0.9, 0.99, 0.999, 0.9999)
            A line each.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            See :meth:`plot`.

        Returns
        -------
        EffectiveNumberDisplay
            The display, drawn.
        """
        class_count, n_samples, _ = read_counts(y)
        display = cls(class_count, betas=betas, n_samples=n_samples)
        return display.plot(ax, line_kw=line_kw)

    def plot(self, ax=None, *, line_kw=None):
        """Draw the effective numbers.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            Passed to matplotlib's ``plot``; a list has one for each beta.

        Returns
        -------
        EffectiveNumberDisplay
            The display itself.

        Raises
        ------
        ValueError
            If a count, betas or n_samples is invalid, or no class has samples.
        """
        _, counts, without, n_empty = counts_of(self.class_count, self.n_samples)
        betas = check_betas(self.betas)
        styles = styles_given(self, line_kw, "line_kw", len(betas), "Line2D")
        ax = axes_for(self, ax)
        top = 2 * max(counts.max(), 10, *([] if without is None else without))
        n = np.geomspace(1, top, 200)
        ax.plot(n, n, color=GREY, linewidth=1, label="beta 1, inverse frequency")
        self.lines_ = []
        texts = beta_texts(betas)
        for place, (beta, text, given) in enumerate(zip(betas, texts, styles, strict=True)):
            label = f"beta {text}"
            if 0 < beta < 1:
                label += f", N = {number(1 / (1 - beta))}"
            style = style_of(place, marker=False) | {"label": label} | given
            self.lines_ += ax.plot(n, effective_number(n, beta=beta), **style)
        if without is None:
            self.classes_, self.without_ = _strokes(ax, counts, 0, "the classes"), None
        else:
            self.classes_ = _strokes(ax, counts, 0, "below: with each label")
            self.without_ = _strokes(ax, without[without > 0], 1, "above: without it")
        ax.set(xlim=(1, top), ylim=(0.8, top))
        log_scale(ax, "x", "y")
        kind, side = ("class", "class") if without is None else ("label", "label's side")
        what = f"Number of samples of a {side}{of_empty(n_empty, kind)}"
        ax.set(xlabel=what, ylabel="Effective number of samples")
        name_lines(ax)
        for handle in ax.get_legend().legend_handles:
            if handle.get_marker() == "|":
                handle.set(alpha=1, markersize=9)  # the strokes of many classes are pale
        return self


def _strokes(ax, counts, height, label):
    """Draw a stroke for each count, at the foot or the head of the axes."""
    (strokes,) = ax.plot(
        counts,
        np.full(len(counts), height),
        "|",
        color=GREY,
        alpha=max(0.1, min(1, 30 / max(1, len(counts)))),
        markersize=14,
        markeredgewidth=1.5,
        transform=ax.get_xaxis_transform(),
        clip_on=False,
        label=label,
    )
    return strokes
