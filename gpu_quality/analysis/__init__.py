"""Findings from stored columns: about videos, classes and labels. Nothing here opens a file or computes from pixels."""
