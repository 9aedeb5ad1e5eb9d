import matplotlib.pyplot as plt
import pytest


@pytest.fixture(autouse=True)
def _no_figure_stays():
    plt.close("all")  # of tests elsewhere
    yield
    plt.close("all")
