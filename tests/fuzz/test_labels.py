"""Labels of every kind, in every container: to be weighed by class, or refused."""

from itertools import pairwise

import numpy as np
import pandas as pd
from fuzz._call import Code, Refused, answer, attempt, law, made
from fuzz._strategies import (
    BETA,
    GOOD_BETA,
    GOOD_NORMALIZE,
    MISSING,
    NORMALIZE,
    any_labels,
    any_sample_weight,
    labels,
    positions,
)
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_sample_weight

from sk_cbloss import (
    ClassAwareSampler,
    ClassBalancedSampler,
    ClassBalancedWeigher,
    LongTailedImages,
    class_balanced_sample_weight,
    class_balanced_weight,
    describe_long_tail,
    long_tailed_strategy,
    make_shot_scorer,
)


def features(n):
    return np.zeros((n, 1))


def beside(y):
    """Return features of as many samples, where y tells how many it has."""
    if getattr(y, "shape", ()):
        return features(y.shape[0])
    return features(len(y) if isinstance(y, list | tuple) or hasattr(y, "to_pylist") else 2)


def weights_by_weigher(y, beta=0.9, normalize="samples"):
    return ClassBalancedWeigher(beta, normalize=normalize).fit(beside(y), y).sample_weight(y)


def resampled(y):
    return ClassBalancedSampler(random_state=0).fit_resample(beside(y), y)


def images(y):
    """Return images that have these labels; that they are none is found when they are read."""
    return LongTailedImages([__file__] * len(beside(y)), y)


TAKE_LABELS = {
    "class_balanced_sample_weight": lambda y: class_balanced_sample_weight(y, beta=0.9),
    "ClassBalancedWeigher": weights_by_weigher,
    "ClassBalancedSampler": resampled,
    "ClassAwareSampler": lambda y: ClassAwareSampler(y, random_state=0).draw(),
    "LongTailedImages": images,
    "describe_long_tail": describe_long_tail,
    "long_tailed_strategy": lambda y: long_tailed_strategy(y, imbalance_factor=1),
    "make_shot_scorer": lambda y: make_shot_scorer(y, shot="few"),
}
some_taker = st.sampled_from(sorted(TAKE_LABELS))


@law(200, taker=some_taker, y=any_labels())
def test_anything_in_the_place_of_labels(taker, y):
    attempt(TAKE_LABELS[taker], y)


@law(80, taker=some_taker, y=MISSING)
def test_missing_labels_are_refused(taker, y):
    result = attempt(TAKE_LABELS[taker], y)
    assert isinstance(result, Refused), f"{taker} took missing labels, and gave {result!r}"


@law(80, y=labels(), beta=BETA, normalize=NORMALIZE, data=st.data())
def test_anything_beside_labels(y, beta, normalize, data):
    own = data.draw(any_sample_weight(len(y.position)), label="sample_weight")
    given = {"beta": beta, "normalize": normalize, "sample_weight": own}
    weight = attempt(class_balanced_sample_weight, y, **given)
    if not isinstance(weight, Refused):
        assert weight.shape == y.position.shape
        assert weight.dtype == np.float64
        assert (np.isfinite(weight) & (weight >= 0)).all()


@law(150, y=labels(), beta=GOOD_BETA, normalize=GOOD_NORMALIZE)
def test_containers_and_types_change_nothing(y, beta, normalize):
    """Nor do the labels' names, nor the order of the rows: all that counts is which are equal."""
    weight = answer(class_balanced_sample_weight, y, beta=beta, normalize=normalize)
    count = np.bincount(y.position) if len(y.position) else [1]
    of_class = class_balanced_weight(count, beta=made(beta), normalize=normalize)
    np.testing.assert_allclose(weight, of_class[y.position], rtol=1e-13)


@law(100, y=labels(min_size=1), beta=GOOD_BETA, normalize=GOOD_NORMALIZE)
def test_the_weigher_weighs_as_the_function_does(y, beta, normalize):
    weight = answer(weights_by_weigher, y, beta=beta, normalize=normalize)
    by_function = answer(class_balanced_sample_weight, y, beta=beta, normalize=normalize)
    np.testing.assert_allclose(weight, by_function, rtol=1e-13)
    weigher = answer(ClassBalancedWeigher().fit, features(len(y.position)), y)
    np.testing.assert_array_equal(weigher.class_count_, np.bincount(y.position))


@law(40, y=labels(min_size=1))
def test_beta_1_is_scikit_learns_balanced_and_beta_0_is_none(y):
    balanced = compute_sample_weight("balanced", y.position)
    np.testing.assert_allclose(answer(class_balanced_sample_weight, y, beta=1), balanced)
    np.testing.assert_array_equal(answer(class_balanced_sample_weight, y, beta=0), 1)


@law(40, y=labels(min_size=1), beta=GOOD_BETA, normalize=GOOD_NORMALIZE, data=st.data())
def test_weight_2_is_two_copies_and_0_is_none(y, beta, normalize, data):
    n = len(y.position)
    own = np.resize(data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=12)), n)
    own[0] = 1
    parameters = {"beta": beta, "normalize": normalize}
    weight = answer(class_balanced_sample_weight, y, sample_weight=own, **parameters)
    copies = answer(class_balanced_sample_weight, y.position.repeat(own), **parameters)
    expected = np.bincount(np.arange(n).repeat(own), copies, minlength=n)
    np.testing.assert_allclose(weight, expected, rtol=1e-12)


@law(60, data=st.data(), beta=GOOD_BETA, cuts=st.lists(st.integers(0, 12), max_size=3))
def test_a_stream_learns_what_the_whole_does(data, beta, cuts):
    """However it is cut, into empty chunks too."""
    y = data.draw(labels(min_size=1), label="y")
    values = y().to_pylist() if hasattr(y(), "to_pylist") else y()  # else pyarrow's scalars
    values = pd.Series(values.ravel() if isinstance(values, np.ndarray) else list(values))
    stream = ClassBalancedWeigher(made(beta))
    bounds = [0, *sorted(cuts), len(values)]
    for start, stop in pairwise(bounds):
        chunk = values[start:stop]
        answer(stream.partial_fit, features(len(chunk)), chunk)
    merged = ClassBalancedWeigher(made(beta))
    for start, stop in reversed([*pairwise(bounds)]):
        part = ClassBalancedWeigher().partial_fit(None, values[start:stop])
        merged = part.merge(merged)
    whole = ClassBalancedWeigher(made(beta)).fit(features(len(values)), values)
    assert merged.classes_.tolist() == whole.classes_.tolist()
    np.testing.assert_allclose(merged.class_count_, whole.class_count_)
    assert stream.classes_.tolist() == whole.classes_.tolist()
    np.testing.assert_allclose(stream.class_count_, whole.class_count_)
    np.testing.assert_allclose(stream.class_weight_, whole.class_weight_, rtol=1e-12)


NAMED = ["{}", "np.array({}, object)", "pd.Series({})", "pl.Series({})", "pd.Categorical({})"]
NAMED += ["np.array({}, str)", "np.array({}, np.dtypes.StringDType())"]


@law(
    60,
    like=positions(min_size=1),
    names=st.lists(st.text("abc", max_size=3), min_size=6, max_size=6),
    data=st.data(),
)
def test_what_is_said_of_classes_does_not_depend_on_the_container(like, names, data):
    """Classes are told by their names, which these containers share."""
    listed = [names[i] for i in like[0]] * like[1]
    first, second = data.draw(st.lists(st.sampled_from(NAMED), min_size=2, max_size=2))
    for taker in ("describe_long_tail", "long_tailed_strategy"):
        one, other = (
            answer(TAKE_LABELS[taker], Code.of(held, listed)) for held in (first, second)
        )
        assert str(one) == str(other), f"{taker} of {first}: {one}, of {second}: {other}"
