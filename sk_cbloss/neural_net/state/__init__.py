"""What a net and its training are at a moment: named, kept, written down and read.

Touches attributes and files of a net, and never trains it.
"""

from sk_cbloss.neural_net.state._callback_state import (
    SCORING,
    TELLING,
    check_has_state,
    params_of,
    put_state,
    state_of,
)
from sk_cbloss.neural_net.state._fingerprint import (
    OF_EVERY_MODULE,
    PLAIN,
    fingerprint,
    methods,
    structure,
)
from sk_cbloss.neural_net.state._net_state import NetState, copy_of_state, net_put_back_on_error
from sk_cbloss.neural_net.state._own_files import OwnFiles
from sk_cbloss.neural_net.state._pickling import Portable
from sk_cbloss.neural_net.state._randomness import RandomStream, seeded
from sk_cbloss.neural_net.state._saving import uncompiled
from sk_cbloss.neural_net.state._state_file import (
    DamagedStateError,
    read_state,
    remove_leftovers,
    write_state,
)

__all__ = [
    "DamagedStateError",
    "NetState",
    "OF_EVERY_MODULE",
    "OwnFiles",
    "PLAIN",
    "Portable",
    "RandomStream",
    "SCORING",
    "TELLING",
    "check_has_state",
    "copy_of_state",
    "fingerprint",
    "methods",
    "net_put_back_on_error",
    "params_of",
    "put_state",
    "read_state",
    "remove_leftovers",
    "seeded",
    "state_of",
    "structure",
    "uncompiled",
    "write_state",
]
