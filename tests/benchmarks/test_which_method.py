"""The study of methods: run, resumed, and turned into tables."""

import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel
from sklearn.linear_model import LogisticRegression

from sk_cbloss import ClassBalancedClassifier, LogitAdjustedClassifier, load_digits_lt

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "which_method"
NAMES = "own", "sets", "run", "tables"

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    for name in NAMES:  # other folders have scripts of these names
        patch.delitem(sys.modules, name, raising=False)
    own, sets, run, tables = map(import_module, NAMES)
    for name in NAMES:
        del sys.modules[name]


@pytest.fixture
def quick(tmp_path):
    def quick(*arguments):
        path = tmp_path / "results.jsonl"
        run.main(["--quick", "--sets", "digits", "--results", str(path), *arguments])
        return path

    return quick


# ---------------------------------------------------------------------- runs


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_runs_end_to_end_and_runs_nothing_twice(quick):
    path = quick("--splits", "1")
    first = path.read_text()
    lines = run.read(path)
    assert [line["model"] for line in lines] == list(run.MODELS)
    for line in lines:
        assert (line["n_train"], line["quick"]) == (504, True)
        assert set(line["arms"]) == set(tables.ARMS)
        for scores in line["arms"].values():
            assert scores["balanced_accuracy"] > 0.5  # a tenth by chance
            assert scores["log_loss"] < np.log(10)
    path.write_text(first + '{"set": "di')  # broken off
    quick("--splits", "1")
    assert path.read_text() == first


def test_begins_no_run_once_the_time_is_up(quick):
    assert run.read(quick("--minutes", "0")) == []


@pytest.mark.parametrize("place", [[], ["--results", "benchmarks/which_method/results.jsonl"]])
def test_quick_lines_never_reach_the_study(place, capsys, monkeypatch):
    monkeypatch.chdir(SCRIPTS.parents[1])
    with pytest.raises(SystemExit):
        run.main(["--quick", *place])
    assert "--quick needs --results" in capsys.readouterr().err


class Recorded(run.Contest):
    """Notes what is fitted, and on which rows."""

    def fit(self, candidates, rows):
        self.fits = [*getattr(self, "fits", []), (candidates, rows)]
        return super().fit(candidates, rows)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_every_arm_has_six_candidates_on_the_same_folds():
    contest = Recorded("digits", None, 0, "logistic", quick=True)
    assert len(dict(contest.arms())) == 6
    tried = [fit for fit in contest.fits if len(fit[0]) > 1]
    strengths = run.MODELS["logistic"][1]
    plain, inverse, begun, ended = ([*dict.fromkeys(candidates)] for candidates, _ in tried)
    assert plain == [(strength, 0) for strength in strengths]
    assert inverse == [(strength, 1) for strength in strengths]
    low, middle, first, high = run.grid_of(contest.count.max(), contest.count.min())
    assert begun == [(strengths[i], first) for i in (0, 3, 5)]
    assert [beta for _, beta in ended] == [low, middle, high]
    assert high == 1
    for candidates, rows in tried:
        for i in range(len(candidates)):
            assert rows[i] is contest.folds[i % 3][0]
    finals = [rows for candidates, rows in contest.fits if len(candidates) == 1]
    assert all(len(rows[0]) == len(contest.y) for rows in finals)


# ---------------------------------------------------------------------- choices and measures


@pytest.fixture
def contest():
    return run.Contest("digits", None, 0, "logistic", quick=True)


def test_the_better_trial_is_chosen_by_each_score(contest):
    y, n_classes = contest.y, len(contest.count)
    right = np.eye(n_classes)[y]
    wrong = np.where((np.arange(len(y)) < 100)[:, None], np.roll(right, 1, axis=1), right)
    good, bad = (run.Trial((1, 0), 0.9 * p + 0.1 / n_classes) for p in (right, wrong))
    for score in run.SCORES:
        assert contest.score(good, score) == 1
        assert contest.score(bad, score) < 0.9
    ruled = {name: run.macro_f1_rule(trial.p, y) for name, trial in (("g", good), ("b", bad))}
    assert contest.score(good._replace(rule=ruled["g"]), "macro_f1") == 1
    assert contest.score(bad._replace(rule=ruled["b"]), "macro_f1") < 0.9


def test_measures_by_hand(contest, monkeypatch):
    contest.y_test = np.array([0, 0, 0, 1])
    contest.count = np.array([30, 10])
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.7, 0.3]])
    monkeypatch.setattr(contest, "fit", lambda candidates, rows: [None])
    monkeypatch.setattr(run, "probabilities", lambda model, X: p)
    found = contest.finish(run.Trial((1, 0), None, tau=1))
    balanced = p / [0.75, 0.25]
    balanced /= balanced.sum(axis=1, keepdims=True)
    assert list(balanced.argmax(axis=1)) == [0, 1, 0, 1]
    assert found["balanced_accuracy"] == pytest.approx((2 / 3 + 1) / 2, abs=1e-5)
    assert found["macro_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2, abs=1e-5)
    assert found["worst_class"] == pytest.approx(2 / 3, abs=1e-5)
    losses = -np.log(balanced[np.arange(4), contest.y_test])
    expected = (losses[:3].mean() + losses[3]) / 2
    assert found["log_loss"] == pytest.approx(expected, abs=1e-5)
    losses = -np.log(p[np.arange(4), contest.y_test])
    assert found["natural_log_loss"] == pytest.approx(losses.mean(), abs=1e-5)
    # By inverse frequency, p is of balanced classes already.
    weighted = contest.finish(run.Trial((1, 1), None))
    losses = -np.log(p[np.arange(4), contest.y_test])
    assert weighted["log_loss"] == pytest.approx((losses[:3].mean() + losses[3]) / 2, abs=1e-5)


@pytest.mark.parametrize("beta", [0, 0.99, 1])
def test_adjusts_like_the_classifier(contest, beta):
    X, y = load_digits_lt(return_X_y=True)
    X_test = load_digits_lt("test", return_X_y=True)[0]
    weighted = ClassBalancedClassifier(LogisticRegression(max_iter=500), beta=beta)
    model = LogitAdjustedClassifier(weighted, tau=0.5).fit(X / 16, y)
    prior = contest.prior_left((1, beta), np.bincount(y))
    p = run.adjusted(weighted.fit(X / 16, y).predict_proba(X_test / 16), prior, 0.5)
    np.testing.assert_allclose(p, model.predict_proba(X_test / 16), atol=1e-12)


# ---------------------------------------------------------------------- data


def test_sets_that_are_not_there_are_named(tmp_path):
    with pytest.warns(UserWarning, match="is left out") as caught:
        found = sets.available(str(tmp_path))
    assert "digits" in found
    assert any(str(warning.message).startswith("yeast is left out: ") for warning in caught)
    assert {str(warning.message).split()[0] for warning in caught} == sets.SETS.keys() - set(found)


# ---------------------------------------------------------------------- data of one's own

COUNT = 60, 30, 14, 3  # the last class is dropped
LABELS = np.repeat(["a", "b", "c", "d"], COUNT)
FEATURES = np.random.default_rng(0).normal(size=(107, 3)) + np.repeat(range(4), COUNT)[:, None]


@pytest.fixture
def folder(tmp_path):
    """The same data in files of both kinds, and in a function; of the .csv file one is a text."""
    folder = tmp_path / "data"
    folder.mkdir()
    table = pd.DataFrame(FEATURES, columns=["x", "y", "z"])
    table.insert(1, "colour", np.where(FEATURES[:, 0] > 1, "red", "blue"))
    table.insert(0, "label", LABELS)
    table.to_csv(folder / "first.csv", index=False)
    np.savez(folder / "second.npz", X=FEATURES, y=LABELS)
    (tmp_path / "third.py").write_text(
        "import pandas as pd\nimport scipy.sparse as sp\n"
        f"TABLE = pd.read_csv({str(folder / 'first.csv')!r})\n"
        "def frame():\n    return TABLE.drop(columns='label'), TABLE['label']\n"
        "def sparse():\n    X = TABLE[['x', 'y', 'z']].to_numpy()\n"
        "    return sp.csr_array(X), TABLE['label']\n"
        "number = 3\n"
    )
    return folder


def test_files_and_functions_are_read_as_the_same(folder):
    function = f"{folder.parent / 'third.py'}:"
    first, second, frame, sparse = own.found(
        [str(folder), f"{function}frame", f"{function}sparse"], "label"
    )
    assert [str(each) for each in (first, second, frame, sparse)] == [
        "first",
        "second",
        "frame",
        "sparse",
    ]
    data = {str(each): sets.load(each, None) for each in (first, second, frame, sparse)}
    for one in data.values():
        assert np.bincount(one.y).tolist() == [60, 30, 14]
        assert one.n_dropped == 1
    rows = np.sort(data["second"].X[:, 0])
    for name in ("first", "frame"):
        assert data[name].categorical == [1]
        codes = data[name].X[:, 1]
        np.testing.assert_array_equal(codes, data[name].X[:, 0] > 1)
        np.testing.assert_allclose(np.sort(data[name].X[:, 0]), rows)
    np.testing.assert_allclose(np.sort(data["sparse"].X[:, [0]].toarray().ravel()), rows)


def test_the_last_column_is_the_target_unless_told(folder):
    X, y, _ = own.read(own.Own("first", str(folder / "first.csv"), None))
    np.testing.assert_allclose(y, FEATURES[:, 2])
    assert X.shape == (107, 4)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_file_goes_from_runs_to_tables(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(run, "MODELS", {"logistic": run.MODELS["logistic"]})
    monkeypatch.setattr(tables, "MODELS", {"logistic": tables.MODELS["logistic"]})
    path = tmp_path / "mine.jsonl"
    source = str(folder / "first.csv")
    given = ["--data", source, "--target", "label", "--results", str(path), "--splits", "2"]
    run.main([*given, "--quick"])
    first = path.read_text()
    lines = run.read(path)
    assert [(line["set"], line["split"], line["n_dropped"]) for line in lines] == [
        ("first", 0, 1),
        ("first", 1, 1),
    ]
    assert lines[0]["command"].endswith(f"--data {source} --target label")
    for scores in lines[0]["arms"].values():
        assert scores["balanced_accuracy"] > 0.5  # a third by chance
    told = capsys.readouterr().err
    assert "first: 104 rows of 3 classes (without 1 of fewer than 12 rows)\n1 of 2: fi" in told
    run.main([*given, "--quick"])
    assert path.read_text() == first
    assert "All runs are in " in capsys.readouterr().err
    found = tables.parts(tables.Results(lines))
    assert not any(name.startswith("odds") for name in found)  # of one set nobody knows
    assert found["size"].startswith("The tables are of 1 data set with natural long tails and 0")
    assert "\n   first,natural,72,3," in found["sets"]
    assert "\n   first," in found["differences_logistic"]

    table = pd.read_csv(source)
    table["label"] = table["label"].to_numpy()[::-1]
    table.to_csv(source, index=False)
    sets.load.cache_clear()
    with pytest.raises(ValueError, match="must hold results of first as it is, got those of oth"):
        run.main([*given, "--quick"])
    assert path.read_text() == first


def test_names_of_the_studys_sets_are_free_for_data_of_ones_own():
    line = run.read(run.RESULTS)[0]
    studied = [
        line | {"set": name, "model": model, "split": 0}
        for name in ("digits", "yeast6")
        for model in run.MODELS
    ]
    study = tables.Results(studied)
    assert (study.natural, study.made, study.binary) == ([], ["digits"], ["yeast6"])
    mine = tables.Results([each | {"data": "abc"} for each in studied])
    assert (mine.natural, mine.made, mine.binary) == (["digits", "yeast6"], [], [])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("nowhere", "Data must be a folder, a .csv file, .* got 'nowhere'"),
        ("EMPTY", "must hold .csv or .npz files, got none"),
        ("FOLDER/first.csv FOLDER", "must have names of their own, got two named 'first'"),
        ("third.py:number", "must have a function 'number', got none"),
        ("FOLDER/few.npz", "few must have two classes of at least 12 rows, got 2 classes"),
        ("FOLDER/none.npz", "must have arrays X and y, got Z"),
        ("FOLDER/short.npz", "short must have a label a row, got 106 for 107"),
        ("FOLDER/holes.npz", "holes must have features that are finite, got NaN or inf"),
        ("FOLDER/texts.npz", "texts must have features that are numbers, in two dimensions"),
        ("FOLDER/other.csv", "must have the column 'label' with the labels, got x"),
        ("FOLDER/gaps.csv", "gaps must have all numbers of the column 'x', got missing ones"),
        ("FOLDER/blank.csv", "must have a label in each row, got none in some"),
        ("FOLDER/dates.csv", "255 different values in the column 'when', .* got 300"),
    ],
)
def test_data_that_cannot_be_taken_are_told_of(folder, source, message, tmp_path):
    (tmp_path / "EMPTY").mkdir()
    holes = np.where(FEATURES > 2, np.nan, FEATURES)
    np.savez(folder / "few.npz", X=FEATURES[:20], y=[0] * 15 + [1] * 5)
    np.savez(folder / "none.npz", Z=FEATURES)
    np.savez(folder / "short.npz", X=FEATURES, y=LABELS[1:])
    np.savez(folder / "holes.npz", X=holes, y=LABELS)
    np.savez(folder / "texts.npz", X=LABELS, y=LABELS)
    pd.DataFrame({"x": [1.0]}).to_csv(folder / "other.csv", index=False)
    pd.DataFrame({"x": [1, None], "label": "a"}).to_csv(folder / "gaps.csv", index=False)
    pd.DataFrame({"x": 1, "label": ["a", None]}).to_csv(folder / "blank.csv", index=False)
    dates = pd.date_range("2024", periods=300).astype(str)
    pd.DataFrame({"when": dates, "label": "a"}).to_csv(folder / "dates.csv", index=False)
    names = [name.replace("FOLDER", str(folder)) for name in source.split()]
    names = [name if name == "nowhere" else str(tmp_path / name) for name in names]
    with pytest.raises(ValueError, match=message):
        run.main(
            ["--data", *names, "--target", "label", "--results", str(tmp_path / "none.jsonl")]
        )
    assert not (tmp_path / "none.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "a.csv"], "--data needs --results"),
        (["--data", "a.csv", "--sets", "digits"], "--data takes the place of FOLDER and --sets"),
        (["--target", "label"], "--target belongs to --data"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message, capsys):
    with pytest.raises(SystemExit):
        run.main(arguments)
    assert message in capsys.readouterr().err


# ---------------------------------------------------------------------- what the study takes


def test_thinning_keeps_each_class_that_is_large_enough(monkeypatch):
    count = [20_000, 200, 12, 11]
    y = np.repeat(["d", "c", "b", "a"], count)
    monkeypatch.setitem(sets.SETS, "made", lambda folder: (np.arange(len(y))[:, None], y, []))
    data = sets.load("made", None)
    assert data.n_dropped == 1
    assert np.bincount(data.y).tolist() == [12, 49, 4948]
    assert {label: y[data.X[data.y == i, 0]].tolist()[0] for i, label in enumerate("bcd")} == {
        "b": "b",
        "c": "c",
        "d": "d",
    }
    assert len(np.unique(data.X)) == len(data.X)


# ---------------------------------------------------------------------- tables


def results_of(accuracies, names=("digits",)):
    """Results of sets, from each arm's balanced accuracy by split."""
    return tables.Results(
        {
            "set": name,
            "split": split,
            "model": model,
            "arms": {
                arm: dict.fromkeys(run.SCORES, accuracy[split])
                for arm, accuracy in accuracies.items()
            },
        }
        for name in names
        for model in tables.MODELS
        for split in range(len(accuracies["inverse"]))
    )


def test_interval_is_the_paired_one_corrected_for_shared_training_rows():
    rng = np.random.default_rng(0)
    ours, theirs = rng.uniform(0.5, 1, (2, 10))
    results = results_of({"plain": ours, "inverse": theirs})
    gap, width = results.difference("digits", "logistic", "plain")
    plain = ttest_rel(100 * ours, 100 * theirs).confidence_interval()
    assert gap == pytest.approx((plain.low + plain.high) / 2)
    # Nadeau and Bengio (2003): 1 / n becomes 1 / n + n_test / n_train.
    correction = np.sqrt((1 / 10 + 0.3 / 0.7) / (1 / 10))
    assert width == pytest.approx((plain.high - plain.low) / 2 * correction)


def test_odds_of_a_clear_winner():
    accuracies = {arm: [0.7] for arm in tables.ARMS} | {"plain": [0.8], "post_hoc": [0.6]}
    results = results_of(accuracies, names=list(sets.NATURAL))
    text = tables.table_of_odds(results, results.natural, "balanced_accuracy")
    n = len(results.natural)
    sure, tie = round(100 * n / (n + 0.5)), round(100 * 0.5 / (n + 0.5))
    for row in (
        f"plain,+10.0,{n}/0/0,100/0/0,{sure}/{tie}/0",
        f"class-balanced,+0.0,0/{n}/0,0/100/0,0/100/0",
        f"post-hoc adjusted,-10.0,0/0/{n},0/0/100,0/{tie}/{sure}",
    ):
        assert text.count(f",{row}\n") == 3


def test_odds_of_two_differences_by_hand():
    # Weights w of the prior's 0, of +4 and of -0.5. Pairs with +4 have means of more than 1, all
    # others tie: the share of wins is 1 - (1 - w1) ** 2.
    win, tie, lose = tables.signed_rank(np.array([4.0, -0.5]), 1.0)
    w1 = np.random.default_rng(1).dirichlet([0.5, 1, 1], 200_000)[:, 1]
    assert win == pytest.approx(np.mean(1 - (1 - w1) ** 2 > 0.5), abs=0.01)
    assert tie == pytest.approx(1 - win, abs=0.01)
    assert lose == 0


def test_a_split_counts_once_all_its_runs_are_there():
    results = results_of({"inverse": [0.5, 0.6, 0.7]})
    lines = [line for line in results.lines if (line["split"], line["model"]) != (1, "net")]
    assert tables.Results(lines).splits == [0, 2]


def test_documentation_shows_the_committed_results():
    results = tables.Results(run.read(run.RESULTS))
    for name, text in tables.parts(results).items():
        assert (tables.DOCS / f"{name}.inc").read_text() == text
    assert tables.readme_table(results) in tables.README.read_text()
    assert len(results.names) >= 12
    # What a page says of the intervals.
    for name in results.names + results.binary:
        for model in tables.MODELS:
            gap, width = results.difference(name, model, "class_balanced")
            assert abs(gap) < width


@pytest.mark.slow
def test_tables_of_a_quick_run_and_of_none(quick, tmp_path, monkeypatch):
    path, out = quick("--splits", "1"), tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["tables.py", "--results", str(path), "--out", str(out)])
    tables.main()
    assert "and 1 with made ones" in (out / "size.inc").read_text()
    text = path.read_text()
    path.write_text(text[: text.index("\n")])
    with pytest.raises(ValueError, match="must hold all runs of a split, got 1"):
        tables.main()
    assert path.read_text() == text[: text.index("\n")]  # it is only read


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('no result\n{"set": "di')
    with pytest.raises(ValueError, match="Line 1 of .* must be the JSON of one result, got 'no"):
        run.read(path)
