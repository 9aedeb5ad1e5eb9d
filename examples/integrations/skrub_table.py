"""skrub: a table as it is read from a CSV, dates included, as numbers for a classifier."""

import io

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skrub import TableVectorizer

from sk_cbloss import ClassBalancedClassifier

rng = np.random.default_rng(0)
dates = pd.Timestamp("2025-01-01") + pd.to_timedelta(rng.integers(365, size=400), unit="D")
table = pd.DataFrame({"opened": dates, "site": rng.choice(["north", "south"], 400)})
table["state"] = np.where((dates.month == 12) & (table["site"] == "north"), "late", "fine")
table = pd.read_csv(io.StringIO(table.to_csv(index=False)))  # whose dates are strings
X, y = table[["opened", "site"]], table["state"]

columns = OneHotEncoder().fit(X).get_feature_names_out()
print("one column a day:", len(columns))
model = ClassBalancedClassifier(LogisticRegression(), beta=0.99)
model = make_pipeline(TableVectorizer(), StandardScaler(), model).fit(X, y)
print("by skrub:", *model[0].get_feature_names_out())
assert len(model[0].get_feature_names_out()) < 10 < 200 < len(columns)
