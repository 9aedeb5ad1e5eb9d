"""Arrays of small types, and arrays on disk, are cast batch by batch."""

import tracemalloc

import numpy as np
import pytest
import skorch.dataset
import torch
from sklearn.model_selection import GridSearchCV
from skorch.callbacks import Callback, EpochScoring
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import DataLoader

from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV
from sk_cbloss.neural_net import MLP, ArrayDataset, BatchLoader, TrainingCheckpoint
from sk_cbloss.neural_net.data import Uncast, _batches, _features

RNG = np.random.default_rng(0)
N = 300
Y = np.repeat([0, 1, 2], [180, 80, 40])
NUMBERS = RNG.integers(0, 100, size=(N, 12)) + 20 * np.eye(3, 12, dtype=int)[Y]
SMALL = ["?", "u1", "i1", "<u2", "<i2", ">i2", ">u2", "<f2", ">f2"]
MAPPED = [*SMALL, "<f8", ">f4", "<i8", "<u4", "<i4"]
TENSORS = ["bool", "uint8", "int8", "int16", "float16", "bfloat16", "float32", "float64"]


@pytest.fixture
def mapped(tmp_path):
    """Return a function that maps an array into memory."""

    def save(array, name="X.npy"):
        np.save(tmp_path / name, array)
        return np.load(tmp_path / name, mmap_mode="r")

    return save


class Flat(nn.Module):
    """Notes what it is called with."""

    seen = ()

    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(12, n_classes)
        self.seen = set()

    def forward(self, x):
        self.seen.add((x.dtype, len(x)))
        return self.head(x.flatten(1))


def make_net(**parameters):
    given = {"max_epochs": 2, "batch_size": 32, "random_state": 0, "device": "cpu", "lr": 0.001}
    return CBNeuralNetClassifier(**given | parameters)


def assert_same(one, other, X, in_floats):
    for ours, theirs in zip(one.module_.parameters(), other.module_.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    for name in ("train_loss", "valid_loss", "valid_balanced_accuracy"):
        if name in other.history[-1]:
            assert one.history[:, name] == other.history[:, name]
    for ask in ("predict", "predict_proba", "decision_function"):
        np.testing.assert_array_equal(getattr(one, ask)(X), getattr(other, ask)(in_floats))
    assert one.n_features_in_ == other.n_features_in_
    assert type(one.predict_proba(X)) is np.ndarray


# ---------------------------------------------------------------------- the same numbers


@pytest.mark.parametrize("dtype", SMALL)
@pytest.mark.parametrize("images", [False, True])
@pytest.mark.parametrize("net_dtype", ["float32", "float64"])
def test_small_types_are_what_they_are_as_floats(dtype, images, net_dtype):
    X = NUMBERS.astype(dtype)
    X = X.reshape(N, 3, 2, 2) if images else X
    module = Flat if images else MLP
    one, other = (make_net(module=module, dtype=net_dtype) for _ in range(2))
    in_floats = X.astype(net_dtype)
    assert_same(one.fit(X, Y), other.fit(in_floats, Y), X, in_floats)


@pytest.mark.parametrize("dtype", ["<f4", "<i4", "<u4", ">f4"])
def test_types_that_are_small_beside_double_precision(dtype):
    X = (NUMBERS / 7).astype(dtype)
    one, other = make_net(dtype="float64"), make_net(dtype="float64")
    assert_same(one.fit(X, Y), other.fit(X.astype("f8"), Y), X, X.astype("f8"))


@pytest.mark.parametrize("dtype", MAPPED)
def test_arrays_on_disk_are_what_they_are_in_memory(dtype, mapped):
    X = NUMBERS.astype(dtype)
    if X.dtype.kind == "f":
        X = (X / 7).astype(dtype)
    in_floats = X.astype("float32")
    X = mapped(X)
    assert_same(make_net().fit(X, Y), make_net().fit(in_floats, Y), X, in_floats)


@pytest.mark.parametrize("dtype", TENSORS)
def test_tensors_are_what_they_are_as_arrays(dtype):
    X = torch.from_numpy(NUMBERS / 7).to(getattr(torch, dtype))
    in_floats = X.double().numpy().astype("float32")
    assert_same(make_net().fit(X, Y), make_net().fit(in_floats, Y), X, in_floats)


def scored(net, X, y):
    return float(net.predict_proba(X)[:, 0].mean())


@pytest.mark.parametrize(
    "parameters",
    [
        {"early_stopping": True},
        {"train_split": ValidSplit(3, stratified=True)},
        {"iterator_train__num_workers": 1},
        {"iterator_train": DataLoader, "iterator_valid": DataLoader},
        {"iterator_train__drop_last": True, "iterator_train__shuffle": False},
        {"callbacks": [EpochScoring(scored, use_caching=False, on_train=True, name="s")]},
        {"early_stopping": True, "callbacks": [EpochScoring(scored, use_caching=False, name="s")]},
        {"batch_transform": lambda x: x + 1},
        {"autocast": "bfloat16"},
        {"dataset": skorch.dataset.Dataset},
        {"batch_size": -1, "max_epochs": 30},
    ],
    ids=lambda parameters: ", ".join(parameters),
)
@pytest.mark.parametrize("weigh", [False, True])
def test_whoever_takes_part_in_the_training(parameters, weigh):
    X, in_floats = NUMBERS.astype("u1"), NUMBERS.astype("f4")
    weight = np.linspace(0.5, 2, N) if weigh else None
    one, other = (
        make_net(**parameters).fit(given, Y, sample_weight=weight) for given in (X, in_floats)
    )
    assert_same(one, other, X, in_floats)


def test_other_calls(tmp_path, mapped):
    X, in_floats = NUMBERS.astype("u1"), NUMBERS.astype("f4")
    fits = {
        "validated": lambda X: make_net().fit(X, Y, X_val=X[::3], y_val=Y[::3]),
        "in parts": lambda X: make_net().partial_fit(X[::2], Y[::2]).partial_fit(X[1::2], Y[1::2]),
        "predefined": lambda X: make_net(
            train_split=predefined_split(skorch.dataset.Dataset(X[::3], Y[::3]))
        ).fit(X, Y),
        "kept": lambda X: make_net(callbacks=[TrainingCheckpoint(tmp_path / X.dtype.str)]).fit(
            X, Y
        ),
    }
    for fit in fits.values():
        assert_same(fit(X), fit(in_floats), X, in_floats)
    again = make_net(callbacks=[TrainingCheckpoint(tmp_path / X.dtype.str)]).fit(X, Y)
    assert_same(again, make_net().fit(in_floats, Y), X, in_floats)
    net = make_net(dtype="float64").fit(X, Y).set_params(dtype="float32")
    assert net.predict_proba(X).dtype == np.float64


@pytest.mark.parametrize("kind", ["u1", "f2", "mapped"])
@pytest.mark.parametrize("search", [GridSearchCV, StackedGridSearchCV])
def test_searches(search, kind, mapped):
    X = mapped(NUMBERS.astype("f8") / 7) if kind == "mapped" else NUMBERS.astype(kind)
    ours, theirs = (
        search(make_net(), {"beta": [0, 0.5, 0.9]}, cv=3, error_score="raise").fit(given, Y)
        for given in (X, X.astype("f4"))
    )
    for name in ("mean_test_score", "std_test_score"):
        np.testing.assert_array_equal(ours.cv_results_[name], theirs.cv_results_[name])
    if search is StackedGridSearchCV:
        assert ours.n_fallback_fits_ == theirs.n_fallback_fits_ == 0


class Several(nn.Module):
    def __init__(self, n_classes):
        super().__init__()
        self.head, self.table = nn.Linear(12, n_classes), nn.Embedding(3, n_classes)

    def forward(self, x, kind):
        return self.head(x) + self.table(kind)


@pytest.mark.parametrize("weigh", [False, True])
def test_arrays_of_a_dict(mapped, weigh):
    kind = np.arange(N, dtype="u1") % 3
    small, on_disk = NUMBERS.astype("f2"), mapped(NUMBERS.astype("f8") / 7)
    weight = np.linspace(0.5, 2, N) if weigh else None
    for given in (small, on_disk, mapped(NUMBERS.astype("f4"), "f4.npy")):
        one, other = (
            make_net(module=Several).fit({"x": x, "kind": kind.astype(int)}, Y, weight)
            for x in (given, np.array(given, dtype="f4"))
        )
        for ours, theirs in zip(one.module_.parameters(), other.module_.parameters(), strict=True):
            assert torch.equal(ours, theirs)
        inputs = {"x": given, "kind": kind.astype(int)}
        in_floats = {"x": np.array(given, dtype="f4"), "kind": kind.astype(int)}
        np.testing.assert_array_equal(one.predict_proba(inputs), other.predict_proba(in_floats))


# ---------------------------------------------------------------------- what is held


def peak_of(call):
    """Return the bytes of numpy's that a call takes at most."""
    call()
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


IMAGES = RNG.integers(0, 256, size=(1000, 3, 16, 16), dtype=np.uint8)
LABELS = np.arange(1000) % 4


class Pooled(Flat):
    def __init__(self, n_classes):
        super().__init__(n_classes)
        self.head = nn.Linear(3, n_classes)

    def forward(self, x):
        self.seen.add((x.dtype, len(x)))
        return self.head(x.mean(dim=(2, 3)))


@pytest.mark.parametrize("kind", ["u1", "f2", "f8 on disk", "f4 on disk in a dict"])
def test_no_copy_of_all_rows_is_made(kind, mapped, monkeypatch):
    monkeypatch.setattr(_features, "CHECKED", 2**15)
    monkeypatch.setattr(_batches, "AT_ONCE", 2**15)
    X = IMAGES.astype(kind[:2])
    X = mapped(X) if "disk" in kind else X
    net = make_net(module=Pooled, early_stopping=True)
    X = {"x": X} if "dict" in kind else X
    assert peak_of(lambda: net.fit(X, LABELS)) < IMAGES.size
    for ask in (net.predict, net.predict_proba, lambda X: net.score(X, LABELS)):
        assert peak_of(lambda ask=ask: ask(X)) < IMAGES.size
    assert {dtype for dtype, _ in net.module_.seen} == {torch.float32}
    assert max(n_rows for _, n_rows in net.module_.seen) <= 32


# ---------------------------------------------------------------------- checks


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f2", "f8"])
@pytest.mark.parametrize("row", [0, N - 1])
def test_numbers_that_are_not_finite_are_found_in_any_chunk(
    value, dtype, row, mapped, monkeypatch
):
    monkeypatch.setattr(_features, "CHECKED", 100)
    X = NUMBERS.astype(dtype)
    net = make_net().fit(mapped(X), Y)
    X[row, -1] = value
    given = mapped(X, "bad.npy") if dtype == "f8" else X
    with np.errstate(invalid="ignore"), pytest.raises(ValueError, match="Input X") as expected:
        make_net().fit(X.astype("f4"), Y)
    for call in (
        make_net().fit,
        lambda X, y: net.predict(X),
        lambda X, y: net.fit(NUMBERS, Y, X_val=X, y_val=y),
    ):
        with pytest.raises(ValueError, match="Input X contains (NaN|infinity)") as error:
            call(given, Y)
        assert str(expected.value).split("\n")[0] in str(error.value)
    several = {"x": given, "kind": np.zeros(N, dtype=int)}
    with pytest.raises(ValueError, match=r"Input X\['x'\] contains (NaN|infinity)"):
        make_net(module=Several).fit(several, Y)


def test_numbers_too_large_for_the_net(mapped):
    X = NUMBERS.astype("f8")
    X[-1, -1] = 1e300
    for given in (X, mapped(X)):
        with (
            np.errstate(over="ignore"),
            pytest.raises(ValueError, match="^Input X contains infinity or a value too large"),
        ):
            make_net().fit(given, Y)
    assert make_net(dtype="float64", max_epochs=0).fit(mapped(X), Y).n_features_in_ == 12


def test_other_checks_are_those_of_any_array():
    net = make_net().fit(NUMBERS.astype("u1"), Y)
    with pytest.raises(ValueError, match="^X has 5 features, but .* is expecting 12"):
        net.predict(NUMBERS[:, :5].astype("u1"))
    with pytest.raises(ValueError, match="^Expected 2D array, got 1D"):
        net.predict(NUMBERS[0].astype("u1"))
    with pytest.raises(ValueError, match=r"Found array with 0 sample\(s\)"):
        net.predict(NUMBERS[:0].astype("u1"))
    with pytest.raises(ValueError, match=r"^X must have shape \(n_samples, n_features\)"):
        make_net().fit(IMAGES, LABELS)


# ---------------------------------------------------------------------- who else sees it


def test_a_dataset_of_the_users_is_given_floats():
    given = []

    class Own(skorch.dataset.Dataset):
        def __init__(self, X, y=None):
            given.append(X.dtype)
            super().__init__(X, y)

    make_net(dataset=Own).fit(NUMBERS.astype("u1"), Y).predict(NUMBERS.astype("u1"))
    assert set(given) == {np.dtype("f4")}


def test_what_callbacks_are_told_reads_like_an_array():
    told = []

    class Told(Callback):
        def on_train_begin(self, net, X, y, **kwargs):
            told.append(X)

    X = NUMBERS.astype("u1")
    make_net(callbacks=[Told()]).fit(X, Y)
    (rows,) = told
    assert isinstance(rows, Uncast)
    assert (rows.shape, rows.ndim, len(rows), rows.dtype) == (X.shape, 2, N, np.dtype("f4"))
    for taken in (3, slice(2, 5), [1, 4], np.arange(3), X[:, 0] > 50):
        np.testing.assert_array_equal(rows[taken], X[taken].astype("f4"))
        assert rows[taken].dtype == np.float32
    np.testing.assert_array_equal(np.asarray(rows), X)
    assert np.asarray(rows).dtype == np.float32
    assert rows.array is X
    checked = _features.check_features(make_net(), {"x": rows}, dtype="float64", reset=True)["x"]
    assert checked.array is X
    assert checked[:2].dtype == np.float64
    net = make_net().fit(rows, Y)
    np.testing.assert_array_equal(net.predict_proba(rows), net.predict_proba(X))


# ---------------------------------------------------------------------- on a GPU


def test_what_fits_on_a_gpu_goes_there_in_its_own_type(monkeypatch, mapped):
    X = NUMBERS.astype("u1")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (2 * N * (12 + 8), None))
    tensor = Uncast(X, "f4").as_tensor()
    y = torch.zeros(N, dtype=torch.int64)
    assert tensor.array.dtype == torch.uint8
    assert _batches._fits([tensor, y], "cuda")
    assert not _batches._fits([torch.zeros(N, 12), y], "cuda")
    for other in (Uncast(mapped(NUMBERS.astype("f8")), "f4"), Uncast(NUMBERS.astype("u2"), "f4")):
        assert not _batches._fits([other.as_tensor(), y], "cuda")


def test_a_loader_casts_batches_where_they_are_kept(monkeypatch):
    monkeypatch.setattr(_batches, "_fits", lambda data, device: True)
    dataset = ArrayDataset(Uncast(NUMBERS.astype("i1"), "f4"), Y)
    for kept, fresh in zip(
        BatchLoader(dataset, batch_size=50).keep_on("cpu"),
        BatchLoader(ArrayDataset(NUMBERS.astype("f4"), Y), batch_size=50),
        strict=True,
    ):
        torch.testing.assert_close(kept, fresh, rtol=0, atol=0)


# ---------------------------------------------------------------------- rows of a Dataset


class Noting(nn.Module):
    """A layer over floats, beside an Embedding of integers, which notes what it is given."""

    def __init__(self, n_classes):
        super().__init__()
        self.ids, self.head = nn.Embedding(100, 4), nn.Linear(12, n_classes)
        self.seen = set()

    def forward(self, floats, ids=None):
        self.seen |= {floats.dtype} | ({ids.dtype} if ids is not None else set())
        return self.head(floats) + (0 if ids is None else self.ids(ids).mean())


class Pairs(torch.utils.data.Dataset):
    """Floats, or these beside integers by name."""

    def __init__(self, dtype, named=False):
        self.X, self.targets, self.named = torch.from_numpy(NUMBERS).to(dtype), Y, named

    def __len__(self):
        return N

    def __getitem__(self, row):
        floats = self.X[row]
        item = {"floats": floats, "ids": NUMBERS[row, 0] % 100} if self.named else floats
        return item, int(Y[row])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("net_dtype", ["float32", "float64"])
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("transform", [False, True])
def test_floats_of_a_dataset_are_cast_as_those_of_arrays(dtype, net_dtype, named, transform):
    def noted(batch):
        met.add((batch["floats"] if named else batch).dtype)
        return batch

    met, chosen = set(), getattr(torch, net_dtype)
    data = Pairs(dtype, named)
    one, other = (
        make_net(module=Noting, dtype=net_dtype, batch_transform=noted if transform else None)
        for _ in range(2)
    )
    one.fit(data, X_val=data)
    other.fit(Pairs(chosen, named), X_val=Pairs(chosen, named))
    assert one.module_.seen == {chosen} | ({torch.int64} if named else set())
    assert met == ({chosen} if transform else set())
    if dtype is not torch.bfloat16:  # in which some of the integers are rounded
        assert one.history_[:, "train_loss"] == other.history_[:, "train_loss"]
    assert np.isfinite(one.predict_proba(data)).all()


PARTS = {
    "linear": (nn.Linear(4, 4), (4,)),
    "convolution": (nn.Conv1d(4, 4, 1), (4, 5)),
    "batch norm": (nn.BatchNorm1d(4), (4,)),
    "layer norm": (nn.LayerNorm(4), (4,)),
    "lstm": (nn.LSTM(4, 4, batch_first=True), (5, 4)),
    "transformer": (nn.TransformerEncoderLayer(4, 1, 4, batch_first=True), (5, 4)),
}


class Beginning(nn.Module):
    def __init__(self, part, n_classes):
        super().__init__()
        self.part, self.head = part, nn.LazyLinear(n_classes)

    def forward(self, x):
        made = self.part(x)
        return self.head((made[0] if isinstance(made, tuple) else made).flatten(1))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_integers_of_a_dataset_where_floats_are_needed(part, dtype):
    layer, shape = PARTS[part]
    X = torch.ones(30, *shape).to(dtype)
    net = make_net(module=Beginning, module__part=layer)
    data = torch.utils.data.TensorDataset(X, torch.arange(30) % 3)
    with pytest.raises(ValueError, match=f"must hold floats where .*, got {dtype}: integers of a"):
        net.fit(data)
    net.fit(torch.utils.data.TensorDataset(X.float(), torch.arange(30) % 3))


def test_integers_by_name_where_floats_are_needed():
    class Swapped(Pairs):
        def __getitem__(self, row):
            return {"floats": NUMBERS[row], "ids": 1}, int(Y[row])

    with pytest.raises(ValueError, match=r"got torch.int64 in 'floats': integers of a Dataset"):
        make_net(module=Noting).fit(Swapped(torch.float32))
