"""Did a human or an AI speak this? (C5)"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from media.audio import DecodedAudio
from media.base64_audio import decode_base64_audio
from operations.answer import Answer
from operations.context import Context
from operations.ensemble import Verdict, decide
from operations.explanation import explain

log = logging.getLogger("bundle.voice_deepfake")

SAMPLE_RATE = 16_000  # Hz
LONGEST_S = 30.0  # longer audio is cut
SHORTEST_S = 1.0  # shorter audio is padded

MODEL = "voice_deepfake"  # the members together, in the metrics of what is done once for all of them

# In the order of the configured weights.
MEMBERS = ("deepfake_wav2vec2", "deepfake_cnn", "deepfake_mlp")


@dataclass(frozen=True, slots=True)
class VoiceAnswer:
    """The decision of the ensemble.

    Attributes:
        verdict: Score, class and confidence.
        explanation: Which measured values drove it.
        members: Answer of each member, by model name.
        features: The 47 measured features, by name.
        audio: The recording as decoded, before a short one is padded.
    """

    verdict: Verdict
    explanation: str
    members: Mapping[str, Answer]
    features: Mapping[str, float]
    audio: DecodedAudio


async def classify_base64(context: Context, text: str, declared: str | None, max_bytes: int) -> VoiceAnswer:
    """Answers for a recording in base64, which is decoded only where there is room for it.

    Args:
        context: The bundle.
        text: As ``decode_base64_audio`` takes it.
        declared: As of ``classify``.
        max_bytes: Largest file (bytes).

    Raises:
        ServiceError: As ``decode_base64_audio`` and ``classify``.
    """
    context.ensure_room(*MEMBERS)
    audio = await context.in_thread(
        MODEL, "base64", lambda: decode_base64_audio(text, max_bytes), len(text), then=MEMBERS
    )
    return await _judge(context, audio, declared)


async def classify(context: Context, audio: bytes, declared: str | None = None) -> VoiceAnswer:
    """Answers for a recording of speech.

    Args:
        context: The bundle.
        audio: The file's bytes.
        declared: The container that the caller named; another one is accepted and noted in the log.

    Raises:
        ServiceError: As ``Context.decode`` and ``Context.classify_audio``.
    """
    context.ensure_room(*MEMBERS)
    return await _judge(context, audio, declared)


async def _judge(context: Context, audio: bytes, declared: str | None) -> VoiceAnswer:
    decoded = await context.decode(MODEL, audio, SAMPLE_RATE, declared=declared, keep_seconds=LONGEST_S, then=MEMBERS)
    if not decoded.as_declared:
        log.info("another container than declared", extra={"declared": declared, "found": decoded.container})
    samples = fit(decoded.samples)
    tasks = [asyncio.ensure_future(context.classify_audio(name, samples)) for name in MEMBERS]
    try:
        answers: list[Answer] = await asyncio.gather(*tasks)
    finally:
        while tasks:  # none is kept, or a failure would hold itself, and with it the recording
            tasks.pop().cancel()
    members = dict(zip(MEMBERS, answers, strict=True))
    scores = {name: answer.probabilities["AI_GENERATED"] for name, answer in members.items()}
    settings = context.settings
    verdict = decide(list(scores.values()), settings.ensemble_weights, settings.ensemble_threshold)
    features = members["deepfake_mlp"].extras
    text = explain(features, verdict.classification, verdict.score, members=scores)
    return VoiceAnswer(verdict, text, members, features, decoded)


def fit(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cuts to the longest and pads with silence to the shortest length.

    Args:
        samples: float32 [n] at ``SAMPLE_RATE``.

    Returns:
        float32 [between ``SHORTEST_S`` and ``LONGEST_S``].
    """
    samples = samples[: round(LONGEST_S * SAMPLE_RATE)]
    return np.pad(samples, (0, max(0, round(SHORTEST_S * SAMPLE_RATE) - samples.size)))
