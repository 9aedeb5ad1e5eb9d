"""Estimators: good and bad calls in any order, after which nothing is lost."""

import pickle
import re

import numpy as np
import pandas as pd
import torch
from fuzz._call import NAMES, Code, Refused, answer, attempt, codes, law
from fuzz._strategies import HELD, SMALL, labels
from hypothesis import assume
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier
from skorch.dataset import ValidSplit

import sk_cbloss
from sk_cbloss.neural_net import TrainingCheckpoint
from sk_cbloss.pipeline import make_pipeline

_rng = np.random.default_rng(0)
POSITION = np.repeat([0, 1, 2], [12, 8, 4])
X = _rng.normal(size=(24, 2)) + POSITION[:, None]
X_NEW = _rng.normal(size=(9, 2)) + 1
DATA = {
    "X": X,
    "y": np.array(["ant", "bee", "cat"])[POSITION],
    "w": np.linspace(0.5, 1.5, 24),
    "X_new": X_NEW,
    "Y": np.stack([POSITION > 0, POSITION == 2, np.arange(24) % 3 == 0], axis=1).astype(int),
}


class Fails(LogisticRegression):
    """A classifier whose fit raises."""

    def fit(self, X, y, sample_weight=None):
        raise ValueError("Fails cannot be fitted, got called.")


class FailsInTraining(torch.nn.Module):
    """A module that cannot take its inputs."""

    def __init__(self, n_features, n_classes):
        super().__init__()
        self.layer = torch.nn.Linear(n_features, n_classes)

    def forward(self, x):
        raise ValueError("FailsInTraining takes no input, got one.")


def failing_split(dataset, y=None, groups=None):
    raise ValueError("failing_split splits nothing, got called.")


LINEAR = torch.nn.Linear(2, 3)  # made once: to make one moves torch's generator
NAMES |= {name: getattr(sk_cbloss, name) for name in sk_cbloss.__all__}
NAMES |= DATA | {"LINEAR": LINEAR}
NAMES |= {
    each.__name__: each
    for each in (
        DecisionTreeClassifier,
        Fails,
        FailsInTraining,
        GaussianNB,
        LogisticRegression,
        OneVsRestClassifier,
        StandardScaler,
        TrainingCheckpoint,
        ValidSplit,
        failing_split,
        make_pipeline,
    )
}

NET = "CBNeuralNetClassifier(max_epochs=1, batch_size=8, random_state=0, device='cpu')"
FAST = [
    "ClassBalancedWeigher(0.9)",
    "ClassBalancedSampler(0.9, random_state=0)",
    "ClassBalancedClassifier(LogisticRegression(), beta=0.9)",
    "ClassBalancedClassifier(GaussianNB(), beta=0.9)",
    "ClassBalancedClassifier(DecisionTreeClassifier(random_state=0, max_depth=3), beta=1)",
    "PriorCorrectedClassifier(ClassBalancedClassifier(GaussianNB(), beta=1))",
    "LogitAdjustedClassifier(GaussianNB())",
    "ConformalClassifierCV(GaussianNB(), cv=2)",
    "DecisionClassifierCV(GaussianNB(), cv=2)",
    "DecisionClassifierCV(GaussianNB(), metric='f1_macro', cv=2)",
    "DecisionClassifierCV(GaussianNB(), min_recall=0.1, cv=2)",
    "DecisionClassifierCV(OneVsRestClassifier(GaussianNB()), metric='f1_macro', cv=2)",
    "make_pipeline(StandardScaler(), ClassBalancedWeigher(0.9), LogisticRegression())",
]
ESTIMATORS = codes(*FAST) | codes(NET)
CLASSIFIERS = codes(
    *[text for text in FAST if "Sampler" not in text and text[-5:] != "(0.9)"], NET
)

# ---------------------------------------------------------------------- calls, good and bad

ANY_X = ["X"] * 6 + [
    "X[:, :1]",
    "X[:20]",
    "X[:0]",
    "X[:, :0]",
    "X * nan",
    "np.where(X > 1, inf, X)",
    "X.tolist()",
    "X.astype(np.float32)",
    "X.astype(object)",
    "X.astype(str)",
    "X[0]",
    "X[None]",
    "pd.DataFrame(X, columns=['a', 'b'])",
    "pl.DataFrame(X)",
    "torch.tensor(X)",
    "sparse.csr_array(X)",
    "np.ma.array(X, mask=X > 2)",
    "None",
]
ANY_Y = ["y"] * 6 + [
    "y[::-1]",
    "y[:20]",
    "y[:0]",
    "y == 'ant'",
    "y == 'none'",
    "np.repeat([0, 1, 2, 3], 6)",
    "np.repeat(['ant', 'cat'], [23, 1])",
    "np.array(['ant'] * 24)",
    "np.arange(24)",
    "np.arange(24) / 7",
    "np.repeat([0.0, 1.0, nan], 8)",
    "np.array([*y[1:], None], object)",
    "[*y[1:], 3]",
    "y.tolist()",
    "y.astype(object)",
    "y.astype(bytes)",
    "y.astype('T')",
    "np.repeat([0, 1, 2], 8).astype(object)",
    "np.repeat(['2020', '2021'], 12).astype('M8[D]')",
    "pd.Series(y)",
    "pd.Categorical(y)",
    "pl.Series(y)",
    "torch.arange(24) % 3",
    "y.reshape(-1, 1)",
    "np.eye(3)[np.arange(24) % 3]",
    "np.ma.array(np.arange(24) % 2, mask=np.arange(24) == 3)",
    "Y",
    "sparse.csr_array(Y)",
    "pd.DataFrame(Y, columns=['d', 'b', 'c'])",
    "np.where(X[:, :1] > 1, nan, Y)",
    "Y[:, :2]",
    "Y[:20]",
    "Y * 0",
    "Y + 1",
    "Y[:, :, None]",
    "Y.astype(str)",
    "{'ant': 5, 'bee': 3}",
    "None",
    "'ant'",
]
ANY_OWN = [""] * 4 + [
    f", sample_weight={text}"
    for text in (
        "w",
        "None",
        "2",
        "w.tolist()",
        "pd.Series(w)",
        "torch.tensor(w)",
        "w * 0",
        "(y == 'ant') * 1.0",
        "np.eye(24)[3]",
        "-w",
        "w * nan",
        "w * inf",
        "w[:20]",
        "w[:, None]",
        "w * 1e308",
        "w * 1e-308",
        "w.astype(str)",
        "np.ma.array(w, mask=w < 1)",
        "'abc'",
        "{}",
    )
]
ANY_VALUE = {
    "beta": "0 0.5 1 True -1 1.5 nan '1' [0.9]",
    "normalize": "None 'classes' 'samples' 'mean' 1",
    "tau": "0 2 -1 nan inf '1' None",
    "taus": "[0,1] [] 1 [-1] ['1'] None (nan,)",
    "prior_beta": "0 0.9 -1 1.5 None",
    "prior_betas": "[1] [] [2] None",
    "scoring": "None 'accuracy' 'neg_log_loss' 'roc_auc' 'nothing' 5 ['accuracy']",
    "cv": "2 3 1 0 -1 100 2.5 '2' None [] [([0,1],[2])] [([0,12,20],[1,13,21])]",
    "target_prior": "'natural' 'uniform' 'estimate' [1,1,1] [1,1] [0,0,0] [1,-1,1] {'ant':1}",
    "estimator": "GaussianNB() LogisticRegression() Fails() StandardScaler() None 5 GaussianNB",
    "sampling_strategy": "'auto' 10 0.5 0 -1 nan 'all' {'ant':3} True",
    "random_state": "0 7 -1 1.5 'a' np.random.RandomState(0)",
    "loss": "'focal' 'ldam' 'vs' 'logit_adjusted' 'multi_label' 'none' 5 None",
    "gamma": "None 0 1 2.5 (4,0) (1,) -1 nan '1'",
    "lr": "0.1 0 -1 nan '1' None",
    "max_epochs": "1 0 2 -1 1.5 '1' None",
    "batch_size": "1 7 -1 1000 0 -2 1.5 '8' None",
    "optimizer": "torch.optim.SGD torch.optim.Adam 5 None 'Adam'",
    "module": "None FailsInTraining LINEAR 5 'MLP'",
    "criterion": "None torch.nn.CrossEntropyLoss torch.nn.BCEWithLogitsLoss 5",
    "callbacks": "None [] 'disable' 5 [5] [TrainingCheckpoint(5)] "
    "[TrainingCheckpoint('/dev/null')]",
    "train_split": "None ValidSplit(2) ValidSplit(2,stratified=True) failing_split 5",
    "classes": "None ['ant','bee','cat'] ['ant','bee'] ['ant','bee','cat','dog'] [0,1,2,3] [] 5 "
    "['d','b','c'] [0,1,2]",
    "early_stopping": "True False 5 None",
    "validation_fraction": "0.3 0 1 nan '1'",
    "n_iter_no_change": "1 0 1.5 None",
    "dtype": "'float64' 'float32' 'float16' None",
    "autocast": "None 'bfloat16' 'half'",
    "device": "'cpu' 'auto' 'nowhere' 5 None",
    "batch_transform": "None torch.nn.Identity() len 5",
    "warm_start": "True False",
    "iterator_train": "torch.utils.data.DataLoader 5 None",
    "iterator_train__shuffle": "True False 5",
    "iterator_train__drop_last": "True False",
    "module__hidden": "(4,) 3 'a'",
    "criterion__tau": "1 -1",
    "criterion__label_smoothing": "0.1 2",
    "optimizer__weight_decay": "0.1 -1",
    "nothing": "1",
    "nothing__at_all": "1",
}
NESTED = ("classbalancedweigher__", "logisticregression__")


@st.composite
def calls(draw, model):
    """Return a call of the model, good or bad, as it would be written."""
    fits = [name for name in ("fit", "partial_fit", "fit_resample") if hasattr(model, name)]
    if draw(st.booleans()):
        fit = draw(st.sampled_from(fits))
        x, y, own = (draw(st.sampled_from(each)) for each in (ANY_X, ANY_Y, ANY_OWN))
        if draw(st.booleans()):  # one thing wrong at a time, often
            x, own = "X", ""
        return Code(f"model.{fit}({x}, {y}{own})")
    known = model.get_params()
    names = {f"{prefix}{name}" for prefix in ("", *NESTED) for name in ANY_VALUE}
    open_ended = ("module__", "criterion__", "optimizer__", "iterator_", "nothing")
    may_be = [
        name
        for name in sorted(names)
        if name in known
        or (name.startswith(open_ended) and "module" in known)
        or name == "nothing"
    ]
    name = draw(st.sampled_from(may_be))
    own_name = re.sub("|".join(f"^{prefix}" for prefix in NESTED), "", name)
    value = draw(st.sampled_from(ANY_VALUE[own_name].split(" ")))
    return Code(f"model.set_params({name}={value})")


class Script:
    """An estimator, and calls of it one after the other."""

    def __init__(self, draw, estimators):
        self.make = draw(estimators)
        self.steps = draw(st.lists(calls(self.make()), min_size=1, max_size=6))
        self.last = draw(st.sampled_from("yyY"))

    def __repr__(self):
        lines = f"model = {self.make}", *map(repr, self.steps), f"model.fit(X, {self.last})"
        return "\n        ".join(lines)


@st.composite
def scripts(draw, estimators=ESTIMATORS):
    """Return calls of one of the estimators."""
    return Script(draw, estimators)


LOOKS = {
    "predict": X_NEW,
    "predict_proba": X_NEW,
    "decision_function": X_NEW,
    "transform": X_NEW,
    "sample_weight": DATA["y"],
}


def state(model):
    """Return what the model says of new data, or why it says nothing."""
    seen = {}
    for name, given in LOOKS.items():
        if hasattr(model, name) and callable(getattr(model, name)):
            said = attempt(getattr(model, name), given)
            seen[name] = str(said.error) if isinstance(said, Refused) else np.array(said)
    for name in ("class_count_", "n_features_in_", "sampling_strategy_"):
        seen[name] = getattr(model, name, None)
    return seen


def hold_equal(after, before, why):
    assert after.keys() == before.keys(), f"{why}: {after.keys()} after {before.keys()}"
    for name, was in before.items():
        now = after[name]
        try:
            if getattr(was, "dtype", object) == np.float64:
                np.testing.assert_allclose(now, was, rtol=1e-6)
            else:
                np.testing.assert_array_equal(now, was)
        except (AssertionError, TypeError):
            raise AssertionError(f"{why} changed {name}: {now} after {was}") from None


@law(50, script=scripts())
def test_what_is_refused_changes_nothing_and_what_comes_next_is_as_ever(script):
    data = pickle.dumps(DATA)
    model = script.make()
    for step in script.steps:
        before, parameters = state(model), repr(model.get_params(deep=False))
        result = attempt(lambda step=step: step(model=model))
        if isinstance(result, Refused):
            hold_equal(state(model), before, "a refused call")
            now = repr(model.get_params(deep=False))
            assert now == parameters, f"a refused call changed the parameters to {now}"
    assert pickle.dumps(DATA) == data, "a call changed the data"
    model.set_params(**script.make().get_params(deep=False))
    fresh = clone(model)  # with what was set beside these parameters
    fit = "fit_resample" if hasattr(model, "fit_resample") else "fit"
    results = [attempt(getattr(each, fit), X, DATA[script.last]) for each in (model, fresh)]
    assert isinstance(results[0], Refused) == isinstance(results[1], Refused)
    if not isinstance(results[0], Refused):
        hold_equal(state(model), state(fresh), "what came before")


@law(30, make=ESTIMATORS, step=st.data())
def test_one_never_fitted_is_not_after_a_refused_call(make, step):
    model = make()
    call = step.draw(calls(model), label="call")
    result = attempt(lambda: call(model=model))
    if isinstance(result, Refused):
        said = state(model).values()
        assert not any(isinstance(each, np.ndarray) for each in said), "it answers, unfitted"


@law(30, make=CLASSIFIERS, y=labels(like=(POSITION.tolist(), 1), held=HELD))
def test_labels_of_any_kind_are_told_by_their_names_alone(make, y):
    """A classifier of labels decides as one of their ranks does, or refuses."""
    assume(len(set(y.position)) > 1)
    model = make()
    fitted = attempt(model.fit, X, y)
    if isinstance(fitted, Refused):
        return
    expected = answer(clone(model).fit, X, y.position)
    np.testing.assert_array_equal(
        np.searchsorted(model.classes_, answer(model.predict, X_NEW)),
        answer(expected.predict, X_NEW),
    )
    if hasattr(model, "predict_proba"):
        np.testing.assert_allclose(
            answer(model.predict_proba, X_NEW), answer(expected.predict_proba, X_NEW), rtol=1e-5
        )


PLAIN = [
    (st.sampled_from(["ant", "bee", "cat", "dog", "eel", "fox"]), text)
    for text in (
        "{}",
        "np.array({}, str)",
        "np.array({}, object)",
        "pd.Series({})",
        "pd.Categorical({})",
        "pl.Series({})",
    )
] + [
    (SMALL, text)
    for text in (
        "{}",
        "np.array({}, np.int8)",
        "np.array({}, object)",
        "pd.Series({}, dtype='Int64')",
    )
]


@law(30, make=CLASSIFIERS, y=labels(like=(POSITION.tolist(), 1), held=PLAIN))
def test_usual_labels_are_taken(make, y):
    assume(len(set(y.position)) > 1)
    model = make()
    answer(model.fit, X, y)
    assert set(answer(model.predict, X_NEW).tolist()) <= set(pd.Series(list(y())).tolist())


@law(15, make=CLASSIFIERS, data=st.data())
def test_the_order_of_classes_changes_nothing(make, data):
    """Probabilities go with the classes' names, whichever is first."""
    order = np.array(data.draw(st.permutations(range(3)), label="order"))
    assume("CBNeural" not in make.text)  # which starts from random numbers for each class
    first, second = make(), make()
    answer(first.fit, X, POSITION)
    answer(second.fit, X, order[POSITION])
    if hasattr(first, "predict_proba"):
        p, permuted = (answer(each.predict_proba, X_NEW) for each in (first, second))
        np.testing.assert_allclose(permuted[:, order], p, rtol=1e-3, atol=1e-4)
