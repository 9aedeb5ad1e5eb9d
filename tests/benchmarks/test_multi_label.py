"""Several labels a sample, compared: each set, way and difference is there, and runs go on."""

import json
import re
import sys
from importlib import import_module
from itertools import product
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    multi_label = import_module("multi_label")


def drawn(seed, folder):
    """Return rows whose labels depend on one number each."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 3))
    y = (X + rng.normal(size=X.shape) > [0, 0.5, 1.2]).astype(int)
    return X[:150], y[:150], X[150:], y[150:]


@pytest.mark.slow
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
    assert [line["seed"] for line in lines] == [0] * 12 + [1] * 12
    capsys.readouterr()
    multi_label.main([*asked, "2", "--table"])
    printed = capsys.readouterr().out
    for model in multi_label.MODELS:
        for way in multi_label.WAYS:
            assert f"drawn    {model:<9} {way}" in printed
        for way, other in multi_label.PAIRS:
            assert f"all      {model:<9} {way} - {other}" in printed


def test_thresholds_leave_the_order_of_rows_as_it_is():
    X, y, *_ = drawn(0, None)
    for model in multi_label.MODELS:
        lines = list(multi_label.compared(model, "drawn", 0, (X, y, X, y)))
        plain, threshold = (
            next(line for line in lines if line["way"] == way)
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


CELL = re.compile(r"([+-]\d+\.\d)(?: \(([+-]\d+\.\d) |, up in)")


def differences():
    """Return means and lower ends, a measure each, of each set, model and pair that is printed."""
    printed = (ROOT / "benchmarks" / "multi_label.txt").read_text().partition("Differences")[2]
    rows = re.findall(
        r"^(\w+) +(logistic|chain|net) +(\w+.*? - \w+(?: 1)?) (.*)$", printed, re.MULTILINE
    )
    return {
        (name, model, pair): np.array(
            [[mean, low or "nan"] for mean, low in CELL.findall(cells)], float
        )
        for name, model, pair, cells in rows
    }


def test_the_guide_says_what_a_chain_brings():
    rows = re.findall(
        r"^(\w+) +(logistic|chain) +(plain|beta chosen|beta 1) +(\S+)",
        (ROOT / "benchmarks" / "multi_label.txt").read_text().partition("Differences")[0],
        re.MULTILINE,
    )
    macro_f1 = {tuple(of): float(value) for *of, value in rows}
    assert len(macro_f1) == 4 * 2 * 3
    for name, way in product(multi_label.SETS, (multi_label.PLAIN, multi_label.CHOSEN)):
        more = macro_f1[name, "chain", way] - macro_f1[name, "logistic", way]
        if (name, way) == ("texts", multi_label.CHOSEN):
            assert more == pytest.approx(1)
        else:
            assert abs(more) < 0.55
    assert macro_f1["texts", "chain", "beta 1"] == macro_f1["texts", "logistic", "beta 1"]


def test_the_guide_says_what_was_printed():
    found = differences()
    macro, tail, micro, precision = range(4)
    assert len(found) == 5 * 3 * len(multi_label.PAIRS)  # four sets, and all of them

    def mean(*of, measure=macro):
        return found[of][measure, 0]

    for model, of_tail in (("logistic", 6), ("chain", 7), ("net", 10)):
        assert round(mean("all", model, "beta chosen - plain")) == 5
        assert round(mean("all", model, "beta chosen - plain", measure=tail)) == of_tail
        assert abs(mean("all", model, "beta chosen - plain", measure=micro)) < 1
        assert round(mean("all", model, "threshold - plain")) == 4
    assert mean("all", "net", "beta chosen - threshold") == 1.5
    assert mean("films", "net", "beta chosen - threshold") > 1.5
    assert mean("films", "logistic", "beta chosen - threshold") < -0.5
    assert mean("films", "chain", "beta chosen - threshold") > 0
    for name, model in product(multi_label.SETS, multi_label.MODELS):
        gain = found[name, model, "beta chosen - plain"]
        assert gain[macro, 0] > 0
        assert (gain[macro, 1] < 0) == (
            (name, model) in {("digits", "logistic"), ("digits", "chain"), ("films", "net")}
        )
        more = mean(name, model, "beta chosen - threshold")
        assert more > 0 if model == "net" else abs(more) < {"logistic": 1.2, "chain": 1.65}[model]
        assert mean(name, model, "threshold - plain", measure=precision) == 0
        low, high = {"logistic": (-0.5, 1.5), "chain": (-0.5, 2), "net": (1, 3.5)}[model]
        assert low < gain[precision, 0] < high
        if name in ("digits", "texts"):
            assert mean(name, model, "beta chosen - beta 1") < 0.05
    for model, better, less in (("logistic", 3.6, 4), ("chain", 3.9, 3), ("net", 1.6, 2)):
        assert mean("films", model, "beta chosen - beta 1") == better
        assert round(mean("made", model, "beta chosen - plain", measure=micro)) == -less
        assert round(mean("made", model, "beta 1 - plain", measure=micro)) < -less
