"""The evidence of a run as people look at it: pictures and one HTML file."""

from tenfold.report.html import PICTURES, ordinal, write_report
from tenfold.report.plots import (
    draw_confusion,
    draw_examples,
    draw_history,
    draw_precision_recall,
)
from tenfold.report.values import draw_forecast, draw_predicted_vs_true, draw_residuals

__all__ = [
    "PICTURES",
    "draw_confusion",
    "draw_examples",
    "draw_forecast",
    "draw_history",
    "draw_precision_recall",
    "draw_predicted_vs_true",
    "draw_residuals",
    "ordinal",
    "write_report",
]
