"""Is this audio speech, music, noise or silence? (docs/contract.md, Audio scene)"""

from __future__ import annotations

import logging

from core import metrics, tracing
from core.errors import BadRequest, Unprocessable
from core.request import note_model
from media.examples import carried
from media.urls import describe_url
from models.audio_scene.joining import join
from tasks.answer import AudioPrediction
from tasks.context import Context
from tasks.results import SceneEntry

log = logging.getLogger("bundle.audio_scene")

MODEL = "audio_scene"


async def classify(context: Context, audio: bytes) -> AudioPrediction:
    """Answers for a recording of any length, over all of it.

    Args:
        context: The bundle.
        audio: The file's bytes.

    Raises:
        ServiceError: As ``Context.decode`` and ``Context.classify_audio``.
    """
    context.ensure_room(MODEL)
    decoded = await context.decode(MODEL, audio, context.audio_input(MODEL).sample_rate)
    return AudioPrediction(await context.classify_audio(MODEL, decoded.samples, join), decoded)


async def classify_url(context: Context, url: str) -> AudioPrediction:
    """Answers for the audio at an address, downloaded anew.

    Args:
        context: The bundle.
        url: ``http`` or ``https``.

    Raises:
        ServiceError: As ``Fetcher.fetch`` and ``classify``; Unprocessable when the file is not audio.
    """
    context.ensure_room(MODEL)
    if (data := carried(url)) is None:
        with context.coming(MODEL), tracing.step("download"), metrics.DOWNLOAD_SECONDS.time():
            data = (await context.fetcher.fetch(url)).data
        log.info("downloaded", extra={"source": describe_url(url), "bytes": len(data)})
    try:
        return await classify(context, data)
    except BadRequest as error:  # the caller's request was right: it is the file at the address that is not audio
        raise Unprocessable(f"the file at the URL is not usable: {error.message}") from error


async def analyze_url(context: Context, url: str) -> SceneEntry:
    """Answers for the audio at an address; remembered under it, downloaded once however many ask at the same time.

    Args:
        context: The bundle.
        url: ``http`` or ``https``.

    Raises:
        ServiceError: As ``classify_url``.
    """
    served = await context.models[MODEL].client.served()
    cached = await context.cache.get_or_compute(url, lambda: _describe(context, url), version=served.tag)
    metrics.CACHE.labels("hit" if cached.hit else "miss").inc()
    note_model(cached.value.model)
    return cached.value


async def _describe(context: Context, url: str) -> SceneEntry:
    found = await classify_url(context, url)
    return SceneEntry.model_validate(
        {
            "duration": round(found.audio.duration_s, 2),
            "sample_rate": found.audio.sample_rate,
            "channels": found.audio.channels,
            "classification": found.answer.best,
            "model": found.answer.tag,
        }
    )
