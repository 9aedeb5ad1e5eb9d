"""Every loss, under the parameters that the tests try, and batches to try them on."""

import numpy as np
import pytest
import torch
from _reference import class_weight

from sk_cbloss.losses import LOSSES

COUNTS = [500, 100, 20, 4]

PARAMETERS = {
    "softmax": [{}],
    "sigmoid": [{}],
    "focal": [{"gamma": gamma} for gamma in (0, 0.5, 1, 2, 3.7)],
    "softmax_focal": [{"gamma": gamma} for gamma in (0, 0.5, 1, 2, 3.7)],
    "poly_tailed": [{"alpha": alpha} for alpha in (0.5, 1, 2)],
    "logit_adjusted": [{"tau": tau} for tau in (0, 1, 1.7)],
    "ldam": [{}, {"max_margin": 0.3, "scale": 10.0}],
    "cdt": [{"gamma": gamma} for gamma in (0, 0.2, 0.4)],
    "vs": [{"tau": 1.2, "gamma": 0.2}, {"tau": 0, "gamma": 0.3}],
}
PRIOR = {"logit_adjusted", "ldam", "cdt", "vs"}
SOFTMAX = {"softmax", "softmax_focal", "poly_tailed", "logit_adjusted", "cdt", "vs"}


def cases(names=LOSSES):
    """Return pairs of a name and parameters, as pytest wants them."""
    return [
        pytest.param(name, given, id=" ".join([name, *(f"{k}={v}" for k, v in given.items())]))
        for name in LOSSES
        if name in names
        for given in PARAMETERS[name]
    ]


each_loss = pytest.mark.parametrize(("name", "parameters"), cases())
each_softmax_loss = pytest.mark.parametrize(("name", "parameters"), cases(SOFTMAX))
each_prior_loss = pytest.mark.parametrize(("name", "parameters"), cases(PRIOR))


def build(name, parameters, *, counts=COUNTS, beta=0.99, **more):
    """Build a loss from counts."""
    return LOSSES[name].from_class_count(counts, beta=beta, **parameters, **more)


def unweighted(name, parameters, *, counts=COUNTS, **more):
    """Build a loss without class weights."""
    prior = {"class_prior": torch.tensor(counts).double()} if name in PRIOR else {}
    return LOSSES[name](**prior, **parameters, **more)


def for_reference(name, parameters, *, counts=COUNTS, beta=0.99):
    """Return the class weights, and what the reference must know beside logits and labels."""
    weight = np.array([float(w) for w in class_weight(counts, beta, "classes")])
    if name in PRIOR:
        prior = np.array(counts) * (1 if name == "ldam" else weight)
        parameters = parameters | {"prior": prior / prior.sum()}
    return weight, parameters


def batch(n=200, n_classes=4, dtype=torch.float64, seed=0, spread=3):
    """Return logits and labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(n, n_classes, generator=generator, dtype=torch.float64)
    return logits.to(dtype), torch.randint(n_classes, (n,), generator=generator)
