"""skorch's hooks for data: data sets, their split, and what gives the batches."""

import copy
from contextlib import contextmanager, nullcontext

import numpy as np
from skorch import NeuralNetClassifier
from skorch.utils import is_dataset
from torch.utils.data import DataLoader, Subset

from sk_cbloss.neural_net.data._batches import BatchLoader, check_sampler
from sk_cbloss.neural_net.data._class_aware import ClassAwareSampler
from sk_cbloss.neural_net.data._drawing import check_corrects_once
from sk_cbloss.neural_net.data._features import check_features, loaded
from sk_cbloss.neural_net.data._streamed import StreamedDataset, check_row, is_streamed
from sk_cbloss.neural_net.data._tags import ignored_tag
from sk_cbloss.neural_net.data._targets import targets_of
from sk_cbloss.neural_net.data._training_data import check_module_takes
from sk_cbloss.neural_net.data._validation_data import with_positions
from sk_cbloss.neural_net.errors import check_arguments
from sk_cbloss.neural_net.state import uncompiled


class CheckedData(NeuralNetClassifier):
    """Give data sets of checked features, and batches of them."""

    _drawn_beta = None  # by which a sampler has balanced the classes of the training data

    @property
    def classes_(self):
        """The classes that the net has learned; before that, those that it is to learn."""
        learned = vars(self).get("classes_inferred_")
        return super().classes_ if learned is None else learned

    def check_data(self, X, y=None):
        pass  # it has been, before the net was built

    def get_dataset(self, X, y=None):
        if y is None and not is_dataset(X):
            self.check_is_fitted()
            if is_streamed(X):
                check_module_takes(self, X, check_row(self, X, reset=False))
                return StreamedDataset(X, dtype=self._dtype_in_use)
            X = check_features(self, loaded(X), dtype=self._dtype_in_use, reset=False)
        return super().get_dataset(X, y)

    def get_split_datasets(self, X, y=None, **fit_params):
        call = self._call
        call.data = X, y
        if call.validation_data is not None:
            return self.get_dataset(X, y), call.validation_data
        if call.split is not None:
            dataset = self.get_dataset(X, y)
            return tuple(Subset(dataset, rows) for rows in call.split)
        if getattr(self.train_split, "stratified", False) and getattr(y, "ndim", 1) > 1:
            raise ValueError(
                "train_split must not be stratified where a sample has several labels or tags, "
                f"got {self.train_split!r}: early_stopping=True holds out samples by their rarest."
            )
        train, valid = super().get_split_datasets(X, y, **fit_params)
        if isinstance(train, Subset) and isinstance(valid, Subset):
            # Kept for a checkpoint: it may have been drawn.
            call.split = np.asarray(train.indices), np.asarray(valid.indices)
        holds_positions = is_dataset(X) and not isinstance(X, StreamedDataset)
        return train, valid if holds_positions else with_positions(self, valid)

    def get_iterator(self, dataset, training=False):
        prefix = "iterator_train" if training else "iterator_valid"
        kwargs, loader = self.get_params_for(prefix), getattr(self, prefix)
        check_arguments(DataLoader if loader is BatchLoader else loader, kwargs, prefix)
        check_sampler(loader, kwargs, dataset, prefix)
        with self._sampler_of(dataset) if training else nullcontext():
            iterator = super().get_iterator(dataset, training=training)
        return (
            iterator.keep_on(self._device_in_use)
            if isinstance(iterator, BatchLoader)
            else iterator
        )

    @contextmanager
    def _sampler_of(self, dataset):
        """Let a ClassAwareSampler draw by the classes of the data set that is trained on."""
        name, call = "iterator_train__sampler", vars(self).get("_fit_call")
        sampler, self._drawn_beta = vars(self).get(name), None
        if not isinstance(sampler, ClassAwareSampler):
            yield
            return
        if sampler.random_state is not None:
            raise ValueError(
                f"{name} must have random_state=None in a net, whose own takes its place, got "
                f"{sampler!r}."
            )
        drawing = copy.copy(sampler)
        if sampler.weights is None:
            if (ignored := ignored_tag(self)) is not None:
                raise ValueError(
                    "iterator_train__sampler must be None or one of torch's where a sample has "
                    f"several tags (criterion__ignore_index={ignored}), got {sampler!r}, which "
                    "draws by one class a sample."
                )
            count = getattr(self, "class_count_", None)
            drawing = sampler.for_labels(
                targets_of(dataset, *(call.data if call else (None, None))),
                class_count=count if np.ndim(count) == 1 else None,
            )
            self._drawn_beta = sampler.beta
            level = 12 + hasattr(self.fit, "__wrapped__")  # scikit-learn's, since 1.9
            check_corrects_once(drawing, uncompiled(self.criterion_), stacklevel=level)
        vars(self)[name] = drawing
        try:
            yield
        finally:
            vars(self)[name] = sampler
