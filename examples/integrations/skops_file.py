"""skops: a file that runs nothing when it is read; you say which types you trust."""

import skops.io
from sklearn.linear_model import LogisticRegression

from sk_cbloss import ClassBalancedClassifier, load_digits_lt

X, y = load_digits_lt(return_X_y=True)
model = ClassBalancedClassifier(LogisticRegression(max_iter=1000), beta=0.99).fit(X / 16, y)
skops.io.dump(model, "model.skops")

unknown = skops.io.get_untrusted_types(file="model.skops")
assert all(name.startswith("sk_cbloss.") for name in unknown)  # look before you trust
loaded = skops.io.load("model.skops", trusted=unknown)
assert (loaded.predict(X / 16) == model.predict(X / 16)).all()
