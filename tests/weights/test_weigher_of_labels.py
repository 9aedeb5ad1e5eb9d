"""ClassBalancedWeigher where samples have several labels."""

import pickle
import warnings
from functools import reduce

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse
import torch
from sklearn.utils.class_weight import compute_sample_weight

from sk_cbloss import (
    ClassBalancedWeigher,
    class_balanced_label_weight,
    class_balanced_sample_weight,
    effective_number,
)

RNG = np.random.default_rng(0)
Y = (RNG.random((60, 4)) < [0.5, 0.2, 0.1, 0.03]).astype(int)
Y[0] = 1
NAMES = ["a", "b", "c", "d"]
OF_DUPLICATES = scipy.sparse.coo_array(
    (np.r_[np.ones(Y.sum()), 0.0], [np.r_[axis, 3] for axis in np.nonzero(Y)]), shape=Y.shape
)
UNKNOWN = np.where(RNG.random(Y.shape) < 0.3, np.nan, Y)

MATRICES = {
    "int64": Y,
    "int8": Y.astype(np.int8),
    "bool": Y.astype(bool),
    "float32": Y.astype(np.float32),
    "object": Y.astype(object),
    "fortran": np.asfortranarray(Y),
    "list": Y.tolist(),
    "list of arrays": list(Y),
    "csr": scipy.sparse.csr_matrix(Y),
    "csc": scipy.sparse.csc_array(Y),
    "csr of bools": scipy.sparse.csr_array(Y.astype(bool)),
    "coo with a stored 0": OF_DUPLICATES,
    "DataFrame": pd.DataFrame(Y),
    "DataFrame with names": pd.DataFrame(Y, columns=NAMES),
    "nullable DataFrame": pd.DataFrame(Y, columns=NAMES).astype("boolean"),
    "sparse DataFrame": pd.DataFrame.sparse.from_spmatrix(scipy.sparse.csr_matrix(Y)),
    "polars": pl.DataFrame(Y, schema=NAMES),
    "table with names": pa.table(dict(zip(NAMES, Y.T, strict=True))),
    "list of tensors": list(torch.from_numpy(Y)),
    "torch": torch.from_numpy(Y),
    "torch bfloat16": torch.from_numpy(Y).bfloat16(),
    "torch sparse": torch.from_numpy(Y).to_sparse(),
    "torch sparse bfloat16": torch.from_numpy(Y).bfloat16().to_sparse(),
    "torch sparse in one dimension": torch.from_numpy(Y).to_sparse(1),
    "list of bfloat16 tensors": list(torch.from_numpy(Y).bfloat16()),
}
each_matrix = pytest.mark.parametrize("kind", MATRICES)


@each_matrix
def test_matrices_of_any_kind(kind):
    y = MATRICES[kind]
    before = pickle.dumps(y)
    weigher = ClassBalancedWeigher(0.9).fit(None, y)
    positive = Y.sum(axis=0)
    np.testing.assert_array_equal(
        weigher.class_count_, np.stack([60 - positive, positive], axis=1)
    )
    named = "names" in kind or kind in ("nullable DataFrame", "polars")
    assert weigher.classes_.tolist() == (NAMES if named else [0, 1, 2, 3])
    expected = class_balanced_label_weight(positive, 60, beta=0.9, normalize="samples")
    np.testing.assert_array_equal(weigher.class_weight_, expected)
    np.testing.assert_array_equal(
        weigher.effective_number_, effective_number(weigher.class_count_, beta=0.9)
    )
    weight = weigher.sample_weight(y)
    np.testing.assert_array_equal(weight, np.where(Y == 1, expected[:, 1], expected[:, 0]))
    assert weigher.sample_weight(y, dtype=np.float32).dtype == np.float32
    assert pickle.dumps(y) == before


@pytest.mark.parametrize("normalize", ["samples", "classes", None])
@pytest.mark.parametrize("beta", [0, 0.9, 1])
def test_each_column_is_weighed_as_labels_are(normalize, beta):
    weight = ClassBalancedWeigher(beta, normalize=normalize).fit(None, Y).sample_weight(Y)
    for column, label in zip(weight.T, Y.T, strict=True):
        expected = class_balanced_sample_weight(label, beta=beta, normalize=normalize)
        np.testing.assert_allclose(column, expected, rtol=1e-14)
        if beta == 1 and normalize == "samples":
            np.testing.assert_allclose(column, compute_sample_weight("balanced", label))


@pytest.mark.parametrize("kind", ["int64", "csr"])
def test_weight_2_means_two_copies(kind):
    own = RNG.integers(0, 4, 60)
    weighted = ClassBalancedWeigher(0.9).fit(None, MATRICES[kind], sample_weight=own)
    copies = ClassBalancedWeigher(0.9).fit(None, np.repeat(Y, own, axis=0))
    np.testing.assert_array_equal(weighted.class_count_, copies.class_count_)


@pytest.mark.parametrize("make", [np.asarray, scipy.sparse.csr_array])
def test_rounding_leaves_no_side_that_has_no_samples(make):
    """Sums of weights in two orders differ, and their difference is no sample."""
    own = RNG.random(60)
    y = np.c_[np.ones(60), np.zeros(60), Y[:, 0]]
    own[7] = 0
    y[7, :2] = [0, 1]
    weigher = ClassBalancedWeigher(1).fit(None, make(y), sample_weight=own)
    assert weigher.class_count_[0, 0] == weigher.class_count_[1, 1] == 0
    np.testing.assert_allclose(weigher.class_count_.sum(axis=1), own.sum())
    np.testing.assert_array_equal(weigher.class_weight_ > 0, [[0, 1], [1, 0], [1, 1]])


@pytest.mark.parametrize("kind", ["int64", "csr", "DataFrame with names"])
def test_chunks_add_up_and_merge(kind):
    y = MATRICES[kind]
    cut = y.iloc if hasattr(y, "iloc") else y
    whole = ClassBalancedWeigher(0.9).fit(None, y)
    bounds = [(0, 2), (2, 2), (2, 41), (41, 60)]
    chunked = ClassBalancedWeigher(0.9)
    for start, stop in bounds:
        chunked.partial_fit(None, cut[start:stop])
    parts = [ClassBalancedWeigher(0.9).fit(None, cut[a:b]) for a, b in bounds if a < b]
    merged = reduce(ClassBalancedWeigher.merge, [ClassBalancedWeigher(0.9), *parts])
    for other in (chunked, merged, parts[0].merge(ClassBalancedWeigher()), pickled(whole)):
        assert other.classes_.tolist() == whole.classes_.tolist()
    for other in (chunked, merged, pickled(whole)):
        np.testing.assert_array_equal(other.class_count_, whole.class_count_)
        np.testing.assert_array_equal(other.sample_weight(y), whole.sample_weight(y))


def pickled(estimator):
    return pickle.loads(pickle.dumps(estimator))


@pytest.mark.parametrize(
    "make", [np.asarray, pd.DataFrame, lambda y: pd.DataFrame(y).astype("Int8"), torch.tensor]
)
def test_what_is_not_known_counts_on_neither_side(make):
    y = make(UNKNOWN)
    known = ~np.isnan(UNKNOWN)
    weigher = ClassBalancedWeigher(0.9).fit(None, y)
    positive = np.nansum(UNKNOWN, axis=0)
    expected = class_balanced_label_weight(
        positive, known.sum(axis=0), beta=0.9, normalize="samples"
    )
    np.testing.assert_array_equal(weigher.class_weight_, expected)
    weight = weigher.sample_weight(y)
    assert (weight[~known] == 0).all()
    np.testing.assert_allclose(weight.sum(axis=0), known.sum(axis=0))


def test_a_label_that_no_sample_has():
    y = np.c_[Y, np.zeros(60), np.ones(60)]
    weight = ClassBalancedWeigher(1).fit(None, y).class_weight_
    np.testing.assert_array_equal(weight[4:], [[1, 0], [0, 1]])
    assert np.isfinite(weight).all()


def test_more_samples_than_a_chunk():
    y = RNG.random((40_000, 50)) < np.linspace(0.001, 0.9, 50)
    own = RNG.random(40_000)
    dense = ClassBalancedWeigher(0.99).fit(None, y, sample_weight=own)
    sparse = ClassBalancedWeigher(0.99).fit(None, scipy.sparse.csr_array(y), sample_weight=own)
    np.testing.assert_allclose(dense.class_count_, sparse.class_count_, rtol=1e-12)
    np.testing.assert_allclose(dense.class_count_[:, 1], own @ y, rtol=1e-12)
    np.testing.assert_array_equal(
        dense.sample_weight(y), dense.sample_weight(scipy.sparse.csr_array(y))
    )


def test_a_single_column_is_one_label_a_sample():
    """As scikit-learn has it, whose MultiOutputClassifier cuts a sparse y into such columns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ClassBalancedWeigher().fit(None, Y[:, :1]).class_count_
    found = ClassBalancedWeigher().fit(None, scipy.sparse.csr_array(Y[:, :1])).class_count_
    np.testing.assert_array_equal(found, expected)


BINARIZE = r"sets of labels go through sklearn\.preprocessing\.MultiLabelBinarizer\.$"


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y + 1, rf"y must hold 0 and 1, a column for each label, got 2: {BINARIZE}"),
        (Y - 0.5, rf"y must hold 0 and 1, a column for each label, got -?0\.5: {BINARIZE}"),
        (scipy.sparse.csr_array(2 * Y), rf"y must hold 0 and 1, .* got 2: {BINARIZE}"),
        (scipy.sparse.csr_array(UNKNOWN), "y must hold 0 and 1, .* got nan"),
        ([["a", "b"], ["c", "d"]], rf"y must hold 0 and 1, .* type <U1: {BINARIZE}"),
        (
            [("a", "b"), ("c",)],
            r"y must hold one label a sample, got \('a', 'b'\); multi-label .*",
        ),
        ([{"a"}, set()], r"y must hold one label a sample, got \{'a'\}; .*MultiLabelBinarizer,"),
        (np.array([["a", 1]], dtype=object), rf"y must hold 0 and 1, .* got 'a': {BINARIZE}"),
        (pd.DataFrame(Y[:, :2], columns=["a", "a"]), "y must name each label once, got 'a' twice"),
        (np.zeros((3, 0)), r"y must have a column for each label, got shape \(3, 0\)"),
        (np.ma.masked_equal(Y, 1), "y must not have masked entries, got one at position 0"),
        (np.zeros((0, 3)), "y must hold a label that is known of some sample, got none"),
        (np.full((4, 3), np.nan), "y must hold a label that is known of some sample, got none"),
    ],
)
def test_what_is_no_indicator(y, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        ClassBalancedWeigher().fit(None, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y[:, :3], "y must have a column for each of the 4 known labels, got 3"),
        (Y[:, 0], "y must have a column for each of the 4 known labels, got array"),
        (
            pd.DataFrame(Y, columns=["a", "c", "b", "d"]),
            "y must have the columns of the known labels, in their order, got 'c' in the place ",
        ),
    ],
)
def test_other_columns(y, message):
    weigher = ClassBalancedWeigher().fit(None, MATRICES["DataFrame with names"])
    before = weigher.class_count_
    with pytest.raises(ValueError, match=f"^{message}"):
        weigher.sample_weight(y)
    if np.ndim(y) == 2:
        with pytest.raises(ValueError, match=f"^{message}"):
            weigher.partial_fit(None, y)
    assert weigher.class_count_ is before
    np.testing.assert_array_equal(weigher.sample_weight(Y), weigher.sample_weight(MATRICES["csr"]))


def test_one_label_in_some_chunks_and_several_in_others():
    of_labels = ClassBalancedWeigher().fit(None, Y)
    of_classes = ClassBalancedWeigher().fit(None, Y[:, 0])
    for one, other in [(of_labels, of_classes), (of_classes, of_labels)]:
        with pytest.raises(ValueError, match="^y must be the same in every chunk, .* got both"):
            one.merge(other)
    with pytest.raises(ValueError, match="^y must be the same in every chunk"):
        of_classes.partial_fit(None, Y)
    with pytest.raises(ValueError, match="^y should be a 1d array"):
        of_classes.sample_weight(Y)
    assert of_classes.fit(None, Y).class_count_.shape == (4, 2)


def test_as_many_rows_as_features_have():
    with pytest.raises(ValueError, match="^X and y must have the same number of samples"):
        ClassBalancedWeigher().fit(np.zeros((59, 2)), Y)
    with pytest.raises(ValueError, match=r"^sample_weight must have shape \(60,\)"):
        ClassBalancedWeigher().fit(None, Y, sample_weight=np.ones(59))
