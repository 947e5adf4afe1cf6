"""Which items are computed together: in the calls of the API's queue, and in the batches of a runner's engine.

The cost of a batch includes its padding: its longest item times its number of items. It is within a budget (the policy
of text-embeddings-inference, ``core/src/queue.rs``). The queue sends the oldest item, and of those next in line the
nearest to it in cost. The runner sorts items by length before it cuts them into batches, so that neighbours pad each
other little. An item that alone is above the budget is computed alone, and so is one that would make too much of the
batch padding, which costs as much to compute as sound.
"""

from __future__ import annotations

from collections.abc import Sequence

# Waiting items, from the oldest on, among which batch-mates of the oldest are chosen. Chosen among all, an item of
# unusual length would be overtaken by all others until it is the oldest.
IN_LINE = 8


def plan(costs: Sequence[float], max_batch_cost: float, max_batch_items: int, padding: float) -> list[list[int]]:
    """Cuts items into batches.

    Args:
        costs: Cost of each item (seconds of audio, or 1), at least 0.
        max_batch_cost: Largest cost of a batch of several items.
        max_batch_items: Largest number of items of a batch, at least 1.
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
        if current and (
            len(current) == max_batch_items or padded > max_batch_cost or padded - total > padding * padded
        ):
            batches.append(current)
            current, total = [], costs[index]
        current.append(index)
    if current:
        batches.append(current)
    return batches


def choose(costs: Sequence[float], max_batch_cost: float, max_batch_items: int) -> list[int]:
    """Chooses the next batch.

    Args:
        costs: Of the waiting items, oldest first.
        max_batch_cost: Largest longest-cost-times-items of a batch of several.
        max_batch_items: Largest number of items.

    Returns:
        Indices into ``costs``, the oldest first; empty when nothing is waiting.
    """
    if not costs:
        return []
    batch, longest = [0], costs[0]
    for index in sorted(range(1, min(IN_LINE, len(costs))), key=lambda i: abs(costs[i] - costs[0])):
        longest_with = max(longest, costs[index])
        if len(batch) == max_batch_items or longest_with * (len(batch) + 1) > max_batch_cost:
            break
        batch.append(index)
        longest = longest_with
    return batch
