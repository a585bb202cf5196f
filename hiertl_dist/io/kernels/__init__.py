"""Reading of text in numba: the lines of atoms, and whether two atoms are in one place."""
