"""Time the losses, forward and backward, beside packages and torch calls that compute the same.

Run as `python benchmarks/losses.py`; `--check` exits 1 if a target is missed, `--loss focal` takes
one loss alone. Needs `pip install balanced-loss==0.1.1 cbloss==0.2.0 imbalanced-losses==0.6.0`.

Focal losses have gamma=2. Before a pair is timed, its values and gradients are compared; a peer
that computes something else is timed too, but has no target. Then both sides are called in turn,
each first every other time. A ratio is our median over the peer's: below 1, ours is faster.

`--device cuda` instead prints microseconds on a GPU, forward and backward: of a call from Python,
which waits for launches where the batch is small, and of a call replayed from a CUDA graph, which
is the kernels' time alone. Ours is timed as it is and, at the size that has targets, as
torch.compile makes it; `--compile-seconds` bounds that. No two calls of a graph share logits or a
gradient. Beside it stands how near that comes to copying the least that a loss must read and
write. A peer whose call makes the CPU wait for the GPU cannot be in a graph, so its formula is
timed too without what waits.
"""

import argparse
import gc
import json
import math
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from sk_cbloss import (
    ClassBalancedMultiLabelLoss,
    class_balanced_label_weight,
    class_balanced_weight,
)
from sk_cbloss.losses import LOSSES

try:
    import balanced_loss
    import cbloss.loss
    import imbalanced_losses
except ImportError:
    pins = "balanced-loss==0.1.1 cbloss==0.2.0 imbalanced-losses==0.6.0"
    sys.exit(f"The losses that ours are timed against are not all here: pip install {pins}")

SHAPES = (128, 10), (128, 100), (512, 1000), (128, 8142), (4096, 1000)
SMALLEST = SHAPES[0]  # where what is around the arithmetic takes the time
CUDA_SHAPES = (1024, 8142), (8192, 1000), (128, 10)
CUDA_LOSSES = "focal", "sigmoid", "softmax", "softmax_focal"
CUDA_TARGET = {"times as fast as the best peer": 4.0, "of the speed of copying": 0.70}
TARGET_SHAPE = CUDA_SHAPES[0]
N_IN_GRAPH = 8  # calls, each on its own logits: together, more than a GPU's cache holds
BETA = 0.99
LARGE = 512 * 1000
N_WARMUP = 3


def target(loss, peer, shape):
    """Return the largest ratio to a peer that is good enough, or None."""
    n_elements = math.prod(shape)
    match loss, peer:
        case "focal", _:
            return 0.40 if n_elements >= LARGE else 0.60 if shape == SMALLEST else None
        case "sigmoid", "balanced-loss":
            return 0.60
        case "softmax", "balanced-loss":
            return 0.55
        case "softmax", "torch":
            return 1.15 if n_elements >= LARGE else 1.35 if shape == SMALLEST else None
        case "multi_label", "torch":
            return 1.30 if n_elements >= LARGE else None


MEMORY_TARGET = {"focal": 2.5}
WITH_MEMORY = "focal", "sigmoid", "softmax", "multi_label", "multi_label_focal"

# ---------------------------------------------------------------------- both sides


class Batch(NamedTuple):
    logits: torch.Tensor
    label: torch.Tensor  # of each row; or, of several a row, a matrix of 0 and 1
    count: np.ndarray
    weight: torch.Tensor

    @property
    def n_classes(self):
        return self.logits.shape[1]


def make_batch(shape, device="cpu", dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(shape, generator=generator)
    label = torch.randint(shape[1], shape[:1], generator=generator).to(device)
    count = np.geomspace(5000, 5, shape[1]).astype(int)
    weight = torch.from_numpy(class_balanced_weight(count, beta=BETA)).float().to(device)
    return Batch(logits.to(device, dtype).requires_grad_(), label, count, weight)


def make_batch_of_labels(shape, device="cpu", dtype=torch.float32):
    """Return a batch of rows that have several labels, rare ones and common ones."""
    batch = make_batch(shape, device, dtype)
    generator = torch.Generator().manual_seed(1)
    share = torch.logspace(math.log10(0.3), -3, shape[1])
    label = (torch.rand(shape, generator=generator) < share).float().to(device)
    return batch._replace(label=label, count=(10_000 * share).int().numpy())


def batch_for(loss, shape):
    if loss not in OF_LABELS:
        return make_batch(shape)
    batch = make_batch_of_labels(shape)
    if loss == "multi_label_unknown":
        generator = torch.Generator().manual_seed(2)
        batch.label[torch.rand(shape, generator=generator) < 0.1] = torch.nan
    return batch


def ours(loss, batch):
    if loss in OF_LABELS:
        module = ClassBalancedMultiLabelLoss(weight_of_labels(batch), **OF_LABELS[loss])
        return module.to(batch.logits.device)
    parameters = {"gamma": 2} if loss.endswith("focal") else {}
    module = LOSSES[loss].from_class_count(batch.count, beta=BETA, **parameters)
    return module.float().to(batch.logits.device)


def of_balanced_loss(kind):
    return lambda batch: balanced_loss.Loss(
        kind, beta=BETA, fl_gamma=2, samples_per_class=batch.count, class_balanced=True
    )


def of_cbloss(make):
    def build(batch):
        n_classes = batch.n_classes
        module = cbloss.loss.ClassBalancedLoss(batch.count, BETA, n_classes, make(n_classes))
        module.weights = module.weights.to(batch.logits.device)
        return module

    return build


def imbalanced_sigmoid_focal(batch):
    module = imbalanced_losses.SigmoidFocalLoss(alpha=-1, gamma=2, reduction="sum")

    def call(logits, label):
        weight = batch.weight[label].unsqueeze(1)
        one_hot = F.one_hot(label, batch.n_classes).float()
        return module(logits, one_hot, sample_weight=weight) / len(label)

    return call


def imbalanced_softmax_focal(batch):
    module = imbalanced_losses.SoftmaxFocalLoss(alpha=batch.weight, gamma=2, reduction="sum")
    return lambda logits, label: module(logits, label) / len(label)


def balanced_focal_ready(batch):
    def call(logits, label):
        one_hot = F.one_hot(label, batch.n_classes).float()
        weight = batch.weight[label].unsqueeze(1)
        return balanced_loss.losses.focal_loss(logits, one_hot, weight, 2)

    return call


def imbalanced_focal_unchecked(batch):
    module = imbalanced_losses.SigmoidFocalLoss(alpha=-1, gamma=2, reduction="none")

    def call(logits, label):
        weight = batch.weight[label].unsqueeze(1)
        one_hot = F.one_hot(label, batch.n_classes).float()
        return (module(logits, one_hot) * weight).sum() / len(label)

    return call


def torch_sigmoid(batch):
    def call(logits, label):
        weight = batch.weight[label].unsqueeze(1)
        one_hot = F.one_hot(label, batch.n_classes).float()
        total = F.binary_cross_entropy_with_logits(logits, one_hot, weight, reduction="sum")
        return total / len(label)

    return call


def torch_softmax(batch):
    return lambda logits, label: F.cross_entropy(logits, label, batch.weight)


def weight_of_labels(batch):
    """Return weights of each label's two sides, that of the negative side 1, as torch has it."""
    weight = class_balanced_label_weight(batch.count, 10_000, beta=BETA)
    return torch.from_numpy(weight / weight[:, :1]).float()


def torch_multi_label(batch):
    return torch.nn.BCEWithLogitsLoss(pos_weight=weight_of_labels(batch)[:, 1])


def torch_smoothed(batch):
    with_it = weight_of_labels(batch)[:, 1]

    def call(logits, label):
        weight = 1 + (with_it - 1) * label  # of the side that the label says
        label = (1 - SMOOTHING) * label + SMOOTHING / 2
        return F.binary_cross_entropy_with_logits(logits, label, weight)

    return call


def torch_masked(batch):
    with_it = weight_of_labels(batch)[:, 1]

    def call(logits, label):
        known = ~label.isnan()
        label = label.nan_to_num()
        each = F.binary_cross_entropy_with_logits(
            logits, label, pos_weight=with_it, reduction="none"
        )
        return (each * known).sum() / known.sum()

    return call


def torchvision_focal(batch):
    with_it = weight_of_labels(batch)[:, 1]

    def call(logits, label):
        p = torch.sigmoid(logits)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, label, reduction="none")
        p_t = p * label + (1 - p) * (1 - label)
        alpha_t = with_it * label + (1 - label)
        return (alpha_t * (cross_entropy * (1 - p_t) ** 2)).mean()

    return call


class Peer(NamedTuple):
    build: Callable  # from a batch: the function of logits and label
    note: str = ""
    scale: Callable = lambda batch: 1  # what to multiply with to get our value


REFERENCE = {"torch": Peer(torch_softmax, "another function, beside ours as a known cost", None)}
PEERS = {
    "focal": {
        "balanced-loss": Peer(of_balanced_loss("focal_loss")),
        "imbalanced-losses": Peer(imbalanced_sigmoid_focal),
    },
    "sigmoid": {
        "balanced-loss": Peer(
            of_balanced_loss("binary_cross_entropy"),
            "divides by N * C: compared times C",
            lambda batch: batch.n_classes,
        ),
        "torch": Peer(
            torch_sigmoid,
            "binary_cross_entropy_with_logits of a one-hot target, beside ours as a known cost",
        ),
    },
    "softmax": {
        "balanced-loss": Peer(of_balanced_loss("cross_entropy")),
        "torch": Peer(
            torch_softmax,
            "cross_entropy divides by the batch's sum of weights: compared times that over N",
            lambda batch: batch.weight[batch.label].mean(),
        ),
        "cbloss": Peer(of_cbloss(lambda n: torch.nn.CrossEntropyLoss(reduction="none"))),
    },
    "softmax_focal": {
        "cbloss": Peer(of_cbloss(lambda n: cbloss.loss.FocalLoss(n, gamma=2, reduction="none"))),
        "imbalanced-losses": Peer(imbalanced_softmax_focal),
    },
    "multi_label": {"torch": Peer(torch_multi_label, "BCEWithLogitsLoss(pos_weight)")},
    "multi_label_smoothed": {
        "torch": Peer(torch_smoothed, "binary_cross_entropy_with_logits of smoothed targets")
    },
    "multi_label_unknown": {
        "torch": Peer(torch_masked, "the same, with a mask, a tenth of the targets unknown")
    },
    "multi_label_focal": {
        "torchvision's form": Peer(
            torchvision_focal, "its sigmoid_focal_loss, with two alphas a label"
        )
    },
} | dict.fromkeys(("logit_adjusted", "ldam", "cdt", "vs"), REFERENCE)
SMOOTHING = 0.1
OF_LABELS = {
    "multi_label": {},
    "multi_label_smoothed": {"label_smoothing": SMOOTHING},
    "multi_label_unknown": {},
    "multi_label_focal": {"gamma": 2},
}
WITHOUT_WAITING = {
    "focal": {
        "balanced-loss, no wait": Peer(
            balanced_focal_ready, "its focal_loss, given the weights, which its module makes anew"
        ),
        "imbalanced-losses, no wait": Peer(
            imbalanced_focal_unchecked, "its module, but weighted outside, where none is checked"
        ),
    },
}


def value_and_gradient(function, batch, scale=1):
    value = function(batch.logits, batch.label) * scale
    return value.detach(), torch.autograd.grad(value, batch.logits)[0]


def difference(own, other, batch, peer):
    """Return in words how a peer's function differs from ours, "" if it does not."""
    if peer.scale is None:
        return peer.note
    rtol = 1e-4 if batch.logits.dtype == torch.float32 else 1e-2
    expected = value_and_gradient(own, batch)
    found = value_and_gradient(other, batch, peer.scale(batch))
    for name, x, y in zip(("value", "gradient"), expected, found, strict=True):
        if not y.isfinite().all():
            return f"computes something else: its {name} is not finite"
        # Beside the largest one: small gradients have fewer digits, on either side.
        error = float((x - y).abs().max() / x.abs().max())
        if error > rtol:
            return f"computes something else: its {name} differs from ours by {error:.0e}"
    return ""


def in_float32(function):
    return lambda logits, label: function(logits.float(), label)


def both_sides(loss, batch, peers):
    """Return our function, the peers', and how those differ."""
    own, others, differs = ours(loss, batch), {}, {}
    for name, peer in peers.items():
        others[name] = peer.build(batch)
        if batch.logits.dtype != torch.float32:  # give it what ours makes of half precision
            others[name] = in_float32(others[name])
        differs[name] = difference(own, others[name], batch, peer)
    return own, others, differs


# ---------------------------------------------------------------------- measurements


def step(function, batch):
    """Make one forward and backward pass."""
    batch.logits.grad = None
    function(batch.logits, batch.label).backward()


def gradient(function, batch):
    return torch.autograd.grad(function(batch.logits, batch.label), batch.logits)[0]


def seconds(function, batch):
    batch.logits.grad = None  # freed before the clock runs
    start = time.perf_counter()
    step(function, batch)
    return time.perf_counter() - start


def ratio(own, other, batch, duration):
    """Return our median time over the other's; both are called in turn, at least 8 times."""
    for _ in range(N_WARMUP):
        seconds(own, batch), seconds(other, batch)
    times = []
    gc.collect()
    gc.disable()
    end = time.perf_counter() + duration
    while len(times) < 8 or time.perf_counter() < end:
        if len(times) % 2:
            times.append((seconds(own, batch), seconds(other, batch)))
        else:
            times.append((seconds(other, batch), seconds(own, batch))[::-1])
    gc.enable()
    own_times, other_times = zip(*times, strict=True)
    return statistics.median(own_times) / statistics.median(other_times)


def peak_memory(function, logits):
    """Return the peak of memory that torch allocates in a call, in units of the logits' size."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # or the profiler writes to stderr
    logits.grad = None
    cpu = torch.profiler.ProfilerActivity.CPU
    with torch.profiler.profile(activities=[cpu], profile_memory=True) as profile:
        function()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profile.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    events = sorted((e for e in events if e["name"] == "[memory]"), key=lambda e: e["ts"])
    held = np.cumsum([e["args"]["Bytes"] for e in events])  # below 0: what is freed
    return held.max() / (logits.numel() * logits.element_size())


def check_peak_memory():
    """Exit unless peak_memory agrees with what is counted by hand."""
    x = torch.randn(1000, 1000, requires_grad=True)
    kept = peak_memory(lambda: x.exp().sum().backward(), x)  # the exponential and the gradient
    freed = peak_memory(lambda: x.detach().exp().exp().exp(), x)  # three, of which two at a time
    if round(kept, 2) != 2 or round(freed, 2) != 2:
        sys.exit(f"Peak memory must be measured as 2 twice, got {kept:.2f} and {freed:.2f}.")


def microseconds(function, repeats):
    """Return the median time of a call on a GPU that has nothing else to do."""
    times = []
    for _ in range(N_WARMUP + repeats):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        function()
        end.record()
        torch.cuda.synchronize()
        times.append(1000 * start.elapsed_time(end))
    return statistics.median(times[N_WARMUP:])


def makes_the_cpu_wait(function):
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        function()
    except RuntimeError:
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False


def replayed(functions):
    """Return the microseconds that each takes in a CUDA graph of them all."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(N_WARMUP):
            functions[0]()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [function() for function in functions]  # or all would write to the same memory
    took = microseconds(graph.replay, repeats=15) / len(functions)
    del kept
    return took


def replayed_copies(batch):
    """Return the microseconds of copying what a loss must read and write: logits 3 times."""
    logits = batch.logits.detach().flatten()
    half_of_it = torch.cat([logits, logits[: len(logits) // 2]])  # the other half is written
    return replayed([half_of_it.clone().clone for _ in range(N_IN_GRAPH)])


# ---------------------------------------------------------------------- tables


class Verdicts:
    """Formats ratios and remembers those that meet their target, and those that miss it."""

    def __init__(self):
        self.met, self.missed = [], []

    def __call__(self, value, target, *where):
        if target is not None:
            lines, sign = (self.missed, ">") if value > target else (self.met, "<=")
            lines.append(f"{value:.2f} {sign} {target:.2f}  {', '.join(where)}")
        return f"{value:.2f}"


def row(label, cells):
    print(f"{label:<38}" + "".join(f"{cell:<19}" for cell in cells).rstrip(), flush=True)


def print_notes(peers, differs):
    notes = {(name, peer.note) for name, peer in peers.items()} | differs
    for name, note in sorted(notes):
        if note:
            print(f"  {name}: {note}", flush=True)


def time_table(loss, verdict, duration):
    print()
    row(f"{loss}, ours / peer", PEERS[loss])
    all_differs = set()
    for shape in SHAPES:
        batch = batch_for(loss, shape)
        own, others, differs = both_sides(loss, batch, PEERS[loss])
        all_differs |= set(differs.items())
        for n_threads in (1, 2):
            torch.set_num_threads(n_threads)
            case = f"{shape[0]} x {shape[1]}, threads: {n_threads}"
            cells = []
            for name, other in others.items():
                limit = None if differs[name] else target(loss, name, shape)
                found = ratio(own, other, batch, duration)
                cells.append(verdict(found, limit, loss, case, name))
            row(f"  {case}", cells)
    print_notes(PEERS[loss], all_differs)


def memory_table(losses, verdict):
    print("\npeak memory beyond the logits, in their size, gradient included")
    for loss in losses:
        batch = batch_for(loss, SHAPES[-1])
        functions = {"ours": ours(loss, batch)}
        functions |= {name: peer.build(batch) for name, peer in PEERS[loss].items()}
        for name, function in functions.items():
            peak = peak_memory(
                lambda f=function, b=batch: f(b.logits, b.label).backward(), batch.logits
            )
            limit = MEMORY_TARGET.get(loss) if name == "ours" else None
            row(f"  {loss}, {name}", [verdict(peak, limit, loss, "peak memory")])


class Compiler:
    """Compiles functions for as long as there is time."""

    def __init__(self, n_seconds):
        self.left = n_seconds

    def __call__(self, function, batch):
        """Return the compiled function, or None if there is none, or no time for it."""
        if self.left <= 0:
            return None
        start = time.perf_counter()
        torch._dynamo.reset()
        compiled = torch.compile(function, dynamic=False)
        try:
            gradient(compiled, batch)
        except RuntimeError as error:
            print(f"    cannot be compiled: {str(error)[:300]}")
            return None
        finally:
            self.left -= time.perf_counter() - start
        return compiled


class Times(NamedTuple):
    called: float
    replayed: float  # nan if the call cannot be in a graph


def cuda_times(function, batches):
    called = microseconds(partial(step, function, batches[0]), repeats=30)
    steps = [partial(gradient, function, batch) for batch in batches]
    if makes_the_cpu_wait(steps[0]):
        return Times(called, math.nan)
    try:
        return Times(called, replayed(steps))
    except RuntimeError as error:
        print(f"    no graph: {str(error)[:300]}")
        return Times(called, math.nan)


def cuda_row(name, times, own, copying):
    """Print microseconds, the speed of copying that was reached, and how much faster ours is."""
    numbers = [f"{time:.0f}" for time in times]
    numbers.append(f"{copying / times.replayed:.2f}")
    numbers += [f"{time / own_time:.2f}" for time, own_time in zip(times, own, strict=True)]
    cells = ("-" if number == "nan" else number for number in numbers)
    print(f"    {name:<28}" + "".join(f"{cell:>15}" for cell in cells), flush=True)


def cuda_verdicts(own, others, copying):
    """Print how ours compares with the fastest peer, called in the same way, and with a copy."""
    best = Times(*map(np.nanmin, zip(*others, strict=True)))
    faster, near = CUDA_TARGET
    found = {
        f"called, {faster}": [best.called / times.called for times in own.values()],
        f"replayed, {faster}": [best.replayed / times.replayed for times in own.values()],
        f"replayed, {near}": [copying / times.replayed for times in own.values()],
    }
    for what, values in found.items():
        limit = CUDA_TARGET[what.split(", ")[1]]
        verdict = "ok" if np.nanmax(values) >= limit else "MISSED"
        numbers = "; ".join(f"{name}: {x:.2f}" for name, x in zip(own, values, strict=True))
        print(f"    {verdict} ({what}: {limit:.2f}) {numbers}", flush=True)


def cuda_table(losses, compile_seconds, device="cuda"):
    compiler = Compiler(compile_seconds)
    print(f"{torch.cuda.get_device_name()}, microseconds")
    for loss in losses:
        peers = PEERS[loss] | WITHOUT_WAITING.get(loss, {})
        columns = "called", "replayed", "copy / this", "called / ours", "repl. / ours"
        print(f"\n{loss:<32}" + "".join(f"{column:>15}" for column in columns))
        all_differs = set()
        for shape, dtype in product(CUDA_SHAPES, (torch.bfloat16, torch.float32)):
            print(f"  {shape[0]} x {shape[1]}, {str(dtype).removeprefix('torch.')}", flush=True)
            batch = make_batch(shape, device, dtype)
            clones = [batch.logits.detach().clone().requires_grad_() for _ in range(N_IN_GRAPH)]
            batches = [batch._replace(logits=clone) for clone in clones]
            function, others, differs = both_sides(loss, batch, peers)
            copying = replayed_copies(batch)
            own = cuda_times(function, batches)
            cuda_row("ours", own, own, copying)
            all_own, all_others = {"ours": own}, []
            if shape == TARGET_SHAPE:
                compiled = compiler(function, batch)
                if compiled is not None:
                    times = cuda_times(compiled, batches)
                    cuda_row("ours, compiled", times, own, copying)
                    differs["ours, compiled"] = difference(function, compiled, batch, Peer(ours))
                    if not differs["ours, compiled"]:
                        all_own["ours, compiled"] = times
                elif compiler.left <= 0:
                    print("    ours, compiled: left out, the time to compile is up", flush=True)
            for name, other in others.items():
                times = cuda_times(other, batches)
                cuda_row(name, times, own, copying)
                if not differs[name]:
                    all_others.append(times)
            if shape == TARGET_SHAPE and all_others:
                cuda_verdicts(all_own, all_others, copying)
            all_differs |= set(differs.items())
        print_notes(peers, all_differs)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--loss", choices=PEERS, action="append", help="only this; repeatable")
    parser.add_argument("--seconds", type=float, default=0.8, help="that a pair is timed for")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--compile-seconds", type=float, default=35, help="on a GPU, at most")
    arguments = parser.parse_args()
    losses = arguments.loss or list(CUDA_LOSSES if arguments.device == "cuda" else PEERS)
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("--device cuda needs a GPU that torch can use, and there is none.")
    names = "torch", "balanced-loss", "cbloss", "imbalanced-losses"
    packages = ", ".join(f"{name} {version(name)}" for name in names)
    print(f"Python {platform.python_version()}, {packages}")
    if arguments.device == "cuda":
        cuda_table(losses, arguments.compile_seconds)
        return
    verdict = Verdicts()
    for loss in losses:
        time_table(loss, verdict, arguments.seconds)
    check_peak_memory()
    memory_table([loss for loss in losses if loss in WITH_MEMORY], verdict)
    for what, lines in (("met", verdict.met), ("missed", verdict.missed)):
        print(f"\ntargets {what}: {len(lines)}")
        for line in lines:
            print(f"  {line}")
    if arguments.check and verdict.missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
