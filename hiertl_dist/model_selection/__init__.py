"""Which model: cross-validation, its errors, and searches over grids."""
