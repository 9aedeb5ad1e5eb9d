"""What searches are timed beside, and when a target is missed."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
NAMES = "_timing", "stacked_search"

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    for name in NAMES:  # other scripts share them
        patch.delitem(sys.modules, name, raising=False)
    timing, stacked_search = map(import_module, NAMES)
    for name in NAMES:
        del sys.modules[name]


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the script, whose sides take the seconds that are told, one by default."""

    def run(*arguments, **seconds):
        def medians_of(sides, n_rounds):
            return {name: seconds.get(name, 1) for name in sides}

        monkeypatch.setattr(stacked_search, "use_threads", lambda n_threads: None)
        monkeypatch.setattr(stacked_search, "medians_of", medians_of)
        stacked_search.main(list(arguments))
        return capsys.readouterr().out.splitlines()[2:]

    return run


PLAIN = "GridSearchCV, plain steps"


@pytest.mark.parametrize(("seconds", "is_met"), [(7, True), (6.9, False)])
def test_ours_must_be_7_times_as_fast_as_steps_were_before_they_were_captured(
    seconds, is_met, run
):
    given = {PLAIN: seconds, "skorch": 12}
    lines = run(**given)
    verdicts = {line[27:52].strip(): line.split(">=")[1] for line in lines if ">=" in line}
    assert verdicts == {PLAIN: " 7 met" if is_met else " 7 MISSED", "skorch": " 12 met"}
    if is_met:
        assert run("--check", **given) == lines
    else:
        with pytest.raises(SystemExit, match="1"):
            run("--check", **given)


@pytest.mark.parametrize(("seconds", "missed_at"), [(1.05, []), (2.0, [1]), (2.2, [1, 2])])
def test_a_stack_must_not_be_slower_than_its_nets_alone(seconds, missed_at, run):
    lines = run("--growth", ours=seconds)
    assert [int(line.split()[0]) for line in lines] == [1, 2, 5, 10, 20, 40, 80, 160]
    assert all(line.endswith((" met", " MISSED")) for line in lines)
    assert [int(line.split()[0]) for line in lines if line.endswith("MISSED")] == missed_at
    if missed_at:
        with pytest.raises(SystemExit, match="1"):
            run("--growth", "--check", ours=seconds)
    else:
        run("--growth", "--check", ours=seconds)


@pytest.mark.slow
def test_sides_run_at_a_toy_size(monkeypatch):
    expected, ran = {"ours", "GridSearchCV", PLAIN, "skorch"}, set()

    def medians_of(sides, n_rounds):
        for name in (expected & sides.keys()) - ran:
            sides[name]()
            ran.add(name)
        return dict.fromkeys(sides, 1)

    monkeypatch.setattr(stacked_search.make_data, "__defaults__", (2000,))
    monkeypatch.setitem(stacked_search.MLP_64, "max_epochs", 1)
    monkeypatch.setattr(stacked_search, "N_EPOCHS", 1)
    monkeypatch.setattr(stacked_search, "medians_of", medians_of)
    stacked_search.time_searches(1)
    assert ran == expected
