"""What decisions are learned by: sweeps, climbs and least multipliers, against brute force."""

import itertools

import numpy as np
import pytest
from imblearn.metrics import geometric_mean_score
from sklearn.metrics import balanced_accuracy_score, f1_score, make_scorer

from sk_cbloss import worst_class_recall_score
from sk_cbloss.meta import _decision_climb
from sk_cbloss.meta._decision_climb import REACH, Contest, climb
from sk_cbloss.meta._decision_metric import METRICS, Scored
from sk_cbloss.meta._decision_recall import RecallRule, least, nearest
from sk_cbloss.meta._decision_rows import TAU_MAX, LeftOut, parts_of
from sk_cbloss.meta._decision_rules import MetricRule, ScorerRule, learned
from sk_cbloss.meta._decision_sweep import Sweep, sweep_all, sweep_one

SCORES = {
    "balanced_accuracy": balanced_accuracy_score,
    "f1_macro": lambda y, d, **kw: f1_score(y, d, average="macro", zero_division=0.0, **kw),
    "geometric_mean": geometric_mean_score,
    "worst_class_recall": worst_class_recall_score,
}
every_metric = pytest.mark.parametrize("metric", SCORES)


def draw(seed, n=200, n_classes=4, *, weighted=True, honest=False):
    """Return rows of a long tail, with probabilities that know something, some of them 0.

    Those that are honest are what labels are drawn by.
    """
    rng = np.random.default_rng(seed)
    prior = 0.5 ** np.arange(n_classes)
    prior /= prior.sum()
    y = np.r_[np.arange(n_classes), rng.choice(n_classes, n - n_classes, p=prior)]
    p = rng.dirichlet(prior * 5 + 0.3, n) + 0.4 * np.eye(n_classes)[y] * rng.random((n, 1))
    p[rng.random(p.shape) < 0.05] = 0
    p[p.sum(axis=1) == 0] = 1
    p /= p.sum(axis=1, keepdims=True)
    if honest:
        y = (rng.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1).clip(max=n_classes - 1)
    with np.errstate(divide="ignore"):
        z = np.log(p)
    weight = rng.uniform(0.5, 2, n) if weighted else np.ones(n)
    count = np.bincount(y, minlength=n_classes)
    return LeftOut(z, y, weight, weight, np.log(count / n))


def pieces(sweep):
    """Return the middle of every piece of a line, and which it is."""
    edges = np.r_[sweep.low, sweep.at, sweep.high]
    real = np.flatnonzero(np.diff(edges) > 1e-9)
    return (edges[real] + edges[real + 1]) / 2, real


@every_metric
@pytest.mark.parametrize("n_classes", [2, 3, 7])
def test_the_sweep_is_brute_force_on_every_piece(metric, n_classes):
    data = draw(n_classes, n_classes=n_classes)
    scored = Scored(METRICS[metric], data.y, data.weight, n_classes)
    sweep = sweep_all(data.z, -data.log_prior, 0.0, TAU_MAX)
    places, real = pieces(sweep)
    assert len(real) > 50
    values = scored.along(sweep)[real]
    for tau, value in zip(places, values, strict=True):
        decision = (data.z - tau * data.log_prior).argmax(axis=1)
        assert value == pytest.approx(scored.value(decision), abs=1e-12)
        score = SCORES[metric](data.y, decision, sample_weight=data.weight)
        assert scored.score(decision) == pytest.approx(score, abs=1e-7)


@every_metric
def test_the_sweep_of_one_class_is_brute_force_on_every_piece(metric):
    data = draw(5, n_classes=5)
    scored = Scored(METRICS[metric], data.y, data.weight, 5)
    for c in range(5):
        other = np.delete(data.z, c, axis=1)
        whose = np.delete(np.arange(5), c)[other.argmax(axis=1)]
        sweep = sweep_one(data.z[:, c], other.max(axis=1), whose, c, -2.0, 3.0)
        places, real = pieces(sweep)
        for step, value in zip(places, scored.along(sweep)[real], strict=True):
            decision = (data.z + step * np.eye(5)[c]).argmax(axis=1)
            assert value == pytest.approx(scored.value(decision), abs=1e-12)


def test_many_rows_go_in_pieces(monkeypatch):
    data = draw(0)
    whole = sweep_all(data.z, -data.log_prior, 0.0, 2.0)
    monkeypatch.setattr("sk_cbloss.meta._decision_sweep.PIECE", 20)
    for name, value in vars(sweep_all(data.z, -data.log_prior, 0.0, 2.0)).items():
        np.testing.assert_array_equal(value, getattr(whole, name))


def test_rows_that_change_at_once():
    """As equal rows do: between their changes there is nothing to choose."""
    z = np.log(np.tile([[0.7, 0.2, 0.1]], (5, 1)))
    y = np.array([0, 0, 0, 1, 2])
    scored = Scored(METRICS["balanced_accuracy"], y, np.ones(5), 3)
    sweep = sweep_all(z, np.array([0.0, 1.0, 3.0]), 0.0, 2.0)
    assert len(np.unique(sweep.at)) < len(sweep.at) == 5
    place, value = sweep.best(scored.along(sweep), usual=0.0)
    assert place == 0
    assert value == pytest.approx(1 / 3)


def test_lines_that_meet_in_one_point():
    """Rounding must not put a row's second change before its first."""
    rng = np.random.default_rng(0)
    slope, places = rng.normal(size=6), rng.uniform(0.1, 1.9, 300)
    sweep = sweep_all(-np.outer(places, slope) + rng.normal(size=(300, 1)), slope, 0.0, 2.0)
    now = sweep.start.copy()
    np.testing.assert_array_equal(now, slope.argmin())
    for at, row, old, new in zip(sweep.at, sweep.row, sweep.old, sweep.new, strict=True):
        assert now[row] == old
        assert at == pytest.approx(places[row])
        now[row] = new
    np.testing.assert_array_equal(now, slope.argmax())


@pytest.mark.parametrize(
    ("usual", "place"), [(0.5, 0.5), (1.5, 5.5), (9.5, 5.5), (6.0, 6.0), (5.0, 5.0)]
)
def test_of_equal_pieces_the_middle_of_the_longest_stretch(usual, place):
    """Pieces side by side are one stretch, also where rounding makes one a little better."""
    nobody = np.zeros(4, dtype=int)
    sweep = Sweep(0.0, 10.0, nobody, np.array([1.0, 2.0, 5.0, 9.0]), nobody, nobody, nobody)
    assert sweep.best(np.array([1, 0, 1, 1 + 1e-15, 0]), usual=usual)[0] == place


@every_metric
@pytest.mark.parametrize("seed", range(4))
def test_no_tau_is_better_than_the_one_that_is_found(metric, seed):
    data = draw(seed)
    rule = MetricRule(METRICS[metric])
    ways, tau = rule.learn(data)
    reached = rule.score(data, (data.z + ways[0]).argmax(axis=1))
    for other in np.linspace(0, TAU_MAX, 401):
        decision = (data.z - other * data.log_prior).argmax(axis=1)
        assert rule.score(data, decision) <= reached + 1e-9
    np.testing.assert_allclose(ways[0], -tau * data.log_prior)


def test_nothing_is_moved_for_nothing():
    z = np.log(np.eye(3)[[0, 1, 2]] * 0.8 + 0.1)
    data = LeftOut(z, np.arange(3), np.ones(3), np.ones(3), np.log([0.6, 0.3, 0.1]))
    for metric in METRICS.values():
        ways, tau = MetricRule(metric).learn(data)
        assert tau == 0
        assert not ways.any()


@every_metric
@pytest.mark.parametrize("seed", range(4))
def test_climbing_never_loses_and_ends_where_no_class_alone_gains(metric, seed):
    data = draw(seed, n_classes=3)
    scored = Scored(METRICS[metric], data.y, data.weight, 3)
    raised = climb(data.z, scored)
    value = scored.value((data.z + raised).argmax(axis=1))
    assert value >= scored.value(data.z.argmax(axis=1))
    assert (abs(raised) <= REACH).all()
    for c, there in itertools.product(range(3), np.linspace(-REACH, REACH, 61)):
        moved = raised.copy()
        moved[c] = there
        # Two rounds are not always enough to the last digit.
        assert scored.value((data.z + moved).argmax(axis=1)) <= value + 0.01


@every_metric
def test_no_class_goes_further_than_it_may(metric, monkeypatch):
    """Neither in one round nor in several together."""
    monkeypatch.setattr(_decision_climb, "REACH", 0.4)
    monkeypatch.setattr(_decision_climb, "N_ROUNDS", 5)
    for seed in range(10):
        data = draw(seed, n_classes=5)
        raised = climb(data.z, Scored(METRICS[metric], data.y, data.weight, 5))
        assert (abs(raised) <= 0.4 + 1e-12).all()


def test_a_second_round_finds_what_the_first_made_possible(monkeypatch):
    values = {1: [], _decision_climb.N_ROUNDS: []}
    for n_rounds, reached in values.items():
        monkeypatch.setattr(_decision_climb, "N_ROUNDS", n_rounds)
        for seed in range(10):
            data = draw(seed, n_classes=5)
            scored = Scored(METRICS["f1_macro"], data.y, data.weight, 5)
            reached.append(scored.value((data.z + climb(data.z, scored)).argmax(axis=1)))
    once, often = map(np.array, values.values())
    assert (often >= once).all()
    assert (often > once + 1e-6).sum() > 3


@every_metric
def test_a_class_without_rows_takes_no_part(metric):
    """It could be raised to catch what is wrongly decided for others."""
    data = draw(2, n=300, n_classes=5)
    data = data.some(np.flatnonzero(data.y != 3))
    scored = Scored(METRICS[metric], data.y, data.weight, 5)
    sweep, slope = data.along()
    places, real = pieces(sweep)
    for tau, value in zip(places, scored.along(sweep)[real], strict=True):
        decision = (data.z + tau * slope).argmax(axis=1)
        assert value == pytest.approx(scored.value(decision), abs=1e-12)
    raised = climb(data.z, scored)
    assert raised[3] == 0
    assert raised.any()


def test_the_two_largest_are_kept():
    rng = np.random.default_rng(0)
    contest = Contest(draw(1, n_classes=6).z.copy())
    for _ in range(50):
        contest.raise_by(rng.integers(6), rng.normal())
        top = np.sort(contest.z, axis=1)[:, ::-1]
        rows = np.arange(len(top))
        np.testing.assert_array_equal(contest.z[rows, contest.first], top[:, 0])
        np.testing.assert_array_equal(contest.z[rows, contest.second], top[:, 1])
        assert (contest.first != contest.second).all()


@every_metric
@pytest.mark.parametrize("is_even", [False, True])
def test_classes_by_other_names_have_the_same_multipliers(metric, is_even):
    data = draw(3)
    if is_even:  # as frequent as each other
        ones, y = np.ones(200), np.arange(200) % 4
        data = LeftOut(data.z, y, ones, ones, np.log(np.full(4, 0.25)))
    new = np.array([2, 0, 3, 1])  # the new position of each
    renamed = LeftOut(
        data.z[:, new.argsort()],
        new[data.y],
        data.weight,
        data.size,
        data.log_prior[new.argsort()],
    )
    rule = MetricRule(METRICS[metric])
    (ways, tau), (others, other) = rule.learn(data), rule.learn(renamed)
    assert tau == pytest.approx(other)
    np.testing.assert_allclose(others[:, new], ways)


def test_a_score_that_is_not_known_is_asked_at_places_of_the_same_line():
    data = draw(0, n=60, weighted=False)  # less than a hundred pieces
    known = MetricRule(METRICS["balanced_accuracy"])
    asked = ScorerRule("balanced_accuracy", np.array(list("abcd")), False)
    scores = []
    for rule in (known, asked):
        ways, _ = rule.learn(data)
        scores.append(known.score(data, (data.z + ways[0]).argmax(axis=1)))
    assert scores[0] == pytest.approx(scores[1])
    many = draw(0, n=3000, weighted=False)
    asked_for = []

    def score(estimator, X, y):
        asked_for.append(1)
        return balanced_accuracy_score(y, estimator.predict(X))

    ways, _ = ScorerRule(score, np.array(list("abcd")), False).learn(many)
    assert len(asked_for) <= 202
    reached = known.score(many, (many.z + ways[0]).argmax(axis=1))
    best = known.score(many, (many.z + known.learn(many)[0][0]).argmax(axis=1))
    assert best - 0.005 < reached <= best


def f1(y, decision):
    return 2 * (y * decision).sum() / (y + decision).sum()


@pytest.mark.parametrize("seed", range(8))
def test_of_two_classes_a_score_that_is_not_known_has_the_best_of_all_thresholds(seed):
    """Of 4,000, most of them where a score says nothing, it is asked at two hundred."""
    rng = np.random.default_rng(seed)
    y = (np.arange(4000) < 200).astype(int)
    log_odds = rng.normal(-3, 1, 4000) + 2.5 * y
    z = np.log(1 / (1 + np.exp(np.stack([log_odds, -log_odds], axis=1))))
    ones = np.ones(4000)
    data = LeftOut(z, y, ones, ones, np.log([0.95, 0.05]))
    ways, _ = ScorerRule(make_scorer(f1), np.array([0, 1]), False).learn(data)
    hit = y[np.argsort(-log_odds)].cumsum()
    best = (2 * hit / (200 + np.arange(1, 4001))).max()
    assert f1(y, (z + ways[0]).argmax(axis=1)) == pytest.approx(best)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("n", [60, 3000])
def test_a_score_that_is_the_same_everywhere_moves_nothing(n, n_classes):
    """The usual decision is among those that are tried, and wins a tie."""
    data = draw(0, n=n, n_classes=n_classes, weighted=False)
    rule = ScorerRule(lambda estimator, X, y: 0.5, np.arange(n_classes), False)
    ways, place = rule.learn(data)
    assert place == 0
    np.testing.assert_array_equal(ways, 0)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("metric", METRICS)
def test_where_probabilities_are_equal_what_is_learned_is_no_worse_than_the_usual(
    metric, n_classes
):
    """As those of neighbours and forests are: at 0, ties go to the first class, beside it not."""
    rng = np.random.default_rng(0)
    ones = np.ones(30)
    known, gained = MetricRule(METRICS[metric]), 0
    name = {"geometric_mean": "balanced_accuracy", "worst_class_recall": "recall_macro"}
    asked = ScorerRule(name.get(metric, metric), np.arange(n_classes), False)
    for _ in range(12):
        y = np.r_[np.arange(n_classes), rng.integers(n_classes, size=30 - n_classes)]
        p = rng.multinomial(2, np.full(n_classes, 1 / n_classes), size=30) / 2
        prior = np.bincount(y, minlength=n_classes) / 30
        data = LeftOut(np.log(p + 1e-9), y, ones, ones, np.log(prior))
        for rule in (known, asked):
            usual = rule.score(data, data.z.argmax(axis=1))
            ways, _ = rule.learn(data)
            learned = rule.score(data, (data.z + ways[0]).argmax(axis=1))
            assert learned >= usual - 1e-12
            gained += learned > usual
    assert gained


# ---------------------------------------------------------------------- recalls


def reached_by(data, log_multiplier):
    decision = (data.z + log_multiplier).argmax(axis=1)
    hit = decision == data.y
    size = np.bincount(data.y, data.weight, minlength=data.z.shape[1])
    recall = np.bincount(data.y, data.weight * hit, minlength=data.z.shape[1]) / size
    return recall, np.average(hit, weights=data.weight)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("asked_of", [[1], [1, 2]])
def test_recalls_are_reached_at_the_highest_accuracy(seed, asked_of):
    data = draw(seed, n=400, n_classes=3, honest=True)
    plain, _ = reached_by(data, 0)
    asked = np.full(3, np.nan)
    asked[asked_of] = np.minimum(plain[asked_of] + 0.1, 0.75)
    found, furthest = RecallRule(asked).learn(data)[0]
    best, tried = -1, np.r_[np.linspace(0, 3, 61), found[asked_of]]
    for some in itertools.product(tried, repeat=len(asked_of)):
        others = np.zeros(3)
        others[asked_of] = some
        recall, accuracy = reached_by(data, others)
        if (recall[asked_of] >= asked[asked_of] - 1e-9).all():
            assert (others >= found - 1e-6).all()  # there are least ones
            best = max(best, accuracy)
    for one in (found, furthest):
        assert (reached_by(data, one)[0][asked_of] >= asked[asked_of] - 1e-9).all()
    # One is exact. Class by class, two may miss what a few rows would gain them together.
    assert reached_by(data, furthest)[1] >= best - (1e-9 if len(asked_of) == 1 else 0.01)


@pytest.mark.parametrize("seed", range(40))
def test_what_some_multipliers_reach_is_in_reach(seed):
    rng, n_classes = np.random.default_rng(seed), 2 + seed % 7
    data = draw(seed, n=300, n_classes=n_classes)
    some = rng.uniform(0, 4, n_classes)
    asked, _ = reached_by(data, some)
    found = least(data, asked)
    assert found is not None
    assert (reached_by(data, found)[0] >= asked - 1e-9).all()
    assert (found <= some - some.min() + 1e-6).all()


def test_recalls_that_are_there_take_nothing():
    data = draw(0)
    plain, _ = reached_by(data, 0)
    np.testing.assert_array_equal(least(data, plain * 0.99), 0)
    ways, _ = RecallRule(plain * 0.99).learn(data)
    np.testing.assert_array_equal(ways, 0)  # also where accuracy would gain


@pytest.mark.parametrize("seed", range(3))
def test_recalls_out_of_reach(seed):
    data = draw(seed, n=120, n_classes=3)
    assert least(data, np.full(3, 0.999)) is None
    found, share = nearest(data, np.full(3, 0.999))
    assert 0.3 < share < 1
    for one in (found, *RecallRule(np.full(3, 0.999)).learn(data)[0]):
        assert (reached_by(data, one)[0] >= share * 0.999 - 1e-9).all()
    tried = np.linspace(-6, 6, 61)
    best = max(
        reached_by(data, np.array([0, *pair]))[0].min() for pair in itertools.product(tried, tried)
    )
    assert reached_by(data, found)[0].min() >= best - 0.03


# ---------------------------------------------------------------------- parts


class Guesses:
    """A rule of forty ways that are drawn, and know nothing."""

    def learn(self, data):
        return 5 * np.random.default_rng(0).normal(size=(40, data.z.shape[1])), 0.0

    def score(self, data, decision):
        return np.mean(decision == data.y)


def test_choosing_a_way_is_learned_too():
    """The best of many guesses is lucky; what is expected of it is not."""
    lucky, expected = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        z, y = rng.normal(size=(100, 10)), rng.integers(10, size=100)
        data = LeftOut(z, y, np.ones(100), np.ones(100), np.log(np.full(10, 0.1)))
        found = learned(Guesses(), data, parts_of(np.arange(100), np.arange(100) % 5, y))
        lucky.append(np.mean(found.decision == y))
        expected.append(np.mean(found.honest == y))
    assert np.mean(lucky) > 0.14
    assert np.mean(expected) < 0.1 + 3 * np.std(expected) / np.sqrt(60)


def test_no_row_is_decided_for_by_what_is_learned_from_it():
    rng = np.random.default_rng(0)
    twice = np.r_[rng.permutation(40), rng.permutation(40)]
    folds = np.repeat(np.arange(8), 10)
    for row, fold in ((twice[:40], folds[:40]), (twice, folds), (twice[:40], np.zeros(40))):
        parts = parts_of(row, fold, row % 3)
        assert len(parts) > 1
        for others, part in parts:
            assert not np.isin(row[others], row[part]).any()
        decided = np.bincount(np.concatenate([part for _, part in parts]), minlength=len(row))
        np.testing.assert_array_equal(decided, 1)


def test_rows_of_a_single_split_are_dealt_out_class_by_class():
    y = np.repeat([0, 1, 2], [25, 10, 5])
    parts = parts_of(np.arange(40), np.zeros(40), y)
    assert len(parts) == 5
    for _, part in parts:
        np.testing.assert_array_equal(np.bincount(y[part]), [5, 2, 1])
    one_of_each = parts_of(np.arange(3), np.zeros(3), np.arange(3))
    assert [part.tolist() for _, part in one_of_each] == [[0], [1], [2]]


class Memory(Guesses):
    """A rule of two ways: nothing, and what serves all rows, but not parts of them."""

    def learn(self, data):
        serves = np.full(data.z.shape[1], 100.0 if len(data.y) < 40 else 0.0)
        serves[0] = 50.0
        return np.array([np.zeros(data.z.shape[1]), serves]), 0.0


def test_the_way_is_the_one_that_serves_rows_it_was_not_learned_from():
    z = np.log(np.random.default_rng(0).dirichlet([1, 1], 40))
    y = np.zeros(40, dtype=int)
    data = LeftOut(z, y, np.ones(40), np.ones(40), np.log([0.5, 0.5]))
    found = learned(Memory(), data, parts_of(np.arange(40), np.arange(40) % 5, y))
    assert found.way == 0
    np.testing.assert_array_equal(found.honest, z.argmax(axis=1))
    alone = learned(Memory(), data, [(np.arange(40), np.arange(40))])
    assert alone.way == 1


def test_a_split_given_twice_is_a_single_one():
    y = np.repeat([0, 1, 2], [25, 10, 5])
    once = parts_of(np.arange(40), np.zeros(40), y)
    twice = parts_of(np.tile(np.arange(40), 2), np.repeat([0, 1], 40), np.tile(y, 2))
    for (_, part), (others, both) in zip(once, twice, strict=True):
        np.testing.assert_array_equal(both, np.r_[part, part + 40])
        assert len(others) == 80 - len(both)


def test_of_a_single_row_the_model_s_own_decision_is_expected():
    data = draw(0).some([7])
    assert parts_of(np.zeros(1), np.zeros(1), data.y) == []
    found = learned(MetricRule(METRICS["f1_macro"]), data, [])
    np.testing.assert_array_equal(found.honest, data.z.argmax(axis=1))
