"""One contract of counts: in class order, or by label where labels are known or do not matter."""

from collections import Counter
from datetime import date
from decimal import Decimal
from fractions import Fraction
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sk_cbloss import (
    ClassBalancedClassifier,
    ClassBalancedWeigher,
    beta_grid,
    class_balanced_sample_weight,
    class_balanced_weight,
    describe_long_tail,
    effective_number,
    load_digits_lt,
    long_tailed_counts,
    long_tailed_strategy,
    shot_recall_score,
)
from sk_cbloss.inspection import (
    ClassWeightDisplay,
    EffectiveNumberDisplay,
    LongTailDisplay,
    ShotRecallDisplay,
)
from sk_cbloss.losses import LOSSES

IN_CLASS_ORDER = {
    "effective_number": partial(effective_number, beta=0.9),
    "class_balanced_weight": partial(class_balanced_weight, beta=0.9),
    **{
        f"{name} weight": lambda n, loss=loss: loss.from_class_count(n).weight.numpy()
        for name, loss in LOSSES.items()
    },
}
in_class_order = pytest.mark.parametrize("function", IN_CLASS_ORDER.values(), ids=IN_CLASS_ORDER)
Y = ["fine"] * 1769 + ["scratched"] * 381 + ["bent"] * 82 + ["broken"] * 18
BY_FREQUENCY = pd.Series(Y).value_counts()


# ---------------------------------------------------------------------- in class order


@in_class_order
@pytest.mark.parametrize(
    "container",
    [
        list,
        tuple,
        np.array,
        partial(np.array, dtype=object),
        np.ma.array,
        pd.Series,
        partial(pd.Series, dtype="Int64"),
        pl.Series,
        torch.tensor,
        lambda counts: [torch.tensor(n) for n in counts],
        lambda counts: [Fraction(n) for n in counts],
        lambda counts: [Decimal(n) for n in counts],
        lambda counts: dict(enumerate(counts)),
        lambda counts: pd.Series(np.repeat(range(4), counts)).value_counts().sort_index(),
        lambda counts: Counter(np.repeat(range(4), counts).tolist()),
    ],
)
def test_counts_in_class_order_come_in_any_container(function, container):
    counts = [82, 18, 1769, 381]
    np.testing.assert_array_equal(function(container(counts)), function(counts))


@in_class_order
@pytest.mark.parametrize(
    ("labelled", "got", "remedy"),
    [
        (BY_FREQUENCY, "'fine' at position 0", r"class_count.sort_index\(\).to_numpy\(\)"),
        (BY_FREQUENCY.sort_index(), "'bent' at", r"class_count.sort_index\(\).to_numpy\(\)"),
        (BY_FREQUENCY.astype("Int64"), "'fine' at", r"class_count.sort_index\(\).to_numpy\(\)"),
        (pd.Series([5, 3], index=[1, 0]), "1 at position 0", r"class_count.sort_index\(\)"),
        (pd.Series([5, 3], index=[1, 2]), "1 at position 0", r"class_count.sort_index\(\)"),
        (pd.Series([5, 3], index=[0, 2]), "2 at position 1", r"class_count.sort_index\(\)"),
        ({"a": 5, "b": 3}, "'a' at position 0", r"\[class_count\[label\] for label in classes\]"),
        ({1: 5, 0: 3}, "1 at position 0", r"\[class_count\[label\] for label in classes\]"),
        (Counter(Y), "'fine' at position 0", r"\[class_count\[label\] for label in classes\]"),
    ],
)
def test_labels_in_another_order_are_refused(function, labelled, got, remedy):
    """Which is that of frequency, in value_counts(): weights would go to other classes."""
    rule = "class_count must list numbers in the order of the classes, got the label"
    with pytest.raises(ValueError, match=rf"^{rule} {got} .*: pass {remedy}"):
        function(labelled)


def test_the_remedy_gives_the_weights_of_sorted_classes():
    counts = BY_FREQUENCY.sort_index().to_numpy()
    weight = class_balanced_weight(counts, beta=0.999)
    np.testing.assert_allclose(weight, [0.695, 3.067, 0.066, 0.173], atol=5e-4)
    weigher = ClassBalancedWeigher(beta=0.999, normalize="classes").fit(np.zeros((len(Y), 1)), Y)
    np.testing.assert_array_equal(weigher.class_weight_, weight)


@pytest.mark.parametrize("name", LOSSES)
def test_vectors_of_classes_obey_the_same_rule(name):
    prior = hasattr(LOSSES[name], "weighs_prior")
    for labelled in (pd.Series([1.0, 2.0], index=["b", "a"]), {"b": 1.0, "a": 2.0}):
        more = {"class_prior": torch.ones(2)} if prior else {}
        with pytest.raises(ValueError, match="^weight must list numbers in the order of the clas"):
            LOSSES[name](labelled, **more)
        if prior:
            with pytest.raises(ValueError, match="^class_prior must list numbers in the order"):
                LOSSES[name](class_prior=labelled)


# ---------------------------------------------------------------------- by label


def test_a_grid_of_beta_takes_them_in_any_order():
    expected = beta_grid(list(BY_FREQUENCY))
    for counts in (BY_FREQUENCY, BY_FREQUENCY.sort_index(), Counter(Y), dict(Counter(Y))):
        np.testing.assert_array_equal(beta_grid(counts), expected)


def test_recall_by_shots_takes_them_by_label_and_in_class_order():
    y_true, y_pred = ["bent", "broken", "fine", "scratched"], ["bent", "fine", "fine", "bent"]
    expected = {"many": 0.5, "medium": 1.0, "few": 0.0}
    in_order = BY_FREQUENCY.sort_index()
    for counts in (
        BY_FREQUENCY,
        in_order,
        Counter(Y),
        in_order.to_numpy(),
        in_order.tolist(),
        in_order.reset_index(drop=True),
        torch.tensor(in_order.tolist()),
        pl.Series(in_order.to_numpy()),
    ):
        assert shot_recall_score(y_true, y_pred, class_count=counts) == expected
    numbers = np.unique(y_true, return_inverse=True)[1] + 1  # which are no positions
    predicted = np.array([1, 3, 3, 1])
    for counts in (in_order.to_numpy(), in_order.set_axis([1, 2, 3, 4])):
        assert shot_recall_score(numbers, predicted, class_count=counts) == expected
    with pytest.raises(ValueError, match="^class_count must hold every label of y_true, got no 4"):
        shot_recall_score(numbers, predicted, class_count=in_order.reset_index(drop=True))
    with pytest.raises(ValueError, match="^class_count must have a number for each of the 3"):
        shot_recall_score(y_true[:3], y_pred[:3], class_count=in_order.to_numpy())


def test_a_label_that_comes_twice_is_refused():
    twice = pd.concat([BY_FREQUENCY, BY_FREQUENCY[:1]])
    takers = [*IN_CLASS_ORDER.values(), beta_grid, lambda n: LongTailDisplay(n).plot()]
    for take in takers:
        with pytest.raises(ValueError, match="^class_count must .*label.* 'fine'"):
            take(twice)


X_DIGITS, Y_DIGITS = load_digits_lt(return_X_y=True)
GIVERS = {
    "load_digits_lt": lambda: load_digits_lt().class_count,
    "describe_long_tail": lambda: describe_long_tail(Y_DIGITS).class_count,
    "long_tailed_counts": lambda: long_tailed_counts(10, 128, imbalance_factor=20),
    "long_tailed_strategy": lambda: long_tailed_strategy(Y_DIGITS, imbalance_factor=20),
    "ClassBalancedWeigher": lambda: ClassBalancedWeigher().fit(X_DIGITS, Y_DIGITS).class_count_,
    "ClassBalancedClassifier": lambda: (
        ClassBalancedClassifier(LogisticRegression(max_iter=5000))
        .fit(X_DIGITS / 16, Y_DIGITS)
        .class_count_
    ),
    "value_counts": lambda: pd.Series(Y_DIGITS).value_counts(),
}
TAKERS = {
    **IN_CLASS_ORDER,
    "beta_grid": beta_grid,
    "shot_recall_score": lambda n: shot_recall_score(Y_DIGITS, Y_DIGITS, class_count=n),
    "ShotRecallDisplay": lambda n: ShotRecallDisplay.from_predictions(
        Y_DIGITS, Y_DIGITS, class_count=n
    ),
    "LongTailDisplay": lambda n: LongTailDisplay(n).plot(),
    "ClassWeightDisplay": lambda n: ClassWeightDisplay(n).plot(),
    "EffectiveNumberDisplay": lambda n: EffectiveNumberDisplay(n).plot(),
}


@pytest.mark.parametrize("give", GIVERS.values(), ids=GIVERS)
def test_what_one_gives_the_next_takes(give):
    counts = give()
    for take in TAKERS.values():
        take(counts)
        plt.close("all")


# ---------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    "no_numbers",
    [
        ["5", "3"],
        np.array(["5", "3"]),
        np.array(["5", "3"], dtype=object),
        [b"5", b"3"],
        [5 + 0j, 3],
        np.array([5, 3], dtype=complex),
        torch.tensor([5, 3], dtype=torch.complex64),
        [date(2020, 1, 1), date(2020, 1, 2)],
        np.array([5, 3], dtype="datetime64[D]"),
        np.array([5, 3], dtype="timedelta64[ns]"),
        pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"])),
        [5, None],
        [[5], [3, 2]],
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_number_is_refused(no_numbers):
    for take in (*IN_CLASS_ORDER.values(), beta_grid):
        with pytest.raises(ValueError, match="^class_count must hold numbers, got "):
            take(no_numbers)
    with pytest.raises(ValueError, match="^sample_weight must hold numbers, got "):
        class_balanced_sample_weight([0, 1], beta=0.9, sample_weight=no_numbers)
    with pytest.raises(ValueError, match="^weight must "):
        LOSSES["focal"](no_numbers)


@pytest.mark.parametrize(
    "number", [10**400, -(10**400), Fraction(10**400)], ids=["int", "negative", "Fraction"]
)
def test_numbers_that_no_float_can_hold_are_refused(number):
    for take in (*IN_CLASS_ORDER.values(), beta_grid):
        with pytest.raises(ValueError, match="^class_count must hold numbers that floats can"):
            take([number, 1])
    with pytest.raises(ValueError, match="^sample_weight must hold numbers that floats can hold"):
        class_balanced_sample_weight([0, 1], beta=0.9, sample_weight=[number, 1])
    for name, parameter in (("focal", "gamma"), ("ldam", "scale"), ("vs", "tau")):
        with pytest.raises(ValueError, match=f"^{parameter} must be a finite number >= 0, got "):
            LOSSES[name].from_class_count([5, 3], **{parameter: number})
    with pytest.raises(ValueError, match=r"^beta must be a number in \[0, 1\], got "):
        class_balanced_weight([5, 3], beta=number)


@pytest.mark.parametrize("mask", [[False, True], [True, True]])
def test_what_is_masked_is_refused(mask):
    counts = np.ma.array([5, 3], mask=mask)
    place = mask.index(True)
    for take in (*IN_CLASS_ORDER.values(), beta_grid, lambda n: LongTailDisplay(n).plot()):
        with pytest.raises(ValueError, match=rf"^class_count must not have masked .* {place}\.$"):
            take(counts)
    with pytest.raises(ValueError, match=rf"^sample_weight must not have masked .* {place}\.$"):
        class_balanced_sample_weight([0, 1], beta=0.9, sample_weight=counts)
    with pytest.raises(ValueError, match=rf"^sample_weight must not have masked .* {place}\.$"):
        shot_recall_score([0, 1], [0, 1], class_count=[5, 3], sample_weight=counts)
    with pytest.raises(ValueError, match=rf"^weight must not have masked .* {place}\.$"):
        LOSSES["focal"](counts)
