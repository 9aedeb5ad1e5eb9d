"""Where MAPIE does the same, its sets are ours."""

import numpy as np
import pytest
from mapie.classification import SplitConformalClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from sk_cbloss import ConformalClassifierCV, make_long_tailed_classification, set_coverage_score

pytestmark = pytest.mark.integrations

CONFIDENCES = [0.5, 0.8, 0.9, 0.95, 0.99]


@pytest.mark.parametrize("seed", range(5))
def test_plain_sets_by_held_out_rows(seed):
    X, y = make_long_tailed_classification(2000, n_classes=5, random_state=seed)
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.3, stratify=y, random_state=0)
    X, X_held_out, y, y_held_out = train_test_split(X, y, stratify=y, random_state=0)
    plain = LogisticRegression(max_iter=1000).fit(X, y)
    theirs = SplitConformalClassifier(plain, CONFIDENCES, conformity_score="lac", prefit=True)
    _, expected = theirs.conformalize(X_held_out, y_held_out).predict_set(X_test)
    expected = np.moveaxis(expected, 2, 0).copy()
    # Ours are never empty.
    best = plain.predict_proba(X_test).argmax(axis=1)
    assert not expected.any(axis=2).all()
    expected[:, np.arange(len(best)), best] = True
    ours = ConformalClassifierCV(plain, method="plain", cv="prefit").fit(X_held_out, y_held_out)
    sets = ours.predict_set(X_test, CONFIDENCES)
    np.testing.assert_array_equal(sets, expected)
    for confidence, each in zip(CONFIDENCES, sets, strict=True):
        covered = each[np.arange(len(y_test)), y_test].mean()
        assert set_coverage_score(y_test, each, classes=ours.classes_) == covered
        assert covered > confidence - 0.06
