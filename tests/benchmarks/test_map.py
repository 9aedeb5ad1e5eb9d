"""The map of methods: cells, draws, arms, and the rule that is learned from them."""

from itertools import product

import numpy as np
import pytest
from _study_scripts import scripts
from sklearn.metrics import balanced_accuracy_score

from sk_cbloss import long_tailed_counts

lines, run, sources, study, tables = scripts("lines", "run", "sources", "map", "map_tables")


@pytest.fixture(params=[0, 1])
def small(request, monkeypatch):
    """A source of three classes that lie in any order, and a seed."""
    y = np.repeat(["b", "c", "a"], [30, 200, 90])
    table = (np.arange(len(y))[:, None] * 1.0, y, [])
    monkeypatch.setitem(sources.SOURCES, "small", (lambda folder: table, 3))
    sources.load.cache_clear()
    yield request.param
    sources.load.cache_clear()


# ---------------------------------------------------------------------- cells and draws


def test_the_map_is_as_large_as_it_says():
    cells = [cell for cell in study.cells() if cell.model != "ensemble"]
    assert len(cells) == len(set(cells)) >= 60
    assert {cell.model for cell in cells} == set(study.MODELS)
    for noise in study.NOISES:
        assert {cell.model for cell in cells if cell.noise == noise} == set(study.MODELS)
    assert {10 ** round(np.log10(cell.n_max)) for cell in cells} == {100, 1_000, 10_000, 100_000}
    assert {10 ** round(np.log10(cell.imbalance)) for cell in cells} == {10**i for i in range(5)}
    for cell in cells:
        assert cell.n_max / cell.imbalance >= 6


def test_each_source_is_in_one_half_and_no_table_in_two():
    learned_on, tried_on = sources.HALVES.values()
    assert sorted(learned_on + tried_on) == sorted(sources.SOURCES) == sorted(study.PLACES)
    for table in ("flights", "made"):
        owners = {name in learned_on for name in sources.SOURCES if name.startswith(table)}
        assert len(owners) == 1


def test_the_most_frequent_class_is_the_head(small):
    _, y, _ = sources.load("small", None)
    assert np.bincount(y).tolist() == [200, 90, 30]


def test_draws_a_tail_and_tests_on_other_rows(small):
    _, y, _ = sources.load("small", None)
    steep, test = sources.draw("small", None, small, 60, 10)
    assert (
        np.bincount(y[steep]).tolist() == long_tailed_counts(3, 60, imbalance_factor=10).tolist()
    )
    assert np.bincount(y[test]).tolist() == [40, 18, 6]  # a fifth
    flat, same = sources.draw("small", None, small, 60, 4)
    assert set(steep) < set(flat)
    assert same.tolist() == test.tolist()
    assert not set(test) & set(flat)
    other, _ = sources.draw("small", None, small + 2, 60, 10)
    assert set(other) != set(steep)


def test_a_tail_that_a_source_does_not_have_is_refused(small):
    with pytest.raises(ValueError, match=r"small must have 80 \+ 18 rows of class 1 .* got 90"):
        sources.draw("small", None, 0, 80, 1)


@pytest.mark.slow
def test_every_cell_can_be_drawn():
    there = {"digits", "made"}  # what needs no package
    for cell in study.cells():
        if cell.source in there:
            train, _ = sources.draw(cell.source, None, 0, cell.n_max, cell.imbalance)
            y = sources.load(cell.source, None)[1][train]
            assert np.bincount(y).max() == cell.n_max


def test_wrong_labels_are_symmetric():
    y = np.repeat([0, 1, 2], [30_000, 3_000, 300])
    assert study.with_noise(y, 0, seed=0).tolist() == y.tolist()
    noisy = study.with_noise(y, 0.2, seed=0)
    wrong = noisy != y
    assert wrong.mean() == pytest.approx(0.2, abs=0.01)
    from_head = np.bincount(noisy[wrong & (y == 0)], minlength=3)
    assert from_head[0] == 0
    assert from_head[1] == pytest.approx(from_head[2], rel=0.1)
    assert (study.with_noise(y, 0.2, seed=1) != noisy).any()


# ---------------------------------------------------------------------- arms


@pytest.fixture
def contest():
    return study.Contest(study.Cell("digits", 100, 10, 0, "logistic"), None, 0, quick=True)


def test_decision_rule_is_about_as_good_as_any_power_of_the_frequencies(contest):
    trial = contest.out_of_fold((1, 0, None))
    prior = contest.count / contest.count.sum()
    powers = [
        balanced_accuracy_score(contest.y, run.adjusted(trial.p, prior, tau).argmax(axis=1))
        for tau in study.TAUS
    ]
    rule = study.decision_rule(trial, contest.y, contest.folds)
    assert balanced_accuracy_score(contest.y, rule.predict(trial.p)) > max(powers) - 0.005
    assert len(powers) == 9


def test_samplers_see_the_rows_that_they_are_given(contest):
    rows = contest.folds[0][0]
    count = np.bincount(contest.y[rows])
    X, y = contest.sampled("undersampled", rows)
    assert np.bincount(y).tolist() == [count.min()] * 10
    seen = {each.tobytes() for each in contest.X[rows]}
    assert {each.tobytes() for each in X} <= seen
    X, y = contest.sampled("smote", rows)
    assert np.bincount(y).tolist() == [count.max()] * 10
    assert contest.sampled("smote", rows)[0] is X  # once for all strengths


def test_codes_stay_codes_to_smote(monkeypatch):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [80, 40])
    X = np.c_[rng.normal(size=120), rng.integers(0, 4, 120)]
    monkeypatch.setitem(sources.SOURCES, "coded", (lambda folder: (X, y, [1]), 2))
    for model in study.MODELS:
        contest = study.Contest(study.Cell("coded", 60, 4, 0, model), None, 0, quick=True)
        X_made, _ = contest.sampled("smote", np.arange(len(contest.y)))
        assert len(X_made) == 120
        assert set(X_made[:, 1]) <= {0, 1, 2, 3}
        assert contest.taken(X_made).shape[1] == (2 if model == "boosting" else 5)
    sources.load.cache_clear()


@pytest.mark.slow
def test_a_net_learns_its_rows_by_heart():
    contest = study.Contest(study.Cell("digits", 100, 10, 0.2, "net"), None, 0)
    assert contest.arm("plain")["train_error"] < 0.02


# ---------------------------------------------------------------------- runs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_runs_end_to_end_and_runs_nothing_twice(tmp_path):
    path, out = tmp_path / "map.jsonl", tmp_path / "out"
    study.main(["--quick", "--results", str(path)])
    first = path.read_text()
    found = lines.read(path)
    assert len(found) == 2 * (3 * 4 + 1)
    for line in found:
        assert set(line["arms"]) == set(study.GROUPS[line["group"]])
    path.write_text(first + '{"source": "di')  # broken off
    study.main(["--quick", "--results", str(path)])
    assert path.read_text() == first
    tables.main(["--results", str(path), "--out", str(out)])
    assert (out / "size.inc").read_text() == "6 cells of 2 sources, 1 of 10 draws a cell.\n"
    assert "<svg" in (out / "map.svg").read_text()
    path.write_text("".join(line + "\n" for line in first.splitlines() if '"digits"' in line))
    with pytest.raises(ValueError, match="must hold sources of both halves, got digits"):
        tables.main(["--results", str(path), "--out", str(out)])


@pytest.mark.parametrize("arguments", [["--quick"], ["--draws", "0"], ["no such folder"]])
def test_arguments_that_do_not_fit(arguments, capsys):
    with pytest.raises(SystemExit):
        study.main(arguments)
    assert "error: " in capsys.readouterr().err


def test_begins_no_run_once_the_time_is_up(tmp_path):
    path = tmp_path / "map.jsonl"
    study.main(["--quick", "--sources", "digits", "--minutes", "0", "--results", str(path)])
    assert lines.read(path) == []


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "map.jsonl"
    path.write_text('[]\n{"source": "di')
    with pytest.raises(
        ValueError, match=r"Line 1 of .* must be the JSON of one result, got '\[\]"
    ):
        lines.read(path)


# ---------------------------------------------------------------------- the rule


def cells_of(n=48):
    """Cells of all models, some small, some with wrong labels."""
    grid = product(tables.MODELS, (100, 1_000, 10_000), (0, 0.2), range(n))
    return [
        tables.Cell("digits", (n_max, 10), model, noise, n_max, n_max / 10)
        for model, n_max, noise, _ in grid
    ]


def planted(cells, choose, loss=2.0):
    """Regret of 0 where an arm is the chosen one, and of `loss` elsewhere."""
    arms = list(tables.ARMS)
    return np.array([[loss * (arm != choose(cell)) for arm in arms] for cell in cells])


def test_finds_a_rule_that_was_planted():
    def choose(cell):
        if cell.model == "net":
            return "plain" if cell.noise > 0.1 else "adjusted"
        return "smote" if cell.n_max < 3_000 else "inverse"

    cells = cells_of(2)
    rule = tables.learn(cells, planted(cells, choose), np.ones(len(cells)) / len(cells))
    assert [rule(cell) for cell in cells] == [choose(cell) for cell in cells]
    assert rule.questions() == 3
    text = rule.text()
    for title in ("plain", "adjusted", "SMOTE", "inverse frequency"):
        assert text.count(f"**{title}**") == 1


def test_asks_at_most_as_many_questions_and_none_that_gain_nothing():
    rng = np.random.default_rng(0)
    cells = cells_of(2)
    weight = np.ones(len(cells)) / len(cells)
    regret = rng.exponential(size=(len(cells), len(tables.ARMS)))
    costs = []
    for n in range(5):
        rule = tables.learn(cells, regret, weight, n)
        assert rule.questions() <= n
        chosen = [list(tables.ARMS).index(rule(cell)) for cell in cells]
        mean = regret[np.arange(len(cells)), chosen].mean()
        costs.append(mean + tables.MIN_GAIN * rule.questions())
    assert sorted(costs, reverse=True) == costs
    assert tables.learn(cells, np.ones_like(regret), weight).questions() == 0


def test_one_question_is_the_best_of_all():
    rng = np.random.default_rng(1)
    cells = cells_of(2)
    regret = rng.exponential(size=(len(cells), len(tables.ARMS)))
    rule = tables.learn(cells, regret, np.ones(len(cells)) / len(cells), 1)
    chosen = [list(tables.ARMS).index(rule(cell)) for cell in cells]
    found = regret[np.arange(len(cells)), chosen].sum()
    for question in tables.QUESTIONS:
        yes = np.array([question(cell) for cell in cells])
        if 0 < yes.sum() < len(cells):
            split = regret[yes].sum(axis=0).min() + regret[~yes].sum(axis=0).min()
            assert found <= split + 1e-9 or rule.questions() == 0


def test_an_arm_that_was_not_run_everywhere_is_no_answer():
    cells = cells_of(2)
    regret = planted(cells, lambda cell: "smote")
    regret[0, list(tables.ARMS).index("smote")] = np.nan
    rule = tables.learn(cells, regret, np.ones(len(cells)) / len(cells), 0)
    assert rule(cells[0]) != "smote"


# ---------------------------------------------------------------------- tables


def line_of(source, draw, noise=0, model="logistic", **accuracy):
    return {
        "source": source,
        "n_max": 100,
        "imbalance": 10,
        "noise": noise,
        "model": model,
        "group": "plain",
        "draw": draw,
        "quick": False,
        "class_count": [100, 10],
        "arms": {arm: {"balanced_accuracy": value} for arm, value in accuracy.items()},
    }


def test_results_are_means_of_draws_and_regret_is_to_the_best_that_was_run():
    results = tables.Results(
        [
            line_of("digits", 0, plain=0.5, inverse=0.6),
            line_of("digits", 1, plain=0.7, inverse=0.7),
            line_of("digits", 0, adjusted=0.61) | {"group": "other"},
            line_of("digits", 0, model="ensemble", balanced_forest=0.9),
        ]
    )
    (regret,), (ensembles,) = results.regret, results.ensembles
    by_arm = dict(zip(tables.ARMS, regret, strict=True))
    assert by_arm["plain"] == pytest.approx(5)
    assert by_arm["inverse"] == pytest.approx(0)
    assert by_arm["adjusted"] == pytest.approx(4)
    assert np.isnan(by_arm["smote"])
    assert ensembles[0] == pytest.approx(90)
    assert results.n_draws == [2]


def test_documentation_shows_the_committed_results():
    results = tables.Results(lines.read(study.RESULTS))
    for name, text in tables.parts(results).items():
        assert (tables.DOCS / f"{name}.inc").read_text() == text


def test_sources_count_alike_in_regret():
    first, second = sources.HALVES["learn"][:2]
    lines_of = [line_of(first, 0, noise, plain=0.5, inverse=0.6) for noise in (0, 0.05, 0.2)]
    results = tables.Results([*lines_of, line_of(second, 0, plain=0.8, inverse=0.6)])
    mean, worst = tables.regret_of(results, lambda cell: "inverse", "learn")
    assert (mean, worst) == pytest.approx((10, 20))


def test_costs_of_noise_by_hand():
    arms = ({"plain": 0.9, "inverse": 0.8}, {"plain": 0.89, "inverse": 0.7})
    results = tables.Results(
        [
            line_of("digits", 0, 0, **arms[0]),
            line_of("digits", 0, 0.05, **arms[0]),
            line_of("digits", 0, 0.2, **arms[1]),
            line_of("letter", 0, 0, plain=0.1, inverse=0.1),  # not with all shares
        ]
    )
    costs = tables.noise_costs(results)
    assert costs[0.05][:2] == pytest.approx([0, 0])
    assert costs[0.2][:2] == pytest.approx([1, 10])
    assert "over places and models, by 1.0 (plain)" in tables.sentence_of_noise(results)
    assert "10.0 (inverse frequency)" in tables.sentence_of_noise(results)
    gains = (
        "gains -19.0 points over plain where it gained -10.0 without wrong labels, and is ahead"
    )
    assert f"{gains} at 0 of 1 places." in tables.sentence_of_noise(results)
