import numpy as np
import pandas as pd
import pytest
from imblearn.datasets import make_imbalance
from imblearn.under_sampling import RandomUnderSampler

from sk_cbloss import long_tailed_strategy, make_long_tailed


@pytest.fixture
def y():
    return np.repeat(["b", "a", "c"], [90, 200, 60])


def test_the_numbers_are_those_of_the_maker(y):
    for parameters in (
        {},
        {"imbalance_factor": 7.5},
        {"profile": "step", "imbalance_factor": 4},
        {"order": "frequency", "imbalance_factor": 20},
        {"order": ["c", "b", "a"], "imbalance_factor": 3, "n_max": 50},
        {"order": "random", "random_state": 3, "imbalance_factor": 5},
    ):
        strategy = long_tailed_strategy(y, **parameters)
        _, drawn = make_long_tailed(y, y, **{"random_state": 0} | parameters)
        assert strategy == pd.Series(drawn).value_counts().to_dict()


def test_labels_are_plain_python(y):
    assert list(long_tailed_strategy(y)) == ["a", "b", "c"]
    for labels in ([3, 3, 5], pd.Series(y)):
        strategy = long_tailed_strategy(labels, imbalance_factor=2)
        assert all(type(n) is int for n in strategy.values())


def test_imbalanced_learn_takes_it(y):
    X = np.arange(len(y)).reshape(-1, 1)
    _, drawn = make_imbalance(
        X, y, sampling_strategy=long_tailed_strategy, imbalance_factor=10, random_state=0
    )
    assert pd.Series(drawn).value_counts().to_dict() == long_tailed_strategy(
        y, imbalance_factor=10
    )
    sampler = RandomUnderSampler(sampling_strategy=long_tailed_strategy, random_state=0)
    _, drawn = sampler.fit_resample(X, y)
    assert pd.Series(drawn).value_counts().to_dict() == long_tailed_strategy(y)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"imbalance_factor": 0.5}, "imbalance_factor must be a finite number >= 1, got 0.5"),
        ({"profile": "linear"}, "profile must be 'exponential' or 'step', got 'linear'"),
        ({"n_max": 201}, "n_max=201 asks for 201 samples of class a, got only 200"),
        ({"order": ["a", "b"]}, "order must list each label once"),
    ],
)
def test_bad_parameters(y, parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        long_tailed_strategy(y, **parameters)
