"""The routes of the playground, there where the setting ``PLAYGROUND`` has it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import FileResponse, HTMLResponse, Response

from api.dependencies import admitted, answers, read_json
from api.pages import HEADERS
from api.routes.voice_deepfake import keyed
from api.schemas import AnalyzeRequest
from api.ui import files
from api.ui.questions import Questions
from api.ui.reports import Report
from api.ui.stream import respond
from api.uploads import check_plain, media_type
from core.errors import BadRequest, NotFound
from tasks.audio_scene import MODEL as AUDIO_SCENE
from tasks.face_gender import MODEL as FACE_GENDER
from tasks.heart_sound import MODEL as HEART_SOUND
from tasks.voice_deepfake import MEMBERS
from tasks.voice_gender import MODEL as VOICE_GENDER

router = APIRouter(tags=["service"])

Ask = Callable[[bytes], Awaitable[Report]]


def questions(request: Request) -> Questions:
    """The questions of this process."""
    return Questions(answers(request).context)


Asked = Annotated[Questions, Depends(questions)]


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


@router.post("/ui/ask/voice-gender", include_in_schema=False)
async def voice_gender(request: Request, ask: Asked) -> Response:
    """A recording in the body."""
    return await respond(ask.voice_gender(await body(request, VOICE_GENDER)))


@router.post("/ui/ask/face-gender", include_in_schema=False)
async def face_gender(request: Request, ask: Asked) -> Response:
    """A picture in the body."""
    return await respond(ask.face_gender(await body(request, FACE_GENDER)))


@router.post("/ui/ask/heart-sound", include_in_schema=False)
async def heart_sound(request: Request, ask: Asked) -> Response:
    """A recording in the body."""
    return await respond(ask.heart_sound(await body(request, HEART_SOUND)))


@router.post("/ui/ask/audio-scene", include_in_schema=False)
async def audio_scene(request: Request, ask: Asked) -> Response:
    """A recording in the body, or the address of one in JSON, as `/analyze-audio` takes it."""
    if media_type(request) == "application/json":
        asked = await read_json(request, AnalyzeRequest, answers(request).context, AUDIO_SCENE, AUDIO_SCENE)
        return await respond(ask.audio_scene_url(asked.audio_url))
    return await respond(ask.audio_scene(await body(request, AUDIO_SCENE)))


@router.post("/ui/ask/ai-voice", include_in_schema=False, dependencies=[Depends(keyed)])
async def ai_voice(request: Request, ask: Asked) -> Response:
    """A recording in the body, and a key."""
    return await respond(ask.ai_voice(await body(request, *MEMBERS)))


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
