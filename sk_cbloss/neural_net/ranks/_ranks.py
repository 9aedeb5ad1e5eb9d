"""One process among those that train a net together, and what it says to the others."""

import pickle
import re
import threading
import time
from contextlib import contextmanager, suppress
from datetime import timedelta

import torch
from torch import distributed

from sk_cbloss.neural_net.errors import first_line
from sk_cbloss.neural_net.ranks._alike import different

# What torch says of a rank that does not answer, where it has no type for it.
LOST = re.compile(
    "gloo/|NCCL|pair closure|(closed|reset) by peer|Connection refused|Broken pipe"
    "|Timed out waiting|timed out in monitoredBarrier"
)
PATIENCE, GRACE = 2.0, 3.0  # seconds in which others may say so, and in which the store answers
KEY_OF_LOST = "sk_cbloss/lost"
_lost = []  # the process group that has lost a rank, and which one


class Alone:
    """A process that trains by itself."""

    rank, n_ranks = 0, 1

    @property
    def is_first(self):
        """Whether it is the rank that prints and writes."""
        return self.rank == 0

    def from_first(self, function):
        """Return what a function returns on rank 0, or raise what it raises there."""
        return function()

    def alike(self, function, tell):
        """Return what a function returns, if what is told of that is the same on all ranks."""
        return function()

    def seed(self, seed):
        """Return a seed that all ranks have; None is one where there is one rank."""
        return seed

    def means(self, losses):
        """Return the mean over ranks of each number of a list."""
        return losses

    def are_all_at(self, place):
        """Whether all ranks say within a few seconds that they are where this one is."""
        return True


class Ranks(Alone):
    """The process as one of several, in the process group that there is.

    Tensors of the net go through that group, on whatever device they are; all else goes through
    a group of its own, by which ranks that do not come are missed after a timeout in seconds.
    """

    def __init__(self, timeout, accelerator=None):
        self.timeout, self.accelerator = timeout, accelerator
        self.rank, self.n_ranks = distributed.get_rank(), distributed.get_world_size()
        limit = timedelta(seconds=timeout)
        self._check_none_lost()
        try:
            distributed.distributed_c10d._set_pg_timeout(limit)
            self.group = distributed.new_group(backend="gloo", timeout=limit)
        except RuntimeError as error:
            self._check_none_lost()  # which another rank may have found out by now
            who = "another rank, which did not start"
            self._lose(who)
            raise RuntimeError(self._missed(who)) from error

    def close(self):
        """Leave the group for all else."""
        with suppress(RuntimeError, ValueError):
            distributed.destroy_process_group(self.group)

    # ------------------------------------------------------------------ objects

    def gather(self, value):
        """Return the values of all ranks."""
        told = [None] * self.n_ranks
        distributed.all_gather_object(told, value, group=self.group)
        return told

    def from_first(self, function):
        made = error = None
        if self.is_first:
            try:
                made = function()
            except Exception as raised:
                error = raised
        told = [(made, _portable(error))]
        distributed.broadcast_object_list(told, src=0, group=self.group)
        if error is None:
            made, error = told[0] if not self.is_first else (made, None)
        if error is not None:
            raise error
        return made

    def alike(self, function, tell):
        made = error = None
        try:
            made = function()
            told = tell(made)
        except Exception as raised:
            error, told = raised, _text(raised)
        everyone = self.gather(told)
        if error is not None:
            raise error
        problem = different(everyone)
        if problem is not None:
            raise ValueError(problem)
        return made

    def seed(self, seed):
        return self.from_first(lambda: int(torch.randint(2**31, ())) if seed is None else seed)

    # ------------------------------------------------------------------ tensors

    def means(self, losses):
        if not losses:
            return losses
        total = torch.stack(losses)
        distributed.all_reduce(total)
        return list(total / self.n_ranks)

    def average(self, parameters):
        """Make the gradients of parameters their mean over ranks; one that none has is none."""
        if not parameters:
            return
        found = torch.tensor([float(p.grad is not None) for p in parameters])
        found = found.to(parameters[0].device)
        distributed.all_reduce(found)
        for parameter, n_ranks in zip(parameters, found.tolist(), strict=True):
            if not n_ranks:
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            distributed.all_reduce(parameter.grad)
            parameter.grad /= self.n_ranks

    def joined(self, rows, sizes):
        """Return the rows that each rank has, one after another; sizes says how many."""
        padded = rows.new_zeros((max(sizes), *rows.shape[1:]))
        padded[: sizes[self.rank]] = rows[: sizes[self.rank]]
        parts = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(parts, padded)
        return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])

    def take_from_first(self, tensors):
        """Write into tensors what they are on rank 0."""
        with torch.no_grad():
            for tensor in tensors:
                if not isinstance(tensor, torch.Tensor) or not tensor.numel():
                    continue
                whole = tensor.detach().contiguous()
                # As bytes: gloo does not know all types.
                distributed.broadcast(whole.reshape(-1).view(torch.uint8), 0)
                if whole.data_ptr() != tensor.data_ptr():
                    tensor.copy_(whole)

    # ------------------------------------------------------------------ who is lost

    @contextmanager
    def watched(self):
        """Say in a sentence which rank is missed; tell the others of what ends this one."""
        try:
            yield
        except BaseException as error:
            if _is_of_others(error):
                who = self._asked_who()
                self._lose(who)
                raise RuntimeError(self._missed(who)) from error
            self._aside(self._set, f"ended/{self.rank}", _text(error))
            raise

    def are_all_at(self, place):
        found = set()
        self._aside(self._set, f"at/{self.rank}", repr(place))
        self._aside(self._ask_where, found)
        return len(found) == 1

    def _ask_where(self, found):
        keys = [self._key(f"at/{rank}") for rank in range(self.n_ranks)]
        end = time.time() + PATIENCE
        while not self._store().check(keys):
            if time.time() > end:
                return
            time.sleep(0.1)
        found |= {self._store().get(key) for key in keys}

    def _lose(self, who):
        """Remember, and tell the others, that the process group is of no more use."""
        _lost[:] = [distributed.group.WORLD, who]
        self._aside(self._store().set, KEY_OF_LOST, who)

    def _check_none_lost(self):
        """Raise a RuntimeError, rather than wait, if a rank of the process group was lost."""
        if not _lost or _lost[0] is not distributed.group.WORLD:
            self._aside(self._ask_lost)
        if _lost and _lost[0] is distributed.group.WORLD:
            raise RuntimeError(
                "The processes of all ranks must be started anew once one is lost, got another "
                f"fit after the loss of {_lost[1]}."
            )

    def _ask_lost(self):
        if self._store().check([KEY_OF_LOST]):
            _lost[:] = [distributed.group.WORLD, self._store().get(KEY_OF_LOST).decode()]

    @staticmethod
    def _store():
        return distributed.distributed_c10d._get_default_store()

    def _missed(self, who):
        return (
            f"All ranks must go on within timeout={self.timeout:g} seconds of each other, got no "
            f"more from {who}."
        )

    def _asked_who(self):
        """Return which ranks are missed, as far as those that are left can tell."""
        found = {}
        self._aside(self._ask, found)
        ended = [f"rank {r}, which ended with {said}" for r, said in found.items() if said]
        lost = [f"rank {r}, which hangs or was killed" for r, said in found.items() if not said]
        return " and ".join(ended or lost or ["another rank, which hangs or was killed"])

    def _ask(self, found):
        self._set(f"waits/{self.rank}", "")
        others = [rank for rank in range(self.n_ranks) if rank != self.rank]
        end = time.time() + PATIENCE
        store = self._store()
        while time.time() < end:
            for rank in others:
                if store.check([self._key(f"ended/{rank}")]):
                    found[rank] = store.get(self._key(f"ended/{rank}")).decode()
            if found:
                return
            time.sleep(0.1)
        missing = [rank for rank in others if not store.check([self._key(f"waits/{rank}")])]
        found |= dict.fromkeys(missing, "")

    def _set(self, name, text):
        self._store().set(self._key(name), text)

    def _key(self, name):
        return f"sk_cbloss/{self.group.group_name}/{name}"

    def _aside(self, function, *args):
        """Call a function that may never return, where the store has gone with its rank."""

        def call():
            with suppress(Exception):
                function(*args)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(GRACE)


def _is_of_others(error):
    """Whether an error says that another rank does not answer."""
    if isinstance(error, distributed.DistError):
        return True
    return type(error) is RuntimeError and bool(LOST.search(str(error)))


def _text(error):
    if not isinstance(error, Exception) and error.__cause__ is not None:
        error = error.__cause__  # the interrupt itself, not what carries it
    return ": ".join(filter(None, (type(error).__name__, first_line(error).rstrip("."))))


def _portable(error):
    """Return an error that can be sent, of the same type if that can be."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(_text(error))
    return error
