"""What there is to run, and the file of what was run; `train.py` and `tables.py` share it."""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl"

NAMES = {"cifar10": "CIFAR-10-LT", "cifar100": "CIFAR-100-LT", "digits": "long-tailed digits"}

# The published settings: of the class-balanced losses for a data set, and of LDAM for both.
BETAS = {"cifar10": 0.9999, "cifar100": 0.9, "digits": 0.99}
LDAM_BETA = 0.9999
FOCAL_GAMMA = 1.0

# Each method's loss, and whether it weights classes; in the order in which they are run.
METHODS = {
    "softmax": ("softmax", False),
    "cb_focal": ("focal", True),
    "post_hoc_la": ("softmax", False),  # logit adjustment of what softmax has learned
    "drw_softmax": ("softmax", True),
    "balanced_softmax": ("logit_adjusted", False),
    "ldam_drw": ("ldam", True),
    "cb_sigmoid": ("sigmoid", True),
    "cb_softmax": ("softmax", True),
    "sigmoid": ("sigmoid", False),
    "focal": ("focal", False),
}
DEFERRED = ("drw_softmax", "ldam_drw")  # weight from the learning rate's first drop on
AFTER_SOFTMAX = ("drw_softmax", "post_hoc_la")  # begin where the softmax run of their seed is

# Layers with weights of each net, and for how many epochs it is trained.
NETS = {"resnet": (32, 200), "airbench": (8, 100), "airbench96": (11, 100)}

# Data set and imbalance factor, in the order in which they are run, and what comes first there.
PLAN = {("cifar10", 100): (), ("cifar100", 100): (), ("cifar10", 10): ("softmax", "cb_sigmoid")}
N_SEEDS = 3
SPEEDRUN, SPEEDRUN_SEEDS = {("cifar10", 100): ()}, 5  # of any net but the ResNet
MORE_SEEDS = {("cifar10", 100, "softmax"): 5, ("cifar10", 100, "cb_focal"): 5}

# What the tables show of a result, beside its error.
SHOWN = "shot_recall", "n_train", "device", "command"


@dataclass(frozen=True)
class Run:
    """All that a result depends on, but for the data themselves and the machine."""

    dataset: str
    imbalance_factor: float
    method: str
    loss: str
    beta: float
    gamma: float | None
    seed: int
    depth: int
    epochs: int
    autocast: str | None
    net: str = "resnet"  # lines of results from before there were others lack it
    width: float = 1.0  # share of the net's usual channels

    @property
    def name(self):
        parts = [
            self.dataset,
            f"if{self.imbalance_factor:g}",
            self.method,
            f"seed{self.seed}",
            f"depth{self.depth}" if self.net == "resnet" else self.net,
            f"epochs{self.epochs}",
            self.autocast or "float32",
        ]
        parts += [] if self.width == 1 else [f"width{self.width:g}"]
        return "-".join(parts)

    @property
    def is_deferred(self):
        return self.method in DEFERRED

    @property
    def first_drop(self):
        """Number of epochs before the learning rate's first drop."""
        return int(0.8 * self.epochs + 0.5)

    def of_method(self, method):
        """Return the run of another method that is the same in all else."""
        return make_run(
            self.dataset,
            self.imbalance_factor,
            method,
            self.seed,
            depth=self.depth,
            epochs=self.epochs,
            autocast=self.autocast,
            net=self.net,
            width=self.width,
        )


def make_run(
    dataset,
    imbalance_factor,
    method,
    seed,
    *,
    depth=None,
    epochs=None,
    autocast=None,
    net="resnet",
    width=1.0,
):
    """Return a run, with the published settings of its method, and its net's usual size."""
    check_among("dataset", dataset, NAMES)
    check_among("method", method, METHODS)
    check_among("net", net, NETS)
    loss, is_weighted = METHODS[method]
    beta = (LDAM_BETA if method == "ldam_drw" else BETAS[dataset]) if is_weighted else 0
    gamma = FOCAL_GAMMA if loss == "focal" else None
    usual_depth, usual_epochs = NETS[net]
    how = depth or usual_depth, epochs or usual_epochs, autocast, net, width
    return Run(dataset, imbalance_factor, method, loss, beta, gamma, seed, *how)


def check_among(name, value, known):
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}.")


def planned(settings=PLAN, methods=None, seeds=None, **how):
    """Return the runs of the settings, in order; methods and seeds are the plan's by default."""
    runs = []
    for dataset, imbalance_factor in settings:
        first = settings[dataset, imbalance_factor]
        for method in methods or dict.fromkeys((*first, *METHODS)):
            n_seeds = MORE_SEEDS.get((dataset, imbalance_factor, method), N_SEEDS)
            for seed in seeds or range(n_seeds):
                runs.append(make_run(dataset, imbalance_factor, method, seed, **how))
    return list(dict.fromkeys(runs))


def with_control(runs):
    """Add a run in single precision after those of the first setting, if they are in half."""
    if runs[0].autocast is None:
        return runs
    single = Run(**asdict(runs[0]) | {"autocast": None})
    n_first = sum(
        (run.dataset, run.imbalance_factor) == (single.dataset, single.imbalance_factor)
        for run in runs
    )
    return [*runs[:n_first], single, *runs[n_first:]]


# ---------------------------------------------------------------------- results

NAMES_OF_FIELDS = {field.name for field in fields(Run)}


def read_results(path):
    """Return the results in a file of JSON lines, by run; a ValueError names a broken line."""
    path = Path(path)
    results = {}
    for number, line in enumerate(path.read_text().splitlines() if path.exists() else [], 1):
        if not line:
            continue
        where = f"Line {number} of {path}"
        try:
            result = json.loads(line)
            run = Run(**{name: result[name] for name in NAMES_OF_FIELDS & result.keys()})
            is_whole = math.isfinite(result["test_error"]) and {"data", *SHOWN} <= result.keys()
        except (ValueError, TypeError, KeyError):
            is_whole = False
        if not is_whole:
            raise ValueError(
                f"{where} must be the JSON of one result, got {line[:60]!r}: remove it to have "
                "its run run again."
            )
        check_among(f"{where}: dataset", run.dataset, NAMES)
        check_among(f"{where}: method", run.method, METHODS)
        check_among(f"{where}: net", run.net, NETS)
        if results.setdefault(run, result)["test_error"] != result["test_error"]:
            raise ValueError(f"{where} must not be a second result of a run, got {run.name}.")
    return results


def append_result(path, run, found):
    """Add a line for a finished run."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    before = path.read_text() if path.exists() else ""
    with path.open("a") as file:
        file.write("\n" if before and not before.endswith("\n") else "")
        file.write(json.dumps(asdict(run) | found) + "\n")
