"""What a fit has written to files and reads again: its own, whoever else has written there."""

import copy
import os
from functools import wraps

from skorch.callbacks import Checkpoint

from sk_cbloss.neural_net.state._saving import SafeSaving


class OwnFiles(SafeSaving):
    """Let skorch's ``Checkpoint(load_best=True)`` load what the same fit has saved.

    The nets of a search have one checkpoint, and write to the same files; in processes side by
    side, each would find there what another has just written.
    """

    @property
    def _writes(self):
        """Whether to write files: in a fit by several ranks, the first does."""
        return "_fit_call" not in vars(self) or self._call.ranks.is_first

    @wraps(SafeSaving.save_params)
    def save_params(self, *args, **kwargs):
        if self._writes:
            super().save_params(*args, **kwargs)
        if "_fit_call" not in vars(self) or not any(map(_loads_best, self.callbacks_)):
            return
        for name, file in kwargs.items():
            if isinstance(file, str | os.PathLike):
                what = self.history if name == "f_history" else self._part(name).state_dict()
                self._call.saved[_key(name, file)] = copy.deepcopy(what)

    @wraps(SafeSaving.load_params)
    def load_params(self, *args, **kwargs):
        checkpoint = kwargs.get("checkpoint")
        own = self._call.saved if "_fit_call" in vars(self) else {}
        saved = {}
        if checkpoint is not None and own:
            files = checkpoint.get_formatted_files(self).items()
            files = {name: file for name, file in files if isinstance(file, str | os.PathLike)}
            files.pop("f_pickle", None)
            saved = {name: own.get(_key(name, files[name])) for name in files}
        if not saved or None in saved.values():  # of an earlier fit
            super().load_params(*args, **kwargs)
            return
        for name, what in saved.items():
            if name == "f_history":
                self.history = copy.deepcopy(what)
            else:
                self._part(name).load_state_dict(what)


def _key(name, file):
    return "f_module" if name == "f_params" else name, os.path.abspath(file)


def _loads_best(named):
    return isinstance(named[1], Checkpoint) and named[1].load_best
