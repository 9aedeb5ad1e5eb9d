"""What is set on a net: checked by the same rules as ever, and built anew with its seed."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback
from torch import nn, optim
from torch.utils.data import DataLoader

from sk_cbloss import CBNeuralNetClassifier

Y = np.repeat([0, 1, 2], [12, 8, 4])
X = np.random.default_rng(0).normal(size=(24, 2)) + Y[:, None]


def make_net(**params):
    given = {"max_epochs": 1, "batch_size": 8, "random_state": 0, "device": "cpu"}
    return CBNeuralNetClassifier(**given | params)


REFUSED = [
    ({"criterion__label_smoothing": 2}, r"label_smoothing must be a number in \[0, 1\], got 2"),
    ({"criterion__tau": 1}, r"criterion__\* must be one of .* got criterion__tau"),
    ({"module": 5}, "module must be a torch.nn.Module class, .* got 5"),
    ({"criterion": 5}, "criterion must be a loss class, .* got 5"),
    ({"optimizer": 5}, "optimizer must be a class .* got 5"),
    ({"dataset": 5}, "dataset must be .* got 5"),
    ({"iterator_valid": 5}, "iterator_valid must be a class .* got 5"),
    ({"callbacks": [5]}, r"callbacks must be a list .* got \[5\]"),
    ({"autocast": "half"}, "autocast must be .* got 'half'"),
    ({"lr": "1"}, "lr must be .* got '1'"),
    ({"batch_size": 0}, "batch_size must be an integer >= 1, .* got 0"),
    ({"device": "nowhere"}, "device must be .* got 'nowhere'"),
    ({"use_caching": "always"}, "use_caching must be 'auto', True or False, got 'always'"),
    ({"nothing__at_all": 1}, "Parameters must be .* module__, .* got nothing__at_all"),
    ({"iterator_train_shuffle": 1}, r"got iterator_train_shuffle \(iterator_train__shuffle may"),
    ({"optimizer": optim.SGD, "optimizer__amsgrad": True}, r"optimizer__\* must be one of"),
]


@pytest.mark.parametrize(("bad", "message"), REFUSED, ids=lambda value: str(value)[:30])
def test_the_same_sentence_at_once_or_in_fit(bad, message):
    net = make_net().fit(X, Y)
    before, logits = net.get_params(deep=False), net.decision_function(X)
    with pytest.raises(ValueError, match=f"^.*{message}"):
        net.set_params(**bad)
    assert net.get_params(deep=False) == before
    np.testing.assert_array_equal(net.decision_function(X), logits)
    new = make_net().set_params(**bad)
    with pytest.raises(ValueError, match=f"^.*{message}"):
        new.fit(X, Y)
    with pytest.raises(NotFittedError):
        new.predict(X)


@pytest.mark.parametrize(
    "bad", [{"optimizer__weight_decay": -1}, {"optimizer__weight_decay": "a"}], ids=str
)
def test_what_an_optimizer_refuses(bad):
    for net in (make_net(), make_net().fit(X, Y)):
        with pytest.raises(ValueError, match=r"^optimizer__\* must be what Adam takes, got .*\.$"):
            net.set_params(**bad).fit(X, Y)
    assert "optimizer__weight_decay" not in net.get_params()
    assert net.optimizer_.param_groups[0]["weight_decay"] == 0


def test_arrays_need_a_batch_size():
    for net in (make_net(), make_net().fit(X, Y)):
        with pytest.raises(ValueError, match="^batch_size must be an integer >= 1, got None"):
            net.set_params(batch_size=None).fit(X, Y)


@pytest.mark.parametrize(
    "change", [{"module": None}, {"module__hidden_units": (3,)}, {"module": nn.Linear(2, 3)}]
)
def test_the_seed_is_the_nets(change):
    nets = [make_net().fit(X, Y) for _ in range(2)]
    state = torch.get_rng_state()
    first, second = [net.set_params(**change).decision_function(X) for net in nets]
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


def test_another_optimizer():
    net = make_net().fit(X, Y)
    logits = net.decision_function(X)
    net.set_params(optimizer=optim.SGD, optimizer__momentum=0.5)
    assert isinstance(net.optimizer_, optim.SGD)
    assert net.optimizer_.param_groups[0]["momentum"] == 0.5
    np.testing.assert_array_equal(net.decision_function(X), logits)
    expected = make_net(optimizer=optim.SGD, optimizer__momentum=0.5).fit(X, Y)
    np.testing.assert_array_equal(
        net.partial_fit(X, Y).fit(X, Y).decision_function(X), expected.decision_function(X)
    )


def test_an_optimizers_parameter_is_kept():
    net = make_net().fit(X, Y).set_params(optimizer__weight_decay=0.5)
    assert net.get_params()["optimizer__weight_decay"] == 0.5
    expected = make_net(optimizer__weight_decay=0.5).fit(X, Y)
    np.testing.assert_array_equal(
        net.fit(X, Y).decision_function(X), expected.decision_function(X)
    )


def test_another_loader():
    net = make_net().fit(X, Y)
    expected = net.predict(X)
    net.set_params(iterator_train=DataLoader, iterator_valid=DataLoader)
    np.testing.assert_array_equal(net.predict(X), expected)
    assert type(net.get_iterator(net.get_dataset(X))) is DataLoader


def test_callbacks_are_told_of_the_next_call():
    class Counts(Callback):
        n_epochs = 0

        def on_epoch_end(self, net, **kwargs):
            self.n_epochs += 1

    counts = Counts()
    net = make_net().fit(X, Y).set_params(callbacks=[counts])
    net.partial_fit(X, Y)
    assert counts.n_epochs == 1


def test_a_batch_transform_that_returns_no_rows():
    with pytest.raises(ValueError, match="^batch_transform must return the batch's 8 rows, got i"):
        make_net(batch_transform=len).fit(X, Y)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "a"])
def test_a_seed_that_is_none(seed):
    with pytest.raises(ValueError, match=r"^random_state must be an integer in \[0, .* got "):
        make_net(random_state=seed).fit(X, Y)


def test_a_seed_counts_for_what_is_set_with_it():
    first, second, other = (
        make_net().fit(X, Y).set_params(module__hidden_units=(3,), random_state=seed)
        for seed in (1, 1, 2)
    )
    expected = first.decision_function(X)
    np.testing.assert_array_equal(second.decision_function(X), expected)
    assert not np.array_equal(other.decision_function(X), expected)
    first.set_params(random_state=-1)
    first.set_params(module=None, random_state=0)
