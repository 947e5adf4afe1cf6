"""A recording's bytes as a file for a decoder that looks for sound in them: the search is bounded in time and work."""

from __future__ import annotations

import io
from typing import Any

from core.errors import BadRequest, ServiceError
from media.samples import AudioLimits

# Bytes that are read in small parts before any sound, or from one sound to the next. The chunks of a WAV and the boxes
# of an MP4 may have 8 bytes, and each takes half a microsecond. An index has about 2 MB.
MAX_SOUNDLESS_BYTES = 1 << 23
LARGE_READ = 1 << 15  # of FFmpeg: what it reads more of at once is one part, such as the picture of a cover
PART_BYTES = 64  # that a read of libsndfile counts for: it reads the head of each chunk by itself


class SearchedFile(io.BytesIO):
    """The bytes as a file, which ends the search for sound: at the deadline, and where too much holds none.

    Args:
        data: The recording.
        limits: Whose deadline holds.
    """

    def __init__(self, data: bytes, limits: AudioLimits) -> None:
        super().__init__(data)
        self._limits = limits
        self._left = MAX_SOUNDLESS_BYTES
        self._has_raised = False

    def found_sound(self) -> None:
        """Begins to count anew."""
        self._left = MAX_SOUNDLESS_BYTES

    def check(self) -> None:
        """Raises BadRequest where too much without sound was read, and TimedOut when the deadline has passed."""
        self._limits.check_time()
        if self._left < 0:
            raise BadRequest("the audio is damaged: it has too many parts without sound")

    def read(self, size: int | None = -1, /) -> bytes:
        """Reads for FFmpeg, which goes on reading after an error: PyAV prints all but the first one."""
        if self._has_raised:
            return b""
        data = super().read(size)
        self._left -= min(len(data), LARGE_READ)
        try:
            self.check()
        except ServiceError:
            self._has_raised = True
            raise
        return data

    def readinto(self, buffer: Any, /) -> int:
        """Reads for libsndfile, which does not hear of what is raised here: to it the file ends."""
        self._left -= PART_BYTES
        return super().readinto(buffer) if self._left >= 0 else 0
