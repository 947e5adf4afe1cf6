"""The routes of the playground, unless the setting ``PLAYGROUND`` turns it off.

Of its files, only scripts, styles and the listed examples are served.
"""

from __future__ import annotations

import functools
import json
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

from api.accept import preferred
from api.answers import admitted, answers
from api.auth import check_voice_key
from api.bodies import check_plain, media_type, read_json
from api.schemas import AnalyzeRequest
from api.static import HEADERS, SAMPLES, static_file
from api.ui.cards import card_page
from api.ui.questions import Questions, respond
from api.v1.batch import MEDIA_TYPE as PROGRESS
from core.errors import BadRequest, NotFound
from media.containers import PICTURE_LABELS, SOUND_LABELS, offered
from models import registry
from models.spec import AudioInput
from tasks.names import AI_VOICE, FURTHER
from tasks.questions import question_named, questions

PAGE = Path(__file__).parent / "page"
EXAMPLES = Path(__file__).parent / "examples"
LIST = "examples.json"
NO_PART = "the playground has no such part"

# What the page loads from its folder; each module says in its first line what it is for.
PART_TYPES = {".css": "text/css", ".js": "text/javascript"}
PARTS = {path.name: PART_TYPES[path.suffix] for path in PAGE.iterdir() if path.suffix in PART_TYPES}
MEDIA_TYPES = {".json": "application/json"} | SAMPLES

# What the page lets files be chosen of, and how it calls them.
TAKES = {
    "audio": {"labels": SOUND_LABELS, "accept": ",".join(("audio/*", *(one.suffixes[0] for one in offered())))},
    "picture": {"labels": PICTURE_LABELS, "accept": "image/*"},
}


@functools.cache
def _examples() -> frozenset[str]:
    listed = json.loads((EXAMPLES / LIST).read_text())
    return frozenset(entry["file"] for entry in listed) | {LIST}


router = APIRouter(tags=["service"])


@router.get("/ui", response_class=HTMLResponse, summary="A page to try")
def playground(request: Request) -> Response:
    """Five panels: record or upload, see the answer and what the model looked at."""
    return static_file(request, PAGE / "playground.html", "text/html", HEADERS)


@router.get("/ui/page/{name}", include_in_schema=False)
def part(request: Request, name: str) -> Response:
    """What the page loads."""
    if name not in PARTS:
        raise NotFound(NO_PART)
    return static_file(request, PAGE / name, PARTS[name], HEADERS)


@router.get("/ui/examples/{name}", include_in_schema=False)
def example(request: Request, name: str) -> Response:
    """An example, a model's sample, or the list of the examples."""
    path = EXAMPLES / name if name in _examples() else registry.samples().get(name)
    if path is None:
        raise NotFound(NO_PART)
    return static_file(request, path, MEDIA_TYPES[path.suffix], HEADERS)


@router.get("/ui/server", include_in_schema=False)
async def server(request: Request) -> Response:
    """What the page must know before it asks: which questions need a key, whether there are keys, and limits of files.

    It also lists the questions of further models, for which the page's own files have no panel.
    """
    settings = answers(request).context.settings
    about = {
        "further": [_panel(name, model) for name, (model,) in FURTHER.items()],
        "keyed": list(questions()) if settings.key_store else [AI_VOICE],
        "has_keys": bool(settings.keys or settings.key_store),
        "max_body_bytes": settings.max_body_bytes,
        "takes": TAKES,
    }
    return JSONResponse(about, headers=HEADERS)


def _panel(name: str, model: str) -> dict[str, object]:
    spec = registry.specs()[model]
    return {
        "id": name,
        "tab": spec.title,
        "title": spec.question or spec.title,
        "about": spec.description,
        "takes": "audio" if isinstance(spec.input, AudioInput) else "picture",
        "classes": spec.classes,
        "examples": [
            {
                "question": name,
                "file": file,
                "title": file.partition(".")[0].replace("_", " ").capitalize(),
                "truth": truth,
                "credit": "in the model's card",
            }
            for file, truth in spec.samples
        ],
    }


@router.get("/ui/cards/{name}", include_in_schema=False)
def card(name: str) -> Response:
    """A model's card."""
    if (page := card_page(name)) is None:
        raise NotFound("there is no card of this name")
    return HTMLResponse(page, headers=HEADERS)


@router.post("/ui/ask/{name}", include_in_schema=False)
async def ask(request: Request, name: str) -> Response:
    """A recording or a picture in the body, or the address of one in JSON, as `/analyze-audio` takes it."""
    question = question_named(name)
    context = answers(request).context
    if name == AI_VOICE:
        check_voice_key(request.scope, context.settings.keys, request.headers)
    asked = Questions(context)
    if media_type(request.headers) == "application/json":
        where = await read_json(request, AnalyzeRequest, context, question.label, *question.models)
        work = asked.ask_url(name, where.audio_url)
    else:
        work = asked.ask(name, await body(request, *question.models))
    wants_one_line = preferred(request.headers.get("accept", ""), PROGRESS, "application/json") == "application/json"
    return JSONResponse({"report": (await work).model_dump()}) if wants_one_line else await respond(work)


async def body(request: Request, *models: str) -> bytes:
    """The file in the body, bounded by ``api.middleware.limits``; read only when the models have room.

    Raises:
        BadRequest: There is none.
        ServiceError: As ``admitted``.
    """
    check_plain(request)
    admitted(request, *models)
    if not (data := await request.body()):
        raise BadRequest("the file is empty")
    return data
