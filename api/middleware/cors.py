"""Pages of other origins (docs/contract.md, Voice gender)."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from api.responses import error_response


class Cors(CORSMiddleware):
    """Starlette's, but that a refused preflight too is answered in the contract's error shape.

    A page of the internet that calls a server in a private network asks for that as well; an origin that may call may
    do so from there.
    """

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(app, allow_private_network=True, **options)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answers the question that a browser asks before the request itself."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refused = error_response(response.status_code, bytes(response.body).decode())
        said = {k: v for k, v in response.headers.items() if not k.startswith("content-")}
        said.pop("access-control-allow-private-network", None)
        refused.headers.update(said)
        return refused
