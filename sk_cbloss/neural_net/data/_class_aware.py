"""ClassAwareSampler, which draws the rows of batches by their class-balanced weights."""

import copy
import reprlib
from numbers import Integral

import numpy as np
import torch
from torch.utils.data import Sampler

from sk_cbloss._validation import check_beta, check_integer, check_size
from sk_cbloss.neural_net.data._drawing import row_weight


class ClassAwareSampler(Sampler):
    r"""Draw rows for a DataLoader with probability proportional to their class-balanced weight.

    Rows are drawn with replacement, as many as there are: common classes lose some, rare ones are
    repeated. A class of :math:`n` samples is drawn in proportion to :math:`n / E_n`, where
    :math:`E_n` is its effective number.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_labels), default=None
        Labels of the rows, of any kind. Or, of several labels a sample, a matrix of 0 and 1 with a
        column for each, dense (NaN where it is not known), sparse or a frame; see Notes. None is
        for :class:`CBNeuralNetClassifier`, which gives the labels that it trains on.
    beta : float in [0, 1], default=0.999
        See :func:`effective_number`. 0 draws all rows alike, 1 draws all
        classes alike.
    num_samples : int, default=None
        Number of rows in an epoch; None is as many as there are.
    random_state : int, default=None
        Seed. What is drawn in an epoch then depends on it and on the number of the epoch alone;
        see ``set_epoch``. None draws from torch's global generator.

    Attributes
    ----------
    weights : ndarray of shape (n_samples,), dtype float64
        What the probabilities of the rows are in proportion to. Their mean is 1.
    epoch : int
        Number of the epoch that is drawn next.

    See Also
    --------
    ClassBalancedSampler : The same for imbalanced-learn's Pipeline.
    class_balanced_sample_weight : Weights samples, which draws nothing and repeats none.
    torch.utils.data.WeightedRandomSampler : Draws by any weights.

    Notes
    -----
    A row of several labels is drawn as often as one that has its rarest label alone [3]_ [4]_.
    Rows without labels, or of which none is known, are one class more. With beta = 0 all rows are
    drawn alike there, too; with beta = 1 labels come closer to each other, but not alike, as a row
    brings all of its labels.

    Weights that correct the same frequencies once more belong to 0: ``beta=0`` in the loss.

    In data-parallel training each rank has a sampler of its own, since draws are independent:
    ``random_state=rank`` and ``num_samples=len(y) // n_ranks``.
    :class:`~sk_cbloss.neural_net.DistributedCBNeuralNetClassifier` needs neither.

    References
    ----------
    .. [1] Shen, Lin and Huang, "Relay Backpropagation for Effective Learning of Deep Convolutional
       Neural Networks", ECCV 2016 (class-aware sampling, which is beta = 1).
    .. [2] Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
       Number of Samples", CVPR 2019, section 4 (the weights).
    .. [3] Mahajan, Girshick, Ramanathan, He, Paluri, Li, Bharambe and van der Maaten, "Exploring
       the Limits of Weakly Supervised Pretraining", ECCV 2018.
    .. [4] Gupta, Dollar and Girshick, "LVIS: A Dataset for Large Vocabulary Instance
       Segmentation", CVPR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> from sk_cbloss import ClassAwareSampler
    >>> y = np.repeat([0, 1], [950, 50])
    >>> dataset = TensorDataset(torch.randn(1000, 4), torch.from_numpy(y))
    >>> for beta in (0, 0.99, 1):
    ...     sampler = ClassAwareSampler(y, beta=beta, random_state=0)
    ...     batches = DataLoader(dataset, batch_size=100, sampler=sampler)
    ...     print(beta, torch.cat([target for _, target in batches]).bincount().tolist())
    0 [952, 48]
    0.99 [883, 117]
    1 [473, 527]

    In a net that is searched, the labels are those of each fold:

    >>> from sklearn.model_selection import GridSearchCV
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> net = CBNeuralNetClassifier(beta=0, max_epochs=5, random_state=0)
    >>> samplers = [ClassAwareSampler(beta=beta) for beta in (0, 0.9, 1)]
    >>> grid = {"iterator_train__sampler": samplers}
    >>> search = GridSearchCV(net, grid, scoring="balanced_accuracy", cv=3).fit(X / 16, y)
    >>> search.best_params_["iterator_train__sampler"] in samplers
    True
    """

    def __init__(self, y=None, *, beta=0.999, num_samples=None, random_state=None):
        check_beta(beta)
        if num_samples is not None:
            check_size(num_samples, "num_samples")
        if random_state is not None and (
            not isinstance(random_state, Integral) or not 0 <= random_state < 2**32
        ):
            raise ValueError(
                "random_state must be an integer in [0, 2**32 - 1] or None, got "
                f"{reprlib.repr(random_state)}."
            )
        self.beta, self.num_samples, self.random_state = beta, num_samples, random_state
        self.weights = None if y is None else row_weight(y, beta)
        self.epoch = 0

    def for_labels(self, y, *, class_count=None):
        """Return a sampler with the same parameters for other labels.

        Parameters
        ----------
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Labels of the rows.
        class_count : array-like of shape (n_classes,), default=None
            Numbers of samples that classes are weighted by, if they are not to be counted in y,
            whose labels are then positions in it.

        Returns
        -------
        ClassAwareSampler
            The sampler, at its first epoch.
        """
        sampler = copy.copy(self)
        sampler.weights, sampler.epoch = row_weight(y, self.beta, class_count), 0
        return sampler

    def set_epoch(self, epoch):
        """Set the number of the epoch that is drawn next, such as after a restart.

        Parameters
        ----------
        epoch : int
            The number, from 0. Without it, epochs are counted.
        """
        self.epoch = check_integer(epoch, "epoch", minimum=0)

    def __len__(self):
        """Return the number of rows in an epoch."""
        if self.num_samples is not None:
            return self.num_samples
        self._check_has_labels()
        return len(self.weights)

    def __iter__(self):
        """Return an iterator over the rows of an epoch."""
        return iter(self.draw().tolist())

    def draw(self):
        """Return the rows of an epoch, and go on to the next.

        Returns
        -------
        ndarray of shape (num_samples,), dtype int64
            Positions of the rows.
        """
        self._check_has_labels()
        seed = [self.random_state, self.epoch]
        if self.random_state is None:
            seed = torch.empty((), dtype=torch.int64).random_().item()
        self.epoch += 1
        share = self.weights.cumsum()
        share /= share[-1]  # no place is beyond 1, or at a row without weight
        places = np.random.default_rng(seed).random(len(self))
        return share.searchsorted(places, side="right")

    def _check_has_labels(self):
        if self.weights is None:
            raise ValueError(
                "ClassAwareSampler must be given the labels y to draw rows, got None, which is "
                "for CBNeuralNetClassifier: it gives those that it trains on."
            )

    def __repr__(self):
        given = [f"beta={self.beta!r}"]
        for name in ("num_samples", "random_state"):
            value = getattr(self, name)
            given += [] if value is None else [f"{name}={value!r}"]
        rows = [] if self.weights is None else [f"<{len(self.weights)} labels>"]
        return f"ClassAwareSampler({', '.join(rows + given)})"
