"""Features that are read row by row, when a batch needs them."""

import copy
from collections.abc import Mapping
from numbers import Number

import numpy as np
import torch
from skorch.helper import SliceDataset
from torch.utils.data import Dataset

from sk_cbloss._validation import as_numpy
from sk_cbloss.neural_net.data._arrays import each_array, take
from sk_cbloss.neural_net.data._features import with_sample_weight
from sk_cbloss.neural_net.state import seeded


def is_streamed(X):
    """Whether the rows of X are read one by one, when they are needed."""
    return isinstance(X, SliceDataset)


class StreamedDataset(Dataset):
    """The rows of a SliceDataset as a net takes them, beside positions of the classes.

    Features are cast, but for integers in a dict or a list, and carry their samples' weights.
    """

    def __init__(self, X, y=None, *, dtype, sample_weight=None):
        self.X, self.y, self.dtype, self.sample_weight = X, y, dtype, sample_weight

    def __len__(self):
        return len(self.X)

    def __getitem__(self, row):
        """Return features and target of a row."""
        row = int(row)
        features = row_of(self.X, row)
        if _is_one_array(features):
            features = self._cast(features, row)
        else:
            features = each_array(lambda part: self._cast(part, row, keep="biu"), features)
        if self.sample_weight is not None:
            features = with_sample_weight(features, self.sample_weight[row])
        return features, 0 if self.y is None else take(self.y, row)

    def _cast(self, part, row, keep=""):
        array = np.asarray(as_numpy(part)) if _is_numeric(part) else np.asarray(None)
        if array.dtype.kind not in "biuf":
            raise ValueError(
                f"Rows of a Dataset must be numbers, got a {type(part).__name__} in row {row}: "
                "give it a transform that makes tensors of them."
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"Rows of a Dataset must be finite, got NaN or inf in row {row}.")
        return array if array.dtype.kind in keep else array.astype(self.dtype)


def row_of(X, row):
    """Return a row of a SliceDataset, whose Dataset is asked by an int, as by a DataLoader."""
    one = copy.copy(X)
    one.indices_ = [int(X.indices_[row])]
    return one[0]


def _is_one_array(features):
    if isinstance(features, list | tuple):  # of numbers
        return not any(np.ndim(as_numpy(part)) for part in features)
    return not isinstance(features, Mapping)


def _is_numeric(part):
    return isinstance(part, torch.Tensor | np.ndarray | np.generic | Number | list | tuple)


def check_row(net, X, *, reset):
    """Check the first row of a SliceDataset as scikit-learn does an array; return its shape."""
    with seeded(0, "cpu"):  # it may draw, and the training is not to notice
        row = row_of(X, 0)
    shape = np.shape(as_numpy(row)) if _is_one_array(row) else None
    if reset:
        for name in ("n_features_in_", "feature_names_in_"):
            vars(net).pop(name, None)
        if shape:
            net.n_features_in_ = shape[0]
    elif shape and shape[0] != getattr(net, "n_features_in_", shape[0]):
        raise ValueError(
            f"X has {shape[0]} features, but {type(net).__name__} is expecting "
            f"{net.n_features_in_} features as input."
        )
    return shape
