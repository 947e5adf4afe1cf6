"""Innermost: BentoML answers its typed methods, the HTTP application everything else.

BentoML's own ``/readyz``, ``/docs.json`` and error bodies are no contract, so they are not reached.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.methods import UNIFORM, TypedMethodsMiddleware
from api.responses import to_response

if TYPE_CHECKING:
    from fastapi import FastAPI

SCHEMA = "/schema.json"  # what BentoML's clients read first


class Dispatch:
    """ASGI middleware.

    Args:
        app: BentoML's application.
        http_app: Gives the HTTP application; called at the first request.
        methods: Paths of the typed methods.
    """

    def __init__(self, app: ASGIApp, *, http_app: Callable[[], FastAPI], methods: Collection[str]) -> None:
        self.app = app
        self._http_app = http_app
        self._methods = TypedMethodsMiddleware(app, lambda: http_app().state.answers)
        own = (path for path in methods if not path.startswith(UNIFORM))
        self._method_paths = frozenset(own)
        self._schema = b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handles one request, or BentoML's own life cycle events."""
        if "\n" in scope.get("path", ""):
            # Patterns of routes match before a last line break too, where ``Keys`` finds no question to ask a key for.
            await to_response(HTTPException(404))(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._http_app()(scope, receive, send)
        elif scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] in self._method_paths:
            scope["bundle.route"] = scope["path"]
            await self._methods(scope, receive, send)
        elif scope["path"] == SCHEMA:
            scope["bundle.route"] = SCHEMA
            await self._describe(scope, receive, send)
        elif scope["method"] == "HEAD":
            await self._head(scope, receive, send)
        else:
            await self._http_app()(scope, receive, send)

    async def _describe(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends BentoML's document as it was first made: to make it holds up the event loop for 30 ms."""
        if not self._schema or scope["method"] not in ("GET", "HEAD"):
            await self._methods(scope, receive, self._remembering(send))
        else:
            await Response(self._schema, media_type="application/json")(scope, receive, send)

    def _remembering(self, send: Send) -> Send:
        """The sending channel; keeps the document that passes."""
        is_good = False

        async def remembering(message: Message) -> None:
            nonlocal is_good
            is_good = is_good or message.get("status") == 200
            if is_good:
                self._schema = message.get("body", b"")  # in one piece, after a head without any
            await send(message)

        return remembering

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers HEAD as GET without the body, which FastAPI does not do by itself."""

        async def without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        asked = {**scope, "method": "GET"}
        try:
            await self._http_app()(asked, receive, without_body)
        finally:
            scope.update({name: asked.get(name) for name in ("route", "bundle.route")})  # for the log and the metrics
