"""Batches of many nets at once."""

from itertools import groupby

import numpy as np
import torch

from sk_cbloss.neural_net.data import cut, split_sample_weight


class StackedBatches:
    """The batches of an epoch of many nets, gathered from the arrays whose rows they have."""

    def __init__(self, loaders, orders, device):
        parts = [split_sample_weight(loader._data[0]) for loader in loaders]
        features, weights = zip(*parts, strict=True)
        targets = [loader._data[1] for loader in loaders]
        self.vectors = [targets] if weights[0] is None else [targets, weights]
        self.rows = [some.rows for some in features]
        self.arrays = [list(run) for _, run in groupby((f.array for f in features), key=id)]
        self.orders = [
            torch.arange(target.shape[0]) if order is None else order
            for order, target in zip(orders, targets, strict=True)
        ]
        self.device = device

    def batches(self, bounds):
        """Yield features, targets and perhaps weights of each batch, for all nets."""
        begin, end = bounds[0][0], bounds[-1][1]
        orders = [order[begin:end] for order in self.orders]
        rows = _taken(self.rows, orders)
        if all(isinstance(array, torch.Tensor) for array, *_ in self.arrays):
            rows = rows.to(self.device)  # where the arrays lie
        vectors = [_taken(vectors, orders).to(self.device) for vectors in self.vectors]
        for start, stop in bounds:
            place = slice(start - begin, stop - begin)
            yield self._gather(rows[:, place]), *(vector[:, place] for vector in vectors)

    def _gather(self, rows):
        """Return the features of rows of shape (n_nets, batch_size)."""
        ends = np.cumsum([len(run) for run in self.arrays])
        parts = [
            cut(run[0], rows[end - len(run) : end].reshape(-1)).to(self.device)
            for run, end in zip(self.arrays, ends, strict=True)
        ]
        x = parts[0] if len(parts) == 1 else torch.cat(parts)
        return x.view(*rows.shape, *x.shape[1:])


def _taken(vectors, orders):
    """Return the rows of each array in an order of its own, stacked."""
    pairs = zip(vectors, orders, strict=True)
    return torch.stack([cut(vector, order) for vector, order in pairs])
