"""What goes wrong, said where its cause is known.

Owns no state. Any room of the hall may ask it.
"""

from sk_cbloss.neural_net.errors._arguments import (
    check_arguments,
    check_complete,
    check_takes_parameters,
    check_takes_positions,
    parameters_of,
)
from sk_cbloss.neural_net.errors._meanings import first_line, meaning_of
from sk_cbloss.neural_net.errors._memory import memory_explained

__all__ = [
    "check_arguments",
    "check_complete",
    "check_takes_parameters",
    "check_takes_positions",
    "first_line",
    "meaning_of",
    "memory_explained",
    "parameters_of",
]
