"""A training that kills its own process at a given moment; started again, it goes on."""

import builtins
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import TrainingCheckpoint
from sk_cbloss.neural_net.state import _state_file

MAX_EPOCHS = 80


class Net(nn.Module):
    def __init__(self, n_features, n_classes):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(n_features, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.2)
        )
        self.head = nn.Linear(16, n_classes)

    def forward(self, x):
        return self.head(self.body(x))


class Moments(Callback):
    """Tells where in an epoch the training is; the process ends at the n-th moment of a kind.

    With kind "slowly", each moment takes long, and the end comes from outside.
    """

    reads_batches = False
    kind, n = None, 0
    path = None  # of a list of the moments at which the process ended

    @classmethod
    def tell(cls, moment):
        if cls.kind == "slowly":
            time.sleep(0.002)
        if moment.split()[0] != cls.kind:
            return
        cls.n -= 1
        if cls.n == 0:
            with open(cls.path, "a") as file:
                file.write(f"{moment}\n")
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_begin(self, net, **kwargs):
        Moments.tell("epoch begins")
        if Moments.kind == "slowly":
            sys.stdout.write("begun\n")
            sys.stdout.flush()

    def on_batch_begin(self, net, training=None, **kwargs):
        Moments.tell("batch begins" if training else "validation begins")

    def on_grad_computed(self, net, **kwargs):
        Moments.tell("batch half done")

    def on_batch_end(self, net, training=None, **kwargs):
        Moments.tell("batch ends" if training else "validation ends")

    def on_epoch_end(self, net, **kwargs):
        Moments.tell("epoch ends")

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class HalfByHalf:
    """A file that writes each chunk in two halves, and tells when half of it is on the disk."""

    def __init__(self, path, mode):
        self.file = builtins.open(path, mode)  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, chunk):
        half = len(chunk) // 2
        self.file.write(chunk[:half])
        self.file.flush()
        Moments.tell(f"write of {self.file.name} at {self.file.tell()}")
        self.file.write(chunk[half:])


def tell_of_writes():
    fsync, replace = os.fsync, os.replace

    def telling_fsync(descriptor):
        fsync(descriptor)
        Moments.tell("write synced")

    def telling_replace(source, target):
        Moments.tell("write not in place yet")
        replace(source, target)
        Moments.tell("write in place")

    _state_file.open, os.fsync, os.replace = HalfByHalf, telling_fsync, telling_replace


def data():
    rng = np.random.default_rng(0)
    y = np.repeat(["ant", "bee", "cat"], [100, 40, 20])
    X = rng.normal(size=(160, 6)) + 1.5 * (y == "bee")[:, None] - (y == "cat")[:, None]
    return X.astype(np.float32), y, rng.uniform(0.5, 2, 160)


def train(folder=None):
    """Train with all that has a state; without a folder, undisturbed."""
    checkpoint = [("checkpoint", TrainingCheckpoint(folder))] if folder else []
    net = CBNeuralNetClassifier(
        Net,
        loss="focal",
        beta=0.99,
        lr=0.003,
        batch_size=40,
        max_epochs=MAX_EPOCHS,
        random_state=0,
        device="cpu",
        train_split=ValidSplit(4, stratified=True),
        callbacks=[
            *checkpoint,
            ("moments", Moments()),
            ("schedule", LRScheduler("StepLR", step_size=20, gamma=0.1)),
            ("stop", EarlyStopping(monitor="valid_loss", patience=6, load_best=True)),
        ],
    )
    X, y, sample_weight = data()
    return net.fit(X, y, sample_weight=sample_weight)


def result(net):
    """Return all that must be the same, to the last bit."""
    callbacks = dict(net.callbacks_)
    schedule, stop = callbacks["schedule"].lr_scheduler_.state_dict(), callbacks["stop"]
    return {
        "module": dict(net.module_.state_dict()),
        "optimizer": net.optimizer_.state_dict(),
        "schedule": schedule,
        "stop": [stop.misses_, stop.dynamic_threshold_, stop.best_epoch_],
        "class_count": net.class_count_,
        "history": [
            {name: value for name, value in row.items() if name != "dur"} for row in net.history_
        ],
        "logits": net.decision_function(data()[0]),
    }


def main(folder, kind, n):
    """Train until the n-th moment of a kind, or, without one, to the end, and write the result."""
    torch.set_num_threads(1)
    folder = Path(folder)
    Moments.kind, Moments.n, Moments.path = kind, int(n), folder / "ends.txt"
    tell_of_writes()
    net = train(folder if kind != "undisturbed" else None)
    _state_file.write_state(folder / f"{kind}.result", result(net), "result")


if __name__ == "__main__":
    main(*sys.argv[1:])
