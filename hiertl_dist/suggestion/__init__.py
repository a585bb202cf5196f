"""What is in a data set, and an input file for it."""
