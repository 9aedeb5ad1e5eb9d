"""Which nets are trained as one, told from what they are given and a few that are built."""

from collections import defaultdict
from dataclasses import dataclass
from numbers import Number
from typing import NamedTuple

from sk_cbloss.neural_net.errors import first_line
from sk_cbloss.neural_net.stack._alone import NotStackableError
from sk_cbloss.neural_net.stack._obstacles import obstacle
from sk_cbloss.neural_net.stack._probe import probe
from sk_cbloss.neural_net.stack._stack_size import stack_size
from sk_cbloss.neural_net.stack._walk import Walk
from sk_cbloss.neural_net.state import fingerprint, seeded

FEW = 3  # nets, below which their steps as one take longer than one after the other

# Parameters that nets of a stack need not share: each has its own loss, optimizer's settings,
# callbacks and random numbers.
FREE = {
    "beta",
    "callbacks",
    "early_stopping",
    "gamma",
    "iterator_train__sampler",
    "loss",
    "lr",
    "max_epochs",
    "n_iter_no_change",
    "normalize",
    "random_state",
    "train_split",
    "validation_fraction",
    "verbose",
}
FREE_PREFIXES = ("callbacks__", "criterion__", "optimizer__")
# Numbers by which nets may differ in what they are built of, or in the rows that they train on.
TELLING_NUMBERS = {"early_stopping", "random_state", "validation_fraction"}


@dataclass(eq=False)
class PlannedStack:
    """Nets to be trained as one.

    Attributes
    ----------
    places : list of int
        Which of all nets they are.
    is_random : bool
        Whether their modules draw random numbers as they are trained.
    """

    places: list
    is_random: bool = False


class Look(NamedTuple):
    """What a net turns out to be when it is built."""

    shape: str
    is_random: bool
    n_most: int  # nets of its kind that may be trained as one
    is_on_cpu: bool


def plan(nets, data, fit_of, shared, seed, *, max_stack="auto", n_jobs=1):
    """Deal nets out to stacks, before they are built.

    Nets that are given the same, but for numbers such as beta, are built of the same. Of each such
    group one is built, to see what that is, and let go.

    Parameters
    ----------
    nets : list of CBNeuralNetClassifier
        The nets, those first that had best be trained together.
    data : list of hashable
        What tells the form of their data: numbers of rows, classes, features.
    fit_of : callable
        Returns the Fit of the net at a place.
    shared : dict
        Features that were checked, by what they were.
    seed : int or None
        Of the nets that have none.
    max_stack : int or "auto", default="auto"
        How many nets may be trained as one.
    n_jobs : int, default=1
        How many stacks are trained side by side.

    Returns
    -------
    stacks : list of PlannedStack
        The stacks.
    obstacles : dict
        Why a net must be fitted alone, by its place.
    """
    groups, settings, obstacles = _groups(nets, data)
    shapes, stacks = defaultdict(list), []
    for (kind, *_), places in groups.items():
        try:
            shapes[kind, _look(places, fit_of, shared, seed, max_stack)] += places
        except Exception as error:
            obstacles |= dict.fromkeys(places, why(error))
    for (_, look), places in shapes.items():
        if look is None:  # none can be built: they will say why where they are trained
            stacks.append(PlannedStack(places))
        elif max_stack == "auto" and look.is_on_cpu and len(places) < FEW:
            reason = f"fewer than {FEW} nets are faster one by one on a CPU"
            obstacles |= dict.fromkeys(places, reason)
        else:
            places.sort(key=lambda place: (settings[place], place))
            n_stacks = max(-(-len(places) // look.n_most), min(n_jobs, len(places) // FEW))
            for number in range(n_stacks):  # of even sizes
                start, stop = (len(places) * n // n_stacks for n in (number, number + 1))
                stacks.append(PlannedStack(places[start:stop], look.is_random))
    return stacks, obstacles


def why(error):
    """Return what an attempt to train nets as one failed of."""
    if isinstance(error, NotStackableError):
        return str(error)
    # Of one net, perhaps, which it will meet again alone.
    return f"the attempt failed ({type(error).__name__}: {first_line(error)})"


def _groups(nets, data):
    """Return the places of nets that are given alike, their settings, and known obstacles."""
    groups, settings, obstacles, names = defaultdict(list), {}, {}, {}
    for place, net in enumerate(nets):
        try:
            reason = obstacle(net)
            fixed, telling, settings[place] = _sorted_out(net)
            key = _name_of(fixed, names), _name_of(telling, names), data[place]
        except Exception as error:  # of whatever the parameters are
            reason = f"a parameter cannot be compared with that of other nets ({error})"
        if reason is None:
            groups[key].append(place)
        else:
            obstacles[place] = reason
    return groups, settings, obstacles


def _sorted_out(net):
    """Return parameters that a stack shares, those that may tell shapes apart, and settings."""
    fixed, telling, settings = [], [], []
    for name, value in sorted(net.get_params(deep=False).items()):
        is_free = name in FREE or name.startswith(FREE_PREFIXES)
        is_number = value is None or isinstance(value, Number)
        if not is_free:
            fixed.append((name, value))
        elif not is_number or name in TELLING_NUMBERS:
            telling.append((name, value))
        # A stack takes them fastest in runs of the same loss and the same optimizer's settings.
        if name in ("loss", "lr") or name.startswith(("criterion__", "optimizer__")):
            settings.append((name, str(value) if is_number or isinstance(value, str) else ""))
    return fixed, telling, settings


def _name_of(pairs, names):
    """Return the fingerprint of parameters, which in most nets are the same objects."""
    key = tuple((name, id(value)) for name, value in pairs)
    if key not in names:
        names[key] = fingerprint(pairs), pairs  # kept, lest an id be given anew
    return names[key][0]


def _look(places, fit_of, shared, seed, max_stack):
    """Return what nets that are given alike turn out to be, or None if none can be built."""
    for place in places:
        try:
            walk = Walk(fit_of(place), shared, seed)
            with seeded(0, walk.fit.net.device):
                walk.sketch()
        except NotStackableError:
            raise
        except Exception:  # of this one, perhaps, which will meet it again
            continue
        module = walk.net.module_
        is_random, n_bytes = probe(module, walk.some_features())
        n_most = stack_size(module, n_bytes, max_stack)
        return Look(walk.shape(is_random), is_random, n_most, walk.net.device == "cpu")
    return None
