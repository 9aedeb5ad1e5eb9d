"""Time losses of a FusedLinear head beside torch's linear layer and cross entropy.

Run as `python benchmarks/many_classes.py`; `--check` exits 1 if a target is missed. What is timed
is head, loss and backward. Memory is the peak of a process of its own that does so twice, above
what it holds before: features, the head, and a weight and a prior for each class.
"""

import argparse
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import torch
from _timing import medians_of, repeated, use_threads
from torch import nn

from sk_cbloss import ClassBalancedCrossEntropyLoss, LogitAdjustedLoss
from sk_cbloss.losses import FusedLinear


class Cut(nn.Module):
    """torch's own way: the logits of all rows, and their weighted cross entropy."""

    def __init__(self, class_count):
        super().__init__()
        self.loss = nn.CrossEntropyLoss(1 / class_count.float(), reduction="sum")

    def forward(self, logits, target):
        return self.loss(logits, target) / len(target)


def softmax(class_count):
    return ClassBalancedCrossEntropyLoss(1 / class_count.float())


def logit_adjusted(class_count):
    return LogitAdjustedLoss(class_prior=class_count.float())


SIDES = {
    "torch": (nn.Linear, Cut),
    "softmax": (FusedLinear, softmax),
    "logit-adjusted": (FusedLinear, logit_adjusted),
    "logit-adjusted, Linear": (nn.Linear, logit_adjusted),
}
# rows, features, classes: the largest ratio of times of softmax and logit-adjusted that will do.
CASES = {
    (128, 64, 10): 1.35,
    (512, 128, 1_000): 1.1,
    (128, 128, 100_000): 1.1,
    (1024, 128, 50_000): 1.0,
    (1024, 128, 100_000): 1.0,
}
LARGEST = 1024, 128, 1_000_000  # of which torch's own side would take 10 GiB: ours alone
LARGEST_MIB = 2560


def step(side, n_samples, n_features, n_classes):
    torch.manual_seed(0)
    make_head, make_loss = SIDES[side]
    head = make_head(n_features, n_classes)
    loss = make_loss(torch.arange(1, n_classes + 1))
    features = torch.randn(n_samples, n_features, requires_grad=True)
    target = torch.randint(n_classes, (n_samples,))

    def run():
        features.grad = None
        head.zero_grad()
        value = loss(head(features), target)
        value.backward()
        return value.item()

    return run


def peak(side, *case):
    """Return the peak MiB of a process of its own, and what of it one step took."""
    command = [sys.executable, __file__, "--peak", side, *map(str, case)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return map(float, done.stdout.split())


def report_peak(side, *case):
    run = step(side, *map(int, case))
    before = most_so_far()
    run()
    run()
    print(most_so_far(), most_so_far() - before)


def most_so_far():
    """Return the most MiB that this process has held (getrusage starts with its parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="exit 1 if a target is missed")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peak", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        return report_peak(*arguments.peak)
    n_threads = torch.get_num_threads()
    use_threads(n_threads)
    print(f"Python {platform.python_version()}, torch {version('torch')}, {n_threads} threads")
    print("Linear + cross_entropy of torch = 1; time, and memory of a step")
    missed = False
    for case, target in CASES.items():
        runs = {side: step(side, *case) for side in SIDES}
        value = runs["torch"](), runs["softmax"]()
        assert abs(value[0] - value[1]) <= 1e-5 * abs(value[0]), value
        calls = max(1, 10**6 // (case[0] * case[2]))
        sides = {side: repeated(run, calls) for side, run in runs.items()}
        seconds = medians_of(sides, arguments.rounds)
        memory = {side: list(peak(side, *case))[1] for side in SIDES if case[2] >= 50_000}
        print("{} x {} -> {:,} classes".format(*case))
        for side in list(SIDES)[1:]:
            ratio = seconds[side] / seconds["torch"]
            line = f"  {side:<24}{ratio:>6.2f}"
            if side in ("softmax", "logit-adjusted"):
                missed |= ratio > target
                line += f" <= {target}  {'met' if ratio <= target else 'MISSED'}"
            if memory:
                line += f"   memory {memory[side] / memory['torch']:.2f}"
            print(line)
    print("{} x {} -> {:,} classes, peak of the whole process".format(*LARGEST))
    for side in "softmax", "logit-adjusted":
        total, _ = peak(side, *LARGEST)
        missed |= total > LARGEST_MIB
        print(f"  {side:<24}{total:>6.0f} MiB <= {LARGEST_MIB}  ", end="")
        print("met" if total <= LARGEST_MIB else "MISSED")
    if arguments.check and missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
