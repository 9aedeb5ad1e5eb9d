"""The same labels of four classes, in that order, of every kind and in every container."""

import array_api_strict
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import torch

CODES = np.random.default_rng(0).choice(4, 1000, p=[0.7, 0.2, 0.08, 0.02])
NAMES = np.array(["ant", "bee", "cat", "dragonfly"])
HUGE = [-(2**63), -1, 2**40, 2**63 - 1]

DATES = ["2020-01-01", "2021-03-05", "2022-12-31", "2023-06-15"]
SIZES = pd.IntervalIndex.from_breaks([0, 1, 5, 20, 100])


class Arrow:
    """Labels as pyarrow holds them: no copy unless it is asked for."""

    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values)

    def __getitem__(self, row):
        return self.values[row]

    def to_numpy(self, zero_copy_only=True):
        if zero_copy_only:
            raise ValueError("Needed to copy 1 chunks with 0 nulls, but zero_copy_only was True")
        return self.values

    def take(self, rows):
        return Arrow(self.values[rows])

    def to_pylist(self):
        return self.values.tolist()

    def __array__(self, dtype=None, copy=None):
        return self.to_numpy(zero_copy_only=False)


LABELS = {
    "int64": CODES,
    "int64 above 0": CODES + 5,
    "int8 full range": np.array([-128, -1, 0, 127], dtype=np.int8)[CODES],
    "uint8": CODES.astype(np.uint8),
    "int32 negative": (CODES - 2).astype(np.int32),
    "uint64": CODES.astype(np.uint64),
    "uint64 huge": np.array([0, 1, 2**63, 2**64 - 1], dtype=np.uint64)[CODES],
    "uint64 high but narrow": (CODES.astype(np.uint64) + np.uint64(2**64 - 9)),
    "int64 huge": np.array(HUGE)[CODES],
    "int64 sparse in range": (CODES * 100_003),
    "int64 narrow at the edge": CODES + np.int64(-(2**63)),
    "float": CODES.astype(float),
    "bool": CODES > 0,
    "str": NAMES[CODES],
    "bytes": NAMES.astype(bytes)[CODES],
    "str of one width": np.array(list("wxyz"))[CODES],
    "object str": NAMES.astype(object)[CODES],
    "object int": np.array([0, 2**70, -(2**70), 3], dtype=object)[CODES],
    "object np.str_ and str": np.array(
        [*NAMES[CODES][:500], *NAMES[CODES][500:].tolist()], object
    ),
    "list of int": CODES.tolist(),
    "list of huge int": [[2**63, -1, 2**64, 5][c] for c in CODES],
    "list of int beyond float": [[1, 2**63, 2**63 + 1, 2**64 - 1][c] for c in CODES],
    "list of str": NAMES[CODES].tolist(),
    "tuple": tuple(CODES.tolist()),
    "datetime": np.array(["2020", "2021", "2022", "2023"], dtype="M8[D]")[CODES],
    "datetime ns": np.array(DATES, dtype="M8[ns]")[CODES],
    "datetime us": np.array(DATES, dtype="M8[us]")[CODES],
    "timedelta": np.array([1, 2, 30, 400], dtype="m8[ns]")[CODES],
    "string of any length": np.array(NAMES, dtype=np.dtypes.StringDType())[CODES],
    "object small int": np.array([3, 5, 7, 9], dtype=object)[CODES],
    "object np.int64": np.fromiter((np.int64(c) for c in CODES), dtype=object),
    "object float": np.array([1.0, 2.0, 3.0, 4.0], dtype=object)[CODES],
    "object bool": (CODES > 0).astype(object),
    "object uint64": np.array([0, 1, 2**63, 2**64 - 1], dtype=object)[CODES],
    "object date": np.array(DATES, dtype="M8[D]").astype(object)[CODES],
    "object str of width": np.array(list("wxyz"), dtype=object)[CODES],
    "masked, none of them": np.ma.array(CODES, mask=False),
    "masked str": np.ma.array(NAMES[CODES], mask=np.zeros(1000, dtype=bool)),
    "arrow str": Arrow(NAMES.astype(object)[CODES]),
    "arrow int": Arrow(CODES),
    "strided": np.repeat(CODES, 2)[::2],
    "strided str": np.repeat(NAMES[CODES], 2)[::2],
    "readonly": np.frombuffer(CODES.tobytes(), dtype=np.int64),
    "pandas int": pd.Series(CODES),
    "pandas Int64": pd.Series(CODES, dtype="Int64"),
    "pandas str": pd.Series(NAMES[CODES]),
    "pandas string": pd.Series(NAMES[CODES], dtype="string"),
    "pandas bool": pd.Series(CODES > 0),
    "pandas index": pd.Index(NAMES[CODES]),
    "pandas categorical": pd.Categorical(NAMES[CODES], categories=[*NAMES[::-1], "unused"]),
    "pandas categorical series": pd.Series(NAMES[CODES]).astype("category"),
    "pandas categorical index": pd.CategoricalIndex(NAMES[CODES]),
    "pandas datetime": pd.Series(np.array(DATES, dtype="M8[ns]")[CODES]),
    "pandas datetime with zone": pd.Series(pd.to_datetime(DATES, utc=True)[CODES]),
    "pandas categorical of int": pd.Categorical(CODES),
    "pandas categorical of Int64": pd.Series(CODES, dtype="Int64").astype("category"),
    "pandas categorical of date": pd.Categorical(np.array(DATES, dtype="M8[ns]")[CODES]),
    "pandas cut": pd.Categorical(SIZES[CODES]),
    "pandas object int": pd.Series(CODES, dtype=object),
    "polars int": pl.Series(CODES),
    "polars str": pl.Series(NAMES[CODES]),
    "polars categorical": pl.Series(NAMES[CODES], dtype=pl.Categorical),
    "polars enum": pl.Series(NAMES[CODES], dtype=pl.Enum(NAMES.tolist())),
    "polars bool": pl.Series(CODES > 0),
    "torch int64": torch.from_numpy(CODES),
    "torch int8": torch.from_numpy(CODES).to(torch.int8),
    "pyarrow int": pa.array(CODES),
    "pyarrow str": pa.array(NAMES[CODES]),
    "pyarrow bool": pa.array(CODES > 0),
    "pyarrow chunks": pa.chunked_array([NAMES[CODES[:10]], NAMES[CODES[10:]]]),
    "pyarrow dictionary": pa.array(NAMES[CODES]).dictionary_encode(),
    "pyarrow date": pa.array(np.array(DATES, dtype="M8[D]")[CODES]),
    "polars date": pl.Series(np.array(DATES, dtype="M8[D]")[CODES]),
    "array API": array_api_strict.asarray(CODES),
    "torch bool": torch.from_numpy(CODES > 0),
}
# scikit-learn's estimators and scorers take none of these.
NOT_SCIKIT_LEARNS = {
    "bytes",
    "list of huge int",
    "object int",
    "object date",
    "pandas datetime with zone",
    "pandas cut",
}
FOR_ESTIMATORS = [kind for kind in LABELS if kind not in NOT_SCIKIT_LEARNS]


def codes_of(kind):
    """Return the classes' positions that the labels of a kind stand for, in their sorted order."""
    labels = {
        "object int": [1, 3, 0, 2],  # 0, 2**70, -(2**70), 3
        "list of huge int": [2, 0, 3, 1],
    }
    codes = np.minimum(CODES, 1) if "bool" in kind else CODES
    return np.array(labels.get(kind, range(4)))[codes]
