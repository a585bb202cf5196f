"""From rows to coefficients: summaries of rows, weights, views, solves, block by block."""
