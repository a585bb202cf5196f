"""Arithmetic on arrays in numba: edge functions, pairs, moments, clusters; and neighbour lists. Floor 1."""

from .cache import forget_other_sources
from .pairs import pair_rows

forget_other_sources(pair_rows.stats.cache_path)
