"""What training.py times: the same training by our net, scikit-learn, skorch and by hand."""

import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

import numpy as np
import skorch
import torch
import torch.nn.functional as F
from _timing import Uncaptured
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from torch.utils.data import DataLoader, TensorDataset

from sk_cbloss import CBNeuralNetClassifier, class_balanced_weight
from sk_cbloss.neural_net import MLP

BETA = 0.999
LR = 0.01
OPTIMIZERS = {"Adam": {}, "SGD": {"momentum": 0.9}}


class Case(NamedTuple):
    module: Callable
    arguments: dict
    shape: tuple  # of a sample
    n_classes: int
    n_samples: int
    batch_size: int
    n_epochs: int  # a fit
    targets: dict  # the largest ratio of two sides that is good enough; None: just print it
    optimizer: str = "Adam"
    n_fits: int = 1  # a round
    device: str = "cpu"
    autocast: str | None = None
    transform: Callable | None = None


def optimizer_of(case):
    return getattr(torch.optim, case.optimizer), OPTIMIZERS[case.optimizer]


def layout(case):
    return torch.channels_last if case.device == "cuda" else torch.contiguous_format


class Loop:
    """What the two hand-written loops share."""

    def __init__(self, case, X, y, sample_weight=None):
        self.case = case
        torch.manual_seed(0)
        module = case.module(n_features=case.shape[0], n_classes=case.n_classes, **case.arguments)
        dtype = torch.from_numpy(X).dtype
        self.module = module.to(case.device, dtype, memory_format=layout(case)).train()
        optimizer, settings = optimizer_of(case)
        fused = True if case.device == "cpu" else None
        self.optimizer = optimizer(self.module.parameters(), lr=LR, fused=fused, **settings)
        weight = class_balanced_weight(np.bincount(y), beta=BETA)
        self.weight = torch.from_numpy(weight).to(case.device, dtype)
        arrays = [X, y]
        if sample_weight is not None:
            arrays.append((sample_weight / sample_weight.mean()).astype(X.dtype))
        self.data = [torch.from_numpy(array).to(case.device) for array in arrays]
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
        logits = logits.to(self.weight.dtype)
        if sample_weight is None:
            loss = F.cross_entropy(logits, y, weight=self.weight, reduction="sum") / len(y)
        else:
            loss = F.cross_entropy(logits, y, weight=self.weight, reduction="none")
            loss = (loss * sample_weight).mean()
        loss.backward()
        self.optimizer.step()
        return loss.detach()


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

    def __init__(self, case, X, y, sample_weight=None, *, ours=CBNeuralNetClassifier, **params):
        optimizer, settings = optimizer_of(case)
        params |= {f"module__{name}": value for name, value in case.arguments.items()}
        params |= {"lr": LR, "batch_size": case.batch_size, "max_epochs": case.n_epochs}
        params |= {"optimizer": optimizer, "device": case.device}
        params |= {f"optimizer__{name}": value for name, value in settings.items()}
        self.data = {"X": X, "y": y}
        if sample_weight is not None:
            self.data["sample_weight"] = sample_weight
        if ours:
            self.net = ours(
                case.module,
                beta=BETA,
                random_state=0,
                autocast=case.autocast,
                channels_last=case.device == "cuda",
                batch_transform=case.transform,
                **params,
            )
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
                **params,
            )

    def __call__(self):
        self.net.fit(**self.data)


class FirstOfItsKind(Net):
    """Our net, with a module of a class of its own each time: nothing was recorded of it."""

    def __call__(self):
        self.net.set_params(module=type("MLP", (MLP,), {}))
        super().__call__()


class Sklearn:
    """scikit-learn's net, for all the epochs that it is told."""

    def __init__(self, case, X, y):
        self.data = X, y
        self.net = MLPClassifier(
            case.arguments["hidden_units"],
            solver="adam",
            alpha=0,
            learning_rate_init=LR,
            batch_size=case.batch_size,
            max_iter=case.n_epochs,
            n_iter_no_change=10**6,  # stops at no plateau
            random_state=0,
        )

    def __call__(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.net.fit(*self.data)


SIDES = {
    "ours": Net,
    "sample weights": Net,
    "focal": partial(Net, loss="focal"),
    "first of its kind": FirstOfItsKind,
    "without graphs": partial(Net, ours=Uncaptured),
    "MLPClassifier": Sklearn,
    "optimal": Optimal,
    "DataLoader": HandWritten,
    "skorch": partial(Net, ours=None),
}
