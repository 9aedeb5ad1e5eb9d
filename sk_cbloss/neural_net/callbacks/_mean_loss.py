"""The loss of an epoch: a mean over what is known, however it was cut into batches."""

import numpy as np
from skorch.callbacks import PassthroughScoring


class MeanLoss(PassthroughScoring):
    """Average the losses of an epoch's batches, each a mean over the targets that it knows."""

    def get_avg_score(self, history):
        """Return the mean over all targets that are known, 0 if none is."""
        counted = f"{'train' if self.on_train else 'valid'}_n_known", self.name
        try:
            pairs = history[-1, "batches", :, counted]
        except KeyError:  # all are, and it is one over rows
            return super().get_avg_score(history)
        known, losses = zip(*pairs, strict=True)
        return np.average(losses, weights=known) if any(known) else 0.0

    def state_dict(self):
        """Return what it has learned."""
        return {"best_score_": self.best_score_}

    def load_state_dict(self, state):
        """Take back what it had learned."""
        self.best_score_ = state["best_score_"]
