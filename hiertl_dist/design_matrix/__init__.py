"""The rows of many frames, out of core: what will be made, making it, and the store that keeps it."""
