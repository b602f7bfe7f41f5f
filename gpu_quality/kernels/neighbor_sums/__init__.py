"""The sum that nearest-neighbor information is made of, inside compiled code; its plain twin is in ``ranks/reference.py``."""
