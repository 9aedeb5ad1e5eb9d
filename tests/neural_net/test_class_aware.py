"""ClassAwareSampler: what is drawn, by itself and in a net."""

import copy
import pickle
import warnings

import mpmath
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from scipy.stats import chisquare
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch.dataset import ValidSplit
from torch.utils.data import DataLoader, Dataset, Subset, TensorDataset

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassAwareSampler,
    StackedGridSearchCV,
    class_balanced_sample_weight,
)
from sk_cbloss.neural_net import ArrayDataset, BatchLoader, TrainingCheckpoint
from sk_cbloss.neural_net.data._targets import targets_of

COUNT = np.array([700, 250, 45, 5])
Y = np.random.default_rng(0).permutation(np.repeat(np.arange(4), COUNT))
X = np.random.default_rng(1).normal(size=(len(Y), 3)).astype(np.float32) + Y[:, None]
# Of four labels, the last has no row; the last two rows are of a kind of their own.
LABELS = np.array([[1, 0, 0, 0]] * 60 + [[1, 1, 0, 0]] * 25 + [[1, 0, 1, 0]] * 5 + [[0] * 4] * 10)
BETAS = [0, 0.9, 0.999, 1]


def effective(n, beta):
    """Effective number of samples, in higher precision."""
    with mpmath.workdps(50):
        n, beta = mpmath.mpf(int(n)), mpmath.mpf(beta)
        return n if beta == 1 else (1 - beta**n) / (1 - beta)


def shares(count, beta):
    with mpmath.workdps(50):
        share = [n / effective(n, beta) for n in count]
        return np.array([float(one / mpmath.fsum(share)) for one in share])


# ---------------------------------------------------------------------- what is drawn


@pytest.mark.parametrize("beta", BETAS)
def test_classes_have_the_shares_of_the_formula(beta):
    sampler = ClassAwareSampler(Y, beta=beta, num_samples=100_000, random_state=1)
    expected = shares(COUNT, beta)
    share = np.bincount(Y, weights=sampler.weights) / len(Y)
    np.testing.assert_allclose(share, expected, rtol=1e-13)
    drawn = np.array(list(sampler))
    assert chisquare(np.bincount(Y[drawn]), expected * len(drawn)).pvalue > 1e-3
    # Rows of a class are drawn alike.
    of_class = np.bincount(drawn, minlength=len(Y))[Y == 1]
    assert chisquare(of_class).pvalue > 1e-3


def test_ends_of_beta():
    np.testing.assert_array_equal(ClassAwareSampler(Y, beta=0).weights, 1)
    share = np.bincount(Y, weights=ClassAwareSampler(Y, beta=1).weights)
    np.testing.assert_allclose(share, len(Y) / 4)


def test_labels_of_any_kind_weigh_the_same():
    expected = ClassAwareSampler(Y, beta=0.99).weights
    np.testing.assert_allclose(expected, class_balanced_sample_weight(Y, beta=0.99), rtol=1e-14)
    names = np.array(["d", "b", "c", "a"])[Y]
    for y in (names, list(names), pd.Series(names, dtype="category"), torch.from_numpy(Y)):
        np.testing.assert_allclose(ClassAwareSampler(y, beta=0.99).weights, expected, rtol=1e-14)
    one_hot = np.eye(4)[Y]
    for y in (one_hot, csr_array(one_hot), pd.DataFrame(one_hot)):
        np.testing.assert_allclose(ClassAwareSampler(y, beta=0.99).weights, expected, rtol=1e-14)


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("kind", [np.array, csr_array, pd.DataFrame])
def test_a_row_of_several_labels_is_drawn_as_one_of_its_rarest(beta, kind):
    sampler = ClassAwareSampler(kind(LABELS), beta=beta, num_samples=50_000, random_state=0)
    rarest = np.repeat([90, 25, 5, 10], [60, 25, 5, 10])  # of the rows without labels: they
    weight = np.array([float(1 / effective(n, beta)) for n in rarest])
    np.testing.assert_allclose(sampler.weights, weight / weight.mean(), rtol=1e-13)
    drawn = np.bincount(list(sampler), minlength=len(rarest))
    assert chisquare(drawn, 50_000 * weight / weight.sum()).pvalue > 1e-3


def test_a_label_that_is_not_known_is_none():
    y = LABELS.astype(float)
    unknown = np.where(y == 0, np.nan, y)
    for beta in BETAS:
        expected = ClassAwareSampler(y, beta=beta).weights
        np.testing.assert_array_equal(ClassAwareSampler(unknown, beta=beta).weights, expected)


def test_all_rows_without_labels_are_drawn_alike():
    for y in (np.zeros((5, 3)), csr_array((5, 3))):
        np.testing.assert_array_equal(ClassAwareSampler(y, beta=0.9).weights, 1)


def test_counts_in_the_place_of_those_in_y():
    count = 10 * COUNT[:2]
    sampler = ClassAwareSampler(beta=0.99).for_labels([0, 0, 1, 1], class_count=count)
    low, _, high, _ = sampler.weights
    assert high / low == pytest.approx(float(effective(7000, 0.99) / effective(2500, 0.99)))


# ---------------------------------------------------------------------- epochs


def test_an_epoch_depends_on_seed_and_number_alone():
    sampler = ClassAwareSampler(Y, random_state=3)
    epochs = [list(sampler) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert sampler.epoch == 3
    other = ClassAwareSampler(Y, random_state=3)
    for epoch in (2, 0, 1):
        other.set_epoch(epoch)
        assert list(other) == epochs[epoch]
    assert list(ClassAwareSampler(Y, random_state=4)) != epochs[0]


def test_without_a_seed_it_draws_from_torchs_generator():
    sampler = ClassAwareSampler(Y)
    first, second = ([list(sampler) for _ in range(2) if torch.manual_seed(0)] for _ in range(2))
    assert first == second
    assert first[0] == first[1]
    assert list(sampler) != first[0]


def test_length():
    assert len(ClassAwareSampler(Y)) == len(list(ClassAwareSampler(Y))) == len(Y)
    sampler = ClassAwareSampler(Y, num_samples=7)
    assert len(sampler) == len(list(sampler)) == 7
    assert len(sampler.for_labels(Y[:3])) == 7
    assert len(ClassAwareSampler(num_samples=7)) == 7


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_goes_on_as_the_original(copied):
    sampler = ClassAwareSampler(Y, beta=0.9, num_samples=50, random_state=0)
    list(sampler)
    assert list(copied(sampler)) == list(sampler)


def test_loaders_of_torch():
    dataset = TensorDataset(torch.from_numpy(X), torch.arange(len(Y)))
    sampler = ClassAwareSampler(Y, beta=1, random_state=0)
    for n_workers in (0, 1):
        loader = DataLoader(dataset, batch_size=64, sampler=sampler, num_workers=n_workers)
        sampler.set_epoch(0)
        rows = torch.cat([row for _, row in loader]).tolist()
        sampler.set_epoch(0)
        assert rows == list(sampler)
        assert len(loader) == 16


def test_ranks_draw_as_one_does():
    n_ranks = 4
    ranks = [
        ClassAwareSampler(Y, beta=0.99, num_samples=25_000 // n_ranks, random_state=rank)
        for rank in range(n_ranks)
    ]
    drawn = [list(sampler) for sampler in ranks]
    assert len({tuple(rows) for rows in drawn}) == n_ranks
    count = np.bincount(Y[np.concatenate(drawn)])
    assert chisquare(count, shares(COUNT, 0.99) * 25_000).pvalue > 1e-3


def test_repr_tells_what_was_given():
    assert repr(ClassAwareSampler(beta=0.9)) == "ClassAwareSampler(beta=0.9)"
    sampler = ClassAwareSampler(Y, num_samples=5, random_state=0)
    expected = "ClassAwareSampler(<1000 labels>, beta=0.999, num_samples=5, random_state=0)"
    assert repr(sampler) == expected


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"beta": 1.5}, "beta must be a number in .0, 1., got 1.5"),
        ({"num_samples": 0}, "num_samples must be an integer >= 1, got 0"),
        ({"num_samples": 0.5}, "num_samples must be an integer >= 1, got 0.5"),
        ({"random_state": -1}, "random_state must be an integer in .0, .* or None, got -1"),
        ({"random_state": "a"}, "random_state must be an integer in .0, .* or None, got 'a'"),
        ({"y": []}, "y must hold .*, got none"),
        ({"y": np.empty((0, 3))}, "y must hold a label of a class that has samples, got none"),
        ({"y": [0.5, 1]}, "y must hold class labels, got the continuous value 0.5"),
        ({"y": [[0, 2], [1, 0]]}, "y must hold 0 and 1, a column for each label, got 2"),
    ],
)
def test_wrong_parameters(params, message):
    with pytest.raises(ValueError, match=message):
        ClassAwareSampler(**params)


def test_wrong_calls():
    with pytest.raises(ValueError, match="must be given the labels y to draw rows, got None"):
        list(ClassAwareSampler())
    with pytest.raises(ValueError, match="must be given the labels y"):
        len(ClassAwareSampler())
    with pytest.raises(ValueError, match="epoch must be an integer >= 0, got -1"):
        ClassAwareSampler(Y).set_epoch(-1)


# ---------------------------------------------------------------------- in a net


def make_net(sampler=None, **params):
    given = {"beta": 0, "max_epochs": 2, "random_state": 0, "device": "cpu"}
    if sampler is not None:
        given["iterator_train__sampler"] = sampler
    return CBNeuralNetClassifier(**given | params)


@pytest.fixture
def drawn(monkeypatch):
    """The weights that rows were drawn by in each fit, and the rows of each epoch."""
    told = []

    def draw(self, original=ClassAwareSampler.draw):
        rows = original(self)
        told.append((self.weights, rows))
        return rows

    monkeypatch.setattr(ClassAwareSampler, "draw", draw)
    return told


def parameters(net):
    return torch.cat([p.detach().ravel() for p in net.module_.parameters()])


def test_a_net_draws_by_the_labels_of_each_fold(drawn):
    names = np.array(["d", "b", "c", "a"])[Y]
    sampler = ClassAwareSampler(beta=0.99)
    net = make_net(sampler, max_epochs=1)
    folds = [(np.arange(0, 600), np.arange(600, 1000)), (np.arange(300, 1000), np.arange(300))]
    GridSearchCV(net, {"lr": [0.01]}, cv=folds, refit=False).fit(X, names)
    for (weights, rows), (train, _) in zip(drawn, folds, strict=True):
        assert len(rows) == len(train)
        np.testing.assert_allclose(
            weights, class_balanced_sample_weight(Y[train], beta=0.99), rtol=1e-13
        )
    assert sampler.weights is None
    assert sampler.epoch == 0


class Images(Dataset):
    """Hides its targets, and counts how often it is read."""

    def __init__(self):
        self.n_reads = 0

    def __len__(self):
        return len(Y)

    def __getitem__(self, row):
        self.n_reads += 1
        return X[row], Y[row]


@pytest.mark.parametrize(
    "split",
    [{}, {"early_stopping": True}, {"train_split": ValidSplit(4, stratified=True)}],
    ids=["all", "early_stopping", "train_split"],
)
@pytest.mark.parametrize("kind", ["arrays", "dataset", "labels_beside"])
def test_only_rows_to_train_on_are_drawn_by_their_own_labels(drawn, split, kind):
    net = make_net(ClassAwareSampler(beta=1), module__n_features=3, **split)
    dataset, seen = Images(), []
    net.set_params(callbacks=[("tell", Tell(seen))])
    net.fit(*{"arrays": (X, Y), "dataset": (dataset,), "labels_beside": (dataset, Y)}[kind])
    assert len(drawn) == 2
    targets = np.concatenate(seen)
    for weights, _ in drawn:
        assert len(weights) == len(targets) // 2
    assert chisquare(np.bincount(targets)).pvalue > 1e-3
    if not split and kind == "labels_beside":
        assert dataset.n_reads < 2 * len(Y) + 50  # each epoch, and no pass for the labels


class Tell:
    """A callback that keeps the targets that are trained on."""

    def __init__(self, seen):
        self.seen = seen

    def initialize(self):
        return self

    def get_params(self, deep=True):
        return {}

    def set_params(self, **params):
        return self

    def __getattr__(self, name):
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        if training:
            self.seen.append(np.asarray(batch[1]))


def test_the_same_seed_trains_the_same_net_by_any_loader():
    one, other = (make_net(ClassAwareSampler(beta=0.9)).fit(X, Y) for _ in range(2))
    assert torch.equal(parameters(one), parameters(other))
    loader = {"iterator_train": DataLoader, "iterator_train__shuffle": False}
    by_rows = make_net(ClassAwareSampler(beta=0.9), **loader).fit(X, Y)
    assert torch.equal(parameters(one), parameters(by_rows))
    assert not torch.equal(parameters(one), parameters(make_net().fit(X, Y)))
    again = clone(one).fit(X, Y)
    assert torch.equal(parameters(one), parameters(again))


def test_batches_are_cut_whole():
    net = make_net(ClassAwareSampler(beta=0.9)).fit(X, Y)
    loader = net.get_iterator(net.get_dataset(X, Y), training=True)
    assert isinstance(loader, BatchLoader)
    assert loader.is_in_memory
    part = Subset(net.get_dataset(X, Y), np.flatnonzero(Y < 2))
    assert set(torch.cat([y for _, y in net.get_iterator(part, training=True)]).tolist()) == {0, 1}


def test_more_and_fewer_rows_than_there_are():
    for n_rows in (300, 2500):
        net = make_net(ClassAwareSampler(beta=0.9, num_samples=n_rows)).fit(X, Y)
        sizes = [row["train_batch_size"] for row in net.history[-1]["batches"]]
        assert sum(sizes) == n_rows


def test_a_search_stacks_nets_that_draw():
    samplers = [ClassAwareSampler(beta=beta) for beta in (0, 0.9, 1)]
    samplers += [ClassAwareSampler(beta=0.9, num_samples=300)]
    grid, given = {"iterator_train__sampler": samplers}, {"cv": 3, "scoring": "neg_log_loss"}
    stacked = StackedGridSearchCV(make_net(), grid, **given, error_score="raise").fit(X, Y)
    assert stacked.n_fallback_fits_ == 0
    alone = GridSearchCV(make_net(), grid, **given).fit(X, Y)
    np.testing.assert_allclose(
        stacked.cv_results_["mean_test_score"], alone.cv_results_["mean_test_score"], rtol=1e-4
    )


def test_a_checkpoint_goes_on_with_the_same_draws(tmp_path, drawn, monkeypatch):
    given = {"max_epochs": 4, "callbacks": [TrainingCheckpoint(tmp_path)]}
    make_net(ClassAwareSampler(beta=0.9), max_epochs=4).fit(X, Y)
    rows = [rows.tolist() for _, rows in drawn]
    del drawn[:]

    def draw(self, original=ClassAwareSampler.draw):
        if len(drawn) == 2:
            raise RuntimeError("cut off")
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(ClassAwareSampler, "draw", draw)
        with pytest.raises(RuntimeError, match="cut off"):
            make_net(ClassAwareSampler(beta=0.9), **given).fit(X, Y)
    make_net(ClassAwareSampler(beta=0.9), **given).fit(X, Y)
    assert [rows.tolist() for _, rows in drawn] == rows


def test_natural_probabilities_are_those_of_the_training_data():
    # Two classes that overlap, one in twenty, and features of one bit: the posterior is known.
    rng = np.random.default_rng(0)
    y = (np.arange(20_000) % 20 == 0).astype(int)
    bit = rng.random(len(y)) < np.where(y, 0.8, 0.3)
    x = bit[:, None].astype(np.float32)
    net = make_net(ClassAwareSampler(beta=1), max_epochs=5).fit(x, y)
    share = np.array([y[~bit].mean(), y[bit].mean()])
    natural = net.predict_natural_proba([[0.0], [1.0]])
    np.testing.assert_allclose(natural[:, 1], share, atol=0.02)
    balanced = net.predict_proba([[0.0], [1.0]])[:, 1]
    odds = 19 * share / (1 - share)
    np.testing.assert_allclose(balanced, odds / (1 + odds), atol=0.06)
    # What is asked of a fitted net is not changed by what the next fit is to do.
    assert (
        net.set_params(iterator_train__sampler=None).predict_natural_proba(x[:5])
        == natural[bit[:5].astype(int)]
    ).all()


def test_two_corrections_are_told_of_where_they_are_made():
    sampler = ClassAwareSampler(beta=0.9)
    for params in ({"beta": 0.99}, {"beta": None}, {"loss": "logit_adjusted"}):
        with pytest.warns(
            UserWarning, match="corrected twice, by iterator_train__sampler"
        ) as told:
            make_net(sampler, **params).fit(X, Y)
        assert [warning.filename for warning in told] == [__file__]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_net(sampler, beta=0).fit(X, Y)
        make_net(ClassAwareSampler(beta=0), beta=0.9).fit(X, Y)


def test_a_seed_of_its_own_has_no_place_in_a_net():
    for sampler in (ClassAwareSampler(random_state=0), ClassAwareSampler(Y, random_state=0)):
        with pytest.raises(ValueError, match="random_state=None in a net, whose own takes its"):
            make_net(sampler).fit(X, Y)


def test_labels_that_are_given_stay_and_must_fit():
    groups = np.arange(len(Y)) % 2
    sampler = ClassAwareSampler(np.where(groups, 0, Y > 0), beta=1)
    make_net(sampler).fit(X, Y)
    assert sampler.epoch == 0
    with pytest.raises(ValueError, match="must be made for the 500 rows .* got one for 1000"):
        make_net(sampler).fit(X[:500], Y[:500])


def test_partial_fit_weighs_by_all_that_was_counted(drawn):
    net = make_net(ClassAwareSampler(beta=0.99), max_epochs=1)
    net.partial_fit(X[:600], Y[:600], classes=range(4)).partial_fit(X[600:], Y[600:])
    weights = np.array([float(1 / effective(n, 0.99)) for n in COUNT])[Y[600:]]
    np.testing.assert_allclose(drawn[1][0], weights / weights.mean(), rtol=1e-12)


def test_targets_of_parts_of_what_is_known():
    dataset = Images()
    part = Subset(Subset(dataset, [5, 6, 7, 8]), [3, 0])
    np.testing.assert_array_equal(targets_of(part, dataset, Y), Y[[8, 5]])
    assert dataset.n_reads == 0
    np.testing.assert_array_equal(targets_of(part), Y[[8, 5]])
    matrix = ArrayDataset(X[:100], LABELS)  # of rows of an array
    np.testing.assert_array_equal(targets_of(Subset(matrix, [99, 0])), LABELS[[99, 0]])


# ---------------------------------------------------------------------- of several labels


@pytest.mark.parametrize("kind", [np.array, csr_array])
def test_a_net_of_several_labels_draws_rows_by_their_rarest(drawn, kind):
    labels = np.tile(LABELS[:, :3], (3, 1))
    X = np.random.default_rng(0).normal(size=(len(labels), 3)).astype(np.float32)
    net = make_net(ClassAwareSampler(beta=0.9)).fit(X, kind(labels))
    expected = ClassAwareSampler(labels, beta=0.9).weights
    np.testing.assert_array_equal(drawn[0][0], expected)
    with pytest.raises(ValueError, match="drawn alike, got a ClassAwareSampler with beta=0.9"):
        net.predict_natural_proba(X)
    with pytest.warns(UserWarning, match="corrected twice, by iterator_train__sampler"):
        make_net(ClassAwareSampler(beta=0.9), beta=0.9).fit(X, kind(labels))
    grid = {"iterator_train__sampler": [ClassAwareSampler(beta=beta) for beta in (0, 0.9, 1)]}
    search = StackedGridSearchCV(make_net(), grid, cv=3).fit(X, kind(labels))
    assert search.n_fallback_fits_ == 0
