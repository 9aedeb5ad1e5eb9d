"""Pictures, by scikit-learn's protocol of displays.

>>> from sk_cbloss.inspection import TrainingHistoryDisplay
>>> history = [{"train_loss": 0.9, "valid_loss": 1.1}, {"train_loss": 0.4, "valid_loss": 0.8}]
>>> display = TrainingHistoryDisplay(history).plot()
"""

from sk_cbloss.inspection._training_history import TrainingHistoryDisplay

__all__ = ["TrainingHistoryDisplay"]
