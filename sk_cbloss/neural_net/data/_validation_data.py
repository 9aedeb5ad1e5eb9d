"""Where validation data come from: given, held out, or in a Dataset of the user's."""

import numpy as np
import skorch.dataset
from skorch.utils import is_dataset

from sk_cbloss._validation import check_same_length
from sk_cbloss.neural_net.data._arrays import ArrayDataset
from sk_cbloss.neural_net.data._dataset_labels import check_same_names
from sk_cbloss.neural_net.data._features import check_features, loaded, n_samples_of
from sk_cbloss.neural_net.data._label_sets import checked_label_rows
from sk_cbloss.neural_net.data._labels import labels_of, positions_of
from sk_cbloss.neural_net.data._streamed import StreamedDataset, check_row, is_streamed
from sk_cbloss.neural_net.data._tags import ignored_tag, tag_targets


def hold_out(y, fraction, random_state, *, may_pool=False):
    """Return the rows to hold out: that share of each class, and at least one of two.

    Shuffled rows are sorted by class, and the first of each class are taken. If it may pool, and
    there are more classes of two rows than rows asked for, classes of about one size share them.
    """
    count = np.bincount(y)
    n_held = np.clip(np.rint(fraction * count), 1, np.maximum(count - 1, 1)).astype(np.int64)
    n_held[count < 2] = 0
    if may_pool and np.count_nonzero(n_held) > fraction * len(y):
        count_of_two = np.where(n_held > 0, count, 0)
        order = count_of_two.argsort(kind="stable")
        up_to = fraction * count_of_two[order].cumsum()
        # From a place drawn between 0 and 1, so that each row is held out as often.
        n_held[order] = np.diff(np.floor(up_to + random_state.random_sample()), prepend=0)
        if not n_held.any():
            n_held[order[-1]] = 1
    if not n_held.any():
        raise ValueError("early_stopping must have a class of two samples or more, got none.")
    rows = random_state.permutation(len(y))
    # Small integers are sorted fastest.
    by_class = rows[y.astype(np.min_scalar_type(len(count)))[rows].argsort(kind="stable")]
    place = np.arange(len(y)) - np.repeat(count.cumsum() - count, count)
    return np.sort(by_class[place < np.repeat(n_held, count)])


def validation_dataset(net, X, y):
    """Return a Dataset of validation data, checked as training data are."""
    if is_dataset(X):
        if y is not None:
            raise ValueError(
                f"y_val must be None beside a Dataset, which holds it, got {type(y).__name__}."
            )
        if net.classes is None and not net._has_several_labels:
            check_same_names(X, net.classes_)
        return X
    for given, name, other in ((X, "X_val", "y_val"), (y, "y_val", "X_val")):
        if given is None:
            raise ValueError(f"{name} must be given beside {other}, got None.")
    X = loaded(X)
    try:
        n_samples, y = n_samples_of(X), _targets(net, y)
        check_same_length(n_samples, y.shape[0])
        if is_streamed(X):
            check_row(net, X, reset=False)
            return StreamedDataset(X, y, dtype=net._dtype_in_use)
        X = check_features(net, X, dtype=net._dtype_in_use, reset=False)
    except ValueError as error:
        raise ValueError(f"In the validation data: {error}") from error
    return ArrayDataset(X, y)


def _targets(net, y):
    if net._has_several_labels:
        return checked_label_rows(y, net.classes_, net._dtype_in_use)
    if (ignored := ignored_tag(net)) is not None:
        return tag_targets(y, ignored, net.classes_)
    return positions_of(labels_of(y), net.classes_)


def with_positions(net, dataset):
    """Return a skorch Dataset of labels, as `predefined_split` takes it, as one of positions."""
    if type(dataset) is not skorch.dataset.Dataset or dataset.y is None:
        return dataset
    return validation_dataset(net, dataset.X, dataset.y)
