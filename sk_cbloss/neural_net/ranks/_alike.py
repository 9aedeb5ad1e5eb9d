"""Whether all ranks have the same: code, parameters, data."""

from functools import cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import skorch
import torch

import sk_cbloss

DRAWN = "drawn anew each time"  # how what is told of something ends that cannot be compared


@cache
def versions():
    """Return the versions of the code that trains, ours with a digest of its files."""
    digest = blake2b(digest_size=4)
    for file in sorted(Path(sk_cbloss.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    own = f"{sk_cbloss.__version__} (files {digest.hexdigest()})"
    named = {"torch": torch, "skorch": skorch, "numpy": np}
    return {"sk_cbloss": own} | {name: module.__version__ for name, module in named.items()}


def different(told):
    """Return a sentence on the first thing that a rank has otherwise than rank 0, or None.

    Each rank tells a dict of names and texts; or a text, of the error by which it ends.
    """
    for rank, things in enumerate(told):
        if isinstance(things, str):
            return f"All ranks must be able to start, got from rank {rank} {things}"
    for name in dict.fromkeys(name for things in told for name in things):
        first = told[0].get(name, "none")
        for rank, things in enumerate(told):
            other = things.get(name, "none")
            if first != other and not first.endswith(DRAWN) and not other.endswith(DRAWN):
                return (
                    f"All ranks must have the same {name}, got {first} on rank 0 and "
                    f"{other} on rank {rank}."
                )
    return None
