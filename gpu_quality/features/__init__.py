"""Intermediates that several metrics share: computed once per batch, by need."""
