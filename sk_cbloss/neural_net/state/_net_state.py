"""What a net is before a call, to be put back if the call fails."""

import copy
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from sk_cbloss._state import put_back

# scikit-learn ends its callbacks after our method, by these.
PASSING = {"_callback_fit_ctx", "_skl_callbacks_to_teardown"}


class NetState:
    """A net as it is now: its attributes, its optimizers' settings and its callbacks' attributes.

    Parts are modules and optimizers whose numbers are to change in place: these are copied, and it
    is noted which parameters learn.
    """

    def __init__(self, net, parts=()):
        self.net = net
        self.attributes = vars(net) | {"_params_to_validate": set(net._params_to_validate)}
        self.n_rows = 0 if net.history is None else len(net.history)
        optimizers = [getattr(net, f"{name}_", None) for name in net._optimizers]
        groups = [group for each in optimizers for group in getattr(each, "param_groups", ())]
        callbacks = [callback for _, callback in getattr(net, "callbacks_", ())]
        callbacks = [vars(callback) for callback in callbacks if hasattr(callback, "__dict__")]
        self.settings = [(settings, dict(settings)) for settings in groups + callbacks]
        parts = list(parts)
        states = [(part, part.state_dict()) for part in parts]
        modules = [part for part in parts if isinstance(part, nn.Module)]
        self.learns = [(p, p.requires_grad) for module in modules for p in module.parameters()]
        self.numbers = [
            (part, copy_of_state(state))
            for part, state in states
            if not any(map(is_lazy, state.values()))  # there are no numbers yet
        ]

    def put_back(self):
        """Make the net what it was."""
        attributes = vars(self.net)
        passing = {name: attributes[name] for name in PASSING & attributes.keys()}
        put_back(attributes, self.attributes | passing)
        if self.n_rows:
            del self.net.history[self.n_rows :]
        for part, state in self.numbers:
            part.load_state_dict(state)
        for parameter, learns in self.learns:
            parameter.requires_grad_(learns)
        for changed, settings in self.settings:
            put_back(changed, settings)


@contextmanager
def net_put_back_on_error(net, parts=()):
    """Put a net back as it was, if what runs inside raises."""
    before = NetState(net, parts)
    try:
        yield
    except BaseException:  # an interrupt, too
        before.put_back()
        raise


def copy_of_state(state):
    """Return a copy of a state_dict, that of an optimizer included."""
    return {
        name: value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)
        for name, value in state.items()
    }
