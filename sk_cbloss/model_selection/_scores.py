"""Scores that are taken where a net is trained, and handed out where a search asks for them."""

import warnings

from joblib import parallel_config
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring
from sklearn.model_selection import GridSearchCV

from sk_cbloss.model_selection._trained import Trained

# What the search that asks for the scores will say of them all.
SAID_LATER = "One or more of the (test|train) scores are non-finite|The scoring .* does not suppo"


class Scored(BaseEstimator):
    """Stand for a net that was scored where it was trained, and is gone.

    Parameters
    ----------
    scores : dict
        By its name, each score on the test data, and perhaps on the training
        data.
    is_one : bool
        Whether there is one without a name.
    seconds : float
        How long scoring took.
    """

    def __init__(self, scores, is_one, seconds):
        self.scores, self.is_one, self.seconds = scores, is_one, seconds

    def next_score(self, name):
        """Return the next score of a name, or the next of all of them."""
        if name is not None or self.is_one:
            return self.scores[name or "score"].pop(0)
        return {name: values.pop(0) for name, values in self.scores.items()}


class HandedOut:
    """A scorer in the search that asks: hands out what the scorer it stands for has said.

    Parameters
    ----------
    scorer : callable
        The scorer, whose attributes this has.
    name : str, default=None
        Its name among several.
    """

    def __init__(self, scorer, name=None):
        self.__wrapped__, self.name = scorer, name  # whose signature is this one's, too

    def __call__(self, estimator, X, y=None, **params):
        return estimator.next_score(self.name)

    def __getattr__(self, name):
        if name == "__wrapped__":  # not there yet, as in a copy
            raise AttributeError(name)
        return getattr(self.__wrapped__, name)

    def __repr__(self):
        return repr(self.__wrapped__)


def handed_out(estimator, scoring):
    """Return a search's scoring, in which each scorer hands out what was said before."""
    whole = check_scoring(estimator, scoring)  # says what is wrong with it
    if scoring is None or isinstance(scoring, str) or callable(scoring):
        return HandedOut(whole)
    named = scoring if isinstance(scoring, dict) else {name: name for name in scoring}
    return {
        name: HandedOut(check_scoring(estimator, scorer), name) for name, scorer in named.items()
    }


def as_given(scorers):
    """Return the scorers that the given ones stand for."""
    if isinstance(scorers, dict):
        return {name: scorer.__wrapped__ for name, scorer in scorers.items()}
    return scorers.__wrapped__


class Scoring:
    """Score as a search would: by one over the estimators of a fold.

    Parameters
    ----------
    params : dict
        Handed to that search's ``fit``.
    **given : dict
        The search's ``scoring``, ``error_score`` and ``return_train_score``.
    """

    def __init__(self, params, **given):
        self.params, self.given = params, given

    def of(self, estimator, fitted, n_fitted, X, y, split):
        """Return what the scores of each fitted estimator are, or the error that ends scoring.

        The fitted are taken one by one, and let go; they are of the estimator's kind.
        """
        train, test = split
        if not self.given["return_train_score"]:
            train = train[:1]  # the rest is not asked for, and need not be cut out
        search = GridSearchCV(
            Trained(estimator, fitted),
            [{}] * n_fitted,
            cv=[(train, test)],
            refit=False,
            **self.given,
        )
        try:
            with parallel_config(backend="sequential"), warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=SAID_LATER)
                search.fit(X, y, **self.params)
        except Exception as error:  # by error_score="raise", or of a score that is no number
            return [error] * n_fitted
        parts = ["test", "train"][: 1 + self.given["return_train_score"]]
        results, prefix = search.cv_results_, "split0_test_"
        names = [name.removeprefix(prefix) for name in results if name.startswith(prefix)]
        return [
            Scored(
                {name: [results[f"split0_{part}_{name}"][n] for part in parts] for name in names},
                is_one=not search.multimetric_,
                seconds=results["mean_score_time"][n],
            )
            for n in range(n_fitted)
        ]
