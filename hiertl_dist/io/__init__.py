"""Reading and writing of files: trajectories, chimes_lsq inputs, parameter files."""
