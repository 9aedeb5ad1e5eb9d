"""MLflow: parameters, scores and the model of a run, in a folder of its own."""

from pathlib import Path

import mlflow
import skops.io
from sklearn.linear_model import LogisticRegression

from sk_cbloss import ClassBalancedClassifier, load_digits_lt, shot_recall_score

X, y = load_digits_lt(return_X_y=True)
X_test, y_test = load_digits_lt("test", return_X_y=True)
mlflow.set_tracking_uri(f"sqlite:///{Path('runs.db').absolute()}")
with mlflow.start_run():
    model = ClassBalancedClassifier(LogisticRegression(max_iter=1000), beta=0.99).fit(X / 16, y)
    mlflow.log_params({"beta": model.beta})
    few = shot_recall_score(y_test, model.predict(X_test / 16), class_count=model.class_count_)
    mlflow.log_metrics(few)
    trusted = skops.io.get_untrusted_types(data=skops.io.dumps(model))  # look at them once
    info = mlflow.sklearn.log_model(model, name="model", skops_trusted_types=trusted)
loaded = mlflow.sklearn.load_model(info.model_uri)
assert (loaded.predict(X_test / 16) == model.predict(X_test / 16)).all()
