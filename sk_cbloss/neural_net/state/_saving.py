"""Parameters in files, without pickle where the name of the file asks for it."""

import os
import re
import struct
from functools import partial
from json import JSONDecodeError

from safetensors import SafetensorError
from safetensors.torch import save_file
from skorch import NeuralNet
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sk_cbloss.neural_net.state._net_state import net_put_back_on_error
from sk_cbloss.neural_net.state._state_file import read_state, state_writer, write_whole

DAMAGED = (EOFError, JSONDecodeError, struct.error)  # what the readers say, each by itself
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

        A file that was there is replaced in the end, or stays whole if that
        fails, as on a full disk; all of those that are named together.

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
        writers = {}
        for name, file in files.items():
            if isinstance(file, str | os.PathLike):
                safe = _is_safe(file, use_safetensors)
                writers[file] = partial(self._write, name, safe)
            else:
                super().save_params(**{name: file}, use_safetensors=use_safetensors)
        write_whole(writers)
        if not files:
            super().save_params()  # which says so

    def _write(self, name, safe, path):
        """Write what a file of that name is for."""
        part = self._part(name)
        if safe and isinstance(part, nn.Module):
            # The format knows neither shared memory nor other layouts.
            state = part.state_dict().items()
            tensors = {key: value.clone().contiguous() for key, value in state}
            try:
                save_file(tensors, path)
            except SafetensorError as error:  # which hides the system's own
                number = re.search(r"(?:os error|code:) (\d+)", str(error))
                if number is None:
                    raise
                raise OSError(int(number[1]), os.strerror(int(number[1]))) from error
        elif safe and part is not None:
            state_writer(part.state_dict(), KIND)(path)
        else:
            try:
                with open(path, "w" if name == "f_history" else "wb") as file:
                    super().save_params(**{name: file})
            except RuntimeError as error:  # of torch, about a file that takes no more
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from error
                raise

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

        If a file is missing, damaged or of another net, the net stays as it is.

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
        files = _named_files(f_params, f_optimizer, f_criterion, f_history, kwargs)
        names = files
        if checkpoint is not None:
            names = [f"f_{name}" for name in self._modules + self._criteria + self._optimizers]
        parts = [part for part in map(self._part, names) if part is not None]
        with net_put_back_on_error(self, parts):
            self._load(files, checkpoint, use_safetensors)

    def _load(self, files, checkpoint, use_safetensors):
        device = vars(self)["device"]
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
        for name, file in files.items():
            try:
                super().load_params(**{name: file}, use_safetensors=use_safetensors)
            except (*DAMAGED, OSError, RuntimeError) as error:
                in_torch = "PytorchStreamReader" in str(error) or (
                    isinstance(error, OSError) and error.filename is None
                )
                if not in_torch and not isinstance(error, DAMAGED):
                    raise
                raise ValueError(
                    f"{file} must be a whole file of {name}, got a damaged one or another format."
                ) from error
        if isinstance(device, str) and device == "auto":
            self.device = device

    def _learning_parts(self):
        """Return all modules that learn, by name; a loss of ours is made from the data."""
        names = [*self._modules, *(self._criteria if self.criterion is not None else ())]
        parts = {name: uncompiled(getattr(self, f"{name}_")) for name in names}
        return {name: part for name, part in parts.items() if isinstance(part, nn.Module)}

    def _part(self, name):
        """Return what a file of that name is for, if it can be loaded and saved."""
        attribute = "module_" if name == "f_params" else name.removeprefix("f_") + "_"
        part = uncompiled(getattr(self, attribute, None))
        return part if hasattr(part, "load_state_dict") else None

    def _get_module(self, name, msg):
        return uncompiled(super()._get_module(name, msg))


def uncompiled(module):
    """Return a module without what compiling, or averaging over ranks, puts around it."""
    if isinstance(module, DistributedDataParallel):
        module = module.module
    return getattr(module, "_orig_mod", module)


def _named_files(f_params, f_optimizer, f_criterion, f_history, others):
    files = {"f_params": f_params, "f_optimizer": f_optimizer, "f_criterion": f_criterion}
    files |= {"f_history": f_history} | others
    return {name: file for name, file in files.items() if file is not None}


def _is_safe(file, use_safetensors):
    if not isinstance(file, str | os.PathLike):
        return False
    return use_safetensors or os.fspath(file).endswith(".safetensors")
