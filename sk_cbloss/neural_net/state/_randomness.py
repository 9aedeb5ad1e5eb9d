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


class RandomStream:
    """Random numbers of one net, from which it goes on drawing whenever it is its turn."""

    def __init__(self, seed, device):
        device = torch.device(device)
        self._generators = [torch.default_generator]
        if device.type == "cuda":
            torch.cuda.init()
            number = torch.cuda.current_device() if device.index is None else device.index
            self._generators.append(torch.cuda.default_generators[number])
        with seeded(seed, device):
            self.state = self._read()

    def _read(self):
        return [generator.get_state() for generator in self._generators]

    def _write(self, states):
        for generator, state in zip(self._generators, states, strict=True):
            generator.set_state(state)

    @contextmanager
    def aside(self):
        """Draw from it for a while, and put torch's generators back where they were."""
        before = self._read()
        try:
            with self:
                yield
        finally:
            self._write(before)

    def __enter__(self):
        self._write(self.state)

    def __exit__(self, *exception):
        self.state = self._read()
