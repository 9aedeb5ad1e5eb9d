"""Predictions: batches that fill the machine, and what their logits mean."""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from skorch.utils import to_device, to_numpy
from torch.utils.data import DataLoader

from sk_cbloss.neural_net.data import (
    ArrayDataset,
    BatchLoader,
    CheckedData,
    as_tensor,
    check_features,
    cut,
)
from sk_cbloss.neural_net.errors import memory_explained

NUMBERS = 2**18  # of a table that go through the module at once: few enough for a cache

OURS = {"skorch.net", "skorch.classifier", CheckedData.__module__, __name__}
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
            with memory_explained(self, "iterator_valid"):
                output = to_device(self.evaluation_step(batch, training=training), device=device)
            yield output

    def _logits(self, X):
        is_table = hasattr(X, "columns") or (isinstance(X, np.ndarray) and X.ndim == 2)
        if is_table and self._batches_are_ours:
            return self._logits_of_table(X)
        logits = self.forward(X)
        return logits[0] if isinstance(logits, tuple) else logits

    @property
    def _batches_are_ours(self):
        """Whether nobody else has a say in how batches are made and used."""
        return (
            self.iterator_valid is BatchLoader
            and self.dataset is ArrayDataset
            and all(getattr(type(self), name).__module__ in OURS for name in HOOKS)
            and vars(self).keys().isdisjoint(HOOKS)
            and not any("iterator_valid__" in name or "dataset__" in name for name in vars(self))
        )

    @torch.no_grad()
    def _logits_of_table(self, X):
        """Return the logits of rows of numbers, checked once, in batches that fill the machine."""
        X = as_tensor(check_features(self, X, dtype=self._dtype_in_use, reset=False))
        self._set_training(False)
        size = max(self.batch_size or 1, NUMBERS // X.shape[1], 1)  # None and -1 name none
        logits = []
        for start in range(0, X.shape[0], size):
            with memory_explained(self, "iterator_valid"):
                made = self.infer(cut(X, slice(start, start + size)))
            logits.append((made[0] if isinstance(made, tuple) else made).cpu())
        return logits[0] if len(logits) == 1 else torch.cat(logits)

    def _decision_logits(self, X):
        check_is_fitted(self)
        logits = self._logits(X)
        return self.criterion_.decision_function(logits) if self._loss_is_ours else logits

    def decision_function(self, X):
        """Return the logits.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes) or (n_samples,)
            Logits; with two classes, the second class's minus the first's.
        """
        logits = to_numpy(self._decision_logits(X))
        return logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits

    def predict(self, X):
        """Predict the class of the largest logit.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels.
        """
        positions = to_numpy(self._decision_logits(X).argmax(dim=1))
        return self.classes_[positions]

    def predict_proba(self, X):
        """Predict the probabilities that the loss decides by.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities for classes as frequent as their weighted counts, or
            all alike where the loss knows their frequencies. For those of the
            training data, see ``predict_natural_proba``.
        """
        check_is_fitted(self)
        if self._loss_owns_probabilities:
            return to_numpy(self.criterion_.predict_proba(self._logits(X)))
        return super().predict_proba(X)

    def predict_natural_proba(self, X):
        """Predict probabilities for classes as frequent as in the training data.

        Weights, prior and focus are undone, as the loss knows best.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

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
        return to_numpy(self.criterion_.natural_proba(self._logits(X)))

    def predict_log_proba(self, X):
        """Predict the logarithm of the probabilities.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of what ``predict_proba`` gives.
        """
        check_is_fitted(self)
        if self._loss_owns_probabilities:
            return to_numpy(self.criterion_.predict_log_proba(self._logits(X)))
        return np.log(super().predict_proba(X))
