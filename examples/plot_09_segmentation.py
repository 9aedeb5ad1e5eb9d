"""
Pixels: a loss for segmentation
===============================

In segmentation each pixel has a class, and the background is nearly all of them. The losses take
such logits, of shape (N, C, H, W), as torch's own do. Here a small convolutional net in plain
PyTorch finds handwritten digits in scenes and says of each pixel which digit it belongs to. Some
digits are rare.
"""

# %%
# Scenes
# ------
# Each has two of scikit-learn's digits somewhere on a noisy canvas. Pixels with ink are of the
# digit's class, 1 to 10; empty ones are background, class 0. Pale pixels at the edge of the ink
# could be either: they get the label 255, which the loss will ignore. In the training scenes zeros
# are fifty times as frequent as nines. In the test scenes, made of other images, all digits are
# alike.
import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.colors import ListedColormap
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from torch import nn

from sk_cbloss import ClassBalancedCrossEntropyLoss, beta_grid, long_tailed_counts

HEIGHT, WIDTH, N_CLASSES, VOID = 16, 24, 11, 255
rng = np.random.default_rng(0)
digits = load_digits()
parts = train_test_split(
    digits.images / 16, digits.target, test_size=0.4, stratify=digits.target, random_state=0
)


def scenes(images, labels, n_scenes, frequency):
    """Return scenes of shape (N, 1, H, W) and the classes of their pixels, (N, H, W)."""
    canvas = rng.normal(0, 0.1, (n_scenes, HEIGHT, WIDTH))
    classes = np.zeros((n_scenes, HEIGHT, WIDTH), dtype=np.int64)
    for scene in range(n_scenes):
        for left in (0, WIDTH // 2):
            digit = rng.choice(10, p=frequency)
            image = images[rng.choice(np.flatnonzero(labels == digit))]
            row, column = rng.integers(HEIGHT - 8 + 1), left + rng.integers(WIDTH // 2 - 8 + 1)
            place = scene, slice(row, row + 8), slice(column, column + 8)
            canvas[place] += image
            classes[place] = np.select([image >= 0.5, image > 0], [digit + 1, VOID], 0)
    return torch.from_numpy(canvas[:, None]).float(), torch.from_numpy(classes)


tail = long_tailed_counts(10, 1000, imbalance_factor=50)
X, y = scenes(parts[0], parts[2], 800, tail / tail.sum())
X_test, y_test = scenes(parts[1], parts[3], 500, np.full(10, 0.1))
truth = y_test.numpy()
pixel_count = np.bincount(y[y != VOID], minlength=N_CLASSES)
print("pixels of each class in training:", pixel_count)

# %%
# The loss
# --------
# It is built from the numbers of pixels. These are large, and so must be N = 1 / (1 - beta): with
# the usual 0.999 the background and the zeros would count alike. We take the middle of what
# ``beta_grid`` proposes, and beside it both limits.
beta = beta_grid(pixel_count, n_betas=3)[1]
print(f"beta = {beta:.5f}, N = {1 / (1 - beta):,.0f} pixels")
losses = {
    name: ClassBalancedCrossEntropyLoss.from_class_count(
        pixel_count, beta=value, normalize="samples", ignore_index=VOID
    )
    for name, value in {"no weights": 0, "class-balanced": beta, "inverse frequency": 1}.items()
}
for name, loss in losses.items():
    print(f"{name:<18}", *(f"{weight:7.2f}" for weight in loss.weight))

# %%
# The net
# -------
# Four convolutions, the inner ones dilated, so that a pixel sees 15 by 15 others.


def train(loss, seed, n_epochs=12):
    """Return a trained net."""
    torch.manual_seed(seed)
    layers, width = [], 1
    for wider, dilation in ((16, 1), (32, 2), (32, 4)):
        layers += [
            nn.Conv2d(width, wider, 3, padding=dilation, dilation=dilation),
            nn.BatchNorm2d(wider),
            nn.ReLU(),
        ]
        width = wider
    net = nn.Sequential(*layers, nn.Conv2d(width, N_CLASSES, 1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(n_epochs):
        for rows in torch.randperm(len(X)).split(40):
            optimizer.zero_grad()
            loss(net(X[rows]), y[rows]).backward()
            optimizer.step()
    return net.eval()


# %%
# What comes of it
# ----------------
# Recall is the share of a class's pixels that is found. IoU, intersection over union, also asks
# how many pixels were called so in vain. Means of two seeds.
predicted, iou, recall = {}, {}, {}
known = truth != VOID
for name, loss in losses.items():
    iou[name], recall[name] = [], []
    for seed in range(2):
        predicted[name] = train(loss, seed)(X_test).argmax(dim=1).numpy()
        matrix = confusion_matrix(truth[known], predicted[name][known], labels=range(N_CLASSES))
        hit, true, called = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
        iou[name].append(hit / (true + called - hit))
        recall[name].append(hit / true)
for title, scores in (("IoU", iou), ("recall", recall)):
    print(f"{title:<18} ground", *(f"{digit:5}" for digit in range(10)), "   mean  (by seed)")
    for name, values in scores.items():
        row = [f"{value:5.2f}" for value in np.mean(values, axis=0)]
        seeds = ", ".join(f"{value:.2f}" for value in np.mean(values, axis=1))
        print(f"  {name:<17}", *row, f"  {np.mean(values):.3f}  ({seeds})")

# %%
# Weights make the difference between finding the rare digits and not finding them. Between the
# middle beta and inverse frequency there is less: in IoU they differ by no more than two seeds
# do, and inverse frequency finds somewhat more pixels and calls more in vain. It has its price in
# the background, too: it takes 2 of 100 empty pixels for ink, and there are many of these.
#
# The figure
# ----------
# Every fifth of the first twenty test scenes. A number says what digit most of the ink in its half
# is taken for. Colours go from the most frequent digit, dark, to the rarest, light; void pixels
# are white.
ramp = plt.get_cmap("viridis").resampled(10).colors
colors = ListedColormap(["#e4e4e4", *ramp]).with_extremes(over="white")
middle = WIDTH // 2
shown = {"truth": truth} | {name: predicted[name] for name in ("no weights", "class-balanced")}
figure, axes = plt.subplots(4, 4, figsize=(7.5, 5.2), layout="constrained")
for scene, row in zip(range(0, 20, 5), axes, strict=True):
    row[0].imshow(X_test[scene, 0].numpy(), cmap="gray_r")
    for ax, classes in zip(row[1:], shown.values(), strict=True):
        ax.imshow(classes[scene], cmap=colors, vmin=0, vmax=10, interpolation="nearest")
        for left in (0, middle):
            half = classes[scene, :, left : left + middle]
            ink = half[(half > 0) & (half < VOID)]
            digit = np.bincount(ink).argmax() - 1 if ink.size else "-"
            ax.text(left, 0, digit, va="top", fontweight="bold")
    for ax in row:
        ax.set(xticks=[], yticks=[])
for ax, title in zip(axes[0], ("image", *shown), strict=True):
    ax.set_title(title)
plt.show()
