"""Train nets on two ranks beside one process: how far apart they end, bytes moved, time.

Run as `python benchmarks/ranks.py`; it starts `torchrun` with two processes of one thread each.
Both sides train on the same rows, ranks with half the batch, in turn; ratios are medians over
epochs. Bytes are counted where torch hands gradients over to be averaged.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import distributed
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import CifarResNet, DistributedCBNeuralNetClassifier

MODULES = {
    "MLP, 64-64-10": {"module__hidden_units": (64,)},
    "MLP, 512-512-512-100": {"module__hidden_units": (512, 512)},
    "MLP, 512-2048-2048-1000": {"module__hidden_units": (2048, 2048)},
    "ResNet-8, 3 x 32 x 32": {"module": CifarResNet, "module__depth": 8},
}
SIZES = {  # rows, shape of a row, classes, rows a batch of all ranks, epochs
    "MLP, 64-64-10": (4096, (64,), 10, 128, 6),
    "MLP, 512-512-512-100": (4096, (512,), 100, 256, 5),
    "MLP, 512-2048-2048-1000": (4096, (512,), 1000, 512, 4),
    "ResNet-8, 3 x 32 x 32": (1024, (3, 32, 32), 10, 128, 4),
}
N_ROUNDS = 3
GROWING = "MLP, 512-2048-2048-1000"


class FirstBatch(Callback):
    """Remembers when training began."""

    reads_batches = False
    time = None

    def on_train_begin(self, net, **kwargs):
        FirstBatch.time = None

    def on_batch_begin(self, net, **kwargs):
        FirstBatch.time = FirstBatch.time or time.perf_counter()


def count_bytes():
    """Have every module whose gradients are averaged count their bytes; return the counts."""
    moved, init = [], DistributedDataParallel.__init__

    def counted(self, *args, **kwargs):
        init(self, *args, **kwargs)

        def hook(group, bucket):
            moved.append(bucket.buffer().nbytes)
            return allreduce_hook(group, bucket)

        self.register_comm_hook(None, hook)

    DistributedDataParallel.__init__ = counted
    return moved


def data(name):
    n_rows, shape, n_classes, _, _ = SIZES[name]
    rng = np.random.default_rng(0)
    y = rng.choice(n_classes, n_rows, p=(p := 1 / np.arange(1, n_classes + 1)) / p.sum())
    y[:n_classes] = np.arange(n_classes)
    X = rng.normal(size=(n_rows, *shape)).astype(np.float32)
    X[(np.arange(n_rows), *(0 for _ in shape))] += y / n_classes
    return X, y


def measure(name, moved):
    """Return what a case takes on two ranks and on one process, and how far apart they end."""
    X, y = data(name)
    _, _, _, batch_size, n_epochs = SIZES[name]
    # By SGD: Adam makes a difference in the last digit of a gradient near 0 one of a whole step.
    given = {"max_epochs": n_epochs, "random_state": 0, "device": "cpu", "loss": "focal"}
    given |= {"optimizer": torch.optim.SGD, "lr": 0.05, "callbacks": [FirstBatch()]}
    given |= MODULES[name]
    seconds, begun = {"ranks": [], "one": []}, {"ranks": [], "one": []}
    for _ in range(N_ROUNDS):
        moved.clear()
        distributed.barrier()
        start = time.perf_counter()
        net = DistributedCBNeuralNetClassifier(batch_size=batch_size // 2, **given).fit(X, y)
        begun["ranks"].append(FirstBatch.time - start)
        seconds["ranks"] += net.history_[1:, "dur"]
        if distributed.get_rank() == 0:  # the other waits
            start = time.perf_counter()
            one = CBNeuralNetClassifier(batch_size=batch_size, **given).fit(X, y)
            begun["one"].append(FirstBatch.time - start)
            seconds["one"] += one.history_[1:, "dur"]
        distributed.barrier()
    if distributed.get_rank():
        return None
    apart = np.abs(net.decision_function(X[:256]) - one.decision_function(X[:256])).max()
    n_steps = sum(len(row["batches"]) for row in net.history_)
    return {
        "gradient": sum(p.numel() * 4 for p in net.module_.parameters()),
        "moved": sum(moved) / n_steps,
        "apart": float(apart),
        "logits": float(np.abs(one.decision_function(X[:256])).max()),
        "epoch": statistics.median(seconds["ranks"]) / statistics.median(seconds["one"]),
        "begun": statistics.median(begun["ranks"]) - statistics.median(begun["one"]),
    }


def run_as_rank(path):
    torch.set_num_threads(1)
    moved = count_bytes()
    X, y = data("MLP, 64-64-10")
    DistributedCBNeuralNetClassifier(max_epochs=1, device="cpu").fit(X, y)  # has them meet
    found = {name: measure(name, moved) for name in MODULES}
    if distributed.get_rank() == 0:
        path.write_text(json.dumps(found))


def run_growing(path):
    """Write what a rank's processor does for an epoch, and averages a step, of the same rows."""
    torch.set_num_threads(1)
    moved, (X, y) = count_bytes(), data(GROWING)
    batch_size, n_epochs = SIZES[GROWING][3], 4
    given = {"max_epochs": n_epochs, "random_state": 0, "device": "cpu"} | MODULES[GROWING]
    given["batch_size"] = batch_size // int(os.environ["WORLD_SIZE"])
    DistributedCBNeuralNetClassifier(**given | {"max_epochs": 1}).fit(X, y)
    moved.clear()
    start = os.times().user
    net = DistributedCBNeuralNetClassifier(**given).fit(X, y)
    seconds = (os.times().user - start) / n_epochs
    if os.environ["RANK"] == "0":
        n_steps = sum(len(row["batches"]) for row in net.history_)
        path.write_text(json.dumps((seconds, sum(moved) / n_steps)))


def launched(how, n_ranks):
    """Return what rank 0 of so many has written."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += [f"--nproc-per-node={n_ranks}", __file__, how, str(path)]
        subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
        return json.loads(path.read_text())


def size(n_bytes):
    return f"{n_bytes / 1e6:.3f} MB"


def main():
    found = launched("--rank", 2)
    print(f"torch {torch.__version__}, Python {platform.python_version()}, gloo, 1 thread a rank")
    print("Measured, beside one process of one thread with batches twice as large:")
    print(f"{'module':25}{'gradient':>11}{'averaged':>11}{'apart':>10}{'epoch':>8}{'begins':>10}")
    print(f"{'':25}{'':11}{'a step':>11}{'logits':>10}{'ratio':>8}{'later':>10}")
    for name, case in found.items():
        later = f"{case['begun'] * 1000:.0f} ms"
        print(
            f"{name:25}{size(case['gradient']):>11}{size(case['moved']):>11}"
            f"{case['apart'] / case['logits']:>10.0e}{case['epoch']:>8.2f}{later:>10}"
        )
    print("ResNet-8 has BatchNorm, whose means are those of a rank's rows.")
    print("\nExpected of n ranks, not measured: what each sends a step, 2 (n - 1) / n gradients.")
    print(f"{'module':25}" + "".join(f"{f'{n} ranks':>12}" for n in (2, 4, 8, 64)))
    for name, case in found.items():
        sent = [2 * (n - 1) / n * case["gradient"] for n in (2, 4, 8, 64)]
        print(f"{name:25}" + "".join(f"{size(each):>12}" for each in sent))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rank", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--growing", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.growing:
        run_growing(given.growing)
    else:
        run_as_rank(given.rank) if given.rank else main()
