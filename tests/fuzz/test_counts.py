"""Counts, fractional, empty and huge ones: class weights, effective numbers, grids, profiles."""

import numpy as np
from _reference import class_weight, effective_number
from fuzz._call import Code, Refused, answer, attempt, codes, law, made
from fuzz._strategies import (
    BETA,
    COUNT,
    GOOD_BETA,
    GOOD_NORMALIZE,
    NORMALIZE,
    ODD_NUMBERS,
    VECTORS,
    any_counts,
    counts,
)
from hypothesis import strategies as st

import sk_cbloss
from sk_cbloss import beta_grid, class_balanced_weight, long_tailed_counts
from sk_cbloss.losses import LOSSES

TAKE_COUNTS = {
    "effective_number": lambda count: sk_cbloss.effective_number(count, beta=0.9),
    "class_balanced_weight": lambda count: class_balanced_weight(count, beta=0.9),
    "beta_grid": beta_grid,
    "LongTailDisplay": sk_cbloss.LongTailDisplay,
    "ClassWeightDisplay": sk_cbloss.ClassWeightDisplay,
    **{name: loss.from_class_count for name, loss in LOSSES.items()},
}
# A display shows counts by their labels, and reads them when it is plotted.
AT_ONCE = sorted(TAKE_COUNTS.keys() - {"LongTailDisplay", "ClassWeightDisplay"})
BY_POSITION = [name for name in AT_ONCE if name != "beta_grid"]  # which takes them in any order


@law(200, taker=st.sampled_from(sorted(TAKE_COUNTS)), count=any_counts())
def test_anything_in_the_place_of_counts(taker, count):
    attempt(TAKE_COUNTS[taker], count)


@law(150, count=any_counts(), beta=BETA, normalize=NORMALIZE)
def test_weights_are_numbers(count, beta, normalize):
    weight = attempt(class_balanced_weight, count, beta=beta, normalize=normalize)
    if not isinstance(weight, Refused):
        assert weight.dtype == np.float64
        assert (np.isfinite(weight) & (weight >= 0)).all(), weight


BY_LABEL = codes(
    "{'a': 5, 'b': 3}",
    "{1: 5, 0: 3}",
    "Counter('aab')",
    "pd.Series([5, 3], index=['b', 'a'])",
    "pd.Series([5, 3], index=[1, 0])",
    "pd.Series([5, 3, 1], index=[0, 2, 1])",
    "pd.Series(['b', 'b', 'a']).value_counts()",
    "pd.Series([1, 1, 0]).value_counts()",
    "pd.Series(['a', 'b', 'b', 'c'], dtype='category').value_counts()",
    "pd.Series([True, True, False]).value_counts()",
)
NO_NUMBERS = codes(
    "np.ma.array([5, 3], mask=[0, 1])",
    "['5', '3']",
    "np.array(['5', '3'])",
    "[1j, 5]",
    "np.array(['2020', '2021'], 'M8[D]')",
    "np.array([5, 3], 'm8[s]')",
)


@law(60, taker=st.sampled_from(BY_POSITION), count=BY_LABEL)
def test_labels_in_another_order_than_the_classes_are_refused(taker, count):
    result = attempt(TAKE_COUNTS[taker], count)
    assert isinstance(result, Refused), f"{taker} took {count}"


@law(60, taker=st.sampled_from(AT_ONCE), count=NO_NUMBERS)
def test_masks_and_what_is_no_number_are_refused(taker, count):
    result = attempt(TAKE_COUNTS[taker], count)
    assert isinstance(result, Refused), f"{taker} took {count}"


@law(150, count=counts(), beta=GOOD_BETA, normalize=GOOD_NORMALIZE, held=st.sampled_from(VECTORS))
def test_weights_are_the_papers_in_any_container(count, beta, normalize, held):
    vector = Code.of(held, count)
    weight = answer(class_balanced_weight, vector, beta=beta, normalize=normalize)
    expected = [float(w) for w in class_weight(count, made(beta), normalize)]
    np.testing.assert_allclose(weight, expected, rtol=1e-13)
    number = answer(sk_cbloss.effective_number, vector, beta=beta)
    np.testing.assert_allclose(
        number, [float(effective_number(n, made(beta))) for n in count], rtol=1e-13
    )


@law(100, count=counts(), beta=GOOD_BETA, data=st.data())
def test_normalisation_order_and_empty_classes(count, beta, data):
    count = np.array(count, dtype=float)
    order = data.draw(st.permutations(range(len(count))))
    for normalize in ("classes", "samples", None):
        weight = answer(class_balanced_weight, count, beta=beta, normalize=normalize)
        assert ((weight > 0) == (count > 0)).all()
        permuted = class_balanced_weight(count[order], beta=made(beta), normalize=normalize)
        np.testing.assert_allclose(permuted, weight[order], rtol=1e-14)
        more = class_balanced_weight([*count, 0], beta=made(beta), normalize=normalize)
        np.testing.assert_array_equal(more, [*weight, 0])
        if normalize:
            share = count > 0 if normalize == "classes" else count
            np.testing.assert_allclose((share * weight).sum() / share.sum(), 1, rtol=1e-12)


@law(50, count=counts(), normalize=st.sampled_from(["classes", "samples"]))
def test_the_ends_of_beta(count, normalize):
    seen = np.array(count) > 0
    ones = answer(class_balanced_weight, count, beta=0, normalize=normalize)
    np.testing.assert_array_equal(ones, seen)
    weight = answer(class_balanced_weight, count, beta=1, normalize="samples")
    balanced = np.sum(count) / (seen.sum() * np.array(count)[seen].astype(float))
    np.testing.assert_allclose(weight[seen], balanced, rtol=1e-13)


@law(100, count=any_counts(), n_betas=ODD_NUMBERS | st.integers(2, 30), limits=st.booleans())
def test_a_grid_of_beta_is_one_of_beta(count, n_betas, limits):
    grid = attempt(beta_grid, count, n_betas=n_betas, include_limits=limits)
    if not isinstance(grid, Refused):
        assert ((grid >= 0) & (grid <= 1)).all()
        assert (np.diff(grid) >= 0).all()
        for beta in grid:
            answer(class_balanced_weight, [5, 3], beta=beta)


NUMBER = ODD_NUMBERS | st.integers(0, 300) | COUNT | codes("1e20", "2**63", "2**70", "1e-9")


@law(150, n_classes=NUMBER.filter(lambda n: n not in (10**13,)), n_max=NUMBER, factor=NUMBER)
def test_profiles_of_counts(n_classes, n_max, factor):
    count = attempt(long_tailed_counts, n_classes, n_max, imbalance_factor=factor)
    if not isinstance(count, Refused):
        count = np.array(count)
        assert np.issubdtype(count.dtype, np.integer)
        assert (count >= 1).all()
        assert (np.diff(count) <= 0).all()
