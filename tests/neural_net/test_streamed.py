"""Datasets whose rows are read when a batch needs them, in fits and in searches."""

import gc
import weakref

import numpy as np
import pytest
import skorch.dataset
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch.dataset import ValidSplit
from skorch.helper import SliceDataset, predefined_split
from torch import nn
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV
from sk_cbloss.neural_net import TrainingCheckpoint, features_and_labels

NAMES = ["ant", "bee", "cat"]
TARGETS = np.repeat([0, 1, 2], [30, 20, 10])
IMAGES = np.random.default_rng(0).normal(size=(60, 1, 4, 4)).astype(np.float32)
IMAGES[TARGETS == 1] += 1
IMAGES[TARGETS == 2] -= 1


class Small(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(16, n_classes)

    def forward(self, x):
        return self.head(x.flatten(1))


class Folder(Dataset):
    """Images as torchvision's ImageFolder has them, which counts how many rows are in use."""

    classes = NAMES

    def __init__(self, noise=0.0):
        self.noise, self.targets = noise, TARGETS.tolist()
        self.samples = [(f"{row}.png", target) for row, target in enumerate(self.targets)]
        self.seen, self.most, self.in_use = [], 0, weakref.WeakSet()

    def __len__(self):
        return len(self.samples)

    def __getstate__(self):
        """Leave out what no process can be sent, as Python 3.14 does to start one."""
        return vars(self) | {"in_use": set()}

    def __getitem__(self, row):
        image = torch.from_numpy(IMAGES[row].copy())
        if self.noise:
            image += self.noise * torch.randn(1, 4, 4)
        self.in_use.add(image)
        self.most = max(self.most, len(self.in_use))
        self.seen.append(round(float(image.sum()), 5))
        return image, self.samples[row][1]


def make_net(**params):
    given = {"module": Small, "max_epochs": 2, "batch_size": 8, "random_state": 0, "device": "cpu"}
    return CBNeuralNetClassifier(**given | params)


@pytest.mark.parametrize("kind", [GridSearchCV, StackedGridSearchCV])
def test_a_search_reads_rows_when_a_batch_needs_them(kind):
    X, y = features_and_labels(folder := Folder())
    grid = {"beta": [0, 0.9]}
    search = kind(make_net(), grid, cv=2, error_score="raise").fit(X, y)
    plain = kind(make_net(), grid, cv=2).fit(IMAGES, np.array(NAMES)[TARGETS])
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], plain.cv_results_["mean_test_score"]
    )
    np.testing.assert_array_equal(search.predict(X), plain.predict(IMAGES))
    assert search.classes_.tolist() == search.best_estimator_.classes_.tolist() == NAMES
    gc.collect()
    assert folder.most <= 3 * 8


def test_the_stacked_search_takes_the_dataset_itself():
    grid, folder = {"beta": [0, 0.9]}, Folder()
    search = StackedGridSearchCV(make_net(), grid, cv=2, error_score="raise").fit(folder)
    assert search.n_fallback_fits_ == 4
    other = GridSearchCV(make_net(), grid, cv=2).fit(*features_and_labels(folder))
    np.testing.assert_array_equal(
        search.cv_results_["mean_test_score"], other.cv_results_["mean_test_score"]
    )
    assert search.classes_.tolist() == NAMES
    assert search.predict(folder).shape == (60,)


def test_each_epoch_draws_anew():
    X, y = features_and_labels(folder := Folder(noise=1.0))
    net = make_net(max_epochs=5).fit(X, y)
    assert len(set(folder.seen)) == 60 * 5 + 1  # one row tells the shape of all
    again = make_net(max_epochs=5).fit(X, y)
    np.testing.assert_array_equal(again.decision_function(IMAGES), net.decision_function(IMAGES))
    bare = make_net(max_epochs=5).fit(folder)
    np.testing.assert_array_equal(bare.decision_function(IMAGES), net.decision_function(IMAGES))


def test_classes_have_the_names_of_the_dataset(tmp_path):
    folder = Folder()
    net = make_net().fit(folder)
    assert net.classes_.tolist() == NAMES
    np.testing.assert_array_equal(net.class_count_, [30, 20, 10])
    assert set(net.predict(folder)) <= set(NAMES)
    part = make_net().fit(Subset(Subset(folder, range(50)), range(0, 50, 2)))
    assert part.classes_.tolist() == NAMES
    np.testing.assert_array_equal(part.class_count_, [15, 10, 0])
    assert make_net().fit(ConcatDataset([folder, folder])).classes_.tolist() == NAMES
    assert net.partial_fit(folder).classes_.tolist() == NAMES
    assert make_net().fit(folder, TARGETS).classes_.tolist() == [0, 1, 2]
    assert make_net(classes=["a", "b", "c"]).fit(folder).classes_.tolist() == ["a", "b", "c"]
    validated = make_net(train_split=ValidSplit(3, stratified=True)).fit(folder)
    assert 0 <= validated.history[-1, "valid_balanced_accuracy"] <= 1
    folder.classes = NAMES[::-1]  # scorers would take them for sorted
    assert make_net().fit(folder).classes_.tolist() == [0, 1, 2]
    folder.classes, folder.targets = NAMES, None
    _, y = features_and_labels(folder)  # of the samples, with a look at one image
    assert y.tolist() == np.array(NAMES)[TARGETS].tolist()


def test_datasets_with_other_classes_are_refused():
    folder, other = Folder(), Folder()
    other.classes = ["ant", "cat", "dog"]
    net = make_net().fit(folder)
    message = r"^A Dataset's classes must be those of the net.*dog"
    with pytest.raises(ValueError, match=message):
        net.partial_fit(other)
    with pytest.raises(ValueError, match=message):
        make_net().fit(folder, X_val=other)
    with pytest.raises(ValueError, match="^The parts of a ConcatDataset must have the same cl"):
        make_net().fit(ConcatDataset([folder, other]))


def test_a_streamed_fit_is_that_of_the_array(tmp_path):
    X, y = features_and_labels(Folder())
    weight = np.linspace(0.5, 2, 60)
    for given in (
        {},
        {"early_stopping": True},
        {"train_split": ValidSplit(3, stratified=True)},
        {"train_split": predefined_split(skorch.dataset.Dataset(IMAGES[::2], y[::2]))},
        {"dtype": "float64", "iterator_train__num_workers": 1},
        {"callbacks": [TrainingCheckpoint(tmp_path)]},
    ):
        streamed = make_net(**given).fit(X, y, sample_weight=weight)
        plain = make_net(**given | ({"callbacks": None})).fit(IMAGES, y, sample_weight=weight)
        np.testing.assert_array_equal(
            streamed.decision_function(X), plain.decision_function(IMAGES)
        )
        assert streamed.n_features_in_ == plain.n_features_in_ == 1
    validated = make_net().fit(X, y, X_val=X[::2], y_val=y[::2])
    plain = make_net().fit(IMAGES, y, X_val=IMAGES[::2], y_val=y[::2])
    assert validated.history[:, "valid_loss"] == plain.history[:, "valid_loss"]
    rows = cross_val_predict(make_net(), X, y, cv=2)
    np.testing.assert_array_equal(rows, cross_val_predict(make_net(), IMAGES, y, cv=2))


def test_tables_dicts_and_steps_before():
    table = TensorDataset(torch.from_numpy(IMAGES[:, 0, 0]), torch.tensor(TARGETS))
    X, y = features_and_labels(table)
    net = clone(make_net(module=None)).fit(X, y)
    assert net.module_.head.out_features == 3
    assert net.n_features_in_ == 4
    with pytest.raises(ValueError, match="^X has 1 features, but .* is expecting 4 features"):
        net.predict(SliceDataset(Folder()))
    with pytest.raises(ValueError, match=r"^X must have shape .* got shape \(60, 1, 4, 4\)"):
        make_net(module=None).fit(*features_and_labels(Folder()))
    model = make_pipeline(FunctionTransformer(np.asarray), make_net(module=None))
    search = StackedGridSearchCV(model, {"cbneuralnetclassifier__beta": [0, 0.9]}, cv=2)
    assert search.fit(table).n_fallback_fits_ == 0

    class Tokens(Dataset):
        targets = TARGETS

        def __len__(self):
            return 60

        def __getitem__(self, row):
            return {"x": np.array([row % 5, 1])}, TARGETS[row]

    class Looked(nn.Module):
        def __init__(self, n_classes):
            super().__init__()
            self.table = nn.Embedding(5, n_classes)

        def forward(self, x):
            return self.table(x).sum(dim=1)

    X, y = features_and_labels(Tokens())
    net = make_net(module=Looked).fit(X, y, sample_weight=np.ones(60))
    np.testing.assert_array_equal(net.predict(X), net.predict(Tokens()))


class Rows(Dataset):
    def __init__(self, row, target=0):
        self.row, self.target = row, target

    def __len__(self):
        return 60

    def __getitem__(self, row):
        return self.row, self.target


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (np.array([1, np.nan]), "^Rows of a Dataset must be finite, got NaN or inf in row"),
        ({"x": np.array([np.inf])}, "^Rows of a Dataset must be finite, got NaN or inf in row"),
        (object(), "^Rows of a Dataset must be numbers, got a object in row .*: give it a trans"),
        ("text", "^Rows of a Dataset must be numbers, got a str in row"),
    ],
)
def test_rows_that_no_net_can_take(row, message):
    with pytest.raises(ValueError, match=message):
        make_net().fit(SliceDataset(Rows(row)), TARGETS)


def test_datasets_without_labels_that_can_be_counted():
    one_hot = torch.eye(3)[TARGETS]
    message = "^A Dataset's targets must be the positions .* need loss='multi_label', .* by argmax"
    search = StackedGridSearchCV(make_net(), {"beta": [0]}, cv=2)
    for dataset in (TensorDataset(torch.from_numpy(IMAGES), one_hot), Rows(IMAGES[0], one_hot[0])):
        for fit in (search.fit, make_net().fit):
            with pytest.raises(ValueError, match=message):
                fit(dataset)
        np.testing.assert_array_equal(features_and_labels(dataset)[1][0], one_hot[0])
    ragged = TensorDataset(torch.from_numpy(IMAGES), torch.zeros(len(TARGETS), 2, 2))
    with pytest.raises(ValueError, match="^A Dataset's targets must be the positions"):
        features_and_labels(ragged)
    with pytest.raises(ValueError, match="^dataset must be a torch Dataset, got a list"):
        features_and_labels([1, 2])
    with pytest.raises(ValueError, match="a Dataset with a length"):
        features_and_labels(Dataset())


def test_a_dataset_that_a_search_has_cut_is_told_of():
    search = GridSearchCV(make_net(), {"beta": [0]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match="^X must be .* got a list of pairs.*features_and_labels"):
        search.fit(Folder(), TARGETS)
    pairs = [tuple(row) for row in IMAGES[:, 0, 0, :2].tolist()]
    assert make_net(module=None).fit(pairs, TARGETS).n_features_in_ == 2


class Transformed(Folder):
    """As torchvision's data sets do it: what is listed is not transformed, what is yielded is."""

    def __init__(self, target_transform):
        super().__init__()
        self.target_transform = target_transform

    def __getitem__(self, row):
        image, target = super().__getitem__(row)
        return image, self.target_transform(target)


@pytest.mark.parametrize("part", [lambda whole: whole, lambda whole: Subset(whole, range(60))])
def test_targets_are_transformed_as_rows_yield_them(part):
    dataset = part(Transformed(lambda target: int(target > 0)))
    net = make_net().fit(dataset)
    assert net.classes_.tolist() == [0, 1]
    assert net.class_count_.tolist() == [30, 30]
    _, y = features_and_labels(dataset)
    assert y.tolist() == (TARGETS > 0).tolist()
    # Names stay where the transform changes nothing but the type.
    net = make_net().fit(dataset := part(Transformed(torch.tensor)))
    assert net.classes_.tolist() == NAMES
    assert features_and_labels(dataset)[1].tolist() == np.array(NAMES)[TARGETS].tolist()


class Renumbered(Folder):
    """Yields other targets than it lists."""

    def __getitem__(self, row):
        image, target = super().__getitem__(row)
        return image, 2 - target


def test_targets_that_no_row_yields():
    message = "^A Dataset's rows must yield the targets .* got {} from row {}, whose target is {}"
    for fit in (make_net().fit, features_and_labels):
        with pytest.raises(ValueError, match=message.format(2, 0, 0)):
            fit(Renumbered())
    # What is passed beside it is right or wrong, whatever is listed.
    assert make_net().fit(Renumbered(), 2 - TARGETS).class_count_.tolist() == [10, 20, 30]
    with pytest.raises(ValueError, match=message.format(0, 1, 1)):
        make_net().fit(Folder(), np.where(np.arange(60) == 1, 1, TARGETS))
    with pytest.raises(ValueError, match=message.format(1, 0, 0)):
        make_net().fit(Rows(IMAGES[0], 1), TARGETS)


def test_looking_at_a_row_draws_nothing():
    torch.manual_seed(0)
    expected = torch.get_rng_state()
    for call in (features_and_labels, make_net(max_epochs=0).fit):
        call(Folder(noise=1.0))
        assert torch.equal(torch.get_rng_state(), expected)


class Seeded(Folder):
    """Draws an image by its number, which must be an int of Python's."""

    def __getitem__(self, row):
        generator = torch.Generator().manual_seed(row)
        return torch.randn(1, 4, 4, generator=generator), self.targets[row]


@pytest.mark.parametrize("kind", [GridSearchCV, StackedGridSearchCV])
def test_a_dataset_is_asked_by_ints_in_searches_too(kind):
    X, y = features_and_labels(Seeded())
    search = kind(make_net(), {"beta": [0]}, cv=2, error_score="raise").fit(X, y)
    assert search.predict(X).shape == (60,)
