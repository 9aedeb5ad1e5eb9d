"""What a release needs: the same version and requirements everywhere, and nothing left out."""

import importlib.util
import re
import shutil
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RECIPE = ROOT / ".ci" / "conda" / "recipe.yaml"
URLS = """
[project.urls]
Repository = "https://example.org/sk_cbloss"
Documentation = "https://example.org/sk_cbloss/docs"
Changelog = "https://example.org/sk_cbloss/changelog"
Issues = "https://example.org/sk_cbloss/issues"
"""

pytestmark = pytest.mark.skipif(not RECIPE.exists(), reason="only in the repository")


@pytest.fixture(scope="module")
def missing():
    spec = importlib.util.spec_from_file_location("check_release", ROOT / ".ci/check_release.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.missing


@pytest.fixture
def ready(tmp_path):
    """Return the files of a project that is ready to be released as 0.1.0."""
    (tmp_path / "sk_cbloss").mkdir()
    (tmp_path / "sk_cbloss" / "__init__.py").write_text('__version__ = "0.1.0"\n')
    (tmp_path / ".ci" / "conda").mkdir(parents=True)
    shutil.copy(RECIPE, tmp_path / ".ci" / "conda")
    text = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(text.replace("\n[tool.", URLS + "\n[tool.", 1))
    citation = re.sub(
        "^version: .*$", "version: 0.1.0", (ROOT / "CITATION.cff").read_text(), flags=re.M
    )
    (tmp_path / "CITATION.cff").write_text(citation)
    (tmp_path / "CHANGELOG.rst").write_text("Changelog\n=========\n\n0.1.0 (2027-01-31)\n------\n")
    return tmp_path


def test_a_project_that_is_ready_lacks_nothing(missing, ready):
    assert missing("v0.1.0", ready) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "sentence"),
    [
        ("sk_cbloss/__init__.py", "0.1.0", "0.2.0", "The tag must be v0.2.0"),
        ("sk_cbloss/__init__.py", "0.1.0", "0.1.0.dev0", "must be one that is released"),
        ("CHANGELOG.rst", " (2027-01-31)", "", "CHANGELOG.rst must start with '0.1.0 (YYYY"),
        ("CHANGELOG.rst", "0.1.0 (2027-01-31)", "Unreleased", "got 'Unreleased'"),
        (
            "CITATION.cff",
            "version: 0.1.0",
            "",
            "must have the version 0.1.0, got none",
        ),
        ("pyproject.toml", "Changelog =", "Other =", "must have Changelog, got none"),
        (".ci/conda/recipe.yaml", '"0.1.0"', '"0.0.9"', "recipe.yaml must have the version 0.1.0"),
        (".ci/conda/recipe.yaml", "org/sk", "org/other", "must have the repository"),
    ],
)
def test_what_is_missing_is_said(file, before, after, sentence, missing, ready):
    text = (ready / file).read_text()
    assert before in text
    (ready / file).write_text(text.replace(before, after))
    assert any(sentence in said for said in missing("v0.1.0", ready))


def test_the_recipe_has_the_requirements_of_the_package():
    run = RECIPE.read_text().partition("  run:\n")[2].partition("\ntests:")[0]
    recipe = re.findall(r"- (\S+) (>=\S+)", run)
    named = {"pytorch": "torch"}
    found = {named.get(name, name): bound for name, bound in recipe}
    assert found.pop("python") == ">=${{"
    asked = dict(re.fullmatch(r"(.+?)(>=.+)", text).groups() for text in PROJECT["dependencies"])
    assert found == asked


def test_workflows_run_with_every_version_that_is_promised():
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text()
    tested = re.search(r"python: \[(.+)\]", workflow)[1].replace('"', "").split(", ")
    promised = [c.split(" :: ")[-1] for c in PROJECT["classifiers"] if ":: 3." in c]
    assert set(promised) <= set(tested)
    assert PROJECT["requires-python"] == f">={tested[0]}"
