"""Models as tables that LAMMPS reads as it is distributed: splines of pairs and triplets, and its input lines."""
