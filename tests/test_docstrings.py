"""Public docstrings follow numpydoc, name every parameter, and give the code's defaults."""

import importlib
import inspect
import re
from pathlib import Path

import pytest
from numpydoc.docscrape import FunctionDoc
from numpydoc.validate import validate

import sk_cbloss

ROOMS = ["datasets", "inspection", "losses", "meta", "metrics", "neural_net", "pipeline"]
ROOMS += ["sampling", "weights", "model_selection"]

IGNORED = {
    "EX01": "methods are shown at work in their class's example",
    "SA01": "not every method has relatives",
    "GL08": "an override without a docstring inherits one",
    "RT02": "scikit-learn names what it returns, such as `self : object`",
    "ES01": "a summary can be enough",
}


def public_objects():
    names = {f"sk_cbloss.{name}" for name in sk_cbloss.__all__}
    for room in ROOMS:
        module = importlib.import_module(f"sk_cbloss.{room}")
        names |= {f"sk_cbloss.{room}.{name}" for name in module.__all__}
    for name in sorted(names):
        module, _, attribute = name.rpartition(".")
        thing = getattr(importlib.import_module(module), attribute)
        if isinstance(thing, dict):
            continue
        yield name, thing
        if inspect.isclass(thing):
            for method, value in methods_of(thing):
                yield f"{name}.{method}", value


def methods_of(kind):
    """Yield the methods of a class that its users call, inherited within the package or not."""
    for method, value in inspect.getmembers(kind, inspect.isfunction):
        hidden = method.startswith(("_", "on_"))  # skorch calls the latter
        if not hidden and value.__module__.startswith("sk_cbloss."):
            yield method, value


OBJECTS = dict(public_objects())


def test_the_api_page_lists_every_public_name_once():
    page = (Path(__file__).parents[1] / "docs" / "api.rst").read_text()
    listed = re.findall(r"^   ([a-z_]*\.?\w+)$", page, flags=re.MULTILINE)
    top = {id(getattr(sk_cbloss, name)) for name in sk_cbloss.__all__}
    expected = set(sk_cbloss.__all__) - {"__version__"}
    for room in ROOMS:
        module = importlib.import_module(f"sk_cbloss.{room}")
        below = [name for name in module.__all__ if id(getattr(module, name)) not in top]
        expected |= {f"{room}.{name}" for name in below}
    assert sorted(listed) == sorted(expected)


@pytest.mark.parametrize("name", OBJECTS)
def test_numpydoc(name):
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in IGNORED]
    assert not errors, "\n".join(errors)


# Categories, bases, and parts that the net calls: a user of them reads another class's example.
WITHOUT_EXAMPLE = (
    *("MiscalibratedPriorWarning", "UnusedWeightsWarning", "ArrayDataset", "BatchLoader"),
    *("ClassBalancedLoss", "SoftmaxLoss", "PriorLoss", "PriorSoftmaxLoss", "OneVsRestLoss"),
)
USED = [n for n in OBJECTS if inspect.isclass(OBJECTS[n]) and not n.endswith(WITHOUT_EXAMPLE)]
USED += [n for n in OBJECTS if not inspect.isclass(OBJECTS[n]) and n.split(".")[-2][0].islower()]


@pytest.mark.parametrize("name", USED)
def test_classes_and_functions_have_an_example(name):
    assert ">>>" in inspect.getdoc(OBJECTS[name])


@pytest.mark.parametrize("name", OBJECTS)
def test_a_documented_default_equals_the_codes(name):
    if name.endswith("Warning"):
        return
    signature = inspect.signature(OBJECTS[name])
    documented = FunctionDoc(OBJECTS[name])["Parameters"] if OBJECTS[name].__doc__ else []
    for parameter in documented:
        match = re.search(r"default=(.+)$", parameter.type)
        code = signature.parameters.get(parameter.name)
        if code is None or code.kind in (code.VAR_POSITIONAL, code.VAR_KEYWORD):
            continue
        assert (match is None) == (code.default is code.empty), parameter.name
        if match:
            default = code.default
            if inspect.isclass(default) or inspect.isroutine(default):
                assert match[1].rpartition(".")[2] == default.__name__, parameter.name
            else:
                assert match[1].replace('"', "'") == repr(default), parameter.name
