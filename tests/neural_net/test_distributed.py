"""Several ranks train a net as one process does, and none waits for another that is lost."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import accelerate
import numpy as np
import pytest
from skorch.hf import AccelerateMixin

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import DistributedCBNeuralNetClassifier, TrainingCheckpoint

pytestmark = pytest.mark.engines

SCRIPT = Path(__file__).parents[1] / "_script_of_ranks.py"
LAWS = re.findall(r"^@law\ndef (\w+)\(", SCRIPT.read_text(), re.MULTILINE)
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]


class Mixed(AccelerateMixin, CBNeuralNetClassifier):
    pass


def environment(**more):
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"} | more


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


def run_beside(folder, how):
    """Run two ranks without torchrun, which would end one when the other does; return rank 0."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        given = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    given |= {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    command = [sys.executable, SCRIPT, folder, how]
    processes = [
        subprocess.Popen(
            command,
            env=environment(**given, RANK=rank, LOCAL_RANK=rank),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        return processes[0].wait(60), processes[0].stderr.read()
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("killed", "rank 1, which hangs or was killed."),
        ("hanging", "rank 1, which hangs or was killed."),
        ("failing", "rank 1, which ended with ZeroDivisionError: in a callback."),
        ("interrupted", "rank 1, which ended with KeyboardInterrupt."),
    ],
)
def test_a_rank_that_is_lost_ends_the_others(folder, how, sentence):
    code, said = run_beside(folder, how)
    assert code == 1
    got = "All ranks must go on within timeout=6 seconds of each other, got no more from "
    assert said.strip().splitlines()[-1].endswith(got + sentence)


def test_processes_that_have_lost_a_rank_say_so_at_once(folder):
    command = [*TORCHRUN, SCRIPT, folder, "again"]
    subprocess.run(command, env=environment(), capture_output=True, timeout=60, check=True)
    lost = "rank 1, which ended with ZeroDivisionError: in a callback"
    for rank, others in enumerate(("", "|another rank, which did not start")):
        assert re.fullmatch(
            "The processes of all ranks must be started anew once one is lost, got another fit "
            rf"after the loss of ({lost}{others})\.",
            (folder / f"again {rank}").read_text(),
        )


def test_a_rank_that_does_not_start_ends_the_others(folder):
    code, said = run_beside(folder, "late")
    assert code == 1
    assert "All ranks must start within timeout=6 seconds of each other, got 2 that are to" in said


def test_torchrun_ends_when_a_rank_hangs(folder):
    command = [*TORCHRUN, SCRIPT, folder, "hanging"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "got no more from rank 1, which hangs or was killed." in done.stderr


@pytest.fixture(scope="module")
def laws(folder):
    """Return what each of two ranks has found of each law, after a training that was killed."""
    run_beside(folder, "killed")
    command = [*TORCHRUN, SCRIPT, folder, "laws"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=300)
    found = [json.loads((folder / f"rank {rank}.json").read_text()) for rank in (0, 1)]
    return found, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize("name", LAWS)
def test_law(laws, name):
    found, said = laws
    for rank, results in enumerate(found):
        assert results.get(name, said) == "holds", f"on rank {rank}"


def test_without_torchrun_it_is_the_net():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 30, 15])
    X = rng.normal(size=(105, 5)).astype(np.float32)
    given = {"max_epochs": 12, "batch_size": 16, "random_state": 0, "device": "cpu"}
    net = DistributedCBNeuralNetClassifier(**given).fit(X, y)
    other = CBNeuralNetClassifier(**given).fit(X, y)
    np.testing.assert_array_equal(net.predict_proba(X), other.predict_proba(X))
    assert net.history_[:, "train_loss"] == other.history_[:, "train_loss"]


def test_skorchs_mixin_works_before_our_net_in_one_process(tmp_path):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [60, 30, 15])
    X = rng.normal(size=(105, 5)).astype(np.float32)
    given = {"max_epochs": 12, "batch_size": 16, "random_state": 0}
    other = CBNeuralNetClassifier(**given, device="cpu").fit(X, y)
    for placed in (True, False):
        accelerator = accelerate.Accelerator(cpu=True, device_placement=placed)
        net = Mixed(accelerator=accelerator, device=None if placed else "cpu", **given)
        net.set_params(callbacks=[TrainingCheckpoint(tmp_path)])
        for _ in range(2):
            np.testing.assert_allclose(
                net.fit(X, y).predict_proba(X), other.predict_proba(X), 1e-5
            )
            np.testing.assert_array_equal(net.predict(X), other.predict(X))
    with pytest.raises(ValueError, match="DistributedCBNeuralNetClassifier takes it"):
        net.set_params(batch_transform=abs).fit(X, y)


def test_its_repr_shows_what_was_changed():
    assert repr(DistributedCBNeuralNetClassifier()) == "DistributedCBNeuralNetClassifier()"
    net = DistributedCBNeuralNetClassifier(timeout=60, beta=0.9, lr=0.1)
    assert repr(net) == "DistributedCBNeuralNetClassifier(timeout=60, beta=0.9, lr=0.1)"
