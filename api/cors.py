"""Pages of other origins (C1)."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from api.errors import error_response


class Cors(CORSMiddleware):
    """Starlette's, but that a refused preflight too is answered in the shape of C7."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answers the question that a browser asks before the request itself."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:
            return response
        refused = error_response(response.status_code, bytes(response.body).decode())
        refused.headers.update({k: v for k, v in response.headers.items() if not k.startswith("content-")})
        return refused
