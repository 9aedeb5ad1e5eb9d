"""MAPIE: sets of labels around a weighted model, calibrated on rows that it has not seen."""

from mapie.classification import SplitConformalClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from sk_cbloss import ClassBalancedClassifier, load_digits_lt

X, y = load_digits_lt(return_X_y=True)
X_fit, X_cal, y_fit, y_cal = train_test_split(X / 16, y, stratify=y, random_state=0)
model = ClassBalancedClassifier(LogisticRegression(max_iter=1000), beta=0.99).fit(X_fit, y_fit)
sets = SplitConformalClassifier(model, confidence_level=0.9, prefit=True)
labels, member = sets.conformalize(X_cal, y_cal).predict_set(X_cal)
print("labels a row:", member.mean(0).sum())
