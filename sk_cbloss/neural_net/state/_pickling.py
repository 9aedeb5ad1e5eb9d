"""Nets as bytes, in which a pickler that knows more than pickle's finds all classes."""

import io
import pickle
from types import FunctionType

import torch
from skorch import NeuralNet
from skorch.utils import get_map_location

PARTS = "__parts__"


class Portable(NeuralNet):
    """Pickle as skorch does, parts that may lie on a GPU as bytes, but no class within these.

    Classes and functions stand beside, where whoever pickles the net deals with them: pickle
    writes down their names; cloudpickle, which brings nets to other processes, the code of what is
    defined in a script or a notebook.
    """

    def __getstate__(self):
        state = vars(self).copy()
        # Of a net that is pickled while it trains: it holds the data, and is silent on some ranks.
        state.pop("_fit_call", None)
        state.pop("_is_silent", None)
        prefixes = tuple(self.cuda_dependent_attributes_)
        parts = {name: state.pop(name) for name in list(state) if name.startswith(prefixes)}
        file, named = io.BytesIO(), []
        _Pickler(file, named).dump(parts)
        return state | {PARTS: (file.getvalue(), named)}

    def __setstate__(self, state):
        state = dict(state)
        content, named = state.pop(PARTS)
        location = get_map_location(state["device"])
        state["device"] = self._check_device(state["device"], location)
        kwargs = state.get("torch_load_kwargs") or {"weights_only": True}
        unpickler = _Unpickler(io.BytesIO(content), named, {"map_location": location} | kwargs)
        vars(self).update(state | unpickler.load())


class _Pickler(pickle.Pickler):
    def __init__(self, file, named):
        super().__init__(file)
        self.named, self.places = named, {}

    def persistent_id(self, value):
        if not isinstance(value, type | FunctionType) or value is torch.storage._load_from_bytes:
            return None
        if value not in self.places:
            self.places[value] = len(self.named)
            self.named.append(value)
        return self.places[value]


class _Unpickler(pickle.Unpickler):
    def __init__(self, file, named, load_kwargs):
        super().__init__(file)
        self.named, self.load_kwargs = named, load_kwargs

    def persistent_load(self, place):
        return self.named[place]

    def find_class(self, module, name):
        if (module, name) != ("torch.storage", "_load_from_bytes"):
            return super().find_class(module, name)
        return lambda content: torch.load(io.BytesIO(content), **self.load_kwargs)
