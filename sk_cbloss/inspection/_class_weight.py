"""The weight of each class, from head to tail."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._labels import by_name
from sk_cbloss._validation import check_normalize
from sk_cbloss.inspection._counts import (
    MAX_NAMED,
    check_betas,
    counts_of,
    name_classes,
    read_counts,
)
from sk_cbloss.inspection._figure import (
    GREY,
    axes_for,
    log_scale,
    name_lines,
    style_of,
    styles_given,
)
from sk_cbloss.inspection._inside import held_by
from sk_cbloss.inspection._text import LONGEST, beta_texts, check_name_length
from sk_cbloss.weights import beta_grid, class_balanced_label_weight, class_balanced_weight


class ClassWeightDisplay:
    """Weight of each class, from head to tail, for several beta.

    What re-weighting does: the closer beta comes to 1, the more samples of
    the tail count, and the less those of the head. Where a sample may have several
    labels, each has two weights: a full line is of the samples with each label, a
    thin one with hollow marks of those without it.

    Parameters
    ----------
    class_count : mapping from label to number, or array-like of shape (n_classes,)
        Number of samples of each class; those without samples are counted on the axis alone.
    betas : array-like of float in [0, 1], default=None
        A line each. None takes no weights, inverse frequency, and three values
        between.
    normalize : {"classes", "samples"} or None, default="samples"
        See :func:`class_balanced_weight`, and for several labels a sample
        :func:`class_balanced_label_weight`.
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
        A line for each beta; of several labels a sample, of the samples with each label.
    without_ : list of matplotlib Line2D
        A line for each beta, of the samples without each label; none where each sample has one.

    See Also
    --------
    class_balanced_weight : The numbers.
    EffectiveNumberDisplay : Where they come from.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 4.

    Examples
    --------
    >>> from sk_cbloss.inspection import ClassWeightDisplay
    >>> display = ClassWeightDisplay({"cat": 900, "dog": 90, "yak": 9}).plot()
    >>> [line.get_label() for line in display.lines_][::4]
    ['beta 0, no weights', 'beta 1, inverse frequency']
    """

    def __init__(self, class_count, *, betas=None, normalize="samples", n_samples=None):
        self.class_count = class_count
        self.betas = betas
        self.normalize = normalize
        self.n_samples = n_samples

    @classmethod
    def from_labels(
        cls,
        y,
        *,
        betas=None,
        normalize="samples",
        ax=None,
        line_kw=None,
        name_length=LONGEST,
    ):
        """Draw the weights of the classes of some labels.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Class labels; of several a sample, a matrix of 0 and 1, with a column for each.
        betas : array-like of float in [0, 1], default=None
            A line each; None takes five.
        normalize : {"classes", "samples"} or None, default="samples"
            See :func:`class_balanced_weight`.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        ClassWeightDisplay
            The display, drawn.
        """
        class_count, n_samples, _ = read_counts(y)
        display = cls(class_count, betas=betas, normalize=normalize, n_samples=n_samples)
        return display.plot(ax, line_kw=line_kw, name_length=name_length)

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, line_kw=None, name_length=LONGEST):
        """Draw the weights that a fitted estimator uses, beside none and inverse frequency.

        Parameters
        ----------
        estimator : estimator
            A fitted ClassBalancedWeigher, ClassBalancedClassifier or
            CBNeuralNetClassifier; also a Pipeline or a search that holds one.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        ClassWeightDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If the estimator neither weights classes nor holds one that does.
        """
        weigher = _weigher_in(estimator)
        count, n_samples = weigher.class_count_, None
        if count.ndim == 2:  # of the two sides of each label
            count, n_samples = count[:, 1], count.sum(axis=1)
        named = by_name(weigher.classes_, count)
        beta = weigher.beta if weigher.beta is not None else weigher._beta_in_use
        betas = sorted({0, beta, 1})
        normalize = getattr(weigher, "normalize", "samples")
        display = cls(named, betas=betas, normalize=normalize, n_samples=n_samples)
        return display.plot(ax, line_kw=line_kw, name_length=name_length)

    def plot(self, ax=None, *, line_kw=None, name_length=LONGEST):
        """Draw the weights.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            Passed to matplotlib's ``plot``; a list has one for each beta.
        name_length : int or None, default=40
            Names of more characters are cut, and the axis says so; None cuts none.

        Returns
        -------
        ClassWeightDisplay
            The display itself.

        Raises
        ------
        ValueError
            If a count, betas, normalize or n_samples is invalid, or no class has samples.
        """
        labels, count, without, n_empty = counts_of(self.class_count, self.n_samples)
        normalize = check_normalize(self.normalize)
        betas = self.betas
        if betas is None:
            sides = count if without is None else np.concatenate([count, without])
            betas = [0, *beta_grid(sides, n_betas=5)[1:4], 1]
        betas = check_betas(betas)
        check_name_length(name_length)
        styles = styles_given(self, line_kw, "line_kw", len(betas), "Line2D")
        ax = axes_for(self, ax)
        rank = np.arange(1, len(count) + 1)
        self.lines_, self.without_ = [], []
        texts = beta_texts(betas)
        for place, (beta, text, given) in enumerate(zip(betas, texts, styles, strict=True)):
            weight, other = _weights(count, without, beta=beta, normalize=normalize)
            style = style_of(place, marker=len(count) <= MAX_NAMED) | {"label": f"beta {text}"}
            self.lines_ += ax.plot(rank, weight, **style | given)
            if without is not None:
                self.without_ += _draw_without(ax, rank, other, self.lines_[-1])
        if without is not None:
            _name_sides(ax, self.lines_[0], self.without_[0])
        if normalize is not None:
            ax.axhline(1, color=GREY, linewidth=0.8, zorder=0)
        ax.set_ylabel("Weight of a sample")
        log_scale(ax, "y")
        kind = "Class" if without is None else "Label"
        name_classes(ax, labels, name_length, kind, n_empty)
        for place, (name, ha) in {0: ("head", "left"), 1: ("tail", "right")}.items():
            ax.text(place, 1.02, name, transform=ax.transAxes, ha=ha, color=GREY)
        name_lines(ax)
        return self


def _weights(count, without, **how):
    """Return the weights of the samples with each label and, NaN if there are none, without it."""
    if without is None:
        return class_balanced_weight(count, **how), None
    other, weight = class_balanced_label_weight(count, count + without, **how).T
    return weight, np.where(without > 0, other, np.nan)


def _draw_without(ax, rank, weight, line):
    """Draw the weights of the samples without each label, in the style of those with it."""
    pale = {"linewidth": 0.6 * line.get_linewidth(), "alpha": 0.7 * (line.get_alpha() or 1)}
    for name in ("color", "linestyle", "marker", "markersize"):
        pale[name] = getattr(line, f"get_{name}")()
    return ax.plot(rank, weight, markerfacecolor="none", **pale)


def _name_sides(ax, with_it, without):
    """Have the legend tell the two sides of a label apart."""
    for line, label in ((with_it, "with the label"), (without, "without it")):
        style = {"linewidth": line.get_linewidth(), "marker": line.get_marker()}
        style |= {"alpha": line.get_alpha(), "markersize": line.get_markersize()}
        style["markerfacecolor"] = GREY if line is with_it else "none"
        ax.plot([], [], color=GREY, label=label, **style)


def _weigher_in(estimator):
    """Return what weights classes: the estimator itself, or a fitted one that it holds."""
    check_is_fitted(estimator)
    for each in held_by(estimator):
        if hasattr(each, "class_count_") and hasattr(each, "beta"):
            return each
    raise ValueError(
        "estimator must weight classes by beta, or hold a fitted estimator that does, "
        f"got {type(estimator).__name__}."
    )
