"""What to say when the memory of a device is too small, or rows make no batch."""

import re
from contextlib import contextmanager
from numbers import Integral

from torch.cuda import OutOfMemoryError


@contextmanager
def explained(net, iterator=None):
    """Name what to change when memory runs out, or torch cannot make a batch of rows.

    The error's type stays what it is. The iterator is what gives the batches; None asks the net
    whether it trains.
    """
    try:
        yield
    except OutOfMemoryError as error:
        if isinstance(error.__cause__, OutOfMemoryError):  # explained already
            raise
        raise OutOfMemoryError(_remedy(net, iterator)) from error
    except TypeError as error:
        found = re.search(r"default_collate: .* found <class '(.+?)'>", str(error))
        if found is None:
            raise
        raise TypeError(
            "Rows of a Dataset must be tensors, arrays or numbers, or dicts or lists of such, got "
            f"{found[1]}: give it a transform that makes tensors of them, or a collate_fn as "
            "iterator_train__collate_fn and iterator_valid__collate_fn."
        ) from error


def _remedy(net, iterator):
    device = net._device_in_use
    if iterator is None and "_fit_call" not in vars(net):
        return f"module must fit into the memory that is free on {device}, got one that does not."
    if iterator is None:
        iterator = "iterator_train" if net.module_.training else "iterator_valid"
    own_name, own = f"{iterator}__batch_size", net.get_params_for(iterator)
    name = own_name if "batch_size" in own else "batch_size"
    size = own.get("batch_size", net.batch_size)
    trains = iterator == "iterator_train"
    remedies = []
    if isinstance(size, Integral) and size != 1:
        remedies.append(f"{name if trains else own_name}={size // 2 if size > 1 else 128}")
    if trains and net.autocast is None and net.dtype == "float32":
        remedies.append("autocast='bfloat16'")
    return (
        f"{name} must be small enough for the memory that is free on {device} in "
        f"{'training' if trains else 'prediction'}, got {size}; "
        f"try {' or '.join([*remedies, 'a smaller module'][:2])}."
    )
