"""Texts by their words and by embeddings: what is read, cut and printed."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])
    texts = import_module("texts")


def test_each_tail_and_kind_of_features_is_printed(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    words = {"train": [20, 20, 20], "test": [5, 5, 5]}
    arrays = {}
    for part, counts in words.items():
        y = np.repeat(range(3), counts)
        lines = [f"intent{label} filler{rng.integers(9)} filler{rng.integers(9)}" for label in y]
        arrays[f"text_{part}"] = np.frombuffer("\0".join(lines).encode(), np.uint8)
        arrays[f"y_{part}"] = y
    np.savez(tmp_path / "clinc150_imbalanced.npz", **arrays)
    monkeypatch.setattr(
        texts,
        "embed",
        lambda lines: np.array([[word in line for word in "012"] for line in lines]),
    )
    monkeypatch.setattr(texts, "TAILS", {"as it is": None, "cut": 4})
    texts.main([str(tmp_path)])
    _, *lines = capsys.readouterr().out.splitlines()
    found = [line.split("  ") for line in lines]
    assert [row[0] for row in found] == ["as it is"] * 4 + ["cut"] * 4
    assert all("20..5 " in line for line in lines[4:])
    assert [("balanced" in line, "plain" in line) for line in lines] == [(0, 1), (1, 0)] * 4


def test_data_that_are_not_there_are_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="clinc150_imbalanced"):
        texts.main([str(tmp_path)])
