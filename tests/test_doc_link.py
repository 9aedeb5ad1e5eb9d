"""An estimator's HTML representation links to its page, where the documentation has an address."""

import re
from pathlib import Path

import pytest
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

import sk_cbloss
from sk_cbloss import _doc_link
from sk_cbloss.pipeline import make_pipeline

API = (Path(__file__).parents[1] / "docs" / "api.rst").read_text()
WRAPPED = LogisticRegression()
ESTIMATORS = [
    sk_cbloss.ClassBalancedWeigher(),
    sk_cbloss.ClassBalancedClassifier(WRAPPED),
    sk_cbloss.PriorCorrectedClassifier(WRAPPED),
    sk_cbloss.LogitAdjustedClassifier(WRAPPED),
    sk_cbloss.ConformalClassifierCV(WRAPPED),
    sk_cbloss.DecisionClassifierCV(WRAPPED),
    sk_cbloss.ClassBalancedSampler(),
    sk_cbloss.CBNeuralNetClassifier(),
    sk_cbloss.StackedGridSearchCV(sk_cbloss.CBNeuralNetClassifier(), {"beta": [0, 1]}),
    make_pipeline(sk_cbloss.ClassBalancedWeigher(), WRAPPED),
]


def name_of(estimator):
    return type(estimator).__name__


def test_here_are_all_estimators():
    public = {getattr(sk_cbloss, name) for name in sk_cbloss.__all__}
    public = {thing for thing in public if isinstance(thing, type)}
    named = {thing for thing in public if issubclass(thing, BaseEstimator)}
    assert named | {type(ESTIMATORS[-1])} == {type(estimator) for estimator in ESTIMATORS}


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_links_to_its_page(estimator, monkeypatch):
    monkeypatch.setattr(_doc_link, "address", lambda: "https://a.invalid/docs/")
    html = estimator._repr_html_()
    found = re.search(r'href="https://a\.invalid/docs/generated/sk_cbloss\.([\w.]+)\.html"', html)
    assert found[1].rpartition(".")[2] == type(estimator).__name__
    assert f"   {found[1]}\n" in API


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name_of)
def test_links_nowhere_without_an_address(estimator, monkeypatch):
    monkeypatch.setattr(_doc_link, "address", lambda: None)
    assert f"Documentation for {type(estimator).__name__}" not in estimator._repr_html_()


@pytest.mark.parametrize(
    ("links", "expected"),
    [
        (
            ["Source, https://code.invalid", "Documentation, https://docs.invalid"],
            "https://docs.invalid",
        ),
        (["Source, https://code.invalid"], None),
        ([], None),
    ],
)
def test_the_address_is_what_the_installed_package_says(links, expected, monkeypatch):
    from email.message import Message

    told = Message()
    for link in links:
        told["Project-URL"] = link
    monkeypatch.setattr(_doc_link, "metadata", lambda name: told)
    assert _doc_link.address.__wrapped__() == expected


def test_a_subclass_elsewhere_is_not_ours(monkeypatch):
    monkeypatch.setattr(_doc_link, "address", lambda: "https://docs.invalid")

    class Theirs(sk_cbloss.ClassBalancedClassifier):
        pass

    assert "docs.invalid" not in Theirs(WRAPPED)._repr_html_()
