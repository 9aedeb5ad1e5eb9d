"""A Dataset as scikit-learn's searches take it: features and labels apart."""

from skorch.helper import SliceDataset
from torch.utils.data import Dataset

from sk_cbloss._indicator import is_indicator
from sk_cbloss.neural_net.data._dataset_labels import (
    check_has_length,
    checked_beside,
    class_names,
    dataset_labels,
)
from sk_cbloss.neural_net.data._dataset_rows import (
    dataset_label_rows,
    label_rows_beside,
    yields_rows,
)
from sk_cbloss.neural_net.data._labels import checked_positions, label_array
from sk_cbloss.neural_net.state import seeded


def features_and_labels(dataset):
    """Return features and labels of a Dataset apart, as scikit-learn's searches take them.

    Features are read row by row when a batch needs them, and anew each time;
    of all rows, there are never more in memory.

    Parameters
    ----------
    dataset : torch.utils.data.Dataset
        Yields pairs of features and target.

    Returns
    -------
    X : skorch.helper.SliceDataset of shape (n_samples,)
        The features.
    y : ndarray of shape (n_samples,) or (n_samples, n_labels)
        The labels: names of classes, if the dataset lists them in ``classes``
        in sorted order as ``torchvision.datasets.ImageFolder`` does; else its
        targets. Of several labels a sample, or several tags, its rows.

    Raises
    ------
    ValueError
        If the dataset has no length, or its targets are neither a label each nor
        rows of one length.

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> from sklearn.model_selection import cross_val_score
    >>> from sk_cbloss import CBNeuralNetClassifier
    >>> from sk_cbloss.neural_net import features_and_labels
    >>> target = torch.arange(60) % 3
    >>> dataset = TensorDataset(torch.randn(60, 4), target)
    >>> X, y = features_and_labels(dataset)
    >>> cross_val_score(CBNeuralNetClassifier(max_epochs=1), X, y, cv=2).shape
    (2,)
    """
    if not isinstance(dataset, Dataset):
        raise ValueError(f"dataset must be a torch Dataset, got a {type(dataset).__name__}.")
    check_has_length(dataset)
    with seeded(0, "cpu"):
        several = yields_rows(dataset)
    return features_beside(dataset, None, several=several)


def features_beside(dataset, y, *, several):
    """Return features of a Dataset apart, and its labels, or those beside it, which it yields."""
    check_has_length(dataset)
    with seeded(0, "cpu"):
        if y is None:
            y = dataset_label_rows(dataset) if several else _labels(dataset)
        elif several:
            label_rows_beside(dataset, y)
        elif not is_indicator(y):  # tags are their own affair
            checked_beside(dataset, y)
    return SliceDataset(dataset), y


def _labels(dataset):
    y, names = label_array(dataset_labels(dataset)), class_names(dataset)
    return y if names is None else names[checked_positions(y, len(names))]
