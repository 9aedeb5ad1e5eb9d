"""Turn the results into the tables and the figure of `docs/results/cifar_lt.rst`.

Run as `python benchmarks/cifar_lt/tables.py`; `--results FILE` reads other lines than the
committed ones, `--out FOLDER` writes elsewhere. Runs of the paper's recipe (ResNet-32, 200 epochs,
all of the training images) make a table for each data set and imbalance factor; runs of the
speedrun, and any other runs, have tables of their own, whose titles say so. So have the heads on
frozen features, of `features.py` and its `--features FILE`. It prints the speedrun's tables,
whether each target is met, and what of the plan is not run yet.
"""

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path

import features
import numpy as np
from _plan import (
    HERE,
    METHODS,
    N_SEEDS,
    NAMES,
    PLAN,
    RESULTS,
    planned,
    read_results,
    with_control,
)
from scipy.stats import t

from sk_cbloss import long_tailed_counts

OUT = HERE.parents[1] / "docs" / "results" / "cifar_lt"
PUBLISHED = json.loads((HERE / "published.json").read_text())
SHOTS = ("many", "medium", "few")
SHAPES = {"cifar10": (10, 5000), "cifar100": (100, 500)}  # classes, training images of the head
NONE = "\N{EN DASH}"


# ---------------------------------------------------------------------- results, in groups


def is_full(run, result):
    """Whether a run is of the paper's recipe."""
    if run.net != "resnet" or run.dataset not in SHAPES or (run.depth, run.epochs) != (32, 200):
        return False
    counts = long_tailed_counts(*SHAPES[run.dataset], imbalance_factor=run.imbalance_factor)
    return result["n_train"] == int(counts.sum())


def part_of(run, result):
    """Return in which part of the page a run has its place."""
    if run.net != "resnet":
        return "speedrun"
    return "full" if is_full(run, result) else "reduced"


def group_of(run, result):
    """Return what the runs of one table have in common."""
    part = part_of(run, result)
    size = (run.net, run.width, run.depth, run.epochs, result["n_train"])
    # Seconds of another machine, or beside other runs, are not the same.
    where = (result["device"], result.get("jobs", 1)) if part == "speedrun" else ()
    precision = run.autocast or "float32"
    return (part, run.dataset, float(run.imbalance_factor), size, where, precision)


def grouped(results):
    """Return for each group its results by method and seed."""
    groups = defaultdict(lambda: defaultdict(dict))
    for run, result in results.items():
        groups[group_of(run, result)][run.method][run.seed] = result
    return groups


def in_order(key):
    """Sort groups by name, the longest tail first."""
    _, dataset, imbalance_factor, *others = key
    return dataset, -imbalance_factor, others


def full_groups(groups, dataset, imbalance_factor):
    """Return the groups of the paper's recipe, the one with most runs first."""
    found = [
        methods
        for key, methods in groups.items()
        if key[:3] == ("full", dataset, imbalance_factor)
    ]
    return sorted(found, key=lambda methods: -sum(map(len, methods.values())))


def errors(by_seed):
    return np.array([result["test_error"] for result in by_seed.values()])


# ---------------------------------------------------------------------- tables


def table(key, methods):
    """Return the table of a group, and the commands that made it, as reStructuredText."""
    part, dataset, factor, (net, width, depth, epochs, n_train), where, precision = key
    results = [result for by_seed in methods.values() for result in by_seed.values()]
    devices = ", ".join(sorted({result["device"] for result in results}))
    title = f"{NAMES[dataset]}, imbalance factor {factor:g}"
    title += ", reduced size: not the paper's recipe" if part == "reduced" else ""
    name = f"ResNet-{depth}" if net == "resnet" else net
    name += "" if width == 1 else f", width {width:g}"
    title += f" ({name}, {epochs} epochs, {n_train} images, {precision}, {devices}"
    title += f", {where[1]} runs side by side)" if where and where[1] > 1 else ")"
    head = ("method", "test error, %", "seeds", *SHOTS)
    head += ("seconds a run",) if part == "speedrun" else ("published",)
    rows = [row(key, method, methods[method]) for method in METHODS if method in methods]
    return f"{as_table(head, rows, title)}\nMade by::\n\n" + "".join(
        f"    {line}\n" for line in commands(methods)
    )


def as_table(head, rows, title=""):
    """Return rows of text as a table in reStructuredText."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    rule = "  ".join("=" * width for width in widths)
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in (head, *rows)
    ]
    lines = [rule, lines[0], rule, *lines[1:], rule]
    return "\n".join([f".. table:: {title}".rstrip(), "", *(f"   {line}" for line in lines), ""])


def row(key, method, by_seed):
    """Return the cells of a method."""
    part, dataset, factor, *_ = key
    error = errors(by_seed)
    spread = f" ± {error.std(ddof=1):.2f}" if len(error) > 1 else ""
    shots = []
    for shot in SHOTS:
        recall = [result["shot_recall"][shot] for result in by_seed.values()]
        shots.append(NONE if None in recall else f"{100 * np.mean(recall):.1f}")
    cell = NONE
    if part == "speedrun":
        cell = f"{np.mean([result['seconds'] for result in by_seed.values()]):.1f}"
    elif part == "full" and method in published(dataset, factor):
        number, source = published(dataset, factor)[method]
        cell = f"{number:.2f}" + ("" if source == "paper" else f" [#{source}]_")
    return method, f"{error.mean():.2f}{spread}", str(len(error)), *shots, cell


def published(dataset, factor):
    return PUBLISHED["test_error"].get(dataset, {}).get(f"{factor:g}", {})


def commands(methods):
    """Return the commands of a group, those that differ in the seed alone as one."""
    seeds = defaultdict(list)
    for method in METHODS:
        for seed, result in methods.get(method, {}).items():
            seeds[result["command"].removesuffix(f" --seeds {seed}")].append(seed)
    return [f"{start} --seeds {' '.join(map(str, sorted(of)))}" for start, of in seeds.items()]


# ---------------------------------------------------------------------- frozen features


def features_table(results):
    """Return the table of the heads on frozen features, a row for each data set and head."""
    head = ("data set", "head", "test error, %", "every other", *SHOTS)
    rows = []
    for dataset in features.DATASETS:
        lines = [line["heads"] for (of, _), line in results.items() if of == dataset]
        for name, title in features.HEADS.items():
            found = [line[name] for line in lines]
            if found:
                rows.append((NAMES[dataset], title, *cells_of(found)))
    if not rows:
        return "None.\n"
    n_subsets = len({subset for _, subset in results})
    (n_test,) = {line["n_test"] for line in results.values()}
    title = (
        f"imbalance factor {features.IMBALANCE_FACTOR}, {n_subsets} "
        f"subset{'s' * (n_subsets > 1)} of the training images, {n_test:,} test images: mean and "
        "standard deviation; seconds of one CPU thread"
    )
    return as_table((*head, "C or shrinkage", "tau", "seconds"), rows, title)


def cells_of(found):
    """Return the cells of a head, given what was found with each subset."""

    def over_subsets(values, digits):
        if None in values:
            return NONE
        spread = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
        return f"{np.mean(values):.{digits}f}{spread}"

    def chosen(name):
        values = sorted({result[name] for result in found if name in result})
        return ", ".join(f"{value:g}" for value in values) or NONE

    errors = [over_subsets([result[key] for result in found], 2) for key in features.ERRORS]
    shots = []
    for shot in SHOTS:
        recall = [result["shot_recall"][shot] for result in found]
        shots.append(NONE if None in recall else f"{100 * np.mean(recall):.1f}")
    seconds = [result["seconds"] for result in found]
    return *errors, *shots, chosen("strength"), chosen("tau"), f"{np.mean(seconds):.0f}"


# ---------------------------------------------------------------------- targets


def paired_gain(groups):
    """Return how far cb_focal is below softmax, with its 95% interval, over the seeds of both."""
    for methods in full_groups(groups, "cifar10", 100):
        softmax, ours = methods.get("softmax", {}), methods.get("cb_focal", {})
        seeds = sorted(softmax.keys() & ours.keys())
        if len(seeds) < 2:
            continue
        gain = [softmax[seed]["test_error"] - ours[seed]["test_error"] for seed in seeds]
        mean = np.mean(gain)
        half = t.ppf(0.975, len(gain) - 1) * np.std(gain, ddof=1) / len(gain) ** 0.5
        text = f"{mean:.2f}, 95% interval {mean - half:.2f} to {mean + half:.2f}"
        return text, mean >= 2 and mean - half > 0, len(seeds)
    return None


def best_of(groups, dataset, imbalance_factor, limit):
    """Return the lowest mean error of any method, of those with all their seeds if there are."""
    for methods in full_groups(groups, dataset, imbalance_factor):
        whole = {m: by_seed for m, by_seed in methods.items() if len(by_seed) >= N_SEEDS}
        methods = whole or methods
        means = {method: errors(by_seed).mean() for method, by_seed in methods.items()}
        best = min(means, key=means.get)
        return f"{means[best]:.2f}, {best}", means[best] <= limit, len(methods[best])
    return None


def near(groups, dataset, imbalance_factor, method, value, within):
    """Return the mean error of a method."""
    for methods in full_groups(groups, dataset, imbalance_factor):
        if method in methods:
            mean = errors(methods[method]).mean()
            return f"{mean:.2f}", abs(mean - value) <= within, len(methods[method])
    return None


def control(groups):
    """Return how far the control in single precision is from the same run in half."""
    both = {
        key[-1]: methods["softmax"][0]["test_error"]
        for key, methods in groups.items()
        if key[:3] == ("full", "cifar10", 100) and 0 in methods.get("softmax", {})
    }
    if len(both) < 2:
        return NONE
    return ", ".join(f"{precision} {error:.2f}" for precision, error in sorted(both.items()))


def targets(groups):
    """Return each target with what was found, over how many seeds, and whether it is met."""
    found = [
        (
            "CIFAR-10-LT, imbalance factor 100: softmax minus cb_focal, paired by seed, at least "
            "2, its 95% interval above 0",
            paired_gain(groups),
            5,
        ),
        (
            "CIFAR-10-LT, imbalance factor 100: the lowest mean of all methods at most 23.0",
            best_of(groups, "cifar10", 100, 23.0),
            3,
        ),
        (
            "CIFAR-100-LT, imbalance factor 100: the lowest mean of all methods at most 58.0",
            best_of(groups, "cifar100", 100, 58.0),
            3,
        ),
        (
            "CIFAR-10-LT, imbalance factor 10: cb_sigmoid within a point of 12.5",
            near(groups, "cifar10", 10, "cb_sigmoid", 12.5, 1),
            3,
        ),
    ]
    rows = []
    for name, outcome, n_planned in found:
        if outcome is None:
            rows.append((name, NONE, "0", "not run yet"))
            continue
        text, is_met, n_seeds = outcome
        verdict = "met" if is_met else "missed"
        rows.append(
            (name, text, str(n_seeds), verdict + (" so far" if n_seeds < n_planned else ""))
        )
    return rows


# ---------------------------------------------------------------------- not run yet


def not_run(results):
    """Return what of the plan has no result, a line for each method."""
    done = {
        (run.dataset, float(run.imbalance_factor), run.method, run.seed, run.autocast is None)
        for run, result in results.items()
        if is_full(run, result)
    }
    missing = defaultdict(list)
    for run in with_control(planned(autocast="bfloat16")):
        is_control = run.autocast is None
        start = (run.dataset, float(run.imbalance_factor), run.method, run.seed)
        if (*start, is_control) in done or (not is_control and (*start, True) in done):
            continue
        name = f"{NAMES[run.dataset]}, imbalance factor {run.imbalance_factor:g}: {run.method}"
        missing[name + (" in single precision, as a control" if is_control else "")].append(
            run.seed
        )
    return [f"{name}, seeds {' '.join(map(str, seeds))}" for name, seeds in missing.items()]


# ---------------------------------------------------------------------- figure


def draw(groups, path):
    """Draw the test errors of the paper's recipe beside the published ones; False if none."""
    settings = [(*setting, full_groups(groups, *setting)) for setting in PLAN]
    settings = [(dataset, factor, found[0]) for dataset, factor, found in settings if found]
    if not settings:
        return False
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.6 * len(settings) + 1.2, 3.6), layout="constrained")
    axes = figure.subplots(1, len(settings), squeeze=False, sharey=True)
    names = [name for name in METHODS if any(name in methods for *_, methods in settings)]
    place = {name: i for i, name in enumerate(reversed(names))}
    for ax, (dataset, factor, methods) in zip(axes[0], settings, strict=True):
        known = {name: x for name, (x, _) in published(dataset, factor).items() if name in place}
        ax.plot(
            known.values(),
            [place[name] for name in known],
            "|",
            color="#8a8f98",
            ms=14,
            mew=2,
            label="published",
        )
        for name, by_seed in methods.items():
            error = errors(by_seed)
            ax.plot(error, [place[name]] * len(error), "o", color="#3b6fb6", ms=4, alpha=0.4)
            ax.plot(error.mean(), place[name], "o", color="#3b6fb6", ms=8)
        ax.plot([], [], "o", color="#3b6fb6", ms=8, label="ours: mean, and each seed")
        ax.set_title(f"{NAMES[dataset]}, imbalance factor {factor:g}", fontsize="medium")
        ax.set_xlabel("test error, %")
        ax.set_yticks(list(place.values()), list(place))
        ax.grid(axis="y", color="#e4e6ea")
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(left=False)
    axes[0][0].legend(frameon=False, loc="best")
    with rc_context({"svg.hashsalt": "cifar_lt"}):  # the same file for the same results
        figure.savefig(path, metadata={"Date": None})
    return True


# ---------------------------------------------------------------------- files


def with_footnotes(text):
    """Add the sources that the text refers to."""
    notes = [
        f".. [#{source}] {note}\n"
        for source, note in PUBLISHED["sources"].items()
        if f"[#{source}]_" in text
    ]
    return "\n".join([text, *notes]) if notes else text


def write(results, out):
    """Write all files; return the targets and what is not run yet."""
    out.mkdir(parents=True, exist_ok=True)
    groups = grouped(results)
    verdicts, missing = targets(groups), not_run(results)
    tables = {
        part: [table(key, groups[key]) for key in sorted(groups, key=in_order) if key[0] == part]
        for part in ("full", "reduced", "speedrun")
    }
    figure = "cifar_lt.svg"
    texts = {
        "targets": as_table(("target", "found", "seeds", "verdict"), verdicts)
        + f"\nControl, softmax of seed 0 in half and in single precision: {control(groups)}.\n",
        "full": with_footnotes("\n".join(tables["full"]))
        or "No run of the paper's recipe has been made yet.\n",
        "reduced": "\n".join(tables["reduced"]) or "None.\n",
        "speedrun": "\n".join(tables["speedrun"]) or "No speedrun has been made yet.\n",
        "not_run": "".join(f"- {line}\n" for line in missing) or "Nothing.\n",
        "figure": "",
    }
    if draw(groups, out / figure):
        texts["figure"] = (
            f".. image:: cifar_lt/{figure}\n"
            "   :alt: test error of each method, ours and published\n"
        )
    else:
        (out / figure).unlink(missing_ok=True)
    for name, text in texts.items():
        (out / f"{name}.inc").write_text(text)
    return verdicts, missing


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--features", type=Path, default=features.RESULTS, metavar="FILE")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER")
    args = parser.parse_args(arguments)
    verdicts, missing = write(read_results(args.results), args.out)
    of_features = features_table(features.read(args.features))
    (args.out / "features.inc").write_text(of_features)
    print((args.out / "speedrun.inc").read_text())
    for name, value, _, verdict in verdicts:
        print(f"{verdict:13}  {name}: {value}")
    print("\nNot run yet:", *(missing or ["nothing"]), sep="\n  ")


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"tables.py: {error}")
