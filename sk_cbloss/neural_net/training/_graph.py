"""A function on a GPU, captured: recorded in a CUDA graph, compared, and then repeated."""

import warnings
from contextlib import contextmanager

import torch

from sk_cbloss.neural_net.training._proof import Proof, copied, copy_into, same


class Graph:
    """What a function makes a GPU do, recorded once, and launched again as one.

    The function takes tensors and returns a list of tensors; what it reads or changes beside its
    arguments must stay where it lies. Inputs are such as it will be given.
    """

    def __init__(self, function, inputs):
        self.inputs, self.graph = copied(inputs), torch.cuda.CUDAGraph()
        # Other threads may use the GPU meanwhile.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.outputs = function(*self.inputs)

    def __call__(self, *inputs):
        """Return what the function would; the next call writes over it."""
        copy_into(self.inputs, inputs)
        self.graph.replay()
        return self.outputs


def captured(function, inputs, state):
    """Return a Graph of a function, compared with the function itself; else a NotCapturableError.

    Inputs, on the GPU, are what it is tried with; state is what it changes in place.
    """
    with torch.cuda.device(inputs[0].device):
        # What libraries make at the first call must not end up in the graph.
        proof = Proof(_on_a_stream_of_its_own(function), inputs, state)
        graph = Graph(function, inputs)
        proof.check(graph, same)
    return graph


def _on_a_stream_of_its_own(function):
    def call(*inputs):
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream), _waits_are_errors():
            outputs = function(*inputs)
        current.wait_stream(stream)
        torch.cuda.synchronize()
        return outputs

    return call


@contextmanager
def _waits_are_errors():
    """Refuse what would break a capture off half-way, from which torch does not recover well."""
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that this mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
