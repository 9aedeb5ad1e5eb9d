"""Prove and measure all of the package on a GPU, one step after the other, in some minutes.

Run as `benchmarks/gpu/run.sh OUT`. Each step is a process with a time limit of its own. What it
prints is in OUT at once, and a line in OUT/steps.jsonl when it ends. A step that fails or takes
too long does not stop the next one. Cut off, or with steps that failed, the same command goes on:
it leaves out what is done. Exits 1 if a step failed.

`--steps` and `--skip` take numbers or names, with commas between. `--device cpu --tiny` rehearses
all of it without a GPU, in a minute or two.
"""

import argparse
import importlib.util
import json
import math
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
GRACE = 8  # seconds to end in, when a step's time is up
SPARE = 20  # seconds that a CIFAR run has, after --minutes, to come to a checkpoint
OUT_OF_TIME = 124
N_LINES = 15  # of a failed step's log
TINY_SEARCH = """
import sys
sys.path.insert(0, "benchmarks")
import stacked_search
stacked_search.make_data.__defaults__ = (2000,)
stacked_search.MLP_64["max_epochs"] = 1
stacked_search.main()
"""
TOUCH_GPU = "import torch; torch.zeros(1, device='cuda').add_(1).item()"


class Step(NamedTuple):
    name: str
    log: str  # few files in all: some steps share one
    limit: float  # seconds
    command: list
    goes_on: bool = False  # takes --minutes, and says if there is more to run


def script(name, *options):
    return [sys.executable, f"benchmarks/{name}.py", *options]


def tests(args):
    """Return the command for the tests that are skipped without a GPU, by their names."""
    files = sorted(
        str(path.relative_to(ROOT))
        for path in ROOT.glob("tests/**/test_*.py")
        if path.stem == "test_cuda" or "cuda.is_available" in path.read_text()
    )
    choice = ["-k", "cuda or gpu", "-m", "slow or not slow", "--continue-on-collection-errors"]
    how = ["-v", "--no-header", "-rfE", "--tb=short", "--durations=8", "-W", "default"]
    how += ["-p", "no:cacheprovider"]
    if args.device == "cuda" and importlib.util.find_spec("xdist"):
        how += ["-p", "xdist.plugin", "-n", "4"]
    return [sys.executable, "-m", "pytest", *files, *choice, *how]


def cifar(args, results, *options, net="resnet"):
    options = ["--net", net, *options]
    if args.tiny:
        options = ["--net", net, "--small", "--epochs", "3", "--methods", "cb_focal"]
    elif args.data:
        options = [str(args.data), *options]
    return script(
        "cifar_lt/train",
        *options,
        *("--device", args.device, "--jobs", str(args.jobs)),
        *("--results", str(args.out / results)),
        *("--logits", str(args.work / "logits"), "--checkpoints", str(args.work / "checkpoints")),
    )


def all_steps(args):
    device = ["--device", args.device]
    tiny = ["--tiny"] if args.tiny else []
    tiny_losses = ["--loss", "softmax", "--seconds", "0.02"] if args.tiny else []
    tiny_training = ["--rounds", "1", "--case", "mlp-10"] if args.tiny else []
    search = script("stacked_search", *device)
    if args.tiny:
        search = [sys.executable, "-c", TINY_SEARCH, *device]
        search += ["--growth", "--rounds", "1"] if args.device == "cpu" else []
    half = ["--autocast", "bfloat16"]
    part = ["--dataset", "cifar10", "--imbalance-factor", "100", "--epochs", "100"]
    seeds = ["--seeds", *map(str, range(5))]
    fast = cifar(args, "speedrun.jsonl", *part, *seeds, *half, net="airbench")
    only_cifar10 = args.data and not any(args.data.glob("cifar100*"))
    part = ["--dataset", "cifar10"] if only_cifar10 else []
    papers = cifar(args, "cifar.jsonl", *part, *half)
    return [
        Step("machine", "1-machine.log", 60, script("gpu/machine", *device, *tiny)),
        Step("tests", "2-tests.log", 150, tests(args)),
        Step("losses", "3-losses.log", 110, script("losses", *device, *tiny_losses)),
        Step("training", "4-5-training.log", 80, script("training", *device, *tiny_training)),
        Step("search", "4-5-training.log", 60, search),
        Step("speedrun", "6-7-cifar.log", 120, fast, goes_on=True),
        Step("cifar", "6-7-cifar.log", math.inf, papers, goes_on=True),
    ]


# ---------------------------------------------------------------------- one step


def execute(command, log, limit, environment):
    """Run a command, its output at the end of the log; return its exit status."""
    with log.open("a") as file:
        file.write(f"$ {shlex.join(command)}\n")
        file.flush()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return OUT_OF_TIME
        finally:
            end(process)


def end(process):
    """End a process and those that it started: first as Ctrl-C does."""
    for sign, patience in ((signal.SIGINT, GRACE), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)


@contextmanager
def mps(environment):
    """Start NVIDIA's MPS, by which processes share a GPU; yield their environment, None without.

    No setting of the GPU is changed.
    """
    program = shutil.which("nvidia-cuda-mps-control")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mps-", ignore_cleanup_errors=True) as folder:
        environment = environment | {
            "CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe",
            "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log",
        }
        for name in ("pipe", "log"):
            (Path(folder) / name).mkdir()

        def call(*command, text=None):
            """Return what a program says; None if it fails. A daemon is not waited for."""
            with (Path(folder) / "said").open("w+") as said:
                how = {"input": text, "text": True, "stdout": said, "stderr": said}
                try:
                    subprocess.run(command, env=environment, timeout=30, check=True, **how)
                except (subprocess.SubprocessError, OSError):
                    return None
                said.seek(0)
                return said.read()

        if call(program, "-d") is None:
            yield None
            return
        try:
            works = call(sys.executable, "-c", TOUCH_GPU) is not None
            works = works and (call(program, text="get_server_list\n") or "").strip()
            yield environment if works else None
        finally:
            call(program, text="quit\n")


# ---------------------------------------------------------------------- all steps


def read_done(path, form):
    """Return the names of the steps that were done in this form."""
    records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    last = {record["name"]: record for record in records if record["form"] == form}
    return {name for name, record in last.items() if record["rc"] == 0 and not record["more"]}


def run_steps(steps, names, args):
    """Run what is not done; return a row for each step, and the ends of the failed steps' logs."""
    begin = time.monotonic()
    form = args.device + (", tiny" if args.tiny else "")
    path = args.out / "steps.jsonl"
    done = read_done(path, form)
    plain = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(":"),
    }
    shared, table, failed = None, [], {}
    with ExitStack() as stack:
        for number, step in enumerate(steps, 1):
            if step.name not in names:
                continue
            label = f"{number} {step.name}"
            if step.name in done:
                table.append((label, "done before", ""))
                continue
            environment = plain
            if step.goes_on and args.device == "cuda":
                if shared is None:
                    under = stack.enter_context(mps(plain))
                    shared = under or plain
                    print("With MPS." if under else "Without MPS.", flush=True)
                environment = shared
            start = time.monotonic()
            left = begin + 60 * args.minutes - GRACE - start
            limit = left if args.tiny else min(step.limit, left)
            if limit < (2 * SPARE if step.goes_on else 5):
                table.append((label, "no time", ""))
                continue
            command = step.command
            if step.goes_on:
                command = [*command, "--minutes", f"{(limit - SPARE) / 60:.2f}"]
            log = args.out / step.log
            before = log.stat().st_size if log.exists() else 0
            print(f"{label}: {shlex.join(command)}", flush=True)
            rc = execute(command, log, limit, environment)
            seconds = round(time.monotonic() - start, 1)
            said = log.read_bytes()[before:].decode(errors="replace")
            record = {
                "name": step.name,
                "form": form,
                "command": shlex.join(command),
                "rc": rc,
                "seconds": seconds,
                "more": step.goes_on and "runs left" in said,
                "mps": environment is not plain,
            }
            with path.open("a") as file:
                file.write(json.dumps(record) + "\n")
            status = {0: "ok", OUT_OF_TIME: "out of time"}.get(rc, f"failed, {rc}")
            table.append((label, status + (", runs left" if record["more"] else ""), seconds))
            if rc:
                failed[label] = said.splitlines()[-N_LINES:]
    return table, failed


def parse():
    parser = argparse.ArgumentParser(
        prog="run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, metavar="OUT")
    parser.add_argument("--minutes", type=float, default=9, help="in all (default: 9)")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="each step at a toy size")
    parser.add_argument("--data", type=Path, metavar="DATA", help="CIFAR, as train.py takes it")
    parser.add_argument("--jobs", type=int, help="CIFAR runs side by side (default: 8, CPU: 1)")
    parser.add_argument("--steps", metavar="1,2,...", default="", help="only these")
    parser.add_argument("--skip", metavar="1,2,...", default="", help="all but these")
    parser.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="for logits and checkpoints (default: a temporary one of this OUT)",
    )
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.jobs = args.jobs or (8 if args.device == "cuda" else 1)
    if args.work is None:
        mark = sha256(str(args.out).encode()).hexdigest()[:8]
        args.work = Path(tempfile.gettempdir()) / f"sk_cbloss-{mark}"
    args.work = args.work.resolve()
    args.data = args.data and args.data.resolve()
    return args


def chosen(steps, args):
    """Return the names of the steps to run."""
    known = {key: step.name for n, step in enumerate(steps, 1) for key in (str(n), step.name)}

    def names(text):
        words = [word for word in text.split(",") if word]
        for word in words:
            if word not in known:
                sys.exit(f"run.sh: a step must be one of {', '.join(known)}, got {word!r}.")
        return {known[word] for word in words}

    return (names(args.steps) or set(known.values())) - names(args.skip)


def stop(*_):
    sys.exit(143)


def main():
    args = parse()
    steps = all_steps(args)
    names = chosen(steps, args)
    args.out.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also for a job in the background
    table, failed = run_steps(steps, names, args)
    print(f"\n{'step':12} {'status':24} seconds")
    for label, status, seconds in table:
        print(f"{label:12} {status:24} {seconds:>7}")
    for label, lines in failed.items():
        print(f"\n{label}, the end of its log:", *lines, sep="\n")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
