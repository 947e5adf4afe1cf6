"""Every question as a typed BentoML method, so that BentoML's generated clients can ask it.

Those of the five call the same operations as the reference routes; that of a further model comes from its ``SPEC``.
BentoML itself would download a URL that stands in a file's place, and put uploads on disk; ``FileForm`` reads them as
the routes do instead. A client gives its key as its ``token``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

import bentoml
from bentoml.validators import ContentType
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.asked import TYPED
from api.auth import check_voice_key
from api.bodies import media_type, read_file, read_json
from api.responses import error_response, to_response
from api.schemas import ClassScore, FaceResponse, SceneResponse, VoiceRequest, VoiceResponse
from api.v1.schemas import ClassifyResponse, InputItem, ItemAnswer
from core.errors import NotFound, ServiceError, UnsupportedMedia
from core.request import CURRENT
from models import registry
from models.messages import HeartResult
from models.spec import AudioInput
from tasks import names

if TYPE_CHECKING:  # runner processes load this module too, and need nothing of what answers
    from api.answers import Answers

T = TypeVar("T")

KEYED = TYPED[names.AI_VOICE]
MODELS_BY_PATH = {TYPED[question]: models for question, models in names.MODELS_BY_QUESTION.items()}
UNIFORM = "/v1/classify/"  # the methods below it are answered by ``api.routes.classify``
CACHED = TYPED["audio-scene"]  # may be answered though its model has no room
PICKLE = "application/vnd.bentoml+pickle"
ANSWERS = "bundle.answers"  # where the request carries what answers


def noted(function: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
    """Remembers a failure for ``TypedMethodsMiddleware``: BentoML answers every exception in a shape of its own."""

    @wraps(function)
    async def noting(*args: Any, **kwargs: Any) -> T:
        try:
            return await function(*args, **kwargs)
        except ServiceError as error:
            if (state := CURRENT.get()) is not None:
                state.failure = error
                del state  # breaks the reference cycle of the failure (``storage.cache``)
            raise

    return noting


class FileForm(bentoml.IODescriptor):  # type: ignore[misc]  # BentoML gives no type
    """A form with one file; the method gets its bytes."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """Reads the form in memory, and nothing but a form."""
        (key,) = cls.model_fields
        form: Self = cls.model_construct(**{key: await noted(read_file)(request, key)})
        return form


class AudioForm(FileForm):
    """A recording."""

    audio: Annotated[Path, ContentType("audio/*")]


class ImageForm(FileForm):
    """A picture."""

    image: Annotated[Path, ContentType("image/*")]


class JsonBody(bentoml.IODescriptor):  # type: ignore[misc]  # BentoML gives no type
    """A JSON body, read as the routes do: BentoML logs a trace of what a caller got wrong, and parses in its loop."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """Reads JSON, and nothing but JSON."""
        models = MODELS_BY_PATH[request.scope["path"]]
        name = models[0] if len(models) == 1 else names.ENSEMBLE
        body: Self = await noted(read_json)(request, cls, request.scope[ANSWERS].context, name, *models)
        return body


class AddressBody(JsonBody):
    """Where the audio is."""

    audio_url: str


class VoiceBody(JsonBody):
    """A voice, as the route takes it."""

    request: VoiceRequest


class TypedMethods:
    """What the service inherits; ``answers`` is set when it starts."""

    answers: Answers

    @bentoml.api(route=TYPED["voice-gender"], input_spec=AudioForm)  # type: ignore[untyped-decorator]
    @noted
    async def voice_gender(self, audio: bytes) -> list[ClassScore]:
        """Is this voice male or female?"""
        return await self.answers.voice_gender(audio)

    @bentoml.api(route=TYPED["face-gender"], input_spec=ImageForm)  # type: ignore[untyped-decorator]
    @noted
    async def face_gender(self, image: bytes) -> FaceResponse:
        """Is this face male or female?"""
        return await self.answers.face_gender(image)

    @bentoml.api(route=TYPED["heart-sound"], input_spec=AudioForm)  # type: ignore[untyped-decorator]
    @noted
    async def heart_sound(self, audio: bytes) -> HeartResult:
        """What does this heart sound show?"""
        return await self.answers.heart_sound(audio)

    @bentoml.api(route=TYPED["audio-scene"], input_spec=AddressBody)  # type: ignore[untyped-decorator]
    @noted
    async def audio_scene(self, audio_url: str) -> SceneResponse:
        """Is the audio at this address speech, music, noise or silence?"""
        return await self.answers.audio_scene(audio_url)

    @bentoml.api(route=KEYED, input_spec=VoiceBody)  # type: ignore[untyped-decorator]
    @noted
    async def voice_detection(self, request: VoiceRequest) -> VoiceResponse:
        """Did a human or an AI speak this? ``TypedMethodsMiddleware`` has checked the key, before the body was read."""
        return await self.answers.voice_detection(request)


def _classifier(question: str) -> Any:
    """The method by which BentoML's clients find the uniform route of a question.

    It is never called: ``Dispatch`` gives its address to the HTTP application.
    """

    async def classify(self: TypedMethods, items: list[InputItem]) -> ClassifyResponse:
        raise NotFound("this address is answered by the HTTP application")

    classify.__doc__ = f"The question {question}, for one or several items."
    classify.__name__ = f"classify_{question.replace('-', '_')}"
    return bentoml.api(route=f"{UNIFORM}{question}")(classify)


def _single(question: str, model: str) -> Any:
    """The method of a further question, about one file: it answers as the uniform route does."""
    spec = registry.specs()[model]
    form = AudioForm if isinstance(spec.input, AudioInput) else ImageForm

    async def ask(self: TypedMethods, **file: bytes) -> ItemAnswer:
        (data,) = file.values()
        return await self.answers.item(question, data)

    ask.__doc__, ask.__name__ = spec.description, model
    return bentoml.api(route=TYPED[question], input_spec=form)(noted(ask))


for _question in names.MODELS_BY_QUESTION:
    _method = _classifier(_question)
    setattr(TypedMethods, _method.name, _method)
for _question, (_model,) in names.FURTHER.items():
    setattr(TypedMethods, _model, _single(_question, _model))


def admit(answers: Answers, scope: Scope) -> None:
    """Lets a request in before its body is read: the key first, then whether its models have room.

    Raises:
        Forbidden: The key is missing or wrong.
        UnsupportedMedia: It is a pickle, which BentoML would refuse with a trace in the log.
        ServiceError: As ``Context.ensure_room``.
    """
    path, headers = scope["path"], Headers(scope=scope)
    if path == KEYED:
        check_voice_key(scope, answers.context.settings.keys, headers)
    if media_type(headers) == PICKLE:
        raise UnsupportedMedia(f"{PICKLE} is not read")
    if path != CACHED:
        answers.context.ensure_room(*MODELS_BY_PATH[path])
    scope[ANSWERS] = answers


class TypedMethodsMiddleware:
    """ASGI wrapper around BentoML's methods: lets requests in, and gives errors the contract's shape.

    Args:
        app: BentoML's application.
        answers: Gives what answers in this process.
    """

    def __init__(self, app: ASGIApp, answers: Callable[[], Answers]) -> None:
        self.app = app
        self._answers = answers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes answers on and rewrites errors."""
        try:
            if scope["path"] in MODELS_BY_PATH and scope["method"] == "POST":
                admit(self._answers(), scope)
        except ServiceError as error:
            await to_response(error, scope["path"])(scope, receive, send)
            return
        await self._ask(scope, receive, send)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, body, allow = 200, bytearray(), b""

        async def hold_errors(message: Message) -> None:
            nonlocal status, allow
            if message["type"] == "http.response.start":
                status = message["status"]
                allow = dict(message["headers"]).get(b"allow", b"")
            if status < 400:
                await send(message)
            else:
                body.extend(message.get("body", b""))

        await self.app(scope, receive, hold_errors)
        if status >= 400:
            state = CURRENT.get()
            if state is not None and state.failure is not None:
                response = to_response(state.failure, scope["path"])
            else:
                response = error_response(status, _message(status, bytes(body)))
            if allow:
                response.headers["allow"] = allow.decode("latin-1")
            await response(scope, receive, send)


def _message(status: int, body: bytes) -> str:
    """What BentoML said is wrong with the input; its other failures are not for callers."""
    if status >= 500:
        return "the server failed on this request"
    try:
        said = json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")[:200] or "the request is wrong"
    said = said[0] if isinstance(said, list) and said else said
    if not isinstance(said, dict):
        return "the request is wrong"
    problems = [
        ".".join(str(part) for part in item.get("loc", ())) + f": {item.get('msg', '')}"
        for item in said.get("detail") or ()
    ]
    return "; ".join(problems) or str(said.get("error", "the request is wrong"))
