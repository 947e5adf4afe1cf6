"""The five questions: which models each needs, and how its answer is reported."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from media import pcm
from tasks import audio_scene, face_gender, heart_sound, voice_deepfake, voice_gender
from tasks.answer import Prediction
from tasks.context import Context

Report = dict[str, Any]

SOUNDS = frozenset({".wav", ".flac", ".mp3", ".ogg", ".opus", ".webm", ".m4a", ".aac"})
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"})
PCM = frozenset({".pcm", ".raw"})
DIGITS = 4


@dataclass(frozen=True, slots=True)
class File:
    """One file that is asked about.

    Attributes:
        path: Where it lies; its suffix tells raw PCM apart.
        data: Its bytes.
        layout: How raw PCM is to be read.
        amplification: Gain for raw PCM, limited by its headroom.
    """

    path: Path
    data: bytes
    layout: pcm.PcmFormat
    amplification: float


@dataclass(frozen=True, slots=True)
class Question:
    """One question.

    Attributes:
        help: The question in words.
        models: Models that answer it.
        suffixes: Files of a folder that are asked about.
        ask: Answers for one file; raises ``ServiceError`` with words on what is wrong with it.
    """

    help: str
    models: tuple[str, ...]
    suffixes: frozenset[str]
    ask: Callable[[Context, File], Awaitable[Report]]


def _report(answer: Prediction) -> Report:
    probabilities = {name: round(value, DIGITS) for name, value in answer.probabilities.items()}
    return {"answer": answer.best, "confidence": probabilities[answer.best], "probabilities": probabilities}


async def _voice_gender(context: Context, file: File) -> Report:
    return _report((await voice_gender.classify(context, file.data)).answer)


async def _face_gender(context: Context, file: File) -> Report:
    found = await face_gender.classify(context, file.data)
    return {**_report(found.answer), "face": [round(value) for value in found.face.box]}


async def _heart_sound(context: Context, file: File) -> Report:
    data = file.data
    if file.path.suffix.lower() in PCM:
        layout = (file.layout.sample_rate, file.layout.num_channels, file.layout.sample_width)
        data = pcm.pcm_to_wav(data, *layout, file.amplification)
    answer = (await heart_sound.judge(context, data)).answer
    return {**_report(answer), "problems": heart_sound.problems(answer)}


async def _audio_scene(context: Context, file: File) -> Report:
    found = await audio_scene.classify(context, file.data)
    audio = found.audio
    source = {"duration": round(audio.duration_s, 2), "sample_rate": audio.sample_rate, "channels": audio.channels}
    return {**_report(found.answer), **source}


async def _ai_voice(context: Context, file: File) -> Report:
    answer = await voice_deepfake.classify(context, file.data)
    return {
        "answer": answer.verdict.classification,
        "confidence": round(answer.verdict.confidence, DIGITS),
        "members": {
            name: round(member.probabilities["AI_GENERATED"], DIGITS) for name, member in answer.members.items()
        },
        "explanation": answer.explanation,
    }


QUESTIONS = {
    "voice-gender": Question("Is this voice male or female?", (voice_gender.MODEL,), SOUNDS, _voice_gender),
    "face-gender": Question("Is this face male or female?", (face_gender.MODEL,), PICTURES, _face_gender),
    "heart-sound": Question("What does this heart sound show?", (heart_sound.MODEL,), SOUNDS | PCM, _heart_sound),
    "audio-scene": Question("Speech, music, noise or silence?", (audio_scene.MODEL,), SOUNDS, _audio_scene),
    "ai-voice": Question("Did a human or an AI speak this?", voice_deepfake.MEMBERS, SOUNDS, _ai_voice),
}
