"""A small ``fm_setup.in`` and its trajectory, with changes; readers of it are tested in ``io``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

SETUP = """\
####### CONTROL VARIABLES #######
# TRJFILE # ! a comment
\ttraj.xyzf
# WRAPTRJ #
    true
# NFRAMES #
    3
# FITCOUL #
    false
# FITSTRS #
    ALL
# FITENER #
    true   of every frame
# PAIRTYP #
    CHEBYSHEV 6 4 3 -1 1
# CHBTYPE #
    MORSE
# HIERARC #
    true
## a comment
# NATMTYP #
    2
# TYPEIDX #  # ATM_TYP #  # ATMCHRG #  # ATMMASS #
1  O  0.0  15.999
2  C  0.0  12.011
# PAIRIDX # # ATM_TY1 # # ATM_TY1 # # S_MINIM # # S_MAXIM # # S_DELTA # # MORSE_LAMBDA # # USEOVRP #
1  O  O  1.0   4.0  0.01  1.4  false
2  C  C  0.9   4.1  0.01  1.1  false
3  C  O  0.95  4.2  0.01  1.3  false
# FCUTTYP #
    TERSOFF 0.5 ! sharp
# ENDFILE #
whatever follows
"""

FRAME = "2\n8 9 10 1 2 3 4 5 6 -{k}\nO 0 0 0 0.1 0.2 0.3\nC 1.5 0 0 -0.1 -0.2 -0.3\n"


def frames_text(n: int) -> str:
    return "".join(FRAME.format(k=k) for k in range(n))


def setup(folder: Path, *changes: tuple[str, str], n: int = 3) -> Path:
    """Write the setup above with some of its text replaced, and its trajectory."""
    text = SETUP
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "fm_setup.in").write_text(text)
    (folder / "traj.xyzf").write_text(frames_text(n))
    return folder / "fm_setup.in"


def add(text: str) -> tuple[str, str]:
    return ("# FCUTTYP #", f"{text}\n# FCUTTYP #")
