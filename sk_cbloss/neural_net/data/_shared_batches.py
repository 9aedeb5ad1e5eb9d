"""Batches that several ranks share: of each, one of them has some of the rows."""

from collections import deque

from torch.utils.data import BatchSampler, DataLoader, IterableDataset

from sk_cbloss.neural_net.data._arrays import arrays_of, each_array
from sk_cbloss.neural_net.data._batches import BatchLoader


class Share:
    """Which rows of a batch are a rank's: those of all ranks are a batch, in their order."""

    def __init__(self, rank=0, n_ranks=1):
        self.rank, self.n_ranks = rank, n_ranks
        self.sizes = deque()  # of the batches that were cut, and are not trained on yet

    def sizes_of(self, n_rows):
        """Return how many of a batch's rows each rank has."""
        few, n_more = divmod(n_rows, self.n_ranks)
        return [few + (rank < n_more) for rank in range(self.n_ranks)]

    def bounds(self, n_rows):
        """Return where the rank's rows of a batch begin and end; there may be none."""
        sizes = self.sizes_of(n_rows)
        start = sum(sizes[: self.rank])
        return start, start + sizes[self.rank]

    def cut(self, start, stop):
        """Return where the rank's part of a batch begins and ends.

        It is one row where there is none for the rank, which has to take the step all the same;
        that row must have no weight.
        """
        self.sizes.append(stop - start)
        first, end = self.bounds(stop - start)
        return (start + first, start + end) if end > first else (start, start + 1)


class SharedSampler:
    """The rank's part of each of the lists of rows that a sampler gives."""

    def __init__(self, sampler, share):
        self.sampler, self.share = sampler, share

    def __len__(self):
        return len(self.sampler)

    def __iter__(self):
        for rows in self.sampler:
            rows = list(rows)
            yield rows[slice(*self.share.cut(0, len(rows)))]


class SharedBatches:
    """The batches of a loader, which are those of all ranks, and of each the rank's rows.

    A rank reads only its rows, where the loader draws them by lists; else all, to take its own.
    """

    def __init__(self, loader, rank=0, n_ranks=1):
        self.loader, self.share = loader, Share(rank, n_ranks)
        self.n_rows = []  # of each batch of the epoch, on all ranks
        self.is_cut = n_ranks > 1 and _cuts(loader, self.share)

    def __len__(self):
        return len(self.loader)

    def __iter__(self):
        self.share.sizes.clear()
        self.n_rows = []
        for batch in self.loader:
            if not self.is_cut:
                rows = slice(*self.share.cut(0, len(arrays_of(batch)[-1])))
                batch = each_array(lambda array: array[rows], batch)  # noqa: B023
            self.n_rows.append(self.share.sizes.popleft())
            yield batch

    @property
    def have_rows(self):
        """Whether the rank has rows, of each batch of the epoch."""
        return [self.share.sizes_of(n_rows)[self.share.rank] > 0 for n_rows in self.n_rows]

    def scale(self, reduction):
        """Return what makes the loss of the rank's rows of now its part of a mean over ranks."""
        n_rows, n_ranks = self.n_rows[-1], self.share.n_ranks
        own = self.share.sizes_of(n_rows)[self.share.rank]
        return n_ranks * bool(own) if reduction == "sum" else own * n_ranks / n_rows


def _cuts(loader, share):
    """Have a loader load the rank's rows alone, if it can; return whether it does."""
    if isinstance(loader, BatchLoader) and loader.is_in_memory:
        loader.share = share
        return True
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return False
    # torch has no other way to change what a loader draws.
    name = "sampler" if loader.batch_sampler is None else "batch_sampler"
    sampler = getattr(loader, name)
    gives_lists = name == "batch_sampler" or isinstance(sampler, BatchSampler)
    if gives_lists:
        vars(loader)[name] = SharedSampler(sampler, share)
    return gives_lists
