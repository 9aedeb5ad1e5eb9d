"""The net on a GPU. Skipped, with this reason, where there is none."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
import torch

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.losses import LOSSES

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")

RNG = np.random.default_rng(0)
Y = np.repeat(["ant", "bee", "cat"], [140, 45, 15])
X = RNG.normal(size=(200, 5)) + np.repeat(np.eye(3, 5) * 2, [140, 45, 15], axis=0)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("own", [None, np.linspace(1, 2, 200)], ids=["", "weighted"])
def test_auto_takes_the_gpu_and_trains_as_the_cpu_does(loss, own):
    def fit(device):
        net = CBNeuralNetClassifier(loss=loss, device=device, dtype="float64", random_state=0)
        return net.fit(X, Y, sample_weight=own)

    on_gpu, on_cpu = fit("auto"), fit("cpu")
    assert next(on_gpu.module_.parameters()).is_cuda
    assert on_gpu.criterion_.weight.is_cuda
    assert on_gpu.get_params()["device"] == "auto"
    np.testing.assert_allclose(on_gpu.predict_proba(X), on_cpu.predict_proba(X), rtol=1e-6)


def test_sparse_features_and_cuda_tensors():
    expected = CBNeuralNetClassifier(random_state=0).fit(X, Y).predict_proba(X)
    for features in (scipy.sparse.csr_matrix(X), torch.from_numpy(X).cuda()):
        net = CBNeuralNetClassifier(random_state=0).fit(features, Y)
        np.testing.assert_allclose(net.predict_proba(features), expected, rtol=1e-4, atol=1e-6)


def test_same_seed_same_net_and_the_gpus_generator_untouched():
    torch.cuda.manual_seed(7)
    state = torch.cuda.get_rng_state()
    fits = [
        CBNeuralNetClassifier(random_state=0, module__dropout=0.5).fit(X, Y).predict_proba(X)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*fits)
    torch.testing.assert_close(torch.cuda.get_rng_state(), state)


@pytest.mark.filterwarnings("ignore::skorch.exceptions.DeviceWarning")
def test_a_pickle_from_the_gpu_loads_where_there_is_none(tmp_path):
    net = CBNeuralNetClassifier(random_state=0).fit(X, Y)
    file = tmp_path / "net.pkl"
    file.write_bytes(pickle.dumps((net, X)))
    script = f"""
import pickle
net, X = pickle.loads(open({str(file)!r}, "rb").read())
assert net.device == "cpu" and net.get_params()["device"] == "auto"
print(",".join(net.predict(X)))
"""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment
    )
    assert done.stdout.strip().split(",") == net.predict(X).tolist(), done.stderr
