"""ClassBalancedSampler, which draws samples by their weights."""

import reprlib
from numbers import Integral, Real

import numpy as np
from imblearn.base import BaseSampler
from imblearn.utils import check_target_type
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import validate_data

from sk_cbloss._doc_link import DocLink
from sk_cbloss._labels import as_labels, counts_by_label
from sk_cbloss._state import all_or_nothing
from sk_cbloss._validation import as_numpy, check_beta, check_seed, refuse_masked
from sk_cbloss.datasets import take_rows
from sk_cbloss.weights import class_balanced_sample_weight


class ClassBalancedSampler(DocLink, BaseSampler):
    """Draw samples with probability proportional to their class-balanced weight.

    For classifiers whose ``fit`` takes no ``sample_weight``, in
    imbalanced-learn's Pipeline. Samples are drawn with replacement: common
    classes lose some, rare ones are repeated.

    Parameters
    ----------
    beta : float in [0, 1], default=0.999
        See :func:`effective_number`. 0 draws all samples alike, 1 draws all
        classes alike.
    sampling_strategy : "auto", int or float, default="auto"
        How many samples to draw: "auto" as many as there are, an int this
        many, a float this multiple of what there is.
    random_state : int, RandomState instance or None, default=None
        Seed of the draws.

    Attributes
    ----------
    sampling_strategy_ : dict
        How many samples of each class were drawn.
    sample_indices_ : ndarray of shape (n_drawn,)
        Positions of the samples drawn.
    n_features_in_ : int
        Number of features seen.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if they are strings.

    See Also
    --------
    ClassBalancedClassifier : Weights samples, which is exact and draws nothing.
    imblearn.over_sampling.RandomOverSampler : Draws a given number of each class.

    References
    ----------
    Cui, Jia, Lin, Song and Belongie, "Class-Balanced Loss Based on Effective
    Number of Samples", CVPR 2019, section 4 (the weights).

    Examples
    --------
    >>> import numpy as np
    >>> from sk_cbloss import ClassBalancedSampler
    >>> X, y = np.arange(1000).reshape(-1, 1), np.repeat(["common", "rare"], [950, 50])
    >>> for beta in (0, 0.99, 1):
    ...     _, drawn = ClassBalancedSampler(beta, random_state=0).fit_resample(X, y)
    ...     print(beta, np.unique(drawn, return_counts=True)[1])
    0 [943  57]
    0.99 [876 124]
    1 [517 483]
    """

    _sampling_type = "bypass"
    _parameter_constraints = dict.fromkeys(  # checked here, in our words
        ("beta", "sampling_strategy", "random_state"), "no_validation"
    )

    def __init__(self, beta=0.999, *, sampling_strategy="auto", random_state=None):
        super().__init__(sampling_strategy=sampling_strategy)
        self.beta = beta
        self.random_state = random_state

    @all_or_nothing
    def fit(self, X, y, **params):
        """Check the data, and draw nothing; ``fit_resample`` does both.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.
        y : array-like of shape (n_samples,)
            Class labels.
        **params : dict
            Not used.

        Returns
        -------
        self : ClassBalancedSampler
            The sampler.
        """
        self._check(X, y)
        return self

    @all_or_nothing
    def fit_resample(self, X, y, **params):
        """Draw samples.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features.
        y : array-like of shape (n_samples,)
            Class labels.
        **params : dict
            Must be empty.

        Returns
        -------
        X : same type as X
            The features of the samples drawn.
        y : same type as y
            Their labels.

        Raises
        ------
        TypeError
            If there are further arguments, such as ``sample_weight``.
        ValueError
            If a parameter or the data is invalid.
        """
        if params:
            raise TypeError(
                f"fit_resample takes X and y alone, got {', '.join(params)}: what belongs to a "
                "sample cannot follow it through a sampler. Use ClassBalancedClassifier, which "
                "takes sample_weight."
            )
        return self._fit_resample(X, *self._check(X, y))

    def _check(self, X, y):
        """Check parameters and data, and return y without a second dimension, and its labels."""
        check_beta(self.beta)
        y = y.ravel() if isinstance(y, np.ndarray) and y.shape[1:] == (1,) else y
        labels = _labels_of(y)
        check_consistent_length(X, labels)
        self._n_drawn(0)
        validate_data(
            self,
            X,
            skip_check_array=hasattr(X, "shape"),
            dtype=None,
            ensure_all_finite=False,
            allow_nd=True,
        )
        if len(counted := counts_by_label(labels)) < 2:
            raise ValueError(f"y must hold labels of two classes or more, got only {[*counted]}.")
        return y, labels

    def _n_drawn(self, n_samples):
        strategy = self.sampling_strategy
        if isinstance(strategy, str) and strategy == "auto":
            return n_samples
        is_number = isinstance(strategy, Real) and not isinstance(strategy, bool)
        if not is_number or not 0 < strategy < np.inf:
            raise ValueError(
                "sampling_strategy must be 'auto', a number of samples as an int, or a multiple "
                f"as a float, above 0, got {reprlib.repr(strategy)}. (For a given number of each "
                "class use imbalanced-learn's RandomOverSampler or RandomUnderSampler.)"
            )
        drawn = strategy if isinstance(strategy, Integral) else max(1, strategy * n_samples)
        if drawn > 2**53:
            raise ValueError(
                "sampling_strategy must not ask for more than 2 ** 53 samples, got "
                f"{reprlib.repr(strategy)}."
            )
        return round(drawn)

    def _fit_resample(self, X, y, labels):
        weight = class_balanced_sample_weight(labels, beta=self.beta)
        rng = check_seed(self.random_state)
        drawn = rng.choice(len(labels), size=self._n_drawn(len(labels)), p=weight / weight.sum())
        self.sample_indices_ = drawn
        self.sampling_strategy_ = counts_by_label(labels[drawn])
        return take_rows(X, drawn), take_rows(y, drawn)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.string = True
        tags.input_tags.sparse = True
        tags.sampler_tags.sample_indices = True
        return tags


def _labels_of(y):
    """Return the labels of samples; they may be one-hot, too."""
    if getattr(y, "ndim", 1) == 2:
        refuse_masked(y, "y")
        y = y.toarray() if hasattr(y, "toarray") else np.asarray(as_numpy(y))
        y = y.ravel() if y.shape[1] == 1 else check_target_type(y)
    return as_labels(y)
