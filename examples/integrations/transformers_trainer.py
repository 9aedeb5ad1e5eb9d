"""transformers' Trainer: the sum of losses over ``num_items_in_batch``, which it counts."""

import numpy as np
import torch
from transformers import BertConfig, BertForTokenClassification, Trainer, TrainingArguments

from sk_cbloss import ClassBalancedCrossEntropyLoss

rng = np.random.default_rng(0)
tags = rng.choice(3, p=[0.9, 0.08, 0.02], size=(64, 12))
tags[:, 10:] = -100  # padding, which costs nothing
rows = [{"input_ids": torch.tensor(t.clip(0) + 5), "labels": torch.tensor(t)} for t in tags]

criterion = ClassBalancedCrossEntropyLoss.from_labels(tags, beta=0.99, reduction="sum")


def compute_loss(outputs, labels, num_items_in_batch=None):
    total = criterion(outputs.logits.movedim(-1, 1), labels)  # classes second, as in torch
    return total / ((labels != -100).sum() if num_items_in_batch is None else num_items_in_batch)


small = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 60}
model = BertForTokenClassification(BertConfig(**small, intermediate_size=16, num_labels=3))
how = TrainingArguments("trained", max_steps=4, gradient_accumulation_steps=2, use_cpu=True)
trainer = Trainer(model, how, train_dataset=rows, compute_loss_func=compute_loss)
trainer.train()
