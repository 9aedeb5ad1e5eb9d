"""DecisionClassifierCV beside what it took the place of, on the data sets of the study.

Run as `python benchmarks/decisions.py FOLDER`, with the folder and the packages that
`which_method/run.py` asks for; sets that are not there are left out. `--sets` and `--splits` do
less.

Of each set, five stratified splits, 70 % to train on. Logistic regression of one strength (C=3) is
fitted to five folds and to the whole training part, once for all: every rule is learned from the
same probabilities out of fold, decides by the same probabilities of the test part, and so differs
from the others by what it makes of them alone.

- Balanced accuracy: `DecisionClassifierCV(metric="balanced_accuracy")` against tau of a grid of
  nine from 0 to 2, the one with the best score out of fold, and against tau = 1.
- Macro-F1: `DecisionClassifierCV(metric="f1_macro")` against multipliers by coordinate ascent, the
  ones with the best score out of fold as they are, and against the plug-in rule of
  `which_method/run.py`, which macro-F1 had here before.

Scores are means of the test parts, in percent; beside them stands `expected_score_`. Differences
are in points, with 95 % intervals: of a set with the variance over splits after Nadeau and Bengio,
and of all sets with that over sets.
"""

import argparse
import os
import sys
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).with_name("which_method")))

import numpy as np
import run
import sets
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import StratifiedKFold, train_test_split

from sk_cbloss import (
    DecisionClassifierCV,
    MiscalibratedPriorWarning,
    paired_difference_interval,
)

STRENGTH, N_FOLDS, TEST_SIZE = 3, 5, 0.3
TAUS = np.linspace(0, 2, 9)
STEPS = np.linspace(-3, 3, 49)
OURS = "ours"
BEFORE = {
    "balanced_accuracy": ("tau of nine", "tau = 1"),
    "f1_macro": ("ascent", "plug-in rule"),
}


KINDS = {
    "natural": sets.NATURAL,
    "made": sets.MADE,
    "two classes": sets.BINARY,
    "all": sets.SETS,
}


class Known(ClassifierMixin, BaseEstimator):
    """A classifier whose probabilities are known; rows of X are their numbers."""

    def __init__(self, table):
        self.table = table

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return self.table[X[:, 0]]


def score(metric, y, decision):
    if metric == "f1_macro":
        return f1_score(y, decision, average="macro")
    return balanced_accuracy_score(y, decision)


def tau_of_nine(p, y):
    """Return multipliers by the tau that has the best balanced accuracy out of fold."""
    share = np.bincount(y) / len(y)
    reached = [balanced_accuracy_score(y, (p * share**-tau).argmax(axis=1)) for tau in TAUS]
    return share ** -TAUS[np.argmax(reached)]


def ascent(p, y, n_rounds=3):
    """Return multipliers, each in turn moved to where macro-F1 out of fold is largest."""
    z, true = np.log(p), np.bincount(y)
    best = score("f1_macro", y, z.argmax(axis=1))
    moved = np.zeros(len(true))
    for _ in range(n_rounds):
        before = best
        for c in np.argsort(-true, kind="stable"):
            now = z + moved
            now[:, c] = -np.inf
            other, highest = now.argmax(axis=1), now.max(axis=1)
            for step in STEPS:
                decision = np.where(z[:, c] + step > highest, c, other)
                hit = np.bincount(y[decision == y], minlength=len(true))
                reached = np.mean(2 * hit / (np.bincount(decision, minlength=len(true)) + true))
                if reached > best + 1e-12:
                    best, moved[c] = reached, step
        if best == before:
            break
    return np.exp(moved)


def one_split(name, folder, split):
    """Return for each metric what each rule reaches on the test part, and what ours expects."""
    data = sets.load(name, folder)
    train, test = train_test_split(
        np.arange(len(data.y)), test_size=TEST_SIZE, stratify=data.y, random_state=split
    )
    y, y_test = data.y[train], data.y[test]
    X, X_test = run.prepared("logistic", data, train, test)
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=split)
    folds = list(folds.split(y, y))
    p = np.empty((len(y), len(np.unique(y))))
    for some, rows in folds:
        model = run.logistic(STRENGTH, data, quick=False).fit(X[some], y[some])
        p[rows] = run.probabilities(model, X[rows])
    model = run.logistic(STRENGTH, data, quick=False).fit(X, y)
    p_test = run.probabilities(model, X_test)

    numbers = np.arange(len(y) + len(y_test))[:, None]
    known = FrozenEstimator(Known(np.concatenate([p, p_test])).fit(numbers, data.y))
    share = np.bincount(y) / len(y)
    decided = {
        "balanced_accuracy": (p_test * tau_of_nine(p, y), p_test / share),
        "f1_macro": (p_test * ascent(p, y), run.macro_f1_rule(p, y)),
    }
    found = {}
    for metric, (first, second) in decided.items():
        ours = DecisionClassifierCV(known, metric=metric, cv=folds).fit(numbers[: len(y)], y)
        decisions = {
            OURS: ours.predict(numbers[len(y) :]),
            BEFORE[metric][0]: first.argmax(axis=1),
            BEFORE[metric][1]: second.decide(p_test)
            if metric == "f1_macro"
            else second.argmax(axis=1),
        }
        reached = {rule: score(metric, y_test, each) for rule, each in decisions.items()}
        found[metric] = reached | {"expected": ours.expected_score_}
    return found


def difference(ours, other, share):
    """Return a mean difference in points, and between which limits it lies."""
    found = paired_difference_interval(ours, other, n_train=1, n_test=share)
    mean, low, high = (100 * each for each in found[:3])
    return f"{mean:+8.2f} ({low:+6.2f} to {high:+6.2f})"


def show(metric, scores):
    """Print a table: scores by rule, each of shape (n_sets, n_splits), by name of the set."""
    before = BEFORE[metric]
    print(f"{metric}, %{'ours':>{29 - len(metric)}}  expected", end="")
    print("".join(f"{'less ' + rule:>27}" for rule in before))
    share = TEST_SIZE / (1 - TEST_SIZE)
    for name, of_set in scores.items():
        ours, expected = of_set[OURS], np.mean(of_set["expected"])
        print(f"{name:24}{100 * np.mean(ours):8.2f}{100 * expected:10.2f}", end="")
        print("".join(difference(ours, of_set[rule], share) for rule in before))
    for kind, of_kind in KINDS.items():
        means = [
            {rule: np.mean(of_set[rule]) for rule in (OURS, *before, "expected")}
            for name, of_set in scores.items()
            if name in of_kind
        ]
        if len(means) < 2:
            continue
        means = {rule: np.array([each[rule] for each in means]) for rule in means[0]}
        ours, expected = means[OURS], means["expected"]
        title = f"mean of {len(ours)}, {kind}"
        print(f"{title:24}{100 * ours.mean():8.2f}{100 * expected.mean():10.2f}", end="")
        # Sets have no rows in common.
        print("".join(difference(ours, means[rule], 1e-12) for rule in before))
        print(f"{'  expected less ours':42}{difference(expected, ours, 1e-12)}")
    print()


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="holds .npz files")
    parser.add_argument("--sets", nargs="+", choices=sets.SETS, help="these alone")
    parser.add_argument("--splits", type=int, default=5)
    arguments = parser.parse_args(arguments)
    if arguments.splits < 2:
        parser.error(f"--splits must be at least 2, got {arguments.splits}")
    warnings.simplefilter("ignore", ConvergenceWarning)  # as in the study: steps are the same
    warnings.simplefilter("ignore", MiscalibratedPriorWarning)  # and so are probabilities
    names = arguments.sets or sets.available(arguments.folder)
    splits = range(arguments.splits)
    found = {name: [one_split(name, arguments.folder, s) for s in splits] for name in names}

    for metric, before in BEFORE.items():
        show(
            metric,
            {
                name: {
                    rule: [each[metric][rule] for each in runs]
                    for rule in (OURS, *before, "expected")
                }
                for name, runs in found.items()
            },
        )


if __name__ == "__main__":
    main()
