"""CatBoost: weights by sample_weight, early stopping on rows held out, natural probabilities."""

from catboost import CatBoostClassifier
from sklearn.model_selection import train_test_split

from sk_cbloss import ClassBalancedClassifier, make_long_tailed_classification

X, y = make_long_tailed_classification(2000, n_classes=4, random_state=0)
X_fit, X_val, y_fit, y_val = train_test_split(X, y, stratify=y, random_state=0)
booster = CatBoostClassifier(
    n_estimators=100, early_stopping_rounds=5, verbose=0, allow_writing_files=False
)
model = ClassBalancedClassifier(booster, beta=0.99)
model.fit(X_fit, y_fit, X_val=X_val, y_val=y_val)
print("natural probabilities:", model.predict_natural_proba(X_val).mean(0).round(2))
assert abs(model.predict_natural_proba(X_val).mean(0)[0] - (y_val == 0).mean()) < 0.1
