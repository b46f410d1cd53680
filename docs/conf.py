"""Sphinx: `make docs`. docs/reference.py first writes what the program knows about itself."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "src"), str(HERE.parent)]

import tenfold  # noqa: E402
from docs import notebook_pages, reference  # noqa: E402

reference.write_pages(HERE / "generated")
notebook_pages.write_pages(HERE / "generated" / "notebooks")

project, author, version = "Tenfold", "Tenfold", tenfold.__version__
project_copyright = "Apache-2.0"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "schema"]
myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline"]
# An included page begins one level lower, and so do parts of a notebook.
suppress_warnings = ["myst.header"]

autodoc_typehints = "none"  # the signature has them; the docstring says what they mean
autodoc_member_order = "alphabetical"
napoleon_use_ivar = True

# The colours of report/network_page/page.css, so that the site, the report and the service agree.
LIGHT = {
    "color-background-primary": "#faf9f6",
    "color-background-secondary": "#ffffff",
    "color-background-border": "#e2dfd6",
    "color-foreground-primary": "#1b1f24",
    "color-foreground-secondary": "#59626d",
    "color-brand-primary": "#1d5bb8",
    "color-brand-content": "#1d5bb8",
    "color-brand-visited": "#1d5bb8",
    "color-inline-code-background": "#ebe8e0",
    "font-stack": 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif',
    "font-stack--headings": 'Palatino, "Palatino Linotype", Georgia, serif',
}
DARK = {
    "color-background-primary": "#131519",
    "color-background-secondary": "#1a1d22",
    "color-background-border": "#2e333b",
    "color-foreground-primary": "#e9e7e1",
    "color-foreground-secondary": "#a4acb6",
    "color-brand-primary": "#74abff",
    "color-brand-content": "#74abff",
    "color-brand-visited": "#74abff",
    "color-inline-code-background": "#262a31",
}

html_theme = "furo"
html_title = "Tenfold"
html_theme_options = {
    "light_css_variables": LIGHT,
    "dark_css_variables": DARK,
    "navigation_with_keys": True,
}
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
