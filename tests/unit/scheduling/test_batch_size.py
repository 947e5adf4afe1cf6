"""The size of a batch that is found for simulated devices."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.settings import BatchBounds, RunnerOptions
from scheduling.batch_size import LARGEST, REPEATS, find
from scheduling.queue import BATCH_S

CLIP_S = 5.0


class Device:
    """Computes so many items side by side in one step, and needs a moment to begin.

    Args:
        launch_s: Before each batch (seconds).
        step_s: For each group of items that it has room for at once (seconds).
        side_by_side: Items of a group.
        memory: Items that fit in.
    """

    def __init__(self, launch_s: float, step_s: float, side_by_side: int = 1, memory: int = 10**6) -> None:
        self.launch_s, self.step_s, self.side_by_side, self.memory = launch_s, step_s, side_by_side, memory
        self.asked: list[int] = []

    def __call__(self, items: int) -> float:
        self.asked.append(items)
        if items > self.memory:
            raise RuntimeError("out of memory")
        return self.launch_s + self.step_s * -(-items // self.side_by_side)


def test_a_processor_gains_nothing_and_keeps_its_bounds() -> None:
    device = Device(0.0, 0.02)
    assert find(device, CLIP_S) == BatchBounds()
    assert max(device.asked) <= 4  # it is not asked for more than shows it


@pytest.mark.parametrize("side_by_side", [16, 32, 64])
def test_a_gpu_gets_as_many_as_it_computes_side_by_side(side_by_side: int) -> None:
    bounds = find(Device(0.0, 0.02, side_by_side), CLIP_S)
    assert bounds.cost == side_by_side * CLIP_S
    assert bounds.items >= side_by_side


def test_a_step_without_a_gain_does_not_end_the_search() -> None:
    def seconds_of(items: int) -> float:
        return {1: 0.01, 2: 0.01, 4: 0.02, 8: 0.02, 16: 0.02}.get(items, 0.02 * items / 16)

    assert find(seconds_of, CLIP_S).cost == 16 * CLIP_S


def test_a_batch_takes_no_longer_than_its_callers_may_wait() -> None:
    device = Device(0.2, 0.01)
    bounds = find(device, 10.0)
    assert 0.2 + 0.01 * bounds.cost / 10 <= BATCH_S
    assert device.asked.count(8) == 1 + REPEATS  # 0.28 s


def test_a_slow_device_computes_one_after_the_other() -> None:
    assert find(Device(1.0, 1.0), 30.0) == BatchBounds()


def test_the_search_ends_where_the_device_has_no_more_memory() -> None:
    assert find(Device(0.1, 1e-6, memory=40), CLIP_S).cost == 32 * CLIP_S
    assert find(Device(0.1, 1e-6, memory=0), CLIP_S) == BatchBounds()


def test_there_is_a_largest_batch() -> None:
    assert find(Device(0.1, 1e-9), CLIP_S) == BatchBounds(LARGEST, LARGEST * CLIP_S)


def test_short_items_may_be_more() -> None:
    assert find(Device(0.0, 0.02, 16), CLIP_S).items == 16 * CLIP_S


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, BatchBounds(80, 80.0)),
        ({"batch_items": 4}, BatchBounds(4, 80.0)),
        ({"batch_cost": 10.0}, BatchBounds(80, 10.0)),
        ({"batch_items": 4, "batch_cost": 10.0}, BatchBounds(4, 10.0)),
    ],
)
def test_what_the_settings_say_is_kept(options: dict[str, float], expected: BatchBounds) -> None:
    def device(_: Callable[[int], float]) -> BatchBounds:
        return find(Device(0.0, 0.02, 16), CLIP_S)

    assert RunnerOptions.model_validate(options).bounds(device(Device(0, 1))) == expected


def test_without_a_measurement_the_usual_bounds_hold() -> None:
    assert RunnerOptions().bounds() == BatchBounds(16, 32.0)
