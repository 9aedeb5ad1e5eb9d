"""What the displays share: where they draw, and colours that everybody can tell apart."""

from numbers import Real

import numpy as np

# Okabe and Ito's, which colour-blind readers tell apart and which show on white and on black.
# Markers and dashes serve where there is no colour.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)))
GREY = "#808080"


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
        _, ax = pyplot.subplots(figsize=(width, height), layout="constrained")
        ax.spines[["top", "right"]].set_visible(False)
    display.ax_, display.figure_ = ax, ax.figure
    return ax


def style_of(place, *, marker=True):
    """Return how the line at a place among others looks."""
    other = (place // 6 + place) % 6  # from the seventh on, a colour comes with other marks
    style = {"color": COLORS[place % 6], "linestyle": DASHES[other]}
    return style | {"marker": MARKERS[other], "markersize": 5} if marker else style


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


def name_lines(ax):
    """Add a legend: on the axes, or beside them where it would cover too much."""
    many = len(ax.get_legend_handles_labels()[1]) > 7
    beside = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5), "frameon": False}
    ax.legend(fontsize="small", **(beside if many else {}))


def plain_names(names, longest=24):
    """Return names as matplotlib is to write them: no formulas, no longer than fits, distinct."""
    shown = {}
    for name in map(str, names):
        end = ""
        while (short := _cut(name, longest, end)) in shown.values() and name not in shown:
            end = f" ({int(end[2:-1] or 1) + 1})"
        shown.setdefault(name, short)
    return [shown[str(name)].replace("$", r"\$") for name in names]


def _cut(name, longest, end):
    """Return a name without its middle, where it is too long; names often differ at the end."""
    if len(name) > longest or end:
        kept = longest - len(end) - 1
        name = f"{name[: kept - kept // 2]}…{name[len(name) - kept // 2 :]}"
    return name + end


def number(value):
    """Return a number as text of three digits or more: 1,234 and 12.5."""
    return f"{value:,.0f}" if value >= 100 or value == np.round(value) else f"{value:.3g}"


def several(n, noun):
    """Return a number of things in words: 1 class, 2 classes."""
    plural = f"{noun}es" if noun.endswith("s") else f"{noun}s"
    return f"{number(n)} {noun if n == 1 else plural}"


def beta_text(beta):
    """Return what a beta is called in a legend."""
    if beta == 0:
        return "0, no weights"
    if beta == 1:
        return "1, inverse frequency"
    # As many nines as it takes: 0.9999 and 0.99995 are not the same.
    digits = max(2, int(np.ceil(-np.log10(1 - beta))) + 1)
    return f"{beta:.{digits}f}".rstrip("0")


def value_texts(values):
    """Return what values are called: numbers with no more digits than tell them apart.

    Texts are themselves.
    """
    numbers = {
        value for value in values if isinstance(value, Real) and not isinstance(value, bool)
    }
    digits = next(
        (d for d in range(3, 17) if len({f"{n:.{d}g}" for n in numbers}) == len(numbers)), 17
    )
    return [f"{value:.{digits}g}" if value in numbers else str(value) for value in values]
