"""A loop of your own: the loss is a module, built from the classes' counts."""

import numpy as np
import torch
from torch import nn

from sk_cbloss import ClassBalancedFocalLoss, load_digits_lt

X, y = load_digits_lt(return_X_y=True)
criterion = ClassBalancedFocalLoss.from_class_count(np.bincount(y), beta=0.99)
X, y = torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y)
torch.manual_seed(0)
head = criterion.prepare_head(nn.Linear(64, 10))  # starts at the classes' frequencies
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), head)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for _ in range(100):
    optimizer.zero_grad()
    loss = criterion(model(X), y)
    loss.backward()
    optimizer.step()
proba = criterion.natural_proba(model(X))  # for classes as frequent as in y
print("right:", (proba.argmax(1) == y).float().mean())
assert (proba.argmax(1) == y).float().mean() > 0.95
