"""Predictions are decided batch by batch, and what is asked for is held once."""

import tracemalloc

import numpy as np
import pytest
import torch
from skorch.callbacks import EpochScoring
from torch import nn
from torch.utils.data import TensorDataset

from sk_cbloss import CBNeuralNetClassifier
from sk_cbloss.neural_net import _course, _prediction

N, N_CLASSES = 8_000, 500
ONCE = N * N_CLASSES * 4  # bytes of all logits
SOME = ONCE / 5  # of a few batches, beside what is asked for

RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, 4)).astype(np.float32)
Y = np.arange(N) % N_CLASSES
DATASET = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
KINDS = {"table": X, "images": X.reshape(-1, 4, 1, 1), "dataset": DATASET, "dict": {"x": X}}


class Wide(nn.Module):
    """Many outputs, in memory of numpy's, which tracemalloc sees."""

    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(4, n_classes)

    def forward(self, x):
        logits = self.head(x.flatten(1))
        if self.training:
            return logits
        held = torch.from_numpy(np.empty(logits.shape, dtype=np.float32))
        return held.copy_(logits)


class Wide2(Wide):
    """The same, and something else beside it."""

    def forward(self, x):
        return super().forward(x), x.new_ones(len(x))


def make_net(**parameters):
    given = {"module": Wide, "max_epochs": 1, "batch_size": 64, "random_state": 0}
    return CBNeuralNetClassifier(**given | {"device": "cpu"} | parameters)


@pytest.fixture(
    params=[{}, {"loss": "logit_adjusted"}, {"criterion": nn.CrossEntropyLoss}], ids=str
)
def net(request):
    return make_net(max_epochs=0, **request.param).fit(X, Y)


def peak_of(call):
    """Return the bytes that a call takes at most, with what it returns."""
    call()
    tracemalloc.start()
    try:
        result = call()
        return tracemalloc.get_traced_memory()[1], result
    finally:
        tracemalloc.stop()


# ---------------------------------------------------------------------- what is held


@pytest.mark.parametrize("kind", KINDS)
def test_labels_need_no_table_of_logits(net, kind):
    given = KINDS[kind]
    peak, predicted = peak_of(lambda: net.predict(given))
    assert peak < SOME
    logits = net.forward(given)
    np.testing.assert_array_equal(predicted, net.classes_[logits.argmax(dim=1)])


def test_a_score_needs_no_table_of_logits(net):
    peak, score = peak_of(lambda: net.score(X, Y))
    assert peak < SOME
    assert score == np.mean(net.predict(X) == Y)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("ask", ["decision_function", "predict_proba", "predict_log_proba"])
def test_a_table_of_numbers_is_held_once(net, ask, kind):
    peak, table = peak_of(lambda: getattr(net, ask)(KINDS[kind]))
    assert table.nbytes == ONCE
    assert peak < ONCE + SOME


@pytest.mark.parametrize("scoring", [None, "accuracy", "f1_macro", "recall_macro"])
def test_an_epochs_scores_of_labels_need_no_table_of_logits(scoring):
    def fit(**parameters):
        scores = EpochScoring(scoring, name="score", lower_is_better=False)
        net = make_net(callbacks=[scores], early_stopping=True, **parameters)
        return net.fit(X, Y, X_val=X, y_val=Y).history[-1]

    peak, last = peak_of(fit)
    assert peak < SOME
    plain = fit(use_caching=False)
    for name in ("score", "valid_balanced_accuracy"):
        assert last[name] == plain[name]


def test_an_epochs_scores_of_probabilities_have_them(monkeypatch):
    def fit(scoring, **parameters):
        scores = EpochScoring(scoring, name="score", on_train=True)
        return make_net(callbacks=[scores], **parameters).fit(X, Y).history[-1, "score"]

    decided, log_loss = fit("accuracy"), fit("neg_log_loss")
    assert -20 < log_loss < 0
    monkeypatch.setattr(_course, "keep_decisions_alone", lambda net: None)
    assert fit("accuracy") == decided
    assert fit("neg_log_loss") == log_loss


def test_scores_of_a_net_that_decides_by_itself():
    class Cautious(CBNeuralNetClassifier):
        def predict(self, X):
            return self.classes_[np.where(self.predict_proba(X).max(axis=1) < 1.1, 3, 0)]

    net = Cautious(Wide, max_epochs=1, device="cpu", random_state=0)
    net.fit(X, Y, X_val=X[:50], y_val=np.full(50, 3))
    assert net.history[-1, "valid_balanced_accuracy"] == 1


# ---------------------------------------------------------------------- who has a say


def test_hooks_of_a_subclass_and_of_the_user_act():
    class Fewer(CBNeuralNetClassifier):
        def forward_iter(self, X, training=False, device="cpu"):
            for logits in super().forward_iter(X, training=training, device=device):
                logits[:, 5:] = -100
                yield logits

    class Whole(CBNeuralNetClassifier):
        def forward(self, X, training=False, device="cpu"):
            logits = super().forward(X, training=training, device=device)
            assert len(logits) == N
            logits[:, 5:] = -100
            return logits

    given = {"max_epochs": 0, "device": "cpu", "random_state": 0}
    plain = CBNeuralNetClassifier(Wide, **given).fit(X, Y)
    logits = plain.decision_function(X)[:, :5]
    for kind in (Fewer, Whole):
        net = kind(Wide, **given).fit(X, Y)
        np.testing.assert_allclose(net.decision_function(X)[:, :5], logits, rtol=1e-4, atol=1e-6)
        np.testing.assert_array_equal(net.predict(X), logits.argmax(axis=1))
        np.testing.assert_allclose(net.predict_proba(X)[:, 5:], 0, atol=1e-12)


def test_a_nonlinearity_of_the_users_acts():
    net = make_net(max_epochs=0, predict_nonlinearity=lambda logits: 0 * logits + 0.25).fit(X, Y)
    assert (net.predict_proba(X) == 0.25).all()
    np.testing.assert_allclose(net.predict_log_proba(X), np.log(0.25), rtol=1e-6)
    np.testing.assert_array_equal(net.predict(X), net.decision_function(X).argmax(axis=1))


@pytest.mark.parametrize("module", [Wide, Wide2])
@pytest.mark.parametrize("criterion", [None, nn.CrossEntropyLoss])
def test_the_first_of_several_outputs_counts(module, criterion):
    net = make_net(module=module, max_epochs=0, criterion=criterion).fit(X, Y)
    for given in (X, {"x": X}):
        assert net.predict(given).shape == (N,)
        assert net.predict_proba(given).shape == net.decision_function(given).shape


@pytest.mark.parametrize("size", [1, 7, 64, 7999, 8000, 5000])
def test_rows_are_those_of_one_batch(size, monkeypatch):
    net = make_net(max_epochs=0).fit(X, Y)
    expected = net.predict_proba(X)
    for parameters in ({"iterator_valid__batch_size": size}, {"batch_size": size}):
        monkeypatch.setattr(_prediction, "NUMBERS", 0)
        one = make_net(max_epochs=0, **parameters).fit(X, Y)
        np.testing.assert_allclose(one.predict_proba(X), expected, rtol=1e-5)
        np.testing.assert_array_equal(one.predict(X), expected.argmax(axis=1))


def test_batches_of_more_or_fewer_rows_than_there_are():
    net = make_net(max_epochs=0, iterator_valid__drop_last=True, batch_size=600).fit(X, Y)
    assert len(net.predict(X)) == len(net.predict_proba(X)) == 7800
    with pytest.raises(
        ValueError, match="^out must have as many rows .* 8000 for batches of 7800"
    ):
        net.predict_proba(X, out=np.empty((N, N_CLASSES)))

    class Twice(CBNeuralNetClassifier):
        def forward_iter(self, X, training=False, device="cpu"):
            for _ in range(2):
                yield from super().forward_iter(X, training=training, device=device)

    net = Twice(Wide, max_epochs=0, device="cpu", random_state=0).fit(X, Y)
    both = net.predict_proba(X)
    assert both.shape == (2 * N, N_CLASSES)
    np.testing.assert_array_equal(both[:N], both[N:])
    with pytest.raises(
        ValueError, match="^out must have as many rows .* 8000 for batches of more"
    ):
        net.predict_proba(X, out=np.empty((N, N_CLASSES)))


# ---------------------------------------------------------------------- out

ASKS = ["decision_function", "predict_proba", "predict_log_proba", "predict_natural_proba"]


@pytest.mark.parametrize("ask", ASKS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_predictions_are_written_to_a_given_array(ask, dtype, tmp_path):
    net = make_net(max_epochs=0).fit(X, Y)
    expected = getattr(net, ask)(X).astype(dtype)
    array = np.full((N, N_CLASSES), np.nan, dtype=dtype)
    mapped = np.lib.format.open_memmap(tmp_path / "out.npy", "w+", dtype, array.shape)
    for out in (array, mapped):
        peak, made = peak_of(lambda out=out: getattr(net, ask)(X, out=out))
        assert made is out
        assert peak < SOME
        np.testing.assert_array_equal(made, expected)
    mapped.flush()
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


def test_two_classes_have_one_column_of_margins():
    net = make_net(max_epochs=0).fit(X, Y % 2)
    expected, out = net.decision_function(X), np.empty(N)
    assert net.decision_function(X, out=out) is out
    np.testing.assert_array_equal(out, expected)


def read_only():
    out = np.empty((N, N_CLASSES))
    out.flags.writeable = False
    return out


@pytest.mark.parametrize(
    ("out", "got"),
    [
        (np.empty((N, 3)), r"got float64 of shape \(8000, 3\)"),
        (np.empty((N - 1, N_CLASSES)), r"got float64 of shape \(7999, 500\)"),
        (np.empty(N), r"got float64 of shape \(8000,\)"),
        (np.empty((N, N_CLASSES), dtype=int), r"got int64 of shape \(8000, 500\)"),
        (np.empty((N, N_CLASSES), dtype=complex), r"got complex128 of"),
        (read_only(), r"got read-only float64 of"),
        ([[0.0]], "got list"),
        (torch.empty(N, N_CLASSES), "got Tensor"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
@pytest.mark.parametrize("criterion", [None, nn.CrossEntropyLoss])
def test_an_array_that_predictions_cannot_be_written_to(criterion, out, got):
    net = make_net(max_epochs=0, criterion=criterion).fit(X, Y)
    said = rf"^out must be an array .* written to and has shape \(8000, 500\), {got}"
    with pytest.raises(ValueError, match=said):
        net.predict_proba(X, out=out)
    assert net.predict_proba(X).shape == (N, N_CLASSES)
