"""The evidence of a run as people look at it: pictures and one HTML file."""

from tenfold.report.figures import PICTURES, run_figures
from tenfold.report.html import write_comparison, write_html, write_report
from tenfold.report.plots import draw_examples, save_plot
from tenfold.report.rows import SHEET, write_sheet

__all__ = [
    "PICTURES",
    "SHEET",
    "draw_examples",
    "run_figures",
    "save_plot",
    "write_comparison",
    "write_html",
    "write_report",
    "write_sheet",
]
