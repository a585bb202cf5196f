"""The package's own exceptions: each subclasses the builtin a caller would expect.

Messages name the frame, block, file or tile, what was expected and what was found.
"""

from __future__ import annotations

SHOWN = 60
"""Characters of a value that a message quotes at most."""


class HiertlError(Exception):
    """Base of every exception that this package raises on purpose."""


class HiertlWarning(UserWarning):
    """Something that was read or guessed is likely not what was meant; nothing is refused for it."""


class MissingFileError(HiertlError, FileNotFoundError):
    """A file is not there; the folder that was looked into and similar names are named."""


class FrameError(HiertlError, ValueError):
    """A frame, or the file it is read from, is not what the reader can accept."""


class BasisError(HiertlError, ValueError):
    """A basis is incomplete or contradicts itself."""


class InputError(HiertlError, ValueError):
    """An input file (TOML, ``fm_setup.in``) asks for something that cannot be done."""


class ParameterFileError(HiertlError, ValueError):
    """A ChIMES parameter file cannot be read or written as it stands."""


class InnerCutoffError(HiertlError, ValueError):
    """A pair of atoms lies inside an inner cutoff and the policy is to refuse."""


class MismatchError(HiertlError, ValueError):
    """Two parts of a model were made with different bases; both values are named."""


class StoreError(HiertlError, ValueError):
    """A design store was made from something else, or is damaged."""


class IncompleteStoreError(HiertlError, RuntimeError):
    """A design store lacks tiles that the request needs."""


class ResourceError(HiertlError, RuntimeError):
    """The plan needs more memory or disk than there is; both numbers are named."""


def shown(value: object, most: int = SHOWN) -> str:
    """A value as a message quotes it: its repr, cut after ``most`` characters, its length said where it is cut."""
    if isinstance(value, str) and len(value) > most:
        return f"{value[:most]!r}… ({len(value)} characters)"
    text = repr(value)
    return text if len(text) <= most + 2 else f"{text[:most]}… ({len(text)} characters)"
