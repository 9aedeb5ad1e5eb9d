"""Seeded training that leaves torch's global generators as they were."""

import threading
from contextlib import contextmanager

import torch

# One net at a time: torch's generators belong to the process, and nets that train side by side
# in threads would draw from each other's.
_LOCK = threading.RLock()


@contextmanager
def seeded(seed, device):
    """Seed torch's generators for a while; with seed None, use them as they are."""
    with _LOCK:
        if seed is None:
            yield
            return
        cuda = [torch.device(device)] if torch.device(device).type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.default_generator.manual_seed(seed)
            for one in cuda:
                with torch.cuda.device(one):
                    torch.cuda.manual_seed(seed)
            yield
