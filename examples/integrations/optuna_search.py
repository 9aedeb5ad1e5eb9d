"""Optuna: beta is a number like any other; 1 - beta is searched on a logarithmic scale."""

import optuna
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score

from sk_cbloss import ClassBalancedClassifier, load_digits_lt

X, y = load_digits_lt(return_X_y=True)
model = ClassBalancedClassifier(LogisticRegression(max_iter=1000))


def score(trial):
    n = trial.suggest_float("N", 1, 10_000, log=True)  # beta = 1 - 1 / N
    model.set_params(beta=1 - 1 / n, estimator__C=trial.suggest_float("C", 0.01, 100, log=True))
    return cross_val_score(model, X / 16, y, scoring="balanced_accuracy", cv=3).mean()


optuna.logging.set_verbosity(optuna.logging.WARNING)
study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=0))
study.optimize(score, n_trials=10)
print(study.best_params, study.best_value)
