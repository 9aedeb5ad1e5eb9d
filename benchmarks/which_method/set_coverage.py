"""Do prediction sets keep their coverage in the tail? On real data, with three models.

Run as `python benchmarks/which_method/set_coverage.py FOLDER`: appends a JSON line a run (a data
set, a split, a model) to `set_coverage.jsonl` beside this script, which `set_coverage_tables.py`
turns into tables. FOLDER and packages are those of `run.py`; what is there already is not run
again. `--quick` sees that it all works: one set, one split, smaller models.

Declared before the run:

- The sets of the study of methods that have more than two classes, prepared as there, and the
  150 intents of one of them; ten stratified splits, 70 % to train on.
- Models are those of the study, without weights, at one strength of regularisation (STRENGTHS).
- ConformalClassifierCV, five folds, nominal coverage of 90 %, fitted once for all METHODS.
- Measured on the test part: coverage of all rows, the mean of the classes', and that of the rows
  of classes with few (below 20), some, and many (above 100) training rows; the mean number of
  labels in a set, of the same.
- Goals: few-shot coverage of .85 or more on every set, by the prevalence-adjusted score, pooled
  over splits; and where there are 80 classes or more, .6 of the labels that class-wise thresholds
  take, or fewer.
"""

import argparse
import platform
import sys
import time
import warnings
from functools import partial
from itertools import product
from pathlib import Path

import lines
import numpy as np
import run
import sets
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import StratifiedKFold, train_test_split

from sk_cbloss import ConformalClassifierCV

CONFIDENCE, N_FOLDS = 0.9, 5
METHODS = "plain", "prevalence_adjusted", "classwise", "interpolated"
STRENGTHS = {"logistic": 3, "boosting": (6, 30), "net": 0.03}
SETS = (*sets.NATURAL, *sets.MADE, *sets.MORE)
GROUPS = "few", "medium", "many"
RESULTS = Path(__file__).with_name("set_coverage.jsonl")


def measured(predicted_sets, y, count):
    """Return the coverage and size of sets; of groups, the rows, how many are covered, and labels.

    `count` is that of the training rows of each class.
    """
    covered = predicted_sets[np.arange(len(y)), y]
    size = predicted_sets.sum(axis=1)
    by_class = np.bincount(y, covered) / np.bincount(y)
    found = {
        "coverage": round(float(covered.mean()), 5),
        "macro_coverage": round(float(by_class.mean()), 5),
        "size": round(float(size.mean()), 4),
    }
    group = np.digitize(count, [20, 101])[y]
    for i, name in enumerate(GROUPS):
        of = covered[group == i], size[group == i]
        found[name] = [len(of[0]), int(of[0].sum()), int(of[1].sum())]
    return found


def run_one(name, split, model, quick, folder=None, versions=None):
    """Return a line of results."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)
    data = sets.load(name, folder)
    train, test = train_test_split(
        np.arange(len(data.y)), test_size=run.TEST_SIZE, stratify=data.y, random_state=split
    )
    X, X_test = run.prepared(model, data, train, test)
    if model == "net":
        X, X_test = X.astype(np.float32), X_test.astype(np.float32)
    build, _ = run.MODELS[model]
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=split)
    fitted = ConformalClassifierCV(
        build(STRENGTHS[model], data, quick), confidence=CONFIDENCE, cv=folds
    )
    start = time.process_time()
    fitted.fit(X, data.y[train])
    seconds = time.process_time() - start
    count = np.bincount(data.y[train])
    return {
        "set": name,
        "split": split,
        "model": model,
        "quick": quick,
        "n_train": len(train),
        "n_classes": len(count),
        "accuracy": round(float((fitted.predict(X_test) == data.y[test]).mean()), 5),
        "seconds": round(seconds, 2),
        "methods": {
            method: measured(
                fitted.set_params(method=method).predict_set(X_test), data.y[test], count
            )
            for method in METHODS
        },
        "versions": versions,
    }


def key(line):
    return line["set"], line["split"], line["model"], line["quick"]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    lines.add_arguments(parser, RESULTS, run.N_SPLITS)
    parser.add_argument("--sets", nargs="+", choices=SETS, help="these alone")
    arguments = lines.parsed(parser, arguments, RESULTS, run.N_SPLITS)
    folder, quick = arguments.folder, arguments.quick
    names = arguments.sets or (["digits"] if quick else sets.available(folder, SETS))
    packages = run.PACKAGES + run.DATA_PACKAGES
    versions = run.installed(packages) | {"python": platform.python_version()}
    lines.go_on(
        arguments.results,
        partial(run_one, folder=folder, versions=versions),
        [
            (name, split, model, quick)
            for split, name, model in product(range(arguments.draws), names, run.MODELS)
        ],
        key,
        n_jobs=arguments.jobs,
        minutes=arguments.minutes,
    )


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"set_coverage.py: {error}")
