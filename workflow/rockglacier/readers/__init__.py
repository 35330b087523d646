"""Stacks that others made: one module a format, one shape for all of them."""
