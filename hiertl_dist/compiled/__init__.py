"""Code that numba compiles: how it is kept, and forgotten when its sources change."""
