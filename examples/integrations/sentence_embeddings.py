"""sentence-transformers: a frozen encoder, and a balanced head on its embeddings."""

import numpy as np
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import BoW
from sklearn.linear_model import LogisticRegression

from sk_cbloss import LogitAdjustedClassifier

# A bag of words in place of a model that would have to be downloaded.
encoder = SentenceTransformer(modules=[BoW(["late", "lost", "broken", "thanks", "refund"])])
texts = 30 * ["thanks"] + 20 * ["late thanks"] + 3 * ["broken refund"] + 3 * ["lost refund"]
labels = 50 * ["praise"] + 3 * ["broken"] + 3 * ["lost"]

X = encoder.encode(texts, show_progress_bar=False)
head = LogitAdjustedClassifier(LogisticRegression()).fit(X, labels)
print(head.predict(encoder.encode(["lost"], show_progress_bar=False)))
print("recall of the rare ones:", np.mean(head.predict(X[50:]) == labels[50:]))
assert head.predict(encoder.encode(["lost"], show_progress_bar=False)) == ["lost"]
