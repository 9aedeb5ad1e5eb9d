"""Arrays of any kind as rows that a batch can be cut out of, made tensors once."""

import mmap
from collections.abc import Mapping

import numpy as np
import scipy.sparse
import torch
from skorch.dataset import Dataset

# Types of which torch takes rows; it has others, with which it can do little.
TAKEN_FROM_TENSORS = {"bool", "uint8", "int8", "int16", "int32", "float16", "float32"}


class ArrayDataset(Dataset):
    """Hold arrays, and give one row or, at once, the rows of a list of positions.

    Parameters
    ----------
    X : array, tensor, CSR matrix, or dict or list of them
        Features. Sparse rows are made dense as they are asked for.
    y : array or tensor of shape (n_samples,), or with a column for each label, default=None
        Positions of the classes, or which labels a sample has.
    length : int, default=None
        Number of rows, if X does not tell.
    """

    def __getitem__(self, rows):
        """Return features and target of one row, or of the rows of a list."""
        # To predict there is no target, but a loader needs one.
        y = np.zeros(np.shape(rows), dtype=np.int64) if self.y is None else take(self.y, rows)
        return take(self.X, rows), y


class Rows:
    """Some rows of an array that are not copied, so that many nets can share the array.

    What checking the array has told of it, as attributes of a net, goes with them.
    """

    def __init__(self, array, rows, learned=None):
        self.array, self.rows, self.learned = array, torch.as_tensor(rows), learned

    @property
    def shape(self):
        return (len(self.rows), *self.array.shape[1:])

    @property
    def ndim(self):
        return self.array.ndim

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        return self.array[self.rows[rows].numpy()]

    def as_tensor(self):
        """Return the same rows of a tensor."""
        return Rows(as_tensor(self.array), self.rows, self.learned)

    def cut(self, rows):
        """Return some of the rows, as a tensor."""
        rows = self.rows[rows]
        return cut(self.array, rows.to(getattr(self.array, "device", "cpu")))


class Uncast:
    """An array that keeps a type of its own, in fewer bytes or on disk; rows of it are cast.

    Parameters
    ----------
    array : ndarray, memmap or tensor
        The rows.
    dtype : str or dtype
        The net's, which rows are cast to as they are taken.
    """

    def __init__(self, array, dtype):
        self.array, self.dtype = array, np.dtype(dtype)

    @property
    def shape(self):
        return self.array.shape

    @property
    def ndim(self):
        return self.array.ndim

    def __len__(self):
        return len(self.array)

    def __getitem__(self, rows):
        part = self.array[rows]
        if isinstance(part, torch.Tensor):
            return part.to(getattr(torch, self.dtype.name))
        return np.asarray(part, dtype=self.dtype)

    def __array__(self, dtype=None, copy=None):
        return np.array(self[:], dtype=dtype)

    def as_tensor(self):
        """Return the same in a tensor, if torch can take rows out of one."""
        is_numpys = isinstance(self.array, np.ndarray) and self.array.dtype.isnative
        if is_numpys and self.array.dtype.name in TAKEN_FROM_TENSORS:
            return Uncast(as_tensor(self.array), self.dtype)
        return self

    def to(self, device):
        """Return the same on a device, if it is a tensor."""
        if not isinstance(self.array, torch.Tensor):
            return self
        return Uncast(self.array.to(device), self.dtype)

    def cut(self, rows):
        """Return some of the rows, as a tensor."""
        if isinstance(self.array, torch.Tensor):
            rows = rows if isinstance(rows, slice) else rows.to(self.array.device)
            return cut(self.array, rows).to(getattr(torch, self.dtype.name))
        return torch.from_numpy(self[rows if isinstance(rows, slice) else rows.numpy()])


def is_to_be_cast_by_rows(array, dtype):
    """Whether an array of numbers takes fewer bytes as it is, or lies on disk."""
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf" or array.dtype == dtype:
        return False
    return array.dtype.itemsize < np.dtype(dtype).itemsize or is_mapped(array)


def _is_collection(data):
    return isinstance(data, Mapping | list | tuple) and not scipy.sparse.issparse(data)


def each_array(function, data):
    """Apply a function to each array of a dict or list of arrays, or to the array."""
    if isinstance(data, torch.Tensor) or not _is_collection(data):
        return function(data)
    if isinstance(data, Mapping):
        return {name: each_array(function, value) for name, value in data.items()}
    return [each_array(function, value) for value in data]


def arrays_of(data):
    """Return the arrays of a dict or list of arrays, or the array, as a list."""
    arrays = []
    each_array(arrays.append, data)
    return arrays


def logits_of(y_pred):
    """Return the logits of what a module returns: the first of a tuple, or by their name."""
    if isinstance(y_pred, tuple):
        return y_pred[0]
    # As modules of transformers return them, beside what they have no use for.
    return y_pred["logits"] if isinstance(y_pred, Mapping) and "logits" in y_pred else y_pred


def floats_in(dtype, batch):
    """Return a batch whose floats are the net's; a Dataset's may be others. Integers stay."""
    if type(batch) in (dict, list, tuple):
        return each_array(lambda part: floats_in(dtype, part), batch)
    if not isinstance(batch, torch.Tensor) or not batch.is_floating_point():
        return batch
    return batch.to(getattr(torch, dtype))


def take(data, rows):
    """Return a row of each array, or the rows of a list; what is sparse becomes dense."""

    def take_one(array):
        if not scipy.sparse.issparse(array):
            return array[rows]
        dense = array[rows if isinstance(rows, list) else [rows]].toarray()
        return dense if isinstance(rows, list) else dense[0]

    return each_array(take_one, data)


def as_tensor(array):
    """Return an array in memory as a tensor; leave what is sparse or lies on disk."""
    if isinstance(array, Rows | Uncast):
        return array.as_tensor()
    if isinstance(array, torch.Tensor):
        return array
    if scipy.sparse.issparse(array) or is_mapped(array):
        return array
    return torch.from_numpy(np.require(array, requirements=("C", "W")))


def is_mapped(array):
    """Whether an array lies on disk and is read as it is used."""
    while array is not None:
        if isinstance(array, np.memmap | mmap.mmap):
            return True
        array = getattr(array, "base", None)
    return False


def cut(data, rows):
    """Return rows of each array, as tensors."""

    def cut_one(array):
        if isinstance(array, Rows | Uncast):
            return array.cut(rows)
        if isinstance(array, torch.Tensor):
            # A slice is a view, which a module may write to: the data are the user's own.
            return array[rows].clone() if isinstance(rows, slice) else array.index_select(0, rows)
        part = array[rows if isinstance(rows, slice) else rows.numpy()]
        return torch.from_numpy(part.toarray() if scipy.sparse.issparse(part) else np.array(part))

    return each_array(cut_one, data)
