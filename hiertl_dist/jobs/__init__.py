"""An input file, what is done with it, and the reports and figures that come of it."""
