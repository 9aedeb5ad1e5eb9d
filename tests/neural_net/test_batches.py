"""BatchLoader gives what torch's DataLoader gives, in whole batches."""

import numpy as np
import pytest
import scipy.sparse
import torch
from torch.utils.data import DataLoader, SequentialSampler, Subset

from sk_cbloss.neural_net import ArrayDataset, BatchLoader

X = np.random.default_rng(0).normal(size=(23, 4))
Y = np.arange(23)
KINDS = {
    "array": X,
    "tensor": torch.from_numpy(X),
    "csr_matrix": scipy.sparse.csr_matrix(X),
    "csr_array": scipy.sparse.csr_array(X),
    "dict": {"a": X, "b": scipy.sparse.csr_array(X)},
    "list": [X, X[:, :2]],
}


def same(ours, theirs):
    torch.testing.assert_close(ours, theirs, check_dtype=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("subset", [False, True])
def test_the_same_batches_in_the_same_order(kind, shuffle, drop_last, subset):
    dataset = ArrayDataset(KINDS[kind], Y)
    dataset = Subset(dataset, np.arange(20)[::-1]) if subset else dataset
    loaded = []
    for loader in (BatchLoader, DataLoader):
        torch.manual_seed(0)
        arguments = {"batch_size": 7, "shuffle": shuffle, "drop_last": drop_last}
        loaded.append([*loader(dataset, **arguments), torch.rand(1)])
    assert (
        len(loaded[0])
        == len(loaded[1])
        == (3 if drop_last or subset else 4) - (1 if drop_last and subset else 0) + 1
    )
    for ours, theirs in zip(*loaded, strict=True):
        same(ours, theirs)


def test_without_a_target_there_is_a_stand_in():
    (_, target), *_ = BatchLoader(ArrayDataset(X), batch_size=7)
    same(target, torch.zeros(7, dtype=torch.int64))


def test_a_sampler_of_ones_own_is_used():
    dataset = ArrayDataset(X, Y)
    (_, target), *_ = BatchLoader(dataset, batch_size=5, sampler=SequentialSampler(dataset))
    same(target, torch.arange(5))


def test_other_datasets_load_as_ever():
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    for ours, theirs in zip(
        BatchLoader(dataset, batch_size=7), DataLoader(dataset, batch_size=7), strict=True
    ):
        same(ours, theirs)
