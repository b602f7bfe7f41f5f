"""Metrics written as classes that walk the data themselves, and values that were computed elsewhere.

The modules `metric`, `types`, `iterator`, `writer` and `execute` have the names and the calls that a metric written for Encord
Active uses, so that such a metric moves here by changing its import lines.
"""
