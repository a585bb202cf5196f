"""Numba kernels and the neighbour list. They take arrays, fill arrays, and know nothing of the package."""
