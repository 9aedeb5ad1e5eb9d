"""A grid search that trains all of its nets at once."""

import logging
from collections import Counter
from itertools import chain
from numbers import Integral
from os import PathLike
from pathlib import Path

import numpy as np
from joblib import parallel_config
from sklearn import get_config
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, ParameterGrid
from sklearn.utils import indexable
from sklearn.utils.metadata_routing import process_routing

from sk_cbloss._doc_link import DocLink
from sk_cbloss._state import all_or_nothing
from sk_cbloss._validation import check_can_be_cut, check_integer
from sk_cbloss.model_selection._folds import Folds, Kept, as_split, job, net_of, splitter
from sk_cbloss.model_selection._scores import Scoring, as_given, handed_out
from sk_cbloss.model_selection._tasks import Task, Tell
from sk_cbloss.model_selection._trained import Trained
from sk_cbloss.model_selection._work import Work
from sk_cbloss.neural_net import (
    TrainingCheckpoint,
    features_beside,
    has_several_labels,
    is_dataset,
    is_for_labels,
    loaded,
    plan,
    progress_bar,
    say,
    seed_for,
)

LOG = logging.getLogger(__name__)


class StackedGridSearchCV(DocLink, GridSearchCV):
    """Grid search over a net, all of whose candidates and folds are trained at once.

    Small nets leave a machine idle. Here those of one architecture become one
    stacked model, each with its own loss, optimizer's settings, random numbers
    and batches, so that dozens train in the time of a few. Results are those
    of scikit-learn's :class:`~sklearn.model_selection.GridSearchCV`, whose
    interface this has.

    Parameters
    ----------
    estimator : CBNeuralNetClassifier or Pipeline that ends in one
        The net. Give it a ``random_state``; without one, all nets of the
        search share a seed that is drawn.
    param_grid : dict or list of dict
        Values to try by parameter. A list of grids lets each loss have its
        own, such as a gamma for "focal" alone.
    scoring : str, callable, list, tuple or dict, default=None
        As in GridSearchCV.
    n_jobs : int, default=None
        Number of workers, of joblib's backend, that train and score: a stack each,
        or a net that is not stacked. Nets of one kind are dealt out to as
        many stacks at least. None is 1, or what the backend has, such as
        all of a cluster.
    refit : bool, str or callable, default=True
        As in GridSearchCV.
    cv : int, cross-validation generator or iterable, default=None
        As in GridSearchCV.
    verbose : int, default=0
        1 says how the nets are trained, and shows a progress bar with the
        time left; without a terminal or a notebook, a line twice a minute.
    pre_dispatch : int or str, default="2*n_jobs"
        How many of these to hand to the workers ahead of time.
    error_score : "raise" or number, default=nan
        Score of a net whose fit fails; the others are trained all the same.
    return_train_score : bool, default=False
        Whether ``cv_results_`` has the scores on the training data.
    max_stack : int or "auto", default="auto"
        How many nets to train as one at most. "auto" takes what the device's
        memory holds, or a CPU's cache, and fits nets with convolutions one by
        one on a CPU, which is faster there; with ``n_jobs``, side by side.
    checkpoint_dir : str or path, default=None
        Folder in which the nets' states are kept about ten times a training.
        A search that was cut off goes on there when it is started again.

    Attributes
    ----------
    cv_results_ : dict of ndarrays
        As in GridSearchCV. The time of a fit is its share of the stack's.
    best_estimator_ : estimator
        The best candidate, fitted to all the data in the ordinary way.
    best_score_ : float
        Its mean score over the folds.
    best_params_ : dict
        Its parameters.
    best_index_ : int
        Its index in ``cv_results_``.
    scorer_ : callable or dict of callables
        What gave the scores.
    n_splits_ : int
        Number of folds.
    refit_time_ : float
        Seconds that ``best_estimator_`` took.
    multimetric_ : bool
        Whether there are several scores.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in fit, if X has names that are all strings.
    n_stacks_ : int
        Number of stacked models that were trained.
    n_fallback_fits_ : int
        Number of nets that could not be stacked and were fitted one by one.

    See Also
    --------
    beta_grid : Values of beta to search.
    sklearn.model_selection.GridSearchCV : Trains one net after the other.

    Notes
    -----
    Nets of a stack may differ in ``beta``, ``gamma``, ``loss``, ``normalize``,
    ``criterion__*``, ``lr``, ``optimizer__*``, ``random_state``,
    ``max_epochs``, early stopping, schedules, ``TrainingCheckpoint`` and
    what they score. Others go to stacks of their own. What
    cannot be stacked, such as a criterion of your own or gradient clipping, is
    fitted one by one; the log (``sk_cbloss.model_selection``) and
    ``verbose=1`` say what and why. The steps of a Pipeline before the net are
    fitted once a fold.

    Predictions are those of nets fitted alone, but for rounding: in single
    precision, those that are near a tie may turn.

    Examples
    --------
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sk_cbloss import CBNeuralNetClassifier, StackedGridSearchCV, load_digits_lt
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> model = make_pipeline(StandardScaler(), CBNeuralNetClassifier(random_state=0))
    >>> grid = [
    ...     {"cbneuralnetclassifier__beta": [0, 0.9, 0.99]},
    ...     {"cbneuralnetclassifier__loss": ["focal"], "cbneuralnetclassifier__gamma": [0.5, 1]},
    ... ]
    >>> search = StackedGridSearchCV(model, grid, scoring="balanced_accuracy", cv=3).fit(X, y)
    >>> len(search.cv_results_["params"]), search.n_fallback_fits_
    (5, 0)
    """

    def __init__(
        self,
        estimator,
        param_grid,
        *,
        scoring=None,
        n_jobs=None,
        refit=True,
        cv=None,
        verbose=0,
        pre_dispatch="2*n_jobs",
        error_score=np.nan,
        return_train_score=False,
        max_stack="auto",
        checkpoint_dir=None,
    ):
        super().__init__(
            estimator,
            param_grid,
            scoring=scoring,
            n_jobs=n_jobs,
            refit=refit,
            cv=cv,
            verbose=verbose,
            pre_dispatch=pre_dispatch,
            error_score=error_score,
            return_train_score=return_train_score,
        )
        self.max_stack = max_stack
        self.checkpoint_dir = checkpoint_dir

    @all_or_nothing
    def fit(self, X, y=None, **params):
        """Train all nets, score them, and refit the best.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features; or a torch Dataset or SliceDataset, whose rows are read
            when a batch needs them, by nets that are fitted one by one.
        y : array-like of shape (n_samples,) or, sparse or not, (n_samples, n_labels), \
                default=None
            Class labels, as in the net's ``fit``. None only with a Dataset that
            holds them.
        **params : dict
            Handed to the estimator's ``fit``, such as ``sample_weight``, and
            ``groups`` to ``cv``; with metadata routing, to whoever requests
            them.

        Returns
        -------
        self : StackedGridSearchCV
            The fitted search.

        Raises
        ------
        ValueError
            If a parameter or the data is invalid.
        """
        self._validate_params()  # as scikit-learn does, before anything is trained
        self._check_parameters()
        if is_dataset(X):
            X, y = features_beside(X, y, several=self._has_several_labels(y))
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None."
            )
        check_can_be_cut(X)
        X, given_y = indexable(loaded(X), y)  # no worker waits for others to load it
        y = as_split(given_y, has_columns=self._has_several_labels(given_y))
        fit_params, split_params, params = self._routed(params)
        rows, cv = np.arange(y.shape[0]), splitter(self.cv, y)
        splits = [(rows[train], rows[test]) for train, test in cv.split(X, y, **split_params)]
        given = {name: getattr(self, name) for name in ("error_score", "return_train_score")}
        scoring, outcomes = Scoring(params, scoring=self.scoring, **given), []
        folds = Folds(X, y, dict(enumerate(splits)), fit_params, Kept())
        work = Work(X, given_y, self.n_jobs, self.pre_dispatch)
        here = parallel_config(backend="sequential")  # what has been scored is handed out
        with here:
            search = GridSearchCV(
                Trained(
                    clone(self.estimator), self._results(folds, scoring, work, here, outcomes), X
                ),
                self.param_grid,
                scoring=handed_out(self.estimator, self.scoring),
                refit=self.refit,
                cv=splits,
                **given,
            )
            if hasattr(self, "_skl_callbacks"):
                search.set_callbacks(*self._skl_callbacks)
            search.fit(rows[:, None], y, **params)
        vars(self).update({k: v for k, v in vars(search).items() if k.endswith("_")})
        self.scorer_ = as_given(search.scorer_)
        for name, seconds in [
            ("fit", [outcome.seconds for outcome in outcomes]),
            ("score", [getattr(outcome.result, "seconds", 0.0) for outcome in outcomes]),
        ]:
            seconds = np.reshape(seconds, (-1, self.n_splits_))
            self.cv_results_[f"mean_{name}_time"] = seconds.mean(axis=1)
            self.cv_results_[f"std_{name}_time"] = seconds.std(axis=1)
        return self

    def score(self, X, y=None, **params):
        """Score the best net, refitted, as its candidates were scored.

        Parameters
        ----------
        X : array-like, sparse matrix or DataFrame of shape (n_samples, ...)
            Features; or a Dataset, where ``scoring`` is None.
        y : array-like of shape (n_samples,) or, sparse or not, (n_samples, n_labels), \
                default=None
            Labels, as in ``fit``.
        **params : dict
            Handed to the scorer.

        Returns
        -------
        float
            The score.
        """
        y = None if y is None else as_split(y, has_columns=self._has_several_labels(y))
        return super().score(X, y, **params)

    def _check_parameters(self):
        if net_of(self.estimator) is None:
            raise ValueError(
                "estimator must be a CBNeuralNetClassifier or a Pipeline whose last step is one, "
                f"got {self.estimator!r}. GridSearchCV takes any."
            )
        if self.max_stack != "auto":
            check_integer(self.max_stack, "max_stack", minimum=1)
        folder = self.checkpoint_dir
        if folder is not None and (not isinstance(folder, str | PathLike) or not str(folder)):
            raise ValueError(f"checkpoint_dir must be a path or None, got {folder!r}.")

    def _has_several_labels(self, y):
        """Whether a sample has several labels, as y says or the loss of some net."""
        grids = ParameterGrid(self.param_grid).param_grid
        named = (grid[name] for grid in grids for name in grid if name.endswith("loss"))
        net = net_of(self.estimator)
        return has_several_labels(net, y) or any(map(is_for_labels, chain.from_iterable(named)))

    def _routed(self, params):
        """Return what goes to the estimator's fit, to the splitter, and on to the search."""
        if not get_config()["enable_metadata_routing"]:
            fit_params = {name: value for name, value in params.items() if name != "groups"}
            return fit_params, {"groups": params.get("groups")}, fit_params
        routed = process_routing(self, "fit", **params)
        to_fit = routed.estimator.fit
        further = {k: v for k, v in params.items() if k in to_fit or k in routed.scorer.score}
        return to_fit, routed.splitter.split, further

    def _results(self, folds, scoring, work, here, outcomes):
        """Train and score all, then yield the scores or the error of each, in the search's order.

        Nothing is done before the search that asks has checked what it was given.
        """
        outcomes += self._outcomes(self._jobs(folds), folds, scoring, work)
        for outcome in outcomes:
            if outcome.ends_search:
                raise outcome.result
        for outcome in outcomes:
            yield outcome.result
        here.unregister()  # the refit may use processes as it is told to

    def _jobs(self, folds):
        jobs = []
        for candidate in ParameterGrid(self.param_grid):
            for fold in folds.splits:
                estimator = clone(self.estimator).set_params(**clone(candidate, safe=False))
                self._keep_checkpoints(estimator)
                jobs.append(job(estimator, candidate, fold, len(jobs)))
        return jobs

    def _outcomes(self, jobs, folds, scoring, work):
        """Return what has become of each job: first of those that are stacked, then of others."""
        obstacles = {job: folds.obstacle(job) for job in jobs}
        # Fold by fold, so that a stack has as few of them as may be.
        together = sorted((job for job in jobs if not obstacles[job]), key=lambda job: job.fold)
        seed = seed_for([job.net for job in jobs if job.net is not None])
        outcomes = {}
        self._say(f"Training {len(jobs)} nets, {len(folds.splits)} of each candidate")
        with self._progress_bar(sum(_n_epochs(job.estimator) for job in jobs)) as bar:

            def task(jobs, is_random=False):
                splits = {job.fold: folds.splits[job.fold] for job in jobs}
                shared = folds.fit_params, folds.has_columns, scoring, seed, folds.kept, Tell(bar)
                return Task(jobs, splits, *shared, is_random)

            def run(method, tasks):
                for one, results in zip(tasks, work.run(method, tasks), strict=True):
                    outcomes.update(zip(one.jobs, results, strict=True))
                    done = [job for job, outcome in outcomes.items() if outcome.result is not None]
                    n_epochs = sum(_n_epochs(job.estimator) for job in done)
                    bar.update(max(0, n_epochs - bar.n))  # what was done elsewhere was not told

            stacks, found = plan(
                [job.net for job in together],
                [folds.form(job) for job in together],
                lambda place: folds.fit_of(together[place])[0],
                folds.kept.of("shared", dict),
                seed,
                max_stack=self.max_stack,
                n_jobs=work.n_jobs,
            )
            obstacles |= {together[place]: why for place, why in found.items()}
            run(
                Task.train,
                [task([together[n] for n in stack.places], stack.is_random) for stack in stacks],
            )
            obstacles |= {job: outcome.obstacle for job, outcome in outcomes.items()}
            self._say_how(obstacles, outcomes)
            run(Task.fit, [task([job]) for job in jobs if obstacles[job]])
        return [outcomes[job] for job in jobs]

    def _keep_checkpoints(self, estimator):
        net = net_of(estimator)
        if self.checkpoint_dir is None or net is None:
            return
        if isinstance(net.callbacks, str):
            raise ValueError(
                f"callbacks must be a list or None with checkpoint_dir, got {net.callbacks!r}."
            )
        every = max(1, _n_epochs(estimator) // 10)
        checkpoint = TrainingCheckpoint(Path(self.checkpoint_dir), every=every)
        net.set_params(callbacks=[*(net.callbacks or []), checkpoint])

    def _progress_bar(self, total):
        return progress_bar(type(self).__name__, total, hidden=not self.verbose, in_logs=True)

    def _say_how(self, obstacles, outcomes):
        """Say how the nets were trained, and count what the attributes tell."""
        n_nets = [outcome.n_nets for outcome in outcomes.values() if outcome.n_nets]
        obstacles = Counter(filter(None, obstacles.values()))
        self.n_stacks_ = round(sum(1 / n for n in n_nets))
        self.n_fallback_fits_ = obstacles.total()
        self._say(f"{len(n_nets)} nets trained as {self.n_stacks_} stacked models")
        for obstacle, n_fits in obstacles.items():
            self._say(f"{n_fits} nets fitted one by one: {obstacle}")

    def _say(self, line):
        LOG.info(line)
        if self.verbose:
            say(line)


def _n_epochs(estimator):
    """Return how many epochs a candidate may train, as far as it can be told."""
    n_epochs = getattr(net_of(estimator), "max_epochs", 0)
    return n_epochs if isinstance(n_epochs, Integral) else 0
