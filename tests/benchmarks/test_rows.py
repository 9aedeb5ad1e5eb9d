"""The script that measures rows: what it prints, that both sides agree, and when it fails."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    for name in ("_timing", "rows"):
        patch.delitem(sys.modules, name, raising=False)
    rows = import_module("rows")
    for name in ("_timing", "rows"):
        del sys.modules[name]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the script on few rows, and return the lines that it prints."""
    monkeypatch.setattr(rows, "use_threads", lambda n_threads: None)
    monkeypatch.setattr(rows, "N_CLASSES", 50)

    def run(*arguments):
        rows.main(["--rounds", "1", *arguments])
        return capsys.readouterr().out.splitlines()

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "scale", "names"),
    [
        ("predictions", "0.01", ["predict", "score", "predict_proba", "the same, into a memory"]),
        ("images", "0.01", ["an epoch", "predict"]),
        ("before", "0.04", ["strings", "integers", "strings, a tenth", "integers, a tenth"] * 2),
    ],
)
def test_each_table_has_its_lines(run, table, scale, names):
    lines = [line.strip() for line in run("--table", table, "--scale", scale)]
    for name in names:
        line = next(line for line in lines if line.startswith(name))
        lines.remove(line)


def test_a_missed_target_ends_it():
    verdict = rows.Verdicts()
    assert verdict(1.0, 2.0).endswith("met")
    assert verdict(1.0, None) == ""
    assert verdict.n_missed == 0
    assert verdict(3.0, 2.0).endswith("MISSED")
    assert verdict.n_missed == 1


@pytest.mark.slow
def test_memory_is_seen():
    peak = rows.peak_of(lambda: [np.ones(2**23), np.ones(2**23)])
    assert 2**27 <= peak < 1.2 * 2**27
    assert rows.peak_of(lambda: None) < 2**24
