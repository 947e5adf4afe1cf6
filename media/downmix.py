"""Several channels to one, such that nothing they hold is cancelled.

The mean of two channels is right where they hold different sounds, or the same sound at the same time. It is wrong
where the same sound comes later in one of them (two microphones: a comb filter, with gaps at odd multiples of half the
inverse delay) or upside down (reversed polarity: silence). Which it is, is told from the coherence of the channels:
what they share at each frequency, and with what phase. A channel that would cancel what is there is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

BLOCK_VALUES = 1 << 17  # values handled at once: 0.5 MiB of float32
MAX_MIXED = 8  # channels; of more (arrays of microphones) the loudest are taken
WINDOW_S = 1 / 64  # length of an analysis window (seconds), many times the delays between microphones
WINDOWS = 16  # that are analysed of a block at most (1.5 s of stereo at 44.1 kHz), so that it costs little
FIRST_BLOCKS, EVERY = 3, 2  # all of the first blocks with sound are analysed, then every second
HIGHEST = 8_000.0  # Hz; no model listens higher
# Share of a channel's amplitude that may be cancelled: mean over frequencies of |coherence| - real part.
MAX_LOSS = 0.45
SILENT = 1e-4  # share of the loudest channel's power (-40 dB) below which a channel is dead
FORGETTING = 0.25  # weight of what was measured before the present block
STEADINESS = 2.0  # a channel must be so much louder (3 dB) to become the one that others are compared with
LEAST_POWER = 0.25  # of the mix, as a share of the loudest channel's: that of the mean of two where one is soft
TINY = 1e-20  # power below which there is nothing to compare: far less than that of one step of 32 bits


class Downmix:
    """Mixes the blocks of one recording, whose channels it comes to know on the way.

    It costs memory for one block only. The first block decides by itself, later ones by those before them, too.

    Args:
        rate: Of the recording (Hz).
        channels: Its channel count, at least 2.
    """

    def __init__(self, rate: int, channels: int) -> None:
        self._length = 1 << max(4, round(np.log2(rate * WINDOW_S)))
        self._shape = np.hanning(self._length).astype(np.float32)
        self._bins = slice(1, max(2, round(min(HIGHEST / rate, 0.5) * self._length)))  # without an offset
        self._channels = channels
        self._taken: NDArray[np.intp] | None = None if channels > MAX_MIXED else np.arange(channels)
        self._spectra: NDArray[Any] | None = None
        self._windows = 0.0
        self._weights = np.full(min(channels, MAX_MIXED), 1 / min(channels, MAX_MIXED), np.float32)
        self._loudest = -1  # none has sounded yet
        self._blocks = 0  # since one has

    def mix(self, block: NDArray[Any]) -> Samples:
        """Mixes one block.

        Args:
            block: Float [frames, channels].

        Returns:
            float32 [frames].
        """
        block = block.astype(np.float32, copy=False)
        if self._taken is None:
            self._taken = np.sort(np.argsort(np.square(block).mean(axis=0))[-MAX_MIXED:])
        if self._channels > MAX_MIXED:
            block = block[:, self._taken]
        if self._blocks < FIRST_BLOCKS or self._blocks % EVERY == 0:
            self._measure(block)
            self._weights = self._choose(block.shape[1])
        self._blocks += self._loudest >= 0
        mixed = np.zeros(len(block), np.float32)
        for channel, weight in enumerate(self._weights):
            if weight:
                mixed += block[:, channel] * weight
        return mixed

    def _measure(self, block: Samples) -> None:
        """Adds the cross spectra of some windows of a block, complex [frequencies, channels, channels]."""
        count = min(WINDOWS, len(block) // self._length)
        if count == 0:
            return
        starts = np.linspace(0, len(block) - self._length, count).astype(int)
        windows = np.stack([block[start : start + self._length].T for start in starts])
        found = np.fft.rfft(windows * self._shape)[..., self._bins].transpose(2, 1, 0)
        spectra = np.einsum("fik,fjk->fij", found, found.conj())
        if not np.isfinite(spectra).all():
            return  # such a recording is refused at its end
        before = 0.0 if self._spectra is None else FORGETTING * self._spectra
        self._spectra, self._windows = before + spectra, FORGETTING * self._windows + count

    def _choose(self, channels: int) -> NDArray[np.float32]:
        """What each channel counts, float32 [channels]."""
        weights = np.full(channels, 1 / channels, np.float32)
        if self._spectra is None:
            return weights
        powers = self._spectra.sum(axis=0).diagonal().real
        ranked = powers * np.where(np.arange(channels) == self._loudest, STEADINESS, 1)
        loudest = powers[ranked.argmax()]
        if loudest <= TINY:
            return weights
        self._loudest = int(ranked.argmax())
        taken = [self._loudest]
        for channel in np.argsort(-powers):
            if powers[channel] > SILENT * loudest and channel not in taken and self._loss(taken, channel) < MAX_LOSS:
                taken.append(int(channel))
        weights[:] = 0
        weights[taken] = 1 / len(taken)
        power = (weights @ self._spectra.sum(axis=0) @ weights).real
        return weights * np.float32(np.sqrt(max(1.0, LEAST_POWER * loudest / power)))

    def _loss(self, taken: list[int], channel: int) -> float:
        """What a channel and one of others lose to each other: 0 for different sounds, 2 for reversed polarity."""
        spectra = self._spectra
        assert spectra is not None  # noqa: S101 - asked after it was measured
        powers = np.einsum("fii->fi", spectra).real
        power = np.maximum(powers[:, taken] * powers[:, [channel]], TINY * TINY)
        coherence = spectra[:, taken, channel] / np.sqrt(power)
        # So few windows agree by chance, too: the square of what is left of that is one part in their number.
        sure = np.square(np.abs(coherence)) > 4 / max(self._windows, 1)
        return float(((np.abs(coherence) - coherence.real) * sure).mean(axis=0).max())
