"""The key of ``/api/voice-detection`` (docs/contract.md, AI-generated voice)."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping, Sequence

from core.errors import Forbidden

log = logging.getLogger("bundle.keys")


def check_key(known: Sequence[str], headers: Mapping[str, str]) -> None:
    """Lets a request with a configured key pass.

    Args:
        known: The configured keys.
        headers: Of the request: the key is in ``x-api-key``, or a bearer token, as BentoML's clients send theirs.

    Raises:
        Forbidden: The key is missing or wrong, or none is configured.
    """
    if not known:
        log.error("no API_KEY is configured: voice detection answers nobody")
    given = (headers.get("x-api-key") or _bearer(headers.get("authorization", ""))).strip()
    # Every key is compared, each in constant time: how long it takes says nothing.
    matches = [hmac.compare_digest(given.encode(), key.encode()) for key in known]
    if not any(matches):
        raise Forbidden("Invalid API key provided")


def _bearer(authorization: str) -> str:
    """The token of an ``Authorization`` header; the scheme may be written in any case, and must be there."""
    scheme, _, token = authorization.strip().partition(" ")
    return token if scheme.lower() == "bearer" else ""
