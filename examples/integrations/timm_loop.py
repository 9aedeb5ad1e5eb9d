"""timm: a loss in place of its LabelSmoothingCrossEntropy; mixup's targets are probabilities."""

import timm
import torch
from timm.data import Mixup
from timm.optim import create_optimizer_v2

from sk_cbloss import LogitAdjustedLoss

class_count = [40, 10, 4]
target = torch.repeat_interleave(torch.arange(3), torch.tensor(class_count))
images = torch.randn(54, 3, 32, 32) + target[:, None, None, None]

model = timm.create_model("resnet10t", num_classes=3)
criterion = LogitAdjustedLoss.from_class_count(class_count)
mixup = Mixup(mixup_alpha=0.2, label_smoothing=0.1, num_classes=3)
optimizer = create_optimizer_v2(model, "adamw", lr=1e-3)
model.train()
for _ in range(3):
    mixed, probability = mixup(images, target)
    optimizer.zero_grad()
    loss = criterion(model(mixed), probability)
    loss.backward()
    optimizer.step()
print("loss:", loss.item())
