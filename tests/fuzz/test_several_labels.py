"""Several labels a sample: matrices of 0 and 1 of every kind, and nets that learn them."""

import io
import pickle
from itertools import pairwise

import numpy as np
import torch
from fuzz._call import Refused, answer, attempt, law, made
from fuzz._strategies import (
    GOOD_NORMALIZE,
    NO_MATRIX,
    held,
    indicators,
)
from hypothesis import assume
from hypothesis import strategies as st
from sklearn.base import clone

from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedMultiLabelLoss,
    ClassBalancedWeigher,
    class_balanced_label_weight,
    describe_long_tail,
)

N_ROWS = 12
X = np.random.default_rng(0).normal(size=(N_ROWS, 2))
X_NEW = np.random.default_rng(1).normal(size=(5, 2))
Y = np.array([[0, 1, 0], [1, 0, 0], [1, 1, 0], [0, 0, 1]] * 3)
NAMES = [*"dbc"]  # of columns where they have some
BETA = st.sampled_from([0, 0.9, 0.999, 1])
COPIES = st.lists(st.integers(0, 3), min_size=N_ROWS, max_size=N_ROWS).filter(any)


class Zeros(torch.nn.Module):
    """A layer that starts at 0: labels learn by themselves, and their order is none."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.head = torch.nn.Linear(n_features, n_classes)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, x):
        return self.head(x)


def net(**parameters):
    """Return a net of small batches, which takes all its paths."""
    given = {"max_epochs": 2, "batch_size": 5, "random_state": 0, "device": "cpu"}
    return CBNeuralNetClassifier(**given | parameters)


def one_step(**parameters):
    """Return a net that takes one step on all data, from 0."""
    how = {"module": Zeros, "optimizer": torch.optim.SGD, "lr": 1.0, "dtype": "float64"}
    return net(**how | {"max_epochs": 1, "batch_size": -1} | parameters)


def counts_of(values, own=None):
    """Return the numbers of rows, or the sums of their weights, without and with each label."""
    own = np.ones(len(values)) if own is None else np.asarray(own, float)
    return np.stack([own @ (values == 0), own @ (values == 1)], axis=1)


def can_learn(values, own=None):
    return (counts_of(values, own) > 0).all(axis=1).any()


def assert_same(one, other):
    """Hold that both decide alike, to the last bit, and know the same counts."""
    for way in ("decision_function", "predict", "predict_proba"):
        first, second = (answer(getattr(each, way), X_NEW) for each in (one, other))
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(one.class_count_, other.class_count_)


# ---------------------------------------------------------------------- matrices


@law(60, values=indicators(), data=st.data(), beta=BETA, normalize=GOOD_NORMALIZE)
def test_counts_and_weights_are_those_of_each_column(values, data, beta, normalize):
    """Whatever holds it, and whether all is known or not."""
    y, count = data.draw(held(values), label="y"), counts_of(values)
    weigher = ClassBalancedWeigher(beta, normalize=normalize)
    if isinstance(attempt(weigher.fit, None, y), Refused):
        assert not count.sum(axis=1).all()  # a label of which nothing is known
        return
    np.testing.assert_array_equal(weigher.class_count_, count)
    weight = class_balanced_label_weight(
        count[:, 1], count.sum(axis=1), beta=beta, normalize=normalize
    )
    assert np.isfinite(weight).all()
    assert (weight[count == 0] == 0).all()
    np.testing.assert_array_equal(weigher.class_weight_, weight)
    of_each = np.select([values == 0, values == 1], [weight[:, 0], weight[:, 1]], 0.0)
    np.testing.assert_array_equal(answer(weigher.sample_weight, y), of_each)
    given = {"beta": beta, "normalize": normalize}
    loss = answer(ClassBalancedMultiLabelLoss.from_labels, y, **given)
    np.testing.assert_array_equal(loss.weight, weight)


TAKE_MATRICES = {
    "weigher": lambda y: ClassBalancedWeigher().fit(None, y),
    "loss": ClassBalancedMultiLabelLoss.from_labels,
    "describe_long_tail": describe_long_tail,
    "net": lambda y: net().fit(X, y),
    "chunk": lambda y: net(classes=[*"abc"]).partial_fit(X, y),
}


@law(300, taker=st.sampled_from(sorted(TAKE_MATRICES)), y=NO_MATRIX)  # all of them
def test_what_is_no_matrix_of_0_and_1_is_refused(taker, y):
    result = attempt(TAKE_MATRICES[taker], y)
    may_be = taker == "loss" and getattr(made(y), "ndim", 2) == 3  # labels of pixels, say
    assert isinstance(result, Refused) or may_be, f"{taker} took {y}"


# ---------------------------------------------------------------------- nets


@law(30, values=indicators(N_ROWS, 3), data=st.data())
def test_whatever_holds_labels_the_net_is_the_same(values, data):
    assume(can_learn(values))
    one, y = net(), data.draw(held(values), label="y")
    answer(one.fit, X, y)
    assert_same(one, net().fit(X, values))
    right = (one.predict(X) == values) | np.isnan(values)
    some_known = ~np.isnan(values).all(axis=1)
    assert answer(one.score, X, y) == right[some_known].all(axis=1).mean()


@law(
    40,
    values=indicators(N_ROWS, 3),
    own=st.none() | COPIES,
    data=st.data(),
    beta=BETA,
    normalize=GOOD_NORMALIZE,
)
def test_one_step_is_the_formulas(values, own, data, beta, normalize):
    """From logits of 0, each known label pulls by half of its side's weight."""
    count = counts_of(values, own)
    assume((count.sum(axis=1) > 0).all())
    assume(can_learn(values, own))
    one = one_step(beta=beta, normalize=normalize)
    answer(one.fit, X, data.draw(held(values), label="y"), sample_weight=own)
    weight = class_balanced_label_weight(
        count[:, 1], count.sum(axis=1), beta=beta, normalize=normalize
    )
    np.testing.assert_array_equal(one.class_count_, count)
    np.testing.assert_array_equal(one.criterion_.weight, weight)
    own = np.ones(N_ROWS) if own is None else np.array(own)
    known = own[:, None] * ~np.isnan(values)
    pull = np.select([values == 1, values == 0], [weight[:, 1] / 2, -weight[:, 0] / 2], 0.0)
    expected = (X_NEW @ X.T + 1) @ (known * pull) / known.sum()  # 1 is of the bias
    np.testing.assert_allclose(one.decision_function(X_NEW), expected, rtol=1e-9, atol=1e-12)


@law(
    25,
    values=indicators(N_ROWS, 4),
    order=st.permutations(range(4)),
    gamma=st.sampled_from([0, 2, (4, 0), (0.5, 1)]),
    tau=st.sampled_from([0, 0.5]),
)
def test_the_order_of_labels_is_none_and_labels_of_one_side_are_no_nan(values, order, gamma, tau):
    assume(can_learn(values))
    how = {"module": Zeros, "gamma": gamma, "criterion__tau": tau, "dtype": "float64"}
    one, other = (net(**how).fit(X, values[:, columns]) for columns in (range(4), order))
    scores, natural = one.decision_function(X_NEW), one.predict_natural_proba(X_NEW)
    np.testing.assert_allclose(
        other.decision_function(X_NEW), scores[:, order], rtol=1e-9, atol=1e-12
    )
    np.testing.assert_array_equal(other.class_count_, one.class_count_[order])
    torch.testing.assert_close(other.criterion_.weight, one.criterion_.weight[order])
    assert np.isfinite(scores).all()
    assert ((natural >= 0) & (natural <= 1)).all()
    without, with_it = one.class_count_.T
    assert not natural[:, with_it == 0].any()
    assert (natural[:, (without == 0) & (with_it > 0)] == 1).all()
    assert (one.criterion_.weight.numpy()[one.class_count_ == 0] == 0).all()


@law(25, values=indicators(N_ROWS, 3), own=COPIES, gamma=st.sampled_from([0, 2, (4, 0)]))
def test_weight_2_is_two_copies_and_0_is_none(values, own, gamma):
    assume(can_learn(values, own))
    how, rows = {"gamma": gamma, "max_epochs": 3}, np.repeat(np.arange(N_ROWS), own)
    weighted = one_step(**how).fit(X, values, sample_weight=own)
    copies = one_step(**how).fit(X[rows], values[rows])
    np.testing.assert_array_equal(weighted.class_count_, copies.class_count_)
    np.testing.assert_allclose(
        weighted.decision_function(X_NEW), copies.decision_function(X_NEW), rtol=1e-7, atol=1e-10
    )


@law(
    25,
    values=indicators(N_ROWS, 3),
    cuts=st.lists(st.integers(0, N_ROWS), max_size=3),
    data=st.data(),
)
def test_chunks_count_what_the_whole_does(values, cuts, data):
    """However they are cut, into empty chunks too, and whatever holds each."""
    first = next(stop for stop in [*sorted(cuts), N_ROWS] if stop)
    assume(not np.isnan(values[:first]).all())  # of which there is nothing to learn
    one, weigher = net(beta=0.9), ClassBalancedWeigher(0.9, normalize="classes")
    for start, stop in pairwise([0, *sorted(cuts), N_ROWS]):
        chunk = values[start:stop]
        y = data.draw(held(chunk), label="chunk") if len(chunk) > 1 else chunk
        answer(one.partial_fit, X[start:stop], y, classes=NAMES)
        answer(weigher.partial_fit, None, y)
    assert one.classes_.tolist() == NAMES
    for each in (one, weigher):
        np.testing.assert_array_equal(each.class_count_, counts_of(values))
    if can_learn(values):
        np.testing.assert_allclose(one.criterion_.weight, weigher.class_weight_, rtol=1e-6)


OWN_PARAMETERS = {
    "beta": BETA | st.none(),
    "gamma": st.sampled_from([0, 1.5, (4, 0)]),
    "normalize": GOOD_NORMALIZE,
    "loss": st.sampled_from([None, "multi_label"]),
    "classes": st.sampled_from([None, NAMES]),
    "batch_size": st.sampled_from([1, 5, -1]),
    "early_stopping": st.booleans(),
    "dtype": st.sampled_from(["float32", "float64"]),
}
PARAMETERS = OWN_PARAMETERS | {
    "criterion__label_smoothing": st.floats(0, 1),
    "criterion__tau": st.floats(0, 2),
    "optimizer__weight_decay": st.sampled_from([0.0, 0.1]),
}


@law(
    25,
    values=indicators(N_ROWS, 3),
    given=st.fixed_dictionaries({}, optional=PARAMETERS),
    other=st.fixed_dictionaries({}, optional=OWN_PARAMETERS),
)
def test_copies_are_the_same(values, given, other):
    """By parameters, whatever was set and fitted before, pickled, and by a file of parameters."""
    assume(can_learn(values))
    one, used = net(**given), net(**other)
    if isinstance(attempt(one.fit, X, values), Refused):  # what early stopping has left
        return
    attempt(used.fit, X, Y)
    parameters = one.get_params(deep=False)
    for copy in (clone(one), net(**other).set_params(**parameters), used.set_params(**parameters)):
        assert copy.get_params(deep=False) == parameters
        assert_same(copy.fit(X, values), one)
    assert_same(pickle.loads(pickle.dumps(one)), one)
    file = io.BytesIO()
    one.save_params(f_params=file)
    file.seek(0)
    loaded = clone(one).fit(X, Y)
    loaded.load_params(f_params=file)
    np.testing.assert_array_equal(loaded.decision_function(X_NEW), one.decision_function(X_NEW))
