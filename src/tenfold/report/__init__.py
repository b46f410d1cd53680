"""The evidence of a run as people look at it: pictures and one HTML file."""

from tenfold.report.figures import run_figures
from tenfold.report.html import (
    PICTURES,
    SHEET,
    ordinal,
    read_robustness,
    write_comparison,
    write_report,
)
from tenfold.report.plots import draw_examples, save
from tenfold.report.sheet import write_sheet

__all__ = [
    "PICTURES",
    "SHEET",
    "draw_examples",
    "ordinal",
    "read_robustness",
    "run_figures",
    "save",
    "write_comparison",
    "write_report",
    "write_sheet",
]
