"""What the losses share that sum a binary loss over the classes."""

import math

from torch import nn

from sk_cbloss.losses import _functional
from sk_cbloss.losses._base import ClassBalancedLoss


class OneVsRestLoss(ClassBalancedLoss):
    """Base of the losses that sum a binary loss over the classes.

    Parameters
    ----------
    weight : tensor of shape (n_classes,), default=None
        Weight of each class, kept as a buffer; None weights all alike.
    reduction : {"mean", "sum", "none"}, default="mean"
        "mean" divides by the number of samples.
    ignore_index : int or None, default=-100
        Samples with this target cost nothing and are not counted; None has all
        count.
    """

    decays_head_bias = False

    @staticmethod
    def prepare_head(head: nn.Linear) -> nn.Linear:
        """Let each class start at a probability of 1 / n_classes.

        Without it, the first steps can diverge where classes are many.

        Parameters
        ----------
        head : torch.nn.Linear
            The last layer, from features to logits.

        Returns
        -------
        torch.nn.Linear
            The same, its bias at the log-odds of 1 / n_classes.
        """
        if head.bias is not None:
            nn.init.constant_(head.bias, -math.log(max(1, len(head.bias) - 1)))
        return head

    def _log_proba(self, logits):
        # In log space: sigmoids of very negative logits are all 0, and 0 / 0 is no probability.
        return _functional.log_softmax(nn.functional.logsigmoid(logits))
