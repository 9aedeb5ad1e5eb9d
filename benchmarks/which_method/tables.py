"""Turn the results of the study into the tables and the figure of the documentation.

Run as `python benchmarks/which_method/tables.py`: reads `results.jsonl` beside this script, and
writes into `docs/results/which_method` and the README.

A split counts once all its runs are there. Data sets are the units: a set's score is the mean over
its splits. Natural tails and those that were made are never averaged into one number. Whether a
win, a tie or a loss is the most frequent outcome is asked by a Bayesian signed-rank test [Benavoli
2014] with a region of practical equivalence of one point; how likely each is on the next data set
follows from the same prior. A set's interval takes the variance of the paired difference over
splits, corrected for what their training parts share [Nadeau 2003].
"""

import argparse
import csv
import io
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import run
import sets

from sk_cbloss import paired_difference_interval

ARMS = {
    "plain": "plain",
    "inverse": "inverse frequency",
    "class_balanced": "class-balanced",
    "post_hoc": "post-hoc adjusted",
    "class_balanced_post_hoc": "class-balanced, adjusted",
    "macro_f1_rule": "macro-F1 rule",
}
MODELS = {
    "logistic": "logistic regression",
    "boosting": "gradient boosting",
    "net": "neural net",
}
RIVAL, ROPE = "inverse", 1.0  # points
FEW = 5  # data sets; of fewer, nothing is said of chances
ROOT = Path(__file__).parents[2]
DOCS, README = ROOT / "docs" / "results" / "which_method", ROOT / "README.md"
BEGIN, END = "<!-- by benchmarks/which_method/tables.py -->", "<!-- end -->"


def signed_rank(differences, rope, n_draws=50_000):
    """Return how likely each of win, tie and lose is the most likely, by a signed-rank test.

    A draw weights the differences, and a prior one of 0 with the weight of a half; the mean of two
    of them is then a win, a tie or a loss with some share, and the largest share decides the draw.
    """
    values = np.r_[0, differences]
    alpha = np.r_[0.5, np.ones(len(differences))]
    weights = np.random.default_rng(0).dirichlet(alpha, n_draws)
    means = (values[:, None] + values) / 2

    def share(where):
        return ((weights @ where) * weights).sum(axis=1)

    win, lose = share(np.heaviside(means - rope, 0.5)), share(np.heaviside(-means - rope, 0.5))
    decided = np.argmax([win, 1 - win - lose, lose], axis=0)
    return np.bincount(decided, minlength=3) / n_draws


def next_set(differences, rope):
    """Return how likely a win, a tie and a loss are on the next data set, by the same prior.

    That is the mean of the weights that the test draws: each difference has one, and the prior's
    tie a half.
    """
    wins, losses = (differences > rope).sum(), (differences < -rope).sum()
    counts = np.array([wins, len(differences) - wins - losses + 0.5, losses])
    return counts / counts.sum()


class Results:
    """Scores in points, as arrays of shape (n_splits,) by set, model and arm."""

    def __init__(self, lines):
        lines = list(lines)
        names = {line["set"] for line in lines}
        n_runs = Counter(line["split"] for line in lines)
        self.splits = sorted(s for s, n in n_runs.items() if n == len(names) * len(MODELS))
        self.lines = [line for line in lines if line["split"] in self.splits]
        self._runs = {(line["set"], line["model"], line["split"]): line for line in self.lines}
        known = [*sets.SETS, *sorted(names - sets.SETS.keys())]  # the others are somebody's own
        self.own = {line["set"] for line in lines if "data" in line}
        self.binary = [name for name in sets.BINARY if name in names - self.own]
        self.names = [name for name in known if name in names and name not in self.binary]
        self.made = [name for name in self.names if name in sets.MADE.keys() - self.own]
        self.natural = [name for name in self.names if name not in self.made]

    def values(self, name, model, arm, key):
        """Return what was found of an arm, by split."""
        return [self._runs[name, model, split]["arms"][arm][key] for split in self.splits]

    def scores(self, name, model, arm, metric, unit=100):
        return unit * np.array(self.values(name, model, arm, metric))

    def over_sets(self, names, model, arm, metric, unit=100):
        """Return the mean over splits of each of some sets."""
        return np.array([self.scores(name, model, arm, metric, unit).mean() for name in names])

    def difference(self, name, model, arm, metric="balanced_accuracy"):
        """Return the mean difference to the rival, and half the width of its interval."""
        ours, rival = (self.scores(name, model, each, metric) for each in (arm, RIVAL))
        if len(ours) < 2:
            return (ours - rival).mean(), np.nan
        found = paired_difference_interval(
            ours, rival, n_train=1 - run.TEST_SIZE, n_test=run.TEST_SIZE
        )
        return found.mean, found.high - found.mean


# ---------------------------------------------------------------------- tables


def table(header, rows):
    """Return a table in reStructuredText."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    lines = [".. csv-table::", "   :header-rows: 1", "", *text.getvalue().splitlines()]
    return "\n".join(f"   {line}" if i > 2 else line for i, line in enumerate(lines)) + "\n"


def table_of_sets(results):
    header = "data set", "tail", "training rows", "classes", "largest", "smallest", "dropped"
    first = {line["set"]: line for line in reversed(results.lines)}
    rows = []
    for name in results.names + results.binary:
        line, tail = first[name], "made" if name in results.made else "natural"
        numbers = line["n_train"], line["n_classes"], *line["class_count"], line["n_dropped"]
        rows.append([name, tail, *numbers])
    return table(header, rows)


def table_of_means(results, names, model):
    metrics = {
        "balanced accuracy": "balanced_accuracy",
        "macro-F1": "macro_f1",
        "worst class": "worst_class",
        "log loss": "log_loss",
        "ECE": "ece",
        "log loss, natural": "natural_log_loss",
        "ECE, natural": "natural_ece",
    }
    header = "method", *metrics, "seconds"
    plain_seconds = results.over_sets(names, model, "plain", "seconds", unit=1)
    rows = []
    for arm, title in ARMS.items():
        row = [title]
        for metric in metrics.values():
            unit, digits = (1, 2) if "log_loss" in metric else (100, 1)
            row.append(f"{results.over_sets(names, model, arm, metric, unit).mean():.{digits}f}")
        ratio = results.over_sets(names, model, arm, "seconds", unit=1) / plain_seconds
        rows.append([*row, f"{np.median(ratio):.2f}"])
    return table(header, rows)


def table_of_binary(results):
    """The mean balanced accuracy over the binary problems, by model."""
    rows = []
    for arm, title in ARMS.items():
        of_models = (
            results.over_sets(results.binary, model, arm, "balanced_accuracy").mean()
            for model in MODELS
        )
        rows.append([title, *(f"{mean:.1f}" for mean in of_models)])
    return table(["method", *MODELS.values()], rows)


def percent(chances):
    return "/".join(f"{p:.0%}"[:-1] for p in chances)


def table_of_odds(results, names, metric):
    """Where each arm is better than the rival, how sure one can be of it, and what to expect."""
    rows = []
    for model, name in MODELS.items():
        for arm, title in ARMS.items():
            if arm == RIVAL:
                continue
            ours, rival = (results.over_sets(names, model, each, metric) for each in (arm, RIVAL))
            gap = ours - rival
            counts = (gap > ROPE).sum(), (abs(gap) <= ROPE).sum(), (gap < -ROPE).sum()
            odds = percent(signed_rank(gap, ROPE)), percent(next_set(gap, ROPE))
            rows.append([name, title, f"{gap.mean():+.1f}", "/".join(map(str, counts)), *odds])
    chances = "chance to be the most frequent outcome, %", "on the next set, %"
    return table(["model", "method", "mean", "win/tie/lose, sets", *chances], rows)


def _several(n, noun):
    return f"{n} {noun}{'s' * (n != 1)}"


def size(results):
    """Say how large the study is, and what of it is there."""
    n_splits = f"{len(results.splits)}"
    if len(results.splits) < run.N_SPLITS:
        n_splits += f" of {run.N_SPLITS}"
    return (
        f"{_several(len(results.natural), 'data set')} with natural long tails and "
        f"{len(results.made)} with made ones, {_several(len(results.binary), 'binary problem')}, "
        f"{_several(len(MODELS), 'model')} and {n_splits} splits"
    )


def readme_table(results):
    """Return the mean differences to the rival on natural tails, in Markdown."""
    lines = [
        f"On {_several(len(results.natural), 'data set')} with natural long tails, "
        f"{_several(len(MODELS), 'model')} and {_several(len(results.splits), 'split')}:",
        "points above inverse frequency, means over the data sets with logistic regression /",
        "gradient boosting / a net.",
        "",
        "| method | balanced accuracy | macro-F1 |",
        "|---|---|---|",
    ]
    for arm, title in ARMS.items():
        cells = []
        for metric in ("balanced_accuracy", "macro_f1"):
            of = partial(results.over_sets, results.natural)
            gaps = [(of(m, arm, metric) - of(m, RIVAL, metric)).mean() for m in MODELS]
            cells.append(" / ".join("0" if arm == RIVAL else f"{gap:+.1f}" for gap in gaps))
        lines.append(f"| {title} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def table_of_differences(results, model):
    arms = [arm for arm in ARMS if arm != RIVAL]
    header = ["data set", ARMS[RIVAL], *(ARMS[arm] for arm in arms)]
    rows = []
    for name in results.names + results.binary:
        row = [name, f"{results.scores(name, model, RIVAL, 'balanced_accuracy').mean():.1f}"]
        for arm in arms:
            row.append("{:+.1f} ± {:.1f}".format(*results.difference(name, model, arm)))
        rows.append(row)
    return table(header, rows)


def share(hits):
    return f"{np.mean(hits):.0%}"


def place_of(beta, grid):
    """Return where a beta stands in a grid; another machine may round its last digit otherwise."""
    return int(np.flatnonzero(np.isclose(grid, beta, rtol=1e-12, atol=0)).item())


def table_of_choices(results):
    """How often class-balanced weights chose which N, and how often tau was at its upper end."""
    header = "model", "lowest N", "second", "third", "infinite", "tau of 2, post-hoc"
    rows = []
    for model, title in MODELS.items():
        lines = [ln for ln in results.lines if ln["model"] == model and ln["set"] in results.names]
        places = [
            place_of(line["arms"]["class_balanced"]["beta"], run.grid_of(*line["class_count"]))
            for line in lines
        ]
        at_end = [line["arms"]["post_hoc"]["tau"] == max(run.TAUS) for line in lines]
        counts = [share(np.equal(places, place)) for place in range(4)]
        rows.append([title, *counts, share(at_end)])
    return table(header, rows)


def table_of_strengths(results):
    """How often plain and inverse frequency chose another strength of regularisation."""
    rows = []
    for model, title in MODELS.items():
        strengths = run.MODELS[model][1]
        chosen = {
            arm: [
                strengths.index(tuple(s) if isinstance(s, list) else s)
                for name in results.names
                for s in results.values(name, model, arm, "strength")
            ]
            for arm in ("plain", "inverse")
        }
        weaker = np.subtract(chosen["plain"], chosen["inverse"])
        ends = [share(np.isin(chosen[arm], (0, 5))) for arm in chosen]
        rows.append([title, share(weaker < 0), share(weaker == 0), share(weaker > 0), *ends])
    header = "model", "weaker with weights", "the same", "stronger with weights"
    return table([*header, "plain at an end", "weighted at an end"], rows)


# ---------------------------------------------------------------------- figure


def figure(results, path):
    """Draw each set's difference to the rival, for each arm and model."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    arms = [arm for arm in ARMS if arm != RIVAL][::-1]
    fig = Figure(figsize=(9, 2.8), layout="constrained")
    axes = fig.subplots(1, len(MODELS), sharey=True)
    for ax, (model, title) in zip(axes, MODELS.items(), strict=True):
        ax.axvspan(-ROPE, ROPE, color="0.9")  # practically the same
        ax.axvline(0, color="0.4", linewidth=0.8)
        for height, arm in enumerate(arms):
            gaps = np.array([results.difference(name, model, arm)[0] for name in results.names])
            ax.scatter(gaps, np.full(len(gaps), height), s=14, color="#0072B2", alpha=0.6)
            ax.plot(np.median(gaps), height, "|", color="black", markersize=14)
        ax.set(title=title, yticks=range(len(arms)), yticklabels=[ARMS[arm] for arm in arms])
        ax.spines[["top", "right", "left"]].set_visible(False)
    axes[1].set_xlabel("balanced accuracy minus inverse frequency's, points; a dot is a data set")
    with rc_context({"svg.hashsalt": "sk_cbloss"}):  # the same file each time
        fig.savefig(path, metadata={"Date": None})


def parts(results):
    """Return all tables."""
    made = {
        "size": f"The tables are of {size(results)}.\n",
        "sets": table_of_sets(results),
        "choices": table_of_choices(results),
        "strengths": table_of_strengths(results),
    }
    tails = {kind: names for kind in ("natural", "made") if (names := getattr(results, kind))}
    for kind, names in tails.items():
        for score in run.SCORES if len(names) >= FEW else ():
            made[f"odds_{score}_{kind}"] = table_of_odds(results, names, score)
        for model in MODELS:
            made[f"means_{model}_{kind}"] = table_of_means(results, names, model)
    if results.binary:
        made["binary"] = table_of_binary(results)
    for model in MODELS:
        made[f"differences_{model}"] = table_of_differences(results, model)
    return made


def write(results, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in parts(results).items():
        (folder / f"{name}.inc").write_text(text)
    figure(results, folder / "differences.svg")


def write_readme(results):
    before, rest = README.read_text().split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n\n{readme_table(results)}\n\n{END}{after}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=run.RESULTS)
    parser.add_argument("--out", type=Path, default=DOCS)
    arguments = parser.parse_args()
    lines = run.read(arguments.results)
    # The study's; of a quick run's file, what there is.
    results = Results([line for line in lines if not line["quick"]] or lines)
    if not results.splits:
        raise ValueError(f"{arguments.results} must hold all runs of a split, got {len(lines)}.")
    write(results, arguments.out)
    if arguments.results.resolve() == run.RESULTS:
        write_readme(results)
    elif results.own:
        print(readme_table(results))
        print(f"\nEvery table, and a figure: {arguments.out}")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"tables.py: {error}")
