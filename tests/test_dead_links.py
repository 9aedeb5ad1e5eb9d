"""Links that lead nowhere are found."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "docs" / "dead_links.py"


def dead_links(folder):
    run = subprocess.run([sys.executable, SCRIPT, folder], capture_output=True, text=True)
    assert run.returncode == (1 if run.stderr else 0), run.stderr
    return run.stderr.splitlines()


@pytest.fixture
def site(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "picture.svg").write_text("<svg></svg>")
    (tmp_path / "sub" / "page.html").write_text('<p id="here"></p> <a href="../index.html">')
    return tmp_path


def test_links_that_lead_somewhere(site):
    (site / "index.html").write_text(
        '<a href="sub/page.html?v=1#here"> <a href="#top" id="top"> <a href="https://a.invalid/b">'
        '<img src="picture.svg#layer"> <a href="sub/page.html#:~:text=word">'
    )
    assert dead_links(site) == []


@pytest.mark.parametrize("link", ["sub/pge.html", "sub/page.html#there", "#nowhere", "sub/a.svg"])
def test_links_that_lead_nowhere(site, link):
    (site / "index.html").write_text(f'<a href="{link}">')
    assert dead_links(site) == [f"index.html: {link}"]


def test_no_pages(tmp_path):
    assert dead_links(tmp_path) == [f"{tmp_path} must hold pages, got none"]
