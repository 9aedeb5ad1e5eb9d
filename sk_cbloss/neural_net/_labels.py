"""Class labels as positions in the module's outputs."""

import numpy as np
from torch.utils.data import TensorDataset


def check_sorted(classes):
    """Raise a ValueError unless classes are sorted, as scikit-learn's scorers take for granted."""
    classes = list(classes)
    if classes != sorted(set(classes)):
        raise ValueError(f"classes must be sorted and each there once, got {classes!r}.")


def positions_of(y, classes, *, in_dataset):
    """Return the positions of labels in classes; a Dataset's targets are positions already."""
    labels, inverse = np.unique(y, return_inverse=True)
    labels = labels.tolist()
    if in_dataset:
        outside = [label for label in labels if label not in range(len(classes))]
        if outside:
            raise ValueError(
                f"A Dataset's targets must be integers from 0 to {len(classes) - 1}, the "
                f"positions of the classes, got {outside[0]!r}."
            )
        return np.asarray(y, dtype=np.int64)
    known = {label: position for position, label in enumerate(classes.tolist())}
    unseen = [label for label in labels if label not in known]
    if unseen:
        raise ValueError(f"y must hold only the {len(known)} known classes, got {unseen[0]!r}.")
    return np.array([known[label] for label in labels], dtype=np.int64)[inverse]


def dataset_labels(dataset):
    """Return a Dataset's labels: its targets, or those of the arrays it holds."""
    for name in ("targets", "y"):
        labels = getattr(dataset, name, None)
        if labels is not None:
            return labels
    if isinstance(dataset, TensorDataset):
        return dataset.tensors[-1]
    raise ValueError(
        "y must be passed beside a Dataset that has no targets, "
        f"got y=None and {type(dataset).__name__}."
    )
