"""Lightning: the loss is a submodule, so its weights go to the device with the rest."""

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, TensorDataset

from sk_cbloss import ClassBalancedCrossEntropyLoss, load_digits_lt
from sk_cbloss.neural_net import MLP


class Model(lightning.LightningModule):
    def __init__(self, class_count):
        super().__init__()
        self.module = MLP(64, len(class_count))
        self.loss = ClassBalancedCrossEntropyLoss.from_class_count(class_count, beta=0.99)

    def training_step(self, batch, batch_idx):
        X, y = batch
        return self.loss(self.module(X), y)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=0.01)


X, y = load_digits_lt(return_X_y=True)
data = TensorDataset(torch.tensor(X / 16, dtype=torch.float32), torch.tensor(y))
loader = DataLoader(data, batch_size=32, shuffle=True)
trainer = lightning.Trainer(max_epochs=5, accelerator="cpu", logger=False)
trainer.fit(Model(np.bincount(y)), loader)
