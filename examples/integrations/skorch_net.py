"""skorch's own net: any loss here is a criterion, and tells probabilities by its nonlinearity."""

import numpy as np
from skorch import NeuralNetClassifier

from sk_cbloss import ClassBalancedCrossEntropyLoss, class_balanced_weight, load_digits_lt
from sk_cbloss.neural_net import MLP

X, y = load_digits_lt(return_X_y=True)
net = NeuralNetClassifier(
    MLP,
    module__n_features=64,
    module__n_classes=10,
    criterion=ClassBalancedCrossEntropyLoss,
    criterion__weight=class_balanced_weight(np.bincount(y), beta=0.99),
    predict_nonlinearity=lambda logits: logits.softmax(1),
    lr=0.5,
    max_epochs=50,
    verbose=0,
)
net.fit((X / 16).astype("float32"), y)
print("right:", net.score((X / 16).astype("float32"), y))
assert net.score((X / 16).astype("float32"), y) > 0.8
