"""Objectives of gradient boosting: their gradients are those of the losses of the same names."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import softmax

from sk_cbloss import ClassBalancedSoftmaxFocalLoss, LogitAdjustedLoss

pytestmark = [
    pytest.mark.boosting,
    # From scikit-learn before 1.7, of LightGBM's own names.
    pytest.mark.filterwarnings("ignore:X does not have valid feature names, but LGBM:UserWarning"),
]
COUNT = [12, 5, 2]
Y = np.repeat(range(3), COUNT)


@pytest.fixture(scope="module")
def script():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])
        return import_module("boosting_objectives")


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        ("logit_adjusted", LogitAdjustedLoss.from_class_count(COUNT, reduction="sum")),
        (
            "focal",
            ClassBalancedSoftmaxFocalLoss.from_class_count(
                COUNT, beta=1, gamma=1, normalize="samples", reduction="sum"
            ),
        ),
    ],
)
def test_gradients_are_the_losss_own(name, loss, script):
    scores = np.random.default_rng(0).normal(scale=3, size=(len(Y), 3))
    at = torch.tensor(scores, requires_grad=True)
    loss(at, torch.tensor(Y)).backward()
    gradient, hessian = getattr(script, name)(Y)(Y.astype(float), scores)
    assert_allclose(gradient, at.grad.numpy(), rtol=1e-6, atol=1e-9)
    assert hessian.shape == scores.shape
    assert (hessian > 0).all()


def test_second_derivatives_are_those_of_cross_entropy_times_lightgbms_factor(script):
    scores, step = np.random.default_rng(0).normal(size=(len(Y), 3)), 1e-5
    _, hessian = script.cross_entropy(scores, Y)
    for c in range(3):
        moved = step * np.eye(3)[c]
        slope = softmax(scores + moved, axis=1)[:, c] - softmax(scores - moved, axis=1)[:, c]
        assert_allclose(hessian[:, c], slope / (2 * step) * 3 / 2, rtol=1e-5)


def test_a_table_of_all(script, monkeypatch, capsys):
    monkeypatch.setattr(script, "N_ROUNDS", 3)
    monkeypatch.setattr(script, "SETS", {"digits": script.digits, "made": script.made(3)})
    script.main(["--draws", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line[:26].rstrip() for line in lines[2:]] == [*script.METHODS]
    assert all(line.count("±") == 2 for line in lines[2:])
