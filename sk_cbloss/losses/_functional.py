"""The losses as pure functions: logits (N, C) and target (N,) in, one loss a sample out.

The plain log-space forms below are the definition of every loss.
"""

import torch
import torch.nn.functional as F

NO_TARGET = torch.iinfo(torch.int64).min


def softmax(logits, target):
    """Cross entropy of the softmax: ``-log softmax(z)_y``."""
    # Without torch's default, which leaves targets of -100 out in silence.
    return F.cross_entropy(logits, target, reduction="none", ignore_index=NO_TARGET)


def sigmoid(logits, target):
    """Binary cross entropies, one class against the rest, summed over the classes."""
    return -F.logsigmoid(-_log_odds_of_miss(logits, target)).sum(dim=1)


def sigmoid_focal(logits, target, gamma):
    """Binary cross entropies times ``(1 - p_t)**gamma``, summed over the classes."""
    miss = _log_odds_of_miss(logits, target)
    # (1 - p_t)**gamma in log space: the published form overflows below logit -88 in float32, and
    # the power of a rounded 1 - p_t loses the worst positives.
    return -(torch.exp(gamma * F.logsigmoid(miss)) * F.logsigmoid(-miss)).sum(dim=1)


def _log_odds_of_miss(logits, target):
    """Log-odds that each one-vs-rest decision is wrong: -z for the label, z for the others."""
    label = target.unsqueeze(1)
    return logits.scatter(1, label, -logits.gather(1, label))
