"""cleanlab: find wrong labels by natural probabilities; weighted ones would blame the head."""

import numpy as np
from cleanlab.filter import find_label_issues
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict

from sk_cbloss import ClassBalancedClassifier, PriorCorrectedClassifier, load_digits_lt

X, y = load_digits_lt(return_X_y=True)
rng = np.random.default_rng(0)
wrong = rng.random(len(y)) < 0.1
noisy = np.where(wrong, (y + rng.integers(1, 10, len(y))) % 10, y)

weighted = ClassBalancedClassifier(LogisticRegression(max_iter=1000), beta=0.99)
model = PriorCorrectedClassifier(weighted)
proba = cross_val_predict(model, X / 16, noisy, cv=3, method="predict_proba")
found = find_label_issues(noisy, proba)
print(f"{found.sum()} found, {(found & wrong).sum()} of them of the {wrong.sum()} wrong ones")
assert (found & wrong).sum() > found.sum() / 2
