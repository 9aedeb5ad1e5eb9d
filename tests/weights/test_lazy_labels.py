"""Labels of dask and pyarrow: what is lazy equals what is in memory, and no more is loaded."""

import weakref

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from distributed import Client, LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st

from sk_cbloss import ClassBalancedWeigher, class_balanced_sample_weight, class_balanced_weight
from sk_cbloss._labels import as_labels, counts_by_label

pytestmark = pytest.mark.engines

RNG = np.random.default_rng(0)
N = 1000
CODES = RNG.choice(4, N, p=[0.7, 0.2, 0.08, 0.02])
NAMES = np.array(["ant", "bee", "cat", "dragonfly"])
KINDS = {
    "int": CODES,
    "negative": CODES - 2,
    "float": CODES.astype(float),
    "bool": CODES > 0,
    "huge": np.array([-(2**63), -1, 2**40, 2**63 - 1])[CODES],
    "str": NAMES[CODES],
    "object": NAMES.astype(object)[CODES],
    "date": np.array(["2020", "2021", "2022", "2023"], "M8[ns]")[CODES],
}
SERIES = KINDS | {"category": pd.Categorical(NAMES[CODES])}
OWN = RNG.integers(0, 4, N).astype(float)
CHUNKS = (300, 1, 0, 699)


@pytest.fixture(autouse=True)
def one_thread():
    with dask.config.set(scheduler="sync"):
        yield


def an_array(values):
    return da.from_array(values, chunks=(CHUNKS,))


def a_series(values):
    return dd.from_pandas(pd.Series(values, name="label"), npartitions=4)


def a_frame(values):
    return a_series(values).to_frame()


def an_arrow(values):
    parts = np.split(values, np.cumsum(CHUNKS)[:-1])
    return pa.chunked_array([pa.array(part) for part in parts])


COLLECTIONS = [
    *[(an_array, kind) for kind in KINDS],
    *[(a_series, kind) for kind in SERIES],
    *[(a_frame, kind) for kind in ("int", "str", "category")],
]
collections = pytest.mark.parametrize(
    ("make", "kind"), COLLECTIONS, ids=[f"{make.__name__}-{kind}" for make, kind in COLLECTIONS]
)


@collections
@pytest.mark.parametrize("weighted", [False, True])
def test_lazy_counts_are_those_in_memory(make, kind, weighted):
    y, own = SERIES[kind], OWN if weighted else None
    lazy_own = (an_array if make is an_array else a_series)(OWN) if weighted else None
    whole = ClassBalancedWeigher(0.9).fit(None, y, own)
    lazy = ClassBalancedWeigher(0.9).fit(None, make(y), lazy_own)
    assert lazy.classes_.tolist() == whole.classes_.tolist()
    np.testing.assert_array_equal(lazy.class_count_, whole.class_count_)
    lazy.partial_fit(None, make(y), lazy_own).partial_fit(None, y, own)
    np.testing.assert_array_equal(lazy.class_count_, 3 * whole.class_count_)


@collections
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_lazy_weights_are_those_in_memory(make, kind, dtype):
    y, lazy = SERIES[kind], make(SERIES[kind])
    weigher = ClassBalancedWeigher(0.9).fit(None, y)
    of_weigher = weigher.sample_weight(lazy, dtype=dtype)
    expected = weigher.sample_weight(y, dtype=dtype)
    of_function = class_balanced_sample_weight(lazy, beta=0.9, dtype=dtype)
    for weight in (of_weigher, of_function):
        assert dask.is_dask_collection(weight)
        assert weight.dtype == weight.compute().dtype == expected.dtype == dtype
        np.testing.assert_array_equal(weight.compute(), expected)
        if make is an_array:
            assert weight.chunks == lazy.chunks
        else:
            assert weight.divisions == lazy.divisions
            assert weight.ndim == 1
            assert weight.compute().index.equals(lazy.compute().index)
            assert weight.compute().name == weight.name == "sample_weight"


@pytest.mark.parametrize("make", [an_array, a_series])
def test_lazy_weights_of_ones_own(make):
    expected = class_balanced_sample_weight(CODES, beta=0.9, sample_weight=OWN)
    for own in (make(OWN), make(OWN).astype("float32")):
        weight = class_balanced_sample_weight(make(CODES), beta=0.9, sample_weight=own)
        np.testing.assert_allclose(weight.compute(), expected, rtol=1e-14)
    twice = class_balanced_sample_weight(make(CODES), beta=0, sample_weight=2, dtype="float32")
    assert twice.dtype == np.float32
    np.testing.assert_array_equal(twice.compute(), 2)


def of_unknown_chunks(array):
    return array.map_blocks(np.copy, dtype=array.dtype, chunks=((np.nan,) * array.numblocks[0],))


@pytest.mark.parametrize("index", ["reversed", "other", "repeated", "shuffled"])
@pytest.mark.parametrize("cleared", ["neither", "labels", "weights", "both"])
@pytest.mark.parametrize("n_partitions", [1, 4])
def test_weights_of_ones_own_go_by_place_and_not_by_index(index, cleared, n_partitions):
    if index in ("reversed", "shuffled") and cleared in ("neither", "labels"):
        index = "other"  # there are no divisions of what is not sorted
    indices = {
        "reversed": np.arange(N)[::-1],
        "other": np.arange(N) + 10,
        "repeated": np.zeros(N, int) if n_partitions == 1 else np.arange(N) // 2 * 2,
        "shuffled": RNG.permutation(N),
    }
    y = dd.from_pandas(pd.Series(NAMES[CODES]), npartitions=n_partitions)
    own = pd.Series(OWN, indices[index])
    is_sorted = own.index.is_monotonic_increasing
    own = dd.from_pandas(own, npartitions=n_partitions, sort=is_sorted)
    y = y.clear_divisions() if cleared in ("labels", "both") else y
    own = own.clear_divisions() if cleared in ("weights", "both") else own
    weight = class_balanced_sample_weight(y, beta=0.9, sample_weight=own)
    expected = class_balanced_sample_weight(NAMES[CODES], beta=0.9, sample_weight=OWN)
    np.testing.assert_allclose(weight.compute(), expected, rtol=1e-14)
    assert weight.divisions == y.divisions
    assert weight.compute().index.equals(y.compute().index)
    np.testing.assert_allclose(
        ClassBalancedWeigher(0.9).fit(None, y, own).class_count_, np.bincount(CODES, OWN)
    )


@settings(deadline=None, max_examples=30)
@given(cuts=st.lists(st.integers(0, 20), max_size=4), unknown=st.sampled_from(["y", "own", ""]))
def test_weights_in_an_array_are_cut_as_labels_are(cuts, unknown):
    bounds = [0, *sorted(cuts), 20]
    chunks = tuple(np.diff(bounds).tolist())
    y, own = an_array(CODES)[:20].rechunk(7), da.from_array(OWN[:20], chunks=(chunks,))
    if unknown:
        own = own.rechunk(7)
    y, own = (
        of_unknown_chunks(each) if name == unknown else each
        for name, each in (("y", y), ("own", own))
    )
    weight = class_balanced_sample_weight(y, beta=0.9, sample_weight=own)
    assert weight.numblocks == y.numblocks
    if unknown != "y":
        assert weight.chunks == y.chunks
    expected = class_balanced_sample_weight(CODES[:20], beta=0.9, sample_weight=OWN[:20])
    np.testing.assert_allclose(weight.compute(), expected, rtol=1e-14)


def test_a_chunk_may_weigh_nothing_but_not_all_of_them():
    own = np.where(np.arange(N) < 300, 0.0, 1.0)
    weigher = ClassBalancedWeigher().fit(None, an_array(CODES), an_array(own))
    np.testing.assert_array_equal(weigher.class_count_, np.bincount(CODES, own))
    with pytest.raises(ValueError, match="class_count must hold a class that has samples"):
        weigher.partial_fit(None, an_array(CODES), an_array(0 * own)).fit(
            None, an_array(CODES), an_array(0 * own)
        )


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_any_partitions_of_any_labels(data):
    y = data.draw(st.lists(st.sampled_from(["a", "b", "cc", "ddd"]), min_size=1, max_size=20))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(y)), max_size=4)))
    parts = [np.array(part, object) for part in np.split(np.array(y, object), cuts)]
    whole = ClassBalancedWeigher(0.9).fit(None, y)
    lazy = da.concatenate([da.from_array(part, chunks=-1) for part in parts])
    lazy = ClassBalancedWeigher(0.9).fit(None, lazy)
    arrow = ClassBalancedWeigher(0.9).fit(None, pa.chunked_array(parts, type=pa.string()))
    for one in (lazy, arrow):
        assert one.classes_.tolist() == whole.classes_.tolist()
        np.testing.assert_array_equal(one.class_weight_, whole.class_weight_)


class Blocks:
    """Blocks that are counted when they are made, and when they are let go."""

    def __init__(self, values):
        self.values, self.n_made, self.n_held, self.peak = values, 0, 0, 0

    def __call__(self, block):
        self.n_made += 1
        self.n_held += 1
        self.peak = max(self.peak, self.n_held)
        made = block.copy()
        weakref.finalize(made, self.let_go)
        return made

    def let_go(self):
        self.n_held -= 1

    def array(self, n_blocks):
        whole = da.from_array(self.values, chunks=len(self.values) // n_blocks)
        return whole.map_blocks(self, dtype=self.values.dtype, meta=self.values[:0])


def test_labels_are_read_once_to_be_counted_and_once_to_be_weighed():
    blocks = Blocks(CODES)
    y = blocks.array(10)
    weight = class_balanced_sample_weight(y, beta=0.9)
    assert blocks.n_made == 10
    weight[:100].compute()
    assert blocks.n_made == 11
    weigher = ClassBalancedWeigher().fit(None, y)
    assert blocks.n_made == 21
    weigher.sample_weight(y)
    assert blocks.n_made == 21


@pytest.mark.parametrize("kind", ["int", "str"])
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_no_more_blocks_are_held_than_are_worked_on(scheduler, kind):
    blocks = Blocks(KINDS[kind])
    with dask.config.set(scheduler=scheduler, num_workers=2):
        ClassBalancedWeigher().fit(None, blocks.array(100))
    assert blocks.n_made == 100
    assert blocks.peak <= 4


@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_features_are_never_computed(scheduler):
    blocks = Blocks(np.zeros((N, 3)))
    X, y = blocks.array(10), an_array(CODES)
    with dask.config.set(scheduler=scheduler, num_workers=2):
        weigher = ClassBalancedWeigher().fit(X, y).partial_fit(X, CODES)
        assert weigher.transform(X) is X
    assert blocks.n_made == 0
    assert weigher.n_features_in_ == 3
    frame = dd.from_dask_array(X, columns=["u", "v", "w"])
    assert ClassBalancedWeigher().fit(frame, a_series(CODES)).transform(frame) is frame
    assert blocks.n_made == 0
    with pytest.raises(ValueError, match="same number of samples, got 1000 and 500"):
        weigher.fit(X, Blocks(CODES[:500]).array(10))


def test_weights_are_those_of_when_they_were_asked_for():
    weigher = ClassBalancedWeigher(1).fit(None, CODES)
    weight, expected = weigher.sample_weight(an_array(CODES)), weigher.sample_weight(CODES)
    weigher.partial_fit(None, CODES[:100]).set_params(beta=0)
    np.testing.assert_array_equal(weight, expected)


def test_worker_processes_count_and_weigh():
    with LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        y = an_array(NAMES[CODES])
        with dask.config.set(scheduler="distributed"):
            weigher = ClassBalancedWeigher(0.9).fit(None, y)
            weight = weigher.sample_weight(y).compute()
    whole = ClassBalancedWeigher(0.9).fit(None, NAMES[CODES])
    np.testing.assert_array_equal(weigher.class_count_, whole.class_count_)
    np.testing.assert_array_equal(weight, whole.sample_weight(NAMES[CODES]))


def test_a_label_that_is_not_known_is_named_when_it_is_met():
    weight = ClassBalancedWeigher().fit(None, CODES).sample_weight(an_array(CODES + 1))
    with pytest.raises(ValueError, match="^y must hold only the known classes, .*, got 4"):
        weight.compute()


def test_partitions_without_rows():
    frame = pd.DataFrame({"label": NAMES[CODES], "kept": np.arange(N) > 600})
    lazy = dd.from_pandas(frame, npartitions=10)
    y = lazy[lazy["kept"]]["label"]
    assert counts_by_label(y) == counts_by_label(frame[frame["kept"]]["label"])
    weigher = ClassBalancedWeigher().fit(None, y)
    assert weigher.class_count_.sum() == 399
    assert len(weigher.sample_weight(y).compute()) == 399
    none = lazy[lazy["label"] == "eel"]["label"]
    before = weigher.class_count_
    assert weigher.partial_fit(None, none).class_count_ is before
    with pytest.raises(ValueError, match="y must hold at least one label, got none"):
        weigher.fit(None, none)
    assert not len(class_balanced_sample_weight(none, beta=0.9).compute())


FRAME = dd.from_pandas(pd.DataFrame({"u": CODES, "v": CODES}), npartitions=2)


@pytest.mark.parametrize(
    ("y", "own", "message"),
    [
        (FRAME, None, "y must have one axis, or one column, got a dask DataFrame of 2 columns"),
        (da.zeros((4, 2)), None, "y must have one axis, or one column, got a dask Array of 2 col"),
        (da.zeros((4, 1, 1)), None, "one axis, or one column, got a dask Array of 3 axes"),
        (db.from_sequence([1]), None, "y must be a dask Array, a Series or .*, got a dask Bag"),
        (an_array(CODES), OWN, "sample_weight must be a number, or a dask Array as y is, got arr"),
        (an_array(CODES), a_series(OWN), "dask Array as y is, got a dask Series"),
        (a_series(CODES), an_array(OWN), "dask Series as y is, got a dask Array"),
        (
            a_series(CODES),
            a_series(OWN).repartition(npartitions=2),
            "the 4 partitions of y.* got 2",
        ),
        (
            a_series(CODES),
            a_series(OWN[::-1]).repartition(divisions=[0, 1, 2, 3, N - 1]),
            r"sample_weight must have shape \(250,\), one weight a sample, got shape",
        ),
        (an_array(CODES), an_array(OWN)[:-1], r"must have shape \(1000,\), .* got shape \(999,\)"),
        (an_array(CODES), da.ones(1), r"must have shape \(1000,\), .* got shape \(1,\)"),
        (
            of_unknown_chunks(an_array(CODES)),
            da.ones(N, chunks=-1),
            "sample_weight must have the 4 chunks of y, .* got 1 chunks: see compute_chunk_sizes",
        ),
        (an_array(CODES), da.ones(()), "sample_weight must have one axis, .* Array of 0 axes"),
        (an_array(CODES).sum(), None, "y must have one axis, or one column, got a dask .* 0 axes"),
        (dask.delayed(CODES), None, "y must be a dask Array, a Series or .*, got a dask Delayed"),
        (an_array(CODES), dask.delayed(OWN), "sample_weight must be a dask .* got a dask Delayed"),
        (an_array(CODES), an_array(-OWN), "sample_weight must hold finite numbers >= 0"),
        (an_array(CODES + 0.5), None, "y must hold class labels, got the continuous value"),
    ],
)
def test_what_is_refused(y, own, message):
    weigher = ClassBalancedWeigher().fit(None, CODES)
    before = weigher.class_count_
    for call in (
        lambda: weigher.partial_fit(None, y, own),
        lambda: class_balanced_sample_weight(y, beta=0.9, sample_weight=own),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert weigher.class_count_ is before


def test_a_column_and_an_index_are_labels():
    for y in (an_array(CODES)[:, None], dd.from_pandas(pd.Series(1, index=CODES)).index):
        weigher = ClassBalancedWeigher(0.9).fit(None, y)
        np.testing.assert_array_equal(weigher.class_count_, np.bincount(CODES))
        weight = class_balanced_sample_weight(np.sort(CODES), beta=0.9)
        np.testing.assert_array_equal(np.sort(weigher.sample_weight(y).compute()), weight)


def test_counts_that_dask_made():
    counted = da.bincount(an_array(CODES), minlength=4)
    expected = class_balanced_weight(np.bincount(CODES), beta=0.9)
    np.testing.assert_array_equal(class_balanced_weight(counted, beta=0.9), expected)
    weigher = ClassBalancedWeigher.from_class_count(counted)
    np.testing.assert_array_equal(weigher.class_count_, np.bincount(CODES))


# ---------------------------------------------------------------------- pyarrow


ARROWS = {
    "chunked": an_arrow,
    "array": pa.array,
    "dictionaries": lambda values: pa.chunked_array(
        [pa.array(part).dictionary_encode() for part in np.split(values, [0, 10, 800])]
    ),
}


@pytest.mark.parametrize("make", ARROWS.values(), ids=ARROWS)
@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"object"}))
@pytest.mark.parametrize("rows", [7, 2**20])
def test_arrow_counts_and_weights_are_those_in_memory(monkeypatch, make, kind, rows):
    monkeypatch.setattr("sk_cbloss.weights._tally.ROWS", rows)
    y = make(KINDS[kind])
    assert counts_by_label(y) == counts_by_label(KINDS[kind])
    np.testing.assert_array_equal(as_labels(y), KINDS[kind])
    for own in (None, OWN):
        parameters = {"beta": 0.9, "sample_weight": own, "dtype": "float32"}
        np.testing.assert_allclose(
            class_balanced_sample_weight(y, **parameters),
            class_balanced_sample_weight(KINDS[kind], **parameters),
            rtol=1e-6,
        )
        whole = ClassBalancedWeigher(0.9).fit(None, KINDS[kind], own)
        weigher = ClassBalancedWeigher(0.9).fit(None, y, own)
        assert weigher.classes_.tolist() == whole.classes_.tolist()
        np.testing.assert_array_equal(weigher.class_count_, whole.class_count_)
        weight = weigher.sample_weight(y)
        assert type(weight) is np.ndarray
        np.testing.assert_array_equal(weight, whole.sample_weight(KINDS[kind]))


@pytest.mark.parametrize("values", [["a", None], [1, None], [True, None]])
def test_missing_labels_of_arrow(values):
    plain = [pa.array(values), pa.chunked_array([values[:1], values[1:]])]
    for y in (*plain, *(each.dictionary_encode() for each in plain)):
        for read in (as_labels, lambda y: ClassBalancedWeigher().fit(None, y)):
            with pytest.raises(ValueError, match="y must not have missing labels, got None at po"):
                read(y)


def test_arrow_labels_need_not_be_converted_as_a_whole(monkeypatch):
    monkeypatch.setattr("sk_cbloss.weights._tally.ROWS", 100)
    read = []

    class Watched:
        """What a pyarrow array is asked for; it is cut before it is read."""

        null_count, dictionary_encode = 0, None

        def __len__(self):
            return N

        def __getitem__(self, rows):
            read.append(rows)
            return an_arrow(CODES)[rows]

    np.testing.assert_array_equal(
        ClassBalancedWeigher().fit(None, Watched()).class_count_, np.bincount(CODES)
    )
    assert len(read) == 10
