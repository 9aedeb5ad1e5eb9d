"""Set what must stand before scipy and matplotlib are first imported."""

import os
import sys

# Without it, scikit-learn skips its array API check.
assert "scipy" not in sys.modules or os.environ.get("SCIPY_ARRAY_API"), (
    "scipy was imported before the tests could set SCIPY_ARRAY_API"
)
os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Small nets on two threads wait for each other, the longer the busier the machine is.
os.environ.setdefault("OMP_NUM_THREADS", "1")
