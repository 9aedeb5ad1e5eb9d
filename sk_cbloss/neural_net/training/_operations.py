"""A function of tensors as a list of operations: recorded once, then called without Python.

What Python does between the operations, and what autograd does to know of them, takes longer than
the operations themselves where a net is small. (torch's own ``make_fx`` records the same, but
takes some of what depends on the numbers in the tensors for constants.)
"""

import operator
from functools import partial

import torch
from torch import fx
from torch.fx.node import map_aggregate
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from sk_cbloss.neural_net.training._proof import (
    NUMBERS,
    WAYS_OUT,
    NotCapturableError,
    copied,
    copy_into,
    kept_random_numbers,
)

ATEN = torch.ops.aten
# Another look at the same numbers, wherever these lie.
VIEWS = {ATEN.t.default, ATEN.transpose.int, ATEN.permute.default, ATEN.unsqueeze.default}
# Without autograd, a tensor is what it is detached from.
SAME = {ATEN.detach.default, ATEN.alias.default}
# What autograd makes of the gradient that it starts from.
SCALED = {ATEN.div.Tensor, ATEN.mul.Tensor, ATEN.neg.default, ATEN.expand.default}
# Operations of small nets that torch has under the same name, for the same arguments, where they
# take less to be called. (Others, such as torch.max, take other arguments.)
IN_TORCH = {"addmm", "mm", "t", "relu", "sum", "div", "mul", "add", "sub", "neg", "exp", "log"}
IN_TORCH |= {"tanh", "sigmoid", "gather", "bmm", "baddbmm", "_log_softmax", "_softmax", "where"}
IN_TORCH |= {"_log_softmax_backward_data", "_softmax_backward_data", "log1p", "abs", "sqrt"}
IN_TORCH |= {"index_select", "unsqueeze", "ones_like", "lerp", "pow"}


class Operations:
    """What a function does to tensors, without the function.

    The function takes the inputs and returns a list of tensors. What it reads or changes besides,
    parameters and buffers, is kept where it lies; constants never change. If what it does depends
    on the numbers in the tensors, that is a NotCapturableError.
    """

    def __init__(self, function, kept, inputs, constants=()):
        self.constants = constants
        recorder = _Recorder()
        self.known = [recorder.take(tensor) for tensor in [*constants, *kept]]
        for tensor in inputs:
            recorder.take(tensor)
        with _Blinds(), recorder:
            made = function(*inputs)
        graph = recorder.graph
        graph.output([recorder.nodes[id(tensor)] for tensor in made])
        self.beforehand = _without_detours(graph, self.known, len(constants))
        for node in graph.nodes:
            node.target = _in_torch(node.target)
        graph.eliminate_dead_code()
        self.forward = fx.GraphModule({}, graph).forward

    def bind(self, kept):
        """Return the function of the inputs, for tensors in the place of those kept."""
        value = dict(zip(self.known, [*self.constants, *kept], strict=True))
        with torch.no_grad():
            for node, target, args in self.beforehand:
                value[node] = target(*(value.get(arg, arg) for arg in args))
        made = [value[node] for node, *_ in self.beforehand]
        return partial(self.forward, *made, *self.constants, *kept)


def record(function, kept, inputs, state, constants=()):
    """Return the Operations of a function; neither its state nor random numbers change by it.

    The state is those tensors that are kept which the function changes in place.
    """
    before = copied(state)
    try:
        with kept_random_numbers(inputs[0].device):
            return Operations(function, kept, copied(inputs), constants)
    finally:
        copy_into(state, before)


class _Blinds(TorchFunctionMode):
    """Refuse what takes numbers out of tensors without an operation."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if getattr(function, "__name__", "") in WAYS_OUT:
            raise NotCapturableError(NUMBERS)
        return function(*args, **(kwargs or {}))


class _Recorder(TorchDispatchMode):
    """Write down each operation as it is done, once autograd and vmap have had their say."""

    def __init__(self):
        super().__init__()
        self.graph, self.nodes, self.met = fx.Graph(), {}, []

    def take(self, tensor, node=None):
        node = self.graph.placeholder(f"given_{len(self.met)}") if node is None else node
        self.nodes[id(tensor)] = node
        self.met.append(tensor)  # so that no other gets its id
        return node

    def _node_of(self, value):
        if isinstance(value, torch.Generator):
            raise NotCapturableError("it draws from a generator of its own")
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) not in self.nodes:
            raise NotCapturableError("it uses a tensor that is no parameter or buffer of its own")
        return self.nodes[id(value)]

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if torch.Tag.dynamic_output_shape in operation.tags and not _counts(operation, args):
            raise NotCapturableError("the shapes of its tensors depend on the numbers in others")
        made = operation(*args, **kwargs)
        args, kwargs = map_aggregate((args, kwargs), self._node_of)
        node = self.graph.call_function(operation, args, kwargs)
        several = isinstance(made, list | tuple)
        for place, part in enumerate(made if several else [made]):
            if isinstance(part, torch.Tensor):
                whole = (operator.getitem, (node, place))
                self.take(part, self.graph.call_function(*whole) if several else node)
            elif part is not None and node.all_input_nodes:
                raise NotCapturableError(NUMBERS)
        return made


def _counts(operation, args):
    """Whether rows are taken by their numbers, and not by a mask."""
    if operation is not ATEN.index.Tensor:
        return False
    return all(index is None or index.dtype == torch.int64 for index in args[1])


def _without_detours(graph, known, n_constants):
    """Drop what does nothing, and make inputs of what is the same each time; return these."""
    beforehand, first = {}, next(iter(graph.nodes))
    constants, known = set(known[:n_constants]), set(known)
    for node in list(graph.nodes):
        source, target = node.args[0] if node.args else None, node.target
        is_constant = target in SCALED and constants.issuperset(node.all_input_nodes)
        if target in SAME:
            node.replace_all_uses_with(source)
        elif target is ATEN.t.default and source.target is target:
            node.replace_all_uses_with(source.args[0])
        elif target is ATEN.t.default and beforehand.get(source, [None])[0] is target:
            node.replace_all_uses_with(beforehand[source][1][0])
        elif is_constant or (target in VIEWS and source in known):
            with graph.inserting_before(first):
                made = graph.placeholder(f"known_{len(beforehand)}")
            beforehand[made] = target, node.args
            if is_constant:
                constants.add(made)
            node.replace_all_uses_with(made)
        else:
            continue
        graph.erase_node(node)
    return [(node, *how) for node, how in beforehand.items()]


def _in_torch(operation):
    """Return torch's own function for an operation, if it is the same."""
    if operation is ATEN.view.default:
        return torch.Tensor.view
    name = getattr(operation, "__name__", "").partition(".")[0]
    return getattr(torch, name) if name in IN_TORCH else operation
