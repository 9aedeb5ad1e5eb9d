"""The targets of a Dataset that has a row of them for each sample, such as of several labels."""

import numpy as np
from torch.utils.data import TensorDataset

from sk_cbloss._indicator import REMEDY, read_indicator
from sk_cbloss._validation import as_numpy
from sk_cbloss.neural_net.data._listed_labels import LISTS, listed_in_parts
from sk_cbloss.neural_net.data._read_labels import read_labels_of

NOT_EACH = "A Dataset's targets must be rows of 0 and 1 for loss='multi_label', got {}."


def yields_rows(dataset):
    """Whether a Dataset has a row for each sample; one of a single number is a label."""
    if not len(dataset):
        return False
    shape = np.shape(as_numpy(_second(dataset[0])))
    return len(shape) == 1 and shape != (1,)


def dataset_label_rows(dataset, *, verbose=False):
    """Return the rows that a Dataset lists or, read one by one, yields as targets."""
    listed = listed_in_parts(dataset, _listed)
    if listed is None:
        rows = read_labels_of(dataset, verbose=verbose, read=_target_of)
        other = next((row for row in rows if len(row) != len(rows[0])), None)
        if other is not None:
            raise ValueError(
                NOT_EACH.format(f"rows of {len(rows[0])} and of {len(other)}: {REMEDY}")
            )
        listed = np.stack(rows)
    elif len(dataset) and not _are_equal(_target_of(dataset[0]), np.asarray(listed[:1])[0]):
        raise ValueError(
            "A Dataset's rows must yield the targets that it lists, got another from row 0."
        )
    return listed


def label_rows_beside(dataset, y):
    """Return rows of labels that are passed beside a Dataset, which trains on those it yields."""
    given, listed = read_indicator(y), listed_in_parts(dataset, _listed)
    if len(dataset) == given.values.shape[0] > 0:
        yielded = _target_of(dataset[0])[None] if listed is None else listed
        if not _are_equal(given.some(slice(len(yielded))).dense(), yielded):
            raise ValueError(
                "A Dataset's rows must yield the targets that are passed beside it, got others."
            )
    return y


def _are_equal(some, others):
    both = (each.astype(np.float64, copy=False) for each in (some, others))
    return np.array_equal(*both, equal_nan=True)


def _listed(dataset):
    found = [getattr(dataset, name, None) for name in LISTS]
    if isinstance(dataset, TensorDataset):
        found.append(dataset.tensors[-1])
    for listed in found:
        if listed is not None and not callable(getattr(dataset, "target_transform", None)):
            listed = np.asarray(as_numpy(listed))
            if listed.ndim != 2:
                raise ValueError(NOT_EACH.format(f"an array of shape {listed.shape}"))
            return listed
    return None


def _second(item):
    return item[1] if isinstance(item, tuple | list) and len(item) == 2 else None


def _target_of(item):
    target = _second(item)
    row = np.asarray(as_numpy(target))
    if row.ndim != 1 or row.dtype.kind not in "biuf":
        raise ValueError(NOT_EACH.format(f"{type(target).__name__} of shape {row.shape}"))
    return row
