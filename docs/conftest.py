"""Keep pytest off what a build leaves behind, and small nets off each other's cores."""

import os

import pytest
from _figures import no_figure_stays  # noqa: F401  (every page's)

os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore = ["conf.py", "_build", "auto_examples", "generated"]

# Pages whose code starts dask, ray or several processes.
ENGINES = {"cluster.rst", "lazy_labels.rst", "ranks.rst"}


def pytest_collection_modifyitems(items):
    """Mark the doctests of the pages that need an engine."""
    for item in items:
        if item.path.name in ENGINES and item.path.parent.name == "user_guide":
            item.add_marker(pytest.mark.engines)
