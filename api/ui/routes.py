"""The routes of the playground, there where the setting ``PLAYGROUND`` has it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from api.auth import check_voice_key
from api.dependencies import admitted, answers, read_json
from api.pages import HEADERS
from api.schemas import AnalyzeRequest
from api.ui import files
from api.ui.questions import Questions
from api.ui.stream import respond
from api.uploads import check_plain, media_type
from core.errors import BadRequest, NotFound
from tasks.questions import questions

router = APIRouter(tags=["service"])

KEYED = "ai-voice"


@router.get("/ui", response_class=HTMLResponse, summary="A page to try")
async def playground() -> Response:
    """Five panels: record or upload, see the answer and what the model looked at."""
    return FileResponse(files.PAGE / "playground.html", media_type="text/html", headers=HEADERS)


@router.get("/ui/page/{name}", include_in_schema=False)
async def part(name: str) -> Response:
    """What the page loads."""
    return served(files.part(name))


@router.get("/ui/examples/{name}", include_in_schema=False)
async def example(name: str) -> Response:
    """A file to click, or the list of all."""
    return served(files.example(name))


@router.get("/ui/cards/{name}", include_in_schema=False)
def card(name: str) -> Response:
    """A model's card."""
    from api.ui.cards import card_page  # the renderer is loaded by the first reader

    if (page := card_page(name)) is None:
        raise NotFound("there is no model of this name")
    return HTMLResponse(page, headers=HEADERS)


@router.post("/ui/ask/{name}", include_in_schema=False)
async def ask(request: Request, name: str) -> Response:
    """A recording or a picture in the body, or the address of one in JSON, as `/analyze-audio` takes it."""
    if (question := questions().get(name)) is None:
        raise NotFound(f"the questions are {', '.join(questions())}")
    if name == KEYED:
        check_voice_key(request.scope, answers(request).context.settings.keys, request.headers)
    asked = Questions(answers(request).context)
    if media_type(request) == "application/json":
        context, models = answers(request).context, question.models
        where = await read_json(request, AnalyzeRequest, context, question.label, *models)
        return await respond(asked.ask_url(name, where.audio_url))
    return await respond(asked.ask(name, await body(request, *question.models)))


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


def served(response: FileResponse | None) -> FileResponse:
    """A file of the page.

    Raises:
        NotFound: There is none of this name.
    """
    if response is None:
        raise NotFound("the playground has no such part")
    return response
