"""How a module behaves as it runs."""

import copy
import random

import numpy as np
import torch

from sk_cbloss.neural_net.stack._alone import NotStackableError
from sk_cbloss.neural_net.state import fingerprint
from sk_cbloss.neural_net.training import (
    NotCapturableError,
    generator_states,
    kept_random_numbers,
    told_of,
)


def probe(module, x):
    """Run a copy of a module once, to learn how it behaves.

    Returns whether it draws from torch's generator, and the memory that it keeps to compute
    gradients, in bytes. If it does what a list of operations cannot repeat, that is a
    NotStackableError.
    """
    module, sizes = copy.deepcopy(module).train(), []
    before = _python_state(module)
    with kept_random_numbers(x.device), torch.enable_grad():
        drawn = generator_states(x.device)
        with torch.autograd.graph.saved_tensors_hooks(
            # The tensor itself would hold the graph that holds it: a ring that nothing frees.
            lambda saved: (sizes.append(saved.nbytes), saved.detach())[1],
            lambda saved: saved,
        ):
            module(x)
        is_random = generator_states(x.device) != drawn
    if _python_state(module) != before:
        raise NotStackableError(
            "its module changes attributes of its own, or draws random numbers that are not "
            "torch's, as it runs"
        )
    return is_random, sum(sizes)


def _python_state(module):
    numpy_state = np.random.get_state(legacy=False)  # noqa: NPY002
    try:
        told = told_of(module)
    except NotCapturableError as error:
        raise NotStackableError(str(error)) from error
    return told, random.getstate(), fingerprint(numpy_state)
