"""One frame: its atoms and labels, what was read of labels, the rows that it gives, names of atom types."""
