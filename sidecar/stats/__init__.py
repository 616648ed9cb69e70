"""Numeric kernels: numbers in, numbers out. No clock, no I/O, nothing but numpy."""
