"""How far to trust a model, and which frames to label next."""
