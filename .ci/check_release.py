"""Say what is missing before a release: `python .ci/check_release.py v0.1.0`.

Exits 1 if anything is. Needs nothing but Python 3.11. The workflow of a release runs it first.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = "Repository", "Documentation", "Changelog", "Issues"


def missing(tag, root=ROOT):
    """Return a sentence for each thing that a release with this tag lacks.

    Parameters
    ----------
    tag : str
        Such as v0.1.0.
    root : Path, default=ROOT
        The project's folder.

    Returns
    -------
    list of str
        The sentences.
    """
    said = []
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    version = _found(r'__version__ = "(.+?)"', root / "sk_cbloss" / "__init__.py")
    if tag != f"v{version}":
        said.append(
            f"The tag must be v{version}, the version in sk_cbloss/__init__.py, got {tag}."
        )
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        said.append(f"The version must be one that is released, such as 0.1.0, got {version}.")
    heading = _found(r"^(.+)\n-{3,}$", root / "CHANGELOG.rst")
    if not re.fullmatch(rf"{re.escape(version)} \(\d{{4}}-\d\d-\d\d\)", heading):
        said.append(f"CHANGELOG.rst must start with '{version} (YYYY-MM-DD)', got '{heading}'.")
    cited = _found(r"^version: (.+)$", root / "CITATION.cff")
    if cited != version:
        said.append(f"CITATION.cff must have the version {version}, got {cited}.")
    urls = project.get("urls", {})
    said += [
        f"[project.urls] in pyproject.toml must have {name}, got none."
        for name in NAMES
        if name not in urls
    ]
    recipe = root / ".ci" / "conda" / "recipe.yaml"
    if _found(r'^  version: "(.+)"$', recipe) != version:
        said.append(f".ci/conda/recipe.yaml must have the version {version}.")
    if _found(r"^  repository: (.+)$", recipe) != urls.get("Repository"):
        said.append(".ci/conda/recipe.yaml must have the repository of [project.urls].")
    return said


def _found(pattern, file):
    found = re.search(pattern, file.read_text(), re.MULTILINE)
    return found[1] if found else "none"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python .ci/check_release.py TAG")
    sentences = missing(sys.argv[1])
    print("\n".join(sentences) or "Nothing is missing.")  # noqa: T201
    sys.exit(bool(sentences))
