"""Predictions: batches that fill the machine, and what their logits mean."""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from skorch.utils import to_device, to_numpy
from torch.utils.data import DataLoader, Dataset

from sk_cbloss._indicator import share_of_right_rows
from sk_cbloss._labels import as_labels
from sk_cbloss.neural_net._chosen_loss import OF_LOG_ODDS
from sk_cbloss.neural_net._gathered import gathered, n_rows_of
from sk_cbloss.neural_net._ranked import Ranked
from sk_cbloss.neural_net._rules import is_auto
from sk_cbloss.neural_net.data import (
    ArrayDataset,
    BatchLoader,
    CheckedData,
    as_tensor,
    before_drawing,
    check_features,
    cut,
    features_and_labels,
    ignored_tag,
    loaded,
    logits_of,
    read_tags,
)
from sk_cbloss.neural_net.errors import explained
from sk_cbloss.neural_net.state import uncompiled

NUMBERS = 2**18  # of a table that go through the module at once: few enough for a cache

OURS = {"skorch.net", "skorch.classifier", CheckedData.__module__, Ranked.__module__, __name__}
# skorch's hooks on the way from features to logits.
HOOKS = ("forward", "forward_iter", "evaluation_step", "get_dataset", "get_iterator")


class Prediction(CheckedData):
    """Ask the module for logits, and the loss what they mean."""

    def forward_iter(self, X, training=False, device="cpu"):
        # Also in training mode, rows come in their order.
        iterator = self.get_iterator(self.get_dataset(X), training=False)
        if isinstance(iterator, DataLoader):
            # A DataLoader draws a seed even to read in order; not from the global generator.
            iterator.generator = torch.Generator()
        for batch in iterator:
            with explained(self, "iterator_valid"):
                output = to_device(self.evaluation_step(batch, training=training), device=device)
            yield output

    def _batches_of_logits(self, X):
        """Return the logits of all rows, batch by batch; no more than one is held."""
        is_table = hasattr(X, "columns") or (isinstance(X, np.ndarray) and X.ndim == 2)
        if is_table and self._batches_are_ours:
            batches = self._batches_of_table(X)
        elif self._has_own("forward"):  # which gives all rows at once
            batches = [self.forward(X, device=self.device)]
        else:
            batches = self.forward_iter(X, device=self.device)
        return map(logits_of, batches)

    def _has_own(self, *names):
        """Whether the user's subclass or the user has some method in place of ours or skorch's."""
        methods = (getattr(type(self), name) for name in names)
        own = any(method.__module__ not in OURS for method in methods)
        return own or not vars(self).keys().isdisjoint(names)

    @property
    def _batches_are_ours(self):
        """Whether nobody else has a say in how batches are made and used."""
        return (
            self.iterator_valid is BatchLoader
            and self.dataset is ArrayDataset
            and not self._has_own(*HOOKS)
            and not any("iterator_valid__" in name or "dataset__" in name for name in vars(self))
        )

    def _batches_of_table(self, X):
        """Yield what the module makes of rows of numbers, in batches that fill the machine."""
        X = as_tensor(check_features(self, X, dtype=self._dtype_in_use, reset=False))
        self._set_training(False)
        n_numbers = max(X.shape[1], len(getattr(self, "classes_", ())))  # of a row, in or out
        size = max(self.batch_size or 1, NUMBERS // n_numbers, 1)  # None and -1 name none
        for start in range(0, X.shape[0], size):
            with explained(self, "iterator_valid"), torch.no_grad():
                made = self.infer(cut(X, slice(start, start + size)))
            yield made

    def _read(self, meaning, X, out=None):
        """Return what the logits of all rows mean, read batch by batch."""
        check_is_fitted(self)
        X = loaded(X)

        def parts():
            for logits in self._batches_of_logits(X):
                with explained(self, "iterator_valid"):
                    part = to_numpy(meaning(logits))
                yield part

        return gathered(parts(), n_rows_of(X), out)

    def _decision_logits(self, logits):
        return self.criterion_.decision_function(logits) if self._loss_is_ours else logits

    def _margin_or_logits(self, logits):
        logits = self._decision_logits(logits)
        is_margin = logits.ndim == 2 == logits.shape[1] and not self._has_several_labels
        return logits[:, 1] - logits[:, 0] if is_margin else logits

    def _decided(self, y_pred):
        """Return positions of classes, or 0 and 1; a batch that was validated may have them."""
        logits = logits_of(y_pred)
        if not logits.is_floating_point():
            return logits
        if not self._has_several_labels:
            return self._decision_logits(logits).argmax(dim=1)
        if self._loss_is_ours:
            return (self._decision_logits(logits) > 0).long()
        return (self._get_predict_nonlinearity()(logits) > 0.5).long()

    def _get_predict_nonlinearity(self):
        if self._has_several_labels and is_auto(self.predict_nonlinearity):
            # skorch takes what torch's binary losses are given for one label alone.
            loss = uncompiled(self.criterion_)
            return torch.sigmoid if isinstance(loss, OF_LOG_ODDS) else torch.clone
        return super()._get_predict_nonlinearity()

    @property
    def _decides_by_logits(self):
        """Whether nobody else has a say in what is decided by the output of the module."""
        return not self._has_own("predict", "forward")

    def decision_function(self, X, out=None):
        """Return the logits.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.
        out : ndarray or memmap of shape (n_samples, n_classes) or (n_samples,), default=None
            Where to write them, in floating point; None makes an array.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Logits; with two classes, the second class's minus the first's. Of
            several labels, a column for each.
        """
        return self._read(self._margin_or_logits, X, out)

    def predict(self, X):
        """Predict the class of the largest logit, or each label whose logit is above 0.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_labels)
            Class labels; or 0 and 1, a column for each label.
        """
        positions = self._read(self._decided, X)
        return positions if self._has_several_labels else self.classes_[positions]

    def score(self, X, y=None, sample_weight=None):
        """Score the accuracy: of several labels, that of a sample's all; of tags, of each.

        Parameters
        ----------
        X : array-like, sparse matrix, DataFrame or Dataset of shape (n_samples, ...)
            Features.
        y : array-like of shape (n_samples,), (n_samples, n_labels) or (n_samples, ...), \
                default=None
            Labels, as in ``fit``. Tags that do not count are left out, labels
            that are not known, and rows of which none is. None takes those of a Dataset.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        float
            The share, in [0, 1], of what is right.
        """
        if y is None:
            if not isinstance(X, Dataset):
                raise ValueError("y must hold the labels, unless X is a Dataset, got None.")
            y = features_and_labels(X)[1]
        if self._has_several_labels:
            return share_of_right_rows(y, self.predict(X), self.classes_, sample_weight)
        if ignored_tag(self) is None:
            return super().score(X, as_labels(y), sample_weight)
        return read_tags(y, ignored_tag(self)).share_right(self.predict(X), sample_weight)

    def predict_proba(self, X, out=None):
        """Predict the probabilities that the loss decides by.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.
        out : ndarray or memmap of shape (n_samples, n_classes), default=None
            Where to write them, in floating point; None makes an array.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities for classes as frequent as their weighted counts, or
            all alike where the loss knows their frequencies. For those of the
            training data, see ``predict_natural_proba``.
        """
        check_is_fitted(self)
        if self._loss_owns_probabilities:
            return self._read(self.criterion_.predict_proba, X, out)
        return self._read_by_nonlinearity(X, out)

    def _read_by_nonlinearity(self, X, out):
        """Return what skorch takes for probabilities, held once."""
        nonlinearity = self._get_predict_nonlinearity()
        parts = (to_numpy(nonlinearity(logits_of(y_pred))) for y_pred in self.forward_iter(X))
        return gathered(parts, n_rows_of(X), out)

    def predict_natural_proba(self, X, out=None):
        """Predict probabilities for classes as frequent as in the training data.

        Weights, prior and focus are undone, as the loss knows best, and what a
        :class:`ClassAwareSampler` has drawn.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.
        out : ndarray or memmap of shape (n_samples, n_classes), default=None
            Where to write them, in floating point; None makes an array.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, for risks and expected counts.

        Raises
        ------
        ValueError
            If the loss has no way back, or is none of ours; or if the net has
            counted no classes, as after ``load_params``.
        """
        check_is_fitted(self)
        if not hasattr(self, "class_count_"):
            raise ValueError(
                "predict_natural_proba must be asked of a net that has counted classes, got one "
                "without class_count_: parameters alone do not tell. Fit, or unpickle the net."
            )
        if not self._loss_is_ours:
            raise ValueError(
                "predict_natural_proba must be asked of a net with a loss of sk_cbloss, got "
                f"criterion={self.criterion!r}. CalibratedClassifierCV calibrates any other."
            )
        if self._drawn_beta and self.class_count_.ndim > 1:
            raise ValueError(
                "predict_natural_proba must be asked of a net whose rows of several labels were "
                f"drawn alike, got a ClassAwareSampler with beta={self._drawn_beta}."
            )
        return self._read(self._natural_proba, X, out)

    def _natural_proba(self, logits):
        proba = self.criterion_.natural_proba(logits)
        if not self._drawn_beta:
            return proba
        return before_drawing(proba, self.class_count_, self._drawn_beta)

    def predict_log_proba(self, X, out=None):
        """Predict the logarithm of the probabilities.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.
        out : ndarray or memmap of shape (n_samples, n_classes), default=None
            Where to write them, in floating point; None makes an array.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of what ``predict_proba`` gives.
        """
        check_is_fitted(self)
        if self._loss_owns_probabilities:
            return self._read(self.criterion_.predict_log_proba, X, out)
        proba = self._read_by_nonlinearity(X, out)
        return np.log(proba, out=proba)
