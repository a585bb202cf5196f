"""The loop of a fit, runs of the model, picking frames, and labelling them: ``hiertl-dist cycle``."""
