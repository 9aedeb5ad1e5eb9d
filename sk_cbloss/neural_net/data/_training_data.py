"""What a fit is given, checked: features, targets, and the counts of what these hold."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from scipy.sparse import issparse
from skorch.utils import is_dataset

from sk_cbloss._indicator import REMEDY, Indicator, read_indicator
from sk_cbloss._validation import check_same_length, check_sample_weight
from sk_cbloss.neural_net.data._dataset_labels import (
    check_has_length,
    check_same_names,
    checked_beside,
    class_names,
    dataset_labels,
    n_classes_of,
)
from sk_cbloss.neural_net.data._dataset_rows import dataset_label_rows, label_rows_beside
from sk_cbloss.neural_net.data._features import (
    check_features,
    is_multi_input,
    loaded,
    n_samples_of,
    with_sample_weight,
)
from sk_cbloss.neural_net.data._label_sets import (
    has_several_labels,
    learned_labels,
    rarest_label,
    rows_of_labels,
    told_labels,
)
from sk_cbloss.neural_net.data._labels import (
    check_known,
    check_sorted,
    checked_positions,
    labels_of,
    lists_all,
    positions_of,
)
from sk_cbloss.neural_net.data._streamed import StreamedDataset, check_row, is_streamed
from sk_cbloss.neural_net.data._tags import Tags, ignored_tag, rarest_tag, read_tags
from sk_cbloss.neural_net.data._validation_data import hold_out
from sk_cbloss.neural_net.state import seeded


@dataclass(frozen=True)
class TrainingData:
    """Data to train on."""

    X: object  # carries the samples' weights if there are any
    targets: object  # positions of the classes, int64; or a row of 0 and 1 for each sample
    classes: np.ndarray
    class_count: np.ndarray  # numbers of samples, or sums of weights; of each label, of both sides


def training_data(net, X, y, sample_weight, *, dtype, classes=None, known=None, known_count=0.0):
    """Check what a fit is given; the net learns of it what scikit-learn has it learn of X.

    The classes may be given beside the data. Known are those of a net that is not built anew, with
    what has been counted of them if counts add up.
    """
    X = loaded(X)
    in_dataset = is_dataset(X)
    if in_dataset and sample_weight is not None:
        raise ValueError(
            "sample_weight must be None with a Dataset, which batches by itself, "
            f"got {type(sample_weight).__name__}."
        )
    names = class_names(X) if in_dataset and y is None else None
    labels = _labels_beside(net, X, y)
    if sample_weight is not None:
        sample_weight = check_sample_weight(sample_weight, labels.values.shape[0])
    anew, told = known is None, (classes, known, known_count)
    if isinstance(labels, Indicator):
        known, count = learned_labels(net, labels, sample_weight, *told)
        targets = rows_of_labels(labels, dtype)
    elif isinstance(labels, Tags):
        of_each = labels.labels, labels.each(sample_weight)
        known, count, positions = _learned_classes(net, X, *of_each, names, *told)
        targets = labels.targets(positions)
    else:
        known, count, targets = _learned_classes(net, X, labels, sample_weight, names, *told)
    X = _features(net, X, dtype=dtype, reset=anew)
    if sample_weight is not None:
        sample_weight = (sample_weight / _mean_of_targets(sample_weight, labels)).astype(dtype)
    return TrainingData(_carrying(X, targets, sample_weight, dtype), targets, known, count)


def _learned_classes(net, X, labels, sample_weight, names, classes, known, known_count):
    """Return the classes, their counts, and the labels' positions among them."""
    if net.classes is not None:
        check_sorted(net.classes)
    in_dataset, given = is_dataset(X), classes if net.classes is None else net.classes
    positions, anew = None, known is None
    if anew:
        listed = names if given is None else given
        if listed is None:
            known, positions, _ = labels.encode()
        else:
            known = np.unique(listed)
    if given is None and in_dataset:
        check_same_names(X, known)
    for listed in (net.classes, classes):
        if listed is not None:
            check_known(listed, known)
    if in_dataset:
        is_counted = anew and given is None and names is None
        positions = checked_positions(
            labels.gather(labels.classes),
            len(known),
            partial(n_classes_of, X) if is_counted else None,
        )
    elif positions is None:
        positions = positions_of(labels, known)
    positions = positions.astype(np.int64, copy=False)
    count = np.bincount(positions, sample_weight, len(known)) + known_count
    if given is None and np.count_nonzero(count) < 2:
        weighted = "" if sample_weight is None else " with a sample_weight above 0"
        n_classes = n_classes_of(X, known) if in_dataset and known.dtype.kind in "iu" else 0
        remedy = lists_all(n_classes) if n_classes > 1 else ""
        raise ValueError(
            f"{type(net).__name__} needs samples of at least 2 classes{weighted}, "
            f"got one class: {known[np.argmax(count)]!s}.{remedy}"
        )
    return known, count, positions


def is_empty(X, y):
    """Whether a chunk has no rows, and no labels either."""
    if is_dataset(X):
        return hasattr(X, "__len__") and not len(X) and (y is None or not len(y))
    if y is None or n_samples_of(X):
        return False
    return not (y.shape[0] if hasattr(y, "shape") else len(y))


def told_classes(net, classes, known, *, several):
    """Return the classes by what has been told of them, None if nothing has; sorted, or labels."""
    if several:
        return told_labels(net, classes, known)
    for listed in (net.classes, classes):
        if listed is not None:
            known = np.unique(listed) if known is None else known
            check_known(listed, known)
    return known


def no_data(classes):
    """Return the data of a chunk without rows."""
    return TrainingData((), np.empty(0, np.int64), classes, None)


def _labels_beside(net, X, y):
    """Return labels, one for each row of X or, as an Indicator or as Tags, several."""
    several, ignored = has_several_labels(net, y), ignored_tag(net)
    if is_dataset(X):
        check_has_length(X)
        with seeded(0, "cpu"):  # rows may draw, and the training is not to notice
            if ignored is not None:
                raise ValueError(
                    "X must be an array, or features of a Dataset beside y, where "
                    f"criterion__ignore_index={ignored}, got a Dataset: sk_cbloss.neural_net."
                    "features_and_labels(dataset) takes them apart."
                )
            if y is None:
                y = (dataset_label_rows if several else dataset_labels)(X, verbose=net.verbose)
            else:
                y = (label_rows_beside if several else checked_beside)(X, y)
    n_samples = len(X) if is_dataset(X) else n_samples_of(X)
    if y is None:
        raise ValueError(
            f"{type(net).__name__} requires y to be passed, but the target y is None."
        )
    if several:
        tags = "rows of tags need criterion__ignore_index"
        labels = read_indicator(y, remedy=f"{REMEDY}, and {tags}")
    else:
        labels = labels_of(y) if ignored is None else read_tags(y, ignored)
    check_same_length(n_samples, labels.values.shape[0])
    if not n_samples:
        raise ValueError(
            "Found array with 0 sample(s) while a minimum of 1 is required by "
            f"{type(net).__name__}."
        )
    return labels


def _features(net, X, *, dtype, reset):
    if is_streamed(X):
        check_module_takes(net, X, check_row(net, X, reset=reset))
    elif not is_dataset(X):
        X = check_features(net, X, dtype=dtype, reset=reset)
        check_module_takes(net, X, None if is_multi_input(X) else X.shape[1:])
    return X


def check_module_takes(net, X, shape_of_row):
    """Raise a ValueError if the default module cannot take such rows."""
    if net.module is None and (shape_of_row is None or len(shape_of_row) != 1):
        several = shape_of_row is None
        shape = "several arrays" if several else f"shape {(n_samples_of(X), *shape_of_row)}"
        raise ValueError(
            "X must have shape (n_samples, n_features) for the default MLP, "
            f"got {shape}. Give a module of your own."
        )


def _mean_of_targets(sample_weight, labels):
    """Return the mean of the samples' weights over all targets that count, as a loss has it."""
    n_targets = None
    if isinstance(labels, Tags):
        n_targets = labels.by_sample()
    elif isinstance(labels, Indicator) and not issparse(labels.values):
        n_targets = (~np.isnan(labels.values)).sum(axis=1)
    if n_targets is None or not np.ptp(n_targets) or not n_targets @ sample_weight:
        return sample_weight.mean()
    return np.average(sample_weight, weights=n_targets)


def _carrying(X, targets, sample_weight, dtype):
    """Return features that carry weights, if there are any."""
    if is_streamed(X):
        return StreamedDataset(X, targets, dtype=dtype, sample_weight=sample_weight)
    return X if sample_weight is None else with_sample_weight(X, sample_weight)


def split_to_stop_early(net, targets, call):
    """Return rows to train and to validate on, if early stopping has no others."""
    if not net.early_stopping or net.train_split or call.validation_data is not None:
        return None
    seed = int(torch.randint(2**31, ()))
    strata = targets  # of several labels, the rarest tells samples apart
    if net._has_several_labels:
        strata = rarest_label(targets)
    elif targets.ndim > 1:
        strata = rarest_tag(targets)
    draws, pools = np.random.RandomState(seed), net._has_several_labels
    held = hold_out(strata, net.validation_fraction, draws, may_pool=pools)
    is_held = np.zeros(len(strata), dtype=bool)
    is_held[held] = True
    return np.flatnonzero(~is_held), held
