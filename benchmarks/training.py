"""Time an epoch of training beside plain skorch and two hand-written loops.

Run as `python benchmarks/training.py`; `--check` exits 1 if a target is missed, `--case mlp-10`
takes one case alone, `--threads 2` lets torch use two, `--device cuda` takes a small MLP and the
paper's case, with augmentation, in full and in half precision. All sides train the same module
with the same optimizer on the same data, class weights included; before they are timed, a step of
ours and one of the optimal loop are compared. Each round trains every side for some epochs, in
another order each time; ours checks the data anew in each round. A ratio is our median over
theirs: below 1, ours is faster.

- *skorch*: `skorch.NeuralNetClassifier` as it comes, without validation.
- *DataLoader*: a hand-written loop over torch's `DataLoader(TensorDataset(X, y))`.
- *optimal*: a hand-written loop that cuts each batch out of tensors by an index, and asks for the
  loss once an epoch.
- *ours, plain*, on a GPU: our net without graphs. Ours with graphs captures them in each round.
"""

import argparse
import logging
import platform
import sys
from collections.abc import Callable
from contextlib import nullcontext
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import skorch
import torch
import torch.nn.functional as F
from _timing import Uncaptured, medians_of
from torch.utils.data import DataLoader, TensorDataset

from sk_cbloss import CBNeuralNetClassifier, class_balanced_weight
from sk_cbloss.neural_net import MLP, CifarResNet, PadCropFlip

BETA = 0.999
LR = 0.01
MOMENTUM = 0.9


class Case(NamedTuple):
    module: Callable
    arguments: dict
    shape: tuple  # of a sample
    n_classes: int
    n_samples: int
    batch_size: int
    n_epochs: int  # a round
    targets: dict  # the largest ratio to a side that is good enough
    device: str = "cpu"
    autocast: str | None = None
    transform: Callable | None = None


MLP_10 = Case(
    *(MLP, {"hidden_units": (64,)}, (20,), 10, 50_000, 128, 2),
    targets={"skorch": 0.45, "optimal": 1.25},
)
MLP_100 = Case(
    *(MLP, {"hidden_units": (256,)}, (64,), 100, 50_000, 512, 2),
    targets={"skorch": 0.45, "optimal": 1.12},
)
RESNET = Case(
    *(CifarResNet, {"depth": 32}, (3, 32, 32), 10, 512, 128, 1), targets={"optimal": 1.05}
)
CASES = {"mlp-10": MLP_10, "mlp-100": MLP_100, "resnet-32": RESNET}
# On a GPU: the largest ratio of ours without graphs to the optimal loop, and with graphs to both.
CUDA = {"device": "cuda", "n_epochs": 3, "targets": {"plain": 1.05, "optimal": 0.5, "graphs": 0.5}}
CIFAR = RESNET._replace(n_samples=12_406, transform=PadCropFlip(), **CUDA)
CUDA_CASES = {
    "mlp-10": MLP_10._replace(**CUDA),
    "cifar": CIFAR,
    "cifar, bfloat16": CIFAR._replace(autocast="bfloat16"),
}


def make_data(case):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((case.n_samples, *case.shape), dtype=np.float32)
    share = 100.0 ** -np.linspace(0, 1, case.n_classes)
    y = rng.choice(case.n_classes, case.n_samples, p=share / share.sum())
    y[: case.n_classes] = np.arange(case.n_classes)
    return X, y, rng.uniform(0.5, 1.5, case.n_samples).astype(np.float32)


class Loop:
    """What the two hand-written loops share."""

    def __init__(self, case, X, y, sample_weight=None):
        self.case = case
        torch.manual_seed(0)
        module = case.module(n_features=case.shape[0], n_classes=case.n_classes, **case.arguments)
        self.module = module.to(case.device, memory_format=layout(case)).train()
        self.optimizer = torch.optim.SGD(self.module.parameters(), lr=LR, momentum=MOMENTUM)
        weight = class_balanced_weight(np.bincount(y), beta=BETA)
        self.weight = torch.from_numpy(weight).float().to(case.device)
        self.data = [torch.from_numpy(array).to(case.device) for array in (X, y)]
        if sample_weight is not None:
            scaled = torch.from_numpy(sample_weight / sample_weight.mean())
            self.data.append(scaled.to(case.device))
        self.precision = nullcontext()
        if case.autocast:
            self.precision = torch.autocast(case.device, getattr(torch, case.autocast))

    def step(self, X, y, sample_weight=None):
        if self.case.transform:
            X = self.case.transform(X)
        if self.case.device == "cuda":
            X = X.contiguous(memory_format=layout(self.case))
        self.optimizer.zero_grad()
        with self.precision:
            logits = self.module(X)
        logits = logits.float()
        if sample_weight is None:
            loss = F.cross_entropy(logits, y, weight=self.weight, reduction="sum") / len(y)
        else:
            loss = F.cross_entropy(logits, y, weight=self.weight, reduction="none")
            loss = (loss * sample_weight).mean()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


def layout(case):
    return torch.channels_last if case.device == "cuda" else torch.contiguous_format


class Optimal(Loop):
    def __call__(self):
        for _ in range(self.case.n_epochs):
            total = torch.zeros((), device=self.case.device)
            order = torch.randperm(len(self.data[0])).to(self.case.device)
            for rows in order.split(self.case.batch_size):
                total += self.step(*(tensor[rows] for tensor in self.data)) * len(rows)
            float(total)


class HandWritten(Loop):
    def __call__(self):
        loader = DataLoader(TensorDataset(*self.data), self.case.batch_size, shuffle=True)
        for _ in range(self.case.n_epochs):
            total = 0.0
            for batch in loader:
                total += float(self.step(*batch)) * len(batch[0])


class Net:
    """A skorch net, plain or ours."""

    def __init__(self, case, X, y, sample_weight=None, *, ours):
        arguments = {f"module__{name}": value for name, value in case.arguments.items()}
        arguments |= {"lr": LR, "batch_size": case.batch_size, "max_epochs": case.n_epochs}
        arguments |= {"optimizer": torch.optim.SGD, "optimizer__momentum": MOMENTUM}
        arguments |= {"device": case.device}
        self.data = {"X": X, "y": y}
        if ours:
            self.net = ours(
                case.module,
                beta=BETA,
                random_state=0,
                autocast=case.autocast,
                channels_last=case.device == "cuda",
                batch_transform=case.transform,
                **arguments,
            )
            if sample_weight is not None:
                self.data["sample_weight"] = sample_weight
        else:
            weight = class_balanced_weight(np.bincount(y), beta=BETA)
            self.net = skorch.NeuralNetClassifier(
                case.module,
                module__n_features=case.shape[0],
                module__n_classes=case.n_classes,
                criterion=torch.nn.CrossEntropyLoss,
                criterion__weight=torch.from_numpy(weight).float(),
                train_split=None,
                iterator_train__shuffle=True,
                verbose=0,
                **arguments,
            )

    def __call__(self):
        self.net.partial_fit(**self.data)


def check_same(case, X, y, sample_weight):
    """Raise an error unless ours and the optimal loop learn the same from one batch."""
    case = case._replace(batch_size=-1, transform=None)
    some = [None if array is None else array[:640] for array in (X, y, sample_weight)]
    net = Net(case, *some, ours=CBNeuralNetClassifier)
    net.net.set_params(iterator_train__shuffle=False, max_epochs=0)
    net()
    loop = Optimal(case, *some)
    loop.module.load_state_dict(net.net.module_.state_dict())
    net.net.set_params(max_epochs=1)
    net()
    loop.weight.copy_(net.net.criterion_.weight)
    loop.step(*loop.data)
    for ours, theirs in zip(net.net.module_.parameters(), loop.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 if case.autocast else 1e-6)


def run_case(name, case, weighted, n_rounds):
    X, y, sample_weight = make_data(case)
    sample_weight = sample_weight if weighted else None
    check_same(case, X, y, sample_weight)
    data = (case, X, y, sample_weight)
    sides = {"ours": Net(*data, ours=CBNeuralNetClassifier), "optimal": Optimal(*data)}
    if case.device == "cuda":
        sides["ours, plain"] = Net(*data, ours=Uncaptured)
        return print_cuda(name, case, medians_of(sides, n_rounds))
    sides["DataLoader"] = HandWritten(*data)
    if not weighted:  # plain skorch takes no sample weights
        sides["skorch"] = Net(*data, ours=None)
    median = medians_of(sides, n_rounds)
    label = name + (", sample weights" if weighted else "")
    pairs = [("ours", peer, case.targets.get(peer)) for peer in list(sides)[1:]]
    return print_ratios(label, median, pairs)


def print_ratios(label, median, pairs, note=""):
    """Print a line for each pair of sides; return whether a target is missed."""
    missed = False
    for side, peer, target in pairs:
        ratio = median[side] / median[peer]
        verdict = (
            "" if target is None else f"<= {target:.2f} {'ok' if ratio <= target else 'MISSED'}"
        )
        missed |= target is not None and ratio > target
        shown = label if side == "ours" else f"{label}, without graphs"
        print(f"{shown:31} {peer:12} {ratio:6.2f}  {verdict}", flush=True)
    return missed


def print_cuda(name, case, median):
    pairs = [
        ("ours, plain", "optimal", case.targets["plain"]),
        ("ours", "optimal", case.targets["optimal"]),
        ("ours", "ours, plain", case.targets["graphs"]),
    ]
    missed = print_ratios(name, median, pairs)
    n_steps = case.n_epochs * -(-case.n_samples // case.batch_size)
    steps = [f"{side} {1e3 * median[side] / n_steps:.3f}" for side in median]
    print(f"  milliseconds a step: {'; '.join(steps)}", flush=True)
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--case", choices=CASES | CUDA_CASES)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    where = f"{args.threads} thread(s)"
    cases = CASES
    if args.device == "cuda":
        where, cases = torch.cuda.get_device_name(), CUDA_CASES
        logging.basicConfig(format="  %(message)s")
        logging.getLogger("sk_cbloss").setLevel("INFO")  # says if nothing is captured
    if args.case:
        cases = {args.case: cases[args.case]}
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "skorch"))
    print(f"{packages}, Python {platform.python_version()}, {where}")
    print(f"{'case':31} {'beside':12} {'ratio':>6}  target")
    missed = False
    for name, case in cases.items():
        for weighted in (False, True) if args.device == "cpu" else (False,):
            missed |= run_case(name, case, weighted, args.rounds)
    if args.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
