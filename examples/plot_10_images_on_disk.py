"""
Images on disk: a long tail of flowers
======================================

Pictures mostly lie in folders, one a class, and there are too many for memory. Here 24 species of
flowers, made up and drawn, are written to such folders: 200 pictures of the most common species, 4
of the rarest. A net reads them from there when it needs them. Which flowers does it find, with a
plain loss and with one that knows how frequent the species are?
"""

# %%
# The pictures
# ------------
# A species is a colour and a number of petals. Its pictures differ in place, size, angle, shade
# and light. Which species are rare is drawn.
import colorsys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageDraw
from torch import nn

from sk_cbloss import (
    CBNeuralNetClassifier,
    LongTailedImages,
    describe_long_tail,
    long_tailed_counts,
    shot_recall_score,
)
from sk_cbloss.neural_net import LearningRateSchedule, PadCropFlip

HUES = {"red": 0.0, "orange": 0.08, "yellow": 0.15, "blue": 0.6, "violet": 0.75, "pink": 0.9}
SPECIES = [f"{color}, {n} petals" for color in HUES for n in (3, 4, 5, 8)]
rng = np.random.default_rng(0)


def flower(species):
    """Draw one flower in a meadow."""
    color, petals = species.split(", ")
    n_petals = int(petals[0])
    meadow = rng.normal(rng.uniform((40, 80, 30), (90, 140, 60)), 12, (48, 48, 3))
    image = Image.fromarray(meadow.clip(0, 255).astype(np.uint8))
    hue = HUES[color] + rng.normal(0, 0.012)
    shade = rng.uniform(0.6, 0.95), rng.uniform(0.6, 1)
    fill = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue % 1, *shade))
    angle = np.linspace(0, 2 * np.pi, 180)
    petal = 0.25 + 0.75 * np.abs(np.cos(n_petals / 2 * angle)) ** 0.8
    turned, (x, y) = angle + rng.uniform(0, 2 * np.pi), rng.uniform(20, 28, 2)
    radius = rng.uniform(13, 18) * petal
    draw = ImageDraw.Draw(image)
    outline = zip(x + radius * np.cos(turned), y + radius * np.sin(turned), strict=True)
    draw.polygon(list(outline), fill)
    middle = (90, 50, 20) if color == "yellow" else (240, 200, 40)
    draw.ellipse((x - 3, y - 3, x + 3, y + 3), middle)
    return image


def write(folder, count):
    for species, n in count.items():
        (folder / species).mkdir(parents=True)
        for i in range(n):
            flower(species).save(folder / species / f"{i:03}.png")


folder = tempfile.TemporaryDirectory()
root = Path(folder.name)
tail = long_tailed_counts(len(SPECIES), 200, imbalance_factor=50)
write(root / "train", dict(zip(rng.permutation(SPECIES).tolist(), tail, strict=True)))
write(root / "test", dict.fromkeys(SPECIES, 15))

# %%
# The data sets
# -------------
# A line each. Labels are names, and are known without opening a picture.
train = LongTailedImages.from_folders(root / "train", size=32)
test = LongTailedImages.from_folders(root / "test", size=32)
print(train)
print(describe_long_tail(train.labels))

# %%
# Two nets
# --------
# The same small convolutional net, with two losses: plain cross entropy (``beta=0`` weights all
# species alike) and cross entropy adjusted to the species' frequencies. The last layer is called
# ``head``. ``iterator_train__num_workers=2`` would have two processes read ahead, and a
# ``TrainingCheckpoint`` among the callbacks would let a training that was killed go on.


class Net(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        layers, width = [nn.BatchNorm2d(3)], 3
        for wider in (16, 32, 64):
            layers += [nn.Conv2d(width, wider, 3, padding=1), nn.BatchNorm2d(wider), nn.ReLU()]
            layers += [nn.MaxPool2d(2)]
            width = wider
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(width * 16, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


nets = {
    "plain": CBNeuralNetClassifier(Net, beta=0),
    "logit-adjusted": CBNeuralNetClassifier(Net, loss="logit_adjusted"),
}
for net in nets.values():
    net.set_params(
        lr=0.003,
        batch_size=64,
        max_epochs=15,
        batch_transform=PadCropFlip(padding=2),
        callbacks=[LearningRateSchedule(milestones=(0.75,))],
        random_state=0,
    ).fit(train)

# %%
# Shots
# -----
# Recall, by how many pictures of a species there were to learn from. The adjusted loss finds far
# more of the rare species, and pays with some of the common ones, which the plain net names too
# often.
found = {name: net.predict(test) for name, net in nets.items()}
for name, labels in found.items():
    recall = shot_recall_score(test.labels, labels, class_count=train.class_count)
    print(f"{name:<15}", *(f"{shot}-shot {value:.2f}" for shot, value in recall.items()))

# %%
# The figure
# ----------
# Above, the recall of each species, from the most common to the rarest. Below, pictures of eight
# of them, with what each net takes them for; wrong names are in brackets.
species = sorted(train.class_count, key=train.class_count.get, reverse=True)
figure = plt.figure(figsize=(9, 6.4), layout="constrained")
above, below = figure.subfigures(2, 1, height_ratios=(1, 1.1))
ax = above.subplots()
for (name, labels), marker in zip(found.items(), "ox", strict=True):
    recalls = [np.mean(labels[test.labels == one] == one) for one in species]
    ax.plot(recalls, marker, linestyle=":", label=name)
ax.set_xticks(range(len(species)), [train.class_count[one] for one in species])
ax.set(xlabel="Pictures to learn from, species by species", ylabel="Recall", ylim=(-0.03, 1.03))
ax.legend()
shown = species[::3]
for ax, one in zip(below.subplots(2, 4).flat, shown, strict=True):
    row = np.flatnonzero(test.labels == one)[0]
    ax.imshow(test[row][0].permute(1, 2, 0))
    called = [
        labels[row] if labels[row] == one else f"[{labels[row]}]" for labels in found.values()
    ]
    ax.set_title(f"{one} ({train.class_count[one]})", fontsize="small", fontweight="bold")
    ax.set_xlabel("\n".join(called), fontsize="small")
    ax.set(xticks=[], yticks=[])
plt.show()
folder.cleanup()
