"""The scripts of the study of methods, which lie beside the package and import each other."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "benchmarks" / "which_method"


def scripts(*names):
    """Import scripts, and leave no trace: other folders have some of the same names."""
    own = [path.stem for path in SCRIPTS.glob("*.py")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(SCRIPTS), str(SCRIPTS.parent), *sys.path])
        for name in own:
            patch.delitem(sys.modules, name, raising=False)
        found = [import_module(name) for name in names]
        for name in own:
            sys.modules.pop(name, None)
    return found
