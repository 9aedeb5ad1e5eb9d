"""accelerate: prepare model, optimizer and loader; the loss stays as it is."""

import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

from sk_cbloss import ClassBalancedCrossEntropyLoss, load_digits_lt
from sk_cbloss.neural_net import MLP

X, y = load_digits_lt(return_X_y=True)
accelerator = Accelerator(cpu=True)
data = TensorDataset(torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y))
loader = DataLoader(data, batch_size=32, shuffle=True)
model = MLP(64, 10)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
criterion = ClassBalancedCrossEntropyLoss.from_class_count(np.bincount(y), beta=0.99)
criterion.to(accelerator.device)
for _ in range(5):
    for inputs, target in loader:
        optimizer.zero_grad()
        accelerator.backward(criterion(model(inputs), target))
        optimizer.step()
print("loss:", criterion(model(data.tensors[0]), data.tensors[1]).item())
