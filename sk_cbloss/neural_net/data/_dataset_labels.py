"""The labels of a Dataset, which are positions of classes, and the names of these."""

import reprlib

import numpy as np
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from sk_cbloss._labels import as_labels
from sk_cbloss._validation import as_numpy
from sk_cbloss.neural_net.data._labels import label_array


def check_has_length(dataset):
    """Raise a ValueError unless a Dataset has a length."""
    if not hasattr(dataset, "__len__"):
        raise ValueError(
            "X must be an array or a Dataset with a length, whose classes can be counted, got "
            f"{type(dataset).__name__}."
        )


def dataset_labels(dataset):
    """Return a Dataset's labels: its targets, those of its parts, or those met in one pass."""
    labels = listed_labels(dataset)
    if labels is not None:
        if len(labels) == len(dataset) > 0:
            check_yielded(dataset, labels, 0)
        return labels
    return as_labels([_label(dataset[row]) for row in range(len(dataset))])


_NOT_ONE = (
    "A Dataset's targets must be the positions of the classes, one a sample, got {}: one-hot rows "
    "become positions by argmax(1)."
)


def check_yielded(dataset, y, row):
    """Raise a ValueError if a row of a Dataset yields another target than is known of it."""
    item = dataset[row]
    if not isinstance(item, tuple | list) or len(item) != 2:
        return  # there is none, or the net will say so
    known, target = y[row].item(), _single(item[1])
    if known != target:
        raise ValueError(
            "A Dataset's rows must yield the targets that it lists, and that are passed beside "
            f"it, got {target!r} from row {row}, whose target is {known!r}."
        )


def checked_beside(dataset, y):
    """Return labels that are passed beside a Dataset, which trains on those that it yields."""
    y, listed = label_array(y), listed_labels(dataset)
    if y.dtype.kind in "biuf" and len(y) == len(dataset) > 0:
        # Where it lists others, one of the two is wrong.
        differ = listed is not None and len(listed) == len(y) and y != listed
        check_yielded(dataset, y, int(np.argmax(differ)))
    return y


def listed_labels(dataset):
    """Return the labels that a Dataset, or each of its parts, lists; None if not all do."""
    if isinstance(dataset, Subset):
        labels = listed_labels(dataset.dataset)
        return None if labels is None else labels[np.asarray(dataset.indices)]
    if isinstance(dataset, ConcatDataset):
        parts = [listed_labels(part) for part in dataset.datasets]
        return None if any(part is None for part in parts) else np.concatenate(parts)
    labels = _listed_labels(dataset)
    if labels is None:
        return None
    shape = np.shape(as_numpy(labels))
    if len(shape) > 1 and shape[1] > 1:
        raise ValueError(_NOT_ONE.format(f"an array of shape {shape}"))
    return as_labels(_transformed(labels, dataset))


def _listed_labels(dataset):
    for name in ("targets", "y"):
        if getattr(dataset, name, None) is not None:
            return getattr(dataset, name)
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[-1]
    samples = getattr(dataset, "samples", None)  # pairs of a file and a target
    is_list = isinstance(samples, list) and 0 < len(samples) == len(dataset)
    if is_list and all(isinstance(item, tuple) and len(item) == 2 for item in samples):
        return [target for _, target in samples]
    return None


def _transformed(labels, dataset):
    """Return what a Dataset makes of its labels, as those of torchvision do, before it yields."""
    transform = getattr(dataset, "target_transform", None)
    if not callable(transform):
        return labels
    return [_single(transform(label)) for label in as_labels(labels).tolist()]


def class_names(dataset):
    """Return the names of a Dataset's classes, by position, if it has some that are sorted.

    Scikit-learn's scorers take classes in another order for sorted.
    """
    if isinstance(dataset, Subset):
        return class_names(dataset.dataset)
    if isinstance(dataset, ConcatDataset):
        names = [class_names(part) for part in dataset.datasets]
        listed = [None if some is None else some.tolist() for some in names]
        if any(some != listed[0] for some in listed):
            raise ValueError(
                "The parts of a ConcatDataset must have the same classes, got "
                f"{reprlib.repr(listed)}."
            )
        return names[0]
    names = getattr(dataset, "classes", None)
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        return None
    places = list(range(len(names)))
    if list(_transformed(places, dataset)) != places:
        return None  # they are not those of its targets
    return np.array(names) if names and list(names) == sorted(set(names)) else None


def check_same_names(dataset, classes):
    """Raise a ValueError if a Dataset has names of classes, and they are not the net's."""
    names = class_names(dataset)
    if names is not None and classes.dtype.kind in "OUT" and names.tolist() != classes.tolist():
        raise ValueError(
            f"A Dataset's classes must be those of the net, {reprlib.repr(classes.tolist())}, as "
            f"its targets are positions among them, got {reprlib.repr(names.tolist())}."
        )


def _label(item):
    if not isinstance(item, tuple | list) or len(item) != 2:
        raise ValueError(
            "A Dataset must yield pairs of features and target, or y be passed beside it, got "
            f"{type(item).__name__}."
        )
    return _single(item[1])


def _single(target):
    """Return a target as a label."""
    shape = np.shape(as_numpy(target))
    if any(size > 1 for size in shape):
        raise ValueError(_NOT_ONE.format(f"targets of shape {shape}"))
    return target.item() if hasattr(target, "item") else target
