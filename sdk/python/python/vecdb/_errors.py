"""Exceptions: one class for each kind of error, the same kinds as in every other face of VecDB."""

from __future__ import annotations

from typing import ClassVar


class VecDBError(Exception):
    """Base of all errors of VecDB.

    ``kind`` is the stable name of what went wrong, ``retry_after`` the seconds to wait before another try, where the
    server said so.
    """

    kind: ClassVar[str] = "unknown"

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[type[VecDBError], tuple[str, float | None]]:
        return (type(self), (self.message, self.retry_after))


class InvalidArgumentError(VecDBError, ValueError):
    """The call is wrong; making it again cannot succeed."""

    kind = "invalid_argument"


class NotFoundError(VecDBError):
    """The named collection, snapshot or database does not exist."""

    kind = "not_found"


class AlreadyExistsError(VecDBError):
    """The named thing exists already."""

    kind = "already_exists"


class UnavailableError(VecDBError):
    """The server cannot be reached or is not ready, another process holds the folder, or the client is closed."""

    kind = "unavailable"


class ResourceExhaustedError(VecDBError):
    """Disk or memory is used up, or the server has more to do than it can take; see ``retry_after``."""

    kind = "resource_exhausted"


class PermissionDeniedError(VecDBError):
    """The key does not cover the call, or the folder may not be written by this process."""

    kind = "permission_denied"


class UnauthenticatedError(VecDBError):
    """The server asks for a key and got none, or one that it does not know."""

    kind = "unauthenticated"


class DeadlineExceededError(VecDBError, TimeoutError):
    """The time limit of the call passed first. A write may or may not have happened."""

    kind = "deadline_exceeded"


class CancelledError(VecDBError):
    """The call was ended before it was done."""

    kind = "cancelled"


class CorruptError(VecDBError):
    """Bytes on the disk are not what was written."""

    kind = "corrupt"


class UnsupportedError(VecDBError):
    """This version or setting cannot do that."""

    kind = "unsupported"


class PoisonedError(VecDBError):
    """An earlier write failed on the disk: reads go on, writes are refused until the database is opened anew."""

    kind = "poisoned"


class IoError(VecDBError, OSError):
    """The operating system refused something."""

    kind = "io"


_CLASSES: dict[str, type[VecDBError]] = {
    error.kind: error
    for error in (
        InvalidArgumentError,
        NotFoundError,
        AlreadyExistsError,
        UnavailableError,
        ResourceExhaustedError,
        PermissionDeniedError,
        UnauthenticatedError,
        DeadlineExceededError,
        CancelledError,
        CorruptError,
        UnsupportedError,
        PoisonedError,
        IoError,
    )
}

for _class in (VecDBError, *_CLASSES.values()):
    # Tracebacks name the place where users find them.
    _class.__module__ = "vecdb"


def error_of_kind(kind: str, message: str, retry_after: float | None) -> VecDBError:
    """The exception for an error; called by the compiled module."""
    return _CLASSES.get(kind, VecDBError)(message, retry_after)
