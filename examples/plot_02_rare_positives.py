"""
Two classes, one rare: ranking and thresholds
=============================================

As in fraud detection, few samples are positive, and the questions are how well they are ranked and
where to draw the line. The data are scikit-learn's breast cancer set with 20 malignant samples
left in training among 200 benign ones, and with only the four means that do not measure size; the
test part keeps its natural share.
"""

# %%
# The data
# --------
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    confusion_matrix,
    precision_recall_curve,
    precision_score,
    recall_score,
)
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_cbloss import ClassBalancedClassifier, beta_grid, make_long_tailed

cancer = load_breast_cancer()
columns = ["mean texture", "mean smoothness", "mean symmetry", "mean fractal dimension"]
X = cancer.data[:, [list(cancer.feature_names).index(name) for name in columns]]
y = (cancer.target == 0).astype(int)  # 1: malignant
X_train, X_test, y_train, y_test = train_test_split(
    X, y, test_size=0.4, stratify=y, random_state=0
)
X_train, y_train = make_long_tailed(
    X_train, y_train, imbalance_factor=10, n_max=200, random_state=0
)
for part, labels in (("training", y_train), ("test", y_test)):
    print(f"{part}: {labels.sum()} malignant of {len(labels)}")

# %%
# Two questions, one search
# -------------------------
# Average precision asks how well samples are ranked; balanced accuracy asks for the decision.
# Weights move the decision of a linear model far more than its ranking, and the search shows it.
model = make_pipeline(StandardScaler(), ClassBalancedClassifier(LogisticRegression(max_iter=1000)))
betas = beta_grid(np.bincount(y_train), n_betas=5, include_limits=True)
search = GridSearchCV(
    model,
    {"classbalancedclassifier__beta": betas},
    scoring=["average_precision", "balanced_accuracy"],
    refit="balanced_accuracy",
    cv=5,
).fit(X_train, y_train)
results = search.cv_results_
scores = results["mean_test_average_precision"], results["mean_test_balanced_accuracy"]
print("\nbeta      average precision   balanced accuracy   (5 folds)")
for beta, ranking, decision in zip(betas, *scores, strict=True):
    print(f"{beta:.4f}{ranking:>21.3f}{decision:>20.3f}")

# %%
# The threshold, on top
# ---------------------
# TunedThresholdClassifierCV puts the threshold where a metric of one's choice wants it, and takes
# any of these models.
unweighted = clone(model).set_params(classbalancedclassifier__beta=0).fit(X_train, y_train)
chosen = search.best_params_["classbalancedclassifier__beta"]
models = {"unweighted": unweighted, f"beta {chosen:.4f}": search.best_estimator_}
for name, fitted in list(models.items()):
    tuned = TunedThresholdClassifierCV(fitted, scoring="balanced_accuracy", cv=5)
    models[f"{name}, threshold tuned"] = tuned.fit(X_train, y_train)
print("\ntest part                       found   missed   false alarms   balanced accuracy")
for name, fitted in models.items():
    predicted = fitted.predict(X_test)
    (_, alarms), (missed, found) = confusion_matrix(y_test, predicted)
    score = balanced_accuracy_score(y_test, predicted)
    print(f"{name:<30}{found:>7}{missed:>9}{alarms:>15}{score:>20.3f}")

# %%
# The figure
# ----------
# Curves: the rankings. Marks: where each model decides.
grey, blue = "#8a8f98", "#3b6fb6"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False})
figure, axes = plt.subplots(figsize=(6.5, 4.8), layout="constrained")
for (name, fitted), color in zip(models.items(), (grey, blue, grey, blue), strict=True):
    predicted = fitted.predict(X_test)
    if "tuned" not in name:
        probability = fitted.predict_proba(X_test)[:, 1]
        precision, recall, _ = precision_recall_curve(y_test, probability)
        area = average_precision_score(y_test, probability)
        label = f"{name}: average precision {area:.2f}"
        axes.step(recall, precision, where="post", color=color, label=label)
    axes.plot(
        recall_score(y_test, predicted),
        precision_score(y_test, predicted),
        marker="D" if "tuned" in name else "o",
        linestyle="",
        markersize=9,
        color=color,
        markeredgecolor="black",
        label="decision, threshold tuned" if "tuned" in name else "decision",
    )
axes.set(xlabel="recall", ylabel="precision", xlim=(-0.02, 1.02), ylim=(0, 1.03))
axes.set_title("Malignant samples of the test part")
axes.legend(frameon=False, loc="lower left", fontsize=9)
figure.savefig("rare_positives.png", dpi=150)
print("\nFigure: rare_positives.png")
