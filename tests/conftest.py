"""Set what must stand before scipy and matplotlib are first imported."""

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

from _figures import no_figure_stays  # noqa: F401  (every test's)

# Without it, scikit-learn skips its array API check.
assert "scipy" not in sys.modules or os.environ.get("SCIPY_ARRAY_API"), (
    "scipy was imported before the tests could set SCIPY_ARRAY_API"
)
os.environ.setdefault("SCIPY_ARRAY_API", "1")
os.environ.setdefault("MPLBACKEND", "Agg")
# Small nets on two threads wait for each other, the longer the busier the machine is.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Of files that import what an extra brings, there is nothing to collect without it.
OF_EXTRAS = re.compile(r"^(?:import|from) (accelerate|dask|distributed|mapie)\b", re.MULTILINE)


def _lacks_its_extra(file):
    return any(find_spec(name) is None for name in OF_EXTRAS.findall(file.read_text()))


collect_ignore = [file for file in Path(__file__).parent.rglob("*.py") if _lacks_its_extra(file)]
collect_ignore += ["_script_of_ranks.py"]  # which torchrun starts
