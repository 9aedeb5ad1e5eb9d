"""
Honest probabilities: calibration of a weighted model
=====================================================

A model that is trained with class weights speaks of a world in which rare classes are as frequent
as their weights make them. Its decisions may be what you want; its probabilities are not, where
risks are priced or positives counted. Here is the way back, and the question to ask first: how
frequent are the classes where the model will be used?
"""

# %%
# A model, weighted
# -----------------
# Three classes, the rarest with one sample in a hundred. One test part has the natural
# frequencies, a second one is balanced.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibrationDisplay
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from sk_cbloss import (
    ClassBalancedClassifier,
    PriorCorrectedClassifier,
    make_long_tailed,
    make_long_tailed_classification,
)

X, y = make_long_tailed_classification(
    40_000,
    n_classes=3,
    imbalance_factor=80,
    n_features=3,
    n_informative=3,
    n_redundant=0,
    n_clusters_per_class=1,
    class_sep=0.8,
    random_state=0,
)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.5, stratify=y, random_state=0
)
X_even, y_even = make_long_tailed(X_test, y_test, imbalance_factor=1, random_state=0)

plain = make_pipeline(StandardScaler(), PolynomialFeatures(2), LogisticRegression(max_iter=500))
weighted = ClassBalancedClassifier(plain, beta=1).fit(X_train, y_train)
p_rarest = weighted.predict_proba(X_test)[:, 2]
print("classes in training:", np.bincount(y_train))
print("rarest class, share of the test part:", round((y_test == 2).mean(), 3))
print("mean probability given to it:        ", p_rarest.mean().round(3))

# %%
# The way back
# ------------
# The weights are divided out: once for classes as frequent as in training, once for classes that
# are all alike. ``fit`` fits the model again, as in scikit-learn's other wrappers; one that must
# not be goes into a FrozenEstimator.
models = {"as trained, weighted": weighted}
for target in ("natural", "uniform"):
    corrected = PriorCorrectedClassifier(weighted, target_prior=target)
    models[f"corrected, {target}"] = corrected.fit(X_train, y_train)
models["never weighted"] = plain.fit(X_train, y_train)

# %%
# What comes of it
# ----------------
# Log loss asks for honest probabilities. On the natural test part the natural target is right, and
# on the balanced one the uniform target; each is wrong on the other. Weights of inverse frequency
# aim at the balanced world by themselves, so there the correction has nothing left to do.
print(f"{'':24}{'natural test part':>19}{'balanced test part':>21}")
print(f"{'':24}{'log loss':>19}{'log loss':>12}{'bal. acc.':>9}")
for name, model in models.items():
    natural = log_loss(y_test, model.predict_proba(X_test))
    even = log_loss(y_even, model.predict_proba(X_even))
    accuracy = balanced_accuracy_score(y_even, model.predict(X_even))
    print(f"{name:24}{natural:19.3f}{even:12.3f}{accuracy:9.3f}")

# %%
# Calibration curves of the rarest class tell the same: of the samples to which a model gives a
# probability of 0.3, three in ten should be of the class. (With weights of inverse frequency, the
# model as trained and the one corrected to the uniform target are one line.)
figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), sharey=True, layout="constrained")
parts = {"natural test part": (X_test, y_test), "balanced test part": (X_even, y_even)}
for axis, (part, (features, labels)) in zip(axes, parts.items(), strict=True):
    for (name, model), marker in zip(models.items(), "osv^", strict=True):
        CalibrationDisplay.from_predictions(
            labels == 2,
            model.predict_proba(features)[:, 2],
            n_bins=6,
            name=name,
            ax=axis,
            marker=marker,
        )
    axis.set(
        title=part, xlabel="mean probability of the rarest class", ylabel="share that is of it"
    )
axes[0].get_legend().remove()
plt.show()

# %%
# Two more targets can be asked for: frequencies that you know, ``target_prior=[0.5, 0.3, 0.2]``,
# and, with ``target_prior="estimate"``, those of samples whose labels nobody knows.
numbers = enumerate((150, 100, 150))
somewhere = np.concatenate([np.flatnonzero(y_test == c)[:n] for c, n in numbers])
adapted = PriorCorrectedClassifier(weighted, target_prior="estimate").fit(X_train, y_train)
adapted.estimate_prior(X_test[somewhere])
print("frequencies there:", np.round(np.bincount(y_test[somewhere]) / len(somewhere), 2))
print("estimated:        ", adapted.target_prior_.round(2))
