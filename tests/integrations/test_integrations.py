"""Each file of examples/integrations runs with the library that it is about, and is short."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "examples" / "integrations").glob("*.py"))
PAGE = ROOT / "docs" / "user_guide" / "integrations.rst"

# torchvision, which timm brings, may have code of its own for GPUs, and then does not load beside
# a torch for CPUs. Nothing here calls that code, but its import asks for the names in it.
RUN = """
import re, runpy, sys, torch
library = torch.library.Library("torchvision", "FRAGMENT")
while "torchvision" not in sys.modules:
    try:
        import torchvision
    except ModuleNotFoundError:
        break
    except RuntimeError as error:
        name = re.search("torchvision::([a-z_]+) does not exist", str(error))[1]
        library.define(f"{name}(Tensor boxes) -> Tensor")
        for part in [part for part in sys.modules if part.startswith("torchvision")]:
            del sys.modules[part]
runpy.run_path(sys.argv[1], run_name="__main__")
"""

pytestmark = pytest.mark.skipif(not FILES, reason="only in the repository")


@pytest.mark.integrations
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_runs(file, tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, file],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_it_is_short_and_shown(file):
    assert len(file.read_text().splitlines()) <= 30
    assert f"literalinclude:: ../../examples/integrations/{file.name}\n" in PAGE.read_text() + "\n"
