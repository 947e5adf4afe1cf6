"""How large a batch has to be for a device: found by measuring it once, before the first caller comes.

A processor gains little by batches, and the usual bounds suffice. What a GPU gains depends on the network and on the
device: wav2vec2-large on an H200 computes 56 clips a second one at a time, 520 in batches of 16, and 660 in batches
of 64.
"""

from __future__ import annotations

from collections.abc import Callable

from core.settings import BatchBounds
from scheduling.queue import BATCH_S

LARGEST = 256  # items; a step further, and their inputs alone take hundreds of megabytes
# Times the rate of a smaller batch that a larger one has to reach: each step doubles the time until the first answer.
GAIN = 1.05
FLAT_STEPS = 2  # without such a gain, after which no larger size is tried: a device may gain by 32 and not by 16
REPEATS = 3  # of each size, of which the shortest counts; one before them makes room and chooses kernels


def find(seconds_of: Callable[[int], float], cost: float) -> BatchBounds:
    """Finds the smallest batch that gives nearly the highest rate and takes no longer than ``BATCH_S``.

    Args:
        seconds_of: Computes so many equal items at once and says how long it took (seconds). What it raises as a
            RuntimeError, such as that the device has no more memory, ends the search.
        cost: Of one of the items (seconds of audio, or 1 for a picture).

    Returns:
        The bounds of a batch, at least those of a processor.
    """
    rates: dict[int, float] = {}
    items = 1
    while items <= LARGEST and (seconds := _shortest(seconds_of, items)) is not None:
        if rates and seconds > BATCH_S:
            break
        rates[items] = items / seconds
        if len(rates) > FLAT_STEPS and _is_flat(list(rates.values())):
            break
        items *= 2
    best, usual = max(rates.values(), default=0.0), BatchBounds()
    enough = next((items for items, rate in rates.items() if rate * GAIN >= best), 1)
    if enough == 1:
        return usual
    most = enough * cost
    # Items shorter than those that were measured may be more of them.
    return BatchBounds(max(usual.items, min(LARGEST, round(most))), max(usual.cost, most))


def _is_flat(rates: list[float]) -> bool:
    """Whether the last sizes were hardly faster than the one before them."""
    return max(rates[-FLAT_STEPS:]) < GAIN * max(rates[:-FLAT_STEPS])


def _shortest(seconds_of: Callable[[int], float], items: int) -> float | None:
    """The shortest time of a size (seconds); None where the device cannot compute it."""
    try:
        seconds_of(items)
        return min(seconds_of(items) for _ in range(REPEATS))
    except RuntimeError:
        return None
