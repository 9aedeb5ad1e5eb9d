"""How many nets are trained as one."""

import torch

from sk_cbloss.neural_net.stack._alone import NotStackableError
from sk_cbloss.neural_net.training import CONVOLUTIONS

CPU_BYTES = 12 * 2**20  # more than that does not stay in a CPU's cache from step to step


def stack_size(module, n_bytes, max_stack):
    """Return how many nets to train as one; a NotStackableError if that does not pay.

    The module of one of them keeps ``n_bytes`` to compute gradients.
    """
    if max_stack != "auto":
        return max_stack
    parameters = list(module.parameters())
    device = parameters[0].device
    if device.type == "cpu" and any(isinstance(part, CONVOLUTIONS) for part in module.modules()):
        raise NotStackableError("convolutions are faster one net at a time on a CPU")
    # Parameters, gradients as computed and as kept, what the optimizer learns of each and its
    # scratch; and twice what passes through.
    of_one = 6 * sum(p.nbytes for p in parameters) + 2 * n_bytes
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(1, int(free / 2 // of_one))
    return max(8, int(CPU_BYTES // of_one))
