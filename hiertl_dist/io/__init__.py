"""Reading and writing of files: trajectories, chimes_lsq inputs, parameter files."""

from __future__ import annotations

from .atoms import frames_from_ase
from .fm_setup import FmSetup, read_fm_setup
from .trajectories import iter_frames, read_frames

__all__ = ["FmSetup", "frames_from_ase", "iter_frames", "read_fm_setup", "read_frames"]
