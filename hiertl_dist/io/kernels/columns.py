"""What is done with a column of an atom line.

A number goes to a place of a row of seven, 0 to 6: positions, forces, an atomic number. Other columns are passed over,
or are the type.
"""

from __future__ import annotations

from typing import Final

SKIPPED: Final = -1
TYPE: Final = -2
PLACES: Final = 7
POSITIONS: Final = 3
"""Places of positions, the first."""
