"""The labels of a Dataset, which are positions of classes, and the names of these."""

import reprlib

import numpy as np
from torch.utils.data import ConcatDataset, Subset

from sk_cbloss._labels import as_labels
from sk_cbloss.neural_net.data._labels import label_array
from sk_cbloss.neural_net.data._listed_labels import listed_labels, single, transformed
from sk_cbloss.neural_net.data._read_labels import read_labels_of


def check_has_length(dataset):
    """Raise a ValueError unless a Dataset has a length."""
    if not hasattr(dataset, "__len__"):
        raise ValueError(
            "X must be an array or a Dataset with a length, whose classes can be counted, got "
            f"{type(dataset).__name__}."
        )


def dataset_labels(dataset, *, verbose=False):
    """Return a Dataset's labels: its targets, those of its parts, or those met in one pass."""
    labels = listed_labels(dataset)
    if labels is not None:
        if len(labels) == len(dataset) > 0:
            check_yielded(dataset, labels, 0)
        return labels
    if isinstance(dataset, ConcatDataset):  # of which some parts may list theirs
        parts = [dataset_labels(part, verbose=verbose) for part in dataset.datasets]
        return np.concatenate(parts)
    return as_labels(read_labels_of(dataset, verbose=verbose))


def n_classes_of(dataset, y):
    """Return how many classes there must be, by the labels of all that a Subset is a part of."""
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    listed = listed_labels(dataset)
    return int(max(y.max(), y.max() if listed is None else listed.max())) + 1


def check_yielded(dataset, y, row):
    """Raise a ValueError if a row of a Dataset yields another target than is known of it."""
    item = dataset[row]
    if not isinstance(item, tuple | list) or len(item) != 2:
        return  # there is none, or the net will say so
    known, target = y[row].item(), single(item[1])
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
    if list(transformed(places, dataset)) != places:
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
