"""Frozen features and a balanced head on long-tailed CIFAR: what is searched, and resumed."""

import json
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from sk_cbloss import load_digits_lt

SCRIPTS = Path(__file__).parents[2] / "benchmarks" / "cifar_lt"

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    names = "features", "_features", "tables"
    features, embedding, tables = map(import_module, names)

pytestmark = pytest.mark.filterwarnings("ignore::sk_cbloss.MiscalibratedPriorWarning")  # of LDA


@pytest.fixture
def digits(monkeypatch):
    """Let digits stand for features of both data sets."""
    X, y = load_digits_lt(imbalance_factor=5, return_X_y=True)
    X_test, y_test = load_digits_lt("test", imbalance_factor=5, return_X_y=True)
    parts = X / 16, y, X_test / 16, y_test, "digits"
    monkeypatch.setattr(features, "embedded", lambda *given: parts)
    monkeypatch.setattr(features, "IMBALANCE_FACTOR", 20)
    monkeypatch.setattr(features, "CS", (0.001, 0.01))
    monkeypatch.setattr(features, "SHRINKAGES", (0.5,))
    monkeypatch.setattr(features, "versions", dict)
    return parts[:2]


def run(path, *arguments):
    features.main(["--cache", "none", "--results", str(path), *arguments])
    return path.read_text().splitlines()


def test_one_fit_for_each_strength_finds_what_a_grid_of_both_finds(digits):
    X, y = digits
    searched = features.Searched(LinearDiscriminantAnalysis("lsqr"), "shrinkage", (0.1, 0.9), X, y)
    cv = StratifiedKFold(3, shuffle=True, random_state=0)
    for taus in ((0,), features.TAUS):
        model, found = searched.best(taus)
        grid = {"estimator__shrinkage": [0.1, 0.9], "tau": taus}
        whole = GridSearchCV(searched.search.estimator, grid, scoring="balanced_accuracy", cv=cv)
        whole.fit(X, y)
        assert found["cv_score"] == pytest.approx(whole.best_score_)
        assert model.get_params()["estimator__shrinkage"] == found["strength"]
        assert model.tau == found["tau"]
        params = {"estimator__shrinkage": found["strength"], "tau": found["tau"]}
        theirs = whole.cv_results_["mean_test_score"][whole.cv_results_["params"].index(params)]
        assert theirs == pytest.approx(whole.best_score_)  # of several, another may come first


def test_finished_runs_are_kept(digits, tmp_path, monkeypatch):
    path = tmp_path / "results.jsonl"
    first = run(path, "--datasets", "cifar100", "--subsets", "1")
    both = run(path, "--datasets", "cifar10", "cifar100", "--subsets", "1")
    assert both[:1] == first
    assert [json.loads(line)["dataset"] for line in both] == ["cifar100", "cifar10"]
    monkeypatch.delattr(features, "run")
    assert run(path, "--subsets", "1") == both
    table = tables.features_table(features.read(path))
    assert table.count("CIFAR-10-LT") == table.count("CIFAR-100-LT") == len(features.HEADS)
    assert "1 subset of" in table


def test_subsets_are_of_one_size_and_the_first_is_the_first_images(digits):
    _, y = digits
    subsets = [features.subset_of(y, subset) for subset in range(3)]
    counts = [np.bincount(y[rows]).tolist() for rows in subsets]
    assert counts[0] == counts[1] == counts[2]
    for label, n in enumerate(counts[0]):
        first = np.flatnonzero(y == label)[:n]
        np.testing.assert_array_equal(subsets[0][y[subsets[0]] == label], first)
    assert not np.array_equal(subsets[1], subsets[2])


def test_features_are_made_once(tmp_path, monkeypatch):
    images = np.zeros((3, 3, 32, 32), np.uint8)
    made = np.arange(6.0).reshape(3, 2)
    monkeypatch.setattr(embedding, "features_of", lambda images: made)
    path = tmp_path / "cache" / "some.npy"
    np.testing.assert_array_equal(embedding.kept(path, images), made)
    monkeypatch.delattr(embedding, "features_of")
    np.testing.assert_array_equal(embedding.kept(path, images), made)
    assert [file.name for file in path.parent.iterdir()] == ["some.npy"]


def test_a_broken_line_is_named(tmp_path):
    path = tmp_path / "results.jsonl"
    path.write_text('{"dataset": "cifar10"}\n')
    with pytest.raises(ValueError, match=r"Line 1 of .* must be the JSON of one result"):
        features.read(path)
