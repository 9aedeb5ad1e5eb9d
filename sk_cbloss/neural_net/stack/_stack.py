"""Nets of one architecture that train as one: their parameters are the rows of a matrix."""

from itertools import groupby

import torch
from torch import nn

from sk_cbloss.neural_net.stack._alone import NotStackableError, check_as_alone
from sk_cbloss.neural_net.stack._stacked_batches import StackedBatches
from sk_cbloss.neural_net.stack._stacked_loss import StackedLoss, kind_of_loss
from sk_cbloss.neural_net.stack._stacked_step import StackedStep
from sk_cbloss.neural_net.state import fingerprint, structure
from sk_cbloss.neural_net.training import copy_into

AT_ONCE = 100  # batches for which rows are put together


class Stack:
    """Train nets of one architecture at once, each on batches of its own.

    Each net, initialised before, stays whole. Its parameters and buffers are copied into its row
    when an epoch begins, and back when it ends; what its optimizer has learned is a view of what
    the stack's has.
    """

    def __init__(self, nets):
        self.nets, self.live = nets, dict.fromkeys(range(len(nets)))
        self._stack_parameters()
        self._stack_optimizers()
        self.losses, self.step, self.is_proven = None, None, False
        self.form = fingerprint(structure(nets[0].module_))

    # ------------------------------------------------------------------ rows of a matrix

    def _stack_parameters(self):
        names = {id(p): name for name, p in self.nets[0].module_.named_parameters()}
        like = next(filter(_learns, self.nets[0].module_.parameters()))
        self.device = like.device
        # A matrix for each of the optimizer's groups, with columns for each parameter in it.
        self.layout, self.values = [], []
        for group in self.nets[0].optimizer_.param_groups:
            places, end = [], 0
            for parameter in filter(_learns, group["params"]):
                place = slice(end, end + parameter.numel())
                places.append((names[id(parameter)], parameter.shape, place))
                end = place.stop
            self.layout.append(places)
            self.values.append(like.new_empty(len(self.nets), end, requires_grad=False))
        self.gradient = [torch.zeros_like(values) for values in self.values]
        self.parameters, self.gradients = self._by_name(self.values), self._by_name(self.gradient)
        # What does not learn: buffers, and parameters without a gradient.
        self.buffers = {
            name: torch.stack([buffer] * len(self.nets))
            for name, buffer in _constants_of(self.nets[0].module_).items()
        }
        stacked = self.parameters | self.buffers
        self.rows = [[tensor[row] for tensor in stacked.values()] for row in self.live]
        self.own = [[_tensors_of(net.module_)[name] for name in stacked] for net in self.nets]

    def _by_name(self, matrices):
        return {
            name: matrix[:, place].view(len(matrix), *shape)
            for matrix, places in zip(matrices, self.layout, strict=True)
            for name, shape, place in places
        }

    @torch.no_grad()
    def _copy_in(self):
        for row in self.live:
            copy_into(self.rows[row], self.own[row])

    @torch.no_grad()
    def _copy_out(self, is_finite):
        for row in self.live:
            if is_finite[row]:  # else the net keeps what it had before the epoch
                copy_into(self.own[row], self.rows[row])

    # ------------------------------------------------------------------ one optimizer

    def _stack_optimizers(self):
        """Build one optimizer, with a group of parameters for nets of the same settings."""
        self.runs, groups = [], []
        # A net that is done has a group of its own, and nothing that is learned there matters.
        keys = [
            self._settings_of(net) if row in self.live else None
            for row, net in enumerate(self.nets)
        ]
        for _, run in groupby(range(len(self.nets)), key=lambda net: keys[net]):
            run = list(run)
            self.runs.append(slice(run[0], run[-1] + 1))
            for number, (values, gradient) in enumerate(
                zip(self.values, self.gradient, strict=True)
            ):
                leaf = nn.Parameter(values[self.runs[-1]])
                leaf.grad = gradient[self.runs[-1]]
                groups.append({"params": [leaf]} | _settings(self.nets[run[0]], number))
        self.optimizer = type(self.nets[0].optimizer_)(groups)
        self.has_shared_state = False
        for net in self.nets:
            net.optimizer_._opt_called = True  # or torch's schedules would miss its steps
        for block, nets, number in self._blocks():
            if nets.start in self.live:
                states = [self._state_of(net, number) for net in self.nets[nets]]
                if states[0]:
                    self.optimizer.state[block["params"][0]] = _stacked(states)

    def _settings_of(self, net):
        """Return what nets must share to be in one group: settings, and how far they are."""
        return [
            (
                _settings(net, number),
                {k: float(v) if v.ndim == 0 else None for k, v in state.items()},
            )
            for number in range(len(self.layout))
            for state in [self._state_of(net, number)]
        ]

    def _state_of(self, net, number):
        """Return what a net's optimizer has learned of a group, each thing as one vector."""
        states = [
            net.optimizer_.state[p]
            for p in filter(_learns, net.optimizer_.param_groups[number]["params"])
            if p in net.optimizer_.state
        ]
        return {
            name: states[0][name]
            if states[0][name].ndim == 0
            else torch.cat([state[name].reshape(-1) for state in states])
            for name in (states[0] if states else ())
        }

    def _blocks(self):
        """Yield each group of the optimizer with its nets and its number in theirs."""
        pairs = [(nets, number) for nets in self.runs for number in range(len(self.layout))]
        for block, (nets, number) in zip(self.optimizer.param_groups, pairs, strict=True):
            yield block, nets, number

    def _take_settings(self):
        """Take over what callbacks have changed of the optimizers' settings."""
        for block, nets, number in self._blocks():
            live = [net for net in range(len(self.nets))[nets] if net in self.live]
            settings = [_settings(self.nets[net], number) for net in live]
            if any(other != settings[0] for other in settings[1:]):
                self._share_state()
                self._stack_optimizers()  # nets have parted
                return
            block.update(*settings[:1])

    def _share_state(self):
        """Let the nets' optimizers see what the one has learned of them."""
        if self.has_shared_state:
            return
        for block, nets, number in self._blocks():
            learned = self.optimizer.state.get(block["params"][0])
            for row in range(nets.start, nets.stop):
                if not learned or row not in self.live:
                    continue
                net = self.nets[row]
                own = dict(net.module_.named_parameters())
                for name, shape, place in self.layout[number]:
                    net.optimizer_.state[own[name]] = {
                        key: value
                        if value.ndim == 0
                        else value[row - nets.start, place].view(shape)
                        for key, value in learned.items()
                    }
        self.has_shared_state = True

    # ------------------------------------------------------------------ an epoch

    def run_epoch(self, loaders, orders, before_batch=(), after_batch=()):
        """Train for an epoch, each net on its loader's rows in its own order.

        Returns the losses, of shape (n_batches, n_nets), and of each net whether losses and
        parameters are numbers; if not, it keeps the parameters that it had before. Last, of how
        many targets the losses are means, of the same shape, or None if of all.
        """
        some = self.nets[min(self.live)]
        if fingerprint(structure(some.module_)) != self.form:
            raise NotStackableError("its module changes attributes of its own between epochs")
        self._copy_in()
        self._take_losses()
        self._take_settings()
        bounds, losses, known = loaders[0]._bounds(), [], []
        epoch = StackedBatches(loaders, orders, self.device)
        for first in range(0, len(bounds), AT_ONCE):
            part = bounds[first : first + AT_ONCE]
            for batch in epoch.batches(part):
                for tell in before_batch:
                    tell()
                if before_batch or after_batch:
                    self._take_settings()
                losses.append(self._take_step(batch))
                if (are_known := some._known(batch[1])) is not None:
                    known.append(are_known.flatten(start_dim=1).sum(dim=1))
                for tell in after_batch:
                    tell()
        self._share_state()
        losses = torch.stack(losses)
        is_finite = losses.isfinite().all(dim=0)
        for values in self.values:
            is_finite = is_finite & values.isfinite().all(dim=1)
        is_finite = is_finite.tolist()
        self._copy_out(is_finite)
        return losses, is_finite, torch.stack(known) if known else None

    @torch.no_grad()
    def _take_step(self, batch):
        if not self.is_proven:
            for row in {min(self.live), max(self.live)}:
                check_as_alone(
                    self.step, self.parameters, self.buffers, batch, row, self.nets[row]
                )
            self.is_proven = True
        losses, gradients = self.step(self.parameters, self.buffers, batch)
        copy_into(self.gradients.values(), gradients)
        self.optimizer.step()
        return losses

    def _take_losses(self):
        """Stack the nets' losses, if they are others than before."""
        current = [net.criterion_ for net in self.nets]
        if self.step is not None and all(current[net] is self.losses[net] for net in self.live):
            return
        self.losses, stacked, start = current, [], 0
        for _, run in groupby(current, key=kind_of_loss):
            stacked.append(StackedLoss(list(run), start))
            start = stacked[-1].nets.stop
        self.step = StackedStep(self.nets[0].module_, stacked)

    # ------------------------------------------------------------------ the way out

    def release(self, *rows):
        """Let nets go: their rows go on for nothing."""
        for row in rows:
            del self.live[row]
            learned = self.nets[row].optimizer_.state
            for parameter, state in learned.items():
                learned[parameter] = {name: value.clone() for name, value in state.items()}


def _stacked(states):
    """Return what optimizers have learned as one state, of which numbers of steps are shared."""
    return {
        name: value.clone() if value.ndim == 0 else torch.stack([state[name] for state in states])
        for name, value in states[0].items()
    }


def _learns(parameter):
    return parameter.requires_grad


def _settings(net, number):
    group = net.optimizer_.param_groups[number]
    return {name: value for name, value in group.items() if name != "params"}


def _tensors_of(module):
    return dict(module.named_parameters()) | dict(module.named_buffers())


def _constants_of(module):
    frozen = {name: p for name, p in module.named_parameters() if not p.requires_grad}
    return frozen | dict(module.named_buffers())
