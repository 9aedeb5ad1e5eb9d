"""Several labels a sample, compared: each set, way and difference is there, and runs go on."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])
    multi_label = import_module("multi_label")


def drawn(seed, folder):
    """Return rows whose labels depend on one number each."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 3))
    y = (X + rng.normal(size=X.shape) > [0, 0.5, 1.2]).astype(int)
    return X[:150], y[:150], X[150:], y[150:]


def test_a_run_goes_on_and_ends_in_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(multi_label, "SETS", {"drawn": drawn, "texts": drawn})
    monkeypatch.setattr(multi_label, "BETAS", (0, 0.9, 1))
    results = tmp_path / "found.jsonl"
    asked = ["--results", str(results), "--seeds"]
    multi_label.main([*asked, "1"])
    first = results.read_text()
    multi_label.main([*asked, "2"])
    assert results.read_text().startswith(first)
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert {line["set"] for line in lines} == {"drawn"}  # texts are in no folder
    assert [line["seed"] for line in lines] == [0] * 8 + [1] * 8
    capsys.readouterr()
    multi_label.main([*asked, "2", "--table"])
    printed = capsys.readouterr().out
    for model in ("logistic", "net"):
        for way in multi_label.WAYS:
            assert f"drawn    {model:<9} {way}" in printed
        for way, other in multi_label.PAIRS:
            assert f"all      {model:<9} {way} - {other}" in printed


def test_thresholds_leave_the_order_of_rows_as_it_is():
    X, y, *_ = drawn(0, None)
    lines = list(multi_label.compared("drawn", 0, (X, y, X, y)))
    for model in ("logistic", "net"):
        plain, threshold = (
            next(line for line in lines if (line["model"], line["way"]) == (model, way))
            for way in (multi_label.PLAIN, multi_label.THRESHOLD)
        )
        assert plain["mAP"] == threshold["mAP"]
        assert plain["beta"] == 0


def test_digits_of_the_test_part_are_not_those_of_the_training_part():
    X, y, X_test, _ = multi_label.digits(0, None)
    cut = [{row.tobytes() for row in each.reshape(-1, 64)} for each in (X, X_test)]
    assert not cut[0] & cut[1]
    assert (y.sum(axis=1) <= 3).all()
    assert y.any(axis=0).all()


def test_no_results_are_one_sentence(tmp_path):
    with pytest.raises(ValueError, match="must hold results, got none: run without --table"):
        multi_label.main(["--results", str(tmp_path / "none"), "--table"])
