"""
Grid search over beta and the loss
==================================

A net with a class-balanced loss stands behind a scaler in a Pipeline, and a grid search finds its
beta, its loss and its weight decay. The data are scikit-learn's digits, made long-tailed: 128
zeros, 6 nines. The test part is balanced, and is looked at once, at the end, beside the best
unweighted net and the best net with inverse frequency of the same search.
"""

# %%
# The data
# --------
import matplotlib.pyplot as plt
import numpy as np
from sklearn.base import clone
from sklearn.metrics import recall_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_cbloss import (
    CBNeuralNetClassifier,
    StackedGridSearchCV,
    beta_grid,
    load_digits_lt,
    shot_recall_score,
)

train, test = load_digits_lt("train"), load_digits_lt("test")
counts = np.array(list(train.class_count.values()))
print(f"Digits, long-tailed: {len(train.target)} training samples, {counts} of each digit.")
print(f"Test part, untouched until the end: {np.bincount(test.target)} of each digit.\n")

# %%
# The search
# ----------
# beta = 0 weights all classes alike and beta = 1 is inverse frequency; between them the grid is
# log-uniform in 1 / (1 - beta). Every fold computes the weights from its own labels. The nets of
# all candidates and folds are trained at once; GridSearchCV would find the same, one net after the
# other.
net = CBNeuralNetClassifier(max_epochs=40, module__hidden_units=(64,), random_state=0)
model = make_pipeline(StandardScaler(), net)
grid = {
    "cbneuralnetclassifier__beta": beta_grid(counts, n_betas=4, include_limits=True).round(4),
    "cbneuralnetclassifier__loss": ["softmax", "sigmoid", "focal"],
    "cbneuralnetclassifier__optimizer__weight_decay": [0, 0.01],
}
cv = StratifiedKFold(5, shuffle=True, random_state=0)
search = StackedGridSearchCV(model, grid, scoring="balanced_accuracy", cv=cv, verbose=1)


def short(name):
    return name.removeprefix("cbneuralnetclassifier__")


n_candidates = np.prod([len(values) for values in grid.values()])
print(f"Searching {n_candidates} settings on {cv.n_splits} folds, by balanced accuracy:")
for name, values in grid.items():
    print(f"  {short(name)}: {', '.join(str(value) for value in values)}")
search.fit(train.data, train.target)

chosen = {short(name): value for name, value in search.best_params_.items()}
print("\nChosen:", ", ".join(f"{name}={value}" for name, value in chosen.items()))
print(f"Its balanced accuracy over the folds: {search.best_score_:.3f}\n")

# %%
# On the test part
# ----------------
# Beside the chosen setting, the search's best without weights and its best with inverse frequency.
# Each is trained with five seeds on all the training data; the table shows means.
results = search.cv_results_
score = results["mean_test_score"]


def best_with(beta):
    among = results["param_cbneuralnetclassifier__beta"] == beta
    return results["params"][np.where(among, score, -1).argmax()]


methods = {
    "unweighted": best_with(0),
    "inverse frequency": best_with(1),
    "chosen": search.best_params_,
}
recall, rows = {}, {}
for name, setting in methods.items():
    predictions = []
    for seed in range(5):
        trained = clone(model).set_params(**setting, cbneuralnetclassifier__random_state=seed)
        predictions.append(trained.fit(train.data, train.target).predict(test.data))
    shots = [
        shot_recall_score(test.target, predicted, class_count=train.class_count)
        for predicted in predictions
    ]
    recalls = [recall_score(test.target, p, average=None) for p in predictions]
    recall[name] = np.mean(recalls, axis=0)
    rows[name] = {"balanced accuracy": np.mean(recalls)} | {
        f"{shot}-shot": np.mean([scores[shot] for scores in shots]) for shot in shots[0]
    }

columns = list(rows["chosen"])
print("Balanced test part, mean of 5 seeds".ljust(54) + "  ".join(columns))
for name, row in rows.items():
    label = "  {} (beta={beta:g}, {loss}, decay {optimizer__weight_decay:g})"
    label = label.format(name, **{short(key): value for key, value in methods[name].items()})
    print(label.ljust(54) + "  ".join(f"{row[c]:.3f}".rjust(len(c)) for c in columns))
print("many-shot: more than 100 training samples; few-shot: fewer than 20.")

# %%
# The figure
# ----------
# Left, the search. Right, the recall of each digit on the test part, from head to tail.
blue, orange, green, grey = "#3b6fb6", "#d9822b", "#3c9a5f", "#8a8f98"
plt.rcParams.update({"axes.spines.top": False, "axes.spines.right": False, "font.size": 10})
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.6), layout="constrained")

betas = grid["cbneuralnetclassifier__beta"]
decays = results["param_cbneuralnetclassifier__optimizer__weight_decay"]
for loss, color in {"softmax": blue, "sigmoid": orange, "focal": green}.items():
    for decay, line in ((0.01, "-"), (0, ":")):
        shown = (results["param_cbneuralnetclassifier__loss"] == loss) & (decays == decay)
        style = {"color": color, "linestyle": line, "marker": "o", "markersize": 5}
        left.plot(score[shown], label=loss if decay else None, **style)
left.plot([], [], ":", color=grey, label="no weight decay")
at = (list(betas).index(chosen["beta"]), search.best_score_)
left.plot(*at, "o", markersize=14, markerfacecolor="none", markeredgecolor="black")
left.annotate("chosen", at, xytext=(0, 12), textcoords="offset points", ha="center")
names = {0: "0\nunweighted", 1: "1\ninverse frequency"}
left.set_xticks(range(len(betas)), [names.get(beta, f"{beta:g}") for beta in betas])
error = np.median(results["std_test_score"]) / np.sqrt(cv.n_splits)
left.set(xlabel="beta", ylabel="balanced accuracy")
left.set_title(f"Search: mean of 5 folds (standard error about {error:.2f})", pad=22)
left.margins(x=0.08, y=0.12)
left.legend(frameon=False, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.22), fontsize=9)

digits = np.arange(len(counts))
for shot, among, shade in (
    ("many", counts > 100, 0.12),
    ("medium", (counts >= 20) & (counts <= 100), 0),
    ("few", counts < 20, 0.12),
):
    edges = digits[among].min() - 0.5, digits[among].max() + 0.5
    right.axvspan(*edges, color=grey, alpha=shade, linewidth=0)
    right.text(np.mean(edges), 1.06, f"{shot}-shot", ha="center", color=grey)
for (name, values), color, marker in zip(
    recall.items(), (grey, orange, blue), ("s", "^", "o"), strict=True
):
    right.plot(digits, values, color=color, marker=marker, label=name)
right.set_xticks(digits, [f"{digit}\n{counts[digit]}" for digit in digits])
right.set(xlabel="digit, and its number of training samples", ylabel="recall", ylim=(0, 1.03))
right.set_title("Balanced test part, mean of 5 seeds", pad=22)
right.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.22), fontsize=9)

figure.savefig("digits_search.png", dpi=150)
print("\nFigure: digits_search.png")
