"""Clients of object stores (obstore), and what their servers refuse in words of this package.

Credentials, endpoint and region are those of the environment (``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_SESSION_TOKEN``, ``AWS_ENDPOINT_URL``, ``AWS_REGION``, …), of this process and of each worker by itself: they are
in no file, message or task. Messages have no more of an error than its first line and the server's code.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from ..errors import InputError, ObjectStoreError
from .write_errors import RESUMES

if TYPE_CHECKING:
    from collections.abc import Iterator

SECONDS: Final = 300.0
"""Of one attempt of a request that carries a chunk: 64 MiB at 0.2 MiB/s."""

SMALL_SECONDS: Final = 15.0
"""Of one attempt of any other request, less than what a lease outlives."""

RETRIES: Final = {"max_retries": 8, "seconds": 120.0}
"""How often obstore tries a request again that was cut off or that the server could not serve, and for how long."""

ENDPOINTS: Final = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
"""Environment variables that name the server, the first that is there counts."""


def obstore() -> Any:
    """The package obstore. Raises InputError with the line that installs it where it is not there."""
    try:
        import obstore
    except ImportError as error:
        raise InputError(
            "object stores (s3://…) need the package obstore, which is not installed where this process runs: "
            "pip install 'hiertl-dist[s3]'"
        ) from error
    return obstore


def client(scheme: str, bucket: str, *, small: bool = False) -> Any:
    """A client for a bucket, made once for each environment; ``small``: for requests that are short."""
    obstore()
    if scheme == "memory":
        return _in_memory(bucket)
    named = tuple(sorted((key, value) for key, value in os.environ.items() if key.startswith("AWS_")))
    return _of_server(bucket, hash(named), SMALL_SECONDS if small else SECONDS, tuple(RETRIES.values()))


@lru_cache(maxsize=64)
def _in_memory(bucket: str) -> Any:
    """Of this process alone, for tests; each name is a store of its own."""
    from obstore.store import MemoryStore

    return MemoryStore()


@lru_cache(maxsize=16)
def _of_server(bucket: str, environment: int, seconds: float, retries: tuple[Any, ...]) -> Any:
    from obstore.store import S3Store

    most, longest = retries
    options: dict[str, Any] = {"timeout": timedelta(seconds=seconds), "connect_timeout": timedelta(seconds=5)}
    if endpoint().startswith("http://"):  # named so by the user
        options["allow_http"] = True
    retry = {"max_retries": most, "retry_timeout": timedelta(seconds=longest)}
    try:
        return S3Store(bucket, client_options=options, retry_config=retry)
    except Exception as error:  # of obstore, whose classes have no common name for it
        raise InputError(f"s3://{bucket}: the AWS_… variables of the environment are refused: {_line(error)}") from None


def endpoint() -> str:
    """The server that the environment names; empty where it is Amazon's of the region."""
    return next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "")


@contextmanager
def object_errors(place: object, doing: str) -> Iterator[None]:
    """Raise FileNotFoundError where there is no such object, and ObjectStoreError for what else a server refuses.

    Parameters
    ----------
    place : object
        The object, for messages.
    doing : str
        What is done with it, such as ``"written"``.
    """
    errors = obstore().exceptions
    try:
        yield
    except FileNotFoundError as error:
        if "NoSuchBucket" not in str(error):
            raise FileNotFoundError(errno.ENOENT, "there is no such object", str(place)) from None
        raise ObjectStoreError(_refusal(place, doing, error)) from None
    except (errors.AlreadyExistsError, errors.PreconditionError):
        raise  # for who asked for a condition
    except (errors.BaseError, OSError, ValueError) as error:
        raise ObjectStoreError(_refusal(place, doing, error)) from None


def is_cut_off(error: ObjectStoreError) -> bool:
    """Whether a request may have been carried out although its answer is not known."""
    return "cannot be reached" in str(error)


def is_beyond_end(error: ObjectStoreError) -> bool:
    """Whether bytes were asked for that begin where the object has ended."""
    return re.search("InvalidRange|Invalid range|status 416", str(error)) is not None


def is_forbidden(error: ObjectStoreError) -> bool:
    """Whether the server does not let these credentials do it."""
    return "refuses these credentials" in str(error)


def _refusal(place: object, doing: str, error: Exception) -> str:
    return f"{place}: cannot be {doing}: {_reason(str(error), error)}. {RESUMES}"


def _reason(text: str, error: Exception) -> str:
    """Why, and what to do."""
    server = endpoint() or "Amazon S3"
    server = re.sub(r"//[^/@]*@", "//", server)
    if "NoSuchBucket" in text:
        return f"{server} has no such bucket: make it, name another, or see whether AWS_ENDPOINT_URL names the server"
    if "169.254.169.254" in text or "CredentialsNotLoaded" in text:
        return (
            "there are no credentials: expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if "
            "they are temporary) in the environment of this process, or a machine with a role of its own; profiles "
            "of ~/.aws are not read"
        )
    if type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return (
            f"{server} refuses these credentials ({_code(text) or _line(error)}): see AWS_ACCESS_KEY_ID, "
            "AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, and whether they may read, write, list and delete there"
        )
    if "PermanentRedirect" in text or "AuthorizationHeaderMalformed" in text or "IllegalLocationConstraint" in text:
        return f"{server} says that the bucket is of another region ({_code(text)}): name it by AWS_REGION"
    if code := _code(text):
        return f"{server} answers {code}"
    return (
        f"{server} cannot be reached, or the connection was lost and was not there again in time ({_line(error)}): see "
        "whether it runs and whether AWS_ENDPOINT_URL names it"
    )


def _code(text: str) -> str:
    """The server's code and its message, without what else it says, which may repeat what was signed."""
    code, said = re.search(r"<Code>([^<]*)", text), re.search(r"<Message>([^<]*)", text)
    status = re.search(r"status code: (\d{3})", text)
    if code is None:
        return f"status {status[1]}" if status else ""
    return f"{code[1]}: {said[1][:200]}" if said else code[1]


def _line(error: Exception) -> str:
    first = (str(error).splitlines() or [type(error).__name__])[0].partition("<?xml")[0]
    return re.sub(r"//[^/@\s]*@", "//", first)[:300].strip()
