"""Decisions beside those they took the place of: what is learned, and what is printed."""

from pathlib import Path

import numpy as np
import pytest
from _study_scripts import scripts
from sklearn.metrics import f1_score

(decisions,) = scripts("decisions")


def draw(seed, n=300):
    rng = np.random.default_rng(seed)
    y = np.r_[np.arange(3), rng.choice(3, n - 3, p=[0.8, 0.15, 0.05])]
    p = rng.dirichlet([4, 1, 0.5], n) + 0.3 * np.eye(3)[y] * rng.random((n, 1))
    return p / p.sum(axis=1, keepdims=True), y


@pytest.mark.parametrize("seed", range(3))
def test_what_was_before_is_the_best_of_its_kind(seed):
    p, y = draw(seed)
    share = np.bincount(y) / len(y)

    def reached(multiplier, metric):
        return decisions.score(metric, y, (p * multiplier).argmax(axis=1))

    best = max(reached(share**-tau, "balanced_accuracy") for tau in np.arange(9) / 4)
    assert reached(decisions.tau_of_nine(p, y), "balanced_accuracy") == best
    multiplier = decisions.ascent(p, y)
    value = reached(multiplier, "f1_macro")
    assert value == f1_score(y, (p * multiplier).argmax(axis=1), average="macro")
    assert value > reached(1, "f1_macro")
    for c in range(3):  # no other step of one class is better
        for step in decisions.STEPS:
            moved = np.where(np.arange(3) == c, np.exp(step), multiplier)
            assert reached(moved, "f1_macro") <= value + 1e-9


def test_differences_are_in_points_and_of_the_first():
    found = decisions.difference(np.array([0.52, 0.54, 0.56]), np.array([0.5, 0.52, 0.54]), 1e-12)
    assert found.split() == ["+2.00", "(", "+2.00", "to", "+2.00)"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_runs_and_prints_both_tables(capsys):
    decisions.main(["--sets", "digits", "--splits", "2"])
    shown = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in shown if "%" in line] == list(decisions.BEFORE)
    assert sum(line.startswith("digits") for line in shown) == 2


def test_the_committed_output_is_of_this_script():
    shown = (Path(decisions.__file__).with_suffix(".txt")).read_text()
    for metric, rules in decisions.BEFORE.items():
        assert f"{metric}, %" in shown
        assert all(f"less {rule}" in shown for rule in rules)
    for name in decisions.sets.SETS:
        assert shown.count(f"\n{name} ") == 2


def test_the_guide_shows_the_heads_and_the_means():
    shown = Path(decisions.__file__).with_suffix(".txt").read_text().splitlines()
    guide = (Path(decisions.__file__).parents[1] / "docs/user_guide/decisions.rst").read_text()
    heads = [i for i, line in enumerate(shown, 1) if ", %" in line]
    means = [i for i, line in enumerate(shown, 1) if line.startswith("mean of")]
    for head in heads:
        of_table = [i for i in means if head < i < head + 28]
        assert len(of_table) == len(decisions.KINDS)
        assert f":lines: {', '.join(map(str, [head, *of_table]))}\n" in guide
