"""What makes a recording of speech or a picture hard to judge, measured on the input itself.

Limits were set on 70 clips of the validation data: as they are, with white noise 6 dB below their loud frames, and
clipped by 12 dB.
"""

from __future__ import annotations

import numpy as np

from dsp.temporal import frame_levels
from media.audio import DecodedAudio
from media.faces import is_level
from tasks.base import DetectedFace

FRAME_S = 0.02
SHORT_S = 1.0  # the encoder of voices was fitted on 1 s and more
QUIET_DBFS = -50.0  # of loud frames; those of the 70 clips are above -33
NOISY_DB = 10.0  # between loud and quiet frames; clean clips have 14 and more, noisy ones 7.5 and less
LOUD, QUIET = 95, 10  # percentiles of the frames' levels
FLOOR_DB = -120.0
TOP = 0.97  # of the peak: a clipped recording stays there, another one passes
CLIPPED_SHARE = 0.005  # of samples at the top; clean clips have 0.0006 and less, clipped ones 0.013 and more


def of_speech(audio: DecodedAudio) -> list[str]:
    """Why a recording of speech is hard to judge.

    Args:
        audio: The recording, at the rate of its models.

    Returns:
        Of ``too_short``, ``too_quiet``, ``too_noisy`` and ``clipped`` those that hold.
    """
    samples, rate = audio.samples, audio.samples_rate
    levels = frame_levels(samples, max(1, round(FRAME_S * rate)), FLOOR_DB)
    loud, quiet = np.percentile(levels, (LOUD, QUIET))
    peak = float(np.abs(samples).max(initial=0.0))
    found = {
        "too_short": audio.duration_s < SHORT_S,
        "too_quiet": loud < QUIET_DBFS,
        "too_noisy": loud - quiet < NOISY_DB,
        "clipped": peak > 0 and float(np.mean(np.abs(samples) >= TOP * peak)) >= CLIPPED_SHARE,
    }
    return [name for name, holds in found.items() if holds]


def of_picture(found: DetectedFace) -> list[str]:
    """Why a picture is hard to judge: ``several_faces``, or a face that is ``turned``."""
    several = ["several_faces"] if found.others else []
    return several if is_level(found.face) else [*several, "turned"]
