"""Set what must stand before scipy and matplotlib are first imported."""

import os
import sys
from importlib.util import find_spec

# Without it, scikit-learn skips its array API check.
assert "scipy" not in sys.modules or os.environ.get("SCIPY_ARRAY_API"), (
    "scipy was imported before the tests could set SCIPY_ARRAY_API"
)
os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Small nets on two threads wait for each other, the longer the busier the machine is.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Files that import what an extra brings: without it there is nothing of them to collect.
OF_EXTRAS = {
    "_script_of_ranks.py": "accelerate",
    "model_selection/test_cluster.py": "distributed",
    "neural_net/test_distributed.py": "accelerate",
    "weights/test_lazy_labels.py": "dask",
}
collect_ignore = [path for path, module in OF_EXTRAS.items() if find_spec(module) is None]
