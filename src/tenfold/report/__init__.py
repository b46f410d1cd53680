"""The evidence of a run as people look at it: pictures and one HTML file."""

from tenfold.report.html import (
    PICTURES,
    SHEET,
    ordinal,
    read_robustness,
    write_comparison,
    write_report,
)
from tenfold.report.plots import (
    draw_confusion,
    draw_examples,
    history_figure,
    precision_recall_figure,
    save,
)
from tenfold.report.sheet import sheet_order, write_sheet
from tenfold.report.values import forecast_figure, predicted_vs_true_figure, residuals_figure

__all__ = [
    "PICTURES",
    "SHEET",
    "draw_confusion",
    "draw_examples",
    "forecast_figure",
    "history_figure",
    "ordinal",
    "precision_recall_figure",
    "predicted_vs_true_figure",
    "read_robustness",
    "residuals_figure",
    "save",
    "sheet_order",
    "write_comparison",
    "write_report",
    "write_sheet",
]
