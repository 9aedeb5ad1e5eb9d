"""Data for the net: checked as scikit-learn does, split and put into batches."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.utils import is_dataset
from torch.utils.data import DataLoader, Subset

from sk_cbloss._validation import check_same_length, check_sample_weight
from sk_cbloss.neural_net.data._batches import BatchLoader, check_sampler
from sk_cbloss.neural_net.data._features import (
    check_features,
    is_multi_input,
    n_samples_of,
    with_sample_weight,
)
from sk_cbloss.neural_net.data._labels import (
    check_has_length,
    check_known,
    check_same_names,
    check_sorted,
    checked_beside,
    class_names,
    dataset_labels,
    label_array,
    positions_of,
)
from sk_cbloss.neural_net.data._streamed import StreamedDataset, check_row, is_streamed
from sk_cbloss.neural_net.data._validation_data import (
    check_not_awaited,
    check_recorded,
    hold_out,
    with_positions,
)
from sk_cbloss.neural_net.errors._explained import check_arguments
from sk_cbloss.neural_net.state._randomness import seeded


class CheckedData(NeuralNetClassifier):
    """Check features and labels, count the classes, and give batches."""

    @property
    def classes_(self):
        """The classes that the net has learned; before that, those that it is to learn."""
        learned = vars(self).get("classes_inferred_")
        return super().classes_ if learned is None else learned

    def check_data(self, X, y=None):
        """Do nothing: data is checked before the net is built.

        Parameters
        ----------
        X : object
            Not used.
        y : object, default=None
            Not used.
        """

    def get_dataset(self, X, y=None):
        """Return a data set; features to predict on are checked first.

        Parameters
        ----------
        X : Dataset, array-like, sparse matrix, DataFrame, dict or list of arrays
            Features.
        y : array of shape (n_samples,), default=None
            Positions of the classes, in training.

        Returns
        -------
        torch.utils.data.Dataset
            The data set.
        """
        if y is None and not is_dataset(X):
            self.check_is_fitted()
            if is_streamed(X):
                self._check_default_module_takes(X, check_row(self, X, reset=False))
                return StreamedDataset(X, dtype=self._dtype_in_use)
            X = check_features(self, X, dtype=self._dtype_in_use, reset=False)
        return super().get_dataset(X, y)

    def _learn_data(self, X, y, sample_weight, *, dtype, anew, add_counts, classes=None):
        """Return features and class positions for training; learn classes and their counts."""
        self._check_parameters()
        if is_dataset(X) and sample_weight is not None:
            raise ValueError(
                "sample_weight must be None with a Dataset, which batches by itself, "
                f"got {type(sample_weight).__name__}."
            )
        names = class_names(X) if is_dataset(X) and y is None else None
        y = self._check_labels(X, y)
        if sample_weight is not None:
            sample_weight = check_sample_weight(sample_weight, len(y))
        if self.classes is not None:
            check_sorted(self.classes)
        given = classes if self.classes is None else self.classes
        known = next(some for some in (given, names, y) if some is not None)
        known = np.unique(known) if anew else self.classes_
        if given is None and is_dataset(X):
            check_same_names(X, known)
        for listed in (self.classes, classes):
            if listed is not None:
                check_known(listed, known)
        y = positions_of(y, known, in_dataset=is_dataset(X))
        count = np.bincount(y, weights=sample_weight, minlength=len(known)).astype(np.float64)
        if add_counts and not anew:
            count += self.class_count_
        if given is None and np.count_nonzero(count) < 2:
            weighed = "" if sample_weight is None else " with a sample_weight above 0"
            raise ValueError(
                f"{type(self).__name__} needs samples of at least 2 classes{weighed}, "
                f"got one class: {known[np.argmax(count)]!s}."
            )
        if is_streamed(X):
            self._check_default_module_takes(X, check_row(self, X, reset=anew))
        elif not is_dataset(X):
            X = check_features(self, X, dtype=dtype, reset=anew)
            self._check_default_module_takes(X, None if is_multi_input(X) else X.shape[1:])
        self.classes_inferred_, self.class_count_ = known, count
        if sample_weight is not None:
            sample_weight = (sample_weight / sample_weight.mean()).astype(dtype)
        if is_streamed(X):
            X = StreamedDataset(X, y, dtype=dtype, sample_weight=sample_weight)
        elif sample_weight is not None:
            X = with_sample_weight(X, sample_weight)
        return X, y

    def _check_labels(self, X, y):
        """Return labels, one for each row of X."""
        if is_dataset(X):
            check_has_length(X)
            with seeded(0, "cpu"):  # rows may draw, and the training is not to notice
                y = dataset_labels(X) if y is None else checked_beside(X, y)
        n_samples = len(X) if is_dataset(X) else n_samples_of(X)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        y = label_array(y)
        check_same_length(n_samples, len(y))
        if not n_samples:
            raise ValueError(
                "Found array with 0 sample(s) while a minimum of 1 is required by "
                f"{type(self).__name__}."
            )
        return y

    def _check_default_module_takes(self, X, shape_of_row):
        if self.module is None and (shape_of_row is None or len(shape_of_row) != 1):
            several = shape_of_row is None
            shape = "several arrays" if several else f"shape {(n_samples_of(X), *shape_of_row)}"
            raise ValueError(
                "X must have shape (n_samples, n_features) for the default MLP, "
                f"got {shape}. Give a module of your own."
            )

    def _split_to_stop_early(self, positions, call):
        """Return rows to train and to validate on, if early stopping has no others."""
        if not self.early_stopping or self.train_split or call.validation_data is not None:
            return None
        seed = int(torch.randint(2**31, ()))
        held = hold_out(positions, self.validation_fraction, np.random.RandomState(seed))
        return np.setdiff1d(np.arange(len(positions)), held), held

    def get_split_datasets(self, X, y=None, **fit_params):
        """Return the data to train and to validate on.

        Parameters
        ----------
        X : Dataset, array-like, sparse matrix, DataFrame, dict or list of arrays
            Features.
        y : array of shape (n_samples,), default=None
            Positions of the classes.
        **fit_params : dict
            Handed to ``train_split``.

        Returns
        -------
        dataset_train : torch.utils.data.Dataset
            To train on.
        dataset_valid : torch.utils.data.Dataset or None
            To validate on.
        """
        call = self._call
        if call.validation_data is not None:
            return self.get_dataset(X, y), call.validation_data
        if call.split is not None:
            dataset = self.get_dataset(X, y)
            return tuple(Subset(dataset, rows) for rows in call.split)
        train, valid = super().get_split_datasets(X, y, **fit_params)
        if isinstance(train, Subset) and isinstance(valid, Subset):
            # Kept for a checkpoint: it may have been drawn.
            call.split = np.asarray(train.indices), np.asarray(valid.indices)
        holds_positions = is_dataset(X) and not isinstance(X, StreamedDataset)
        return train, valid if holds_positions else with_positions(self, valid)

    def on_epoch_begin(self, net, dataset_valid=None, **kwargs):
        """Raise a ValueError, before the first epoch, if a callback waits for missing scores."""
        if dataset_valid is None:
            check_not_awaited(self.callbacks_)
        check_recorded(self)
        super().on_epoch_begin(net, dataset_valid=dataset_valid, **kwargs)

    def get_iterator(self, dataset, training=False):
        """Return what gives the batches; arrays that fit on a GPU are there from now on.

        Parameters
        ----------
        dataset : torch.utils.data.Dataset
            The data.
        training : bool, default=False
            Whether for training.

        Returns
        -------
        iterable
            The batches.
        """
        prefix = "iterator_train" if training else "iterator_valid"
        kwargs, loader = self.get_params_for(prefix), getattr(self, prefix)
        check_arguments(DataLoader if loader is BatchLoader else loader, kwargs, prefix)
        check_sampler(loader, kwargs, dataset, prefix)
        iterator = super().get_iterator(dataset, training=training)
        return iterator.keep_on(self.device) if isinstance(iterator, BatchLoader) else iterator
