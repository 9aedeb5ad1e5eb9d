"""What is sent to a worker, one stack at a time, and what comes back: scores, not nets."""

import copy
import time
from contextlib import nullcontext
from dataclasses import dataclass

from sklearn.base import clone

from sk_cbloss.model_selection._folds import Folds, Kept, as_split
from sk_cbloss.model_selection._outcome import Outcome
from sk_cbloss.model_selection._scores import Scoring
from sk_cbloss.neural_net import seeded, train


class Tell:
    """Tell a bar of epochs as they are done, in the process that shows it."""

    def __init__(self, bar=None):
        self.bar = bar

    def __call__(self, n_epochs):
        if self.bar is not None:
            self.bar.update(n_epochs)

    def __reduce__(self):
        return Tell, ()


@dataclass(eq=False)
class Task:
    """Jobs to be done wherever this is sent: a stack, or one that must be fitted alone.

    Attributes
    ----------
    jobs : list of Job
        The jobs.
    splits : dict
        Rows to train and to test on, of their folds.
    fit_params : dict
        Handed to the estimators' ``fit``.
    has_columns : bool
        Whether y has a column for each label.
    scoring : Scoring
        How they are scored.
    seed : int or None
        Of the nets that have none.
    kept : Kept
        What is kept by the process.
    tell : Tell
        Told of epochs.
    is_random : bool
        Whether the nets' modules draw random numbers.
    """

    jobs: list
    splits: dict
    fit_params: dict
    has_columns: bool
    scoring: Scoring
    seed: int | None
    kept: Kept
    tell: Tell
    is_random: bool = False

    def train(self, X, y):
        """Train the jobs' nets as one, then score each and let it go; return the outcomes."""
        folds, fits, outcomes = self._folds(X, y), {}, {}
        for job in self.jobs:
            try:
                fits[job] = folds.fit_of(job)
            except Exception as error:
                outcomes[job] = Outcome(error)
        together = [fit for fit, _ in fits.values() if fit.obstacle is None]
        if together:
            shared = self.kept.of("shared", dict)
            train(together, self.is_random, shared, self.seed, self.tell)
        del together
        for job, (fit, _) in fits.items():
            outcomes[job] = Outcome(fit.error, fit.obstacle, fit.n_nets, fit.seconds)
        for fold in self.splits:
            done = [job for job, (fit, _) in fits.items() if fit.fitted and job.fold == fold]
            fitted = (_fitted(job, *fits.pop(job)) for job in done)
            for job, scored in self._scores(done, fitted, folds):
                outcomes[job].take_scores(scored)
        return [outcomes[job] for job in self.jobs]

    def fit(self, X, y):
        """Fit the jobs' estimators one by one, and score them; return the outcomes."""
        folds, outcomes = self._folds(X, y), []
        for job in self.jobs:
            features, labels, params = folds.data(job.fold)
            start = time.perf_counter()
            try:
                with self._seeded(job.net):
                    result = clone(job.estimator).fit(features, labels, **params)
            except Exception as error:
                result = error
            seconds = time.perf_counter() - start
            failed = isinstance(result, Exception)
            outcomes.append(Outcome(result if failed else None, seconds=seconds))
            if not failed:
                ((_, scored),) = self._scores([job], iter([result]), folds)
                outcomes[-1].take_scores(scored)
        return outcomes

    def _folds(self, X, y):
        labels = self.kept.of("y", lambda: as_split(y, has_columns=self.has_columns))
        return Folds(X, labels, self.splits, self.fit_params, self.kept)

    def _scores(self, jobs, fitted, folds):
        """Return pairs of the jobs of a fold, fitted, and their scores."""
        if not jobs:
            return ()
        data = folds.X, folds.y, self.splits[jobs[0].fold]
        scores = self.scoring.of(jobs[0].estimator, fitted, len(jobs), *data)
        return zip(jobs, scores, strict=True)

    def _seeded(self, net):
        """Have a net without a seed draw from the one that such nets share."""
        if net is None or net.random_state is not None:
            return nullcontext()
        return seeded(self.seed, net.device)


def _fitted(job, fit, prepared):
    """Return a fitted candidate: the net, or the prepared Pipeline with it."""
    if prepared is None:
        return fit.fitted
    whole = copy.copy(prepared)
    whole.steps = [*prepared.steps[:-1], (job.estimator.steps[-1][0], fit.fitted)]
    return whole
