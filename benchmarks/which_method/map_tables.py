"""Turn the results of the map into a rule, its regret, a figure and a table of noise.

Run as `python benchmarks/which_method/map_tables.py`: reads `map.jsonl` beside this script, and
writes into `docs/results/map`.

A cell's score is the mean over its draws. An arm's regret at a cell is how many points of balanced
accuracy it stays below the best arm of the same model there; as the best is taken from means of a
few draws, regret is a little too large. A rule is the tree of at most MAX_QUESTIONS of QUESTIONS
with the least mean regret, sources counting alike, found by trying all; a question that gains
less than MIN_GAIN of a point is not asked, and an answer rests on MIN_CELLS cells or more. The
ensembles are another model: they are no answer, and are compared apart.
"""

import argparse
import sys
from collections import defaultdict
from functools import cache
from itertools import product
from pathlib import Path
from typing import NamedTuple

import lines
import map
import numpy as np
import sources
from tables import MODELS, table

ARMS = {
    "plain": "plain",
    "inverse": "inverse frequency",
    "class_balanced": "class-balanced",
    "adjusted": "adjusted",
    "class_balanced_adjusted": "class-balanced, adjusted",
    "decision": "decision rule",
    "smote": "SMOTE",
    "undersampled": "undersampling",
}
ENSEMBLES = {"balanced_forest": "balanced forest", "easy_ensemble": "EasyEnsemble"}
COLORS = ["#999999", "#E69F00", "#009E73", "#56B4E9", "#0072B2", "#CC79A7", "#D55E00", "#F0E442"]
DARK = "#0072B2"  # digits on it are white
MAX_QUESTIONS, MIN_GAIN, MIN_CELLS = 4, 0.05, 3
DOCS = Path(__file__).parents[2] / "docs" / "results" / "map"


class Cell(NamedTuple):
    """What a question can be about, as it is seen in the training labels."""

    source: str
    place: tuple
    model: str
    noise: float
    n_max: float
    n_min: float

    @property
    def imbalance(self):
        return self.n_max / self.n_min


class Results:
    """Cells, and the points of balanced accuracy of each arm there; NaN where it was not run."""

    def __init__(self, found):
        draws = defaultdict(dict)
        for line in found:
            cell, _, draw, _ = map.key(line)
            draws[cell].setdefault(draw, line | {"arms": {}})["arms"].update(line["arms"])
        self.cells, self.scores, self.ensembles, self.n_draws = [], [], [], []
        for key, by_draw in draws.items():
            if key.model == "ensemble":
                continue
            beside = draws.get(key._replace(model="ensemble"), {})
            n_max, n_min = np.mean([line["class_count"] for line in by_draw.values()], axis=0)
            place = key.n_max, key.imbalance
            self.cells.append(Cell(key.source, place, key.model, key.noise, n_max, n_min))
            self.scores.append([mean_of(by_draw.values(), arm) for arm in ARMS])
            self.ensembles.append([mean_of(beside.values(), arm) for arm in ENSEMBLES])
            self.n_draws.append(len(by_draw))
        self.scores, self.ensembles = np.array(self.scores), np.array(self.ensembles)

    def of(self, names):
        """Return the positions of the cells of some sources, and their weights."""
        rows = np.array([i for i, cell in enumerate(self.cells) if cell.source in names], int)
        owners = [self.cells[i].source for i in rows]
        weight = np.array([1 / owners.count(name) for name in owners])
        return rows, weight / weight.sum()

    @property
    def regret(self):
        """Return how far each arm is below the best, where it was run."""
        return np.nanmax(self.scores, axis=1, keepdims=True) - self.scores


def mean_of(found, arm):
    scores = [
        100 * line["arms"][arm]["balanced_accuracy"] for line in found if arm in line["arms"]
    ]
    return np.mean(scores) if scores else np.nan


# ---------------------------------------------------------------------- the rule


class Question(NamedTuple):
    feature: str
    limit: object
    text: str

    def __call__(self, cell):
        value = getattr(cell, self.feature)
        return value == self.limit if self.feature == "model" else value < self.limit


QUESTIONS = [
    *(Question("model", name, f"Is it {text}?") for name, text in zip(
        MODELS, ("logistic regression", "gradient boosting", "a net"), strict=True
    )),
    *(Question("n_max", n, f"Has the largest class fewer than {n:,} rows?")
      for n in (300, 3_000, 30_000)),
    *(Question("n_min", n, f"Has the smallest class fewer than {n:,} rows?")
      for n in (20, 50, 200)),
    *(Question("imbalance", n, f"Is the largest class less than {n:,} times the smallest?")
      for n in (3, 30, 300, 3_000)),
    *(Question("noise", n, f"Are fewer than {n:.0%} of the labels wrong?") for n in (0.03, 0.1)),
]  # fmt: skip


class Rule(NamedTuple):
    """An arm; or a question, and the rule for each answer."""

    arm: str | None
    question: Question | None = None
    yes: "Rule | None" = None
    no: "Rule | None" = None

    def __call__(self, cell):
        if self.question is None:
            return self.arm
        return (self.yes if self.question(cell) else self.no)(cell)

    def questions(self):
        return 0 if self.question is None else 1 + self.yes.questions() + self.no.questions()

    def text(self, depth=0):
        """Return the rule as nested lists in reStructuredText."""
        if self.question is None:
            return f"**{ARMS[self.arm]}**"
        pad = "\n\n" + "  " * depth
        yes, no = self.yes.text(depth + 1), self.no.text(depth + 1)
        return f"{self.question.text}{pad}- Yes: {yes}{pad}- No: {no}"


def learn(cells, regret, weight, max_questions=MAX_QUESTIONS):
    """Return the rule with the least regret, of all that ask few enough questions."""
    cost = np.nan_to_num(regret, nan=np.inf) * weight[:, None]
    answers = [np.array([question(cell) for cell in cells]) for question in QUESTIONS]

    @cache
    def best(members, n):
        rows = np.frombuffer(members, bool)
        total = cost[rows].sum(axis=0)
        found = total.min(), Rule(list(ARMS)[total.argmin()])
        for question, answer in zip(QUESTIONS, answers, strict=True) if n else ():
            yes, no = rows & answer, rows & ~answer
            if min(yes.sum(), no.sum()) < MIN_CELLS:
                continue
            for i in range(n):
                (a, left), (b, right) = best(yes.tobytes(), i), best(no.tobytes(), n - 1 - i)
                asked = 1 + left.questions() + right.questions()
                gained = MIN_GAIN * (asked - found[1].questions())
                if a + b + gained < found[0] - 1e-12:
                    found = a + b, Rule(None, question, left, right)
        return found

    return best(np.ones(len(cells), bool).tobytes(), max_questions)[1]


def learned(results, half):
    rows, weight = results.of(sources.HALVES[half])
    return learn([results.cells[i] for i in rows], results.regret[rows], weight)


def regret_of(results, choose, half):
    """Return the regret of what is chosen at each cell of a half: mean, and the worst source's."""
    rows, weight = results.of(sources.HALVES[half])
    chosen = [list(ARMS).index(choose(results.cells[i])) for i in rows]
    regret = results.regret[rows, chosen]
    names = np.array([results.cells[i].source for i in rows])
    worst = [regret[names == name].mean() for name in np.unique(names)]
    return (regret * weight).sum(), np.max(worst)  # of what was not run somewhere, no number


# ---------------------------------------------------------------------- tables


def points(value):
    return "-" if np.isnan(value) else f"{value:.1f}"


def table_of_regret(results):
    """The rule's regret on the half that it was not learned on, beside that of one arm for all."""
    halves = list(sources.HALVES)
    rows = []
    rules = {
        "the rule": learned(results, "learn"),
        "a rule of the other half": learned(results, "try"),
    }
    always = {f"always {title}": (lambda cell, arm=arm: arm) for arm, title in ARMS.items()}
    for name, choose in (rules | always).items():
        row = [name]
        for half in halves:
            row += [
                f"{value:.1f}".replace("nan", "-") for value in regret_of(results, choose, half)
            ]
        rows.append(row)
    header = ["", "sets learned on", "worst of them", "other sets", "worst of them"]
    return table(header, rows)


def table_of_bests(results):
    """How often an arm is the best, and within a point of it; and what an ensemble does there."""
    regret = results.regret
    rows = []
    for i, title in enumerate(ARMS.values()):
        there = ~np.isnan(regret[:, i])
        best, near = (regret[there, i] == 0).mean(), (regret[there, i] <= 1).mean()
        plain = (results.scores[there, i] - results.scores[there, 0]).mean()
        rows.append([title, int(there.sum()), f"{best:.0%}", f"{near:.0%}", f"{plain:+.1f}"])
    top = np.nanmax(results.scores, axis=1)
    for i, title in enumerate(ENSEMBLES.values()):
        gap = results.ensembles[:, i] - top
        there = ~np.isnan(gap)
        gain = (results.ensembles[there, i] - results.scores[there, 0]).mean()
        shares = [f"{(gap[there] > limit).mean():.0%}" for limit in (0, -1)]
        rows.append([title, int(there.sum()), *shares, f"{gain:+.1f}"])
    return table(["method", "cells", "best", "within a point", "mean gain over plain"], rows)


def noise_scores(results):
    """Return all arms' scores for each share of wrong labels, at the places with all shares."""
    by_place = defaultdict(dict)
    for cell, score in zip(results.cells, results.scores, strict=True):
        by_place[cell.source, cell.place, cell.model][cell.noise] = score
    full = [found for found in by_place.values() if len(found) == len(map.NOISES)]
    return {noise: np.array([found[noise] for found in full]) for noise in map.NOISES if full}


def noise_costs(results):
    """Return what each share of wrong labels costs each arm, means over the places with all."""
    scores = noise_scores(results)
    return {noise: (scores[0] - scores[noise]).mean(axis=0) for noise in [*scores][1:]}


def table_of_noise(results):
    costs = noise_costs(results)
    rows = [
        [title, *(points(cost[i]) for cost in costs.values())]
        for i, title in enumerate(ARMS.values())
    ]
    return table(["method", *(f"{noise:.0%} wrong" for noise in costs)], rows)


def sentence_of_noise(results):
    costs = noise_costs(results)
    if not costs:
        return "No place has been run with all shares of wrong labels yet.\n"
    noise, cost = max(costs.items())
    of = {t: c for t, c in zip(ARMS.values(), cost, strict=True) if not np.isnan(c)}
    ordered = sorted(of, key=of.get)
    told = [t for t in ordered if t in (ordered[0], "plain", "inverse frequency", ordered[-1])]
    falls = [f"{of[title]:.1f} ({title})" for title in told]
    return (
        f"With {noise:.0%} of the labels wrong, balanced accuracy falls, on average over places "
        f"and models, by {', '.join(falls[:-1])} and, the most of all ways, {falls[-1]} points. "
        f"{_still_gained(results, noise)}\n"
    )


def _still_gained(results, noise):
    """Say what is left of the rival's gain over plain, and at how many places."""
    scores = noise_scores(results)
    at = [*ARMS].index("inverse")
    gains = {share: scores[share][:, at] - scores[share][:, 0] for share in (0, noise)}
    return (
        f"Inverse frequency then gains {gains[noise].mean():.1f} points over plain where it "
        f"gained {gains[0].mean():.1f} without wrong labels, and is ahead at "
        f"{(gains[noise] > 0).sum()} of {len(gains[0])} places."
    )


def size(results):
    n_sources = len({cell.source for cell in results.cells})
    fewest, most = min(results.n_draws), max(results.n_draws)
    draws = f"{most}" if fewest == most else f"{fewest} to {most}"
    if fewest < map.N_DRAWS:
        draws += f" of {map.N_DRAWS}"
    return f"{len(results.cells)} cells of {n_sources} sources, {draws} draws a cell.\n"


# ---------------------------------------------------------------------- figure


def figure(results, path):
    """Draw the map: the best arm's colour at each cell, and its gain over plain."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    spots = defaultdict(list)  # of a panel, to a power of ten
    for i, cell in enumerate(results.cells):
        spots[cell.noise, cell.model, *np.round(np.log10(cell.place))].append(i)
    fig = Figure(figsize=(7.6, 8.4), layout="constrained")  # digits are read at a page's width
    axes = fig.subplots(len(map.NOISES), len(MODELS), sharex=True, sharey=True)
    of = dict(zip(product(map.NOISES, MODELS), axes.flat, strict=True))
    for (noise, model), ax in of.items():
        ax.set(xlim=(1.5, 5.5), xticks=range(2, 6), xticklabels=["100", "1k", "10k", "100k"])
        ax.set(ylim=(-0.5, 4.5), yticks=range(5), yticklabels=["1", "10", "100", "1k", "10k"])
        ax.grid(color="0.93")
        if noise == map.NOISES[0]:
            ax.set_title(MODELS[model])
        if ax.get_subplotspec().is_first_col():
            ax.set_ylabel(f"{noise:.0%} of labels wrong\nlargest over smallest class")
    for (noise, model, x, y), rows in spots.items():
        n_columns = min(3, len(rows))
        n_lines = -(-len(rows) // 3)
        for nth, i in enumerate(rows):
            best = np.nanargmax(results.scores[i])
            gain = results.scores[i, best] - results.scores[i, 0]
            place = (
                x + 0.31 * (nth % 3 - (n_columns - 1) / 2),
                y + 0.36 * ((n_lines - 1) / 2 - nth // 3),
            )
            of[noise, model].plot(*place, "s", markersize=10.5, color=COLORS[best])
            how = {"color": "white" if COLORS[best] == DARK else "black", "fontsize": 8}
            of[noise, model].text(*place, f"{gain:.0f}", ha="center", va="center", **how)
    axes[-1, 1].set_xlabel("rows of the largest class; both, to the nearest power of ten")
    handles = [Patch(color=c, label=t) for c, t in zip(COLORS, ARMS.values(), strict=True)]
    fig.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    with rc_context({"svg.hashsalt": "sk_cbloss"}):  # the same file each time
        fig.savefig(path, metadata={"Date": None})


def parts(results):
    """Return all texts."""
    return {
        "size": size(results),
        "rule": learned(results, "learn").text() + "\n",
        "regret": table_of_regret(results),
        "bests": table_of_bests(results),
        "noise": table_of_noise(results),
        "noise_sentence": sentence_of_noise(results),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=map.RESULTS)
    parser.add_argument("--out", type=Path, default=DOCS)
    arguments = parser.parse_args(arguments)
    found = lines.read(arguments.results)
    # The study's; of a quick run's file, what there is.
    results = Results([line for line in found if not line["quick"]] or found)
    names = sorted({cell.source for cell in results.cells})
    if not all(set(half) & set(names) for half in sources.HALVES.values()):
        raise ValueError(
            f"{arguments.results} must hold sources of both halves, got {', '.join(names) or 0}."
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in parts(results).items():
        (arguments.out / f"{name}.inc").write_text(text)
    figure(results, arguments.out / "map.svg")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"map_tables.py: {error}")
