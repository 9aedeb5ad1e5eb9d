"""What the displays share: where they draw, and what it looks like."""

import re
import reprlib
from collections.abc import Mapping
from weakref import WeakKeyDictionary

from sk_cbloss.inspection._text import SAID

# Okabe and Ito's, which colour-blind readers tell apart and which show on white and on black.
# Markers and dashes serve where there is no colour.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
GREY = "#808080"
# Sizes in inches of the figures that displays have made, before anything stands beside the axes.
SIZES = WeakKeyDictionary()


def pyplot_of(display):
    """Return matplotlib's pyplot, or say that the display needs it."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            f"{type(display).__name__}.plot requires matplotlib, which "
            "`pip install matplotlib` installs."
        ) from error
    return pyplot


def axes_for(display, ax, *, width=5.6, height=3.6):
    """Give the display an Axes to draw on, the one it is handed or a new one."""
    pyplot = pyplot_of(display)
    if ax is not None and not isinstance(ax, pyplot.Axes):
        raise ValueError(f"ax must be a matplotlib Axes or None, got {type(ax).__name__}.")
    if ax is None:
        (ax,) = new_axes(pyplot, width, height)
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def new_axes(pyplot, width, height, **layout):
    """Return the axes of a new figure, which grows by what comes to stand beside them."""
    figure, axes = pyplot.subplots(
        figsize=(width, height), layout="constrained", squeeze=False, **layout
    )
    SIZES[figure] = width, height
    for ax in axes.flat:
        ax.spines[["top", "right"]].set_visible(False)
    return axes.flat


def make_room(ax, beside=None):
    """Let a figure of a display's own grow, rather than its axes shrink.

    By a legend beside the axes, and by long names of ticks below them.
    """
    if ax.figure not in SIZES:
        return
    inside, dpi = ax.get_window_extent(), ax.figure.dpi
    low, high = ax.get_xlim()
    ticks = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
    names = [name.get_window_extent() for at, name in ticks if low <= at <= high]
    below = max((name.height for name in names), default=0) / dpi - 0.5
    before = max((inside.x0 - name.x0 for name in names), default=0) / dpi - 0.6
    after = beside.get_window_extent().width / dpi if beside else 0
    width, height = SIZES[ax.figure]
    ax.figure.set_size_inches(width + max(0, before) + after, height + max(0, below))


def style_of(place, *, marker=True):
    """Return how the line at a place among others looks."""
    other = (place // 6 + place) % 6  # from the seventh on, a colour comes with other marks
    style = {"color": COLORS[place % 6], "linestyle": DASHES[other]}
    return style | {"marker": MARKERS[other], "markersize": 5} if marker else style


def styles_given(display, given, name, n, artist):
    """Return what is given on how each of n artists looks, under the full names of properties.

    Parameters
    ----------
    display : object
        Whoever draws them.
    given : dict, list of dict, or None
        For all of them, or for each.
    name : str
        What the parameter is called.
    n : int
        Number of artists.
    artist : str
        Its class, of ``matplotlib.lines``, ``matplotlib.patches`` or ``matplotlib.collections``.

    Returns
    -------
    list of dict
        A style for each.
    """
    pyplot_of(display)
    from matplotlib import cbook, collections, lines, patches

    each = given if isinstance(given, list | tuple) else [given] * n
    if len(each) != n or not all(isinstance(one, Mapping | None) for one in each):
        raise ValueError(
            f"{name} must be a dict, a list with a dict for each of {n}, or None, got "
            f"{reprlib.repr(given)}."
        )
    (kind,) = (getattr(m, artist) for m in (lines, patches, collections) if hasattr(m, artist))
    return [cbook.normalize_kwargs(one, kind) for one in each]


def log_scale(ax, *names):
    """Make axes, "x" or "y", logarithmic, with ticks that read 0.1, 1 and 1,000."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for name in names:
        low, high = getattr(ax, f"{name}axis").get_data_interval()
        if low == high:  # of a single value matplotlib finds no limits
            ax.set(**{f"{name}lim": (low / 2, low * 2)})
        ax.set(**{f"{name}scale": "log"})
        axis = getattr(ax, f"{name}axis")
        low, high = axis.get_view_interval()
        if high < 200 * low:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:,g}")
        axis.set_minor_formatter(NullFormatter())


def name_lines(ax, *, with_cut=False):
    """Add a legend: on the axes, or beside them where it would cover too much."""
    # matplotlib leaves out what begins with an underscore, such as its own names for lines.
    handles = [line for line in ax.lines if not re.match("_child|_nolegend_", line.get_label())]
    handles += [each for each in ax.get_legend_handles_labels()[0] if each not in handles]
    labels = [each.get_label() for each in handles]
    is_long = len(labels) > 7 or max(map(len, labels), default=0) > 38
    is_long |= len(ax.lines) > 100  # which leave no place, and matplotlib would look for one
    legend = None if is_long else _legend(ax, handles, with_cut)
    if legend and not _is_over(legend, ax, handles):
        make_room(ax)
    else:
        beside = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}
        make_room(ax, _legend(ax, handles, with_cut, **beside))


def _legend(ax, handles, with_cut, **place):
    title = {"title": SAID, "title_fontsize": "small"} if with_cut else {}
    # matplotlib would leave out labels that begin with an underscore.
    legend = ax.legend(handles, [""] * len(handles), fontsize="small", **title, **place)
    for text, each in zip(legend.get_texts(), handles, strict=True):
        text.set_text(each.get_label())
    return legend


def _is_over(legend, ax, lines):
    """Whether a legend lies over lines, or over what is drawn between them and around them."""
    box = legend.get_window_extent()
    paths = [(line.get_path(), line.get_transform()) for line in lines if line in ax.lines]
    paths += [(path, each.get_transform()) for each in ax.collections for path in each.get_paths()]
    return any(at.transform_path(path).intersects_bbox(box, filled=False) for path, at in paths)
