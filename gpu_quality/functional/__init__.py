"""Tensors in, tensors out: the mathematics that metrics share."""
