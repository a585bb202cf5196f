"""The package's own exceptions: each subclasses the builtin a caller would expect.

Messages name the frame, block, file or tile, what was expected and what was found. Those of solvers and of executors
are where they are raised: ``algebra/errors.py``, ``executors/base.py``.
"""

from __future__ import annotations

from typing import Any, ClassVar


class HiertlError(Exception):
    """Base of every exception that this package raises on purpose.

    Attributes
    ----------
    problems : tuple of str
        Where one exception tells of several problems, the text of each.
    """

    problems: tuple[str, ...] = ()


class HiertlWarning(UserWarning):
    """Something that was read or guessed is likely not what was meant; nothing is refused for it."""


class RenamedWarning(HiertlWarning, FutureWarning):
    """A name of before was used, which a later version, the one that is named, does not know."""


class FrameError(HiertlError, ValueError):
    """A frame, or the file it is read from, is not what the reader can accept."""


class BasisError(HiertlError, ValueError):
    """A basis is incomplete or contradicts itself."""


class InputError(HiertlError, ValueError):
    """An input file (TOML, ``fm_setup.in``), or a call in Python, asks for something that cannot be done."""


class UnknownBlockError(HiertlError, KeyError):
    """The basis has no block of this name; those that it has are named."""

    def __str__(self) -> str:  # a KeyError would show its message in quotes
        return str(self.args[0]) if len(self.args) == 1 else super().__str__()


class MissingFileError(HiertlError, FileNotFoundError):
    """There is no such file: what was looked for, and where, is named."""


class ParameterFileError(HiertlError, ValueError):
    """A ChIMES parameter file cannot be read or written as it stands."""


class InnerCutoffError(HiertlError, ValueError):
    """A pair of atoms lies inside an inner cutoff and the policy is to refuse.

    Attributes
    ----------
    contacts : tuple of Contact
        Where all frames were looked at, the :class:`~hiertl_dist.evaluation.contacts.Contact` of each pair of elements.
    """

    contacts: tuple[Any, ...] = ()


class MismatchError(HiertlError, ValueError):
    """Two parts of a model were made with different bases; both values are named."""


class MissingTypesError(HiertlError, ValueError):
    """Frames contain clusters of types of which the model has no coefficients; types and frames are named.

    Attributes
    ----------
    types : tuple of str
        Names of the types that occur, such as ``MoNbTa``.
    """

    types: tuple[str, ...] = ()


class StoreError(HiertlError, ValueError):
    """A design store was made from something else, or is damaged."""


class LockError(StoreError):
    """A store's lock is held by another process, or its file system has no locks."""


class IncompleteStoreError(HiertlError, RuntimeError):
    """A design store lacks tiles that the request needs."""


class ResourceError(HiertlError, RuntimeError):
    """The plan needs more memory or disk than there is; both numbers are named."""


class WriteError(HiertlError, OSError):
    """A file cannot be written: which one, why, and what to do. What was complete before is kept.

    Parameters
    ----------
    message : str
        All of that.
    number : int, optional
        The system's number of the error, as ``errno`` has it.
    """

    def __init__(self, message: str, number: int | None = None) -> None:
        super().__init__(message)
        self.errno = number

    def __reduce__(self) -> tuple[type[WriteError], tuple[str, int | None]]:
        return type(self), (str(self), self.errno)


class DiskFullError(WriteError, ResourceError):
    """A file cannot be written, for the disk is full, a quota used up, or the file too large."""


class ObjectStoreError(HiertlError, RuntimeError):
    """An object store cannot be reached, or refuses: which object, why, and what to do. What was complete is kept.

    No OSError, lest what is only out of reach be taken for a file that is damaged or missing.
    """


class LaunchError(HiertlError, RuntimeError):
    """Processes were started in a way in which they can't work together.

    By another MPI's mpirun, or by a script whose work is not under ``if __name__ == "__main__":``.

    Parameters
    ----------
    message : str
        What was expected and what was found.
    speaks : bool
        Whether this process is the one of all that meet the error that should tell of it.
    """

    def __init__(self, message: str, speaks: bool = True) -> None:
        super().__init__(message)
        self.speaks = speaks

    def __reduce__(self) -> tuple[type[LaunchError], tuple[str, bool]]:
        return type(self), (str(self), self.speaks)


class NotDoneError(HiertlError, TimeoutError):
    """A submitted call has not ended in the time that somebody wanted to wait for it; it goes on."""


class StoppedBySignal(HiertlError, RuntimeError):  # noqa: N818  it is what happened that it names
    """A signal asked for the work to stop, and it did where a call had ended; what was complete stays.

    Under MPI it is raised on every rank, whichever the signal reached. ``cancel`` of a submitted call does the same.

    Parameters
    ----------
    message : str
        Which signal it was, or ``cancel()``, and how to go on.
    at_once : bool, default False
        Whether this process stopped in the midst of something, without the other ranks of its job.
    """

    EXIT_CODE: ClassVar[int] = 75
    """EX_TEMPFAIL of sysexits.h: the same again may succeed."""

    def __init__(self, message: str, at_once: bool = False) -> None:
        super().__init__(message)
        self.at_once = at_once

    def __reduce__(self) -> tuple[type[StoppedBySignal], tuple[str, bool]]:
        return type(self), (str(self), self.at_once)
