"""The evidence of a run for people: charts and one HTML file."""

from tenfold.report.brief import write_brief, write_model_card
from tenfold.report.drawings import N_REGIONS, draw_examples, draw_regions
from tenfold.report.figures import PICTURES, run_figures
from tenfold.report.html import rewrite_report, write_html, write_report
from tenfold.report.png import write_png
from tenfold.report.rows import SHEET, write_sheet
from tenfold.report.summary import coverage_limits
from tenfold.report.two_runs import write_comparison

__all__ = [
    "N_REGIONS",
    "PICTURES",
    "SHEET",
    "coverage_limits",
    "draw_examples",
    "draw_regions",
    "rewrite_report",
    "run_figures",
    "write_brief",
    "write_comparison",
    "write_html",
    "write_model_card",
    "write_png",
    "write_report",
    "write_sheet",
]
