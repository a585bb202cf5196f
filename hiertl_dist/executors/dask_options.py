"""``DaskOptions``: which dask cluster works, how it is spoken to, and how long it is waited for."""

from __future__ import annotations

import math
import re
import socket
import ssl
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from hiertl_dist.errors import HiertlWarning, InputError, LaunchError
from hiertl_dist.files.paths import require_file
from hiertl_dist.text.display import Shown

WORKER_WAIT: Final = 600.0
"""Seconds to wait for a worker where there is none."""

SECONDS_TO_CONNECT: Final = 30.0

FEW_MESSAGES: Final = {"distributed.admin.low-level-log-length": 16}
"""Dask keeps the last thousand messages that it sent, for its developers: with all items that are in them."""

NEEDS_BOKEH: Final = (
    "dask's dashboard and its performance report are drawn by bokeh, which is not there: "
    'pip install "hiertl-dist[dashboard]"'
)
NEEDS_CRYPTOGRAPHY: Final = (
    'dask makes temporary certificates with cryptography, which is not there: pip install "hiertl-dist[tls]"'
)


@dataclass(frozen=True, kw_only=True, repr=False)
class DaskOptions(Shown):
    """What of a dask cluster can be chosen.

    Attributes
    ----------
    scheduler : str, optional
        Address of a scheduler that runs already, such as ``tcp://host:8786`` or ``tls://host:8786``; default: the
        current client's, else a local cluster is started.
    tls_ca_file, tls_cert, tls_key : Path, optional
        PEM files for a scheduler with TLS: the authority's certificate, one's own, and its key. All three or none.
    encrypted : bool
        Start the local cluster with TLS and temporary certificates: without, other users of the machine can connect to
        it and have it run what they like.
    worker_wait : float
        Seconds to wait for a worker where there is none.
    dashboard : bool
        Give the local cluster a dashboard, on 127.0.0.1.
    performance_report : Path, optional
        HTML file for dask's performance report, written when the executor is closed.
    resources : Mapping from str to Mapping from str to float
        By name of tasks as the dashboard has it, such as ``assemble``, ``assemble-CN`` or ``merge``, what resources of
        dask's a worker must have for them (``dask worker --resources "MEMORY=32e9"``). The longest name holds.

    Raises
    ------
    InputError
        A value can't be meant, or does not go with another.
    """

    scheduler: str | None = None
    tls_ca_file: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    encrypted: bool = False
    worker_wait: float = WORKER_WAIT
    dashboard: bool = False
    performance_report: Path | None = None
    resources: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = [name for name in TLS if getattr(self, name) is not None]
        if given and len(given) < len(TLS):
            lacking = ", ".join(name for name in TLS if name not in given)
            raise InputError(f"{', '.join(given)}: TLS needs {', '.join(TLS)} together, found no {lacking}")
        if given and self.scheduler is None:
            raise InputError(f"{given[0]}: of use with scheduler, the address of one with TLS (tls://host:8786)")
        if self.scheduler is not None:
            self._check_address(self.scheduler, bool(given))
            for name in ("encrypted", "dashboard"):
                if getattr(self, name):
                    raise InputError(f"{name}: of a local cluster; that of scheduler {self.scheduler} is as it is")
        if not 0.0 < self.worker_wait < math.inf:
            raise InputError(f"worker_wait: expected a number of seconds above 0, found {self.worker_wait}")
        self._check_resources()

    @staticmethod
    def _check_address(address: str, tls: bool) -> None:
        protocol, slashes, _ = address.partition("://")
        if not re.fullmatch(r"([a-z]+://)?(\[[0-9A-Fa-f:.%\w]+\]|[^:/\s]+):[0-9]{1,5}", address):
            raise InputError(f"scheduler: expected an address such as tcp://host:8786, found {address!r}")
        if slashes and (protocol == "tls") != tls:
            lacking = f"give {', '.join(TLS)}" if not tls else f"expected tls://…, for {TLS[0]} is given"
            raise InputError(f"scheduler: {address}: {lacking}")

    def _check_resources(self) -> None:
        for name, wanted in self.resources.items():
            if not isinstance(wanted, Mapping) or not wanted:
                raise InputError(f"resources.{name}: expected a table such as {{MEMORY = 32e9}}, found {wanted!r}")
            for resource, amount in wanted.items():
                if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0.0 < amount < math.inf:
                    raise InputError(f"resources.{name}.{resource}: expected a number above 0, found {amount!r}")

    def of_task(self, name: str) -> tuple[str, dict[str, float]] | None:
        """Which of :attr:`resources` holds for a task.

        Parameters
        ----------
        name : str
            Of the task, as the dashboard has it without its number: ``assemble-CN``.

        Returns
        -------
        tuple of (str, dict from str to float), or None
            Its name there and what it asks of a worker; None where nothing is asked.
        """
        fitting = [key for key in self.resources if name == key or name.startswith(f"{key}-")]
        key = max(fitting, key=len, default=None)
        return None if key is None else (key, dict(self.resources[key]))

    @property
    def given(self) -> tuple[str, ...]:
        """The names of those that differ from what is done without them."""
        plain = DaskOptions()
        return tuple(f.name for f in fields(self) if getattr(self, f.name) != getattr(plain, f.name))


TLS: Final = ("tls_ca_file", "tls_cert", "tls_key")


def connect(options: DaskOptions) -> Any:
    """A client of the scheduler that is named.

    Raises
    ------
    LaunchError
        Nobody answers there, or not in the way that is expected, such as with TLS.
    MissingFileError
        A file of TLS is not there.
    """
    import dask
    from distributed import Client
    from distributed.security import Security

    address = str(options.scheduler)
    for name in TLS:
        if (path := getattr(options, name)) is not None:
            require_file(path, name)
    security = None if options.tls_ca_file is None else Security(
        tls_ca_file=str(options.tls_ca_file), tls_client_cert=str(options.tls_cert),
        tls_client_key=str(options.tls_key), require_encryption=True,
    )  # fmt: skip
    try:
        with dask.config.set(FEW_MESSAGES):
            return Client(address, security=security, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ssl.SSLError, TypeError, ValueError, RuntimeError) as error:
        if security is None and speaks_tls(address):  # asked last, for a scheduler without TLS logs a trace of it
            raise LaunchError(
                f"the dask scheduler {address} wants TLS: give its address as tls://…, with {', '.join(TLS)}"
            ) from error
        reason = f"{type(error).__name__}: {error}"
        files = "" if security is None else f"; are {', '.join(TLS)} of the authority that made the scheduler's?"
        raise LaunchError(
            f"no dask scheduler could be spoken to at {address} within {SECONDS_TO_CONNECT:.0f} s ({reason}){files}"
        ) from error


@contextmanager
def scheduler_asked(options: DaskOptions) -> Iterator[None]:
    """With the client of the scheduler that is named as the current one, if any is."""
    if options.scheduler is None:
        yield
        return
    with connect(options) as client, client.as_current():
        yield


def speaks_tls(address: str) -> bool:
    """Whether who listens at an address answers a TLS handshake; not, where nobody listens."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is sent, it only has to answer
    with suppress(OSError, ValueError), socket.create_connection((host.strip("[]"), int(port)), 2.0) as plain:
        plain.settimeout(2.0)
        with context.wrap_socket(plain):
            return True
    return False


def own_security() -> Any:
    """Temporary certificates for a cluster of one's own.

    Raises
    ------
    ModuleNotFoundError
        cryptography, which makes them, is not there.
    """
    from distributed.security import Security

    try:
        return Security.temporary()
    except ImportError as error:
        raise ModuleNotFoundError(NEEDS_CRYPTOGRAPHY, name="cryptography") from error


def require_bokeh(client: Any) -> None:
    """Raise ModuleNotFoundError where the scheduler, which draws, has no bokeh."""
    if not client.run_on_scheduler(has_bokeh):
        raise ModuleNotFoundError(f"{NEEDS_BOKEH}, where the scheduler {client.scheduler.address} runs", name="bokeh")


def has_bokeh() -> bool:
    """Whether this process could draw a dashboard."""
    return find_spec("bokeh") is not None


class PerformanceReport:
    """dask's report on what its cluster does from now on, until it is written.

    Parameters
    ----------
    client : distributed.Client
        Of the cluster.
    path : Path
        The HTML file.
    """

    def __init__(self, client: Any, path: Path) -> None:
        from distributed import performance_report

        self._client, self.path = client, path.absolute()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with client.as_current():
            self._report = performance_report(filename=str(self.path))
            self._report.__enter__()

    def write(self) -> None:
        """Write the file; where the scheduler is gone, warn that there is none."""
        if self._client.status != "running":
            warnings.warn(
                f"no performance report {self.path}: it is made by the scheduler, which is gone", HiertlWarning,
                stacklevel=3,
            )  # fmt: skip
            return
        with self._client.as_current():
            self._report.__exit__(None, None, None)
