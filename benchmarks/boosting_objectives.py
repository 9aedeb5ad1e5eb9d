"""Objectives of gradient boosting that know how frequent classes are, beside weights.

Run as `python benchmarks/boosting_objectives.py`. LightGBM, 100 rounds, five draws of each data
set: balanced accuracy in percent, mean and standard deviation over the draws. Nothing is tuned.

The objectives are written here, by their gradients and second derivatives: logit-adjusted, the
cross entropy of the scores plus the logarithms of the classes' frequencies, which decides by the
scores alone; and focal, that of a softmax (gamma 1) with class-balanced weights (beta 1), whose
second derivatives are those of a weighted cross entropy, so that they are positive.
"""

import argparse
from importlib.metadata import version

import numpy as np
from lightgbm import LGBMClassifier
from scipy.special import log_softmax, softmax
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from sk_cbloss import (
    ClassBalancedClassifier,
    LogitAdjustedClassifier,
    class_balanced_sample_weight,
    load_digits_lt,
    make_long_tailed_classification,
)

N_DRAWS, N_ROUNDS, GAMMA = 5, 100, 1.0


def cross_entropy(scores, y, weight=1.0):
    """Return gradients and second derivatives by the scores, as LightGBM's own has them."""
    n_classes = scores.shape[1]
    p = softmax(scores, axis=1)
    hessian = p * (1 - p) * (n_classes / (n_classes - 1))
    return weight * (p - np.eye(n_classes)[y]), weight * np.maximum(hessian, 1e-6)


def logit_adjusted(y_train):
    """Return an objective that tells the softmax how frequent classes are."""
    prior = np.log(np.bincount(y_train) / len(y_train))
    return lambda y, scores: cross_entropy(scores + prior, y.astype(int))


def focal(y_train):
    """Return the class-balanced focal objective over a softmax."""
    weight = class_balanced_sample_weight(y_train, beta=1)

    def objective(y, scores):
        y = y.astype(int)
        log_p = log_softmax(scores, axis=1)[np.arange(len(y)), y]
        p = np.exp(log_p)
        focus = (1 - p) ** GAMMA - GAMMA * p * (1 - p) ** (GAMMA - 1) * log_p
        return cross_entropy(scores, y, (weight * focus)[:, None])

    return objective


def booster(**parameters):
    return LGBMClassifier(n_estimators=N_ROUNDS, n_jobs=1, verbose=-1, **parameters)


def by_objective(make):
    """Return a function that trains with an objective and predicts by its scores."""

    def predict(X, y, X_test):
        # Of an objective of one's own, LightGBM returns the scores for probabilities.
        model = booster(objective=make(y)).fit(X, y)
        return model.predict(X_test, raw_score=True).argmax(axis=1)

    return predict


METHODS = {
    "plain": lambda X, y, X_test: booster().fit(X, y).predict(X_test),
    "weights, beta 1": lambda X, y, X_test: (
        ClassBalancedClassifier(booster(), beta=1).fit(X, y).predict(X_test)
    ),
    "LogitAdjustedClassifier": lambda X, y, X_test: (
        LogitAdjustedClassifier(booster()).fit(X, y).predict(X_test)
    ),
    "logit-adjusted objective": by_objective(logit_adjusted),
    "focal objective, beta 1": by_objective(focal),
}


def digits(seed):
    of = {"imbalance_factor": 50, "random_state": seed, "return_X_y": True}
    (X, y), (X_test, y_test) = load_digits_lt(**of), load_digits_lt("test", **of)
    return X, X_test, y, y_test


def made(n_classes):
    def draw(seed):
        X, y = make_long_tailed_classification(4000, n_classes=n_classes, random_state=seed)
        return train_test_split(X, y, test_size=0.5, stratify=y, random_state=seed)

    return draw


SETS = {"digits_lt": digits, "4 made classes": made(4), "8 made classes": made(8)}


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=N_DRAWS)
    arguments = parser.parse_args(arguments)
    found = {name: {method: [] for method in METHODS} for name in SETS}
    for name, draw in SETS.items():
        for seed in range(arguments.draws):
            X, X_test, y, y_test = draw(seed)
            for method, predict in METHODS.items():
                score = balanced_accuracy_score(y_test, predict(X, y, X_test))
                found[name][method].append(100 * score)
    print(f"lightgbm {version('lightgbm')}, scikit-learn {version('scikit-learn')}")
    print(f"{'balanced accuracy, %':26}", *(f"{name:>16}" for name in SETS))
    for method in METHODS:
        cells = [f"{np.mean(of[method]):.1f} ± {np.std(of[method]):.1f}" for of in found.values()]
        print(f"{method:26}", *(f"{cell:>16}" for cell in cells))


if __name__ == "__main__":
    main()
