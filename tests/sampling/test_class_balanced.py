import numpy as np
import pandas as pd
import pytest
import torch
from imblearn.pipeline import make_pipeline
from imblearn.utils.estimator_checks import estimator_checks_generator
from scipy import sparse
from scipy.stats import chisquare
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier

from sk_cbloss import ClassBalancedSampler, class_balanced_sample_weight, load_digits_lt
from sk_cbloss.datasets import take_rows

CHECKS = list(estimator_checks_generator(ClassBalancedSampler(random_state=0)))


@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=[check.func.__name__ for _, check in CHECKS]
)
def test_imbalanced_learns_checks(estimator, check):
    check(estimator)


@pytest.fixture
def data():
    y = np.repeat(["a", "b", "c"], [900, 90, 10])
    return np.arange(len(y)).reshape(-1, 1), y


@pytest.mark.parametrize("beta", [0, 0.9, 0.99, 1])
def test_probabilities_are_proportional_to_the_weights(data, beta):
    X, y = data
    sampler = ClassBalancedSampler(beta, sampling_strategy=200_000, random_state=0)
    sampler.fit_resample(X, y)
    drawn = np.bincount(sampler.sample_indices_, minlength=len(y))
    weight = class_balanced_sample_weight(y, beta=beta)
    expected = 200_000 * weight / weight.sum()
    assert chisquare(drawn, expected).pvalue > 1e-3


def test_rows_stay_whole(data):
    X, y = data
    sampler = ClassBalancedSampler(0.9, random_state=0)
    rows, labels = sampler.fit_resample(X, y)
    np.testing.assert_array_equal(rows[:, 0], sampler.sample_indices_)
    np.testing.assert_array_equal(labels, y[rows[:, 0]])
    counts = dict(zip(*np.unique(labels, return_counts=True), strict=True))
    assert sampler.sampling_strategy_ == counts


@pytest.mark.parametrize(("strategy", "n"), [("auto", 1000), (50, 50), (0.5, 500), (2.0, 2000)])
def test_sizes(data, strategy, n):
    X, y = ClassBalancedSampler(sampling_strategy=strategy).fit_resample(*data)
    assert len(X) == len(y) == n


@pytest.mark.parametrize("strategy", ["all", 0, -1, True, np.nan, np.inf, {"a": 5}, None])
def test_wrong_sizes(data, strategy):
    with pytest.raises(ValueError, match="^sampling_strategy must be 'auto'"):
        ClassBalancedSampler(sampling_strategy=strategy).fit_resample(*data)


@pytest.mark.parametrize("strategy", [pytest.param(10**400, id="huge"), 2**53 + 1, 1e308])
def test_more_samples_than_floats_can_count(data, strategy):
    with pytest.raises(ValueError, match=r"^sampling_strategy must not ask for more than 2 "):
        ClassBalancedSampler(sampling_strategy=strategy).fit_resample(*data)


ONE_HOT = np.eye(2, dtype=int)[[0, 0, 0, 1] * 10]


@pytest.mark.parametrize(
    "hold", [np.array, pd.DataFrame, torch.tensor, sparse.csr_array, sparse.coo_array]
)
def test_labels_may_be_one_hot_in_any_container(hold):
    X, y = np.arange(40).reshape(-1, 1), hold(ONE_HOT)
    sampler = ClassBalancedSampler(random_state=0)
    rows, labels = sampler.fit_resample(X, y)
    assert type(labels) is type(take_rows(y, [0]))
    drawn = labels.toarray() if hasattr(labels, "toarray") else np.asarray(labels)
    np.testing.assert_array_equal(drawn, ONE_HOT[rows.ravel()])
    assert sampler.sampling_strategy_ == dict(enumerate(drawn.sum(axis=0)))


def test_masked_and_continuous_columns_are_refused():
    X = np.zeros((40, 1))
    with pytest.raises(ValueError, match="^y must not have masked entries, got one at position 1"):
        ClassBalancedSampler().fit_resample(X, np.ma.array(ONE_HOT, mask=ONE_HOT == 0))
    with pytest.raises(ValueError, match="^y should be a 1d array"):
        ClassBalancedSampler().fit_resample(X, torch.full((40, 2), 0.5))


@pytest.mark.parametrize("y", [5, None, {0: 5, 1: 3}, np.array(3), iter([0, 1]), ["a", None]])
def test_what_is_no_labels_is_refused_before_its_length_is_asked(y):
    with pytest.raises(ValueError, match="^y must "):
        ClassBalancedSampler().fit_resample(np.zeros((2, 1)), y)


def test_different_lengths(data):
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ClassBalancedSampler().fit_resample(data[0], data[1][:5])


@pytest.mark.parametrize("beta", [-0.1, 1.5, "x", None])
def test_wrong_beta(data, beta):
    with pytest.raises(ValueError, match=r"^beta must be a number in \[0, 1\]"):
        ClassBalancedSampler(beta).fit_resample(*data)


@pytest.mark.parametrize("y", [None, {"a": 5, "b": 3}, ["a"] * 1000, np.linspace(0, 1, 1000)])
def test_fit_checks_what_fit_resample_does(data, y):
    said = []
    for method in ("fit", "fit_resample"):
        sampler = ClassBalancedSampler()
        with pytest.raises(ValueError, match="^(y|Found|Labels|Unknown)") as caught:
            getattr(sampler, method)(data[0], y)
        said.append(str(caught.value))
        assert not hasattr(sampler, "n_features_in_")
    assert said[0] == said[1]
    assert ClassBalancedSampler().fit(*data).n_features_in_ == 1


def test_what_belongs_to_samples_is_refused(data):
    with pytest.raises(TypeError, match="takes X and y alone, got sample_weight"):
        ClassBalancedSampler().fit_resample(*data, sample_weight=np.ones(1000))


@pytest.mark.parametrize(
    "container",
    [
        lambda X: pd.DataFrame(X, columns=["x"]).assign(name="n"),
        lambda X: sparse.csr_matrix(X),
        lambda X: X[:, :, None, None] * np.ones((1, 1, 2, 3)),
        lambda X: X.astype(str).astype(object),
    ],
)
def test_containers(data, container):
    X, y = data
    X, y = container(X), pd.Series(y, name="label")
    sampler = ClassBalancedSampler(random_state=0)
    rows, labels = sampler.fit_resample(X, y)
    assert type(rows) is type(X)
    assert isinstance(labels, pd.Series)
    assert labels.name == "label"
    assert rows.shape == X.shape
    if isinstance(X, pd.DataFrame):
        np.testing.assert_array_equal(rows["x"], sampler.sample_indices_)


def test_same_seed_same_draw(data):
    one, two, other = (ClassBalancedSampler(random_state=s).fit_resample(*data) for s in (0, 0, 1))
    np.testing.assert_array_equal(one[0], two[0])
    assert (one[0] != other[0]).any()


def test_in_a_pipeline_and_a_search():
    """Neighbours take no weights, and gain by them all the same."""
    X, y = load_digits_lt(return_X_y=True)
    model = make_pipeline(ClassBalancedSampler(random_state=0), KNeighborsClassifier())
    search = GridSearchCV(
        model, {"classbalancedsampler__beta": [0, 0.99]}, scoring="balanced_accuracy", cv=3
    ).fit(X, y)
    assert search.best_params_ == {"classbalancedsampler__beta": 0.99}
    assert search.predict(X).shape == y.shape


def test_parameters():
    sampler = ClassBalancedSampler(0.5, sampling_strategy=10, random_state=3)
    assert clone(sampler).get_params() == sampler.get_params()
