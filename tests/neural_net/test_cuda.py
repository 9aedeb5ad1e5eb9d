"""The net on a GPU. Skipped, with this reason, where there is none."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
import torch
from skorch.callbacks import Callback
from torch.utils.data import Subset

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.losses import LOSSES
from sk_cbloss.neural_net import (
    ArrayDataset,
    BatchLoader,
    CifarResNet,
    PadCropFlip,
    TrainingCheckpoint,
    cifar_recipe,
)

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


IMAGES = RNG.normal(size=(200, 3, 8, 8)).astype(np.float32)


def test_data_that_fit_live_on_the_gpu():
    dataset = ArrayDataset({"x": torch.from_numpy(X), "w": np.arange(200.0)}, np.arange(200))
    loader = BatchLoader(Subset(dataset, np.arange(150)), batch_size=64, shuffle=True)
    for features, target in loader.keep_on("cuda"):
        assert all(tensor.is_cuda for tensor in (*features.values(), target))
        torch.testing.assert_close(features["w"], target.double())
    sparse = BatchLoader(ArrayDataset(scipy.sparse.csr_array(X), np.arange(200)), batch_size=64)
    assert not next(iter(sparse.keep_on("cuda")))[0].is_cuda


@pytest.mark.parametrize("autocast", [None, "bfloat16", "float16"])
def test_the_papers_recipe_in_any_precision(autocast):
    recipe = cifar_recipe(depth=8, max_epochs=2)
    net = CBNeuralNetClassifier(autocast=autocast, channels_last=True, random_state=0, **recipe)
    assert np.isfinite(net.fit(IMAGES, Y).predict_proba(IMAGES)).all()


class Strict(Callback):
    """Make each wait for the GPU an error, from the second batch of an epoch to its last."""

    reads_batches = False

    def on_epoch_begin(self, net, **kwargs):
        self.n_batches = 0

    def on_grad_computed(self, net, **kwargs):
        self.n_batches += 1
        is_last = self.n_batches == net._n_batches
        torch.cuda.set_sync_debug_mode("default" if is_last else "error")


@pytest.mark.parametrize("autocast", [None, "bfloat16"])  # in float16, gradients are looked at
def test_a_training_waits_for_the_gpu_between_epochs_alone(autocast):
    net = CBNeuralNetClassifier(
        CifarResNet,
        module__depth=8,
        batch_size=20,
        batch_transform=PadCropFlip(),
        autocast=autocast,
        callbacks=[Strict()],
        max_epochs=2,
    )
    try:
        net.fit(IMAGES, Y)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert dict(net.callbacks_)["Strict"].n_batches == 10


def test_a_training_that_was_cut_off_goes_on(tmp_path):
    class CutOff(Exception):
        pass

    class Cut(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 3:
                raise CutOff

        def state_dict(self):
            return {}

        def load_state_dict(self, state):
            pass

    def fit(*callbacks):
        parameters = {"module__dropout": 0.5, "max_epochs": 5, "random_state": 0}
        return CBNeuralNetClassifier(callbacks=list(callbacks), **parameters).fit(X, Y)

    whole = fit(TrainingCheckpoint(tmp_path / "whole")).predict_proba(X)
    with pytest.raises(CutOff):
        fit(("cut", Cut()), TrainingCheckpoint(tmp_path / "cut"))
    Cut.on_epoch_end = Callback.on_epoch_end
    again = fit(("cut", Cut()), TrainingCheckpoint(tmp_path / "cut")).predict_proba(X)
    np.testing.assert_allclose(again, whole, rtol=1e-5)
