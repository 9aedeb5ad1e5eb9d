"""A call that fails loses nothing, of whatever estimator, wherever it fails.

A fitted estimator predicts as before and takes the next good call; one that was never fitted
still is not.
"""

import copy
import errno
import importlib
import os
import pkgutil
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import FeatureUnion
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from skorch.callbacks import Callback
from torch import nn

import sk_cbloss
from sk_cbloss import (
    CBNeuralNetClassifier,
    ClassBalancedClassifier,
    ClassBalancedSampler,
    ClassBalancedWeigher,
    ConformalClassifierCV,
    DecisionClassifierCV,
    LogitAdjustedClassifier,
    PriorCorrectedClassifier,
    StackedGridSearchCV,
)
from sk_cbloss.neural_net import DistributedCBNeuralNetClassifier, TrainingCheckpoint
from sk_cbloss.neural_net.state import _saving, _state_file
from sk_cbloss.pipeline import Pipeline, make_pipeline

RNG = np.random.default_rng(0)
Y = np.repeat(["ant", "bee", "cat"], [60, 24, 12])
X = pd.DataFrame(RNG.normal(size=(96, 4)), columns=list("abcd"))
X += np.repeat([[0, 1], [2, 0], [0, -2]], [60, 24, 12], axis=0)[:, [0, 1, 0, 1]]
# Another set, to which a call would fit if it did not fail.
OTHER_Y = np.repeat(["ant", "dog", "eel", "fox"], 24)
OTHER_X = pd.DataFrame(RNG.normal(5, 3, size=(96, 5)), columns=list("vwxyz"))

PACKAGE = Path(sk_cbloss.__file__).parent
# What puts an estimator back cannot be interrupted in the middle of that.
PUTS_BACK = {str(PACKAGE / "_state.py"), str(PACKAGE / "neural_net" / "_net_state.py")}


SOME_ERROR = Exception  # its sentence is tested where it is made
# A generator that is thrown away, and what scikit-learn asks for, or sets, after our call.
UNTOLD = {"<genexpr>", "__get__", "__set__", "__setattr__"}


class Net(CBNeuralNetClassifier):
    """As skorch's nets are used: by inheritance."""


def make_net(kind=CBNeuralNetClassifier, **parameters):
    given = {"max_epochs": 2, "batch_size": 40, "random_state": 0, "device": "cpu"}
    return kind(**(given | {"module__hidden_units": (8,)} | parameters))


ESTIMATORS = {
    "weigher": ClassBalancedWeigher(0.9),
    "sampler": ClassBalancedSampler(0.9, random_state=0),
    "pipeline": make_pipeline(
        FeatureUnion([("scaled", StandardScaler()), ("small", MinMaxScaler())]),
        ClassBalancedWeigher(0.9),
        LogisticRegression(),
    ),
    "pipeline of a net": make_pipeline(StandardScaler(), make_net()),
    "class-balanced": ClassBalancedClassifier(GaussianNB(), beta=0.9),
    "prior-corrected": PriorCorrectedClassifier(LogisticRegression(class_weight="balanced")),
    "logit-adjusted": LogitAdjustedClassifier(GaussianNB()),
    "conformal": ConformalClassifierCV(GaussianNB(), cv=3),
    "decided": DecisionClassifierCV(RandomForestClassifier(5, random_state=0), cv=3),
    "decided by recall": DecisionClassifierCV(GaussianNB(), min_recall=0.1, cv=3),
    "net": make_net(),
    "subclass of the net": make_net(Net),
    "net of several ranks": make_net(DistributedCBNeuralNetClassifier),
    "stacked search": StackedGridSearchCV(make_net(), {"beta": [0, 0.9]}, cv=2),
    "nets one by one": StackedGridSearchCV(make_net(Net), {"beta": [0, 0.9]}, cv=2),
}
NETS = ["net", "subclass of the net", "net of several ranks"]
every_estimator = pytest.mark.parametrize("name", ESTIMATORS)


@pytest.fixture(scope="module")
def fitted():
    cache = {}

    def fit(name):
        if name not in cache:
            cache[name] = train(clone(ESTIMATORS[name]))
        return copy.deepcopy(cache[name])

    return fit


def train(estimator):
    if hasattr(estimator, "fit_resample"):
        estimator.fit_resample(X, Y)
        return estimator
    return estimator.fit(X, Y)


ATTRIBUTES = ["n_features_in_", "feature_names_in_", "classes_", "class_count_", "class_weight_"]
ATTRIBUTES += ["effective_number_", "sampling_strategy_", "sample_indices_", "best_params_"]
ATTRIBUTES += ["n_stacks_", "n_fallback_fits_", "n_splits_", "best_score_", "tau_", "recall_"]
METHODS = ["predict", "predict_proba", "decision_function", "predict_natural_proba", "transform"]
METHODS += ["predict_set"]


def knowledge(estimator):
    """Return all that a fitted estimator tells."""
    told = {name: getattr(estimator, name) for name in ATTRIBUTES if hasattr(estimator, name)}
    told |= {name: getattr(estimator, name)(X) for name in METHODS if hasattr(estimator, name)}
    if hasattr(estimator, "sample_weight"):
        told["sample_weight"] = estimator.sample_weight(Y)
    return told


def check_knows(estimator, expected):
    known = knowledge(estimator)
    assert known.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_equal(np.asarray(known[name]), np.asarray(value), err_msg=name)


def check_not_fitted(estimator):
    for method in set(METHODS) & set(dir(estimator)):
        if hasattr(estimator, method):
            with pytest.raises(NotFittedError):
                getattr(estimator, method)(X)
    if hasattr(estimator, "sample_weight"):
        with pytest.raises(NotFittedError):
            estimator.sample_weight(Y)
    assert not [name for name in ATTRIBUTES if name in vars(estimator)]


def test_every_estimator_is_under_the_law():
    public = set()
    for module in pkgutil.walk_packages([str(PACKAGE)], "sk_cbloss."):
        if module.name.rpartition(".")[2].startswith("_") or module.name.count(".") > 1:
            continue  # of no room, or of a room within one
        face = importlib.import_module(module.name)
        names = [getattr(face, name) for name in getattr(face, "__all__", ())]
        public |= {each for each in names if isinstance(each, type)}
    estimators = {each for each in public if issubclass(each, BaseEstimator)}
    tested = {type(estimator) for estimator in ESTIMATORS.values()}
    tested = {next(c for c in kind.__mro__ if c in public) for kind in tested}
    assert {c for c in estimators if hasattr(c, "fit")} == tested
    assert Pipeline in tested


# ---------------------------------------------------------------------- refused for what is given


HUGE = np.full(len(OTHER_Y), 1.7e308)
REFUSED = {
    "another length": (OTHER_X, OTHER_Y[:-1]),
    "no labels": (OTHER_X, None),
    "missing labels": (OTHER_X, np.where(OTHER_Y == "ant", None, OTHER_Y)),
    "numbers as labels": (OTHER_X, np.linspace(0, 1, 96)),
    "a single number": (OTHER_X, 3),
    "no rows": (OTHER_X[:0], OTHER_Y[:0]),
    "text": (pd.concat([OTHER_X.iloc[:-1], OTHER_X.iloc[-1:].map("{} m".format)]), OTHER_Y),
    "NaN": (OTHER_X * np.nan, OTHER_Y),
    "a dict": ({"a": OTHER_X.to_numpy(), "b": OTHER_X.to_numpy()[:5]}, OTHER_Y),
    "weights that overflow": (OTHER_X, OTHER_Y, HUGE),
    "negative weights": (OTHER_X, OTHER_Y, -np.ones(96)),
    "weights of 0": (OTHER_X, OTHER_Y, np.zeros(96)),
    "too few weights": (OTHER_X, OTHER_Y, np.ones(95)),
    "an unknown argument": (OTHER_X, OTHER_Y, None, {"nonsense": 1}),
}


def refused_calls(estimator):
    """Yield the calls that train, with data that most estimators refuse."""
    for method in ("fit", "partial_fit", "fit_resample"):
        if not hasattr(estimator, method):
            continue
        for X, y, *rest in REFUSED.values():
            weight, further = [*rest, None, None][:2]
            weight = {} if weight is None else {"sample_weight": weight}
            yield lambda e, m=method, a=(X, y), k=weight | (further or {}): getattr(e, m)(*a, **k)


@every_estimator
@pytest.mark.filterwarnings("ignore")  # scikit-learn's, of folds that fail before all do
def test_a_refused_call_changes_nothing(name, fitted):
    n_refused = 0
    estimator, empty = fitted(name), clone(ESTIMATORS[name])
    expected = knowledge(estimator)
    for call in refused_calls(estimator):
        try:
            call(copy.deepcopy(empty))
        except Exception:
            n_refused += 1
        else:  # a weigher, for instance, takes any features
            continue
        with pytest.raises(SOME_ERROR):
            call(empty)
        check_not_fitted(empty)
        with pytest.raises(SOME_ERROR):
            call(estimator)
        check_knows(estimator, expected)
    assert n_refused >= 5
    check_knows(train(estimator), expected)
    check_knows(train(empty), expected)


BAD_PARAMETERS = {
    "weigher": {"beta": 2},
    "sampler": {"sampling_strategy": -1},
    "pipeline": {"logisticregression__C": -1},
    "pipeline of a net": {"cbneuralnetclassifier__loss": "nonsense"},
    "class-balanced": {"estimator__var_smoothing": "nonsense"},
    "prior-corrected": {"estimator__C": -1},
    "logit-adjusted": {"estimator__var_smoothing": "nonsense"},
    "conformal": {"cv": 1},
    "decided": {"metric": "nonsense"},
    "decided by recall": {"min_recall": 2},
    "net": {"lr": -1.0},
    "subclass of the net": {"module__hidden_units": "nonsense"},
    "net of several ranks": {"timeout": 0},
    "stacked search": {"scoring": "nonsense"},
    "nets one by one": {"estimator__lr": -1.0, "error_score": "raise"},
}


@every_estimator
@pytest.mark.filterwarnings("ignore")
def test_a_bad_parameter_changes_nothing(name, fitted):
    estimator, empty = fitted(name), clone(ESTIMATORS[name])
    good, expected = estimator.get_params(), knowledge(estimator)
    bad = BAD_PARAMETERS[name]
    for each, check in (
        (estimator, lambda e: check_knows(e, expected)),
        (empty, check_not_fitted),
    ):
        with pytest.raises(SOME_ERROR):
            train_on_others(each.set_params(**bad))
        if name == "weigher":  # whose weights follow its parameters
            each.set_params(**good)
        check(each)
        with pytest.raises(ValueError, match="nonsense"):
            each.set_params(nonsense=1)
        check(each)
        each.set_params(**{parameter: good[parameter] for parameter in bad if parameter in good})


def train_on_others(estimator):
    if hasattr(estimator, "fit_resample"):
        return estimator.fit_resample(OTHER_X, OTHER_Y)
    return estimator.fit(OTHER_X, OTHER_Y)


# ---------------------------------------------------------------------- failing anywhere


class InjectedError(Exception):
    """Raised where nobody expects it."""


@contextmanager
def raising_at(n, kind=InjectedError):
    """Raise an error at the n-th call of a function of the package."""
    calls, before = [], sys.gettrace()

    def trace(frame, event, arg):
        file = frame.f_code.co_filename
        is_told = file.startswith(str(PACKAGE)) and file not in PUTS_BACK
        if is_told and frame.f_code.co_name not in UNTOLD:
            calls.append(frame.f_code.co_name)
            if len(calls) == n:
                raise kind
        return before(frame, event, arg) if before else None

    sys.settrace(trace)
    try:
        yield calls
    finally:
        sys.settrace(before)


def places(call, estimator):
    """Return numbers of calls that are spread over all that a good call makes."""
    n_places = 6 if isinstance(estimator, StackedGridSearchCV) else 15
    with raising_at(None) as calls:
        call(copy.deepcopy(estimator))
    return np.unique(np.linspace(1, len(calls), n_places).astype(int))


@every_estimator
@pytest.mark.filterwarnings("ignore")
def test_an_error_anywhere_in_a_fit_changes_nothing(name, fitted):
    trained = fitted(name)
    expected, n_failed = knowledge(trained), 0
    for n in places(train_on_others, trained):
        estimator, empty = fitted(name), clone(ESTIMATORS[name])
        try:
            with raising_at(n):
                train_on_others(estimator)
        except InjectedError:
            n_failed += 1
            check_knows(estimator, expected)
            check_knows(train(estimator), expected)
        try:
            with raising_at(n):
                train_on_others(empty)
        except InjectedError:
            check_not_fitted(empty)
    assert n_failed


WITHOUT_NETS = [name for name in ESTIMATORS if "net" not in name and name != "stacked search"]


@pytest.mark.parametrize("name", WITHOUT_NETS)
@pytest.mark.filterwarnings("ignore")
def test_an_interrupt_anywhere_in_a_fit_changes_nothing(name, fitted):
    """But for nets, whose training it ends."""
    trained = fitted(name)
    expected = knowledge(trained)
    for n in places(train_on_others, trained):
        estimator = fitted(name)
        try:
            with raising_at(n, KeyboardInterrupt):
                train_on_others(estimator)
        except KeyboardInterrupt:
            check_knows(estimator, expected)


@every_estimator
@pytest.mark.filterwarnings("ignore")
def test_an_interrupt_changes_nothing_where_nothing_was_trained(name, fitted):
    estimator, empty = fitted(name), clone(ESTIMATORS[name])
    expected = knowledge(estimator)
    with raising_at(3, KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        train_on_others(estimator)
    check_knows(estimator, expected)
    with raising_at(3, KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        train_on_others(empty)
    check_not_fitted(empty)


@pytest.mark.parametrize("name", ["weigher", "class-balanced", *NETS])
def test_an_error_anywhere_in_partial_fit_changes_nothing(name, fitted):
    def go_on(estimator):
        return estimator.partial_fit(X, Y)

    trained = fitted(name)
    expected, n_failed = knowledge(trained), 0
    for n in places(go_on, trained):
        estimator = fitted(name)
        with raising_at(n):
            try:
                go_on(estimator)
            except (InjectedError, AttributeError):  # where it is asked whether there is a method
                n_failed += 1
            else:
                continue
        check_knows(estimator, expected)
        go_on(estimator)
    assert n_failed >= 5


def test_counts_that_overflow_leave_the_stream_as_it_was():
    weigher = ClassBalancedWeigher(0.9).partial_fit(X, Y)
    for _ in range(2):
        with pytest.raises(ValueError, match="^sample_weight must have a finite sum, got .* 1.7e"):
            weigher.partial_fit(X, Y, np.full(96, 1.7e308))
    weigher.partial_fit(X[:1], Y[:1], [1e308])
    with pytest.raises(ValueError, match="finite"):  # together, they are too much
        weigher.partial_fit(X[:1], Y[:1], [1e308])
    weigher.partial_fit(X, Y)
    assert weigher.class_count_.tolist() == [1e308, 48, 24]


# ---------------------------------------------------------------------- nets


HOOKS = ["on_train_begin", "on_epoch_begin", "on_batch_begin", "on_grad_computed"]
HOOKS += ["on_batch_end", "on_epoch_end", "on_train_end"]


class Raises(Callback):
    def __init__(self, hook, epoch=2, kind=InjectedError):
        self.hook, self.epoch, self.kind = hook, epoch, kind

    def on_train_begin(self, net, **kwargs):
        self.n_before = len(net.history)
        self.tell(net, "on_train_begin")

    def tell(self, net, hook):
        begins_or_ends = hook.startswith("on_train")
        if hook == self.hook and (
            begins_or_ends or len(net.history) - self.n_before == self.epoch
        ):
            raise self.kind


for each in HOOKS[1:]:
    setattr(Raises, each, lambda self, net, _hook=each, **kwargs: self.tell(net, _hook))

WAYS = {
    "fit": lambda net: net.fit(OTHER_X, OTHER_Y),
    "warm fit": lambda net: net.set_params(warm_start=True).fit(X, Y),
    "partial_fit": lambda net: net.partial_fit(X, Y),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("epoch", [1, 2])
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", NETS)
def test_a_callback_that_raises(name, hook, epoch, way, fitted):
    net = fitted(name)
    expected, history = knowledge(net), net.history.to_list()
    lrs = [group["lr"] for group in net.optimizer_.param_groups]
    if way == "fit":
        net.set_params(callbacks=[Raises(hook, epoch)])
    else:  # as ever in skorch, a net that goes on has the callbacks that it was built with
        net.callbacks_.append(("raises", Raises(hook, epoch)))
    scores = [vars(callback) for _, callback in net.callbacks_]
    before = copy.deepcopy(scores)
    with pytest.raises(InjectedError):
        WAYS[way](net)
    check_knows(net, expected)
    assert [each.get("best_score_") for each in scores] == [b.get("best_score_") for b in before]
    assert net.history.to_list() == history
    assert [group["lr"] for group in net.optimizer_.param_groups] == lrs
    net.set_params(callbacks=None, warm_start=False)
    check_knows(net.fit(X, Y), expected)
    empty = clone(net).set_params(callbacks=[Raises(hook, epoch)])
    with pytest.raises(InjectedError):
        WAYS[way](empty)
    check_not_fitted(empty)


@pytest.mark.parametrize("folder", ["a file", 5])
@pytest.mark.parametrize("name", NETS)
def test_a_checkpoint_without_a_folder(name, folder, fitted, tmp_path):
    if folder == "a file":
        folder = tmp_path / "file"
        folder.touch()
    net = fitted(name)
    expected = knowledge(net)
    with pytest.raises((OSError, ValueError), match="Could not make|dirname must be a path"):
        net.set_params(callbacks=[TrainingCheckpoint(folder)]).fit(OTHER_X, OTHER_Y)
    check_knows(net, expected)
    check_knows(
        net.set_params(callbacks=[TrainingCheckpoint(tmp_path / "new")]).fit(X, Y), expected
    )


def no_split(dataset, y=None, **kwargs):
    raise InjectedError


class Unbuildable(nn.Module):
    error = InjectedError

    def __init__(self, n_features, n_classes, hidden_units):
        super().__init__()
        raise self.error


class Interrupted(Unbuildable):
    error = KeyboardInterrupt


UNBUILDABLE = {
    "train_split": no_split,
    "module": Unbuildable,
    "interrupted module": Interrupted,
    "optimizer": lambda params, lr: [][0],
}


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
@pytest.mark.parametrize("part", UNBUILDABLE)
@pytest.mark.parametrize("name", NETS)
def test_a_part_that_cannot_be_built(name, part, way, fitted):
    net = fitted(name)
    expected = knowledge(net)
    bad = {part.split()[-1]: UNBUILDABLE[part]}
    empty = clone(net).set_params(**bad)
    errors = (InjectedError, KeyboardInterrupt, IndexError)
    with pytest.raises(errors):
        WAYS[way](empty)
    check_not_fitted(empty)
    vars(net).update(bad)
    with pytest.raises(errors):
        net.fit(OTHER_X, OTHER_Y)
    check_knows(net, expected)


def test_a_training_that_diverges_keeps_its_last_whole_epoch(fitted):
    class Diverges(Callback):
        def on_batch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                net.module_.head.bias.data.fill_(torch.nan)

    net = make_net(max_epochs=5, callbacks=[Diverges()])
    with pytest.raises(FloatingPointError, match="has the parameters of epoch 2 again"):
        net.fit(X, Y)
    check_knows(net, knowledge(fitted("net")))
    # Before there is one, nothing has been learned that could be kept.
    wild = fitted("net").set_params(lr=1e30)
    for call in (WAYS["fit"], WAYS["warm fit"], WAYS["partial_fit"]):
        with pytest.raises(FloatingPointError):
            call(wild)
        check_knows(wild, knowledge(fitted("net")))
    with pytest.raises(FloatingPointError):
        WAYS["fit"](clone(wild))


@pytest.mark.parametrize("name", NETS)
def test_an_interrupt_in_training_ends_it(name, fitted):
    net = fitted(name).set_params(callbacks=[Raises("on_batch_begin", 3, KeyboardInterrupt)])
    net.set_params(max_epochs=9).fit(X, Y)
    check_knows(net, knowledge(fitted(name)))
    # After the last epoch, what was learned stays as well.
    net = clone(ESTIMATORS[name]).set_params(
        callbacks=[Raises("on_train_end", 1, KeyboardInterrupt)]
    )
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y)
    check_knows(net, knowledge(fitted(name)))


def interrupted_split(dataset, y=None, **kwargs):
    raise KeyboardInterrupt


NOTHING_LEARNED = {
    "splitting": {"train_split": interrupted_split},
    "an epoch's begin": {"callbacks": [Raises("on_epoch_begin", 1, KeyboardInterrupt)]},
    "a batch's begin": {"callbacks": [Raises("on_batch_begin", 1, KeyboardInterrupt)]},
}


@pytest.mark.parametrize("where", NOTHING_LEARNED)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", NETS)
def test_an_interrupt_before_the_first_batch_ends_the_call(name, way, where, fitted):
    net, empty = fitted(name), clone(ESTIMATORS[name])
    expected = knowledge(net)
    for each in (net, empty):
        with pytest.raises(KeyboardInterrupt) as caught:
            WAYS[way](each.set_params(**copy.deepcopy(NOTHING_LEARNED[where])))
        assert type(caught.value) is KeyboardInterrupt
    check_knows(net, expected)
    check_not_fitted(empty)


def test_an_interrupt_before_the_first_batch_ends_a_search():
    for where in NOTHING_LEARNED.values():
        net = make_net(**copy.deepcopy(where))
        search = StackedGridSearchCV(net, {"beta": [0, 0.9]}, cv=2)
        with pytest.raises(KeyboardInterrupt):
            search.fit(X, Y)


BAD_SETTINGS = [
    {"module__hidden_units": "nonsense"},
    {"module__nonsense": 1},
    {"lr": 5.0, "beta": 0.5, "module__hidden_units": (-1,)},
    {"criterion__nonsense": 1},
    {"nonsense__nonsense": 1},
    {"callbacks__nonsense__nonsense": 1},
    {"optimizer__nonsense__nonsense": 1},
]


@pytest.mark.parametrize("bad", BAD_SETTINGS, ids=repr)
@pytest.mark.parametrize("name", NETS)
def test_settings_that_a_fitted_net_refuses(name, bad, fitted):
    net = fitted(name)
    expected, settings = knowledge(net), net.get_params()
    module, groups = net.module_, [dict(group) for group in net.optimizer_.param_groups]
    with pytest.raises(SOME_ERROR):
        net.set_params(**bad)
    check_knows(net, expected)
    assert net.module_ is module
    assert [dict(group) for group in net.optimizer_.param_groups] == groups
    after = net.get_params()
    assert after.keys() == settings.keys()
    assert all(after[key] is settings[key] for key in bad if key in settings)
    net.partial_fit(X, Y)
    check_knows(net.fit(X, Y), expected)


def test_classes_belong_to_a_fitted_net(fitted):
    net = fitted("net")
    expected = knowledge(net)
    for classes in (["ant", "bee", "cat", "dog"], ["dog", "eel", "fox"]):
        net.set_params(classes=classes)
        with pytest.raises(ValueError, match=r"^classes must be the known ones, \['ant', 'bee"):
            net.partial_fit(X, Y)
        check_knows(net, expected)
    net.set_params(classes=["ant", "bee", "cat", "dog"]).fit(X, Y)
    assert net.class_count_.tolist() == [60, 24, 12, 0]


# ---------------------------------------------------------------------- files


FILES = ["f_params", "f_optimizer", "f_criterion", "f_history"]


def saved(net, folder, suffix="pt", names=FILES):
    files = {name: folder / f"{name}.{suffix}" for name in names}
    net.save_params(**files)
    return files


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
@pytest.mark.parametrize("bad", FILES)
@pytest.mark.parametrize("name", NETS)
def test_a_file_that_cannot_be_loaded(name, bad, suffix, fitted, tmp_path):
    files = saved(fitted(name).fit(OTHER_X[list("vwxy")], Y), tmp_path, suffix)
    files[bad].write_bytes(files[bad].read_bytes()[:-3])
    net = fitted(name)
    expected, history = knowledge(net), net.history.to_list()
    numbers = copy.deepcopy(net.optimizer_.state_dict())
    with pytest.raises(SOME_ERROR):
        net.load_params(**files)
    check_knows(net, expected)
    assert net.history.to_list() == history
    torch.testing.assert_close(net.optimizer_.state_dict(), numbers, rtol=0, atol=0)
    net.partial_fit(X, Y)


def test_parameters_of_another_net_are_not_half_loaded(fitted, tmp_path):
    saved(make_net(module__hidden_units=(9,)).fit(X, Y), tmp_path)
    net, expected = fitted("net"), knowledge(fitted("net"))
    files = [tmp_path / f"{name}.pt" for name in FILES]
    for given in ({"f_params": files[0]}, {"f_params": tmp_path / "no"}):
        with pytest.raises((RuntimeError, ValueError, OSError)):
            net.load_params(**given, f_history=files[3])
        check_knows(net, expected)
        assert len(net.history) == 2
    check_not_fitted(clone(net))
    with pytest.raises(NotFittedError):
        clone(net).load_params(f_params=files[0])


class FullDisk:
    """A file that takes so many bytes, and then no more."""

    def __init__(self, *args, size=200, **kwargs):
        self.file, self.left = open(*args, **kwargs), size  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, data):
        size = len(memoryview(data).cast("B")) if not isinstance(data, str) else len(data)
        self.left -= size
        if self.left < 0:
            self.file.write(data[: max(0, self.left + size)])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_a_full_disk_leaves_the_old_file(name, suffix, fitted, tmp_path, monkeypatch):
    saved(fitted("net"), tmp_path, suffix)
    before = contents(tmp_path)
    other = fitted("net").fit(X, Y[::-1])
    for module in (_saving, _state_file):
        monkeypatch.setattr(module, "open", FullDisk, raising=False)
    monkeypatch.setattr(_saving, "save_file", full_disk)
    for names in ([name], FILES):
        with pytest.raises(OSError, match="Could not write .* No space left") as caught:
            saved(other, tmp_path, suffix, names)
        assert caught.value.errno == errno.ENOSPC
        assert contents(tmp_path) == before


def full_disk(tensors, path):
    Path(path).write_bytes(b"half")
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_fails_in_the_end(call, fitted, tmp_path, monkeypatch):
    saved(fitted("net"), tmp_path)
    before = contents(tmp_path)

    def fail(*args):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="Could not write"):
        saved(fitted("net").fit(X, Y[::-1]), tmp_path)
    assert contents(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="there are links and modes where there is POSIX")
def test_links_and_modes_stay_and_what_is_no_file_is_written_at_once(fitted, tmp_path):
    target, link, pipe = (tmp_path / name for name in ("target.pt", "link.pt", "pipe"))
    target.touch()
    target.chmod(0o600)
    link.symlink_to(target)
    fitted("net").save_params(f_params=link)
    assert link.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o600
    assert torch.load(target).keys() == fitted("net").module_.state_dict().keys()
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fitted("net").save_params(f_history=pipe)
    assert os.read(reader, 1) == b"["
    os.close(reader)
    assert sorted(contents_of_files(tmp_path)) == ["link.pt", "target.pt"]


def contents_of_files(folder):
    return [path.name for path in folder.iterdir() if path.is_file()]
