"""How many items go to the engine at once.

The cost of a batch is what padding makes of it: its longest item times its number of items. Batches are cut from the
items in order of length, so that neighbours pad each other little, and none costs more than the budget (the policy of
text-embeddings-inference, ``core/src/queue.rs``). An item that alone is above the budget goes alone, and so does one
that would make too much of the batch padding, which is computed at the price of sound.
"""

from __future__ import annotations

from collections.abc import Sequence


def plan(costs: Sequence[float], budget: float, most: int, padding: float) -> list[list[int]]:
    """Cuts items into batches.

    Args:
        costs: Cost of each item (seconds of audio, or 1), at least 0.
        budget: Largest cost of a batch of several items.
        most: Largest number of items of a batch, at least 1.
        padding: Largest part of a batch that may be padding.

    Returns:
        Batches of indices into ``costs``; every index is in exactly one.
    """
    batches: list[list[int]] = []
    current: list[int] = []
    total = 0.0
    for index in sorted(range(len(costs)), key=costs.__getitem__):
        padded = costs[index] * (len(current) + 1)
        total += costs[index]
        if current and (len(current) == most or padded > budget or padded - total > padding * padded):
            batches.append(current)
            current, total = [], costs[index]
        current.append(index)
    if current:
        batches.append(current)
    return batches
