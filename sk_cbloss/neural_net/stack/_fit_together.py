"""Many nets fitted at once, each as if it were fitted alone."""

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby

import torch

from sk_cbloss._validation import check_integer
from sk_cbloss.neural_net._classifier import CBNeuralNetClassifier
from sk_cbloss.neural_net.stack._alone import NotStackableError
from sk_cbloss.neural_net.stack._plan import plan, why
from sk_cbloss.neural_net.stack._stack import Stack
from sk_cbloss.neural_net.stack._walk import Walk
from sk_cbloss.neural_net.state import seeded


@dataclass(eq=False)
class Fit:
    """A net to be fitted, and what has become of it.

    Parameters
    ----------
    net : CBNeuralNetClassifier
        The net with its parameters; it stays as it is.
    X : array-like or sparse matrix of shape (n_samples, ...)
        Features, of which many fits may share the same.
    y : array-like of shape (n_rows,)
        Labels of the rows, which fits may share, too.
    rows : array of shape (n_rows,), dtype int64
        The rows of X to train on.
    sample_weight : array-like of shape (n_rows,), default=None
        Weights of the rows.

    Attributes
    ----------
    fitted : CBNeuralNetClassifier or None
        The fitted net.
    error : Exception or None
        Why the fit failed.
    obstacle : str or None
        Why the net was not fitted, and must be fitted alone.
    n_nets : int
        Number of nets that were trained with it as one, itself included.
    seconds : float
        Its share of the time that they took.

    See Also
    --------
    fit_together : Fits many.

    Examples
    --------
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> from sk_cbloss.neural_net import Fit
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> fit = Fit(CBNeuralNetClassifier(beta=0.99), X, y[100:], range(100, len(y)))
    """

    net: CBNeuralNetClassifier
    X: object
    y: object
    rows: object
    sample_weight: object = None
    fitted: CBNeuralNetClassifier | None = field(default=None, init=False)
    error: Exception | None = field(default=None, init=False)
    obstacle: str | None = field(default=None, init=False)
    n_nets: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)


def fit_together(fits, *, max_stack="auto", tell=None):
    """Fit nets, those of one architecture as one.

    Each is fitted as ``net.fit(X[rows], y, sample_weight)`` would. What has
    become of it is written into its :class:`Fit`, errors included. A net that
    cannot be trained with others is not fitted: its ``obstacle`` says why.

    Parameters
    ----------
    fits : list of Fit
        The nets. All without a ``random_state`` share a seed that is drawn
        from torch's global generator.
    max_stack : int or "auto", default="auto"
        How many nets may be trained as one. "auto" takes as many as pay and
        as the device holds, and leaves alone what does not pay.
    tell : callable, default=None
        Told, now and then, how many more epochs are done, of all nets
        together.

    Raises
    ------
    TypeError
        If ``fits`` lists anything else.
    ValueError
        If ``max_stack`` is invalid.

    See Also
    --------
    sk_cbloss.StackedGridSearchCV : A grid search that is built on it.

    Examples
    --------
    >>> from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
    >>> from sk_cbloss.neural_net import Fit, fit_together
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> nets = [CBNeuralNetClassifier(random_state=seed) for seed in range(5)]
    >>> fits = [Fit(net, X, y, range(len(y))) for net in nets]
    >>> fit_together(fits)
    >>> ensemble = sum(fit.fitted.predict_proba(X) for fit in fits) / 5
    """
    if max_stack != "auto":
        check_integer(max_stack, "max_stack", minimum=1)
    for fit in fits:
        if not isinstance(fit, Fit):
            raise TypeError(f"fits must list Fit objects, got a {type(fit).__name__}.")
    nets, shared = [fit.net for fit in fits], {}
    data = [(id(fit.X), id(fit.y), len(fit.rows), fit.sample_weight is None) for fit in fits]
    seed = seed_for(nets)
    stacks, obstacles = plan(nets, data, fits.__getitem__, shared, seed, max_stack=max_stack)
    for place, obstacle in obstacles.items():
        fits[place].obstacle = obstacle
    for stack in stacks:
        train([fits[place] for place in stack.places], stack.is_random, shared, seed, tell)


def seed_for(nets):
    """Return a seed for nets that have none, if there are any."""
    if all(net.random_state is not None for net in nets):
        return None
    return int(torch.randint(2**31, ()))


def train(fits, is_random, shared, seed, tell=None):
    """Train nets as one, as planned; what has become of each is written into its Fit.

    Those that turn out to be of another shape are trained after them.
    """
    walks = [Walk(fit, shared, seed, tell) for fit in fits]
    with _or_give_up(walks), seeded(0, fits[0].net.device):  # each brings its own numbers
        places = {walk: walk.place(number) for number, walk in enumerate(walks) if walk.begin()}
        shapes = {walk: walk.shape(is_random) for walk in places}
        begun = sorted(places, key=lambda walk: (shapes[walk], places[walk]))
        for _, alike in groupby(begun, key=shapes.get):
            alike = list(alike)
            with _or_give_up(alike):
                _train_stack(alike, is_random)


@contextmanager
def _or_give_up(walks):
    """Leave nets that are not done to be fitted alone, if they cannot be trained as one."""
    try:
        yield
    except Exception as error:
        for walk in walks:
            if not walk.is_done:
                walk.give_up(why(error))


def _train_stack(walks, is_random):
    """Train nets of one shape as one, to the end of the last of them."""
    start = time.perf_counter()
    for walk in walks:
        walk.fit.n_nets = len(walks)
    stack = members = None
    while live := [walk for walk in walks if not walk.is_done]:
        if stack is None or 2 * len(live) <= len(members):  # most rows go on for nothing
            if stack is not None:
                stack.release(*stack.live)
            stack, members = Stack([walk.net for walk in live]), live
        _train_epoch(stack, members, is_random)
        done = [row for row, walk in enumerate(members) if walk.is_done and row in stack.live]
        stack.release(*done)
        if is_random and _have_parted(walks):
            raise NotStackableError("they no longer draw the same random numbers")
    for walk in walks:
        walk.fit.seconds = (time.perf_counter() - start) / len(walks)


def _have_parted(walks):
    """Whether nets that are not done are at other random numbers, as after one has validated."""
    states = [walk.stream.state for walk in walks if not walk.is_done]
    pairs = [pair for state in states[1:] for pair in zip(state, states[0], strict=True)]
    return not all(torch.equal(*pair) for pair in pairs)


def _train_epoch(stack, members, is_random):
    """Train the nets that are not done for an epoch."""
    live = [walk for walk in members if not walk.is_done]
    orders = {walk: walk.begin_epoch() for walk in live}
    # A row that goes on for nothing is given the batches of another net.
    trained = [live[0] if walk.is_done else walk for walk in members]
    before, after = [], []
    for walk in live:
        begin, end = walk.listeners("on_batch_begin"), walk.listeners("on_batch_end")
        if begin or end:
            before += [walk.net.history.new_batch, *begin]
            after += end
    with live[0].stream:
        losses, is_finite, known = stack.run_epoch(
            [walk.batches for walk in trained], [orders[walk] for walk in trained], before, after
        )
    drawn = live[0].stream.state
    for row, walk in enumerate(members):
        if walk in orders:
            if is_random:  # then all of them are at the same random number
                walk.stream.state = drawn
            own = None if known is None else known[:, row]
            walk.end_epoch(losses[:, row], is_finite[row], own)
