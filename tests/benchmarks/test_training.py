"""What training is timed beside: that all sides do the same, and when a target is missed."""

import logging
import sys
from importlib import import_module
from itertools import count
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
NAMES = "_timing", "_sides", "training"

with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, "path", [str(SCRIPTS), *sys.path])
    for name in NAMES:  # other scripts share them
        patch.delitem(sys.modules, name, raising=False)
    timing, sides, training = map(import_module, NAMES)
    for name in NAMES:
        del sys.modules[name]

TINY = {
    name: case._replace(n_samples=600, n_epochs=2, n_fits=1)
    for name, case in training.CASES.items()
    if name != "resnet-32"
}
SMALLEST_RESNET = training.RESNET._replace(arguments={"depth": 8}, n_samples=16)


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the script on little data, and return the lines of its table."""
    monkeypatch.setattr(training, "use_threads", lambda n_threads: None)
    monkeypatch.setattr(training, "CASES", TINY | {"resnet-32": SMALLEST_RESNET})
    monkeypatch.setattr(training, "MLP_10", TINY["mlp-10"])

    def run(*arguments):
        training.main(["--rounds", "1", *arguments])
        return capsys.readouterr().out.splitlines()[2:]

    return run


@pytest.fixture
def take_as_told(monkeypatch):
    """Let sides take the seconds that are told, one by default, without running them."""

    def take_as_told(**seconds):
        monkeypatch.setattr(training, "check_same", lambda *data: None)
        monkeypatch.setattr(
            training, "medians_of", lambda runs, n: {name: seconds.get(name, 1) for name in runs}
        )

    return take_as_told


# ---------------------------------------------------------------------- the script


@pytest.mark.parametrize("name", [*training.CASES, "predictions", "labels"])
def test_prints_each_target_with_met_or_missed(name, run):
    lines = run("--case", name)
    others = {"predictions": [1.5, 0.9], "labels": [None]}
    targets = others.get(name) or training.CASES[name].targets.values()
    assert len(lines) == len(targets)
    for line, target in zip(lines, targets, strict=True):
        if target is None:
            float(line.split()[-1])  # the ratio
        else:
            assert f"<= {target:.2f} " in line
            assert line.endswith((" met", " MISSED"))


def test_quick_leaves_out_what_takes_long(run, take_as_told):
    take_as_told()
    everything, quick = run(), run("--quick")
    assert quick == [
        line for line in everything if " DataLoader " not in line and " skorch " not in line
    ]
    assert len(quick) < len(everything)


@pytest.mark.parametrize(("ours", "exits"), [(0.55, False), (0.56, True)])
def test_a_missed_target_exits_1_if_asked(ours, exits, run, take_as_told):
    take_as_told(ours=ours, **{"sample weights": 0.5, "focal": 0.5, "skorch": 2})
    (line,) = [line for line in run("--case", "mlp-10") if " optimal " in line]
    assert line.endswith("MISSED" if exits else "met")
    if exits:
        with pytest.raises(SystemExit, match="1"):
            run("--case", "mlp-10", "--check")
    else:
        run("--case", "mlp-10", "--check")


def test_a_case_of_another_device_is_refused(run, capsys):
    with pytest.raises(SystemExit, match="2"):
        run("--case", "cifar")
    assert "--case must be one of mlp-10, mlp-3" in capsys.readouterr().err


# ---------------------------------------------------------------------- its sides


@pytest.mark.parametrize("case", TINY.values(), ids=TINY)
def test_all_sides_train_as_many_parameters_for_as_many_epochs(case):
    X, y, _ = training.make_data(case)
    ours, theirs = sides.Net(case, X, y), sides.Sklearn(case, X, y)
    skorch, loop = sides.Net(case, X, y, ours=None), sides.Optimal(case, X, y)
    for side in (ours, theirs, skorch, loop):
        side()
    assert theirs.net.n_iter_ == case.n_epochs
    assert len(ours.net.history_) == len(skorch.net.history_) == case.n_epochs
    modules = ours.net.module_, skorch.net.module_, loop.module
    sizes = {sum(p.numel() for p in module.parameters()) for module in modules}
    assert sizes == {sum(part.size for part in theirs.net.coefs_ + theirs.net.intercepts_)}
    n_steps = case.n_epochs * -(-case.n_samples // case.batch_size)
    (state, *_) = loop.optimizer.state.values()
    assert state["step"] == n_steps
    assert theirs.net.t_ == case.n_epochs * case.n_samples


def test_a_first_of_its_kind_is_new_each_time_and_learns_the_same():
    case = TINY["fold"]
    data = case, *training.make_data(case)[:2]
    known, first = sides.Net(*data), sides.FirstOfItsKind(*data)
    known()
    kinds = {type(known.net.module_)}
    for n in range(3):
        first()
        kinds.add(type(first.net.module_))
        assert len(kinds) == n + 2
        for ours, theirs in zip(
            known.net.module_.parameters(), first.net.module_.parameters(), strict=True
        ):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("ours", "is_captured"), [(sides.Net, True), (sides.SIDES["without graphs"], False)]
)
def test_only_our_net_is_captured(ours, is_captured, caplog):
    case = TINY["mlp-10"]._replace(n_epochs=30)
    with caplog.at_level(logging.INFO, "sk_cbloss"):
        ours(case, *training.make_data(case)[:2])()
    assert ("not captured: Uncaptured has its own infer" in caplog.text) is not is_captured
    assert ("not captured" in caplog.text) is not is_captured


# ---------------------------------------------------------------------- check_same


def other_rate(loop):
    loop.optimizer.param_groups[0]["lr"] *= 1.01


def other_momentum(loop):
    loop.optimizer.param_groups[0]["betas"] = 0.9, 0.99


def other_features(loop):
    loop.data[0] = loop.data[0].flip(0)


class StopsLate(sides.Optimal):
    """A loop that goes astray once ours is captured."""

    n_steps = 0

    def step(self, *batch):
        self.n_steps += 1
        return None if self.n_steps > 29 else super().step(*batch)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    "change",
    [None, other_rate, other_momentum, other_features, StopsLate],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_loop_that_learns_something_else_is_found(change, weighted, monkeypatch):
    X, y, sample_weight = training.make_data(TINY["mlp-10"])
    data = TINY["mlp-10"], X, y, sample_weight if weighted else None
    if change is None:
        training.check_same(*data)
        return

    def changed(*args):
        loop = sides.Optimal(*args)
        change(loop)
        return loop

    monkeypatch.setattr(training, "Optimal", change if change is StopsLate else changed)
    with pytest.raises(AssertionError, match="not close"):
        training.check_same(*data)


def test_plain_sgd_is_compared_too(monkeypatch):
    X, y, _ = training.make_data(SMALLEST_RESNET)
    training.check_same(SMALLEST_RESNET, X, y)
    monkeypatch.setattr(training, "Optimal", lambda case, X, *data: sides.Optimal(case, -X, *data))
    with pytest.raises(AssertionError, match="not close"):
        training.check_same(SMALLEST_RESNET, X, y)


# ---------------------------------------------------------------------- the clock


def test_medians_are_of_rounds_in_another_order_each():
    order, now = [], count()
    runs = {name: timing.repeated(lambda name=name: order.append(name), 2) for name in "abc"}
    assert timing.medians_of(runs, 3, lambda: next(now)) == dict.fromkeys("abc", 1)
    assert "".join(order) == "aabbcc" + "aabbcc" + "bbccaa" + "ccaabb"
