"""Recall of classes with many, a medium number of, and few training samples, model by model."""

import reprlib
from collections.abc import Mapping

import numpy as np

from sk_cbloss._indicator import agreed_names, is_indicator, read_indicator
from sk_cbloss.inspection._figure import GREY, axes_for, name_lines, style_of, styles_given
from sk_cbloss.inspection._text import LONGEST, are_cut, check_name_length, plain_names
from sk_cbloss.metrics import SHOTS, shot_recall_score


class ShotRecallDisplay:
    """Recall of many-, medium- and few-shot classes, models side by side.

    A mark is the mean over the runs of a model, a stroke reaches from its
    lowest run to its highest. Runs are the folds of a cross-validation, or
    seeds.

    Parameters
    ----------
    recalls : mapping from name to array-like of shape (3,) or (n_runs, 3)
        Of each model, the recalls of many-, medium- and few-shot classes; NaN
        where there is no such class. A run may also be a dict, such as
        :func:`shot_recall_score` returns.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Where it is drawn.
    figure_ : matplotlib Figure
        The figure that holds it.
    marks_ : dict of matplotlib Line2D
        The marks, by the names of the models.

    See Also
    --------
    shot_recall_score : The numbers.
    LongTailDisplay : Which classes belong to which group.

    Examples
    --------
    >>> from sk_cbloss.inspection import ShotRecallDisplay
    >>> recalls = {"plain": [0.95, 0.7, 0.2], "class-balanced": [0.93, 0.75, 0.5]}
    >>> display = ShotRecallDisplay(recalls).plot()
    >>> list(display.marks_)
    ['plain', 'class-balanced']
    """

    def __init__(self, recalls):
        self.recalls = recalls

    @classmethod
    def from_predictions(
        cls,
        y_true,
        y_pred,
        *,
        class_count,
        thresholds=(20, 100),
        name="model",
        ax=None,
        mark_kw=None,
        name_length=LONGEST,
    ):
        """Draw the recalls of predictions.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_labels)
            True labels of the test part.
        y_pred : array-like of the same shape, or mapping from name to such
            Predicted labels, of one model or of several.
        class_count : mapping from label to number, or array-like of shape (n_classes,)
            Number of training samples of each class, such as
            ``collections.Counter(y_train)``; see :func:`shot_recall_score`.
        thresholds : (float, float), default=(20, 100)
            See :func:`shot_recall_score`.
        name : str, default="model"
            Name of a single model.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        mark_kw : dict or list of dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        ShotRecallDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If thresholds is invalid, or y_true holds a label that class_count
            does not.
        """
        predictions = y_pred if isinstance(y_pred, Mapping) else {name: y_pred}
        recalls = {}
        for model, predicted in predictions.items():
            score = shot_recall_score(
                y_true, predicted, class_count=class_count, thresholds=thresholds
            )
            recalls[model] = [score[shot] for shot in SHOTS]
        return cls(recalls).plot(ax, mark_kw=mark_kw, name_length=name_length)

    @classmethod
    def from_estimator(
        cls,
        estimator,
        X,
        y,
        *,
        class_count,
        thresholds=(20, 100),
        name=None,
        ax=None,
        mark_kw=None,
        name_length=LONGEST,
    ):
        """Draw the recalls of a fitted classifier.

        Parameters
        ----------
        estimator : classifier, or mapping from name to classifier
            A fitted classifier, or several.
        X : array-like of shape (n_samples, n_features)
            Features of the test part.
        y : array-like of shape (n_samples,) or (n_samples, n_labels)
            Its labels.
        class_count : mapping from label to number, or array-like of shape (n_classes,)
            Number of training samples of each class, such as
            ``collections.Counter(y_train)``; see :func:`shot_recall_score`.
        thresholds : (float, float), default=(20, 100)
            See :func:`shot_recall_score`.
        name : str, default=None
            Name of a single classifier; None takes its class's.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        mark_kw : dict or list of dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        ShotRecallDisplay
            The display, drawn.
        """
        models = estimator
        if not isinstance(estimator, Mapping):
            models = {name or type(estimator).__name__: estimator}
        for model in models.values():
            if isinstance(model, type) or not hasattr(model, "predict"):
                raise TypeError(f"estimator must be a fitted classifier, got {model!r}.")
            names = getattr(model, "classes_", None)
            if is_indicator(y) and getattr(names, "ndim", 0) == 1:
                agreed_names(names, read_indicator(y).names)
        predictions = {name: model.predict(X) for name, model in models.items()}
        return cls.from_predictions(
            y,
            predictions,
            class_count=class_count,
            thresholds=thresholds,
            ax=ax,
            mark_kw=mark_kw,
            name_length=name_length,
        )

    @classmethod
    def from_cv_results(
        cls, cv_results, *, name="model", ax=None, mark_kw=None, name_length=LONGEST
    ):
        """Draw the recalls of a cross-validation, fold by fold.

        Parameters
        ----------
        cv_results : dict of ndarray, or mapping from name to such
            What :func:`sklearn.model_selection.cross_validate` returned, of one
            model or of several, with the scorers ``{shot: make_shot_scorer(y,
            shot=shot) for shot in ("many", "medium", "few")}``.
        name : str, default="model"
            Name of a single model.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        mark_kw : dict or list of dict, default=None
            See :meth:`plot`.
        name_length : int or None, default=40
            See :meth:`plot`.

        Returns
        -------
        ShotRecallDisplay
            The display, drawn.

        Raises
        ------
        ValueError
            If a model has no score for one of the three groups.
        """
        if not isinstance(cv_results, Mapping):
            raise ValueError(
                "cv_results must be what cross_validate returns, or a mapping from names to "
                f"such, got {type(cv_results).__name__}."
            )
        is_one = any(str(key).startswith("test_") for key in cv_results)
        several = {name: cv_results} if is_one else cv_results
        recalls = {}
        for model, results in several.items():
            found = results if isinstance(results, Mapping) else ()
            missing = [shot for shot in SHOTS if f"test_{shot}" not in found]
            if missing:
                raise ValueError(
                    "cv_results must hold a score for each of 'many', 'medium' and 'few', got "
                    f"none of {missing[0]!r} for {model!r}; pass cross_validate a dict of scorers."
                )
            recalls[model] = np.transpose([results[f"test_{shot}"] for shot in SHOTS])
        return cls(recalls).plot(ax, mark_kw=mark_kw, name_length=name_length)

    def plot(self, ax=None, *, mark_kw=None, name_length=LONGEST):
        """Draw the recalls.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a new figure.
        mark_kw : dict or list of dict, default=None
            Passed to matplotlib's ``plot``; a list has one for each model.
        name_length : int or None, default=40
            Names of more characters are cut, and the legend says so; None cuts none.

        Returns
        -------
        ShotRecallDisplay
            The display itself.

        Raises
        ------
        ValueError
            If there is no model, or recalls are not three numbers in [0, 1] a run.
        """
        models = _models(self.recalls)
        check_name_length(name_length)
        styles = styles_given(self, mark_kw, "mark_kw", len(models), "Line2D")
        ax = axes_for(self, ax)
        width = min(0.16, 0.7 / len(models))
        self.marks_ = {}
        texts = plain_names(models, name_length)
        for place, (name, runs) in enumerate(models.items()):
            x = np.arange(len(SHOTS)) + (place - (len(models) - 1) / 2) * width
            style = style_of(place) | {"linestyle": "", "label": texts[place], "clip_on": False}
            style |= styles[place]
            known = ~np.isnan(runs).all(axis=0)
            ax.vlines(
                x[known],
                np.nanmin(runs[:, known], axis=0),
                np.nanmax(runs[:, known], axis=0),
                color=style["color"],
                linewidth=1.5,
            )
            mean = np.full(len(SHOTS), np.nan)
            mean[known] = np.nanmean(runs[:, known], axis=0)
            (self.marks_[name],) = ax.plot(x, mean, **style)
        for edge in (0.5, 1.5):
            ax.axvline(edge, color=GREY, linewidth=0.5)
        ax.set_xticks(range(len(SHOTS)), [f"{shot}-shot" for shot in SHOTS])
        ax.set(xlim=(-0.5, 2.5), ylim=(0, 1.02), ylabel="Recall, mean over classes")
        name_lines(ax, with_cut=are_cut(models, name_length))
        return self


def _models(recalls):
    """Return the runs of each model."""
    if not hasattr(recalls, "items") or not len(recalls):
        raise ValueError(
            "recalls must be a mapping from the names of models to their recalls, with at least "
            f"one, got {reprlib.repr(recalls)}."
        )
    return {str(name): _runs(name, value) for name, value in recalls.items()}


def _runs(name, recalls):
    """Return the recalls of a model as an array of shape (n_runs, 3)."""
    try:
        recalls = [recalls] if hasattr(recalls, "items") else recalls
        rows = [[run[shot] for shot in SHOTS] if hasattr(run, "items") else run for run in recalls]
        runs = np.atleast_2d(np.asarray(rows, dtype=float))
        valid = runs.ndim == 2 and runs.shape[1] == len(SHOTS) and runs.size
    except (TypeError, ValueError, KeyError):
        valid = False
    if not valid:
        raise ValueError(
            "recalls must be three numbers for each run, for many, medium and few, "
            f"got {reprlib.repr(recalls)} of {name!r}."
        )
    outside = runs[(runs < 0) | (runs > 1)]
    if outside.size:
        raise ValueError(f"recalls must be in [0, 1], got {outside[0]:g} of {name!r}.")
    return runs
