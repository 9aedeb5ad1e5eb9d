"""The processes that train one net together, each of which is a rank.

Owns what they say to each other. Any room of the hall may ask it.
"""

from sk_cbloss.neural_net.ranks._alike import DRAWN, different, versions
from sk_cbloss.neural_net.ranks._ranks import Alone, Ranks

__all__ = ["DRAWN", "Alone", "Ranks", "different", "versions"]
