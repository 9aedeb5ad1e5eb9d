"""Batches: cut whole from the arrays in place of row by row."""

from collections.abc import Mapping

import numpy as np
import scipy.sparse
from skorch.dataset import Dataset
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler, Subset


class ArrayDataset(Dataset):
    """Hold arrays, and give one row or, at once, the rows of a list of positions.

    Parameters
    ----------
    X : array, tensor, CSR matrix, or dict or list of them
        Features. Sparse rows are made dense as they are asked for.
    y : array or tensor of shape (n_samples,), default=None
        Positions of the classes.
    length : int, default=None
        Number of rows, if X does not tell.
    """

    def __getitem__(self, rows):
        """Return features and target of one row, or of the rows of a list."""
        # To predict there is no target, but a loader needs one.
        y = np.zeros(np.shape(rows), dtype=np.int64) if self.y is None else self.y[rows]
        return _take(self.X, rows), y


def _take(data, rows):
    if isinstance(data, Mapping):
        return {name: _take(value, rows) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_take(value, rows) for value in data]
    if scipy.sparse.issparse(data):
        dense = data[rows if isinstance(rows, list) else [rows]].toarray()
        return dense if isinstance(rows, list) else dense[0]
    return data[rows]


class BatchLoader(DataLoader):
    """Load batches as torch's DataLoader does, but whole ones from an ArrayDataset.

    The order of the rows, and the random numbers drawn for it, are the
    DataLoader's own; any other data set is loaded as DataLoader does.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        The data.
    batch_size : int, default=1
        Number of rows a batch.
    shuffle : bool, default=False
        Whether to draw the rows in a new order each time.
    drop_last : bool, default=False
        Whether to leave out a last, smaller batch.
    **kwargs : dict
        Further arguments of DataLoader. With a sampler or a collate function
        of your own, batches are put together row by row.
    """

    def __init__(self, dataset, batch_size=1, shuffle=False, drop_last=False, **kwargs):
        by_row = {"sampler", "batch_sampler", "collate_fn"} & kwargs.keys()
        if by_row or not isinstance(_source(dataset), ArrayDataset):
            if "batch_sampler" not in kwargs:
                kwargs |= {"batch_size": batch_size, "drop_last": drop_last}
            if not ({"sampler", "batch_sampler"} & kwargs.keys()):
                kwargs["shuffle"] = shuffle
            super().__init__(dataset, **kwargs)
            return
        if shuffle:
            rows = RandomSampler(dataset, generator=kwargs.get("generator"))
        else:
            rows = SequentialSampler(dataset)
        super().__init__(
            dataset, batch_size=None, sampler=BatchSampler(rows, batch_size, drop_last), **kwargs
        )


def _source(dataset):
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset
