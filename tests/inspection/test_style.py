"""What holds for every display: it hands styles on, keeps names, and can be drawn again."""

import inspect

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sk_cbloss import inspection
from sk_cbloss.inspection import (
    BetaSearchDisplay,
    ClassWeightDisplay,
    EffectiveNumberDisplay,
    LongTailDisplay,
    RecallTradeOffDisplay,
    SetCoverageDisplay,
    ShotRecallDisplay,
    TrainingHistoryDisplay,
)
from sk_cbloss.inspection._text import beta_texts, plain_names

COUNTS = {"cat": 900, "dog": 90, "yak": 9}
TAU = np.array([0.0, 1.0, 2.0])
SEARCH = {
    "param_beta": [0, 0.9, 0.99],
    "param_loss": ["softmax", "softmax", "focal"],
    "mean_test_score": np.array([0.5, 0.6, 0.7]),
    "std_test_score": np.array([0.1, 0.1, 0.1]),
    "rank_test_score": np.array([3, 2, 1]),
}
HISTORY = [{"train_loss": 1 / n, "valid_loss": 1 / n, "valid_f1": 1 - 1 / n} for n in (1, 2, 3)]


def with_names(display, names):
    """Return a display that has not been drawn, of things with these names."""
    counts = dict(zip(names, (900, 90, 9), strict=True))
    recalls = {name: [0.9, 0.5, 0.1] for name in names}
    results = SEARCH | {"param_beta": [0.5, 0.9, 0.99], "param_loss": names}
    return {
        BetaSearchDisplay: lambda: BetaSearchDisplay(results),
        ClassWeightDisplay: lambda: ClassWeightDisplay(counts, betas=[0, 0.9, 1]),
        LongTailDisplay: lambda: LongTailDisplay(counts),
        RecallTradeOffDisplay: lambda: RecallTradeOffDisplay(TAU, recalls, score=TAU / 2),
        SetCoverageDisplay: lambda: SetCoverageDisplay(
            dict.fromkeys(names, (0.9, 0.8, 1, 30)),
            class_count=counts,
            set_size=dict.fromkeys(names, 1.5),
        ),
        ShotRecallDisplay: lambda: ShotRecallDisplay(recalls),
    }[display]()


MAKE = {
    name: lambda name=name: with_names(getattr(inspection, name), list(COUNTS))
    for name in inspection.__all__
    if name.endswith("Display")
} | {
    "BetaSearchDisplay": lambda: BetaSearchDisplay(SEARCH),
    "EffectiveNumberDisplay": lambda: EffectiveNumberDisplay(COUNTS),
    "TrainingHistoryDisplay": lambda: TrainingHistoryDisplay(HISTORY),
}
# The artists that each parameter is of.
STYLES = {
    ("BetaSearchDisplay", "line_kw"): lambda d: d.lines_.values(),
    ("ClassWeightDisplay", "line_kw"): lambda d: d.lines_,
    ("EffectiveNumberDisplay", "line_kw"): lambda d: d.lines_,
    ("LongTailDisplay", "bar_kw"): lambda d: [d.outline_],
    ("RecallTradeOffDisplay", "line_kw"): lambda d: d.lines_.values(),
    ("SetCoverageDisplay", "bar_kw"): lambda d: d.size_ax_.patches,
    ("SetCoverageDisplay", "point_kw"): lambda d: [d.points_],
    ("ShotRecallDisplay", "mark_kw"): lambda d: d.marks_.values(),
    ("TrainingHistoryDisplay", "line_kw"): lambda d: d.lines_.values(),
}
NAMED = [
    BetaSearchDisplay,
    ClassWeightDisplay,
    LongTailDisplay,
    RecallTradeOffDisplay,
    SetCoverageDisplay,
    ShotRecallDisplay,
]


def pixels(figure):
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba()).copy()


def methods_of(display):
    return [
        method
        for name, method in inspect.getmembers(getattr(inspection, display))
        if name == "plot" or name.startswith("from_")
    ]


def written_by(display):
    """Return the names that a display has written, on an axis or in a legend."""
    for ax in display.figure_.axes:
        ax.figure.draw_without_rendering()
    ticks = [tick.get_text() for ax in display.figure_.axes for tick in ax.get_xticklabels()]
    legends = [ax.get_legend() for ax in display.figure_.axes]
    return ticks + [text.get_text() for each in legends if each for text in each.get_texts()]


# ------------------------------------------------------------------------------------ styles


@pytest.mark.parametrize("display", MAKE)
def test_every_method_that_draws_takes_the_same_styles(display):
    drawing, *others = (set(inspect.signature(m).parameters) for m in methods_of(display)[::-1])
    styles = {name for name in drawing if name.endswith("_kw")} | drawing & {"name_length"}
    assert styles
    for parameters in others:
        assert styles | {"ax"} <= parameters


def test_every_style_is_tried():
    found = {
        (display, name)
        for display in MAKE
        for method in methods_of(display)
        for name in inspect.signature(method).parameters
        if name.endswith("_kw")
    }
    assert found == STYLES.keys()


@pytest.mark.parametrize(("display", "name"), STYLES)
def test_a_style_reaches_its_artists(display, name):
    drawn = MAKE[display]().plot(**{name: {"alpha": 0.25, "lw": 7}})
    for artist in STYLES[display, name](drawn):
        assert artist.get_alpha() == 0.25
        assert np.all(artist.get_linewidth() == 7)


@pytest.mark.parametrize(("display", "name"), STYLES)
def test_a_list_has_a_style_for_each(display, name):
    artists = STYLES[display, name]
    n = len(list(artists(MAKE[display]().plot()))) if name[:4] in ("line", "mark") else 1
    alphas = [(place + 1) / (n + 1) for place in range(n)]
    drawn = MAKE[display]().plot(**{name: [{"alpha": alpha} for alpha in alphas]})
    found = [artist.get_alpha() for artist in artists(drawn)]
    assert found == (alphas if n > 1 else alphas * len(found))
    plt.close("all")
    for wrong in ("red", [{}] * (n + 1), ["red"] * n, 5):
        with pytest.raises(ValueError, match=f"^{name} must be a dict, a list with a dict for ea"):
            MAKE[display]().plot(**{name: wrong})
    assert not plt.get_fignums()


def test_what_belongs_to_a_line_has_its_colour():
    red = {"color": "red"}
    search = BetaSearchDisplay(SEARCH).plot(line_kw=red)
    assert {tuple(band.get_facecolor()[0][:3]) for band in search.ax_.collections} == {(1, 0, 0)}
    shots = ShotRecallDisplay({"a": [[0.9, 0.5, 0.1], [0.8, 0.4, 0]]}).plot(mark_kw=red)
    assert {tuple(each.get_color()[0][:3]) for each in shots.ax_.collections} == {(1, 0, 0)}
    chosen = (1, {"a": 0.5}, None)
    recalls = RecallTradeOffDisplay(TAU, {"a": TAU / 2}, chosen=chosen).plot(line_kw=red)
    assert recalls.marks_["a"].get_color() == "red"


# ----------------------------------------------------------------------------------- drawing


@pytest.mark.parametrize("display", MAKE)
def test_drawn_again_it_looks_the_same(display):
    made = MAKE[display]()
    first = made.plot()
    shown = first.figure_
    before, artists = pixels(shown), shown.findobj()
    again = made.plot()
    assert first is made is again
    assert again.figure_ is not shown
    assert shown.findobj() == artists
    assert (pixels(again.figure_) == before).all()


def test_marks_are_cut_out_of_the_ground_whatever_its_colour():
    history = [row | {"valid_f1_best": True} for row in HISTORY]
    recalls = RecallTradeOffDisplay(TAU, {"a": TAU / 2}, chosen=(1, {"a": 0.5}, None))
    for style in ("default", "dark_background"):
        with plt.style.context(style):
            ring = TrainingHistoryDisplay(history).plot().best_["valid_f1"]
            assert ring.get_markerfacecolor() == ring.axes.get_facecolor()
            mark = recalls.plot().marks_["a"]
            assert mark.get_markeredgecolor() == mark.axes.get_facecolor()


# ------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("display", NAMED)
def test_names_are_cut_where_they_must_be_and_as_is_asked(display):
    names = [letter * 39 + "!" for letter in "дüx"]
    made = with_names(display, names)
    written = written_by(made.plot())
    assert all(name in written for name in names)
    assert "…" not in "".join(written)
    written = written_by(made.plot(name_length=12))
    cut = [f"{letter * 6}…{letter * 4}!" for letter in "дüx"]
    assert all(name in written for name in cut)
    axes = made.figure_.axes
    said = [ax.get_legend().get_title().get_text() for ax in axes if ax.get_legend()]
    said += [ax.get_xlabel() for ax in axes]
    assert any("… where names are cut" in text for text in said)
    longer = with_names(display, [name * 2 for name in names])
    assert all(name * 2 in written_by(longer.plot(name_length=None)) for name in names)
    for wrong in (7, "40", 12.0, True):
        with pytest.raises(ValueError, match="^name_length must be an integer >= 8, got"):
            made.plot(name_length=wrong)


@pytest.mark.parametrize("display", NAMED)
def test_a_figure_of_its_own_grows_and_one_that_is_given_does_not(display):
    def drawn(length, ax=None):
        made = with_names(display, [letter * length for letter in "abc"]).plot(ax)
        made.figure_.draw_without_rendering()
        return made, made.figure_.get_size_inches()

    short, size = drawn(3)
    made, grown = drawn(40)
    assert (grown >= size).all()
    assert grown.sum() > size.sum() + 0.5
    one, other = (each.ax_.get_window_extent() for each in (short, made))
    assert other.width > 0.85 * one.width
    assert other.height > 0.85 * one.height
    figure, ax = plt.subplots(figsize=(9, 9), layout="constrained")
    drawn(40, ax)
    assert tuple(figure.get_size_inches()) == (9, 9)


def test_names_that_begin_with_an_underscore_are_in_the_legend():
    for display in (RecallTradeOffDisplay, ShotRecallDisplay, BetaSearchDisplay):
        written = written_by(with_names(display, ["_a", "_b", "$c$"]).plot())
        assert {"_a", "_b", r"\$c\$"} <= set(written)


def test_the_legend_of_very_many_lines_stands_beside_them():
    recalls = {f"c{n}": np.linspace(0, 1, 81) * n / 300 for n in range(300)}
    display = RecallTradeOffDisplay(np.linspace(0, 2, 81), recalls).plot()
    display.figure_.draw_without_rendering()
    assert display.ax_.get_legend().get_window_extent().x0 > display.ax_.get_window_extent().x1


@pytest.mark.parametrize(("waves", "is_beside"), [(0, False), (8, True)])
def test_no_legend_lies_over_lines(waves, is_beside):
    tau = np.linspace(0, 2, 201)
    wave = 0.5 + 0.5 * np.sin(waves * np.pi * tau)
    display = RecallTradeOffDisplay(tau, {"cat": wave, "dog": 1 - wave}).plot()
    display.figure_.draw_without_rendering()
    box = display.ax_.get_legend().get_window_extent()
    assert (box.x0 > display.ax_.get_window_extent().x1) == is_beside
    for line in display.lines_.values():
        drawn = line.get_transform().transform_path(line.get_path())
        assert not drawn.intersects_bbox(box, filled=False)


def test_names_stay_distinct_at_any_length():
    names = [f"{'n' * 50}{place:03}{'n' * 50}" for place in range(150)]
    for length in (8, 24, None):
        shown = plain_names(names, length)
        assert len(set(shown)) == 150
        assert max(map(len, shown)) <= (length or 103)


def test_betas_stay_distinct_and_short():
    assert beta_texts([0.001, 0.3, 0.12345678]) == ["0.001", "0.3", "0.12"]
    assert beta_texts([0, 0.98765, 0.98766, 1]) == [
        "0, no weights",
        "0.98765",
        "0.98766",
        "1, inverse frequency",
    ]
    assert beta_texts([1e-300, 0.987654321]) == ["1e-300", "0.988"]
    assert beta_texts([0.5, 0.5]) == ["0.5", "0.5"]
    # As many nines as it takes.
    assert beta_texts([0.9999, 0.99995]) == ["0.9999", "0.99995"]
