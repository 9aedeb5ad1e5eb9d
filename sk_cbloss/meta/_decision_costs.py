"""What decisions cost, by matrix or by label, and whether one number a class says it all."""

import reprlib

import numpy as np

from sk_cbloss._labels import names_of, numbers_of
from sk_cbloss._validation import as_floats, as_named


def cost_matrix_of(costs, classes):
    """Return what each decision costs, by true class and class decided for.

    Parameters
    ----------
    costs : array-like of shape (n_classes, n_classes), DataFrame or mapping
        Costs, in the order of classes or by label; or of missing each class.
    classes : ndarray of shape (n_classes,)
        The classes.

    Returns
    -------
    ndarray of shape (n_classes, n_classes)
        Costs.
    """
    n_classes = len(classes)
    named = as_named(costs, "cost_matrix")
    if named is not None:
        missed = as_floats(numbers_of(classes, named, "cost_matrix"), "cost_matrix")
        if not (missed >= 0).all():
            raise ValueError(
                "cost_matrix must hold costs >= 0 of missing each class, "
                f"got {float(missed[~(missed >= 0)][0])!r}."
            )
        matrix = missed[:, None] * (1 - np.eye(n_classes))
    else:
        if hasattr(costs, "columns") and hasattr(costs, "index"):
            costs = _by_label(costs, classes)
        matrix = as_floats(costs, "cost_matrix")
    if matrix.shape != (n_classes, n_classes):
        raise ValueError(
            f"cost_matrix must have a row for each of the {n_classes} true classes and a column "
            f"for each class that is decided for, got shape {matrix.shape}."
        )
    if not np.isfinite(matrix).all():
        bad = float(matrix[~np.isfinite(matrix)][0])
        raise ValueError(f"cost_matrix must hold finite numbers, got {bad!r}.")
    return matrix


def _by_label(table, classes):
    labels = names_of(classes)
    for axis, names in (("index", table.index), ("columns", table.columns)):
        if sorted(map(repr, names.tolist())) != sorted(map(repr, labels)):
            raise ValueError(
                f"cost_matrix must have the {len(labels)} classes as its {axis}, each once, "
                f"got {reprlib.repr(names.tolist())}."
            )
    return table.loc[labels, labels].to_numpy()


def gain_of(matrix):
    """Return what it saves to decide rightly for each class, or None if that depends on more.

    Where all wrong decisions for a row cost the same, to decide for the class of the largest
    probability times this is to decide at the least expected cost.
    """
    if len(matrix) == 1:
        return np.ones(1)
    right = np.diag(matrix)
    wrong = matrix[~np.eye(len(matrix), dtype=bool)].reshape(len(matrix), -1)
    gain = wrong[:, 0] - right
    same = (wrong == wrong[:, :1]).all()
    return gain if same and (gain >= 0).all() and gain.any() else None
