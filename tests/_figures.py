"""A fixture of all tests and pages: figures."""

import sys

import pytest


@pytest.fixture(autouse=True)
def no_figure_stays():
    """Begin and end without figures: matplotlib warns of more than twenty."""
    _close_figures()
    yield
    _close_figures()


def _close_figures():
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        pyplot.close("all")
