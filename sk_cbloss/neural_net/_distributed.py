"""DistributedCBNeuralNetClassifier: one net, trained by several processes."""

import multiprocessing
import os
from datetime import timedelta
from numbers import Real

import torch
from torch import distributed
from torch.nn.parameter import is_lazy

from sk_cbloss.neural_net._classifier import CBNeuralNetClassifier
from sk_cbloss.neural_net.ranks import Alone, Ranks
from sk_cbloss.neural_net.training import evaluates_again


class DistributedCBNeuralNetClassifier(CBNeuralNetClassifier):
    """A CBNeuralNetClassifier that several processes train as one, on as many GPUs or machines.

    Each process, a *rank*, runs the same script, started by ``torchrun``, and is given all of X
    and y; it trains on its rows of each batch. Gradients are averaged by torch's
    ``DistributedDataParallel``. Counts, weights and losses are those of all data: ranks of
    ``batch_size`` 32 each do, but for rounding, what one process of as many times 32 does, and
    all end with the same net. Started without ``torchrun``, it is a CBNeuralNetClassifier.

    Parameters
    ----------
    module : torch.nn.Module class, function or instance, default=None
        See :class:`CBNeuralNetClassifier`.
    accelerator : accelerate.Accelerator, default=None
        Brings the process group, the device of the rank and settings of
        ``DistributedDataParallel``. None makes one: NCCL where there are GPUs,
        gloo on CPUs.
    timeout : float, default=600
        Seconds that a rank waits for the others, before it ends with an error
        that names those that hang or were killed. It must be longer than
        whatever one rank may do alone, such as writing a checkpoint.
    **kwargs : dict
        Parameters of :class:`CBNeuralNetClassifier`. ``batch_size`` is that of
        a rank; -1 shares all samples among the ranks.

    Attributes
    ----------
    class_count_ : ndarray of shape (n_classes,), dtype float64
        Number of training samples of each class, or the sum of their weights,
        on all ranks together.
    n_features_in_ : int
        Number of features seen in fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen in fit, if X has names that are all strings.
    module_ : torch.nn.Module
        The trained module, the same on all ranks.
    criterion_ : torch.nn.Module
        The loss.
    history_ : skorch.history.History
        What was recorded each epoch, of all ranks together.

    See Also
    --------
    CBNeuralNetClassifier : All parameters and methods.
    skorch.hf.AccelerateMixin : Another way, which has the module wrapped from build to end.

    Notes
    -----
    ``fit`` and ``partial_fit`` must be called on all ranks; whatever else, on
    any. Rank 0 prints and writes, and all resume from its checkpoints. Scores
    on validation data are of all of them, whose predictions the ranks share.
    Dropout and ``batch_transform`` draw other random numbers on each rank.
    Running means, as of BatchNorm, are taken from rank 0 after each epoch.

    A ``criterion`` of your own must return the mean over samples for a last,
    smaller batch to count as in one process.

    Examples
    --------
    ``torchrun --standalone --nproc-per-node 2 script.py`` has two processes of
    this machine train the net of a script such as:

    >>> from sk_cbloss import load_digits_lt
    >>> from sk_cbloss.neural_net import DistributedCBNeuralNetClassifier
    >>> X, y = load_digits_lt(return_X_y=True)
    >>> net = DistributedCBNeuralNetClassifier(batch_size=64, max_epochs=5, random_state=0)
    >>> labels = net.fit(X / 16, y).predict(X / 16)
    """

    def __init__(self, module=None, *, accelerator=None, timeout=600, **kwargs):
        super().__init__(module, **kwargs)
        self.accelerator = accelerator
        self.timeout = timeout

    def __repr__(self):
        own = {"accelerator": None, "timeout": 600}
        params = self.get_params(deep=False)
        changed = {name: params.pop(name) for name in own}
        plain = repr(CBNeuralNetClassifier(**params)).removeprefix("CBNeuralNetClassifier(")
        shown = [f"{name}={value!r}" for name, value in changed.items() if value != own[name]]
        shown += [plain.removesuffix(")")] if plain != ")" else []
        return f"{type(self).__name__}({', '.join(shown)})"

    def __getstate__(self):
        return super().__getstate__() | {"accelerator": None}  # it belongs to the process

    # ------------------------------------------------------------------ ranks

    def _find_ranks(self):
        is_number = isinstance(self.timeout, Real) and not isinstance(self.timeout, bool)
        if not is_number or not 0 < self.timeout <= 1e8:
            raise ValueError(
                f"timeout must be a number of seconds above 0, up to 1e8, got {self.timeout!r}."
            )
        if not _are_several():
            return Alone()
        return Ranks(self.timeout, self._started())

    def _started(self):
        """Return an accelerator that has joined the other ranks."""
        try:
            from accelerate import Accelerator
            from accelerate.utils import InitProcessGroupKwargs
        except ImportError as error:
            raise ImportError(
                "accelerate must be installed for several ranks to train a net, as by the extra "
                f"'distributed', got none ({error})."
            ) from error
        accelerator, device = self.accelerator, torch.device(self.device)
        if accelerator is None:
            limit = InitProcessGroupKwargs(timeout=timedelta(seconds=self.timeout))
            try:
                accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[limit])
            except RuntimeError as error:
                raise RuntimeError(
                    f"All ranks must start within timeout={self.timeout:g} seconds of each other, "
                    f"got {os.environ['WORLD_SIZE']} that are to and not as many that did."
                ) from error
        if accelerator.num_processes != distributed.get_world_size():
            found = f"an accelerator of {accelerator.num_processes} processes"
        elif accelerator.gradient_accumulation_steps != 1:
            found = f"gradient_accumulation_steps={accelerator.gradient_accumulation_steps}"
        elif accelerator.mixed_precision != "no":
            found = f"mixed_precision={accelerator.mixed_precision!r}, for which there is autocast"
        else:
            found = None
        if found is not None:
            raise ValueError(f"accelerator must leave steps to the net, got {found}.")
        if device.type != accelerator.device.type or device.index not in (
            None,
            accelerator.device.index,
        ):
            raise ValueError(
                f"device must be that of the rank, {accelerator.device}, or 'auto', got {device}."
            )
        return accelerator

    def _check_accelerated(self, call):
        if call.ranks.n_ranks > 1 and evaluates_again(type(self.optimizer_)):
            raise ValueError(
                "optimizer must be one that computes no losses by itself for several ranks, got "
                f"{type(self.optimizer_).__name__}."
            )

    # ------------------------------------------------------------------ steps

    def train_step_single(self, batch, **fit_params):
        call = self._call
        if call.ranks.n_ranks == 1:
            return super().train_step_single(batch, **fit_params)
        call.steps_together = True
        try:
            step = super().train_step_single(batch, **fit_params)
        finally:
            call.steps_together = False
        # Gradients of the module are averaged as they come; those of other parts are left.
        averaged = set(map(id, self.module_.parameters()))
        rest = [p for _, p in self.get_all_learnable_params() if id(p) not in averaged]
        call.ranks.average([p for p in rest if p.requires_grad])
        return step

    def infer(self, x, **fit_params):
        if "_fit_call" not in vars(self) or not self._call.steps_together:
            return super().infer(x, **fit_params)
        # The module itself stays what it is: callbacks freeze, save and load it by its names.
        module = self.module_
        if any(map(is_lazy, module.parameters())):
            with torch.no_grad():
                super().infer(x, **fit_params)
        vars(self)["module_"] = self._averaging(module)
        try:
            return super().infer(x, **fit_params)
        finally:
            vars(self)["module_"] = module

    def _averaging(self, module):
        """Return the module as its gradients are averaged, of those parameters that learn now."""
        call = self._call
        made_for = module, [id(p) for p in module.parameters() if p.requires_grad]
        if call.averaging is None or call.averaging[0] != made_for:
            call.averaging = made_for, call.ranks.accelerator.prepare_model(module)
        return call.averaging[1]


def _are_several():
    """Whether this process is one of several ranks, and no worker of one."""
    if multiprocessing.current_process().name != "MainProcess":
        return False  # what a worker was forked with is not its own
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size() > 1
    given = os.environ.get("WORLD_SIZE", "1")
    return "RANK" in os.environ and given.isdecimal() and int(given) > 1
