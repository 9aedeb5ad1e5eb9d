"""The labels that a Dataset lists, under one name or another, so that no row need be read."""

from collections.abc import Mapping, Set

import numpy as np
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from sk_cbloss._labels import as_labels
from sk_cbloss._validation import as_numpy

NOT_ONE = (
    "A Dataset's targets must be the positions of the classes, one a sample, got {}: several "
    "labels a sample need loss='multi_label', and one-hot rows become positions by argmax(1)."
)
LISTS = ("targets", "y")  # of targets, if a Dataset has them
# Of targets or of something else; torchvision's data sets have each of them.
PERHAPS = ("labels", "samples", "_labels", "_samples")
N_COMPARED = 8  # rows, that tell


def listed_labels(dataset):
    """Return the labels that a Dataset, or each of its parts, lists; None if not all do."""
    return listed_in_parts(dataset, _listed)


def listed_in_parts(dataset, listed):
    """Return what a Dataset lists, as a function of each part tells; None if not all do."""
    if isinstance(dataset, Subset):
        found = listed_in_parts(dataset.dataset, listed)
        return None if found is None else found[np.asarray(dataset.indices, dtype=np.intp)]
    if isinstance(dataset, ConcatDataset):
        parts = [listed_in_parts(part, listed) for part in dataset.datasets]
        return None if any(part is None for part in parts) else np.concatenate(parts)
    return listed(dataset)


def _listed(dataset):
    for name in LISTS:
        if getattr(dataset, name, None) is not None:
            return _as_yielded(getattr(dataset, name), dataset)
    if isinstance(dataset, TensorDataset):
        return _as_yielded(dataset.tensors[-1], dataset)
    for name in PERHAPS:
        labels = _targets_in(getattr(dataset, name, None), dataset)
        if labels is not None:
            return labels
    return None


def _targets_in(listed, dataset):
    """Return the targets in what may list them, or pairs with them; None if it does not."""
    is_list = hasattr(listed, "__len__") and not isinstance(listed, Mapping | Set | str | bytes)
    if not is_list or not 0 < len(listed) == len(dataset):
        return None
    is_pairs = isinstance(listed, list | tuple) and all(
        isinstance(item, tuple | list) and len(item) == 2 for item in listed
    )
    if is_pairs:
        listed = [target for _, target in listed]
    rows = np.unique(np.linspace(0, len(listed) - 1, N_COMPARED).astype(int)).tolist()
    try:
        labels = _as_yielded(listed, dataset)
        is_it = all(labels[row].item() == label_of(dataset[row]) for row in rows)
    except ValueError:  # they are none, or the rows have none
        return None
    return labels if is_it else None


def _as_yielded(labels, dataset):
    """Return a Dataset's list as labels, as its rows yield them."""
    shape = np.shape(as_numpy(labels))
    if len(shape) > 1 and shape[1] > 1:
        raise ValueError(NOT_ONE.format(f"an array of shape {shape}"))
    return as_labels(transformed(labels, dataset))


def transformed(labels, dataset):
    """Return what a Dataset makes of its labels, as those of torchvision do, before it yields."""
    transform = getattr(dataset, "target_transform", None)
    if not callable(transform):
        return labels
    return [single(transform(label)) for label in as_labels(labels).tolist()]


def label_of(item):
    """Return the label in what a Dataset yields."""
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise ValueError(
            "A Dataset must yield pairs of features and target, or y be passed beside it, got "
            f"{type(item).__name__}."
        )
    return single(item[1])


def single(target):
    """Return a target as a label."""
    shape = np.shape(as_numpy(target))
    if any(size > 1 for size in shape):
        raise ValueError(NOT_ONE.format(f"targets of shape {shape}"))
    return target.item() if hasattr(target, "item") else target
