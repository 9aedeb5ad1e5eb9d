"""Set what must stand before scipy and matplotlib are first imported."""

import os
import sys

# Without it, scikit-learn skips its array API check.
assert "scipy" not in sys.modules or os.environ.get("SCIPY_ARRAY_API"), (
    "scipy was imported before the tests could set SCIPY_ARRAY_API"
)
os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
