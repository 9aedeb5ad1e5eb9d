"""Keep pytest off what a build leaves behind, and small nets off each other's cores."""

import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

collect_ignore = ["conf.py", "_build", "auto_examples", "generated"]

# Pages whose code starts dask, ray or several processes.
ENGINES = {"cluster.rst", "lazy_labels.rst", "ranks.rst"}


def pytest_collection_modifyitems(items):
    """Mark the doctests of the pages that need an engine."""
    for item in items:
        if item.path.name in ENGINES and item.path.parent.name == "user_guide":
            item.add_marker(pytest.mark.engines)


@pytest.fixture(autouse=True)
def _no_figure_stays():
    """Begin and end without figures: matplotlib warns of more than twenty."""
    _close_figures()
    yield
    _close_figures()


def _close_figures():
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
