"""Where the labels of a Dataset are found, and what is said if all rows must be read for them."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import ConcatDataset, Dataset, Subset, random_split

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import features_and_labels
from sk_cbloss.neural_net.data import _read_labels

N = 3000
LABELS = np.arange(N) % 3


class Counted(Dataset):
    """Yields labels, and counts how often it is asked; what else it has is given."""

    def __init__(self, **attributes):
        self.n_reads = 0
        vars(self).update(attributes)

    def __len__(self):
        return N

    def __getitem__(self, row):
        self.n_reads += 1
        return torch.ones(2), int(LABELS[row])


def make_net(**parameters):
    given = {"module__n_features": 2, "max_epochs": 0, "device": "cpu"}
    return CBNeuralNetClassifier(**given | parameters)


LISTS = {
    "targets": LABELS,
    "labels": LABELS,
    "samples": [(f"{row}.png", int(label)) for row, label in enumerate(LABELS)],
    "_labels": LABELS.tolist(),
    "_samples": [[f"{row}.png", int(label)] for row, label in enumerate(LABELS)],
    "y": torch.from_numpy(LABELS),
}
WRAPPERS = {
    "itself": lambda dataset: dataset,
    "subset": lambda dataset: Subset(dataset, range(0, N, 7)),
    "no rows first": lambda dataset: ConcatDataset([Subset(dataset, []), dataset]),
    "concat": lambda dataset: ConcatDataset([dataset, Subset(dataset, [5, 3, 4])]),
    "split": lambda dataset: random_split(dataset, [0.9, 0.1])[0],
    "nested": lambda dataset: random_split(
        ConcatDataset([Subset(Subset(dataset, range(1, N)), range(100)), dataset]), [0.5, 0.5]
    )[1],
}


def counts_of(dataset):
    return np.bincount([dataset[row][1] for row in range(len(dataset))], minlength=3)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_the_labels_is_found(name, wrapper):
    whole = Counted(**{name: LISTS[name]})
    dataset = WRAPPERS[wrapper](whole)
    net = make_net().fit(dataset)
    _, y = features_and_labels(dataset)
    assert whole.n_reads <= 50
    np.testing.assert_array_equal(net.class_count_, counts_of(dataset))
    np.testing.assert_array_equal(np.bincount(y), counts_of(dataset))


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"labels": ["ant", "bee", "cat"]},
        {"labels": ["ant"] * N},
        {"labels": LABELS[::-1]},
        {"labels": np.eye(3)[LABELS]},
        {"labels": dict.fromkeys(range(N), 0)},
        {"labels": [None] * N},
        {"labels": N},
        {"samples": [f"{row}.png" for row in range(N)]},
        {"samples": [(f"{row}.png", "ant") for row in range(N)]},
    ],
    ids=str,
)
def test_what_lists_something_else_is_not_taken_for_labels(attributes):
    dataset = Counted(**attributes)
    net = make_net().fit(dataset)
    assert dataset.n_reads >= N
    np.testing.assert_array_equal(net.class_count_, np.bincount(LABELS))


def test_of_several_parts_those_without_a_list_are_read():
    listed, silent = Counted(targets=LABELS), Counted()
    net = make_net().fit(ConcatDataset([listed, silent]))
    assert (listed.n_reads, silent.n_reads) == (1, N)
    np.testing.assert_array_equal(net.class_count_, 2 * np.bincount(LABELS))


@pytest.fixture
def clock(monkeypatch):
    """Return a list whose entry is how many seconds a look at the clock takes."""
    step, now = [0.0], [0.0]

    def look():
        now[0] += step[0]
        return now[0]

    monkeypatch.setattr(_read_labels.time, "perf_counter", look)
    return step


@pytest.mark.parametrize(
    ("seconds", "left"), [(0.01, "29 seconds"), (0.5, "25 minutes"), (3.0, "150 minutes")]
)
def test_a_long_time_of_reading_is_told_of_once(clock, seconds, left):
    clock[0] = seconds
    said = f"A Counted should list its targets, got none: all 3,000 rows are .* takes {left} more"
    with pytest.warns(UserWarning, match=said) as caught:
        make_net().fit(Counted())
    assert len(caught) == 1
    with pytest.warns(UserWarning, match=said):
        features_and_labels(Counted())


def test_a_short_time_of_reading_is_not_told_of(clock):
    clock[0] = 0.001
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_net().fit(Counted())
    clock[0] = 10.0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_net().fit(Counted(labels=LABELS))
        make_net().fit(Counted(), LABELS)


@pytest.mark.parametrize("verbose", [0, 1])
def test_a_bar_shows_how_far_the_reading_is(verbose, monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setattr(_read_labels, "DELAY", 0)
    monkeypatch.setattr(_read_labels, "WORTH_SAYING", math.inf)  # however slow the machine is
    make_net(verbose=verbose).fit(Counted())
    assert ("Reading targets" in capsys.readouterr().err) == verbose


@pytest.mark.parametrize("list_them", [True, False])
def test_a_subset_that_lacks_classes_names_the_remedy(list_them):
    whole = Counted(targets=LABELS) if list_them else Counted()
    lacking = Subset(whole, [0, 1, 3, 4] if list_them else [1, 2, 4])
    part = Subset(lacking, range(3))
    if list_them:
        assert make_net().fit(part).classes_.tolist() == [0, 1]
        lacking = part = Subset(whole, [0, 2, 3])
    said = (
        r"^A Dataset's targets must be integers from 0 to 1, .* got 2\. If it lacks some classes, "
        r"as a Subset may, list all of them: classes=range\(3\)\.$"
    )
    with pytest.raises(ValueError, match=said):
        make_net().fit(part)
    net = make_net(classes=range(3)).fit(part)
    assert net.classes_.tolist() == [0, 1, 2]
    assert net.class_count_.sum() == 3
    assert make_net().partial_fit(part, classes=range(3)).classes_.tolist() == [0, 1, 2]


def test_the_remedy_knows_the_classes_of_the_whole():
    whole = Counted(targets=LABELS + 7 * (LABELS == 2))
    with pytest.raises(ValueError, match=r"got 1\. .* classes=range\(10\)\.$"):
        make_net().fit(Subset(Subset(whole, range(100)), [1, 4]))
