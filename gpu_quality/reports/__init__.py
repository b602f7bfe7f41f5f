"""One static HTML file about a store, the same as JSON, and the figures behind both and behind the terminal tables."""

from gpu_quality.reports.page import report
from gpu_quality.reports.twin.whole import report_json

__all__ = ["report", "report_json"]
