"""Many frames: how they are shared out for cross-validation, and which are held out."""
