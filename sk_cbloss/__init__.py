"""Class-balanced losses and sample weights for scikit-learn.

The public names load on first use, so that working with sample weights never
imports torch.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
