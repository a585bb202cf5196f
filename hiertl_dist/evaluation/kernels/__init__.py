"""Arithmetic on arrays in numba: edge functions, pairs, moments, clusters; and neighbour lists. Floor 1."""

from pathlib import Path

from ...compiled.cache import forget_other_sources
from .pairs import pair_rows

forget_other_sources(pair_rows.stats.cache_path, Path(__file__).parent)
