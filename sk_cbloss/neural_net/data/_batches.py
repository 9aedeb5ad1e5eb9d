"""Batches: cut whole from tensors made once, in place of row by row."""

import math
from numbers import Integral

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    Subset,
    default_collate,
)

from sk_cbloss._validation import check_integer
from sk_cbloss.neural_net.data._arrays import (
    ArrayDataset,
    Uncast,
    arrays_of,
    as_tensor,
    cut,
    each_array,
)
from sk_cbloss.neural_net.data._class_aware import ClassAwareSampler

AT_ONCE = 2**20  # bytes of rows that are put together at once, and then cut into batches


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
        Further arguments of DataLoader. With a sampler, but for a
        :class:`ClassAwareSampler`, or a collate function of your own, batches are put together
        row by row.
    """

    _data = None
    share = None  # what says which rows of each batch are to be loaded; None is all

    def __init__(self, dataset, batch_size=1, shuffle=False, drop_last=False, **kwargs):
        if isinstance(batch_size, Integral):
            batch_size = int(batch_size)  # torch takes no integer of numpy's
        by_row = {"sampler", "batch_sampler", "collate_fn"} & kwargs.keys()
        if isinstance(kwargs.get("sampler"), ClassAwareSampler):
            by_row.discard("sampler")
        if by_row or not isinstance(_source(dataset), ArrayDataset):
            if "batch_sampler" not in kwargs:
                kwargs |= {"batch_size": batch_size, "drop_last": drop_last}
            if not ({"sampler", "batch_sampler"} & kwargs.keys()):
                kwargs["shuffle"] = shuffle
            if kwargs.get("collate_fn") is None and kwargs.get("batch_size", 1) is not None:
                kwargs["collate_fn"] = _collated
            super().__init__(dataset, **kwargs)
            return
        check_integer(batch_size, "batch_size", minimum=1)
        if "sampler" in kwargs:
            rows = kwargs.pop("sampler")
        elif shuffle:
            rows = RandomSampler(dataset, generator=kwargs.get("generator"))
        else:
            rows = SequentialSampler(dataset)
        super().__init__(
            dataset, batch_size=None, sampler=BatchSampler(rows, batch_size, drop_last), **kwargs
        )
        # Workers fetch by themselves, and RandomSampler draws from a generator of one's own.
        if not kwargs.get("num_workers") and not (shuffle and kwargs.get("generator")):
            source = _source(dataset)
            y = torch.zeros(len(source), dtype=torch.int64) if source.y is None else source.y
            self._data, self._rows = each_array(as_tensor, [source.X, y]), _rows(dataset)
            self._device = torch.device("cpu")

    @property
    def is_in_memory(self):
        """Whether batches are cut from arrays, and not put together row by row."""
        return self._data is not None

    def keep_on(self, device):
        """Keep the arrays of an ArrayDataset on a GPU, if they fit there.

        Sparse and memory-mapped arrays stay where they are, and go there batch
        by batch.

        Parameters
        ----------
        device : str or torch.device
            The device.

        Returns
        -------
        self : BatchLoader
            The loader.
        """
        if self._data is not None and _fits(self._data, device):
            self._device = torch.device(device)
            self._data = each_array(lambda array: array.to(device), self._data)
            self._rows = None if self._rows is None else self._rows.to(device)
        return self

    def __iter__(self):
        """Return an iterator over the batches."""
        return super().__iter__() if self._data is None else self._batches()

    def _batches(self):
        order, size, bounds = self._draw_order(), self.sampler.batch_size, self._bounds()
        n_at_once = max(1, AT_ONCE // (size * self._bytes_of_a_row()))
        for first in range(0, len(bounds), n_at_once):
            some = bounds[first : first + n_at_once]
            rows, sizes = slice(some[0][0], some[-1][1]), size
            if self.share is not None:
                some = [torch.arange(*self.share.cut(*one), device=self._device) for one in some]
                rows, sizes = torch.cat(some), list(map(len, some))
            taken = cut(self._data, rows if order is None else order[rows])
            for parts in zip(*(array.split(sizes) for array in arrays_of(taken)), strict=True):
                parts = iter(parts)
                yield each_array(lambda _: next(parts), taken)  # noqa: B023

    def _bytes_of_a_row(self):
        return sum(8 * math.prod(array.shape[1:]) for array in arrays_of(self._data))

    def _draw_order(self):
        """Return the rows of the arrays in the order of an epoch; None if as they lie."""
        _draw_seed(self.generator)  # as DataLoader does, for workers that it may not have
        rows = self.sampler.sampler
        if isinstance(rows, SequentialSampler):
            return self._rows
        if isinstance(rows, ClassAwareSampler):
            order = torch.from_numpy(rows.draw())
        else:
            generator = torch.Generator().manual_seed(_draw_seed())
            order = torch.randperm(len(rows), generator=generator)
        order = order.to(self._device)
        return order if self._rows is None else self._rows[order]

    def _bounds(self):
        """Return where each batch begins and ends."""
        n_rows, size = len(self.sampler.sampler), self.sampler.batch_size
        stop = n_rows - n_rows % size if self.sampler.drop_last else n_rows
        return [(start, min(start + size, stop)) for start in range(0, stop, size)]


def _collated(rows):
    """Put rows together as DataLoader does."""
    try:
        return default_collate(rows)
    except RuntimeError as error:
        shapes = [_shapes_of(row[0] if isinstance(row, tuple | list) else row) for row in rows]
        other = next((shape for shape in shapes if shape != shapes[0]), None)
        if other is None:
            raise
        raise ValueError(
            "Rows of a Dataset must be of one shape, to be put together in a batch, got "
            f"{shapes[0]} and {other}: give it a transform that makes them so, as size= does for "
            "LongTailedImages."
        ) from error


def _shapes_of(features):
    shapes = [tuple(getattr(part, "shape", ())) for part in arrays_of(features)]
    return shapes[0] if len(shapes) == 1 else shapes


def check_sampler(loader, kwargs, dataset, prefix):
    """Raise a ValueError if a loader cannot draw rows of a Dataset by its sampler."""
    given = [name for name in ("sampler", "batch_sampler") if kwargs.get(name) is not None]
    is_torchs = isinstance(loader, type) and issubclass(loader, DataLoader)
    if given and kwargs.get("shuffle") and is_torchs and not issubclass(loader, BatchLoader):
        raise ValueError(
            f"{prefix}__shuffle must be False beside {prefix}__{given[0]} for {loader.__name__}, "
            f"got {kwargs['shuffle']!r}."
        )
    sampler = kwargs.get("sampler")
    for name in ("weights", "data_source"):
        rows = getattr(sampler, name, None)
        if hasattr(rows, "__len__") and len(rows) != len(dataset):
            raise ValueError(
                f"{prefix}__sampler must be made for the {len(dataset)} rows that there are, "
                f"those held out to validate excluded, got one for {len(rows)}."
            )


def _draw_seed(generator=None):
    return torch.empty((), dtype=torch.int64).random_(generator=generator).item()


def _rows(dataset):
    """Return the rows of the source that a Subset, or a Subset of one, stands for."""
    rows = None
    while isinstance(dataset, Subset):
        inner = torch.from_numpy(np.array(dataset.indices, dtype=np.int64))
        rows = inner if rows is None else inner[rows]
        dataset = dataset.dataset
    return rows


def _fits(data, device):
    """Whether all of the data are tensors that take at most half of a GPU's free memory."""
    if torch.device(device).type != "cuda":
        return False
    arrays = [x.array if isinstance(x, Uncast) else x for x in arrays_of(data)]
    if not all(isinstance(array, torch.Tensor) for array in arrays):
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return sum(array.nbytes for array in arrays) <= free / 2


def _source(dataset):
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    return dataset
