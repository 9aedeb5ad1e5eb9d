"""A training on images on disk that kills its own process; started again, it goes on."""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skorch.callbacks import Callback
from torch import nn

from sk_cbloss import CBNeuralNetClassifier, LongTailedImages
from sk_cbloss.neural_net import TrainingCheckpoint

COUNT = {"yak": 12, "ant": 20, "bee": 6}


def make_folders(root, count=None, size=(8, 8)):
    """Write images of noise around a colour of each class; return the folder."""
    rng = np.random.default_rng(0)
    for name, n in (count or COUNT).items():
        (root / name).mkdir(parents=True)
        color = rng.uniform(0, 255, 3)
        for i in range(n):
            pixels = rng.normal(color, 30, (*size, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i:03} x.png")
    return root


def rows_of(images):
    """Return path and class of each image."""
    return list(zip(images.paths.tolist(), images.labels.tolist(), strict=True))


def write_list(file, rows, classes):
    """Write a text list, whose integers are positions in classes."""
    lines = [f"{path} {classes.index(name)}\n" for path, name in rows]
    file.write_text("".join(lines), encoding="utf-8")
    return file


def coco_of(rows, classes):
    """Return rows as COCO-style JSON, whose ids and orders say nothing."""
    rng = np.random.default_rng(1)
    ids = (rng.permutation(len(rows)) + 100).tolist()
    of_class = dict(zip(classes, (rng.permutation(len(classes)) * 7).tolist(), strict=True))
    pairs = list(zip(ids, rows, strict=True))
    annotations = [
        {"id": n, "image_id": i, "category_id": of_class[name], "bbox": [0, 0, 1, 1]}
        for n, (i, (_, name)) in enumerate(pairs)
    ]
    return {
        "info": {"year": 2018},
        "images": [
            {"id": i, "file_name": path, "license": 1, "rights_holder": "ü"}
            for i, (path, _) in pairs
        ],
        "annotations": [annotations[n] for n in rng.permutation(len(annotations))],
        "categories": [
            {"id": i, "name": name, "supercategory": "Animalia"} for name, i in of_class.items()
        ],
    }


def write_coco(file, rows, classes):
    file.write_text(json.dumps(coco_of(rows, classes)), encoding="utf-8")
    return file


class Small(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, n_classes)

    def forward(self, x):
        return self.head(self.body(x).relu().mean(dim=(2, 3)))


class Kill(Callback):
    """Ends the process in the middle of an epoch."""

    epoch = None

    def on_batch_end(self, net, training=None, **kwargs):
        if training and len(net.history) == Kill.epoch:
            os.kill(os.getpid(), signal.SIGKILL)

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def train(root, folder=None, **params):
    images = LongTailedImages.from_folders(root, size=8)
    checkpoint = [("checkpoint", TrainingCheckpoint(folder))] if folder else []
    net = CBNeuralNetClassifier(
        Small,
        loss="focal",
        max_epochs=4,
        batch_size=8,
        random_state=0,
        device="cpu",
        early_stopping=True,
        iterator_train__num_workers=2,
        callbacks=[*checkpoint, ("kill", Kill())],
    )
    return net.set_params(**params).fit(images)


if __name__ == "__main__":
    torch.set_num_threads(1)
    Kill.epoch = int(sys.argv[3])
    train(Path(sys.argv[1]), sys.argv[2])
