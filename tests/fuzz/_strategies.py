"""What the laws are tried on: labels, counts, parameters and weights, good and bad, as codes."""

import datetime
from collections import Counter

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse
import torch
from fuzz._call import NAMES, Code, codes
from hypothesis import strategies as st

NAMES |= {"np": np, "pd": pd, "pl": pl, "pa": pa, "torch": torch, "datetime": datetime}
NAMES |= {"nan": np.nan, "inf": np.inf, "Counter": Counter, "sparse": scipy.sparse}

# ---------------------------------------------------------------------- labels

SMALL = st.integers(-5, 5)
LONG = SMALL | st.sampled_from([2**62, 2**63 - 1, -(2**63), 2**31, -(2**15), 300])
# numpy's strings end at their last character that is not 0.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
BYTES = st.binary(max_size=3).map(lambda b: b.replace(b"\0", b"0"))
DAYS = st.dates(datetime.date(1700, 1, 1), datetime.date(2200, 1, 1)).map(str)


def _range(dtype):
    low, high = np.iinfo(dtype).min, np.iinfo(dtype).max
    return st.integers(low, high) | st.sampled_from([low, low + 1, 0, 1, high - 1, high])


# What labels may be, and the containers that hold them; {} is a list of them.
HELD = [
    *[
        (_range(t), f"np.array({{}}, np.{t})")
        for size in (8, 16, 32, 64)
        for t in (f"int{size}", f"uint{size}")
    ],
    *[
        (LONG, text)
        for text in (
            "{}",
            "tuple({})",
            "np.array({}, object)",
            "np.array({}, int)[::-1][::-1]",
            "np.ma.array({}, dtype=int)",
            "[np.int64(v) for v in {}]",
            "pd.Series({}, dtype=int)",
            "pd.Series({}, dtype=int, index=range(7, 7 + len({})))",
            "pd.Series({}, dtype='Int64')",
            "pd.Series({}, dtype='category')",
            "pd.Index({})",
            "pd.Categorical({})",
            "pd.Categorical({}, ordered=True)",
            "pd.Categorical({}, categories=[*sorted(set({}), reverse=True), 9])",
            "pl.Series({}, dtype=pl.Int64)",
            "torch.tensor({}, dtype=torch.int64)",
            "torch.tensor({}, dtype=torch.int64).to_sparse()",
            "pa.array({}, pa.int64())",
            "np.array({}, int).reshape(-1, 1)",
            "pd.DataFrame({{'y': {}}})",
        )
    ],
    (SMALL | st.integers(-(2**70), 2**70), "{}"),
    (SMALL | st.integers(-(2**70), 2**70), "np.array({}, object)"),
    (st.integers(-128, 127), "torch.tensor({}, dtype=torch.int8)"),
    (st.integers(-128, 127), "pl.Series({}, dtype=pl.Int8)"),
    (st.integers(0, 255), "torch.tensor({}, dtype=torch.uint8)"),
    *[
        (TEXT, text)
        for text in (
            "{}",
            "tuple({})",
            "np.array({}, str)",
            "np.array({}, object)",
            "np.array({}, np.dtypes.StringDType())",
            "np.ma.array({}, dtype=object)",
            "[np.str_(v) for v in {}]",
            "pd.Series({}, dtype=object)",
            "pd.Series({}, dtype='string')",
            "pd.Series({}, dtype='category')",
            "pd.Index({})",
            "pd.Categorical({}, ordered=True)",
            "pd.Categorical({}, categories=[*sorted(set({}), reverse=True), 'unused'])",
            "pa.array({}, pa.string())",
            "pa.array({}, pa.large_string()).dictionary_encode()",
            "pa.chunked_array([{}, []], pa.string())",
            "pl.Series({}, dtype=pl.String)",
            "pl.Series({}, dtype=pl.Categorical)",
        )
    ],
    (BYTES, "{}"),
    (BYTES, "np.array({}, bytes)"),
    (BYTES, "np.array({}, object)"),
    *[
        (st.booleans(), text)
        for text in (
            "{}",
            "np.array({}, bool)",
            "np.array({}, object)",
            "pd.Series({}, dtype=bool)",
            "pd.Series({}, dtype='boolean')",
            "pd.Categorical({})",
            "pl.Series({}, dtype=pl.Boolean)",
            "pa.array({}, pa.bool_())",
            "torch.tensor({}, dtype=torch.bool)",
        )
    ],
    *[
        (st.integers(-2000, 2000).map(float), text)
        for text in (
            "{}",
            "np.array({}, np.float16)",
            "np.array({}, np.float32)",
            "np.array({}, float)",
            "np.array({}, object)",
            "pd.Series({}, dtype=float)",
            "pd.Series({}, dtype='Float64')",
            "pl.Series({}, dtype=pl.Float32)",
            "torch.tensor({}, dtype=torch.float32)",
        )
    ],
    *[
        (DAYS, text)
        for text in (
            "np.array({}, 'M8[D]')",
            "np.array({}, 'M8[ns]')",
            "pd.Series({}, dtype='M8[ns]')",
            "pd.DatetimeIndex({})",
            "pl.Series({}, dtype=pl.String).str.to_date('%Y-%m-%d')",
            "[datetime.date.fromisoformat(v) for v in {}]",
        )
    ],
    (_range(np.int64).filter(lambda v: v > -(2**63)), "np.array({}, 'm8[s]')"),  # which is NaT
]


def written(values, times=1):
    """Return the code of a list, repeated."""
    return f"{values!r} * {times}" if times > 1 else repr(values)


@st.composite
def positions(draw, min_size=0):
    """Return positions in a list of 6 classes, and how often they are repeated: up to 192."""
    listed = draw(st.lists(st.integers(0, 5), min_size=min_size, max_size=12))
    return listed, draw(st.sampled_from([1, 1, 1, 2, 16]))


@st.composite
def labels(draw, min_size=0, held=tuple(HELD), like=None):
    """Return labels that are right, in any container; ``position`` is each one's rank."""
    listed, times = like or draw(positions(min_size))
    value, container = draw(st.sampled_from(held))
    known = sorted(draw(st.lists(value, min_size=6, max_size=6)))
    names = [known[i] for i in listed]
    classes = sorted(set(names))
    position = np.array([classes.index(name) for name in names] * times, dtype=int)
    text = container.replace("{}", f"({written(names, times)})" if times > 1 else repr(names))
    return Code(text.replace("{{", "{").replace("}}", "}"), position=position)


# One class that fewer and fewer containers can hold.
MISSING = codes(
    "[1, None]",
    "['a', None]",
    "['a', nan]",
    "[0, nan]",
    "[1, pd.NA]",
    "pa.array([1, None])",
    "pa.chunked_array([['a'], [None]])",
    "pa.array(['a', None]).dictionary_encode()",
    "np.array([1, nan])",
    "np.array([1, nan], np.float16)",
    "np.array(['a', None], object)",
    "np.array(['a', nan], object)",
    "np.array([1, pd.NA], object)",
    "np.array(['2020-01-01', 'NaT'], 'M8[D]')",
    "np.array([1, 'NaT'], 'm8[s]')",
    "np.ma.array([0, 1], mask=[0, 1])",
    "np.ma.array([[0], [1]], mask=[[0], [1]])",
    "np.ma.array(['a', 'b'], mask=[1, 0])",
    "np.array(['a', nan], np.dtypes.StringDType(na_object=nan))",
    "pd.Series([1, None])",
    "pd.Series([1, None], dtype='Int64')",
    "pd.Series(['a', None])",
    "pd.Series(['a', None], dtype='string')",
    "pd.Series([True, None], dtype='boolean')",
    "pd.Series(['a', None], dtype='category')",
    "pd.Categorical([1, None])",
    "pd.Index(['a', None])",
    "pd.DatetimeIndex(['2020', None])",
    "pd.DataFrame({'y': [1, None]})",
    "pl.Series([1, None])",
    "pl.Series(['a', None])",
    "pl.Series([True, None])",
    "pl.Series(['a', None], dtype=pl.Categorical)",
    "torch.tensor([1, nan])",
)
NO_LABELS = codes(
    "None",
    "5",
    "'abc'",
    "b'abc'",
    "{}",
    "{'a': 5, 'b': 3}",
    "Counter('aab')",
    "{0, 1}",
    "(i for i in [0, 1])",
    "object()",
    "np.array(3)",
    "torch.tensor(1)",
    "[0.5, 1]",
    "[1, inf]",
    "np.array([0.5, 1])",
    "np.array([0.5, 0.7], object)",
    "pd.Series([0.5, 1])",
    "pd.Categorical([0.5, 0.7])",
    "pl.Series([0.5, 1])",
    "torch.tensor([0.5])",
    "[1j, 2]",
    "np.array([1, 2], complex)",
    "['a', 1]",
    "['a', b'a']",
    "np.array(['a', 1], object)",
    "pd.Series(['a', 1])",
    "pd.Categorical([1, 'a'])",
    "[[1, 2], [3]]",
    "[[0, 1], [1, 0]]",
    "[[0, 1], [1, 0], 'a']",
    "[{'a': 1}, {'a': 2}]",
    "np.zeros((2, 2, 2), int)",
    "np.array([(1, 2.0)], dtype='i,f')",
    "torch.zeros(2, 2, dtype=int)",
    "torch.tensor([[0, 1], [1, 0]]).to_sparse()",
    "pd.DataFrame({'a': [0, 1], 'b': [1, 0]})",
    "pl.DataFrame({'a': [0, 1], 'b': [1, 0]})",
    "pl.Series([[1], [2]])",
    "sparse.csr_array([[0, 1]])",
    "pd.MultiIndex.from_tuples([(0, 1), (1, 0)])",
)


def any_labels():
    """Return anything in the place of labels."""
    return labels() | MISSING | NO_LABELS


# ---------------------------------------------------------------------- numbers and parameters

GOOD_BETA = codes(
    "0",
    "1",
    "0.0",
    "0.5",
    "0.999",
    "1 - 1e-16",
    "1 - 2e-16",
    "5e-324",
    "1e-300",
    "np.float32(0.9)",
) | st.floats(0, 1)
BAD_BETA = codes(
    "-1", "1.5", "nan", "inf", "'0.9'", "None", "[0.9]", "1j", "np.array([0.5])", "10**400"
)
BETA = GOOD_BETA | BAD_BETA | codes("True", "np.True_", "np.array(0.5)", "np.int8(1)")
GOOD_NORMALIZE = st.sampled_from(["classes", "samples", None])
NORMALIZE = GOOD_NORMALIZE | codes("'mean'", "1", "['classes']", "np.array(['a', 'b'])", "True")

ODD_NUMBERS = codes(
    "None", "-1", "0", "1", "2.5", "nan", "inf", "True", "'1'", "[1]", "1j", "10**400", "1e308"
)

COUNT = (
    st.integers(0, 1000)
    | st.sampled_from([0, 1, 10**13])
    | st.floats(1e-6, 1e6)
    | st.floats(0, 1).map(lambda v: round(v, 2))
)


@st.composite
def counts(draw, max_size=6, count=COUNT, min_size=1):
    """Return counts that are right, of which one is above 0."""
    listed = draw(st.lists(count, min_size=min_size, max_size=max_size))
    return listed if any(listed) else [1, *listed[1:]]


# {} is a list of numbers in the order of the classes.
VECTORS = [
    "{}",
    "tuple({})",
    "np.array({}, float)",
    "np.array({}, object)",
    "pd.Series({}, dtype=float)",
    "pl.Series({}, dtype=pl.Float64, strict=False)",
    "torch.tensor({}, dtype=torch.float64)",
]
BAD_COUNTS = codes(
    "None",
    "[]",
    "5",
    "'abc'",
    "['5', '3']",
    "[0, 0]",
    "[5, -1]",
    "[5, nan]",
    "[5, inf]",
    "[5, None]",
    "[5, '3']",
    "[[5, 3]]",
    "[[5], [3, 1]]",
    "[1j, 5]",
    "[10**400, 1]",
    "np.array(5)",
    "np.array(['5', '3'])",
    "np.array([5, 3], complex)",
    "np.array(['2020', '2021'], 'M8[D]')",
    "np.array([5, 3], 'm8[s]')",
    "np.ma.array([5, 3], mask=[0, 1])",
    "np.ma.array([5.0, 3.0], mask=[1, 1])",
    "{0: 5, 1: 3}",
    "{'a': 5, 'b': 3}",
    "Counter('aab')",
    "{5, 3}",
    "(i for i in [5, 3])",
    "pd.Series([5, None])",
    "pd.Series([5, None], dtype='Int64')",
    "pd.Series([5, 3], index=['b', 'a'])",
    "pd.Series(['a', 'b', 'b']).value_counts()",
    "pd.Series([1, 1, 0]).value_counts()",
    "pd.DataFrame({'count': [5, 3]})",
    "pl.Series([5, None])",
    "torch.tensor([5, nan])",
    "torch.tensor([[5, 3]])",
    "sparse.csr_array([[5, 3]])",
    "[1e308, 1e308]",
    "[5e-324, 1]",
)


@st.composite
def any_counts(draw):
    """Return anything in the place of counts."""
    listed = draw(counts(count=COUNT | st.floats(0, 1e308)))
    bad = draw(st.none() | BAD_COUNTS)
    return bad or Code.of(draw(st.sampled_from(VECTORS)), listed)


BAD_WEIGHTS = [
    "[-1.0] * {n}",
    "[nan] * {n}",
    "[inf] * {n}",
    "[0.0] * {n}",
    "[1.0] * ({n} + 1)",
    "[[1.0] * {n}]",
    "['1'] * {n}",
    "[None] * {n}",
    "[1j] * {n}",
    "'abc'",
    "nan",
    "-1",
    "{{0: 1.0}}",
    "np.ma.array([1.0] * {n}, mask=[1] * {n})",
    "pd.Series([1.0] * {n}).replace(1.0, None)",
    "np.array(['2020'] * {n}, 'M8[D]')",
]
ODD_WEIGHTS = ["None", "1", "2.5", "[1e308] * {n}", "[1e-308] * {n}", "[5e-324] * {n}"]
ODD_WEIGHTS += [
    "[True] * {n}",
    "torch.ones({n})",
    "pd.Series([2.0] * {n}, index=range(5, 5 + {n}))",
]
WEIGHT_VALUE = st.integers(0, 3) | st.sampled_from([1e-300, 1e300, 0.1, 5e-324]) | st.floats(0, 10)


@st.composite
def any_sample_weight(draw, n):
    """Return anything in the place of n sample weights."""
    values = draw(st.lists(WEIGHT_VALUE, min_size=min(n, 3), max_size=min(n, 3)))
    times = "" if n <= 3 else f" * {n // 3} + {values[: n % 3]!r}"
    good = f"{values!r}{times}" if n else "[]"
    text = draw(st.sampled_from([good, good, *ODD_WEIGHTS, *BAD_WEIGHTS]))
    return Code(text.format(n=n) if text != good else text)


# ---------------------------------------------------------------------- several labels a sample

# What holds rows of 0 and 1; {} is a list of them.
MATRICES = [
    "{}",
    "[tuple(row) for row in {}]",
    "tuple({})",
    "list(np.array({}))",
    "list(torch.tensor({}))",
    "[pd.Series(row) for row in {}]",
    "np.array({}, bool)",
    "np.array({}, np.int8)",
    "np.array({}, np.uint8)",
    "np.array({}, np.int64)",
    "np.array({}, np.uint64)",
    "np.array({}, np.float16)",
    "np.array({}, np.float32)",
    "np.array({}, float)",
    "np.array({}, object)",
    "np.array({}, bool).astype(object)",
    "np.asfortranarray({})",
    "np.array({}, np.uint8)[::-1][::-1]",
    "np.ma.array({})",
    "sparse.csr_array({})",
    "sparse.csr_array(np.array({}, bool))",
    "sparse.csr_matrix(np.array({}, float))",
    "sparse.csc_array({})",
    "sparse.csc_matrix(np.array({}, np.int8))",
    "sparse.coo_array({})",
    "sparse.lil_array({})",
    "sparse.bsr_array(np.array({}, np.float32))",
    "torch.tensor({})",
    "torch.tensor({}, dtype=torch.bool)",
    "torch.tensor({}, dtype=torch.bfloat16)",
    "torch.tensor({}, dtype=torch.float64, requires_grad=True)",
    "torch.tensor({}).to_sparse()",
    "torch.tensor({}, dtype=torch.bfloat16).to_sparse()",
    "torch.tensor({}, dtype=torch.bool).to_sparse(1)",
    "list(torch.tensor({}, dtype=torch.bfloat16))",
    "pd.DataFrame({})",
    "pd.DataFrame({}, dtype=bool)",
    "pd.DataFrame({}, index=range(5, 5 + len({})))",
    "pd.DataFrame({}).astype('Int8')",
    "pd.DataFrame({}, dtype=bool).astype('boolean')",
    "pd.DataFrame({}).astype('category')",
    "pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix({}))",
]
NAMED_FRAME = "pd.DataFrame({}, columns=[*'dbca'][:len({}[0])])"
NAMED_MATRICES = [
    NAMED_FRAME,
    "pl.DataFrame({}, schema=[*'dbca'][:len({}[0])], orient='row')",
    f"pa.table({NAMED_FRAME})",
    f"pa.RecordBatch.from_pandas({NAMED_FRAME})",
]
# {} has nan, too.
UNKNOWN_MATRICES = [
    "{}",
    "np.array({})",
    "np.array({}, np.float16)",
    "np.asfortranarray({})",
    "np.array([[None if v != v else v for v in row] for row in {}], object)",
    "[[None if v != v else int(v) for v in row] for row in {}]",
    "list(np.array({}))",
    "torch.tensor({})",
    "torch.tensor({}, dtype=torch.bfloat16)",
    "pd.DataFrame({})",
    "pd.DataFrame({}).astype('Int8')",
    "pd.DataFrame({}).astype('boolean')",
    "pl.DataFrame({}, schema=[*'dbca'][:len({}[0])], orient='row', nan_to_null=True)",
    *NAMED_MATRICES,
]


@st.composite
def held(draw, values):
    """Return rows of 0, 1 and nan in any container that has them."""
    containers = MATRICES + NAMED_MATRICES
    if np.isnan(values).any():
        containers = UNKNOWN_MATRICES
    return Code.of(draw(st.sampled_from(containers)), values.tolist())


@st.composite
def indicators(draw, n=None, n_labels=None, *, unknown=None):
    """Return a matrix with a column for each label, and perhaps unknown entries."""
    shape = n or draw(st.integers(2, 8)), n_labels or draw(st.integers(2, 4))
    unknown = draw(st.booleans()) if unknown is None else unknown
    cell = st.sampled_from([0.0, 1.0, np.nan] if unknown else [0.0, 1.0])
    return np.array(
        draw(st.lists(cell, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    ).reshape(shape)


NO_MATRIX = codes(
    *(
        text.format(row="[0, 1, 0], [1, 0, 0]")
        for text in (
            "[[0, 1, 2], {row}] * 4",
            "[[0, 1, -1], {row}] * 4",
            "[[0, 1, 0.5], {row}] * 4",
            "[[0, 1, inf], {row}] * 4",
            "[[0, 1, 10**400], {row}] * 4",
            "[[0, 1, 1j], {row}] * 4",
            "[[0, 1], {row}] * 4",
            "[[0, 1, [1]], {row}] * 4",
            "[[0, 1, 'a'], {row}] * 4",
            "[[0, 1, b'1'], {row}] * 4",
            "np.array([[0, 1, '1'], {row}] * 4, object)",
            "np.array([[0, 1, 1j], {row}] * 4, object)",
            "np.array([[0, 1, {{1}}], {row}] * 4, object)",
            "np.array([[0, 1, 10**400], {row}] * 4, object)",
            "np.array([[0, 1, pd.NA], {row}] * 4, object)",
            "np.array([[0, 1, pd.NaT], {row}] * 4, object)",
            "np.array([{row}] * 6).astype(str)",
            "np.array([{row}] * 6).astype(bytes)",
            "np.array([{row}] * 6).astype(str).astype(object)",
            "np.array([{row}] * 6).astype('T')",
            "np.array([{row}] * 6).astype('M8[s]')",
            "np.array([{row}] * 6).astype('m8[s]')",
            "np.array([{row}] * 6)[:, :, None]",
            "np.array([{row}] * 6)[None]",
            "np.array([{row}] * 6)[:, :0]",
            "np.ma.array([{row}] * 6, mask=[[0, 0, 1], [0, 0, 0]] * 6)",
            "[np.ma.array([0, 1, 0], mask=[0, 0, 1]), {row}] * 4",
            "[sparse.csr_array([[0, 1, 0]])] * 12",
            "[sparse.coo_array(np.array([0, 1, 0]))] * 12",
            "sparse.csr_array([[0, 1, 2], {row}] * 4)",
            "sparse.csr_array([[0, 1, -1], {row}] * 4)",
            "sparse.csc_array([[0, 1, nan], {row}] * 4)",
            "sparse.csr_array([[0, 1, inf], {row}] * 4)",
            "sparse.csr_array([[0, 1, 1j], {row}] * 4)",
            "sparse.coo_array(([1, 1], ([0, 0], [1, 1])), shape=(12, 3))",
            "torch.tensor([[0, 1, 2], {row}] * 4)",
            "torch.tensor([[0, 1, inf], {row}] * 4)",
            "torch.tensor([[0, 1, 2], {row}] * 4).to_sparse()",
            "torch.tensor([[0, 1, nan], {row}] * 4).to_sparse()",
            "torch.stack([torch.tensor([{row}] * 6)] * 2, dim=2).to_sparse(2)",
            "torch.tensor([{row}] * 6, dtype=torch.complex64)",
            "torch.tensor([{row}] * 6, dtype=torch.complex64).to_sparse()",
            "pd.DataFrame([{row}] * 6, columns=['a', 'a', 'b'])",
            "pd.DataFrame([{row}] * 6, columns=['a', nan, nan])",
            "pd.DataFrame([[0, 1, 2], {row}] * 4)",
            "pd.DataFrame([[0, 1, 'b'], {row}] * 4)",
            "pd.DataFrame([[0, 1, pd.Timestamp(0)], {row}] * 4)",
            "pd.DataFrame([{row}] * 6).astype(str)",
            "pd.DataFrame([{row}] * 6).assign(a=pd.Categorical(['0', '1'] * 6))",
            "pl.DataFrame([[0, 1, 2], {row}] * 4, orient='row')",
            "pl.DataFrame([{row}] * 6, orient='row').cast(pl.String)",
            "pa.table({{'a': [0, 1] * 6, 'b': ['0', '1'] * 6}})",
            "[{{0, 1}}, {{1}}, set()] * 4",
            "[('a', 'b'), ('a',), ()] * 4",
            "np.zeros((12, 3), 'i,i')",
            "(row for row in [{row}] * 6)",
        )
    )
)
"""What is no matrix of 0 and 1, of 12 rows if it has any."""


# ---------------------------------------------------------------------- batches for losses

ANY_LOGITS = codes(
    "torch.zeros(2, 3)",
    "torch.tensor([[1e4, -1e4, 0.0]] * 2)",
    "torch.tensor([[inf, 0.0, 0.0]] * 2)",
    "torch.tensor([[-inf, 0.0, 0.0]] * 2)",
    "torch.tensor([[nan, 0.0, 0.0]] * 2)",
    "torch.tensor([[3e38, -3e38, 0.0]] * 2)",
    "torch.zeros(2, 3, dtype=torch.float16)",
    "torch.zeros(2, 3, dtype=torch.bfloat16)",
    "torch.zeros(2, 3, dtype=torch.float64)",
    "torch.zeros(2, 3, dtype=torch.int64)",
    "torch.zeros(2, 3, dtype=torch.complex64)",
    "torch.zeros(0, 3)",
    "torch.zeros(2, 3, 0)",
    "torch.zeros(2, 3, 4)",
    "torch.zeros(2, 2)",
    "torch.zeros(2, 0)",
    "torch.zeros(3)",
    "torch.tensor(0.0)",
    "torch.zeros(2, 3).to_sparse()",
    "np.zeros((2, 3))",
    "[[0.0, 0.0, 0.0]] * 2",
    "None",
    "torch.zeros(2, 1)",
)
ANY_OWN = codes(
    "None",
    "None",  # twice, or hardly a batch would do
    "torch.ones(2)",
    "torch.zeros(2)",
    "torch.tensor([nan, 1.0])",
    "torch.tensor([-1.0, 1.0])",
    "torch.ones(3)",
    "torch.ones(2, 1)",
    "torch.ones(2, 4)",
    "torch.tensor([1, 2])",
    "torch.tensor([True, False])",
    "torch.tensor([1j, 2])",
    "np.ones(2)",
    "1.0",
    "torch.ones(2, 3)",
)
