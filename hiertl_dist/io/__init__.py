"""Reading and writing of files: trajectories, chimes_lsq inputs, parameter files."""

from __future__ import annotations

from .fm_setup import FmSetup, read_fm_setup
from .trajectories import iter_frames, read_frames

__all__ = ["FmSetup", "iter_frames", "read_fm_setup", "read_frames"]
