"""Sphinx: `make docs`. What the program knows of itself is written first, by docs/reference.py."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import tenfold  # noqa: E402
from docs import reference  # noqa: E402

reference.write_pages(HERE / "generated")

project, author, version = "Tenfold", "Tenfold", tenfold.__version__
project_copyright = "Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "schema"]
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]
suppress_warnings = ["myst.header"]  # an included page begins one level lower

autodoc_typehints = "none"  # the signature has them; the docstring says what they mean
autodoc_member_order = "alphabetical"
napoleon_use_ivar = True

html_theme = "alabaster"
html_theme_options = {
    "description": "Labelled examples into a model you can trust.",
    "fixed_sidebar": True,
    "page_width": "66rem",
    "body_max_width": "50rem",
}
html_copy_source = False
