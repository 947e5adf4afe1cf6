"""The error tree: every failure that a caller may see, with its HTTP status.

``api.responses`` is the one place that turns these into answers.
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """A failure with words for the caller.

    Attributes:
        status: HTTP status of the answer.
        message: What is wrong, in words that the caller can act on: no path, no trace, no secret.
        retry_after: Seconds after which trying again makes sense, for the ``Retry-After`` header.
    """

    status: ClassVar[int] = 500

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after


class BadRequest(ServiceError):  # noqa: N818 - named after the HTTP status, as are those below
    """The input is wrong in itself."""

    status = 400


class Forbidden(ServiceError):  # noqa: N818
    """The key is missing or wrong."""

    status = 403


class NotFound(ServiceError):  # noqa: N818
    """There is nothing at this address, or nothing yet."""

    status = 404


class PayloadTooLarge(ServiceError):  # noqa: N818
    """The body, the recording or the picture is larger than the limits allow."""

    status = 413


class UnsupportedMedia(ServiceError):  # noqa: N818
    """The content type is not one that the route takes."""

    status = 415


class Unprocessable(ServiceError):  # noqa: N818
    """The input is well formed but holds nothing to answer about."""

    status = 422


class TooManyRequests(ServiceError):  # noqa: N818
    """More is waiting than can be answered in time, or a quota or the places for streams are used up."""

    status = 429


class InternalError(ServiceError):
    """A failure of the server itself."""

    status = 500


class UpstreamError(ServiceError):
    """Another server, asked on behalf of the caller, failed."""

    status = 502


class Unavailable(ServiceError):  # noqa: N818
    """A runner or the store of keys is down, or the server has too much in hand."""

    status = 503


class TimedOut(ServiceError):  # noqa: N818
    """The time limit passed before the answer was there."""

    status = 504


class InsufficientStorage(ServiceError):  # noqa: N818
    """The answer is there but cannot be kept, and the route promises to keep it."""

    status = 507
