"""Whatever a file system raises, as one line with the right exit code."""

import errno
from typing import Any

from bench.errors import BenchError, Missing, StorageError
from bench.inputs import printable
from bench.shared.address import Address, without_secrets

LOST = (
    "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError",
    "ClientConnectorError", "ServerDisconnectedError", "ServerTimeoutError", "HTTPClientError",
    "ResponseStreamingError", "ClientPayloadError", "IncompleteReadError", "FSTimeoutError",
    "ClientOSError",
)  # fmt: skip
"""Exceptions of clients that stand for a lost connection."""
BUSY = (
    "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted",
    "ConditionalRequestConflict", "Throttling", "TooManyRequests", "500", "502", "503", "504",
)  # fmt: skip
"""Answers of servers that ask to be tried again."""
PASSING = (
    errno.EBUSY, errno.ECONNRESET, errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EPIPE,
    errno.ESTALE, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EREMOTEIO, errno.EAGAIN,
)  # fmt: skip
NO_CREDENTIALS = (
    "NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError",
    "CredentialRetrievalError", "ProfileNotFound", "NoAuthTokenError", "TokenRetrievalError",
)  # fmt: skip
REFUSED_CREDENTIALS = (
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken",
    "AuthorizationHeaderMalformed", "TokenRefreshRequired",
)  # fmt: skip
FULL = ("QuotaExceeded", "InsufficientStorage", "XMinioStorageFull", "EntityTooLarge", "507")
SKEWED = "RequestTimeTooSkewed"
KEEPS = "what was measured is in the local store, and the same command goes on from there"


def code_of(error: BaseException) -> str:
    """Return the code that a server gave with its refusal, or an empty text."""
    for one in _chain(error):
        response: Any = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


def is_passing(error: BaseException) -> bool:
    """Return whether another try may succeed."""
    if isinstance(error, FileNotFoundError | FileExistsError | PermissionError):
        return False
    if code_of(error) in BUSY:
        return True
    if any(type(one).__name__ in LOST for one in _chain(error)):
        return True
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    return isinstance(error, OSError) and error.errno in PASSING


def exists_already(error: BaseException) -> bool:
    """Return whether a put-if-absent was refused because there is something."""
    return isinstance(error, FileExistsError) or code_of(error) in ("PreconditionFailed", "412")


def line_of(error: BaseException, address: Address, doing: str) -> BenchError:
    """Return the error for people: what could not be done, and what mends it.

    Args:
        error: What a file system or its client raised.
        address: Of the shared store.
        doing: "read" or "write".
    """
    if isinstance(error, BenchError):
        return error
    where, code = printable(address.shown), code_of(error)
    names = {type(one).__name__ for one in _chain(error)}
    if names & set(NO_CREDENTIALS):
        return Missing(
            f"no credentials for {where}; set those of its protocol in the environment "
            "(for s3: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"
        )
    if code == SKEWED:
        return StorageError(
            f"{where} refuses this machine's clock, which differs too much from the server's; "
            f"set the clock (timedatectl set-ntp true); {KEEPS}"
        )
    if code in REFUSED_CREDENTIALS:
        return Missing(f"{where} refuses the credentials ({code}); renew them; {KEEPS}")
    if code in ("NoSuchBucket", "InvalidBucketName"):
        return StorageError(f"there is no bucket at {where}; make it, or name another --store")
    if code in FULL or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"{where} is full; free space there; {KEEPS}")
    if isinstance(error, PermissionError) or getattr(error, "errno", None) == errno.EROFS:
        return StorageError(f"{where} may not be {_done(doing)} with these rights; {KEEPS}")
    if is_passing(error):
        return StorageError(f"{where} cannot be reached ({_reason(error, address)}); {KEEPS}")
    return StorageError(f"{where} cannot be {_done(doing)} ({_reason(error, address)}); {KEEPS}")


def _done(doing: str) -> str:
    return {"write": "written", "read": "read"}[doing]


def _reason(error: BaseException, address: Address) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    for part in (address.secret, *address.secret.split(":")):
        words = words.replace(part, "***") if part else words
    return printable(without_secrets(words), 200)


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and one not in found:
        found.append(one)
        one = one.__cause__
    return found
