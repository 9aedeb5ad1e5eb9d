"""Turn the results of set_coverage.py into the tables of the documentation.

Run as `python benchmarks/which_method/set_coverage_tables.py`: reads `set_coverage.jsonl` beside
this script, and writes into `docs/results/set_coverage`.

Rows of the test parts are pooled over a set's splits. A coverage's interval is Wilson's, of 95 %,
of rows as if they were independent: the splits share rows, so that it is a little too narrow.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import lines
import numpy as np
import run
import set_coverage
from scipy.stats import binomtest
from tables import MODELS, table

METHODS = {
    "plain": "plain",
    "prevalence_adjusted": "adjusted",
    "interpolated": "interpolated",
    "classwise": "class-wise",
}
ADJUSTED, GOAL, GOAL_OF_SIZE, MANY_CLASSES = "prevalence_adjusted", 0.85, 0.6, 80
DOCS = Path(__file__).parents[2] / "docs" / "results" / "set_coverage"


class Results:
    """Lines by set and model."""

    def __init__(self, found):
        self.runs = defaultdict(list)
        for line in found:
            self.runs[line["set"], line["model"]].append(line)
        there = {name for name, _ in self.runs}
        self.names = [name for name in set_coverage.SETS if name in there]

    def n_classes(self, name):
        return next(runs[0]["n_classes"] for (each, _), runs in self.runs.items() if each == name)

    def mean(self, name, model, method, key):
        return np.mean([run["methods"][method][key] for run in self.runs[name, model]])

    def few(self, name, model, method):
        """Return how many rows of few-shot classes there are, how many covered, and labels."""
        return np.sum([run["methods"][method]["few"] for run in self.runs[name, model]], axis=0)

    def share(self, name, model):
        """Return the labels that the adjusted score takes, over those of class-wise thresholds."""
        adjusted, classwise = (self.mean(name, model, m, "size") for m in (ADJUSTED, "classwise"))
        return adjusted / classwise


def of_few(rows, covered):
    if not rows:
        return "-"
    low, high = binomtest(int(covered), int(rows)).proportion_ci(method="wilson")
    return f"{covered / rows:.2f} ({low:.2f} to {high:.2f})"


def table_of_few(results, model):
    """Coverage of few-shot classes by each score, set by set."""
    rows = []
    for name in results.names:
        if (name, model) in results.runs:
            found = [results.few(name, model, method) for method in METHODS]
            rows.append([name, results.n_classes(name), found[0][0]])
            rows[-1] += [of_few(n, covered) for n, covered, _ in found]
    return table(["data set", "classes", "few-shot rows", *METHODS.values()], rows)


def table_of_sizes(results, model):
    """Labels a row, coverage, and the mean of the classes' coverages, of each score."""
    rows = []
    for name in results.names:
        if (name, model) in results.runs:
            rows.append([name])
            for method in METHODS:
                keys = "size", "coverage", "macro_coverage"
                size, *shares = (results.mean(name, model, method, key) for key in keys)
                rows[-1].append(" / ".join([f"{size:.2f}", *(f"{share:.2f}" for share in shares)]))
            rows[-1].append(f"{results.share(name, model):.2f}")
    return table(["data set", *METHODS.values(), "labels, adjusted over class-wise"], rows)


def goals(results):
    """Say on how many sets, with each model, few-shot coverage and size are as was hoped."""
    rows = []
    for model, title in MODELS.items():
        names = [name for name in results.names if (name, model) in results.runs]
        row = [title]
        for method in METHODS:
            found = [results.few(name, model, method) for name in names]
            shares = [covered / n for n, covered, _ in found if n]
            row.append(f"{sum(share >= GOAL for share in shares)} of {len(shares)}")
        large = [name for name in names if results.n_classes(name) >= MANY_CLASSES]
        small = sum(results.share(name, model) <= GOAL_OF_SIZE for name in large)
        rows.append([*row, f"{small} of {len(large)}"])
    scores = (f"{title}, few-shot coverage of {GOAL} or more" for title in METHODS.values())
    last = f"adjusted, {GOAL_OF_SIZE} of class-wise's labels or fewer, from {MANY_CLASSES} classes"
    return table(["model", *scores, last], rows)


def size(results):
    n_splits = [len(runs) for runs in results.runs.values()]
    splits = f"{max(n_splits)}" if min(n_splits) == max(n_splits) else f"up to {max(n_splits)}"
    if min(n_splits) < run.N_SPLITS:
        splits += f" of {run.N_SPLITS}"
    return f"{len(results.names)} data sets, {len(MODELS)} models, {splits} splits.\n"


def parts(results):
    """Return all texts."""
    made = {"size": size(results), "goals": goals(results)}
    for model in MODELS:
        made[f"few_{model}"] = table_of_few(results, model)
        made[f"sizes_{model}"] = table_of_sizes(results, model)
    return made


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=set_coverage.RESULTS)
    parser.add_argument("--out", type=Path, default=DOCS)
    arguments = parser.parse_args(arguments)
    found = lines.read(arguments.results)
    # The study's; of a quick run's file, what there is.
    found = [line for line in found if not line["quick"]] or found
    if not found:
        raise ValueError(f"{arguments.results} must hold results, got none.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in parts(Results(found)).items():
        (arguments.out / f"{name}.inc").write_text(text)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"set_coverage_tables.py: {error}")
