"""What is predicted batch by batch, in one array that is held once."""

from collections.abc import Mapping

import numpy as np

from sk_cbloss.neural_net.data import is_multi_input


def gathered(parts, n_rows, out=None):
    """Return arrays below each other, each written to where it stays as soon as it is there.

    Parameters
    ----------
    parts : iterable of arrays
        There need not be as many rows as expected.
    n_rows : int
        The expected number of rows.
    out : ndarray, default=None
        Where to write them; None makes an array.

    Returns
    -------
    ndarray
        The rows.
    """
    whole, stop = out, 0
    for part in parts:
        if not stop:
            shape = (n_rows, *part.shape[1:])
            if out is not None:
                _check_out(out, shape)
            else:
                whole = np.empty(shape, part.dtype)
        start, stop = stop, stop + len(part)
        if stop > len(whole):
            if out is not None:
                break
            more = np.empty((max(start, len(part)), *shape[1:]), part.dtype)
            whole = np.concatenate([whole[:start], more])
        whole[start:stop] = part
    if not stop:
        raise ValueError("X must have at least one row to predict, got none.")
    if out is not None and stop != len(out):
        got = "more" if stop > len(out) else stop
        raise ValueError(
            f"out must have as many rows as the batches, got {len(out)} for batches of {got}."
        )
    return whole if stop == len(whole) else whole[:stop]


def _check_out(out, shape):
    """Raise a ValueError unless predictions of that shape can be written to an array."""
    got = type(out).__name__
    if isinstance(out, np.ndarray):
        if out.shape == shape and out.dtype.kind == "f" and out.flags.writeable:
            return
        got = f"{'' if out.flags.writeable else 'read-only '}{out.dtype} of shape {out.shape}"
    raise ValueError(
        "out must be an array or memory map of numpy's, of floating-point numbers, that can be "
        f"written to and has shape {shape}, got {got}."
    )


def n_rows_of(X):
    """Return how many rows there will be, as far as X tells."""
    if is_multi_input(X):
        X = next(iter(X.values() if isinstance(X, Mapping) else X), ())
    shape = getattr(X, "shape", None)
    if shape is None:
        return len(X) if hasattr(X, "__len__") else 0
    return shape[0] if shape else 0
