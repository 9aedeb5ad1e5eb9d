"""A table's cells of numbers are kept in one line, and no others."""

import runpy
from pathlib import Path

import pytest
from docutils import nodes
from docutils.core import publish_doctree

SCRIPT = Path(__file__).parents[1] / "docs" / "numbers_in_tables.py"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="only in the repository")


@pytest.mark.parametrize(
    ("text", "is_number"),
    [
        ("-13.0 ± 7.5", True),
        ("1.00 / 0.97 / 0.78", True),
        ("0/92/8", True),
        ("1, 1.25", True),
        ("macro-F1 rule", False),
        ("at most 23", False),
        ("not run", False),
    ],
)
def test_cells(text, is_number):
    page = publish_doctree(f".. list-table::\n\n   * - {text}\n")
    runpy.run_path(str(SCRIPT))["mark"](None, page)
    (cell,) = page.findall(nodes.entry)
    assert ("number" in cell["classes"]) == is_number
