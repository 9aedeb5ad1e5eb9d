import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sk_cbloss import beta_grid, class_balanced_weight, describe_long_tail

Y = ["dog"] * 90 + ["cat"] * 900 + ["yak"] * 9


def test_the_numbers():
    tail = describe_long_tail(Y)
    assert (tail.n_samples, tail.n_classes, tail.imbalance_factor) == (999, 3, 100)
    assert list(tail.class_count.items()) == [("cat", 900), ("dog", 90), ("yak", 9)]
    assert tail.shots == {"many": ["cat"], "medium": ["dog"], "few": ["yak"]}
    assert_array_equal(tail.betas, beta_grid([900, 90, 9], n_betas=6, include_limits=True))
    assert describe_long_tail(Y, thresholds=(100, 1000)).shots["few"] == ["dog", "yak"]
    assert len(describe_long_tail(Y, n_betas=3).betas) == 5


@pytest.mark.parametrize("counts", [(900, 90, 9), (1_000_000, 1), (13, 10), (5000, 50)])
def test_the_range_is_where_weights_are_a_tenth_from_the_limits(counts):
    low, high = describe_long_tail(np.repeat(np.arange(len(counts)), counts)).beta_range
    assert 0 < low < high < 1

    def ratio(beta):
        weight = class_balanced_weight(counts, beta=beta)
        return weight.max() / weight.min()

    assert_allclose(ratio(low), 1.1, rtol=1e-6)
    assert_allclose(ratio(high), max(counts) / min(counts) / 1.1, rtol=1e-6)


@pytest.mark.parametrize("y", [["a"], ["a", "b"], [0] * 11 + [1] * 10])
def test_where_no_beta_matters(y):
    tail = describe_long_tail(y)
    assert tail.beta_range is None
    assert str(tail).endswith("Classes are of about one size: beta changes nothing.")


def test_the_words():
    assert str(describe_long_tail(Y)).splitlines()[:4] == [
        "999 samples of 3 classes, from 900 ('cat') to 9 ('yak'); imbalance factor 100",
        "  many-shot (more than 100 samples): 1 class, 900 samples",
        "  medium-shot (20 to 100): 1 class, 90 samples",
        "  few-shot (fewer than 20): 1 class, 9 samples",
    ]
    assert str(describe_long_tail(["a"])).startswith("1 sample of 1 class, from 1 ('a')")


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (["dent"] * 5 + ["ok"] * 3 + ["Dent"], "'dent', 'Dent'"),
        (["a b", "A  B", "ab", " a b "], "' a b ', 'A  B', 'a b'"),
        (["x", "X", "y", "Y", "z", "Z"], "'X', 'x', 'Y', 'y', 'Z', ..."),
        (["dent", "dents", "d ent"], None),
        ([1, 1, 2], None),
    ],
)
def test_names_that_differ_in_case_or_blanks_alone(y, said):
    lines = [line for line in str(describe_long_tail(y)).splitlines() if "alike but" in line]
    assert lines == ([] if said is None else [f"  alike but for case or blanks: {said}"])


@pytest.mark.parametrize("y", [pd.Series(Y), pd.Categorical(Y), np.array(Y, dtype=object)])
def test_any_labels(y):
    assert str(describe_long_tail(y)) == str(describe_long_tail(Y))


def test_bad_labels():
    with pytest.raises(ValueError, match="y must hold at least one label, got none"):
        describe_long_tail([])
    with pytest.raises(ValueError, match=r"y must hold class labels, got .* 0.5"):
        describe_long_tail([0.5, 1.0])
    with pytest.raises(ValueError, match="thresholds must be two increasing numbers"):
        describe_long_tail(Y, thresholds=3)
    with pytest.raises(ValueError, match="n_betas must be an integer >= 2, got 1"):
        describe_long_tail(Y, n_betas=1)


def test_of_several_labels_a_sample_betas_are_for_both_sides_of_each():
    y = np.zeros((1000, 5), dtype=int)
    for label, n in enumerate([500, 1000, 20, 0, 300]):
        y[:n, label] = 1
    frame = pd.DataFrame(y, columns=list("abcde"))
    tail = describe_long_tail(frame)
    assert list(tail.class_count.items()) == [("b", 1000), ("a", 500), ("e", 300), ("c", 20)]
    assert (tail.n_samples, tail.n_classes, tail.imbalance_factor) == (1000, 4, 50)
    assert tail.shots == {"many": ["b", "a", "e"], "medium": ["c"], "few": []}
    lows, highs = zip(
        *(
            describe_long_tail(np.repeat([0, 1], sides)).beta_range
            for sides in ([20, 980], [300, 700])
        ),
        strict=True,
    )
    assert tail.beta_range == (min(lows), max(highs))
    assert_array_equal(
        tail.betas, beta_grid([20, 980, 300, 700, 500, 500, 1000], include_limits=True, n_betas=6)
    )
    text = str(tail).splitlines()
    assert text[0] == (
        "1,000 samples of 4 labels, from 1,000 ('b') to 20 ('c'); imbalance factor 50; "
        "1.82 labels a sample"
    )
    assert text[1] == "  many-shot (more than 100 samples): 3 labels"
    assert text[4] == "  no sample: 1 label, 'd'"
    assert text[5].startswith("Weights of the samples without and with each label, to 10 %: alike")
    even = describe_long_tail([[1, 0], [0, 1]])
    assert even.beta_range is None
    assert str(even).endswith(
        "Both sides of each label are of about one size: beta changes nothing."
    )


def test_labels_that_no_sample_has_are_named():
    y = np.zeros((50, 9), dtype=int)
    y[:30, 2] = y[:5, 7] = 1
    tail = describe_long_tail(y)
    assert tail.not_there == (0, 1, 3, 4, 5, 6, 8)
    assert tail.class_count == {2: 30, 7: 5}
    assert "  no sample: 7 labels, 0, 1, 3, 4, 5, ...\n" in str(tail)
    named = pd.DataFrame(y[:, 1:3], columns=["cough", "fever"])
    assert "  no sample: 1 label, 'cough'\n" in str(describe_long_tail(named))
    assert "no sample" not in str(describe_long_tail(y[:, [2, 7]]))


def test_labels_that_are_not_known_are_on_neither_side():
    y = np.full((1000, 2), np.nan)
    y[:500, 0], y[:10, 0] = 0, 1  # 10 of 500
    y[:30, 1], y[:10, 1] = 0, 1  # 10 of 30
    tail = describe_long_tail(y)
    sides = ([10, 490], [10, 20])
    lows, highs = zip(
        *(describe_long_tail(np.repeat([0, 1], each)).beta_range for each in sides), strict=True
    )
    assert tail.beta_range == (min(lows), max(highs))
    grid = beta_grid(np.concatenate(sides), include_limits=True, n_betas=6)
    np.testing.assert_allclose(tail.betas, grid)
    assert tail.n_samples == 1000
    assert tail.labels_a_sample == pytest.approx(10 / 500 + 10 / 30)
    some = y[:500, :1]
    assert describe_long_tail(np.hstack([y, y, y[:, :1]])).labels_a_sample == pytest.approx(
        2 * tail.labels_a_sample + some.mean()
    )


@pytest.mark.parametrize("n", [2, 7, 49, 130])
def test_one_label_a_sample_is_one(n):
    assert describe_long_tail(np.eye(n)).labels_a_sample == 1
    assert "; 1 label a sample\n" in str(describe_long_tail(np.eye(n)))
