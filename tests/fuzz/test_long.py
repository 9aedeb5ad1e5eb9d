"""The same laws on far more inputs."""

import pytest
from fuzz.run import fuzz


@pytest.mark.slow
def test_nothing_breaks_on_20_000_inputs():
    found = fuzz(inputs=20_000)
    assert not found.broken, "\n".join(found.report())
