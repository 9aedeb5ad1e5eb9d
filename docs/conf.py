"""How sphinx builds these pages: ``sphinx-build -W -b html docs docs/_build/html``."""

import os
import shutil
import sys
from pathlib import Path

import sk_cbloss
from sk_cbloss import _doc_link

# The example's nets are small: threads that wait for each other take longer than one alone.
os.environ.setdefault("OMP_NUM_THREADS", "1")

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

# Estimators in the gallery link to these very pages.
_doc_link.address = lambda: ".."

project = "sk_cbloss"
author = "the sk_cbloss developers"
copyright = f"2026, {author}"
version = release = sk_cbloss.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "matplotlib.sphinxext.plot_directive",
    "mathml",
]
exclude_patterns = ["_build", "gallery_header.rst"]
templates_path = ["_templates"]
default_role = "code"

# One page a name, its methods written out there; those of other libraries are left to them.
autosummary_generate = True
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
# The docstrings tell types, and what shapes they have.
autodoc_typehints = "none"

# The gallery runs on a copy: what an example writes stays out of examples/.
_staged = HERE / "_build" / "examples"
shutil.rmtree(_staged, ignore_errors=True)
_staged.mkdir(parents=True)
for _example in sorted((HERE.parent / "examples").glob("plot_*.py")):
    shutil.copy(_example, _staged)
shutil.copy(HERE / "gallery_header.rst", _staged / "GALLERY_HEADER.rst")

sphinx_gallery_conf = {
    "examples_dirs": str(_staged),
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_",
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
    # What an API page lists as the examples that use its name.
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sk_cbloss",),
    # A build that fails on warnings must fail on a broken example too.
    "abort_on_example_error": True,
}

# A block's button copies its code: lines behind a prompt, without it, where there are prompts.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_selector = "div:not(.sphx-glr-script-out) > div.highlight > pre"

plot_html_show_source_link = False
plot_html_show_formats = False
plot_formats = ["svg"]

html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_theme = "pydata_sphinx_theme"
html_title = f"sk_cbloss {release}"
html_show_sourcelink = False
WITHOUT_SIDEBAR = ["getting_started", "changelog", "architecture", "how_it_is_tested", "stability"]
html_sidebars = {page: [] for page in WITHOUT_SIDEBAR}
html_theme_options = {"show_prev_next": True, "navigation_with_keys": False}


def setup(app):
    import elsewhere
    import numbers_in_tables

    app.connect("missing-reference", elsewhere.link)
    app.connect("doctree-read", numbers_in_tables.mark)
