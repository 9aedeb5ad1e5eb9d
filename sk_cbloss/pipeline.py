"""scikit-learn's Pipeline, in which a ClassBalancedWeigher step weights the last one.

>>> from sklearn.linear_model import LogisticRegression
>>> from sklearn.preprocessing import StandardScaler
>>> from sk_cbloss import ClassBalancedWeigher
>>> from sk_cbloss.pipeline import make_pipeline
>>> model = make_pipeline(
...     StandardScaler(), ClassBalancedWeigher(beta=0.99), LogisticRegression()
... )
"""

import numpy as np
from sklearn import get_config, pipeline

from sk_cbloss._doc_link import DocLink
from sk_cbloss._indicator import check_one_label
from sk_cbloss._labels import as_labels, counts_by_label
from sk_cbloss._state import put_back_on_error
from sk_cbloss.meta import check_takes_sample_weight, check_weighs_not_yet, sample_weight_name
from sk_cbloss.weights import ClassBalancedWeigher, weights_used

__all__ = ["Pipeline", "make_pipeline"]


class Pipeline(DocLink, pipeline.Pipeline):
    """Pipeline in which a ClassBalancedWeigher step weights the last one.

    The weights that this step learns in ``fit`` become the ``sample_weight``
    of the last one. Without it, this is scikit-learn's Pipeline.

    Parameters
    ----------
    steps : list of (str, estimator)
        Transformers, one ClassBalancedWeigher at any place among them, and
        last a classifier whose ``fit`` takes ``sample_weight`` and that does
        not weight classes itself.
    transform_input : list of str, default=None
        See :class:`sklearn.pipeline.Pipeline`.
    memory : str or object with the joblib.Memory interface, default=None
        Where fitted transformers are kept.
    verbose : bool, default=False
        Whether to print the time of each step.

    See Also
    --------
    ClassBalancedClassifier : The same for a single classifier, in any Pipeline.

    Notes
    -----
    Weights of your own are passed to the last step or to the weigher, as
    ``logisticregression__sample_weight``. They reach both: the classes count
    their sums, and they multiply the weights. With metadata routing, both
    steps must request them.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sk_cbloss import ClassBalancedWeigher, load_digits_lt
    >>> from sk_cbloss.pipeline import make_pipeline
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> model = make_pipeline(
    ...     StandardScaler(), ClassBalancedWeigher(), LogisticRegression(max_iter=1000)
    ... )
    >>> grid = {"classbalancedweigher__beta": [0, 0.9, 1]}
    >>> search = GridSearchCV(model, grid, scoring="balanced_accuracy", cv=3).fit(X, y)
    >>> search.best_estimator_[-1].coef_.shape
    (10, 64)
    """

    def fit(self, X, y=None, **params):
        """Fit all steps, the last one with the weigher's weights.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, n_features)
            Whatever the first step takes.
        y : array-like of shape (n_samples,), default=None
            Class labels of any kind; a weigher requires them.
        **params : dict
            Arguments of the steps' ``fit``; see :class:`sklearn.pipeline.Pipeline`.

        Returns
        -------
        self : Pipeline
            The fitted pipeline.

        Raises
        ------
        TypeError
            If the last step takes no ``sample_weight``, or a step is a sampler.
        ValueError
            If the last step weights classes itself, or there are two weighers.
        """
        if not isinstance(self.steps, list | tuple):
            return super().fit(X, y, **params)  # which says what steps must be
        self._check_no_sampler()
        with put_back_on_error(self, *self._inside()):
            return self._fit_all(X, y, params)

    def _inside(self):
        """Return the estimators inside, at any depth, which scikit-learn fits in place."""
        inside = self.get_params().values()
        return [each for each in inside if hasattr(each, "fit") and not isinstance(each, type)]

    def _fit_all(self, X, y, params):
        weigher = self._weigher()
        if weigher is None:
            return super().fit(X, y, **params)
        check_one_label(f"{type(self).__name__} with a ClassBalancedWeigher", y)
        name, last = self.steps[-1]
        check_takes_sample_weight(last, "the last step")
        check_weighs_not_yet(last, 2 if y is None else len(counts_by_label(y)))
        if not get_config()["enable_metadata_routing"]:
            names = f"{name}__{sample_weight_name(last)}", f"{weigher}__sample_weight"
            own = next((params[key] for key in names if params.get(key) is not None), None)
            if own is not None:
                params = dict.fromkeys(names, own) | params
        y = self._labels = y if y is None else as_labels(y)
        try:
            with weights_used():
                return super().fit(X, y, **params)
        finally:
            del self._labels

    def _get_metadata_for_step(self, *, step_idx, step_params, all_params):
        """Add the weights to what the last step's fit is given: our one hook in scikit-learn."""
        step_params = super()._get_metadata_for_step(
            step_idx=step_idx, step_params=step_params, all_params=all_params
        )
        if step_idx < len(self) - 1 or not hasattr(self, "_labels"):
            return step_params
        weight = self.named_steps[self._weigher()].sample_weight(self._labels)
        key = sample_weight_name(self.steps[-1][1])
        own = step_params["fit"].get(key)
        weight = weight if own is None else weight * np.asarray(own)
        return {**step_params, "fit": {**step_params["fit"], key: weight}}

    def _weigher(self):
        """Return the name of the step that weights the last one, or None."""
        if not self.steps or not hasattr(self.steps[-1][1], "fit"):
            return None
        names = [name for name, s in self.steps[:-1] if isinstance(s, ClassBalancedWeigher)]
        if len(names) > 1:
            raise ValueError(
                f"Pipeline must hold one ClassBalancedWeigher, got {len(names)}: {names}."
            )
        return names[0] if names else None

    def _check_no_sampler(self):
        for _, step in self.steps[:-1]:
            if hasattr(step, "fit_resample"):
                raise TypeError(
                    "Pipeline must hold no sampler, since samples would lose their weights, got "
                    f"{step!r}. Put it in imbalanced-learn's Pipeline, with "
                    "ClassBalancedClassifier around the last step."
                )

    @property
    def class_weight_(self):
        """Weight of each class, if a weigher weights the last step."""
        weigher = self._weigher()
        if weigher is None:
            raise AttributeError("class_weight_ is of a Pipeline with a ClassBalancedWeigher.")
        return self.named_steps[weigher].class_weight_

    @property
    def _beta_in_use(self):
        """The beta that classes are weighted with here; if not 0, not again from outside."""
        weigher = self._weigher()
        return 0 if weigher is None else self.named_steps[weigher].beta


def make_pipeline(*steps, memory=None, transform_input=None, verbose=False):
    """Make a Pipeline whose steps are named after their types.

    Parameters
    ----------
    *steps : estimators
        Transformers, a ClassBalancedWeigher among them, and last a classifier.
    memory : str or object with the joblib.Memory interface, default=None
        Where fitted transformers are kept.
    transform_input : list of str, default=None
        See :class:`sklearn.pipeline.Pipeline`.
    verbose : bool, default=False
        Whether to print the time of each step.

    Returns
    -------
    Pipeline
        The pipeline.

    See Also
    --------
    sklearn.pipeline.make_pipeline : The same without weights.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sk_cbloss import ClassBalancedWeigher
    >>> from sk_cbloss.pipeline import make_pipeline
    >>> list(make_pipeline(ClassBalancedWeigher(), LogisticRegression()).named_steps)
    ['classbalancedweigher', 'logisticregression']
    """
    named = pipeline.make_pipeline(*steps).steps
    return Pipeline(named, memory=memory, transform_input=transform_input, verbose=verbose)
