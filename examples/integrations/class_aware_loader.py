"""A DataLoader that draws rare classes more often, in place of weights in the loss."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sk_cbloss import ClassAwareSampler, load_digits_lt

X, y = load_digits_lt(return_X_y=True)
dataset = TensorDataset(torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y))
sampler = ClassAwareSampler(y, beta=0.99, random_state=0)  # of an ImageFolder, its targets
loader = DataLoader(dataset, batch_size=64, sampler=sampler)
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
drawn = np.zeros(10, dtype=int)
for epoch in range(10):
    sampler.set_epoch(epoch)  # only needed to go on with a training that was cut off
    for features, target in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(features), target).backward()
        optimizer.step()
        drawn += target.bincount(minlength=10).numpy()
print("largest and smallest class:", np.bincount(y)[[0, -1]], "drawn:", drawn[[0, -1]])
recall = (model(dataset.tensors[0]).argmax(1) == dataset.tensors[1])[y == 9].float().mean()
assert recall > 0.95
