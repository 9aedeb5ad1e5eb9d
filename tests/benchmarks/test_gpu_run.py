"""The one command for a GPU, rehearsed without one."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "gpu"
NAMES = ["machine", "tests", "losses", "training", "search", "speedrun", "cifar"]
PEERS = "balanced_loss", "cbloss", "imbalanced_losses"

spec = importlib.util.spec_from_file_location("gpu_run", SCRIPTS / "run.py")
gpu_run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(gpu_run)


def run(folder, *arguments):
    options = ["--device", "cpu", "--tiny", "--minutes", "30", "--work", folder / "work"]
    return subprocess.run(
        [SCRIPTS / "run.sh", folder / "out", *options, *arguments],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )


def records(folder):
    return [json.loads(line) for line in (folder / "out" / "steps.jsonl").read_text().splitlines()]


def files(folder):
    return {path.name: path.stat().st_mtime_ns for path in (folder / "out").iterdir()}


@pytest.mark.slow
def test_all_steps_at_a_toy_size_and_none_twice(tmp_path):
    expected, left_out = list(NAMES), []
    if not all(importlib.util.find_spec(name) for name in PEERS):
        expected.remove("losses")
        left_out = ["--skip", "losses"]
    done = run(tmp_path, *left_out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(record["name"], record["rc"]) for record in records(tmp_path)] == [
        (name, 0) for name in expected
    ]
    assert len(files(tmp_path)) <= 8
    for name in ("speedrun.jsonl", "cifar.jsonl"):
        lines = (tmp_path / "out" / name).read_text().splitlines()
        assert all(json.loads(line)["test_error"] < 100 for line in lines)
        assert lines
    log = (tmp_path / "out" / "1-machine.log").read_text()
    assert json.loads(log[log.index("{") :])["copy_gb_per_s"] > 0

    before = files(tmp_path)
    again = run(tmp_path, *left_out)
    assert again.returncode == 0
    assert again.stdout.count("done before") == len(expected)
    assert files(tmp_path) == before


@pytest.mark.slow
def test_a_step_that_fails_does_not_stop_the_next_and_is_run_again(tmp_path):
    broken = tmp_path / "out" / "speedrun.jsonl"
    broken.parent.mkdir()
    broken.write_text("{\n")
    done = run(tmp_path, "--steps", "6,cifar")
    assert done.returncode == 1
    assert [(record["name"], record["rc"]) for record in records(tmp_path)] == [
        ("speedrun", 1),
        ("cifar", 0),
    ]
    assert "must be the JSON of one result" in done.stdout.split("the end of its log:")[1]
    broken.unlink()
    assert run(tmp_path, "--steps", "6,cifar").returncode == 0
    assert [record["name"] for record in records(tmp_path)] == ["speedrun", "cifar", "speedrun"]


@pytest.mark.slow
def test_a_step_that_takes_too_long_is_ended_with_its_children(tmp_path, monkeypatch):
    code = """
import pathlib, subprocess, sys, time
child = "import pathlib, time; time.sleep(60); pathlib.Path('ended').touch()"
child = subprocess.Popen([sys.executable, "-c", child])
print(child.pid, flush=True)
time.sleep(60)
"""
    monkeypatch.chdir(tmp_path)
    rc = gpu_run.execute([sys.executable, "-c", code], tmp_path / "log", 2, os.environ)
    assert rc == gpu_run.OUT_OF_TIME
    assert not (tmp_path / "ended").exists()
    (pid,) = (line for line in (tmp_path / "log").read_text().splitlines() if line.isdigit())
    for _ in range(100):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            break
        time.sleep(0.1)
    else:
        pytest.fail("a child lives on")


def test_an_unknown_step_is_one_sentence(tmp_path):
    done = run(tmp_path, "--steps", "8")
    assert done.returncode == 1
    assert done.stderr.startswith("run.sh: a step must be one of 1, machine, 2, tests,")
    assert not (tmp_path / "out").exists()


CONTROL = """#!/bin/sh
echo "$CUDA_MPS_PIPE_DIRECTORY $@" >> "$SAID"
if [ "$1" = -d ]; then (setsid sh -c 'sleep 5; echo > "$SAID.ended"' &); exit STATUS; fi
read word
echo "$word" >> "$SAID"
if [ "$word" = get_server_list ]; then echo SERVERS; fi
"""


@pytest.mark.parametrize(
    ("status", "servers", "touch", "works"),
    [
        ("0", "4321", "pass", True),
        ("1", "4321", "pass", False),
        ("0", "", "pass", False),
        ("0", "4321", "raise ValueError", False),
    ],
    ids=["works", "does not start", "is not used", "breaks the GPU"],
)
def test_mps_is_used_if_it_works_and_ended(status, servers, touch, works, tmp_path, monkeypatch):
    program = tmp_path / "nvidia-cuda-mps-control"
    program.write_text(CONTROL.replace("STATUS", status).replace("SERVERS", servers))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(gpu_run, "TOUCH_GPU", touch)
    environment = os.environ | {"SAID": str(tmp_path / "said")}
    with gpu_run.mps(environment) as found:
        assert (found is not None) == works
        if works:
            assert Path(found["CUDA_MPS_PIPE_DIRECTORY"]).is_dir()
    assert not (tmp_path / "said.ended").exists()  # it does not wait for a daemon
    said = (tmp_path / "said").read_text().splitlines()
    assert said[0].endswith("pipe -d")
    assert (said[-1] == "quit") == (status == "0")


def test_without_mps(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with gpu_run.mps({}) as found:
        assert found is None
