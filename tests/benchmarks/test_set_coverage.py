"""Coverage of prediction sets on real data: run, resumed, and turned into tables."""

import numpy as np
import pytest
from _study_scripts import scripts

lines, study, tables = scripts("lines", "set_coverage", "set_coverage_tables")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_runs_end_to_end_and_runs_nothing_twice(tmp_path):
    path, out = tmp_path / "results.jsonl", tmp_path / "out"
    study.main(["--quick", "--results", str(path)])
    first = path.read_text()
    found = lines.read(path)
    assert [line["model"] for line in found] == list(tables.MODELS)
    for line in found:
        assert set(line["methods"]) == set(study.METHODS) == set(tables.METHODS)
        for method in line["methods"].values():
            assert method["coverage"] > 0.8
            assert sum(method[group][0] for group in study.GROUPS) == 217
    study.main(["--quick", "--results", str(path)])
    assert path.read_text() == first
    tables.main(["--results", str(path), "--out", str(out)])
    assert (out / "size.inc").read_text() == "1 data sets, 3 models, 1 of 10 splits.\n"


def test_the_sets_are_as_many_as_is_said():
    assert len(study.SETS) >= 12
    assert set(study.STRENGTHS) == set(tables.MODELS)
    for model, strength in study.STRENGTHS.items():
        assert strength in study.run.MODELS[model][1]


def test_measures_by_hand():
    # Classes of 5, 50 and 500 training rows.
    y = np.array([0, 0, 1, 2, 2, 2])
    sets = np.array([[1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1], [1, 1, 1], [0, 0, 1]], bool)
    found = study.measured(sets, y, np.array([5, 50, 500]))
    assert found["coverage"] == pytest.approx(5 / 6, abs=1e-5)
    assert found["macro_coverage"] == pytest.approx((1 / 2 + 1 + 1) / 3, abs=1e-5)
    assert found["size"] == pytest.approx(10 / 6, abs=1e-4)
    assert (found["few"], found["medium"], found["many"]) == ([2, 1, 3], [1, 1, 2], [3, 3, 5])


@pytest.mark.parametrize(
    ("n", "group"), [(19, "few"), (20, "medium"), (100, "medium"), (101, "many")]
)
def test_shots_are_those_of_the_metrics(n, group):
    found = study.measured(np.ones((1, 1), bool), np.array([0]), np.array([n]))
    assert [name for name in study.GROUPS if found[name][0]] == [group]


def line_of(name, few, size):
    methods = {
        m: {"few": few, "size": 10, "coverage": 0.9, "macro_coverage": 0.9} for m in tables.METHODS
    }
    methods["prevalence_adjusted"] = methods["plain"] | {"size": size}
    return {"set": name, "model": "net", "n_classes": 104, "methods": methods}


def test_rows_of_splits_are_pooled():
    results = tables.Results(
        [line_of("digits", [10, 9, 20], 5), line_of("digits", [30, 21, 60], 5)]
    )
    assert results.few("digits", "net", "plain").tolist() == [40, 30, 80]
    assert "digits,104,40,0.75 (0.60 to 0.86)" in tables.table_of_few(results, "net")  # Wilson's


def test_goals_are_counted():
    results = tables.Results(
        [
            line_of("digits", [100, 85, 200], 6),
            line_of("mnist", [100, 84, 200], 6.1),
            line_of("yeast", [0, 0, 0], 1),  # no few-shot rows
        ]
    )
    assert "neural net,1 of 2,1 of 2,1 of 2,1 of 2,2 of 3" in tables.goals(results)


def test_documentation_shows_the_committed_results():
    results = tables.Results(lines.read(study.RESULTS))
    for name, text in tables.parts(results).items():
        assert (tables.DOCS / f"{name}.inc").read_text() == text
