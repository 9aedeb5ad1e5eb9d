"""SHAP: of a wrapper, explain the fitted classifier inside, its ``estimator_``."""

import shap
from sklearn.ensemble import RandomForestClassifier

from sk_cbloss import ClassBalancedClassifier, make_long_tailed_classification

X, y = make_long_tailed_classification(500, n_classes=3, random_state=0)
model = ClassBalancedClassifier(RandomForestClassifier(20, random_state=0), beta=0.99).fit(X, y)
values = shap.TreeExplainer(model.estimator_).shap_values(X[:5])
print(values.shape)  # rows, features, classes
assert values.shape == (5, X.shape[1], 3)
