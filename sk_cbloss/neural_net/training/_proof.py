"""Whether a fast way to take a step does what the plain one does: tried, on a batch."""

from contextlib import contextmanager

import torch

NUMBERS = "what it does depends on the numbers in its tensors"
# How numbers get out of a tensor without an operation.
WAYS_OUT = {"numpy", "tolist", "__array__", "__dlpack__", "data_ptr", "storage"}
WAYS_OUT |= {"untyped_storage", "__reduce_ex__"}


class NotCapturableError(Exception):
    """Why a step cannot be captured."""


class Proof:
    """What a function does with some inputs, for others to be compared with.

    It takes tensors, returns a list of tensors and changes a state in place. After each trial the
    state is as before, and so are torch's random numbers.
    """

    def __init__(self, function, inputs, state):
        self.inputs, self.state, self.device = inputs, state, inputs[0].device
        self.made, self.numbers = self._tried(function)

    def check(self, function, same):
        """Raise a NotCapturableError unless another function makes the same tensors, and again."""
        for _ in range(2):  # the second time tells whether it has written to what it keeps
            made, numbers = self._tried(function)
            if numbers != self.numbers:
                raise NotCapturableError("it draws other random numbers when it is repeated")
            if len(made) != len(self.made) or not all(map(same, made, self.made)):
                raise NotCapturableError("it computes something else when it is repeated")

    def _tried(self, function):
        before = copied(self.state)
        with kept_random_numbers(self.device) as reached:
            made = copied(function(*copied(self.inputs))) + copied(self.state)
        copy_into(self.state, before)
        return made, reached


@contextmanager
def kept_random_numbers(device):
    """Put torch's generators back afterwards; yield a list for the states they had reached."""
    reached = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        yield reached
        reached += generator_states(device)


def generator_states(device):
    """Return the states of the generators that a module there may draw from."""
    states = [torch.default_generator.get_state()]
    if device.type == "cuda":
        states.append(torch.cuda.get_rng_state(device))
    return [state.numpy().tobytes() for state in states]


def copied(batch):
    """Return copies of tensors, which a module may write to."""
    return [part.detach().clone() for part in batch]


def copy_into(tensors, values):
    """Give tensors other numbers, where they lie."""
    with torch.no_grad():
        for tensor, value in zip(tensors, values, strict=True):
            tensor.copy_(value)


def same(ours, theirs):
    """Whether tensors are equal but for rounding, which adds up over a batch."""
    if ours.shape != theirs.shape:
        return False
    if not ours.is_floating_point():
        return torch.equal(ours, theirs)
    scale = theirs.abs().nan_to_num().max().item() if theirs.numel() else 0.0
    relative = 1e-3 if ours.dtype == torch.float32 else 1e-7
    return torch.allclose(
        ours, theirs, rtol=relative, atol=relative * max(scale, 1e-3), equal_nan=True
    )


def equal(ours, theirs):
    """Whether tensors are equal bit by bit, but for what NaN holds."""
    nan = theirs.isnan()
    return (
        (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        and torch.equal(ours.isnan(), nan)
        and torch.equal(ours.masked_fill(nan, 0), theirs.masked_fill(nan, 0))
    )


def has_hooks(part):
    """Whether anything but the own code of a module or an optimizer runs when it is called."""
    return any(hooks and name.endswith("_hooks") for name, hooks in vars(part).items())
