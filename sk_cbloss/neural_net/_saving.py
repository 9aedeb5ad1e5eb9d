"""Parameters in files, without pickle where the name of the file asks for it."""

import os
import re

from safetensors import SafetensorError
from safetensors.torch import save_file
from skorch import NeuralNet
from torch import nn

from sk_cbloss.neural_net._state_file import read_state, write_state

KIND = "sk_cbloss optimizer, version 1"


class SafeSaving(NeuralNet):
    """Save in safetensors where the file's name ends so; a device of "auto" stays what it is."""

    def save_params(
        self,
        f_params=None,
        f_optimizer=None,
        f_criterion=None,
        f_history=None,
        use_safetensors=False,
        **kwargs,
    ):
        """Save parameters, optimizer or history.

        Parameters
        ----------
        f_params : str, path or file, default=None
            For the module's parameters. A name that ends in ``.safetensors``
            has them written in that format, which holds no code; any other is
            torch's.
        f_optimizer : str, path or file, default=None
            For the optimizer; likewise.
        f_criterion : str, path or file, default=None
            For the criterion; likewise.
        f_history : str, path or file, default=None
            For the history, as JSON.
        use_safetensors : bool, default=False
            Whether to write safetensors whatever the name.
        **kwargs : dict
            For modules of a subclass, such as ``f_encoder``.
        """
        files = _named_files(f_params, f_optimizer, f_criterion, f_history, kwargs)
        for name, file in list(files.items()):
            if not _is_safe(file, use_safetensors):
                continue
            if isinstance(part := self._part(name), nn.Module):
                # The format knows neither shared memory nor other layouts.
                state = part.state_dict().items()
                tensors = {key: value.clone().contiguous() for key, value in state}
                try:
                    save_file(tensors, files.pop(name))
                except SafetensorError as error:  # which names a temporary file
                    reason = re.sub(r".*I/O error: | at path .*", "", str(error))
                    raise OSError(f"Could not write {file}: {reason}.") from error
            elif part is not None:
                write_state(files.pop(name), part.state_dict(), KIND)
        super().save_params(**files, use_safetensors=use_safetensors)

    def load_params(
        self,
        f_params=None,
        f_optimizer=None,
        f_criterion=None,
        f_history=None,
        checkpoint=None,
        use_safetensors=False,
        **kwargs,
    ):
        """Load parameters, optimizer or history; nothing is unpickled unless asked for.

        torch's own files are read with ``weights_only=True``, unless
        ``torch_load_kwargs`` says otherwise.

        Parameters
        ----------
        f_params : str, path or file, default=None
            The module's parameters. A name that ends in ``.safetensors`` is
            read in that format.
        f_optimizer : str, path or file, default=None
            The optimizer; likewise.
        f_criterion : str, path or file, default=None
            The criterion; likewise.
        f_history : str, path or file, default=None
            The history.
        checkpoint : skorch.callbacks.Checkpoint, default=None
            Names the files that are not given here.
        use_safetensors : bool, default=False
            Whether to read safetensors whatever the name.
        **kwargs : dict
            For modules of a subclass, such as ``f_encoder``.
        """
        device = vars(self)["device"]
        files = _named_files(f_params, f_optimizer, f_criterion, f_history, kwargs)
        if checkpoint is not None:
            super().load_params(checkpoint=checkpoint, use_safetensors=use_safetensors)
        for name, file in list(files.items()):
            if not _is_safe(file, use_safetensors):
                continue
            if isinstance(part := self._part(name), nn.Module):
                try:
                    super().load_params(**{name: files.pop(name)}, use_safetensors=True)
                except SafetensorError as error:  # which names none
                    raise ValueError(
                        f"{file} must be a whole safetensors file, got a damaged one or another "
                        "format."
                    ) from error
            elif part is not None:
                part.load_state_dict(read_state(files.pop(name), KIND))
        if files:
            super().load_params(**files, use_safetensors=use_safetensors)
        if isinstance(device, str) and device == "auto":
            self.device = device

    def _learning_parts(self):
        """Return all modules that learn, by name; a loss of ours is made from the data."""
        names = [*self._modules, *(self._criteria if self.criterion is not None else ())]
        parts = {name: plain(getattr(self, f"{name}_")) for name in names}
        return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}

    def _part(self, name):
        """Return what a file of that name is for, if it can be loaded and saved."""
        attribute = "module_" if name == "f_params" else name.removeprefix("f_") + "_"
        part = plain(getattr(self, attribute, None))
        return part if hasattr(part, "load_state_dict") else None

    def _get_module(self, name, msg):
        return plain(super()._get_module(name, msg))


def plain(module):
    """Return a compiled module as it was: it saves its parameters under other names."""
    return getattr(module, "_orig_mod", module)


def _named_files(f_params, f_optimizer, f_criterion, f_history, others):
    files = {"f_params": f_params, "f_optimizer": f_optimizer, "f_criterion": f_criterion}
    files |= {"f_history": f_history} | others
    return {name: file for name, file in files.items() if file is not None}


def _is_safe(file, use_safetensors):
    if not isinstance(file, str | os.PathLike):
        return False
    return use_safetensors or os.fspath(file).endswith(".safetensors")
