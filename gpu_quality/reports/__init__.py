"""One static HTML file about a store, and the figures behind it and behind the terminal tables."""

from gpu_quality.reports.page import report

__all__ = ["report"]
