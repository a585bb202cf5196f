"""Paths and locks: what is written appears whole, and by one process at a time."""
