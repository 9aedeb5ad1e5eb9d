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
from sk_cbloss.neural_net.errors._explained import explained
from sk_cbloss.neural_net.errors._meanings import first_line, meaning_of

__all__ = [
    "check_arguments",
    "check_complete",
    "check_takes_parameters",
    "check_takes_positions",
    "first_line",
    "meaning_of",
    "explained",
    "parameters_of",
]
