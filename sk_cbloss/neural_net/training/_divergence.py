"""What to do when the loss is no number any more."""

import math
from contextlib import suppress

import torch
from skorch.dataset import unpack_data
from torch import nn
from torch.nn.parameter import is_lazy

from sk_cbloss.neural_net.data import arrays_of, split_sample_weight
from sk_cbloss.neural_net.state import copy_of_state, uncompiled


class DivergenceGuard:
    """Keep the parameters at hand that an epoch starts with, in case its losses diverge."""

    def __init__(self, net, iterator):
        self.net, self.iterator = net, iterator
        self.n_checked = 0
        parts = net._learning_parts()
        if _are_finite(parts):
            state = {name: copy_of_state(part.state_dict()) for name, part in parts.items()}
            net._call.finite, net._call.finite_epoch = state, len(net.history) - 1

    def check(self, losses):
        """Raise a FloatingPointError, the parameters put back, if a new loss is not finite.

        Of several ranks, losses become the mean.
        """
        ranks, start = self.net._call.ranks, self.n_checked
        new = losses[start:]
        if ranks.n_ranks > 1:
            losses[start:] = new = ranks.means(new)
        self.n_checked = len(losses)
        if new and not (finite := torch.stack(new).isfinite()).all():
            first = start + int(finite.int().argmin())
            self._stop(f"a loss of {losses[first].item()} in batch {first + 1}")

    def finish(self, losses):
        """Check the last losses, and what the last step has made of the parameters."""
        self.check(losses)
        if not _are_finite(self.net._learning_parts()):
            self.stop(losses)
        self.net._call.n_epochs_learned += 1

    def stop(self, losses):
        """Raise a FloatingPointError for parameters that are not finite although losses are."""
        self._stop(f"parameters that are not after batch {len(losses)}")

    def _stop(self, found):
        net, call, cause = self.net, self.net._call, self._likely_cause()
        for name, part in net._learning_parts().items():
            if name in call.finite:
                part.load_state_dict(call.finite[name])
        net._forget_steps()
        call.has_diverged = True
        kept = "is as it was before"
        if call.finite_epoch:
            kept = f"has the parameters of epoch {call.finite_epoch} again"
        if not call.finite:
            kept = "had none that were"
        raise FloatingPointError(
            f"Losses and parameters must be finite in training, got {found} of epoch "
            f"{len(net.history)}. The net {kept}. Likely cause: {cause}"
        )

    def _likely_cause(self):
        net = self.net
        if net.autocast == "float16":
            return "numbers above 65504, the largest in float16; autocast='bfloat16' takes them."
        if isinstance(uncompiled(net.criterion_), nn.NLLLoss):
            return (
                "criterion=NLLLoss, for which skorch has the module return probabilities; "
                "CrossEntropyLoss takes logits."
            )
        largest, has_unknown = self._first_batch()
        if has_unknown and not net._loss_is_ours:
            return (
                "labels that are not known, NaN in y, which "
                f"criterion={type(uncompiled(net.criterion_)).__name__} counts; "
                "loss='multi_label' leaves them out."
            )
        if not math.isfinite(largest):
            return "features that are not finite; those of a Dataset are not checked before."
        if largest > 1e3:
            return f"features as large as {largest:.3g}; scale them, as StandardScaler does."
        weight = getattr(net.criterion_, "weight", None)
        if weight is not None and weight.max() > 10:
            return (
                f"a class weight of {weight.max():.3g}, which acts as a learning rate; "
                "normalize='classes', a smaller beta or a smaller lr helps."
            )
        return (
            f"the learning rate, lr={net.lr:g}; try a tenth of it, or clip gradients with "
            "skorch.callbacks.GradientNormClipping."
        )

    def _first_batch(self):
        """Return the largest feature, and whether a target is not known."""
        sizes, has_unknown = [0.0], False
        with suppress(Exception):  # whatever a loader does that is asked out of turn
            batch, target = unpack_data(next(iter(self.iterator)))
            has_unknown = bool((target != target).any())
            for array in arrays_of(split_sample_weight(batch)[0]):
                sizes.append(float(array.abs().max()))
        return max(sizes, key=lambda size: math.inf if math.isnan(size) else size), has_unknown


def _are_finite(parts):
    """Whether all parameters are numbers; a buffer may be infinite, such as a mask."""
    parameters = [p for part in parts.values() for p in part.parameters()]
    if any(map(is_lazy, parameters)):
        return False  # there is nothing yet
    if not parameters or len({p.device for p in parameters}) > 1:
        return all(map(_is_finite, parameters))
    # The sum of all numbers is finite only if each is; else a closer look tells.
    total = sum(p.detach().sum() for p in parameters)
    return _is_finite(total) or all(map(_is_finite, parameters))


def _is_finite(tensor):
    return bool(tensor.isfinite().all())
