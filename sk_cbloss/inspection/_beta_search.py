"""The score of a search against the volume that beta stands for."""

import re
from collections.abc import Mapping
from numbers import Integral

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sk_cbloss._validation import check_beta
from sk_cbloss.inspection._figure import (
    GREY,
    axes_for,
    log_scale,
    name_lines,
    style_of,
    styles_given,
)
from sk_cbloss.inspection._text import (
    LONGEST,
    are_cut,
    beta_text,
    check_name_length,
    plain_names,
    value_texts,
)


class BetaSearchDisplay:
    """Score of a search against N = 1 / (1 - beta), a line for each loss.

    A line is the mean over the folds, its band a standard error to either
    side. Where the search has tried other parameters too, a point is the
    best of them at its beta; where each beta was tried once, at random values of
    others, points are not joined, as neighbours differ by these. The limits,
    which no log scale holds, are levels: no weights (``beta=0``) and inverse
    frequency (``beta=1``), each of the best candidate at that beta. A ring
    marks what the search has chosen. Of successive halving, candidates of the
    last round alone are drawn: scores of fewer samples are lower.

    Parameters
    ----------
    cv_results : dict of ndarray
        What a search has found, such as ``GridSearchCV(...).fit(X, y).cv_results_``.
    beta : str, default=None
        Name of the parameter that is beta; None takes the one whose name is
        ``beta`` or ends in ``__beta``.
    line : str, default=None
        Name of the parameter that has a line for each value; None takes the
        one whose name is ``loss`` or ends in ``__loss``, if there is one.
    metric : str, default=None
        Name of the score, of several; None takes ``score``, or the first.
    chosen : int, default=None
        Position of the chosen candidate; None takes the best, and calls it so.
    score_name : str, default=None
        What the score is called; None takes ``metric``.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure that holds it.
    lines_ : dict of matplotlib Line2D
        The lines, by the values of ``line``; by None without such.
    levels_ : dict of matplotlib Line2D
        The levels of the limits that were tried, by beta.
    chosen_ : matplotlib Line2D or None
        The ring, or a line where the choice has no beta; None if it has no score.

    See Also
    --------
    beta_grid : Values worth searching.
    StackedGridSearchCV : A search of many nets at once.

    Notes
    -----
    Folds are not independent of each other, so that the bands are a rough
    guide. The ring's own score is too good by the choice: judge on other data.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sk_cbloss import ClassBalancedClassifier, load_digits_lt
    >>> from sk_cbloss.inspection import BetaSearchDisplay
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> model = ClassBalancedClassifier(LogisticRegression(max_iter=1000))
    >>> grid = {"beta": [0, 0.9, 0.99, 1]}
    >>> search = GridSearchCV(model, grid, scoring="balanced_accuracy", cv=3).fit(X / 16, y)
    >>> display = BetaSearchDisplay.from_search(search)
    >>> list(display.levels_)
    [0.0, 1.0]
    """

    def __init__(
        self, cv_results, *, beta=None, line=None, metric=None, chosen=None, score_name=None
    ):
        self.cv_results = cv_results
        self.beta = beta
        self.line = line
        self.metric = metric
        self.chosen = chosen
        self.score_name = score_name

    @classmethod
    def from_search(
        cls,
        search,
        *,
        beta=None,
        line=None,
        metric=None,
        ax=None,
        line_kw=None,
        name_length=LONGEST,
    ):
        """Draw what a fitted search has found.

        Parameters
        ----------
        search : GridSearchCV or other search of scikit-learn's kind
            Fitted. Of a LogitAdjustedClassifier's, name ``beta="prior_beta"``
            and ``line="tau"``.
        beta : str, default=None
            Name of the parameter that is beta; None finds it.
        line : str, default=None
            Name of the parameter that has a line for each value; None takes
            the loss, if it was searched.
        metric : str, default=None
            Name of the score, of several; None takes the one that the search
            refits by.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        BetaSearchDisplay
            The display, drawn.

        Raises
        ------
        TypeError
            If search is a class.
        ValueError
            If search is none, or a name is not one of its parameters or scores.
        """
        if isinstance(search, type):
            raise TypeError(f"search must be an instance, got the class {search.__name__}.")
        if not hasattr(search, "get_params") or "scoring" not in search.get_params(deep=False):
            raise ValueError(
                "search must be a search such as GridSearchCV, got "
                f"{type(search).__name__}; for its cv_results_, use BetaSearchDisplay(cv_results)."
            )
        check_is_fitted(search)
        results = getattr(search, "cv_results_", None)
        if not isinstance(results, Mapping) or not _params(results):
            raise ValueError(
                "search must have tried parameters, which its cv_results_ names, got "
                f"{type(search).__name__}."
            )
        # Searches by other packages may have one score and always refit.
        is_multiple, refit = getattr(search, "multimetric_", False), getattr(search, "refit", True)
        if metric is None and is_multiple and isinstance(refit, str):
            metric = refit
        refitted = metric is None or metric == refit
        chosen = getattr(search, "best_index_", None) if refitted else None
        is_named = not is_multiple and isinstance(search.scoring, str)
        display = cls(
            results,
            beta=beta,
            line=line,
            metric=metric,
            chosen=chosen,
            score_name=search.scoring if is_named else None,
        )
        return display.plot(ax, line_kw=line_kw, name_length=name_length)

    def plot(self, ax=None, *, line_kw=None, name_length=LONGEST):
        """Draw the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        line_kw : dict or list of dict, default=None
            Passed to matplotlib's ``plot``; a list has one for each line.
        name_length : int or None, default=40
            Names of more characters are cut, and the legend says so; None cuts none.

        Returns
        -------
        BetaSearchDisplay
            The display itself.

        Raises
        ------
        ValueError
            If a name is not one of the search's parameters or scores, or what
            was tried as beta is not in [0, 1].
        """
        results = self.cv_results
        if not isinstance(results, Mapping):
            raise ValueError(
                "cv_results must be the cv_results_ of a search, got "
                f"{type(results).__name__}; for the search itself, use from_search."
            )
        params = _params(results)
        key = _one_of(params, "beta", self.beta)
        line = _one_of(params, "line", self.line, known_as="loss", needed=False)
        metric = self.metric or _first_metric(results)
        for column in (f"mean_test_{metric}", f"std_test_{metric}", f"rank_test_{metric}"):
            if column not in results:
                raise ValueError(
                    f"metric must be a score of the search, got {metric!r} and no {column!r}."
                )
        mean = np.asarray(results[f"mean_test_{metric}"], dtype=float)
        n_folds = sum(bool(re.fullmatch(rf"split\d+_test_{metric}", name)) for name in results)
        error = np.asarray(results[f"std_test_{metric}"]) / np.sqrt(max(1, n_folds))
        # A candidate that leaves beta to its loss has None, or a masked value.
        given = _values(results, key)
        betas = np.array([np.nan if beta is None else check_beta(beta) for beta in given])
        lines = _values(results, line, _as_set(line)) if line else [None] * len(betas)
        labels = _labels(line, lines)
        texts = plain_names(labels.values(), check_name_length(name_length))
        lines = np.array([str(value) if line else None for value in lines], dtype=object)

        if "n_resources" in results:  # of successive halving: scores of fewer samples are lower
            most = np.max(results["n_resources"])
            mean = np.where(np.asarray(results["n_resources"]) == most, mean, np.nan)
        if np.isnan(betas + mean).all():
            raise ValueError("the search must have tried some beta with a score, got none.")

        chosen, word = self.chosen, "chosen"
        if chosen is None:
            chosen, word = int(np.argmin(results[f"rank_test_{metric}"])), "best"
        elif not isinstance(chosen, Integral) or not 0 <= chosen < len(mean):
            raise ValueError(
                f"chosen must be a candidate's position, 0 to {len(mean) - 1}, got {chosen!r}."
            )

        tried = {
            value: np.flatnonzero((lines == value) & (betas > 0) & (betas < 1) & ~np.isnan(mean))
            for value in labels
        }
        n_lines = sum(among.size > 0 for among in tried.values())
        given = iter(styles_given(self, line_kw, "line_kw", n_lines, "Line2D"))
        others = _others(results, (key, line))
        ax = axes_for(self, ax)
        self.lines_, self.levels_ = {}, {}
        for place, ((value, among), text) in enumerate(zip(tried.items(), texts, strict=True)):
            if among.size:
                best = _best_of_each(betas, mean, among)
                is_joined = len(best) < len(among) or len({others[n] for n in among}) == 1
                style = style_of(place) | ({} if is_joined else {"linestyle": ""})
                style |= {"label": text} | next(given)
                of_best = betas[best], mean[best], error[best]
                self.lines_[value] = _draw(ax, *of_best, is_joined, style)
        for limit, dashes in ((0.0, ":"), (1.0, "--")):
            best = _best_of_each(betas, mean, np.flatnonzero((betas == limit) & ~np.isnan(mean)))
            if best.size:
                label = f"beta {beta_text(limit)}"
                if len(set(lines[betas == limit])) > 1:
                    label += f" (best {line.split('__')[-1]})"
                style = {"color": GREY, "linestyle": dashes, "label": label}
                self.levels_[limit] = ax.axhline(mean[best[0]], **style)
        of_line = f"{labels[lines[chosen]]}, " if line else ""
        self._mark(ax, betas[chosen], mean[chosen], word, f"{of_line}beta as set")
        name = self.score_name or metric
        if self.lines_:
            ax.set_xlabel("N = 1 / (1 - beta)")
            log_scale(ax, "x")
        else:  # the limits have no place on it
            ax.set_xticks([])
        ax.set_ylabel(f"{name.replace('_', ' ').capitalize()}, mean of {n_folds} folds")
        name_lines(ax, with_cut=are_cut(labels.values(), name_length))
        return self

    def _mark(self, ax, beta, score, word, without_beta):
        """Mark the candidate that was chosen, on its line, at the end of its level, or as one."""
        self.chosen_ = None
        if np.isnan(score):
            return
        if np.isnan(beta):
            style = {"color": GREY, "linestyle": "-.", "label": f"{word}: {without_beta}"}
            self.chosen_ = ax.axhline(score, **style)
            return
        ring = {"marker": "o", "markersize": 13, "linestyle": "", "markerfacecolor": "none"}
        ring |= {"markeredgecolor": GREY, "markeredgewidth": 2, "clip_on": False}
        ring["label"] = f"{word}: beta {beta_text(beta)}"
        if 0 < beta < 1:
            (self.chosen_,) = ax.plot(1 / (1 - beta), score, **ring)
        else:
            at = ax.get_yaxis_transform()
            (self.chosen_,) = ax.plot(beta, score, transform=at, **ring)


def _params(results):
    """Return the names of the parameters that were tried."""
    return [name.removeprefix("param_") for name in results if name.startswith("param_")]


def _as_set(param):
    """Return what is shown for a parameter that a grid of several did not name."""
    return "loss as set" if param.split("__")[-1] == "loss" else "as set"


def _values(results, param, absent=None):
    """Return what candidates had, or what stands where a grid of several did not name it."""
    values = np.ma.asarray(results[f"param_{param}"])
    return [
        absent if is_masked else value
        for value, is_masked in zip(values.data.tolist(), np.ma.getmaskarray(values), strict=True)
    ]


def _labels(param, values):
    """Return what lines are called: losses have names, other values need their parameter's."""
    if param is None:
        return {None: "0 < beta < 1"}
    name = param.split("__")[-1]
    values = list(dict.fromkeys(values))
    texts = value_texts(values)
    if name != "loss":
        texts = [f"{name} {text}" for text in texts]
    return {str(value): text for value, text in zip(values, texts, strict=True)}


def _others(results, used):
    """Return the values of the other parameters of each candidate, as text."""
    names = [name for name in _params(results) if name not in used]
    columns = [[str(value) for value in results[f"param_{name}"]] for name in names]
    return list(zip(*columns, strict=True)) or [()] * len(results[f"param_{used[0]}"])


def _draw(ax, betas, mean, error, is_joined, style):
    """Draw the line of a loss and its band, or points and their strokes."""
    volume = 1 / (1 - betas)
    (line,) = ax.plot(volume, mean, **style)
    ends, color = (mean - error, mean + error), line.get_color()
    if is_joined:
        ax.fill_between(volume, *ends, color=color, alpha=0.15, linewidth=0)
    else:
        ax.vlines(volume, *ends, color=color, alpha=0.4, linewidth=1)
    return line


def _best_of_each(betas, mean, among):
    """Return the position of the best candidate of each beta, by increasing beta."""
    return np.array(
        [
            max(among[betas[among] == beta], key=lambda place: mean[place])
            for beta in np.unique(betas[among])
        ],
        dtype=int,
    )


def _one_of(params, argument, name, *, known_as=None, needed=True):
    """Return the name of the search's parameter that is asked for, or that is called so."""
    known_as = known_as or argument
    if name is not None:
        if name not in params:
            raise ValueError(
                f"{argument} must be one of the search's parameters, {params}, got {name!r}."
            )
        return name
    found = [param for param in params if param.split("__")[-1] == known_as]
    if len(found) == 1 or (not found and not needed):
        return found[0] if found else None
    if not found:
        raise ValueError(
            f"the search must have tried {known_as}, got {params}, none of which is called so; if "
            f"one of them is it, name it by {argument}=."
        )
    raise ValueError(
        f"{argument} must name one of the search's parameters where several are called "
        f"{known_as!r}, got {name!r} and the parameters {found}."
    )


def _first_metric(results):
    metrics = [name.removeprefix("mean_test_") for name in results if name.startswith("mean_test")]
    return "score" if "score" in metrics or not metrics else metrics[0]
