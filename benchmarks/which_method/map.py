"""Which method where: ten ways to treat a long tail, over a map of tails.

Run as `python benchmarks/which_method/map.py FOLDER`: appends a JSON line a run (a cell, a draw,
arms that share fits) to `map.jsonl` beside this script, which `map_tables.py` turns into a rule,
its regret and a figure. FOLDER is that of `run.py`; the same packages carry the rest. What is
there already is not run again, and all cells of a draw come before the next draw: a run that was
cut off, by `--minutes` or otherwise, covers the whole map with fewer draws. `--quick` sees that it
all works: a few cells, smaller models.

Declared before the run:

- A cell is a source (`sources.py`), the rows of its largest class (100 to 100,000), the imbalance
  (1 to 10,000, the smallest class having six rows or more), a share of wrong labels (0, 5 or
  20 %), and a model. PLACES has the first three; places in NOISY are run with all shares, the
  others without any. The tail is exponential, from the source's most frequent class to its rarest.
- Ten draws a cell. A draw takes the test part first, 300 rows a class or a fifth of it where that
  is fewer, and then the tail from what is left. Wrong labels are symmetric (any other class, all
  alike), in the training part alone; every arm sees the counts that they leave. Where the tail is
  steep they outnumber the right ones in small classes: that is what symmetric noise does there.
- Models: logistic regression and gradient boosting with three strengths of regularisation, and a
  net without any, that is to learn its training rows by heart: until its loss on them is MIN_LOSS,
  or for STEPS steps, and what it then still gets wrong of them is in the results. Nets are run at
  places of at most MAX_NET rows. Features are scaled, and codes are one-hot but for boosting.
- Arms: plain; inverse frequency; class-balanced weights, with three N = 1 / (1 - beta) from half
  the smallest class to infinity, of which those below infinity are tried at the strength that
  inverse frequency chose (so it has more fits); both plain and class-balanced with the logits
  adjusted afterwards, by one of nine tau; a decision rule (DecisionClassifierCV for balanced
  accuracy, on plain's probabilities at the strength that adjusted chose); SMOTE; random
  undersampling; and, whatever the model, a balanced random forest and an EasyEnsemble as
  imbalanced-learn has them.
- An arm takes of its candidates the one with the best balanced accuracy out of three inner folds,
  pooled, on the labels as they are, and is then fitted to the whole part. What is adjusted, or
  decided by a rule, uses the probabilities out of the same folds. Samplers see a fold's training
  part only. SMOTE takes five neighbours, or as many as the smallest class has, and leaves codes
  codes (SMOTENC); where it would make more than MAX_MADE rows, it is left out.
- Measured on the test part: balanced accuracy; macro-F1, the worst class, and the mean recall of
  the head's and of the tail's third of the classes. Seconds are of the processor, for what an arm
  does not share with those before it.
- Half of the sources (HALVES) give a rule of at most four questions, by `map_tables.py`; the other
  half tells its regret. The goal is one point of balanced accuracy.
"""

import argparse
import os
import platform
import sys
import time
import warnings
from functools import partial
from itertools import product
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # runs go side by side

import lines
import numpy as np
import run
import sources
import torch
from imblearn.ensemble import BalancedRandomForestClassifier, EasyEnsembleClassifier
from imblearn.over_sampling import SMOTE, SMOTENC
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, recall_score
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch.callbacks import Callback

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    DecisionClassifierCV,
    beta_grid,
    class_balanced_weight,
    long_tailed_counts,
)

N_DRAWS, N_FOLDS = 10, 3
NOISES = 0, 0.05, 0.2
STEPS, BATCH, MIN_LOSS = 6_000, 128, 0.01
MAX_NET, MAX_MADE = 8_000, 100_000
TAUS = tuple((np.arange(9) / 4).tolist())
RESULTS = Path(__file__).with_name("map.jsonl")
PACKAGES = (*run.PACKAGES, *run.DATA_PACKAGES)

# The rows of the largest class, and how many times those of the smallest they are.
PLACES = {
    "digits": ((100, 1), (100, 10)),
    "letter": ((500, 10), (600, 100)),
    "satimage": ((1_000, 10), (1_000, 100)),
    "flights_carrier": ((1_000, 100), (10_000, 1_000)),
    "flights_airport": ((1_000, 1), (10_000, 100), (100_000, 1_000)),
    "flights_delay": ((1_000, 10), (10_000, 1_000), (100_000, 100), (100_000, 10_000)),
    "penbased": ((100, 10), (800, 1), (800, 100)),
    "texture": ((100, 1), (300, 30)),
    "mnist": ((300, 10),),
    "kr_vs_k": ((1_000, 10), (3_000, 100)),
    "fars": ((1_000, 10), (10_000, 100), (30_000, 1_000)),
    "made": ((1_000, 100), (10_000, 1_000)),
    "made_hard": ((10_000, 10), (100_000, 100), (100_000, 10_000)),
}
NOISY = {
    ("digits", 100, 10),
    ("satimage", 1_000, 100),
    ("flights_carrier", 1_000, 100),
    ("flights_airport", 10_000, 100),
    ("flights_delay", 10_000, 1_000),
    ("penbased", 100, 10),
    ("texture", 300, 30),
    ("kr_vs_k", 1_000, 10),
    ("fars", 10_000, 100),
    ("made", 10_000, 1_000),
}


class Cell(NamedTuple):
    source: str
    n_max: int
    imbalance: int
    noise: float
    model: str


# ---------------------------------------------------------------------- models


def logistic(strength, codes, quick):
    return LogisticRegression(C=strength, max_iter=30 if quick else 100, tol=1e-3)


def boosting(strength, codes, quick):
    max_leaf_nodes, l2 = strength
    return HistGradientBoostingClassifier(
        max_iter=5 if quick else 30,
        learning_rate=0.2,
        max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=5,
        l2_regularization=l2,
        categorical_features=codes,
        early_stopping=False,
        random_state=0,
    )


class Until(Callback):
    """Stops once the training rows are known by heart."""

    def on_epoch_end(self, net, **kwargs):
        if net.history[-1, "train_loss"] < MIN_LOSS:
            raise KeyboardInterrupt


def net(n_epochs, quick):
    return CBNeuralNetClassifier(
        module__hidden_units=(128, 128),
        batch_size=BATCH,
        callbacks=[Until()],
        max_epochs=3 if quick else n_epochs,
        random_state=0,
        device="cpu",
    )


MODELS = {  # with what to try, from strong to weak
    "logistic": (logistic, (0.03, 1, 30)),
    "boosting": (boosting, ((3, 30), (6, 10), (12, 1))),
    "net": (net, (None,)),  # nothing
}
ENSEMBLES = {
    "balanced_forest": (BalancedRandomForestClassifier, 100),
    "easy_ensemble": (EasyEnsembleClassifier, 10),
}
GROUPS = {  # arms that share fits, by the first of them
    "plain": ("plain", "adjusted", "decision"),
    "inverse": ("inverse", "class_balanced", "class_balanced_adjusted"),
    "smote": ("smote",),
    "undersampled": ("undersampled",),
    "ensemble": tuple(ENSEMBLES),
}


# ---------------------------------------------------------------------- arms


class AsGiven(ClassifierMixin, BaseEstimator):
    """A classifier whose features are the probabilities already."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return X


def decision_rule(trial, y, folds):
    """Return the decision for balanced accuracy that fits a trial's probabilities out of fold."""
    given = FrozenEstimator(AsGiven().fit(trial.p, y))
    return DecisionClassifierCV(given, metric="balanced_accuracy", cv=folds).fit(trial.p, y)


class Trial(NamedTuple):
    """A candidate (a strength, a beta, a sampler), and how it did out of fold."""

    candidate: tuple
    p: np.ndarray  # probabilities out of fold
    tau: float = 0


class Contest:
    """The arms at a cell, on one draw."""

    def __init__(self, cell, folder, seed, *, quick=False):
        self.cell, self.seed, self.quick = cell, seed, quick
        X, y, self.codes = sources.load(cell.source, folder)
        train, test = sources.draw(cell.source, folder, seed, cell.n_max, cell.imbalance)
        self.X, self.X_test = (X[rows].astype(np.float32) for rows in (train, test))
        numbers = np.setdiff1d(np.arange(X.shape[1]), self.codes)
        scale = StandardScaler().fit(self.X[:, numbers])
        for part in (self.X, self.X_test):
            part[:, numbers] = scale.transform(part[:, numbers])
        self.y, self.y_test = with_noise(y[train], cell.noise, seed), y[test]
        self.count = np.bincount(self.y)
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=seed)
        self.folds = list(folds.split(self.y, self.y))
        encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False, dtype=np.float32)
        self.encode = make_column_transformer((encode, self.codes), remainder="passthrough")
        self.encode.fit(self.X)
        self.samples, self.tried, self.fitted = {}, {}, {}

    # What a model takes, and gives.

    def taken(self, X):
        if self.cell.model == "boosting" or not self.codes:
            return X
        return self.encode.transform(X)

    def fit(self, candidate, rows):
        strength, beta, sampler = candidate
        X, y = self.sampled(sampler, rows)
        if self.cell.model == "net":  # not regularised: as many epochs as make so many steps
            model = net(max(1, STEPS // -(-len(y) // BATCH)), self.quick).set_params(beta=beta)
        else:
            model = MODELS[self.cell.model][0](strength, self.codes, self.quick)
            model = ClassBalancedClassifier(model, beta=beta) if beta else model
        return model.fit(self.taken(X), y)

    def sampled(self, sampler, rows):
        """Return rows, or what a sampler makes of them, once for all strengths."""
        key = sampler, rows.tobytes()
        if sampler is None:
            return self.X[rows], self.y[rows]
        if key not in self.samples:
            sampler = self.sampler(sampler, np.bincount(self.y[rows]).min())
            self.samples[key] = sampler.fit_resample(self.X[rows], self.y[rows])
        return self.samples[key]

    def sampler(self, name, n_min):
        if name == "undersampled":
            return RandomUnderSampler(random_state=self.seed)
        given = {"k_neighbors": min(5, n_min - 1), "random_state": self.seed}
        return SMOTENC(self.codes, **given) if self.codes else SMOTE(**given)

    def out_of_fold(self, candidate):
        """Return a candidate's trial; no candidate is tried twice."""
        if candidate not in self.tried:
            p = np.empty((len(self.y), len(self.count)))
            for train, rows in self.folds:
                p[rows] = run.probabilities(self.fit(candidate, train), self.taken(self.X[rows]))
            self.tried[candidate] = Trial(candidate, p)
        return self.tried[candidate]

    def final(self, candidate):
        if candidate not in self.fitted:
            self.fitted[candidate] = self.fit(candidate, np.arange(len(self.y)))
        return self.fitted[candidate]

    # Arms.

    def trials(self, name):
        """Return the trials of an arm."""
        sampler = name if name in ("smote", "undersampled") else None
        beta = 1 if name in GROUPS["inverse"] else 0
        strengths = MODELS[self.cell.model][1]
        trials = [self.out_of_fold((strength, beta, sampler)) for strength in strengths]
        if name.startswith("class_balanced"):
            strength = self.best(trials).candidate[0]
            betas = beta_grid(self.count, n_betas=3)[:2].tolist()
            trials += [self.out_of_fold((strength, beta, None)) for beta in betas]
        if name.endswith("adjusted") or name == "decision":
            return [trial._replace(tau=tau) for trial in trials for tau in TAUS]
        return trials

    def decide(self, trial, p, count):
        _, beta, _ = trial.candidate
        prior = count * class_balanced_weight(count, beta=beta)
        return run.adjusted(p, prior / prior.sum(), trial.tau).argmax(axis=1)

    def score(self, trial):
        """Return the balanced accuracy out of fold; each fold has its own counts."""
        decided = np.empty_like(self.y)
        for train, rows in self.folds:
            decided[rows] = self.decide(trial, trial.p[rows], np.bincount(self.y[train]))
        return balanced_accuracy_score(self.y, decided)

    def best(self, trials):
        return max(trials, key=self.score)

    def arm(self, name):
        """Return what an arm reaches."""
        start = time.process_time()
        if name in ENSEMBLES:
            build, n_estimators = ENSEMBLES[name]
            model = build(3 if self.quick else n_estimators, random_state=self.seed)
            model.fit(self.taken(self.X), self.y)
            return self.measured(model.predict(self.taken(self.X_test)), start)
        chosen = self.best(self.trials(name))
        model = self.final(chosen.candidate)
        p = run.probabilities(model, self.taken(self.X_test))
        if name == "decision":
            decided = decision_rule(chosen, self.y, self.folds).predict(p)
        else:
            decided = self.decide(chosen, p, self.count)
        found = self.measured(decided, start)
        strength, beta, _ = chosen.candidate
        found |= {"strength": strength, "beta": beta, "tau": chosen.tau}
        if self.cell.model == "net":
            X, y = self.sampled(chosen.candidate[-1], np.arange(len(self.y)))
            wrong = model.predict(self.taken(X)) != y
            found["train_error"] = round(float(wrong.mean()), 4)
        return found

    def measured(self, decided, start):
        recall = recall_score(self.y_test, decided, average=None)
        third = -(-len(recall) // 3)
        found = {
            "balanced_accuracy": recall.mean(),
            "macro_f1": f1_score(self.y_test, decided, average="macro"),
            "worst": recall.min(),
            "head": recall[:third].mean(),
            "tail": recall[-third:].mean(),
        }
        found = {name: round(float(value), 4) for name, value in found.items()}
        return found | {"seconds": round(time.process_time() - start, 2)}


def with_noise(y, noise, seed):
    """Give a share of the labels another class, all others alike."""
    rng = np.random.default_rng([seed, 1])
    wrong = rng.random(len(y)) < noise
    other = rng.integers(1, y.max() + 1, len(y))
    return np.where(wrong, (y + other) % (y.max() + 1), y)


def run_group(cell, group, draw, quick, folder=None, versions=None):
    """Return a line of results."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)  # 100 steps are the same for every arm
    contest = Contest(cell, folder, draw, quick=quick)
    return cell._asdict() | {
        "group": group,
        "draw": draw,
        "quick": quick,
        "n_train": len(contest.y),
        "n_classes": len(contest.count),
        "class_count": [int(contest.count.max()), int(contest.count.min())],
        "arms": {arm: contest.arm(arm) for arm in GROUPS[group]},
        "versions": versions,
    }


# ---------------------------------------------------------------------- all of it


def cells():
    """Return the map: all models at a place, and the ensembles that all of them share."""
    found = []
    for source, places in PLACES.items():
        n_classes = sources.SOURCES[source][1]
        for n_max, imbalance in places:
            n_rows = long_tailed_counts(n_classes, n_max, imbalance_factor=imbalance).sum()
            models = [name for name in MODELS if name != "net" or n_rows <= MAX_NET]
            noises = NOISES if (source, n_max, imbalance) in NOISY else NOISES[:1]
            found += [
                Cell(source, n_max, imbalance, noise, model)
                for noise, model in product(noises, [*models, "ensemble"])
            ]
    return found


def groups(cell):
    """Return the groups of arms that are run at a cell."""
    if cell.model == "ensemble":
        return ["ensemble"]
    found = [group for group in GROUPS if group != "ensemble"]
    if cell.n_max * sources.SOURCES[cell.source][1] > MAX_MADE:
        found.remove("smote")
    return found


def key(line):
    cell = Cell(*(line[name] for name in Cell._fields))
    return cell, line["group"], line["draw"], line["quick"]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    lines.add_arguments(parser, RESULTS, N_DRAWS)
    parser.add_argument("--sources", nargs="+", choices=PLACES, help="these alone")
    arguments = lines.parsed(parser, arguments, RESULTS, N_DRAWS)
    folder, quick = arguments.folder, arguments.quick

    names = arguments.sources or (["digits", "made"] if quick else sources.available(folder))
    places = [cell for cell in cells() if cell.source in names]
    if quick:
        small = [cell for cell in places if cell.n_max <= 1_000 and cell.noise == 0]
        places = [cell for cell in small if cell.imbalance > 1]
    versions = run.installed(PACKAGES) | {"python": platform.python_version()}
    lines.go_on(
        arguments.results,
        partial(run_group, folder=folder, versions=versions),
        [
            (cell, group, draw, quick)
            for draw, cell in product(range(arguments.draws), places)
            for group in groups(cell)
        ],
        key,
        n_jobs=arguments.jobs,
        minutes=arguments.minutes,
    )


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"map.py: {error}")
