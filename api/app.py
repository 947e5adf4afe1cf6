"""The HTTP application: the reference routes, the service surface and their OpenAPI document.

``python -m api.app`` prints the document; ``make openapi`` puts it into ``openapi.json``.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.openapi import BODIES
from api.responses import error_response, handle
from api.routes import routers
from core.errors import ServiceError
from core.settings import get_settings
from core.version import VERSION

DESCRIPTION = """Is this voice male or female? Is this face male or female? What does this heart sound show? Is this
audio speech, music, noise or silence? Did a human or an AI speak this? Models on this machine answer. Each question has
a route of its own, and `/v1/classify/{question}` answers any of them in one form.

Every error is JSON with `status: "error"`, a `message` in words and the `request_id`, which is also in the
`x-request-id` header. The models that answered are named in the `x-model` header."""


# In the order of the README.
TAGS = [
    {"name": "voice gender", "description": "Is this voice male or female?"},
    {"name": "face gender", "description": "Is this face male or female?"},
    {"name": "heart sound", "description": "What does this heart sound show?"},
    {"name": "audio scene", "description": "Is this audio speech, music, noise or silence?"},
    {"name": "AI voice", "description": "Did a human or an AI speak this?"},
    {"name": "uniform", "description": "Any of the questions, in one form, for one or several files; and the models."},
    {"name": "service", "description": "Health, metrics and pages."},
]


def build_app() -> FastAPI:
    """Makes the application; ``state.answers`` is set when the service starts."""
    app = FastAPI(
        title="Media classification bundle",
        version=VERSION,
        description=DESCRIPTION,
        license_info={"name": "Apache License 2.0", "identifier": "Apache-2.0"},
        openapi_tags=TAGS,
        servers=[{"url": "/", "description": "This server."}],
        docs_url=None,  # ``api.static`` has a page of its own
        openapi_url=None,  # ``api.routes.system`` has it, under a route that metrics know
        redoc_url=None,
        redirect_slashes=False,  # a redirect would lead to whatever host the caller names
        separate_input_output_schemas=False,
        generate_unique_id_function=lambda route: route.name,  # what generated clients call their functions
    )
    app.openapi = lambda: document(app)  # type: ignore[method-assign]
    for router in routers():
        app.include_router(router)
    if get_settings().playground:
        from api.ui.routes import router as playground

        app.include_router(playground)
    app.add_exception_handler(ServiceError, handle)
    app.add_exception_handler(HTTPException, handle)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, handle)
    return app


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, without the answers of 422 that FastAPI adds: a wrong parameter is answered with 400."""
    made = FastAPI.openapi(app)
    made["security"] = []  # no key, but where an operation says so
    schemas = made["components"]["schemas"]
    schemas.update(BODIES)
    if schemas.pop("HTTPValidationError", None):
        schemas.pop("ValidationError", None)
        for operation in (item for methods in made["paths"].values() for item in methods.values()):
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    return made


async def invalid(request: Request, error: Exception) -> Response:
    """A parameter that is not what the document says: 400, in words."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type alone
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][1:])
    return error_response(400, f"{name}: {first['msg']}", path=request.url.path)


if __name__ == "__main__":
    print(json.dumps(build_app().openapi(), indent=2))
