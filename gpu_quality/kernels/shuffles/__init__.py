"""Seeded permutations inside compiled code; their plain twins are in ``ranks/reference.py``."""
