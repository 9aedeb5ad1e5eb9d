"""ONNX: a net's module with the probabilities of its loss; wrappers by their estimator_."""

import numpy as np
import onnxruntime
import torch
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from sk_cbloss import CBNeuralNetClassifier, ClassBalancedClassifier, load_digits_lt

X, y = load_digits_lt(return_X_y=True)
X = (X / 16).astype("float32")
net = CBNeuralNetClassifier(max_epochs=5, random_state=0, device="cpu").fit(X, y)


class WithProba(torch.nn.Module):
    def forward(self, x):
        return net.criterion_.predict_proba(net.module_(x))


rows = {0: torch.export.Dim("rows")}
torch.onnx.export(WithProba().eval(), (torch.tensor(X[:2]),), "net.onnx", dynamic_shapes=[rows])
session = onnxruntime.InferenceSession("net.onnx")
(proba,) = session.run(None, {session.get_inputs()[0].name: X})
np.testing.assert_allclose(proba, net.predict_proba(X), atol=1e-5)

model = ClassBalancedClassifier(LogisticRegression(max_iter=1000)).fit(X, y)
onnx = to_onnx(model.estimator_, X[:1], options={"zipmap": False})
labels = onnxruntime.InferenceSession(onnx.SerializeToString()).run(None, {"X": X})[0]
assert (labels == model.predict(X)).all()
