"""Did a human or an AI speak this? (docs/contract.md, AI-generated voice)"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.activity import without_pauses
from media.audio import DecodedAudio
from media.base64_audio import decode_base64_audio
from models.messages import InferenceResult
from tasks import speech
from tasks.answer import Prediction, join_results
from tasks.context import Context, together
from tasks.ensemble import Verdict, decide
from tasks.explanation import explain

log = logging.getLogger("bundle.voice_deepfake")

SAMPLE_RATE = 16_000  # Hz
LONGEST_S = 30.0  # of speech; more is not looked at
SHORTEST_S = 1.0  # shorter audio is padded

MODEL = "voice_deepfake"  # the members together, in the metrics of what is done once for all of them

# In the order of the configured weights.
MEMBERS = ("deepfake_encoder", "deepfake_cnn", "deepfake_mlp")


@dataclass(frozen=True, slots=True)
class VoicePrediction:
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
    members: Mapping[str, Prediction]
    features: Mapping[str, float]
    audio: DecodedAudio


async def classify_base64(context: Context, text: str, declared: str | None, max_bytes: int) -> VoicePrediction:
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


async def classify(context: Context, audio: bytes, declared: str | None = None) -> VoicePrediction:
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


async def _judge(context: Context, audio: bytes, declared: str | None) -> VoicePrediction:
    longest_s = context.settings.max_audio_seconds  # of the file; what is beyond is not looked at
    decoded = await context.decode(MODEL, audio, SAMPLE_RATE, declared=declared, keep_seconds=longest_s, then=MEMBERS)
    if not decoded.as_declared:
        log.info("another container than declared", extra={"declared": declared, "found": decoded.container})
    spoken = without_pauses(decoded.samples, SAMPLE_RATE)
    members = dict(zip(MEMBERS, await _ask_members(context, spoken), strict=True))
    scores = {name: answer.probabilities["AI_GENERATED"] for name, answer in members.items()}
    verdict = decide(list(scores.values()), context.settings.voting)
    features = members["deepfake_mlp"].extras
    text = explain(features, verdict, members=scores)
    return VoicePrediction(verdict, text, members, features, decoded)


async def _ask_members(context: Context, samples: NDArray[np.float32]) -> list[Prediction]:
    """What each member says of the first ``LONGEST_S`` of speech, in the order of ``MEMBERS``.

    Of a recording that is no longer, all are asked at once. Of a longer one the first member, which finds speech, looks
    at piece after piece until there is enough, and the others are asked about what it found.

    Raises:
        ServiceError: As ``Context.ask``; Unprocessable where there is no speech.
    """
    first, *others = MEMBERS
    if samples.size <= round(LONGEST_S * SAMPLE_RATE):
        whole = fit(samples)
        return await together(
            _first(context, first, samples), *(context.classify_audio(name, whole) for name in others)
        )
    answer, spoken = await _find_speech(context, first, samples)
    whole = fit(spoken)
    return [answer, *await together(*(context.classify_audio(name, whole) for name in others))]


async def _first(context: Context, name: str, samples: NDArray[np.float32]) -> Prediction:
    answer, _ = await _find_speech(context, name, samples)
    return answer


async def _find_speech(
    context: Context, name: str, samples: NDArray[np.float32]
) -> tuple[Prediction, NDArray[np.float32]]:
    """A member's answer on the first ``LONGEST_S`` of speech, and the windows that have speech in them, joined."""
    longest = round(LONGEST_S * SAMPLE_RATE)
    windows: list[NDArray[np.float32]] = []
    outcomes: list[InferenceResult] = []
    found: list[float] = []
    for start in range(0, samples.size, longest):
        pieces, answers = await context.ask(name, samples[start : start + longest])
        windows += pieces
        outcomes += answers
        found = speech.seconds(outcomes, [window.size / SAMPLE_RATE for window in windows])
        if sum(found) >= LONGEST_S:
            break
    weights = speech.weights(outcomes, [window.size / SAMPLE_RATE for window in windows])
    answer = join_results(context.models[name].spec, outcomes, weights)
    spoken = [window for window, seconds in zip(windows, found, strict=True) if seconds >= speech.LEAST_S]
    return answer, np.concatenate(spoken or windows)


def fit(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cuts to the longest and pads with silence to the shortest length.

    Args:
        samples: float32 [n] at ``SAMPLE_RATE``.

    Returns:
        float32 [between ``SHORTEST_S`` and ``LONGEST_S``].
    """
    samples = samples[: round(LONGEST_S * SAMPLE_RATE)]
    return np.pad(samples, (0, max(0, round(SHORTEST_S * SAMPLE_RATE) - samples.size)))
