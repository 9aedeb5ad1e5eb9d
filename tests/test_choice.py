"""The figure of what to import: its names are there, and its file and text say the same."""

import re
import runpy
from pathlib import Path
from xml.etree import ElementTree

import pytest

import sk_cbloss

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "choice.py"

pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="only in the repository")


@pytest.fixture(scope="module")
def choice():
    return runpy.run_path(str(SCRIPT))


def test_every_name_is_public(choice):
    assert choice["NAMES"]
    assert set(choice["NAMES"]) <= set(sk_cbloss.__all__)


def test_the_file_is_what_the_script_draws(choice):
    assert choice["FILE"].read_text(encoding="utf-8") == choice["drawing"]()


def test_the_text_below_links_each_name_and_no_other(choice):
    page = (ROOT / "docs" / "user_guide" / "when.rst").read_text(encoding="utf-8")
    below = page.partition(".. what the figure names")[2].partition(".. which of them when")[0]
    assert set(re.findall(r":class:`~sk_cbloss\.(\w+)`", below)) == set(choice["NAMES"])


def test_text_stays_within_its_box(choice):
    picture = ElementTree.fromstring(choice["drawing"]())
    tag = "{http://www.w3.org/2000/svg}"
    widest = {"name": 9.1, "note": 7.6}  # of a letter, in fonts as wide as DejaVu's
    for text in picture.iter(f"{tag}text"):
        spans = list(text.iter(f"{tag}tspan")) or [text]
        width = sum(len(s.text or "") * widest.get(s.get("class"), 8.2) for s in spans)
        width += 8 * (len(spans) - 1)
        assert width <= choice["COLUMN"] - 2 * choice["PAD"]
