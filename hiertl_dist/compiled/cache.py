"""Compiled kernels of other sources are forgotten when the sources change.

numba keeps compiled functions in files beside the sources (or where NUMBA_CACHE_DIR says) and recompiles a function
whose own file has changed; not so where a helper in another file has, and files that name a class which is gone can't
even be read. So each folder of kernels has a digest of its sources beside what numba keeps of them, and that is emptied
of indices where the digest differs. The ``__init__`` of such a folder calls :func:`forget_other_sources`.

Processes that share the folder compile each kernel once: the others wait for the one that does, and load what it made.
Where there is no folder that can be written, or it is full, each process compiles the kernels anew, with one warning.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import uuid
import warnings
from collections.abc import Callable
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from filelock import FileLock
from numba import njit
from numba.core import runtime as numba_runtime
from numba.core.compiler_lock import global_compiler_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

DIGEST: Final = "sources.digest"

REMEDY: Final = "set NUMBA_CACHE_DIR to a folder that can be written, to have them compiled once"

_warned: list[str] = []


def kernel(**options: Any) -> Callable[[Any], Any]:
    """A decorator: numba's ``njit`` with these options and its cache; without the cache where that has no place."""

    def compiled(function: Any) -> Any:
        try:
            dispatcher = njit(cache=True, **options)(function)
        except RuntimeError as error:
            if "cannot cache" not in str(error):
                raise
            _warn(f"no folder can be written to cache compiled kernels in, and each process compiles them: {REMEDY}")
            return njit(**options)(function)
        _bear_full_disks(dispatcher)
        _compile_once(dispatcher)
        return dispatcher

    return compiled


def is_compiled(dispatcher: Any) -> bool:
    """Whether a kernel needs no compiling: this process has it, or its folder does, for these sources and this CPU."""
    if not hasattr(dispatcher, "signatures") or dispatcher.signatures:  # the former without numba's compiler
        return True
    if not keeps_kernels(dispatcher):
        return False
    cache_file = dispatcher._cache._cache_file
    machine = dispatcher.targetctx.codegen().magic_tuple()
    with suppress(Exception):  # an index that can't be read is one that is not used
        names = [name for (_, target, _), name in cache_file._load_index().items() if target == machine]
        return any(Path(cache_file._data_path(name)).is_file() for name in names)
    return False


def compiles_here(dispatcher: Any) -> bool:
    """Whether this process has compiled a kernel, and so keeps the memory that its compiler took."""
    return any(getattr(getattr(dispatcher, "stats", None), "cache_misses", {}).values())


def keeps_kernels(dispatcher: Any) -> bool:
    """Whether there is a folder in which a kernel is kept once it is compiled."""
    return getattr(dispatcher, "_cache", None) is not None and dispatcher._cache.cache_path is not None


def _bear_full_disks(dispatcher: Any) -> None:
    """Have a kernel be used all the same where numba can't read or write its file.

    That is where the disk is full or over quota, there is no right to it, or the file is cut short.
    """
    cache = dispatcher._cache
    save, load = cache.save_overload, _load_alone(cache)

    def saving(*args: Any) -> None:
        try:
            save(*args)
        except OSError as error:
            _warn(f"compiled kernels can't be cached ({error}), and each process compiles them: {REMEDY}")

    def loading(*args: Any) -> Any:
        try:
            return load(*args)
        except OSError:
            return None
        except Exception:  # whatever a file cut short is unpickled to; numba would read it again to add to it
            with suppress(OSError):
                Path(cache._cache_file._index_path).unlink(missing_ok=True)
            return None

    cache.save_overload, cache.load_overload = saving, loading


def _load_alone(cache: Any) -> Any:
    """Loading of a kept kernel as numba does it, without all that it needs to compile, where it has such a way.

    Its ``load_overload`` first imports and registers whatever may occur in code, a quarter of a CPU second in each
    process; compiling does so itself. What machine code calls (``rtsys``) has to be there in either case.
    """
    load, rtsys = getattr(cache, "_load_overload", None), getattr(numba_runtime, "rtsys", None)
    if load is None or rtsys is None:
        return cache.load_overload

    def loading(signature: Any, context: Any) -> Any:
        rtsys.initialize(context)
        return load(signature, context)

    return loading


def _compile_once(dispatcher: Any) -> None:
    """Have one process at a time compile a kernel, and those that waited load it."""
    cache, compiled = dispatcher._cache, dispatcher.compile
    load, path = cache.load_overload, Path(cache.cache_path) / f"{dispatcher.__module__}.{dispatcher.__name__}.lock"
    ready: dict[Any, Any] = {}

    def compiling(signature: Any) -> Any:
        # numba's lock first, as in what it calls: a thread that has it would wait for one that waits for it
        with global_compiler_lock:
            if signature in dispatcher.overloads:
                return compiled(signature)
            # without the lock, lest many processes that start read their kernels one after another
            if overload := load(signature, dispatcher.targetctx):
                ready[signature] = overload
                return compiled(signature)
            with _alone(path):
                return compiled(signature)

    def loading(signature: Any, context: Any) -> Any:
        return ready.pop(signature, None) or load(signature, context)

    dispatcher.compile, cache.load_overload = compiling, loading


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock where there can be one; two that compile the same lose time alone."""
    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except (OSError, NotImplementedError):
        yield
        return
    try:
        yield
    finally:
        lock.release()


def _warn(text: str) -> None:
    """Once, and by one of the processes that work together."""
    ranks = ("PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK", "PMIX_RANK")
    first = next((os.environ[name] for name in ranks if name in os.environ), "0") == "0"
    if not _warned and first and multiprocessing.parent_process() is None:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    _warned.append(text)


def sources_digest(sources: Path) -> str:
    """SHA-256 of all files of a folder of kernels, and of this one."""
    digest = hashlib.sha256()
    for path in (*sorted(sources.glob("*.py")), Path(__file__)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def forget_other_sources(folder: str | Path | None, sources: Path) -> bool:
    """Drop numba's indices from the folder where it keeps what it compiled, if that was of other sources.

    To be called before any kernel is. Several processes may do this at once: what one has compiled meanwhile is then
    compiled again by the next, which is no more than a loss of time.

    Parameters
    ----------
    folder : str, Path or None
        Where numba keeps what it compiled; None: there is no cache.
    sources : Path
        The folder of the kernels.

    Returns
    -------
    bool
        Whether it was of other sources.
    """
    if folder is None:
        return False
    folder = Path(folder)
    digest, mark = sources_digest(sources), folder / DIGEST
    with suppress(OSError):
        if mark.read_text() == digest:
            return False
    # a folder that can't be written to is one that numba does not use
    with suppress(OSError):
        for index in folder.glob("*.nbi"):
            index.unlink(missing_ok=True)
        folder.mkdir(parents=True, exist_ok=True)
        new = folder / f"{DIGEST}.{uuid.uuid4().hex}"  # not of tempfile, whose files others can't read
        new.write_text(digest)
        new.replace(mark)
    return True
