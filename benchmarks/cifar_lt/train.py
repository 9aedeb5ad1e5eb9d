"""Train ResNet-32 on long-tailed CIFAR as the paper does, and write down the test errors.

Run as `python benchmarks/cifar_lt/train.py DATA`. DATA is a folder with a copy of CIFAR as
`fetch_cifar10_lt` and `fetch_cifar100_lt` take it; or with `train.webp`, `test.webp` and
`labels.npz`; or with images in `train/CLASS` and `test/CLASS`; or an .npz file of X_train,
y_train, X_test and y_test; or a folder that holds such a folder or file for each data set, by the
names cifar10 and cifar100. Of images given as arrays or mosaics, the first of each class are
taken. Without DATA, CIFAR is downloaded from OpenML, once.

All that is planned is run, in order: CIFAR-10-LT at imbalance factor 100, CIFAR-100-LT at 100,
CIFAR-10-LT at 10. `--dataset`, `--imbalance-factor`, `--methods` and `--seeds` take a part of it,
or something else. Each finished run adds a line to `--results`, and is not run again. With
`--minutes` the command stops at about that time, at a checkpoint; started again, it goes on,
within a run from that checkpoint. The test set is looked at once, after the last epoch; nothing is
chosen on it.

A seed stands for the same initial weights, order, crops and flips with every method (LDAM's head
is another one). A `drw_softmax` run is the softmax run up to the learning rate's first drop, and
branches off there; `post_hoc_la` is computed from the logits of softmax for the test images, which
are kept in `--logits`. Files of results from several machines are joined by appending one to the
other, and their logits and checkpoints put together; a line tells by `data` which copy of the
images it is of, and other images are refused.

On a GPU (not tried yet): `--autocast bfloat16 --jobs 8`, which trains 8 nets side by side. How
many are worth it, `--time-steps` says, and trains nothing. With `--autocast`, the plan has one
run in single precision, as a control.

`--net airbench` is the speedrun: a net that trains in a fraction of the time, all ten methods on
CIFAR-10-LT at imbalance factor 100, 100 epochs, 5 seeds. `--net airbench96` is a larger one. How
they are trained, `_airbench.py` says. On a CPU, `--width 0.5 --epochs 30` is a size to take.

`--small` runs all methods on scikit-learn's digits with a shallow net, in about a minute; it needs
`--results FILE`, to keep its lines from those of the paper's recipe.
"""

import argparse
import math
import os
import platform
import shutil
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from multiprocessing import get_all_start_methods, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import numpy as np
import torch
from _airbench import BATCH_SIZE, airbench_recipe, normalized, some_mirrored
from _data import load
from _plan import (
    AFTER_SOFTMAX,
    METHODS,
    NAMES,
    NETS,
    PLAN,
    RESULTS,
    SPEEDRUN,
    SPEEDRUN_SEEDS,
    append_result,
    check_among,
    make_run,
    planned,
    read_results,
    with_control,
)
from skorch.callbacks import Callback

from sk_cbloss import CBNeuralNetClassifier, __version__, shot_recall_score
from sk_cbloss.neural_net import PadCropFlip, TrainingCheckpoint, cifar_recipe

SMALL = {"dataset": "digits", "imbalance_factor": 20, "epochs": 20, "seeds": [0]}
SMALL_SIZE = {"resnet": {"depth": 8}, "airbench": {"width": 0.25}, "airbench96": {"width": 0.125}}
BATCHES = 30  # of an epoch, when steps are timed


class Options(NamedTuple):
    """What a run's result does not depend on, or should not."""

    data: str | None = None
    device: str = "auto"
    jobs: int = 1
    logits: Path = Path("logits")
    checkpoints: Path = Path("checkpoints")
    deadline: float = math.inf


class CannotRun(Exception):
    """A run that comes to nothing, which does not concern the others."""


class OutOfTime(Exception):
    """A run that goes on another time."""


class SameOrder(Callback):
    """Draw order, crops and flips from the seed alone, however the head was made."""

    def __init__(self, seed):
        self.seed = seed

    def on_train_begin(self, net, **kwargs):
        torch.manual_seed(self.seed)  # of fit's own fork of the generators

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


class StopInTime(Callback):
    """Break off at a checkpoint, if the next one would come too late."""

    # Not parameters: a training is the same one whenever it stops.
    deadline, every = math.inf, 1

    def on_train_begin(self, net, **kwargs):
        self.since_ = time.time()

    def on_epoch_begin(self, net, **kwargs):
        if (len(net.history) - 1) % self.every:
            return
        now = time.time()
        if 2 * now - self.since_ > self.deadline:
            raise OutOfTime
        self.since_ = now

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


# ---------------------------------------------------------------------- one run


def make_net(run, options, X):
    """Return the net of a run, with its callbacks."""
    recipe = recipe_of(run, X)
    recipe["callbacks"].append(("order", SameOrder(run.seed)))
    device = device_of(options)
    return CBNeuralNetClassifier(
        loss=run.loss,
        beta=run.beta,
        gamma=run.gamma,
        random_state=run.seed,
        autocast=run.autocast,
        device=device,
        channels_last=device.startswith("cuda") or run.net != "resnet",
        **recipe,
    )


def recipe_of(run, X):
    """Return parameters of the net, all but the loss's, that go with the images."""
    if run.net != "resnet":
        return airbench_recipe(run, X)
    recipe = cifar_recipe(depth=run.depth, max_epochs=run.epochs, deferred=run.is_deferred)
    if run.dataset == "digits":  # smaller, and another digit in the mirror
        recipe["batch_transform"] = PadCropFlip(padding=1, fill=-1.0, flip=False)
    return recipe


def images_of(run, options):
    """Return the data as the run's net takes them."""
    data = load(run.dataset, run.imbalance_factor, options.data)
    return data if run.net == "resnet" else normalized(data)


def device_of(options):
    if options.device != "auto":
        return options.device
    return "cuda" if torch.cuda.is_available() else "cpu"


def execute(run, options):
    """Train, or go on with, a run; return what was found, or None if there was no time."""
    data = images_of(run, options)
    if run.method == "post_hoc_la":
        start = time.perf_counter()
        logits = read_logits(run.of_method("softmax"), data, options)
        logits -= np.log(np.bincount(data.y))
        seconds = time.perf_counter() - start
    else:
        branch = branching_point(run, data, options)
        try:
            net = train(run, data, branch, options)
        except OutOfTime:
            return None
        except FloatingPointError as error:
            raise CannotRun(str(error)) from None
        # In half precision, near ties would all go to the lower class, which is the larger one.
        logits = net.set_params(autocast=None).decision_function(data.X_test)
        write_logits(run, logits, data, options)
        seconds = sum(net.history[run.first_drop if branch else 0 :, "dur"])  # its own epochs
    predicted = logits.argmax(axis=1)
    counts = np.bincount(data.y)
    recall = shot_recall_score(data.y_test, predicted, class_count=dict(enumerate(counts)))
    return {
        "n_train": len(data.y),
        "data": data.fingerprint,
        "test_error": round(100 * float((predicted != data.y_test).mean()), 4),
        "shot_recall": {
            shot: None if math.isnan(value) else round(value, 6) for shot, value in recall.items()
        },
        "seconds": round(seconds, 2),
        "device": device_name(options),
        "jobs": options.jobs,
        "versions": versions(),
        "command": command(run, options),
    }


def train(run, data, branch, options):
    device = device_of(options)
    if device.startswith("cuda"):
        torch.backends.cudnn.allow_tf32 = False  # single precision is to be single precision
        torch.backends.cudnn.benchmark = run.net != "resnet"  # all its batches are of one size
    folder = options.checkpoints / run.name
    every = max(n for n in range(1, 11) if run.first_drop % n == 0)
    checkpoint = TrainingCheckpoint(folder, every=every, keep=None, start_from=branch)
    stop = StopInTime()
    stop.deadline, stop.every = options.deadline, every
    net = make_net(run, options, data.X)
    net.set_params(callbacks=[*net.callbacks, ("stop", stop), ("checkpoint", checkpoint)])
    alternates = run.net != "resnet" and run.dataset != "digits"
    net.fit(some_mirrored(data.X, run.seed) if alternates else data.X, data.y)
    if not (checkpoint.folder_ / f"epoch-{run.epochs:05}.safetensors").exists():
        raise KeyboardInterrupt  # which skorch takes for the end of a training
    return net


def branch_file(softmax, fingerprint, options):
    return options.checkpoints / f"{softmax.name}-{fingerprint}.safetensors"


def branching_point(run, data, options):
    """Return the checkpoint that a run begins with; None if it begins anew."""
    if run.method != "drw_softmax":
        return None
    path = branch_file(run.of_method("softmax"), data.fingerprint, options)
    if path.exists():
        return path
    print(f"{run.name} has no softmax run to branch off from, and begins anew.", flush=True)
    return None


def keep_branch(run, fingerprint, options):
    """Of a finished softmax run, keep the checkpoint that a deferred one branches off from."""
    if run.method == "softmax":
        folder = options.checkpoints / run.name
        for path in folder.glob(f"*/epoch-{run.first_drop:05}.safetensors"):
            path.replace(branch_file(run, fingerprint, options))


def logits_file(run, data, options):
    return options.logits / f"{run.name}-{data.fingerprint}.npz"


def write_logits(run, logits, data, options):
    options.logits.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        logits_file(run, data, options),
        logits=logits.astype(np.float32),
        y_test=data.y_test.astype(np.int16),
    )


def read_logits(run, data, options):
    path = logits_file(run, data, options)
    if not path.exists():
        raise CannotRun(f"post_hoc_la must have the logits of softmax, got no {path}.")
    with np.load(path) as file:
        return file["logits"].astype(np.float64)


def device_name(options):
    device = device_of(options)
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else device


def versions():
    others = {name: version(name) for name in ("torch", "skorch", "scikit-learn", "numpy")}
    return {"sk_cbloss": __version__, **others, "python": platform.python_version()}


def command(run, options):
    """Return what trains the same run again."""
    words = ["python benchmarks/cifar_lt/train.py"]
    words += ["DATA"] if run.dataset != "digits" else []
    words += [f"--dataset {run.dataset} --imbalance-factor {run.imbalance_factor:g}"]
    words += ["--methods", *(["softmax"] if run.method in AFTER_SOFTMAX else []), run.method]
    words += [f"--depth {run.depth}" if run.net == "resnet" else f"--net {run.net}"]
    words += [f"--width {run.width:g}"] if run.width != 1 else []
    words += [f"--epochs {run.epochs}"]
    words += [f"--autocast {run.autocast}"] if run.autocast else []
    words += ["--results FILE"] if run.dataset == "digits" else []
    return " ".join([*words, f"--seeds {run.seed}"])


# ---------------------------------------------------------------------- many runs


class ThisProcess:
    """An executor that does at once what it is given."""

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def submit(self, function, *args):
        future = Future()
        try:
            future.set_result(function(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def executor(jobs):
    if jobs == 1:
        return ThisProcess()
    threads = max(1, torch.get_num_threads() // jobs)
    return ProcessPoolExecutor(jobs, context(), _begin_worker, (threads,))


def context():
    """Return how processes are started: where it can be, from one that has imported all."""
    if "forkserver" not in get_all_start_methods():
        return get_context("spawn")
    found = get_context("forkserver")
    found.set_forkserver_preload(["sk_cbloss.neural_net", "sk_cbloss.datasets"])
    return found


def _begin_worker(threads):
    torch.set_num_threads(threads)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent():
    parent_process().join()
    os._exit(1)  # a parent that was killed could not say so


def run_all(runs, options, *, jobs, results):
    """Run what has no line in the results yet; return the number of runs left and failed."""
    done = read_results(results)
    waiting = [run for run in runs if run not in done]
    running, failed, n_stopped = {}, 0, 0
    with executor(jobs) as pool:
        while running or (waiting and time.time() < options.deadline):
            while len(running) < jobs and time.time() < options.deadline:
                run = next_of(waiting, running.values())
                if run is None:
                    break
                waiting.remove(run)
                running[pool.submit(execute, run, options)] = run
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                run = running.pop(future)
                try:
                    found = future.result()
                except BrokenProcessPool:
                    raise
                except Exception as error:  # of one run: the others' results are to be kept
                    print(f"{run.name} failed: {type(error).__name__}: {error}", flush=True)
                    failed += 1
                    continue
                if found is None:
                    n_stopped += 1
                    continue
                keep_branch(run, found["data"], options)
                append_result(results, run, found)
                shutil.rmtree(options.checkpoints / run.name, ignore_errors=True)
                print(
                    f"{run.name}: test error {found['test_error']:.2f} %, "
                    f"{found['seconds']:.0f} s",
                    flush=True,
                )
    return len(waiting) + n_stopped, failed


def next_of(waiting, running):
    """Return the first run that need not wait for another."""
    busy = {*waiting, *running}
    for run in waiting:
        if run.method not in AFTER_SOFTMAX or run.of_method("softmax") not in busy:
            return run
    return None


# ---------------------------------------------------------------------- time of a step


class TimeFromSecondEpoch(Callback):
    """Start the watch when all processes have warmed up."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            _together.wait(timeout=900)
            self.start_ = time.perf_counter()

    def on_train_end(self, net, **kwargs):
        self.seconds_ = time.perf_counter() - self.start_


def _meet_at(barrier, threads):
    global _together
    _together = barrier
    torch.set_num_threads(threads)


def timed(run, options, n_batches):
    rng = np.random.default_rng(0)
    n_samples = n_batches * (128 if run.net == "resnet" else BATCH_SIZE)
    X = rng.random((n_samples, 3, 32, 32), dtype=np.float32) * 2 - 1
    y = np.arange(len(X)) % 10
    watch = TimeFromSecondEpoch()
    net = make_net(run, options, X)
    net.set_params(callbacks=[*net.callbacks, ("watch", watch)]).fit(X, y)
    return watch.seconds_


def time_steps(n_steps, processes, options, **how):
    """Print how many steps a second so many processes take side by side."""
    n_batches = min(BATCHES, n_steps)
    n_epochs = math.ceil(n_steps / n_batches)
    run = make_run("cifar10", 100, "softmax", 0, **how | {"epochs": 1 + n_epochs})
    print(f"processes  steps a second   ({run.net}, depth {run.depth}, {device_name(options)})")
    for n in processes:
        arguments = (context().Barrier(n), max(1, torch.get_num_threads() // n))
        with ProcessPoolExecutor(n, context(), _meet_at, arguments) as pool:
            fits = [pool.submit(timed, run, options, n_batches) for _ in range(n)]
            seconds = max(fit.result() for fit in fits)
        print(f"{n:9}  {n * n_epochs * n_batches / seconds:14.1f}", flush=True)


# ---------------------------------------------------------------------- command line


def parse(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", nargs="?", metavar="DATA")
    parser.add_argument("--dataset", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--imbalance-factor", type=float, metavar="IF")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help=", ".join(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, metavar="N")
    parser.add_argument("--net", default="resnet", metavar="NAME", help=", ".join(NETS))
    parser.add_argument("--depth", type=int, help="of the ResNet; default: 32")
    parser.add_argument("--width", type=float, metavar="SHARE", help="of the other nets' channels")
    parser.add_argument("--epochs", type=int, help="default: 200; of the other nets, 100")
    parser.add_argument("--small", action="store_true", help="digits, a small net, 20 epochs")
    parser.add_argument("--results", type=Path, metavar="FILE")
    parser.add_argument("--logits", type=Path, metavar="FOLDER", help="default: beside results")
    parser.add_argument(
        "--checkpoints", type=Path, metavar="FOLDER", help="default: beside results"
    )
    parser.add_argument("--list", action="store_true", help="only print what is left to run")
    parser.add_argument("--minutes", type=float, default=math.inf, help="to stop after")
    parser.add_argument("--jobs", type=int, default=1, help="runs side by side")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--autocast", choices=["bfloat16", "float16"])
    parser.add_argument(
        "--time-steps", type=int, nargs="?", const=300, metavar="N", help="default: 300"
    )
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 4, 8], metavar="N")
    args = parser.parse_args(arguments)
    check_among("--net", args.net, NETS)
    of_another = "depth" if args.net != "resnet" else "width"
    if getattr(args, of_another) is not None:
        raise ValueError(f"--{of_another} must not be given with --net {args.net}.")
    if args.small:
        for name, value in (SMALL | SMALL_SIZE[args.net]).items():
            if getattr(args, name) is None:
                setattr(args, name, value)
    if args.width is not None and not 0 < args.width <= 1:
        raise ValueError(f"--width must be above 0 and at most 1, got {args.width:g}.")
    if args.dataset == "digits" and args.results is None:
        raise ValueError("digits must have --results FILE, got none.")
    for name in ("jobs", "time_steps", "depth", "imbalance_factor", "processes"):
        value = getattr(args, name)
        if value is not None and np.min(value) < 1:
            raise ValueError(f"--{name.replace('_', '-')} must be at least 1, got {value}.")
    if args.epochs is not None and args.epochs < 3:
        raise ValueError(f"--epochs must be at least 3, to have a drop, got {args.epochs}.")
    args.results = args.results or RESULTS
    args.logits = args.logits or args.results.parent / "logits"
    args.checkpoints = args.checkpoints or args.results.parent / "checkpoints"
    args.how = {
        "net": args.net,
        "depth": args.depth,
        "width": args.width or 1.0,
        "epochs": args.epochs,
        "autocast": args.autocast,
    }
    return args


def check_data(runs, place, results):
    """Raise a ValueError if data are not there, or not those that the results are of."""
    for dataset, factor in dict.fromkeys((run.dataset, run.imbalance_factor) for run in runs):
        found = load(dataset, factor, place).fingerprint
        for run, result in results.items():
            same_set = (run.dataset, run.imbalance_factor) == (dataset, factor)
            if same_set and result["data"] != found:
                raise ValueError(
                    f"DATA must be the copy of {dataset} that the results are of, "
                    f"{result['data']}, got another one, {found}: write to other --results."
                )


def chosen(args):
    """Return the runs that are asked for."""
    for method in args.methods or ():
        check_among("--methods", method, METHODS)
    is_speedrun = args.net != "resnet"
    settings = {
        (dataset, factor): first
        for (dataset, factor), first in (SPEEDRUN if is_speedrun else PLAN).items()
        if args.dataset in (None, dataset) and args.imbalance_factor in (None, factor)
    }
    if not settings:
        dataset = args.dataset or "cifar10"
        check_among("--dataset", dataset, NAMES)
        usual = SMALL["imbalance_factor"] if dataset == "digits" else 100
        factor = args.imbalance_factor or usual
        settings = {(dataset, factor): ()}
    seeds = args.seeds or (range(SPEEDRUN_SEEDS) if is_speedrun else None)
    runs = planned(settings, args.methods, seeds, **args.how)
    is_part = args.dataset or args.imbalance_factor or args.methods or seeds
    return runs if is_part else with_control(runs)


def main(arguments=None):
    args = parse(arguments)
    options = Options(
        args.data,
        args.device,
        args.jobs,
        args.logits,
        args.checkpoints,
        time.time() + 60 * args.minutes,
    )
    if args.time_steps:
        time_steps(args.time_steps, args.processes, options, **args.how)
        return 0
    runs, done = chosen(args), read_results(args.results)
    left = [run for run in runs if run not in done]
    if args.list or not left:
        print(*(run.name for run in left), f"{len(left)} of {len(runs)} runs left.", sep="\n")
        return 0
    check_data(left, args.data, done)
    n_left, n_failed = run_all(runs, options, jobs=args.jobs, results=args.results)
    if n_left:
        print(f"{n_left} of {len(runs)} runs left: the same command goes on with them.")
    return int(n_failed > 0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"train.py: {error}")
    except BrokenProcessPool:
        sys.exit("train.py: a process was killed, for lack of memory perhaps; run it again.")
    except KeyboardInterrupt:
        sys.exit("train.py: interrupted; the same command goes on.")
