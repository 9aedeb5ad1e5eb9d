"""Data to validate on: given to fit, held out for early stopping, or the user's own Dataset."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import recall_score
from skorch.callbacks import Callback, Checkpoint, EarlyStopping
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split

from sk_cbloss import CBNeuralNetClassifier, load_digits_lt
from sk_cbloss.neural_net import Fit, fit_together
from sk_cbloss.neural_net.data._validation_data import hold_out

X, Y = load_digits_lt(return_X_y=True)
X = X / 16
X_TEST, Y_TEST = load_digits_lt("test", return_X_y=True)
X_TEST = X_TEST / 16
NAMES = np.array([f"digit {n}" for n in range(10)])


def make_net(**parameters):
    return CBNeuralNetClassifier(**({"max_epochs": 4, "random_state": 0} | parameters))


class Splits(Callback):
    """Keep the parts that were trained and validated on."""

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **kwargs):
        self.parts_ = dataset_train, dataset_valid


# ---------------------------------------------------------------------- given


def test_given_data_are_validated_on():
    net = make_net().fit(X, NAMES[Y], X_val=X_TEST, y_val=NAMES[Y_TEST])
    score = recall_score(NAMES[Y_TEST], net.predict(X_TEST), average="macro")
    assert net.history_[-1, "valid_balanced_accuracy"] == pytest.approx(score)
    assert "valid_loss" in net.history_[-1]
    np.testing.assert_array_equal(net.class_count_, np.bincount(Y))
    net.partial_fit(X, NAMES[Y], X_val=X_TEST, y_val=NAMES[Y_TEST])
    assert len(net.history_) == 8
    net.partial_fit(X, NAMES[Y])
    assert "valid_loss" not in net.history_[-1]


def test_given_data_take_the_place_of_a_split():
    splits = Splits()
    net = make_net(train_split=ValidSplit(2), callbacks=[("splits", splits)])
    net.fit(X, Y, X_val=X_TEST, y_val=Y_TEST)
    train, valid = dict(net.callbacks_)["splits"].parts_
    assert (len(train), len(valid)) == (len(X), len(X_TEST))


def test_given_data_may_be_a_dataset():
    valid = torch.utils.data.TensorDataset(
        torch.from_numpy(X_TEST).float(), torch.from_numpy(Y_TEST)
    )
    with_dataset = make_net().fit(X, Y, X_val=valid).history_[:, "valid_loss"]
    np.testing.assert_allclose(
        with_dataset, make_net().fit(X, Y, X_val=X_TEST, y_val=Y_TEST).history_[:, "valid_loss"]
    )


@pytest.mark.parametrize(
    ("X_val", "y_val", "message"),
    [
        (X_TEST, None, "y_val must be given beside X_val, got None"),
        (None, Y_TEST, "X_val must be given beside y_val, got None"),
        *(
            (X_val, y_val, f"In the validation data: {message}")
            for X_val, y_val, message in [
                (X_TEST, Y_TEST[:5], "X and y must have the same number .*, got 500 and 5"),
                (X_TEST, Y_TEST + 1, r"y must hold only the known classes, \[0, 1, .*, got 10"),
                (X_TEST, [None] * 500, "y must .*missing"),
                (
                    X_TEST[:, :5],
                    Y_TEST,
                    "X has 5 features, but .* is expecting 64",
                ),
                (X_TEST * np.nan, Y_TEST, "Input X contains NaN"),
                (5, Y_TEST, "X must be an array, .*, got int"),
            ]
        ),
    ],
)
def test_given_data_are_checked_before_training(X_val, y_val, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make_net().fit(X, Y, X_val=X_val, y_val=y_val)


def test_a_wrong_try_is_not_counted():
    net = make_net().partial_fit(X, Y)
    with pytest.raises(ValueError, match="y_val must be given"):
        net.partial_fit(X, Y, X_val=X_TEST)
    np.testing.assert_array_equal(net.class_count_, np.bincount(Y))
    net.partial_fit(X, Y, X_val=X_TEST, y_val=Y_TEST)
    np.testing.assert_array_equal(net.class_count_, 2 * np.bincount(Y))


def fit_stacked(net, X, y):
    fit = Fit(net, X, y, range(len(y)))
    fit_together([fit], max_stack=1)  # or it is left to be fitted alone
    raise fit.error


@pytest.mark.parametrize(
    ("fit", "callback"),
    [
        (CBNeuralNetClassifier.fit, EarlyStopping),
        (CBNeuralNetClassifier.fit, ("best", Checkpoint())),
        (fit_stacked, EarlyStopping()),
    ],
)
def test_a_callback_that_waits_for_validation_data_in_vain(fit, callback):
    message = "^(EarlyStopping|Checkpoint) must have validation data for 'valid_loss.*, got none"
    with pytest.raises(ValueError, match=message):
        fit(make_net(callbacks=[callback]), X, Y)


class Recording(Callback):
    def on_epoch_end(self, net, **kwargs):
        net.history.record("valid_loss", 1.0)


def test_a_callback_may_watch_what_another_records():
    assert make_net(callbacks=[Recording(), EarlyStopping()]).fit(X, Y).history_


def test_a_callback_may_watch_what_there_is():
    assert make_net(callbacks=[EarlyStopping("train_loss")]).fit(X, Y).history_


# ---------------------------------------------------------------------- held out


def test_each_class_that_has_two_samples_gives_one():
    y = np.repeat([0, 1, 2, 3, 4], [100, 14, 5, 2, 1])
    held = hold_out(y, 0.1, np.random.RandomState(0))
    np.testing.assert_array_equal(np.bincount(y[held], minlength=5), [10, 1, 1, 1, 0])
    np.testing.assert_array_equal(held, np.unique(held))
    np.testing.assert_array_equal(
        np.bincount(y[hold_out(y, 0.9, np.random.RandomState(0))]), [90, 13, 4, 1]
    )
    with pytest.raises(ValueError, match="^early_stopping must have a class of two samples"):
        hold_out(np.arange(5), 0.5, np.random.RandomState(0))


def test_each_row_of_a_class_is_held_out_as_often():
    y = np.array([0] * 5 + [1] * 10 + [2] * 2)[[*range(0, 17, 2), *range(1, 17, 2)]]
    held = [hold_out(y, 0.2, np.random.RandomState(seed)) for seed in range(2000)]
    share = np.bincount(np.concatenate(held), minlength=17) / 2000
    np.testing.assert_allclose(share, np.array([1 / 5, 2 / 10, 1 / 2])[y], atol=0.05)


def test_holding_out_draws_once_however_many_classes_there_are():
    class Counting(np.random.RandomState):
        n_draws = 0

        def __getattribute__(self, name):
            if name in ("permutation", "choice", "randint"):
                Counting.n_draws += 1
            return super().__getattribute__(name)

    y = np.arange(20_000) % 5_000
    held = hold_out(y, 0.25, Counting(0))
    assert Counting.n_draws == 1
    assert np.bincount(y[held]).tolist() == [1] * 5_000


def test_more_classes_than_rows_to_hold_out_share_them():
    y = np.concatenate([np.arange(4_000) % 1_000, np.repeat([1_000, 1_001], [300, 700])])
    for fraction in (0.02, 0.1, 0.13):
        whole = hold_out(y, fraction, np.random.RandomState(0))
        pooled = hold_out(y, fraction, np.random.RandomState(0), may_pool=True)
        assert abs(len(pooled) - fraction * 5_000) <= 1 < len(whole) - fraction * 5_000
        for part in (slice(0, 1_000), slice(1_000, 1_002)):  # the rare ones, and the others
            held, count = np.bincount(y[pooled], minlength=1_002)[part], np.bincount(y)[part]
            assert abs(held.sum() - fraction * count.sum()) <= 1
            assert (np.abs(held - fraction * count) < 1).all()
    enough = np.repeat([0, 1], [90, 10])  # classes that all have a row of those to hold out
    one, other = (hold_out(enough, 0.1, np.random.RandomState(0), may_pool=p) for p in (0, 1))
    np.testing.assert_array_equal(one, other)


def test_pooled_rows_are_held_out_as_often_and_never_the_only_one():
    y = np.array([0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 4, 4, 4])
    held = [hold_out(y, 0.15, np.random.RandomState(seed), may_pool=True) for seed in range(4000)]
    assert min(map(len, held)) == 1
    share = np.bincount(np.concatenate(held), minlength=13) / 4000
    np.testing.assert_allclose(share, 0.15 * (y > 0), atol=0.03)
    assert hold_out(y, 1e-6, np.random.RandomState(0), may_pool=True).size == 1
    with pytest.raises(ValueError, match="^early_stopping must have a class of two samples"):
        hold_out(np.arange(5), 0.5, np.random.RandomState(0), may_pool=True)


def test_early_stopping_stops_and_keeps_the_best():
    net = make_net(early_stopping=True, max_epochs=200, n_iter_no_change=5).fit(X, Y)
    scores = np.array(net.history_[:, "valid_balanced_accuracy"])
    assert len(scores) < 200
    best = len(scores) - 5
    assert scores[:best].max() == scores[best - 1]
    assert (scores[best:] <= scores[best - 1] + 1e-4).all()
    same = make_net(early_stopping=True, max_epochs=best).fit(X, Y)
    np.testing.assert_array_equal(net.predict_proba(X_TEST), same.predict_proba(X_TEST))


def test_the_held_out_part_follows_the_seed_and_counts_stay_whole():
    parts = []
    for seed in (0, 0, 1):
        net = make_net(
            early_stopping=True, validation_fraction=0.3, random_state=seed, callbacks=[Splits()]
        ).fit(X, Y)
        train, valid = dict(net.callbacks_)["Splits"].parts_
        assert set(train.indices) | set(valid.indices) == set(range(len(X)))
        assert not set(train.indices) & set(valid.indices)
        np.testing.assert_array_equal(net.class_count_, np.bincount(Y))
        parts.append(valid.indices)
    np.testing.assert_array_equal(parts[0], parts[1])
    assert not np.array_equal(parts[0], parts[2])


def test_early_stopping_may_be_numpys_false():
    assert len(make_net(early_stopping=np.bool_(False)).fit(X, Y).history_) == 4
    assert "valid_loss" in make_net(early_stopping=np.bool_(True)).fit(X, Y).history_[-1]


def test_early_stopping_watches_what_is_given():
    net = make_net(early_stopping=True, max_epochs=100, n_iter_no_change=2)
    net.fit(X, Y, X_val=X_TEST, y_val=Y_TEST)
    scores = net.history_[:, "valid_balanced_accuracy"]
    reached = recall_score(Y_TEST, net.predict(X_TEST), average="macro")
    assert len(scores) < 100
    assert reached == pytest.approx(max(scores), abs=1e-4)


def test_early_stopping_with_a_dataset_and_with_a_split_of_ones_own():
    dataset = torch.utils.data.TensorDataset(torch.from_numpy(X).float(), torch.from_numpy(Y))
    net = make_net(early_stopping=True, module__n_features=64).fit(dataset)
    assert "valid_balanced_accuracy" in net.history_[-1]
    net = make_net(early_stopping=True, train_split=ValidSplit(2), callbacks=[Splits()]).fit(X, Y)
    assert len(dict(net.callbacks_)["Splits"].parts_[1]) == pytest.approx(len(X) / 2, abs=1)


# ---------------------------------------------------------------------- predefined_split


@pytest.mark.parametrize("labels", [np.arange(10), np.arange(10) + 3, NAMES], ids=str)
def test_a_predefined_split_holds_labels(labels):
    valid = Dataset(X_TEST, labels[Y_TEST])
    net = make_net(train_split=predefined_split(valid)).fit(X, labels[Y])
    given = make_net().fit(X, labels[Y], X_val=X_TEST, y_val=labels[Y_TEST])
    for name in ("train_loss", "valid_loss", "valid_balanced_accuracy"):
        assert net.history_[:, name] == given.history_[:, name]


def test_a_predefined_split_of_frames():
    frame = pd.DataFrame(X, columns=[f"pixel {n}" for n in range(64)])
    valid = Dataset(frame[:50], NAMES[Y[:50]])
    net = make_net(train_split=predefined_split(valid)).fit(frame, NAMES[Y])
    assert "valid_loss" in net.history_[-1]
